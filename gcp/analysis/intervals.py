"""Intervals of a model's weights and factors: what their kinds have in common."""

from __future__ import annotations

from gcp.base import checks
from gcp.base.types import FloatArray

Interval = tuple[FloatArray, FloatArray]
"""Low and high ends."""

Intervals = tuple[Interval, list[Interval]]
"""Intervals of the weights, and of each factor."""


def quantile(level: float) -> float:
    """Return the standard normal errors of an interval to each side; `ParameterError` unless 0 < level < 1."""
    from scipy.special import ndtri

    return float(ndtri((1 + checks.real("level", level, above=0, below=1)) / 2))
