"""Densities and tails of Tweedie distributions of power 1 < p < 2: sums of a Poisson number of gamma amounts.

Sums over that number n run over its likely values. Where these are many, every few of them stand for all: sums of
smooth bumps with a step below the bump's width are exact to the last bits (the trapezoidal rule).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import gammainc, gammaincc, gammaln

from gcp.base.types import Array, FloatArray

_REACH = 9.0
"""Half the width of what is summed, in standard deviations of a bump."""

_FINENESS = 1.5
"""Steps in a standard deviation: errors of the rule are of the order of exp(-2 pi**2 1.5**2)."""

_AT_ONCE = 1 << 20
"""Terms in memory."""

_MOST_TERMS = 4096.0
"""Terms for one datum: a tail that would need more is 0 in any case."""

_GRID_STEP = 0.04
"""Steps of the logarithm of the series' argument between which it is interpolated, to nine digits, of many data."""


def parts(m: FloatArray, p: float, phi: Any) -> tuple[FloatArray, float, FloatArray]:
    """Return the rate of the number of amounts, and their shape and scale, of mean m (n,) and dispersion phi.

    Here and below, phi is one number, or one for each datum.
    """
    with np.errstate(over="ignore"):
        return m ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1), phi * (p - 1) * m ** (p - 1)


def log_factor(x: FloatArray, p: float, phi: Any) -> FloatArray:
    """Return log p(x) + f(x, m) / phi, which does not depend on m, elementwise.

    It is the logarithm of Dunn and Smyth's series over x, and 0 at x = 0.
    """
    found = np.zeros(x.shape)
    inside = x > 0
    log_x = np.log(x[inside])
    found[inside] = _log_of_many(_argument(log_x, p, _among(phi, inside)), (2 - p) / (p - 1)) - log_x
    return np.where(np.isnan(x), np.nan, found)


def _among(phi: Any, inside: Array) -> Any:
    """Return the dispersions of some data."""
    return phi if np.ndim(phi) == 0 else np.broadcast_to(phi, inside.shape)[inside]


def _argument(log_x: FloatArray, p: float, phi: Any) -> FloatArray:
    """Return the logarithm of what the series is a power series in, elementwise."""
    a = (2 - p) / (p - 1)
    return a * (log_x - np.log(p - 1)) - (1 + a) * np.log(phi) - np.log(2 - p)


def _log_series(log_z: FloatArray, a: float) -> FloatArray:
    """Return the logarithm of the sum over j >= 1 of z**j / (j! Gamma(a j)), shape (n,)."""
    peak = _peak(log_z, a)
    width = np.sqrt(peak / (1 + a))

    def terms(j: FloatArray, of: FloatArray) -> FloatArray:
        return j * of[:, None] - gammaln(j + 1) - gammaln(a * j)

    return _log_sums(terms, (log_z,), peak - _REACH * width - 3, peak + _REACH * (width + 1), width)


def _log_of_many(log_z: FloatArray, a: float) -> FloatArray:
    """Return the logarithm of the series, shape (n,): of many data by a spline of what is not its growth."""
    span = float(np.ptp(log_z)) if log_z.size else 0.0
    if not span < _GRID_STEP * (log_z.size - 6):
        return _log_series(log_z, a)
    from scipy.interpolate import CubicSpline

    grid = np.linspace(log_z.min() - _GRID_STEP, log_z.max() + _GRID_STEP, int(span / _GRID_STEP) + 6)
    rest = CubicSpline(grid, _log_series(grid, a) - (1 + a) * _peak(grid, a))
    return np.asarray((1 + a) * _peak(log_z, a) + rest(log_z))


def _peak(log_z: FloatArray, a: float) -> FloatArray:
    """Return about where the terms of the series are largest, shape (n,)."""
    return np.exp((log_z - a * np.log(a)) / (1 + a))


