"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]"."""

from __future__ import annotations

from gcp.plots.components import plot_components
from gcp.plots.judging import plot_calibration, plot_residuals, plot_roc, plot_slices, plot_starts

__all__ = [
    "plot_calibration",
    "plot_components",
    "plot_residuals",
    "plot_roc",
    "plot_slices",
    "plot_starts",
]
