"""Hurdle losses: data that are 0 with a probability of their own, and above 0 follow another loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats, pair
from gcp.base.errors import ParameterError
from gcp.base.interval import COUNTS, NONNEGATIVE
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss, weighted_mean
from gcp.losses.elementary import maximum, where
from gcp.losses.estimable import Logarithm, Logit, Marginal, Scale
from gcp.losses.gamma import Gamma
from gcp.losses.gates import LEAST_GATE, check_gate, share_of_zeros
from gcp.losses.negative_binomial import NegativeBinomial
from gcp.losses.registry import register
from gcp.losses.truncated_negative_binomial import TruncatedNegativeBinomial
from gcp.losses.zero_truncated_poisson import ZeroTruncatedPoisson

_GATE = Logit(LEAST_GATE, 1 - LEAST_GATE)


class _Hurdle(Loss):
    """The base of hurdle losses: a sum of two, of which the one over the gate knows no model.

    A fit sees the data above 0 alone, under the loss of these; other cells are missing.
    """

    gate: Any
    eps: float | None

    data_domain = COUNTS
    model_domain = NONNEGATIVE
    instead_of_exposure = "take a zero-inflated loss, whose mean is proportional to it."
    parameter_by = "gate"
    position_moves_mean = False
    is_standard = False
    advice = "Hurdle losses are for data that are not negative."

    @property
    @abstractmethod
    def positive(self) -> Loss:
        """The loss of data above 0."""

    @property
    def _gate(self) -> Any:
        return self.params[0]

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return (1 - gate) times the mean of data above 0, elementwise."""
        return (1 - self._gate) * self.positive.mean(m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum, elementwise; 0 where it is less than data above 0 can have."""
        found = self.positive.link(floats("mean", mean) / (1 - self._gate))
        return np.where(np.isnan(found), 0.0, found)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the m of data above 0 whose mean is x, elementwise; 0 for x = 0, which says nothing of m."""
        x = floats("x", x)
        return np.where(x > 0, self.positive.saturated(np.where(x > 0, x, 1.0)), 0.0)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at that m, elementwise; 0 for x = 0."""
        return _above_zero(x, self.positive.saturated_value, 0.0)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return that of data above 0, less log(1 - gate), elementwise; -log(gate) for x = 0."""
        normalizer = _above_zero(x, self.positive.log_normalizer, 0.0)
        return np.where(floats("x", x) > 0, normalizer - np.log1p(-self._gate), -np.log(self._gate))

    def constant(self, mean: float, mean_square: float) -> float | None:
        """Return None: the mean of the data above 0 decides."""
        return None

    @property
    def zero_loss(self) -> tuple[float, float]:
        """f(0, m) = 0."""
        return 0.0, 0.0

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return (1 - gate) times that of data above 0, elementwise."""
        return (1 - self._gate) * self.positive.fisher(m)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return (1 - gate) times that of data above 0, elementwise."""
        return (1 - self._gate) * self.positive.leverage_bias(m)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        at = np.where(x > 0, x, 1.0)
        opened = 1 - self._gate
        below = self._gate + np.where(x > 0, opened * self.positive.cdf(at, m, dispersion), 0.0)
        above = opened * np.where(x > 0, self.positive.sf(at, m, dispersion), 1.0)
        return np.where(x < 0, 0.0, below), np.where(x < 0, 1.0, above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw zeros with the probability of the gate, else data above 0, elementwise."""
        m = self._model(m, rng)
        return np.where(rng.random(m.shape) < self._gate, 0, self.positive.sample(m, rng))

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the share of zeros, the likeliest gate whatever the model is."""
        return {"gate": share_of_zeros(self, marginal.x, marginal.w)}

    def standard(self) -> Self:
        """Return the same formula with a gate whose expectations are those of the data above 0."""
        return replace(self, gate=LEAST_GATE, by=None)  # type: ignore[type-var]

    def standard_entries(self, x: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return the data, and weights of 0 of those that are 0."""
        return x, (x > 0).astype(float)


def _above_zero(x: ArrayLike, function: Any, at_zero: float) -> FloatArray:
    """Return a function of data above 0, elementwise, and a number for those that are 0."""
    x = floats("x", x)
    return np.where(x > 0, function(np.where(x > 0, x, 1.0)), at_zero)


_f, _df = ZeroTruncatedPoisson.f, ZeroTruncatedPoisson.df
_d2f, _weight = ZeroTruncatedPoisson.d2f, ZeroTruncatedPoisson.weight


@register("hurdle-poisson")
@dataclass(frozen=True)
class HurdlePoisson(_Hurdle):
    """Negative log-likelihood of counts that are 0 with a probability of their own, else zero-truncated Poisson.

    - **Distribution:** x = 0 with the probability `gate`, else x ~ Poisson(m) given x > 0: mean
      (1 - gate) m / (1 - exp(-m))
    - **Link:** m is the rate of the counts above 0, before those that are 0 are left out
    - **Loss:** f(x, m) = m - x log(m + eps) + log(1 - exp(-(m + eps))) for x > 0; f(0, m) = 0
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; 0 < gate < 1, or "estimate", the
      default; with `by`, the name or number of a mode, one gate for each of its positions
    - **Dropped constant:** log(x!) - log(1 - gate) for x > 0; -log(gate) for x = 0

    The deviance is that of the counts above 0.
    """

    gate: Any = "estimate"
    eps: float | None = None
    by: int | str | None = None

    estimable: ClassVar[Mapping[str, Scale]] = {"gate": _GATE}
    orthogonal = ("gate",)

    def __post_init__(self) -> None:
        check_gate(self)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with some zeros, and one with most."""
        return cls(gate=0.2), cls(gate=0.7)

    @property
    def positive(self) -> Loss:
        """The zero-truncated Poisson loss."""
        return ZeroTruncatedPoisson(eps=self.eps)

    @staticmethod
    def f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the value."""
        return where(x > 0.0, _f(maximum(x, 1.0), m, eps), 0.0)

    @staticmethod
    def df(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return where(x > 0.0, _df(maximum(x, 1.0), m, eps), 0.0)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return where(x > 0.0, _d2f(maximum(x, 1.0), m, eps), 0.0)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return that of the truncated counts; 0 at a zero."""
        return where(x > 0.0, _weight(maximum(x, 1.0), m, eps), 0.0)


_f_r, _df_r = TruncatedNegativeBinomial.f, TruncatedNegativeBinomial.df
_d2f_r, _weight_r = TruncatedNegativeBinomial.d2f, TruncatedNegativeBinomial.weight


@register("hurdle-negative-binomial")
@dataclass(frozen=True)
class HurdleNegativeBinomial(_Hurdle):
    """Negative log-likelihood of counts that are 0 with a probability of their own, else negative binomial above 0.

    - **Distribution:** x = 0 with the probability `gate`, else x ~ NegativeBinomial(r, success odds m) given x > 0:
      mean (1 - gate) r m / (1 - (1 + m)**-r)
    - **Link:** m is the odds of a success of the counts above 0, before those that are 0 are left out
    - **Loss:** f(x, m) = (r + x) log(1 + m) - x log(m + eps) + log(1 - (1 + m + eps)**-r) for x > 0; f(0, m) = 0
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; 0 < gate < 1 and r > 0, real, or
      "estimate", which is the default; with `by`, the name or number of a mode, one gate for each of its positions
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r) - log(1 - gate) for x > 0; -log(gate) for x = 0

    The deviance is that of the counts above 0.
    """

    gate: Any = "estimate"
    r: Any = "estimate"
    eps: float | None = None
    by: int | str | None = None

    estimable: ClassVar[Mapping[str, Scale]] = {"gate": _GATE, "r": Logarithm(1e-4, 1e8)}
    orthogonal = ("gate",)

    def __post_init__(self) -> None:
        check_gate(self)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with some zeros, and one with most."""
        return cls(gate=0.2, r=0.7), cls(gate=0.7, r=3.0)

    @property
    def positive(self) -> Loss:
        """The loss of negative binomial counts above 0."""
        return TruncatedNegativeBinomial(r=self.r if self.by is not None else self.params[1], eps=self.eps)

    def with_scale(self, scale: float) -> Self:
        """Return the loss with `eps` small beside 1, too."""
        return super().with_scale(min(scale, 1.0))

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the share of zeros, and r by the moments of the counts less 1 that are above 0."""
        above = marginal.x > 0
        w, x = marginal.w[above], marginal.x[above] - 1
        mean = float(w @ x / max(w.sum(), 1e-300))
        variance = float(w @ (x - mean) ** 2 / max(w.sum(), 1e-300))
        own = NegativeBinomial().starting(marginal._replace(mean=mean, variance=variance))
        return {**super().starting(marginal), **own}

    @staticmethod
    def f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the value."""
        return where(x > 0.0, _f_r(maximum(x, 1.0), m, r, eps), 0.0)

    @staticmethod
    def df(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return where(x > 0.0, _df_r(maximum(x, 1.0), m, r, eps), 0.0)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return where(x > 0.0, _d2f_r(maximum(x, 1.0), m, r, eps), 0.0)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return that of the truncated counts; 0 at a zero."""
        return where(x > 0.0, _weight_r(maximum(x, 1.0), m, r, eps), 0.0)


_f_gamma, _df_gamma, _d2f_gamma, _weight_gamma = Gamma.f, Gamma.df, Gamma.d2f, Gamma.weight


@register("hurdle-gamma")
@dataclass(frozen=True)
class HurdleGamma(_Hurdle):
    """Negative log-likelihood of amounts that are 0 with a probability of their own, else gamma.

    - **Distribution:** x = 0 with the probability `gate`, else x ~ Gamma(mean m, shape 1): mean (1 - gate) m; other
      shapes through `dispersion`, which is 1 / shape
    - **Link:** m is the mean of the amounts above 0
    - **Loss:** f(x, m) = x / (m + eps) + log(m + eps) for x > 0; f(0, m) = 0
    - **Domain:** x >= 0; m >= 0, so the factors get the lower bound 0; 0 < gate < 1, or "estimate", which is the
      default; with `by`, the name or number of a mode, one gate for each of its positions
    - **Dropped constant:** -log(1 - gate) for x > 0; -log(gate) for x = 0

    The deviance is that of the amounts above 0.
    """

    gate: Any = "estimate"
    eps: float | None = None
    by: int | str | None = None

    data_domain = NONNEGATIVE
    exposure_is = "scale"
    estimable: ClassVar[Mapping[str, Scale]] = {"gate": _GATE}
    orthogonal = ("gate",)

    def __post_init__(self) -> None:
        check_gate(self)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with some zeros, and one with most."""
        return cls(gate=0.2), cls(gate=0.7)

    @property
    def positive(self) -> Loss:
        """The gamma loss."""
        return Gamma(eps=self.eps)

    @property
    def degree(self) -> float:
        """0: f adds a constant when the unit changes."""
        return 0.0

    @property
    def deviance_tells_dispersion(self) -> bool:
        """False: the mean deviance of all data has the zeros in it."""
        return False

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density, and the log-probability of 0, elementwise; see `Loss.log_likelihood`."""
        x, m = np.broadcast_arrays(*pair(x, m))
        above = self.positive.log_likelihood(np.where(x > 0, x, 1.0), np.where(x > 0, m, 1.0), dispersion)
        return np.where(x > 0, above + np.log1p(-self._gate), np.log(self._gate))

    def density_scale(self, dispersion: float | None = None) -> float:
        """Return the dispersion."""
        return self.positive.density_scale(dispersion)

    def dispersion_from(self, mean_deviance: float) -> float | None:
        """Return that of amounts above 0 of such a deviance."""
        return self.positive.dispersion_from(mean_deviance)

    def estimate_dispersion(
        self, x: ArrayLike, m: ArrayLike, weights: ArrayLike | None = None
    ) -> float | None:
        """Return that of the amounts above 0; see `Loss.estimate_dispersion`."""
        x, m = np.broadcast_arrays(*pair(x, m))
        at = np.where(x > 0, x, 1.0)
        deviance = np.where(x > 0, self.positive.deviance(at, m), 0.0)
        mean, share = weighted_mean(deviance, weights), weighted_mean((x > 0).astype(float), weights)
        if not 0 < mean < np.inf:
            raise ParameterError(f"The {self.name} loss has no dispersion at a mean deviance of {mean}.")
        return self.positive.dispersion_from(mean / share)

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw zeros with the probability of the gate, else amounts of this dispersion, elementwise."""
        m = self._model(m, rng)
        return np.where(
            rng.random(m.shape) < self._gate, 0.0, self.positive.sample_dispersed(m, rng, dispersion)
        )

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise: 0 has a probability."""
        x = floats("x", x)
        below, above = self.cdf(x, m, dispersion), self.sf(x, m, dispersion)
        return np.where(x > 0, below, 0.0), np.where(x > 0, above, 1.0)

    @staticmethod
    def f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the value."""
        return where(x > 0.0, _f_gamma(x, m, eps), 0.0)

    @staticmethod
    def df(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return where(x > 0.0, _df_gamma(x, m, eps), 0.0)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return where(x > 0.0, _d2f_gamma(x, m, eps), 0.0)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return that of the amounts; 0 at a zero."""
        return where(x > 0.0, _weight_gamma(x, m, eps), 0.0)
