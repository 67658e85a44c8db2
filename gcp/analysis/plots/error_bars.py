"""Intervals of a model's weights and factors, from whatever estimates them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.bootstrap import Bootstrap
from gcp.analysis.standard_error_table import StandardErrors
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
        Anything else, or those of a model of another shape, or with components or positions in another order.
    """
    if not isinstance(errors, StandardErrors | Bootstrap):
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
    own = errors.result.factors if isinstance(errors, StandardErrors) else errors.fitted_factors
    if not all(np.allclose(a, b, equal_nan=True) for a, b in zip(own, result.factors, strict=True)):
        raise ParameterError(
            "errors are those of another model, or of this one with components or positions in another order: take "
            "those of the result that is drawn."
        )
    return found
