"""Zero-truncated Poisson loss: counts of which only those above 0 are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainc, gammaincc, gammaln

from gcp.base.checks import floats
from gcp.base.interval import NONNEGATIVE, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import expm1, log, maximum, minimum, where
from gcp.losses.poisson import draw
from gcp.losses.registry import register

_NEAR = 0.25
"""Rates below which series take the place of differences that cancel."""

_SURE = 40.0
"""Counts from which a rate equal to the count makes 0 so unlikely that truncation changes nothing."""

_STEPS = 8
"""Newton steps from an upper bound of the rate, after which the last bits stand still."""


@register("zero-truncated-poisson")
@dataclass(frozen=True)
class ZeroTruncatedPoisson(Loss):
    """Negative log-likelihood of Poisson counts that were seen only if they are above 0.

    - **Distribution:** x ~ Poisson(m) given x > 0: mean m / (1 - exp(-m))
    - **Link:** m is the rate of the counts before those that are 0 are left out
    - **Loss:** f(x, m) = m - x log(m + eps) + log(1 - exp(-(m + eps)))
    - **Domain:** x = 1, 2, ...; m >= 0, so the factors get the lower bound 0
    - **Dropped constant:** log(x!)

    It is for lists of positive counts whose other cells are unknown, as an `ObservedTensor`: a species' numbers where
    it was seen, purchases of those who bought. Where zeros are data, "poisson" is right.
    """

    eps: float | None = None

    data_domain = Interval(low=1.0, integer=True)
    model_domain = NONNEGATIVE
    instead_of_exposure = "its mean is not proportional to one; take poisson, with the zeros."
    advice = (
        "Zeros, unlisted ones of sparse data too, are outside this distribution: give the counts above 0 alone as an "
        'ObservedTensor (or leave zeros out by NaN, mask or entry_weights 0), or use loss="poisson".'
    )

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value; log(1 - exp(-m)) is taken together with log m, which it cancels at small m."""
        t = m + eps
        return m - (x - 1.0) * log(t) + log(-expm1(-t) / t)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        t = m + eps
        return _excess(t) - (x - 1.0) / t

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        t = m + eps
        return (x - 1.0) / t / t + _slope(t)

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the mean of the second derivative and its expectation."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 0.5 * ((x - 1.0) / v + _excess(v)) / v + _slope(v)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m / (1 - exp(-m)), elementwise; 1 at m = 0."""
        m = floats("m", m)
        with np.errstate(invalid="ignore"):
            return np.where(m == 0, 1.0, -m / np.expm1(-m))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum E[x], elementwise, by Newton's method; NaN below 1."""
        mean = floats("mean", mean)
        above = mean - 1
        m = np.where(above >= 0, np.minimum(2 * above, mean), np.nan)  # m (1/2) <= E[x] - 1, and m <= E[x]
        with np.errstate(invalid="ignore"):
            rough = (mean < _SURE) & (above > 0)
            t, goal = m[rough], above[rough]
            for _ in range(_STEPS):  # the mean is convex in m: steps from above stay above
                t = t - (t * _excess(t) - goal) / (_excess(t) + t * _slope(t))
        m[rough] = np.maximum(t, 0.0)
        return m

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at the m whose mean is x, elementwise; 0 for a count of 1."""
        x = floats("x", x)
        m = self.link(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(m == 0, 0.0, m - (x - 1) * np.log(m) + np.log(-np.expm1(-m) / m))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(x!), elementwise."""
        return np.asarray(gammaln(floats("x", x) + 1))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the derivative of the mean over m, elementwise."""
        m = floats("m", m)
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(_excess(m) / m + _slope(m))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return the second derivative of the mean over 2 m, elementwise."""
        m = floats("m", m)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(_slope(m) / m + _bend(m) / 2)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        k = np.maximum(np.floor(x), 1.0)
        seen = -np.expm1(-m)
        above = np.where(m == 0, 0.0, gammainc(k + 1, m) / seen)
        below = np.where(above < 0.5, 1 - above, (gammaincc(k + 1, m) - np.exp(-m)) / seen)
        return np.where(x < 1, 0.0, below), np.where(x < 1, 1.0, above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw counts above 0 of rate m, elementwise: a first event, given that there is one, and others."""
        m = self._model(m, rng)
        first = -np.log1p(rng.random(m.shape) * np.expm1(-m))
        return 1 + draw(np.maximum(m - first, 0.0), rng)


def _excess(t: Any) -> Any:
    """Return (E[x] - 1) / t = 1 + 1 / (exp(t) - 1) - 1 / t, which is 1/2 at 0."""
    s = minimum(t, _NEAR)
    z = s * s
    near = 0.5 + s * (1 / 12 - z * (1 / 720 - z * (1 / 30240 - z * (1 / 1209600 - z / 47900160))))
    far = maximum(t, _NEAR)
    return where(t < _NEAR, near, 1.0 + (1.0 / expm1(far) - 1.0 / far))


def _slope(t: Any) -> Any:
    """Return the derivative of `_excess`, 1 / t**2 - 1 / ((exp(t) - 1) (1 - exp(-t))), which is 1/12 at 0."""
    s = minimum(t, _NEAR)
    z = s * s
    near = 1 / 12 - z * (1 / 240 - z * (1 / 6048 - z * (1 / 172800 - z * (1 / 5322240))))
    far = maximum(t, _NEAR)
    return where(t < _NEAR, near, 1.0 / far / far + 1.0 / (expm1(far) * expm1(-far)))


def _bend(t: FloatArray) -> FloatArray:
    """Return the second derivative of `_excess`, elementwise, which is 0 at 0."""
    s, far = np.minimum(t, _NEAR), np.minimum(np.maximum(t, _NEAR), 700.0)
    near = -s * (1 / 120 - s**2 * (1 / 1512 - s**2 * (1 / 28800 - s**2 / 665280)))
    e = np.exp(-far)
    return np.where(t < _NEAR, near, -2 / np.maximum(t, _NEAR) ** 3 + e * (1 + e) / (1 - e) ** 3)
