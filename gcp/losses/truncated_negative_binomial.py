"""Zero-truncated negative binomial loss, for the data above 0 of a hurdle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats
from gcp.base.interval import NONNEGATIVE, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import expm1, log, log1p, maximum, where
from gcp.losses.negative_binomial import NegativeBinomial

_NEAR = 1e-3
"""Odds times 1 + r below which series take the place of differences that cancel."""

_STEPS = 100
"""Halvings of an interval of log m that holds the inverse of the mean."""


@dataclass(frozen=True)
class TruncatedNegativeBinomial(Loss):
    """Negative log-likelihood of negative binomial counts that were seen only if they are above 0, odds link.

    - **Distribution:** x ~ NegativeBinomial(r, success odds m) given x > 0: mean r m / (1 - (1 + m)**-r)
    - **Link:** m is the odds of a success of the counts before those that are 0 are left out
    - **Loss:** f(x, m) = (r + x) log(1 + m) - x log(m + eps) + log(1 - (1 + m + eps)**-r)
    - **Domain:** x = 1, 2, ...; m >= 0; r > 0, real
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r)

    It has no name among the losses: the tail of a hurdle is where it is used.
    """

    r: Any = 1.0
    eps: float | None = None

    name = "truncated-negative-binomial"
    data_domain = Interval(low=1.0, integer=True)
    model_domain = NONNEGATIVE

    def __post_init__(self) -> None:
        require_positive(self, r=self.r, eps=self.eps)

    @property
    def _counts(self) -> NegativeBinomial:
        return NegativeBinomial(r=self.r, eps=self.eps)

    def with_scale(self, scale: float) -> Self:
        """Return the loss with `eps` small beside 1, too."""
        return super().with_scale(min(scale, 1.0))

    @staticmethod
    def f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the value; one log m is taken together with the truncation's, which it cancels at small m."""
        t = m + eps
        u = log1p(t)
        return (r + x) * log1p(m) - (x - 1.0) * log(t) + log(-expm1(-r * u) / t)

    @staticmethod
    def df(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        t = m + eps
        return (r + x) / (1.0 + m) - (x - 1.0) / t + _excess(t, r)

    @staticmethod
    def d2f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        t = m + eps
        return (x - 1.0) / (t * t) - (r + x) / ((1.0 + m) * (1.0 + m)) + _slope(t, r)

    @staticmethod
    def weight(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the expected second derivative, which is positive."""
        return _information(maximum(m, WEIGHT_FLOOR * eps), r)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = r m / (1 - (1 + m)**-r), elementwise; 1 at m = 0."""
        m = floats("m", m)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(m < 1e-12, 1.0, self.r * m / -np.expm1(-self.r * np.log1p(m)))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum E[x], elementwise, by halving intervals; NaN below 1."""
        mean = floats("mean", mean)
        low, high = np.full(mean.shape, -30.0), np.log(np.maximum(mean, 1.0) / self.r) + 1.0
        high = np.maximum(high, np.log(4 * np.maximum(mean - 1, 1e-12)) - np.log1p(self.r) + 1.0)
        high = np.maximum(high, low + 1.0)
        for _ in range(_STEPS):
            middle = (low + high) / 2
            above = self.mean(np.exp(middle)) > mean
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(mean < 1, np.nan, np.where(mean == 1, 0.0, np.exp(low)))

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at the m whose mean is x, elementwise; -log(r) for a count of 1."""
        x = floats("x", x)
        m = np.maximum(self.link(x), 1e-13)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (self.r + x) * np.log1p(m) - (x - 1) * np.log(m)
            return np.asarray(found + np.log(-np.expm1(-self.r * np.log1p(m)) / m))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return that of the counts, elementwise."""
        return self._counts.log_normalizer(x)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the expected second derivative, elementwise."""
        with np.errstate(all="ignore"):
            return np.asarray(_information(floats("m", m), self.r))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return the second derivative of the mean over 2 m (1 + m), elementwise."""
        t = np.maximum(floats("m", m), 1e-4 / (1 + self.r))  # it is level there, and cancels
        with np.errstate(all="ignore"):
            q, b = np.exp(-self.r * np.log1p(t)), 1 / (1 + t)
            s, first, second = 1 - q, self.r * q * b, -self.r * (self.r + 1) * q * b**2
            bend = self.r * (-2 * first + 2 * t * first**2 / s - t * second) / s**2
            return np.asarray(bend / (2 * t * (1 + t)))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        seen = -np.expm1(-self.r * np.log1p(m))
        below, above = self._counts._tails(x, m, None)
        above = np.where(m == 0, 0.0, above / seen)
        below = np.where(above < 0.5, 1 - above, (below - (1 - seen)) / seen)
        return np.where(x < 1, 0.0, below), np.where(x < 1, 1.0, above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw counts above 0, elementwise, by the inverse of their tail."""
        from scipy import stats

        m = self._model(m, rng)
        seen = -np.expm1(-self.r * np.log1p(m))
        tail = seen * (1 - rng.random(m.shape))
        found = stats.nbinom.isf(tail, self.r, 1 / (1 + m))
        return np.where(np.isfinite(found), np.maximum(found, 1), 1).astype(np.int64)


def _excess(t: Any, r: Any) -> Any:
    """Return the derivative of log((1 - (1 + t)**-r) / t)."""
    near = (1.0 + r) * (-0.5 + t * ((5.0 + r) / 12.0 - t * (3.0 + r) / 8.0))
    return where(t * (1.0 + r) < _NEAR, near, r / ((1.0 + t) * expm1(r * log1p(t))) - 1.0 / t)


def _slope(t: Any, r: Any) -> Any:
    """Return the second derivative of log((1 - (1 + t)**-r) / t)."""
    grown = expm1(r * log1p(t))
    first = r / ((1.0 + t) * grown)
    far = 1.0 / (t * t) - first / (1.0 + t) - first * r * (1.0 + 1.0 / grown) / (1.0 + t)
    near = (1.0 + r) * ((5.0 + r) / 12.0 - t * (3.0 + r) / 4.0)
    return where(t * (1.0 + r) < _NEAR, near, far)


def _information(t: Any, r: Any) -> Any:
    """Return the expected second derivative: that of the mean, over t (1 + t)."""
    lost = expm1(-r * log1p(t))
    kept = lost + 1.0
    slope = -r / lost * (1.0 + r * t * kept / ((1.0 + t) * lost))
    return maximum(slope, 0.0) / (t * (1.0 + t))
