"""Negative binomial losses: overdispersed counts, with the odds and the logit link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, digamma, expit, polygamma, xlog1py

from gcp.base.checks import floats
from gcp.base.interval import COUNTS, NONNEGATIVE, REAL, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import log1p, maximum, sigmoid, softplus
from gcp.losses.estimable import Logarithm, Marginal, Scale, is_estimate
from gcp.losses.poisson import draw
from gcp.losses.position_parameters import check_positions
from gcp.losses.registry import register


def _numbers(r: Any) -> dict[str, Any]:
    """Return the numbers among values of r, by a name each; none while it is to be estimated."""
    if is_estimate(r):
        return {}
    return {f"r[{k}]": value for k, value in enumerate(r)} if isinstance(r, tuple) else {"r": r}


class ShapeTerms(NamedTuple):
    """Facts that a datum tells about r, beside the model entry m; each shaped like m.

    Attributes
    ----------
    cross, own : ndarray
        Fisher information of m and r, and of r.
    entry_by_both : ndarray
        By which a covariance of m and r biases the score of m.
    r_by_entries, r_by_both, r_by_r : ndarray
        By which the variance of m, their covariance and the variance of r bias the score of r.
    """

    cross: FloatArray
    own: FloatArray
    entry_by_both: FloatArray
    r_by_entries: FloatArray
    r_by_both: FloatArray
    r_by_r: FloatArray


class _NegativeBinomial(Loss):
    """The base of the two links: x counts successes before r failures at odds theta of success."""

    r: Any  # a number, one for each position of a mode, or "estimate" until a fit has found it

    data_domain: Interval = COUNTS
    estimable: ClassVar[Mapping[str, Scale]] = {"r": Logarithm(1e-4, 1e8)}  # at the upper end it is Poisson
    parameter_by = "r"
    limits_in_words: ClassVar[Mapping[str, str]] = {
        "high": "no overdispersion there, and any larger r is as good (the counts are as good as Poisson)"
    }
    advice = (
        'The negative binomial is a distribution of counts; for other data use loss="gaussian" or "gamma".'
    )

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Strongly overdispersed, and less so."""
        return cls(r=0.7), cls(r=3)  # type: ignore[call-arg]

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return r by the moments of all data: too small, as the model's variation counts as dispersion."""
        extra = marginal.variance - marginal.mean
        return {"r": float(np.clip(marginal.mean**2 / extra if extra > 0 else 1e3, 0.05, 1e3))}

    def standard_entries(self, x: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return x / r under weight r, whose loss at r = 1 is that of x."""
        return x / values, values

    @property
    def _r(self) -> float:
        return self.params[0]

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return (r + x) log(1 + x / r) - x log(x / r), elementwise, without their cancellation at large x."""
        x = floats("x", x)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(self._r * np.log1p(x / self._r) + xlog1py(x, self._r / x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return minus the logarithm of the binomial coefficient of (x + r - 1, x), for real r, elementwise."""
        x = floats("x", x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(betaln(x + 1, self._r) + np.log(x + self._r))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        odds = self.mean(m) / self._r
        k = np.maximum(np.floor(x), 0.0) + 1
        below, above = betainc(self._r, k, 1 / (1 + odds)), betainc(k, self._r, odds / (1 + odds))
        return np.where(x < 0, 0.0, below), np.where(x < 0, 1.0, above)

    def shape_score(self, x: ArrayLike, m: ArrayLike) -> FloatArray:
        """Return the derivative of the log-probability in r, at a given m, elementwise."""
        x, odds = floats("x", x), self.mean(m) / self._r
        return digamma(x + self._r) - digamma(self._r) - np.log1p(odds)

    def shape_terms(self, m: ArrayLike) -> ShapeTerms:
        """Return expectations of products and derivatives of the log-probability's derivatives, shaped like m."""
        first, second, mixed, growth = self._log_derivatives(floats("m", m))
        own, own_by_odds, own_by_r, third = _information_of_r(self._r, self.mean(m) / self._r)
        return ShapeTerms(
            first, own, mixed - second, -second / 2, -own_by_odds * growth, -own_by_r - third / 2
        )

    def _log_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return, elementwise, the first and second derivatives of log(1 + odds), a covariance, and d log odds / dm.

        The covariance is that of the second and x's share.
        """
        raise NotImplementedError

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw Poisson counts whose rates are gamma with shape r, elementwise."""
        m = self._model(m, rng)
        return draw(rng.gamma(self._r, self.mean(m) / self._r), rng)


@register("negative-binomial")
@dataclass(frozen=True)
class NegativeBinomial(_NegativeBinomial):
    """Negative binomial negative log-likelihood, odds link.

    - **Distribution:** x ~ NegativeBinomial(r, success odds m): mean r m, variance r m (1 + m)
    - **Link:** m is the odds of a success, E[x] / r
    - **Loss:** f(x, m) = (r + x) log(1 + m) - x log(m + eps)
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; r > 0, real, or "estimate"; with
      `by`, the name or number of a mode, one for each of its positions
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r)
    """

    r: Any = 1.0
    eps: float | None = None
    by: int | str | None = None

    model_domain = NONNEGATIVE
    exposure_is = "scale"

    def __post_init__(self) -> None:
        check_positions(self)
        require_positive(self, **_numbers(self.r), eps=self.eps)

    def standard(self) -> Self:
        """Return the loss at r = 1, of any data that are not negative."""
        return _RealNegativeBinomial(r=1.0, eps=self.eps)  # type: ignore[return-value]

    def with_scale(self, scale: float) -> Self:
        """Return the loss with `eps` small beside 1, too.

        It knows m and 1 + m apart, and an eps of 1 would make them one.
        """
        return super().with_scale(min(scale, 1.0))

    @staticmethod
    def f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the value; the logarithms of m and 1 + m are taken in one, for they cancel at large m."""
        return r * log1p(m) + x * log1p((1.0 - eps) / (m + eps))

    @staticmethod
    def df(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return (r - x * ((1.0 - eps) / (m + eps))) / (1.0 + m)

    @staticmethod
    def d2f(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        a = 1.0 / (m + eps)
        b = 1.0 / (1.0 + m)
        return b * (x * (1.0 - eps) * a * (a + b) - r * b)

    @staticmethod
    def weight(x: Any, m: Any, r: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return r / (v * (1.0 + v))

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = r m, elementwise."""
        return self._r * floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x] / r, elementwise."""
        return floats("mean", mean) / self._r

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return r / (m (1 + m)), elementwise."""
        m = floats("m", m)
        with np.errstate(divide="ignore", over="ignore"):
            return self._r / m / (1 + m)

    def _log_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        with np.errstate(divide="ignore"):
            square = 1 / (1 + m) ** 2
            return 1 / (1 + m), -square, m * square - 1 / m, 1 / m


@register("negative-binomial-logit")
@dataclass(frozen=True)
class NegativeBinomialLogit(_NegativeBinomial):
    """Negative binomial negative log-likelihood, logit link.

    - **Distribution:** x ~ NegativeBinomial(r, success odds exp(m)): mean r exp(m)
    - **Link:** m is the logarithm of the odds of a success
    - **Loss:** f(x, m) = (r + x) log(1 + exp(m)) - x m
    - **Domain:** x = 0, 1, 2, ...; m real; r > 0, real, or "estimate"; with
      `by`, the name or number of a mode, one for each of its positions
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r)
    """

    r: Any = 1.0
    by: int | str | None = None

    model_domain = REAL
    exposure_is = "log offset"

    def __post_init__(self) -> None:
        check_positions(self)
        require_positive(self, **_numbers(self.r))

    def standard(self) -> Self:
        """Return the loss at r = 1, of any data that are not negative."""
        return _RealNegativeBinomialLogit(r=1.0)  # type: ignore[return-value]

    @staticmethod
    def f(x: Any, m: Any, r: Any) -> Any:
        """Return the value."""
        return r * softplus(m) + x * softplus(-m)

    @staticmethod
    def df(x: Any, m: Any, r: Any) -> Any:
        """Return the derivative in m."""
        return r * sigmoid(m) - x * sigmoid(-m)

    @staticmethod
    def d2f(x: Any, m: Any, r: Any) -> Any:
        """Return the second derivative in m."""
        return (r + x) * sigmoid(m) * sigmoid(-m)

    @staticmethod
    def weight(x: Any, m: Any, r: Any) -> Any:
        """Return the mean of two with the second derivative's expectation, r p and x (1 - p).

        Its own step overshoots.
        """
        return 0.5 * (r * sigmoid(m) + x * sigmoid(-m))

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = r exp(m), elementwise."""
        with np.errstate(over="ignore"):
            return self._r * np.exp(floats("m", m))

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = log(E[x] / r), elementwise; -inf at 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(floats("mean", mean) / self._r))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return r / (1 + exp(-m)), elementwise."""
        return np.asarray(self._r * expit(floats("m", m)))

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return half the Fisher information, elementwise."""
        return self.fisher(m) / 2

    def _log_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        p = expit(m)
        return p, p * expit(-m), -p * p, np.ones(m.shape)


class _RealNegativeBinomial(NegativeBinomial):
    """The loss of counts that are divided by their r."""

    data_domain = NONNEGATIVE


class _RealNegativeBinomialLogit(NegativeBinomialLogit):
    """The loss of counts that are divided by their r."""

    data_domain = NONNEGATIVE


def _information_of_r(r: float, odds: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the information of r in a count, its derivatives in log odds and in r, and a third one, elementwise.

    The last one is the expected third derivative in r. The information is the sum over k >= 0 of P(x > k) / (r +
    k)**2. Smooth in the odds, it is summed at some of them and interpolated.
    """
    from scipy.interpolate import CubicSpline

    usable = np.clip(odds, 1e-12, 1e15)
    low, high = np.log(usable.min(initial=1.0)), np.log(usable.max(initial=1.0))
    grid = np.linspace(low - 0.1, high + 0.1, 12 + int(8 * (high - low)))
    step = 1e-4 * r
    own, third = _sums_of_tails(r, np.exp(grid))
    by_r = (_sums_of_tails(r + step, np.exp(grid))[0] - _sums_of_tails(r - step, np.exp(grid))[0]) / (
        2 * step
    )
    spline = CubicSpline(grid, np.stack([own, by_r, third], axis=1))
    values, slopes = spline(np.log(usable)), spline(np.log(usable), 1)
    return values[..., 0], slopes[..., 0], values[..., 1], values[..., 2]


def _sums_of_tails(r: float, odds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return sums over k >= 0 of P(x > k) / (r + k)**2 and of 2 P(x > k) / (r + k)**3, elementwise.

    They begin at some hundred k.
    """
    largest = float(odds.max())
    last = r * largest + 40 * (1 + largest) + 12 * np.sqrt(r * largest * (1 + largest))
    k = np.unique(np.concatenate([np.arange(128), np.floor(np.geomspace(128, max(last, 129), 800))]))
    tail = betainc(k[:, None] + 1, r, odds / (1 + odds))
    between = (tail[1:] + tail[:-1]) / 2  # k to the next but one: the tails fall evenly there
    between[:127] = tail[:127]
    square, cube = polygamma(1, r + k), -polygamma(2, r + k)
    return (square[:-1] - square[1:]) @ between, (cube[:-1] - cube[1:]) @ between
