"""Poisson losses: counts, with the identity and the log link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammainc, gammaincc, gammaln, xlogy

from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.interval import COUNTS, NONNEGATIVE, REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import exp, log, maximum
from gcp.losses.registry import register

_ADVICE = (
    'For nonnegative real data use loss="beta-divergence" with beta=1, the same objective without the '
    'distribution; for data with negative values loss="gaussian".'
)


_LARGEST_MEAN = 9e18


@register("poisson")
@dataclass(frozen=True)
class Poisson(Loss):
    """Poisson negative log-likelihood, identity link.

    - **Distribution:** x ~ Poisson(m)
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = m - x log(m + eps)
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0
    - **Dropped constant:** log(x!)
    """

    eps: float | None = None

    data_domain = COUNTS
    model_domain = NONNEGATIVE
    exposure_is = "scale"
    advice = _ADVICE

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return m - x * log(m + eps)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return 1.0 - x / (m + eps)

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return x / ((m + eps) * (m + eps))

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the mean of the second derivative, x / m**2, and its expectation, 1 / m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 0.5 * (x / v + 1.0) / v

    @property
    def zero_loss(self) -> tuple[float, float]:
        """f(0, m) = m."""
        return 1.0, 0.0

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return x - x log x, elementwise."""
        x = floats("x", x)
        with np.errstate(invalid="ignore"):
            return np.asarray(x - xlogy(x, x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(x!), elementwise."""
        return np.asarray(gammaln(floats("x", x) + 1))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 1 / m, elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return 1 / floats("m", m)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        return tails(x, self.mean(m))

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw Poisson counts with mean m, elementwise."""
        m = self._model(m, rng)
        return draw(m, rng)


@register("poisson-log")
@dataclass(frozen=True)
class PoissonLog(Loss):
    """Poisson negative log-likelihood, log link.

    - **Distribution:** x ~ Poisson(exp(m))
    - **Link:** m is the logarithm of the mean
    - **Loss:** f(x, m) = exp(m) - x m
    - **Domain:** x = 0, 1, 2, ...; m real
    - **Dropped constant:** log(x!)
    """

    data_domain = COUNTS
    model_domain = REAL
    exposure_is = "log offset"
    advice = _ADVICE

    @staticmethod
    def f(x: Any, m: Any) -> Any:
        """Return the value."""
        return exp(m) - x * m

    @staticmethod
    def df(x: Any, m: Any) -> Any:
        """Return the derivative in m."""
        return exp(m) - x

    @staticmethod
    def d2f(x: Any, m: Any) -> Any:
        """Return the second derivative in m."""
        return exp(m)

    @staticmethod
    def weight(x: Any, m: Any) -> Any:
        """Return the mean of the second derivative and the datum: Newton's step from far below x would overshoot."""
        return 0.5 * (exp(m) + x)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = exp(m), elementwise."""
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(floats("m", m)))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = log E[x], elementwise; -inf at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(floats("mean", mean)))

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return x - x log x, elementwise."""
        x = floats("x", x)
        with np.errstate(invalid="ignore"):
            return np.asarray(x - xlogy(x, x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(x!), elementwise."""
        return np.asarray(gammaln(floats("x", x) + 1))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return exp(m) / 2, elementwise."""
        return self.mean(m) / 2

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        return tails(x, self.mean(m))

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw Poisson counts with mean exp(m), elementwise."""
        m = self._model(m, rng)
        return draw(self.mean(m), rng)


def draw(mean: FloatArray, rng: np.random.Generator) -> Array:
    """Draw Poisson counts, elementwise; raise `ParameterError` for means whose counts 64 bits do not hold."""
    if np.any(mean > _LARGEST_MEAN):
        raise ParameterError(
            f"Counts of mean {np.max(mean):g} are too large to draw: at most {_LARGEST_MEAN:g}."
        )
    return np.asarray(rng.poisson(mean))


def tails(x: FloatArray, mean: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return P(X <= x) and P(X > x) of Poisson counts, elementwise."""
    k = np.maximum(np.floor(x), 0.0) + 1
    below, above = gammaincc(k, mean), gammainc(k, mean)
    return np.where(x < 0, 0.0, below), np.where(x < 0, 1.0, above)
