"""A loss over a block of entries by NumPy, for formulas that cannot be compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gcp.base.types import FloatArray
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.formula import Formula


def evaluate(
    formula: Formula, columns: EntryColumns, m: FloatArray, curved: bool
) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return the entries' weighted loss, its derivative in m and, if asked for, curvature weight, shaped like m.

    Under weight 0 neither x nor m matters, not even if they are NaN. The arithmetic is in the type of m.
    """
    functions = [formula.f, formula.df]
    if curved:
        functions.append(lambda *given: np.maximum((formula.weight or formula.d2f)(*given), 0.0))
    value, deriv, *third = _weighted(functions, 0, formula, columns, m)
    return value, deriv, third[0] if third else None


def derivatives(formula: Formula, columns: EntryColumns, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return first and second derivatives of the entries' weighted loss in m, shaped like m."""
    first, second = _weighted([formula.df, formula.d2f], 1, formula, columns, m)
    return first, second


def _weighted(
    functions: list[Callable[..., Any]], order: int, formula: Formula, columns: EntryColumns, m: FloatArray
) -> list[FloatArray]:
    """Return functions of the entries that are derivatives in m of this order and the next ones, shaped like m."""
    m = columns.argument(m)
    x, weights, scale, *_ = columns.map(lambda column: column.astype(m.dtype, copy=False))
    found = [np.broadcast_to(function(x, m, *formula.params), m.shape) for function in functions]
    if weights is not None:
        found = [np.where(weights == 0, 0.0, weights * part) for part in found]
    if scale is not None:
        found = [scale ** (order + k) * part if order + k else part for k, part in enumerate(found)]
    return [np.asarray(part, dtype=m.dtype) for part in found]
