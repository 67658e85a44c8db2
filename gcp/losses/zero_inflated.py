"""Zero-inflated losses: counts of which some are 0 whatever their expectation is."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats
from gcp.base.interval import COUNTS, NONNEGATIVE, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss
from gcp.losses.elementary import log, log1p, maximum, minimum, sigmoid, softplus, where
from gcp.losses.estimable import Logarithm, Logit, Marginal, Scale
from gcp.losses.gates import LEAST_GATE, check_gate
from gcp.losses.negative_binomial import NegativeBinomial
from gcp.losses.poisson import Poisson
from gcp.losses.registry import register

_CODE = 1e-6
"""Data of standard entries that are 0 are minus the gate times this: too near 0 to change a moment."""


class _ZeroInflated(Loss):
    """The base of zero-inflated counts: 0 with the probability of the gate, else a count of another loss."""

    gate: Any
    eps: float | None

    data_domain = COUNTS
    model_domain = NONNEGATIVE
    exposure_is = "scale"
    parameter_by = "gate"
    limits_in_words: ClassVar[Mapping[str, str]] = {"low": "no more zeros there than the counts' own"}
    advice = "Zero-inflated losses are for counts; for amounts use a hurdle loss or tweedie."

    @property
    @abstractmethod
    def counts(self) -> Loss:
        """The loss of the counts behind the gate."""

    @abstractmethod
    def _zero_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return -log P(0) of the counts behind the gate and its first three derivatives in m, elementwise."""

    @property
    def _gate(self) -> Any:
        return self.params[0]

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return (1 - gate) times the mean of the counts behind the gate, elementwise."""
        return (1 - self._gate) * self.counts.mean(m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum, elementwise."""
        return self.counts.link(floats("mean", mean) / (1 - self._gate))

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the m of counts behind the gate whose mean is x, elementwise."""
        return self.counts.link(x)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at that m, elementwise: log(1 - gate) for x = 0."""
        x = floats("x", x)
        return np.where(x > 0, self.counts.saturated_value(x), np.log1p(-self._gate))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return that of the counts behind the gate, less log(1 - gate), elementwise."""
        return self.counts.log_normalizer(x) - np.log1p(-self._gate)

    def constant(self, mean: float, mean_square: float) -> float | None:
        """Return None: how many zeros there are decides, too."""
        return None

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the expected second derivative, elementwise."""
        m = floats("m", m)
        with np.errstate(all="ignore"):
            u, first, second, _ = self._zero_derivatives(m)
            total, share = self._of_zeros(u)
            of_zero = second * (1 - share) - first**2 * share * (1 - share)
            found = (1 - self._gate) * (self.counts.fisher(m) - np.exp(-u) * second) + total * of_zero
        return np.maximum(found, 0.0)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """See `Loss.leverage_bias`: what the zeros change, since that of the counts alone is 0."""
        with np.errstate(all="ignore"):
            u, first, second, third = self._zero_derivatives(floats("m", m))
            total, s = self._of_zeros(u)
            own = third * (1 - s) - 3 * first * second * s * (1 - s) - first**3 * s * (1 - s) * (1 - 2 * s)
            product = first * (1 - s) * (second * (1 - s) - first**2 * s * (1 - s))
            beside = (1 - self._gate) * np.exp(-u) * (third / 2 - first * second)
            return np.asarray(total * (own / 2 - product) - beside)

    def _of_zeros(self, u: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(0) and the share of zeros that come from the gate, from -log P(0) of the counts, elementwise."""
        total = self._gate + (1 - self._gate) * np.exp(-u)
        return total, self._gate / total

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        below, above = self.counts._tails(x, m, dispersion)
        opened = 1 - self._gate
        return np.where(x < 0, 0.0, self._gate + opened * below), np.where(x < 0, 1.0, opened * above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw counts, and zeros in their place with the probability of the gate, elementwise."""
        m = self._model(m, rng)
        return np.where(rng.random(m.shape) < self._gate, 0, self.counts.sample(m, rng))

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return half the share of zeros as the gate."""
        total = max(float(marginal.w.sum()), np.finfo(float).tiny)
        share = float(marginal.w[marginal.x == 0].sum()) / total
        return {"gate": float(np.clip(share / 2, 0.01, 0.9))}

    def standard_entries(self, x: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return data whose zeros hold their gate; the gate of others changes no derivative."""
        return np.where(x > 0, x, -_CODE * np.maximum(values, LEAST_GATE)), None


@register("zero-inflated-poisson")
@dataclass(frozen=True)
class ZeroInflatedPoisson(_ZeroInflated):
    """Negative log-likelihood of Poisson counts in whose place some zeros are seen, identity link.

    - **Distribution:** x = 0 with the probability `gate`, else x ~ Poisson(m): mean (1 - gate) m
    - **Link:** m is the mean of the counts behind the gate, E[x] / (1 - gate)
    - **Loss:** f(x, m) = m - x log(m + eps) for x > 0; f(0, m) = m - log(1 + gate / (1 - gate) exp(m))
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; 0 < gate < 1, or "estimate", the
      default; with `by`, the name or number of a mode, one gate for each of its positions
    - **Dropped constant:** log(x!) - log(1 - gate)

    The derivative at a zero is that of the Poisson loss times the probability that the zero is a count, which is the
    E-step's weight in the EM algorithm. f is not convex in m: several starts (`n_starts`) tell.
    """

    gate: Any = "estimate"
    eps: float | None = None
    by: int | str | None = None

    estimable: ClassVar[Mapping[str, Scale]] = {"gate": Logit(LEAST_GATE, 1 - LEAST_GATE)}

    def __post_init__(self) -> None:
        check_gate(self)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with some zeros from the gate, and one with most of them."""
        return cls(gate=0.2), cls(gate=0.7)

    @property
    def counts(self) -> Loss:
        """The Poisson loss."""
        return Poisson(eps=self.eps)

    def standard(self) -> Self:
        """Return the loss of data whose zeros hold their gate."""
        return _CodedPoisson(gate=0.5, eps=self.eps)  # type: ignore[return-value]

    @staticmethod
    def f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the value."""
        return m - where(x > 0.0, x * log(m + eps), softplus(m + log(gate / (1.0 - gate))))

    @staticmethod
    def df(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return 1.0 - where(x > 0.0, x / (m + eps), sigmoid(m + log(gate / (1.0 - gate))))

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        z = m + log(gate / (1.0 - gate))
        return where(x > 0.0, x / ((m + eps) * (m + eps)), -sigmoid(z) * sigmoid(-z))

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return that of the Poisson loss, times the probability that a datum is a count."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return where(x > 0.0, 0.5 * (x / v + 1.0) / v, 0.5 * sigmoid(-m - log(gate / (1.0 - gate))) / v)

    def _zero_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        none = np.zeros(m.shape)
        return m, none + 1.0, none, none


@register("zero-inflated-negative-binomial")
@dataclass(frozen=True)
class ZeroInflatedNegativeBinomial(_ZeroInflated):
    """Negative log-likelihood of negative binomial counts in whose place some zeros are seen, odds link.

    - **Distribution:** x = 0 with the probability `gate`, else x ~ NegativeBinomial(r, success odds m): mean
      (1 - gate) r m
    - **Link:** m is the odds of a success of the counts behind the gate, E[x] / (1 - gate) / r
    - **Loss:** f(x, m) = (r + x) log(1 + m) - x log(m + eps) for x > 0; f(0, m) =
      u - log(1 + gate / (1 - gate) exp(u)) with u = r log(1 + m)
    - **Domain:** x = 0, 1, 2, ...; m >= 0, so the factors get the lower bound 0; 0 < gate < 1 and r > 0, real, or
      "estimate", which is the default; with `by`, the name or number of a mode, one gate for each of its positions
    - **Dropped constant:** log Gamma(r) + log(x!) - log Gamma(x + r) - log(1 - gate)

    f is not convex in m: several starts (`n_starts`) tell. Zeros of a small r and of a gate are much alike.
    """

    gate: Any = "estimate"
    r: Any = "estimate"
    eps: float | None = None
    by: int | str | None = None

    estimable: ClassVar[Mapping[str, Scale]] = {
        "gate": Logit(LEAST_GATE, 1 - LEAST_GATE),
        "r": Logarithm(1e-4, 1e8),
    }

    def __post_init__(self) -> None:
        check_gate(self)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with some zeros from the gate, and one with most of them."""
        return cls(gate=0.2, r=0.7), cls(gate=0.6, r=3.0)

    @property
    def counts(self) -> Loss:
        """The negative binomial loss."""
        return NegativeBinomial(r=self.params[1], eps=self.eps)

    def with_scale(self, scale: float) -> Self:
        """Return the loss with `eps` small beside 1, too."""
        return super().with_scale(min(scale, 1.0))

    def standard(self) -> Self:
        """Return the loss of data whose zeros hold their gate."""
        return _CodedNegativeBinomial(gate=0.5, r=self.r, eps=self.eps)  # type: ignore[return-value]

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return half the share of zeros as the gate, and r by the moments of the others."""
        gate = super().starting(marginal)["gate"]
        mean = marginal.mean / (1 - gate)
        variance = (marginal.variance + marginal.mean**2) / (1 - gate) - mean**2
        own = NegativeBinomial().starting(marginal._replace(mean=mean, variance=variance))
        return {"gate": gate, **own}

    @staticmethod
    def f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the value; the logarithms of m and 1 + m are taken in one, for they cancel at large m."""
        u = r * log1p(m)
        return u + where(x > 0.0, x * log1p((1.0 - eps) / (m + eps)), -softplus(u + log(gate / (1.0 - gate))))

    @staticmethod
    def df(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        z = r * log1p(m) + log(gate / (1.0 - gate))
        return where(x > 0.0, r - x * ((1.0 - eps) / (m + eps)), r * sigmoid(-z)) / (1.0 + m)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        a = 1.0 / (m + eps)
        b = 1.0 / (1.0 + m)
        z = r * log1p(m) + log(gate / (1.0 - gate))
        of_zero = -r * b * sigmoid(-z) * (1.0 + r * sigmoid(z))
        return b * where(x > 0.0, x * (1.0 - eps) * a * (a + b) - r * b, of_zero)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the Fisher information of the counts, times the probability that a datum is one."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        z = r * log1p(m) + log(gate / (1.0 - gate))
        return where(x > 0.0, 1.0, sigmoid(-z)) * r / (v * (1.0 + v))

    def _zero_derivatives(self, m: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        r, b = self.params[1], 1 / (1 + m)
        return r * np.log1p(m), r * b, -r * b**2, 2 * r * b**3


def _coded(x: Any) -> Any:
    """Return the gate that a datum of 0 holds; any for others."""
    return minimum(maximum(-x / _CODE, LEAST_GATE), 1.0 - LEAST_GATE)


class _CodedPoisson(ZeroInflatedPoisson):
    """The loss of data whose zeros are minus their gate, in a very small unit."""

    data_domain = Interval(-_CODE)

    @staticmethod
    def f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the value."""
        return _f_poisson(x, m, _coded(x), eps)

    @staticmethod
    def df(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return _df_poisson(x, m, _coded(x), eps)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return _d2f_poisson(x, m, _coded(x), eps)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, eps: Any) -> Any:
        """Return the curvature."""
        return _weight_poisson(x, m, _coded(x), eps)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return the least value, elementwise."""
        x = floats("x", x)
        return np.where(x > 0, self.counts.saturated_value(np.maximum(x, 0.0)), np.log1p(-_coded(x)))

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the m of the least value, elementwise."""
        return self.counts.link(np.maximum(floats("x", x), 0.0))


class _CodedNegativeBinomial(ZeroInflatedNegativeBinomial):
    """The loss of data whose zeros are minus their gate, in a very small unit."""

    data_domain = Interval(-_CODE)

    @staticmethod
    def f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the value."""
        return _f_negative_binomial(x, m, _coded(x), r, eps)

    @staticmethod
    def df(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return _df_negative_binomial(x, m, _coded(x), r, eps)

    @staticmethod
    def d2f(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return _d2f_negative_binomial(x, m, _coded(x), r, eps)

    @staticmethod
    def weight(x: Any, m: Any, gate: Any, r: Any, eps: Any) -> Any:
        """Return the curvature."""
        return _weight_negative_binomial(x, m, _coded(x), r, eps)

    saturated_value = _CodedPoisson.saturated_value
    saturated = _CodedPoisson.saturated


_f_poisson, _df_poisson = ZeroInflatedPoisson.f, ZeroInflatedPoisson.df
_d2f_poisson, _weight_poisson = ZeroInflatedPoisson.d2f, ZeroInflatedPoisson.weight
_f_negative_binomial, _df_negative_binomial = ZeroInflatedNegativeBinomial.f, ZeroInflatedNegativeBinomial.df
_d2f_negative_binomial = ZeroInflatedNegativeBinomial.d2f
_weight_negative_binomial = ZeroInflatedNegativeBinomial.weight
