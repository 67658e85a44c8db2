"""A loss over a block of entries by NumPy, for formulas that Numba cannot compile."""

from __future__ import annotations

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
    m = columns.argument(m)
    x, weights, scale, *_ = columns.map(lambda column: column.astype(m.dtype, copy=False))
    functions = [formula.f, formula.df]
    if curved:
        functions.append(formula.weight or formula.d2f)
    found = [np.broadcast_to(function(x, m, *formula.params), m.shape) for function in functions]
    if curved:
        found[2] = np.maximum(found[2], 0.0)
    if weights is not None:
        found = [np.where(weights == 0, 0.0, weights * part) for part in found]
    if scale is not None:
        found[1:] = [scale ** (k + 1) * part for k, part in enumerate(found[1:])]
    value, deriv, *third = (np.asarray(part, dtype=m.dtype) for part in found)
    return value, deriv, third[0] if third else None