def _log_sums(
    terms: Callable[..., FloatArray],
    columns: tuple[FloatArray, ...],
    first: FloatArray,
    last: FloatArray,
    width: FloatArray,
) -> FloatArray:
    """Return logarithms of sums over whole numbers from 1, of which those between two limits count, shape (n,).

    Parameters
    ----------
    terms : callable
        Logarithms of terms (n, K), of numbers (n, K) and the columns.
    columns : tuple of ndarray, shapes (n,)
    first, last, width : ndarray, shape (n,)
        The limits, and the standard deviation of the narrowest bump between.
    """
    step = np.where(first > 1, np.maximum(width / _FINENESS, 1.0), 1.0)
    first = np.maximum(np.floor(first), 1.0)
    count = np.fmin(np.ceil((last - first) / step), _MOST_TERMS) + 1  # NaN, of infinite limits, is as many
    found = np.empty(first.shape)
    order = np.argsort(count, kind="stable")
    begin = 0
    while begin < order.size:
        most = max(int(_AT_ONCE / count[order[begin]]), 1)
        some = order[begin : begin + most]
        some = some[: max(int(_AT_ONCE / count[some[-1]]), 1)]  # the last has the most terms
        n = first[some, None] + step[some, None] * np.arange(count[some[-1]])
        values = terms(n, *(column[some] for column in columns))
        top = np.maximum(values.max(axis=1), -1e300)
        found[some] = top + np.log(np.exp(values - top[:, None]).sum(axis=1) * step[some])
        begin += some.size
    return found


def tails(x: FloatArray, m: FloatArray, p: float, phi: Any) -> tuple[FloatArray, FloatArray]:
    """Return P(X <= x) and P(X > x), elementwise."""
    x, m = np.broadcast_arrays(x, m)
    rate, shape, scale = parts(m, p, phi)
    nothing = np.exp(-rate)
    below, above = np.where(x < 0, 0.0, nothing), np.where(x < 0, 1.0, -np.expm1(-rate))
    inside = (x > 0) & (m > 0)
    lam, y = rate[inside], x[inside] / scale[inside]
    near = x[inside] ** (2 - p) / (
        _among(phi, inside) * (2 - p)
    )  # the likeliest number of amounts whose sum is x
    low, high = np.minimum(lam, near), np.maximum(lam, near)
    first, last = low - _REACH * np.sqrt(low) - 3, high + _REACH * (np.sqrt(high) + 1)
    width = np.minimum(np.sqrt(low), np.sqrt(y) / shape)
    ends = []
    for tail in (gammainc, gammaincc):

        def terms(n: FloatArray, lam: FloatArray, y: FloatArray, tail: np.ufunc = tail) -> FloatArray:
            number = n * np.log(lam[:, None]) - lam[:, None] - gammaln(n + 1)
            return number + np.log(tail(shape * n, y[:, None]))

        ends.append(np.exp(_log_sums(terms, (lam, y), first, last, width)))
    below[inside] = np.minimum(nothing[inside] + ends[0], 1.0)
    above[inside] = np.minimum(ends[1], 1.0)
    return below, above


def likeliest_dispersion(x: FloatArray, f: FloatArray, w: FloatArray, p: float, rough: float) -> float:
    """Return the dispersion that maximises the likelihood of data, of a rough one.

    Parameters
    ----------
    x, f, w : ndarray, shape (n,)
        Data, their loss, and weights.
    p : float
    rough : float
        The mean deviance; at 0 the model is perfect.
    """
    from scipy.optimize import minimize_scalar  # slow to import, rarely needed

    inside = (x > 0) & (w > 0)
    if rough <= 0 or not inside.any():
        return max(rough, 1e-12)
    log_x, v = np.log(x[inside]), w[inside]
    whole, a = float(w @ np.where(w > 0, f, 0.0)), (2 - p) / (p - 1)

    def minus(log_phi: float) -> float:
        return whole / np.exp(log_phi) - float(v @ _log_of_many(_argument(log_x, p, np.exp(log_phi)), a))

    about = np.log(rough)
    return float(np.exp(minimize_scalar(minus, (about - 0.5, about + 0.5), method="brent", tol=1e-7).x))
