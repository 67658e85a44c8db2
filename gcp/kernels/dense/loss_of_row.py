"""A loss over one row of a tile: the only part of the fused pass that is compiled for each loss."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gcp.kernels.shared import compiled_formulas, linked, per_entry
from gcp.kernels.shared.compiled_formulas import Function
from gcp.losses.formula import Formula


def address(formula: Formula, dtype: np.dtype[Any], *, weighted: bool, curved: bool) -> Any:
    """Return the address of the compiled function, for `linked.call`.

    Its arguments are pointers to data x, weights w, model values y, and outputs v and u, and to the formula's
    parameters; then the number of entries, a multiple of 32. The losses go to v, the derivatives to y, and if
    `curved` the curvature weights, at least 0, to u.

    Parameters
    ----------
    formula : Formula
    dtype : dtype
        float32 or float64: the type of the arithmetic and of all rows.
    weighted : bool
        Whether all three are times w; where w is 0, neither x nor y matters. Else w is not read.
    curved : bool
        Whether u is wanted.
    """
    third = (formula.weight or formula.d2f) if curved else None
    return _address(formula.f, formula.df, third, len(formula.params), dtype, weighted)


@lru_cache(maxsize=256)
def _address(
    f: Function, df: Function, third: Function | None, n_params: int, dtype: np.dtype[Any], weighted: bool
) -> Any:
    identity = compiled_formulas.identity((f, df, third), n_params=n_params, weighted=weighted)
    function = _row_function(f, df, third, per_entry.unpacking(n_params), weighted)
    return linked.address(compiled_formulas.cached(function, identity), linked.ROW, dtype)


def _row_function(
    value: Function, deriv: Function, curvature: Function | None, unpack: Function, weighted: bool
) -> Function:
    def plain(x, w, y, v, u, params, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        for k in range(n & -32):
            m = y[k]
            v[k] = value(x[k], m, *p)
            y[k] = deriv(x[k], m, *p)

    def with_weights(x, w, y, v, u, params, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        for k in range(n & -32):
            m = y[k]
            a = w[k] * value(x[k], m, *p)
            b = w[k] * deriv(x[k], m, *p)
            v[k] = a if w[k] != 0.0 else 0.0  # a select, so that NaN under weight 0 does not spread
            y[k] = b if w[k] != 0.0 else 0.0

    if curvature is None:
        return with_weights if weighted else plain

    def curved(x, w, y, v, u, params, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        for k in range(n & -32):
            m = y[k]
            v[k] = value(x[k], m, *p)
            y[k] = deriv(x[k], m, *p)
            u[k] = max(curvature(x[k], m, *p), 0.0)

    def curved_with_weights(x, w, y, v, u, params, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        for k in range(n & -32):
            m = y[k]
            a = w[k] * value(x[k], m, *p)
            b = w[k] * deriv(x[k], m, *p)
            c = w[k] * max(curvature(x[k], m, *p), 0.0)
            v[k] = a if w[k] != 0.0 else 0.0
            y[k] = b if w[k] != 0.0 else 0.0
            u[k] = c if w[k] != 0.0 else 0.0

    return curved_with_weights if weighted else curved
