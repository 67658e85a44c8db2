"""Bernoulli losses: yes/no data, with the logit, the odds and the Bernoulli-Poisson link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr, expit, logit

from gcp.base.checks import floats
from gcp.base.interval import BINARY, NONNEGATIVE, REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import exp, expm1, log, log1mexp, log1p, maximum, sigmoid, softplus
from gcp.losses.registry import register


class _Bernoulli(Loss):
    """The base of the three links: the distribution of x."""

    data_domain = BINARY
    takes_trials = True
    instead_of_exposure = "give trials, the numbers of those of which the data are successes."
    advice = 'Turn the data into 0 and 1 (e.g. data > 0), or use loss="poisson" for counts.'

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return the entropy of x, elementwise: 0 for 0 and 1, which a model free at every entry is certain of."""
        x = floats("x", x)
        return np.asarray(entr(x) + entr(1 - x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return 0, elementwise: f is the whole negative log-probability."""
        return np.zeros(floats("x", x).shape)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        p = self.mean(m)
        below = np.where(x < 0, 0.0, np.where(x < 1, 1 - p, 1.0))
        return below, np.where(x < 0, 1.0, np.where(x < 1, p, 0.0))

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Return Bernoulli draws, 0 or 1, of the shape of m (elementwise)."""
        m = self._model(m, rng)
        return np.asarray(rng.random(m.shape) < self.mean(m)).astype(np.int8)


@register("bernoulli-logit")
@dataclass(frozen=True)
class BernoulliLogit(_Bernoulli):
    """Bernoulli negative log-likelihood, logit link.

    - **Distribution:** x ~ Bernoulli(p), p = 1 / (1 + exp(-m))
    - **Link:** m is the logarithm of the odds p / (1 - p)
    - **Loss:** f(x, m) = log(1 + exp(m)) - x m
    - **Domain:** x = 0 or 1; m real
    - **Dropped constant:** none
    """

    model_domain = REAL

    @staticmethod
    def f(x: Any, m: Any) -> Any:
        """Return the value."""
        return softplus(m) - x * m

    @staticmethod
    def df(x: Any, m: Any) -> Any:
        """Return the derivative in m."""
        return sigmoid(m) - x

    @staticmethod
    def d2f(x: Any, m: Any) -> Any:
        """Return the second derivative in m."""
        return sigmoid(m) * sigmoid(-m)

    @staticmethod
    def weight(x: Any, m: Any) -> Any:
        """Return the mean of the second derivative and the squared first, which has the same expectation."""
        p = sigmoid(m)
        return 0.5 * (p * sigmoid(-m) + (x - p) * (x - p))

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return p = 1 / (1 + exp(-m)), elementwise."""
        return np.asarray(expit(floats("m", m)))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = log(p / (1 - p)), elementwise; infinite at 0 and 1."""
        return np.asarray(logit(floats("mean", mean)))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return p (1 - p) (1 - 2 p) / 2, elementwise."""
        return self.fisher(m) * (expit(-floats("m", m)) - expit(floats("m", m))) / 2


@register("bernoulli-odds")
@dataclass(frozen=True)
class BernoulliOdds(_Bernoulli):
    """Bernoulli negative log-likelihood, odds link.

    - **Distribution:** x ~ Bernoulli(p), p = m / (1 + m)
    - **Link:** m is the odds p / (1 - p)
    - **Loss:** f(x, m) = log(1 + m) - x log(m + eps)
    - **Domain:** x = 0 or 1; m >= 0, so the factors get the lower bound 0
    - **Dropped constant:** none
    """

    eps: float | None = None

    model_domain = NONNEGATIVE

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return log1p(m) - x * log(m + eps)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return 1.0 / (1.0 + m) - x / (m + eps)

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return x / ((m + eps) * (m + eps)) - 1.0 / ((1.0 + m) * (1.0 + m))

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 1.0 / (v * (1.0 + v) * (1.0 + v))

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return p = m / (1 + m), elementwise."""
        m = floats("m", m)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(m / (1 + m))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = p / (1 - p), elementwise; infinite at 1."""
        mean = floats("mean", mean)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(mean / (1 - mean))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 1 / (m (1 + m)**2), elementwise."""
        m = floats("m", m)
        with np.errstate(divide="ignore", over="ignore"):
            return 1 / m / (1 + m) / (1 + m)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return -1 / (m (1 + m)**3), elementwise."""
        return -self.fisher(m) / (1 + floats("m", m))


@register("bernoulli-poisson")
@dataclass(frozen=True)
class BernoulliPoisson(_Bernoulli):
    """Bernoulli negative log-likelihood of "at least one event" when events are Poisson.

    - **Distribution:** x ~ Bernoulli(p), p = 1 - exp(-m)
    - **Link:** m is the expected number of events behind x
    - **Loss:** f(x, m) = (1 - x) m - x log(1 - exp(-(m + eps)))
    - **Domain:** x = 0 or 1; m >= 0, so the factors get the lower bound 0
    - **Dropped constant:** none
    """

    eps: float | None = None

    model_domain = NONNEGATIVE

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return (1.0 - x) * m - x * log1mexp(m + eps)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return (1.0 - x) + x * exp(-(m + eps)) / expm1(-(m + eps))  # compiled, they share most of their work

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return -x / (expm1(m + eps) * expm1(-(m + eps)))

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        return 1.0 / expm1(maximum(m, WEIGHT_FLOOR * eps))

    @property
    def zero_loss(self) -> tuple[float, float]:
        """f(0, m) = m."""
        return 1.0, 0.0

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return p = 1 - exp(-m), elementwise."""
        return -np.expm1(-floats("m", m))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = -log(1 - p), elementwise; infinite at 1."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return -np.log1p(-floats("mean", mean))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 1 / (exp(m) - 1), elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return 1 / np.expm1(floats("m", m))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return -1 / (2 (exp(m) - 1)), elementwise."""
        return -self.fisher(m) / 2
