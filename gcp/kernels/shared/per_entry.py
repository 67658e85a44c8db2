"""A loss over a run of listed entries: the only part of the passes over them that is compiled for each loss."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gcp.base.compiler.jit import DISABLED
from gcp.kernels.shared import compiled_formulas, linked
from gcp.kernels.shared.compiled_formulas import Function
from gcp.kernels.shared.vector import first_numbers
from gcp.losses.formula import Formula

RUN = 256
"""Most entries in a run; a multiple of 32. A run's arrays fit the first-level cache."""


def address(formula: Formula, dtype: np.dtype[Any], curvature: Function | None = None) -> Any:
    """Return the address of the compiled function, for `linked.call`.

    Its arguments are pointers: to data x, entry weights w, weights z of the zero part, model values, and as outputs:
    the model values again, which become derivatives; losses; curvatures; then to the formula's parameters, and the
    coefficients (a, b) of the zero part q(m) = a m + b m**2; and last the length of the run: at most `RUN`, and a
    multiple of 32.

    It computes w f(x, m) - z q(m), and the same of the derivatives and curvatures. Where w is 0, neither x nor m
    matters to the first term.

    Parameters
    ----------
    formula : Formula
    dtype : dtype
        float32 or float64: the type of the arithmetic and of all numbers.
    curvature : function, optional
        Of (x, m, *params), such as the formula's `d2f` or `weight`, of which the size counts; None leaves the
        curvatures alone.
    """
    return _address(formula.f, formula.df, curvature, len(formula.params), dtype)


@lru_cache(maxsize=256)
def _address(
    f: Function, df: Function, curvature: Function | None, n_params: int, dtype: np.dtype[Any]
) -> Any:
    identity = compiled_formulas.identity((f, df, curvature), entrywise=True, n_params=n_params)
    function = _run_function(f, df, curvature, unpacking(n_params))
    return linked.address(compiled_formulas.cached(function, identity), linked.ENTRYWISE, dtype)


@lru_cache(maxsize=64)
def unpacking(n: int) -> Function:
    """Return a function, for compiled code, that makes a tuple of the n numbers at a pointer."""
    return tuple if DISABLED else first_numbers(n)


def _run_function(value: Function, deriv: Function, bend: Function | None, unpack: Function) -> Function:
    def flat(x, w, z, y, v, u, params, zero, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        a, b = zero[0], zero[1]
        for k in range(n & -32):
            m = y[k]
            f = w[k] * value(x[k], m, *p)
            d = w[k] * deriv(x[k], m, *p)
            v[k] = (f if w[k] != 0.0 else 0.0) - z[k] * (m * (a + b * m))
            y[k] = (d if w[k] != 0.0 else 0.0) - z[k] * (a + (b + b) * m)

    if bend is None:
        return flat
    bent = bend

    def curved(x, w, z, y, v, u, params, zero, n):  # type: ignore[no-untyped-def]
        p = unpack(params)
        a, b = zero[0], zero[1]
        for k in range(n & -32):
            m = y[k]
            f = w[k] * value(x[k], m, *p)
            d = w[k] * deriv(x[k], m, *p)
            c = w[k] * abs(bent(x[k], m, *p))
            v[k] = (f if w[k] != 0.0 else 0.0) - z[k] * (m * (a + b * m))
            y[k] = (d if w[k] != 0.0 else 0.0) - z[k] * (a + (b + b) * m)
            u[k] = (c if w[k] != 0.0 else 0.0) - z[k] * (b + b)

    return curved
