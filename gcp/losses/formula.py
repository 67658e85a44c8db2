"""The only thing that kernels and objectives see of a loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Formula(NamedTuple):
    """Elementwise functions of data x and model m, and the numbers that they take after these two.

    Attributes
    ----------
    f, df, d2f : callable
        Value, derivative and second derivative in m, as functions of (x, m, *params), written with arithmetic
        and `gcp.losses.elementary`, for scalars and arrays alike.
    params : tuple of float
        Further arguments; a new value recompiles nothing.
    compiled : bool
        False for formulas that cannot be compiled (calls into other libraries): they run as NumPy.
    weight : callable or None
        Curvature >= 0 that quadratic models of the loss use, a function like the others; None means the second
        derivative where it is positive, else 0.
    zero : (float, float) or None
        Coefficients (a, b) if f(0, m) = a m + b m**2 for every m of the loss's domain: then sums over zeros have a
        closed form.
    """

    f: Callable[..., Any]
    df: Callable[..., Any]
    d2f: Callable[..., Any]
    params: tuple[float, ...] = ()
    compiled: bool = True
    weight: Callable[..., Any] | None = None
    zero: tuple[float, float] | None = None
