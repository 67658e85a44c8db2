"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]"."""

from __future__ import annotations

from gcp.plots.components import plot_components

__all__ = ["plot_components"]
