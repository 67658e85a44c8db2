"""Intervals of a model's weights and factors, from whatever estimates them."""

from __future__ import annotations

from typing import Any, NamedTuple

from gcp.analysis.intervals import Estimates
from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
from gcp.result import FitResult


class ModelIntervals(NamedTuple):
    """Ends of intervals, shaped like a model.

    Attributes
    ----------
    weights : (ndarray, ndarray), shapes (R,)
    factors : list of (ndarray, ndarray), shapes (I_n, R)
    """

    weights: tuple[FloatArray, FloatArray]
    factors: list[tuple[FloatArray, FloatArray]]


def intervals_of(errors: Any, result: FitResult, level: float) -> ModelIntervals:
    """Return the intervals of standard errors or of a bootstrap of this model.

    Raises
    ------
    ParameterError
        Anything else, or those of a model of another shape.
    """
    if not isinstance(errors, Estimates):
        raise ParameterError(
            "errors must be what gcp.analysis.standard_errors or gcp.analysis.bootstrap return: found "
            f"{show(errors)}."
        )
    found = ModelIntervals(*errors.interval(level))
    shapes = [low.shape for low, _ in found.factors]
    if shapes != [a.shape for a in result.factors]:
        raise ParameterError(
            f"errors are those of another model: found factors of shapes {shapes}, expected "
            f"{[a.shape for a in result.factors]}."
        )
    return found
