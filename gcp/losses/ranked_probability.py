"""Ranked probability scores of distributions: integrals of (F(y) - [x <= y])**2, sums where data are whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gcp.base.types import FloatArray

Tails = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""P(X <= y) and P(X > y) of numbers y (n,), elementwise."""

_NOTHING = 1e-10
"""Probability, at most, that is left out at either end of a sum: its square is added."""

_MOST_TERMS = 4096
"""Terms of a sum that are added one by one; of more, some stand for their neighbours."""

_FAR = 1e300
"""Numbers that are as good as infinite."""

_STEP = 0.1
"""Distance of the nodes of double-exponential quadrature, whose error is below 1e-6 then."""

_HALF_LINE = np.arange(-38, 39) * _STEP
_SEGMENT = np.arange(-32, 33) * _STEP
"""Nodes."""


def ranked_probability(loss: Any, x: FloatArray, m: FloatArray, dispersion: float | None) -> FloatArray:
    """Return the score of data x at models m, arrays of one shape, elementwise, under the distribution of a loss.

    Of whole numbers the sum is exact to ten digits where the distribution is less than about 4000 wide, and to six
    beyond, as integrals are. A loss is anything with `tails`, `mean`, `is_discrete` and `data_domain`.

    References
    ----------
    T. Gneiting, A. E. Raftery: Strictly proper scoring rules, prediction, and estimation, Journal of the American
    Statistical Association 102 (2007) 359-378. H. Takahasi, M. Mori: Double exponential formulas for numerical
    integration, Publications of the Research Institute for Mathematical Sciences 9 (1974) 721-741.
    """

    def tails(y: FloatArray) -> tuple[FloatArray, FloatArray]:
        is_none = np.isnan(y)  # of models that are infinite
        below, above = loss.tails(np.clip(np.where(is_none, 1.0, y), -_FAR, _FAR), m, dispersion)
        return np.where(is_none, np.nan, below), np.where(is_none, np.nan, above)

    centre, low = np.array(np.broadcast_to(loss.mean(m), x.shape)), float(loss.data_domain.low)
    with np.errstate(all="ignore"):
        if not loss.is_discrete:
            return _integral(tails, x, centre, low)
        return _sum(tails, x, np.floor(centre), low)


# --- whole numbers --------------------------------------------------------------------------------------------


def _sum(tails: Tails, x: FloatArray, centre: FloatArray, low: float) -> FloatArray:
    """Return the sum over whole numbers: outward from x, squares of what lies beyond, to where there is nothing."""
    bottom = centre - _distance(tails, 0, centre, -1.0, low)
    top = centre + _distance(tails, 1, centre, 1.0, low)
    first, last = np.maximum(x, bottom + 1), np.minimum(x - 1, top)
    n_above, n_below = np.maximum(top - first + 1, 0), np.maximum(last - bottom, 0)
    # Between x and where the distribution begins, each term is 1.
    found = np.maximum(x - 1 - top, 0) + np.maximum(bottom - x + 1, 0)
    stride = 2 * np.floor(np.maximum(n_above, n_below) / _MOST_TERMS) + 1
    most = np.nanmax(np.ceil(np.maximum(n_above, n_below) / stride), initial=0.0)
    for j in range(int(min(most, _MOST_TERMS))):
        middle = stride * j + (stride - 1) / 2
        above, below = tails(first + middle)[1], tails(last - middle)[0]
        found += np.clip(n_above - stride * j, 0, stride) * above**2
        found += np.clip(n_below - stride * j, 0, stride) * below**2
    return found + 0 * (centre + x)  # NaN stays NaN


def _distance(tails: Tails, side: int, centre: FloatArray, sign: float, low: float) -> FloatArray:
    """Return how many whole numbers from the centre on the tail on this side is as good as empty, at least 1."""

    def is_open(distance: FloatArray) -> Any:
        return tails(np.maximum(centre + sign * distance, low - 1))[side] > _NOTHING

    far = np.ones(centre.shape)
    for _ in range(200):
        if not (more := is_open(far)).any():
            break
        far[more] *= 2
    near = np.floor(far / 2)
    for _ in range(64):
        if not (far - near > 1).any():
            break
        middle = np.floor((near + far) / 2)
        inside = is_open(middle)
        near, far = np.where(inside, middle, near), np.where(inside, far, middle)
    return far


# --- real numbers ---------------------------------------------------------------------------------------------


def _integral(tails: Tails, x: FloatArray, centre: FloatArray, low: float) -> FloatArray:
    """Return the integral in three parts, cut at x and at the centre, where integrands have a kink or a step."""
    left, right = np.minimum(x, centre), np.maximum(x, centre)
    up, found = _scale(tails, 1, centre, 1.0), np.zeros(x.shape)
    down = _scale(tails, 0, centre, -1.0) if np.isinf(low) else None
    for t in _HALF_LINE:
        by, scale = np.exp(np.pi / 2 * np.sinh(t)), _STEP * np.pi / 2 * np.cosh(t)
        found += scale * up * by * tails(right + up * by)[1] ** 2
        if down is not None:
            found += scale * down * by * tails(left - down * by)[0] ** 2
    for t in _SEGMENT:
        q, rest = (1 / (1 + np.exp(sign * np.pi * np.sinh(t))) for sign in (-1.0, 1.0))
        scale = _STEP * np.pi * np.cosh(t) * q * rest
        below, above = tails(left + (right - left) * q)
        found += scale * (right - left) * np.where(x > centre, below, above) ** 2
        if np.isfinite(low):
            found += scale * (left - low) * tails(low + (left - low) * q)[0] ** 2
    return found


def _scale(tails: Tails, side: int, centre: FloatArray, sign: float) -> FloatArray:
    """Return the distance from the centre at which a tail has a quarter of its probability there."""
    unit = np.where(np.abs(centre) > 0, np.abs(centre), 1.0)
    least, most = np.full(centre.shape, -200.0), np.full(centre.shape, 200.0)
    quarter = tails(centre)[side] / 4
    for _ in range(16):
        middle = (least + most) / 2
        is_near = tails(centre + sign * unit * 2**middle)[side] > quarter
        least, most = np.where(is_near, middle, least), np.where(is_near, most, middle)
    return np.asarray(unit * 2**most)
