"""Pictures of fitted models; they need matplotlib: pip install "gcp-tensor[plot]"."""

from __future__ import annotations

from gcp.analysis.plots.comparison import plot_comparison
from gcp.analysis.plots.components import plot_components
from gcp.analysis.plots.convergence import plot_convergence, plot_similarity, plot_starts
from gcp.analysis.plots.core_plot import plot_core
from gcp.analysis.plots.forest import plot_forest
from gcp.analysis.plots.judging import plot_calibration, plot_residuals, plot_roc, plot_slices
from gcp.analysis.plots.observed_means import plot_observed
from gcp.analysis.plots.outlier_plot import plot_outliers
from gcp.analysis.plots.ranks import plot_objective_by_rank, plot_similarity_by_rank
from gcp.analysis.plots.share_plot import plot_shares
from gcp.analysis.plots.surprises import plot_surprises

__all__ = [
    "plot_calibration",
    "plot_comparison",
    "plot_components",
    "plot_convergence",
    "plot_core",
    "plot_forest",
    "plot_objective_by_rank",
    "plot_observed",
    "plot_outliers",
    "plot_residuals",
    "plot_roc",
    "plot_shares",
    "plot_similarity",
    "plot_similarity_by_rank",
    "plot_slices",
    "plot_starts",
    "plot_surprises",
]
