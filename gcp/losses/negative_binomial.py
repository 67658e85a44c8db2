"""Negative binomial losses: overdispersed counts, with the odds and the logit link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, xlog1py

from gcp._typing import Array, FloatArray
from gcp.checks import floats
from gcp.domain import COUNTS, NONNEGATIVE, REAL
from gcp.elementary import log1p, maximum, sigmoid, softplus
from gcp.losses.base import ESTIMATE, WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.poisson import draw
from gcp.losses.registry import register


def _number(r: Any) -> Any:
    """r, or a number in its place while it is to be estimated."""
    return 1.0 if isinstance(r, str) and r == ESTIMATE else r


class _NegativeBinomial(Loss):
    """What the two links share: x counts successes before r failures at odds theta of success."""

    r: Any  # a number, or "estimate" until a fit has found it

    data_domain = COUNTS
    advice = (
        'The negative binomial is a distribution of counts; for other data use loss="gaussian" or "gamma".'
    )

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """(r + x) log(1 + x / r) - x log(x / r), without their cancellation at large x."""
        x = floats("x", x)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(self.r * np.log1p(x / self.r) + xlog1py(x, self.r / x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Minus the logarithm of the binomial coefficient of (x + r - 1, x), for real r."""
        x = floats("x", x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(betaln(x + 1, self.r) + np.log(x + self.r))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        odds = self.mean(m) / self.r
        k = np.maximum(np.floor(x), 0.0) + 1
        with np.errstate(divide="ignore", invalid="ignore"):
            below, above = betainc(self.r, k, 1 / (1 + odds)), betainc(k, self.r, odds / (1 + odds))
        return np.where(x < 0, 0.0, below), np.where(x < 0, 1.0, above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Poisson draws whose rates are gamma with shape r."""
        m = self._model(m, rng)
        return draw(rng.gamma(self.r, self.mean(m) / self.r), rng)


@register("negative-binomial")
@dataclass(frozen=True)
class NegativeBinomial(_NegativeBinomial):
    """Negative binomial negative log-likelihood, odds link.

    - **Distribution:** x ~ NegativeBinomial(r, success odds m): mean r m, variance r m (1 + m)
    - **Link:** m is the odds of a success, E[x] / r
    - **Loss:** f(x, m) = (r + x) log(1 + m) - x log(m + eps)
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; r > 0, real, or "estimate"
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r)
    """

    r: Any = 1.0
    eps: float | None = None

    model_domain = NONNEGATIVE

    def __post_init__(self) -> None:
        require_positive(self, r=_number(self.r), eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Value; the logarithms of m and 1 + m in one, for they cancel at large m."""
        return r * log1p(m) + x * log1p((1.0 - eps) / (m + eps))

    @staticmethod
    def df(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Derivative."""
        return (r - x * ((1.0 - eps) / (m + eps))) / (1.0 + m)

    @staticmethod
    def d2f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Second derivative."""
        a = 1.0 / (m + eps)
        b = 1.0 / (1.0 + m)
        return b * (x * (1.0 - eps) * a * (a + b) - r * b)

    @staticmethod
    def weight(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Fisher information."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return r / (v * (1.0 + v))

    def mean(self, m: ArrayLike) -> FloatArray:
        """E[x] = r m."""
        return self.r * floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """m = E[x] / r."""
        return floats("mean", mean) / self.r


@register("negative-binomial-logit")
@dataclass(frozen=True)
class NegativeBinomialLogit(_NegativeBinomial):
    """Negative binomial negative log-likelihood, logit link.

    - **Distribution:** x ~ NegativeBinomial(r, success odds exp(m)): mean r exp(m)
    - **Link:** m is the logarithm of the odds of a success
    - **Loss:** f(x, m) = (r + x) log(1 + exp(m)) - x m
    - **Domain:** x = 0, 1, 2, ...; m real; r > 0, real, or "estimate"
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r)
    """

    r: Any = 1.0

    model_domain = REAL

    def __post_init__(self) -> None:
        require_positive(self, r=_number(self.r))

    @staticmethod
    def f(x: Any, m: Any, r: Any) -> Any:
        """Value."""
        return r * softplus(m) + x * softplus(-m)

    @staticmethod
    def df(x: Any, m: Any, r: Any) -> Any:
        """Derivative."""
        return r * sigmoid(m) - x * sigmoid(-m)

    @staticmethod
    def d2f(x: Any, m: Any, r: Any) -> Any:
        """Second derivative."""
        return (r + x) * sigmoid(m) * sigmoid(-m)

    @staticmethod
    def weight(x: Any, m: Any, r: Any) -> Any:
        """Midway between two with the second derivative's expectation, r p and x (1 - p); its own step overshoots."""
        return 0.5 * (r * sigmoid(m) + x * sigmoid(-m))

    def mean(self, m: ArrayLike) -> FloatArray:
        """E[x] = r exp(m)."""
        with np.errstate(over="ignore"):
            return self.r * np.exp(floats("m", m))

    def link(self, mean: ArrayLike) -> FloatArray:
        """m = log(E[x] / r); -inf at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(floats("mean", mean) / self.r))
