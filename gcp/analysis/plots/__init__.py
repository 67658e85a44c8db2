"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]"."""

from __future__ import annotations

from gcp.analysis.plots.components import plot_components
from gcp.analysis.plots.convergence import plot_convergence, plot_similarity
from gcp.analysis.plots.judging import plot_calibration, plot_residuals, plot_roc, plot_slices, plot_starts
from gcp.analysis.plots.surprises import plot_observed, plot_surprises

__all__ = [
    "plot_calibration",
    "plot_components",
    "plot_convergence",
    "plot_observed",
    "plot_residuals",
    "plot_roc",
    "plot_similarity",
    "plot_slices",
    "plot_starts",
    "plot_surprises",
]
