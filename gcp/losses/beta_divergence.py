"""Beta divergence: one parameter from Itakura-Saito (0) through Kullback-Leibler (1) to squared error (2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats, is_real, show
from gcp.base.errors import ParameterError
from gcp.base.interval import NONNEGATIVE, POSITIVE, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import maximum, power
from gcp.losses.formula import Formula
from gcp.losses.gamma import Gamma
from gcp.losses.gaussian import Gaussian
from gcp.losses.poisson import Poisson
from gcp.losses.registry import register

_LEAST_MEAN = 1e-100


@register("beta-divergence")
@dataclass(frozen=True)
class BetaDivergence(Loss):
    """Beta divergence, the quasi-likelihood of variance function m**(2 - beta).

    - **Distribution:** mean m, variance m**(2 - beta) times a dispersion; as densities here beta = 0 (gamma), 1
      (Poisson, of counts only) and 2 (normal)
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = m**beta / beta - x m**(beta - 1) / (beta - 1); m is shifted by eps, with the limits
      log(m) + x / m at beta = 0 and m - x log(m) at beta = 1
    - **Domain:** x >= 0 (x > 0 if beta <= 0); m >= 0, so the factors get the lower bound 0; beta real
    - **Dropped constant:** the terms of the divergence in x alone
    """

    beta: float = 0.5
    eps: float | None = None

    model_domain = NONNEGATIVE
    advice = (
        "Where beta <= 0, zeros make the loss unbounded below: choose beta > 0 or leave them out (NaN, mask or "
        'entry_weights 0); for negative values use loss="gaussian".'
    )

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)
        if not is_real(self.beta):
            raise ParameterError(f"BetaDivergence needs a finite real beta: found {show(self.beta)}.")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return the limits, the powers that others know, and those between."""
        return tuple(cls(beta=beta) for beta in (-1.0, -0.5, 0, 0.5, 1, 1.5, 2, 3))

    @property
    def degree(self) -> float:
        """Beta."""
        return float(self.beta)

    @property
    def data_domain(self) -> Interval:  # type: ignore[override]
        """x >= 0, without 0 where the loss would be unbounded below."""
        return POSITIVE if self.beta <= 0 else NONNEGATIVE

    @staticmethod
    def f(x: Any, m: Any, beta: Any, eps: Any) -> Any:
        """Return the value."""
        return power(m + eps, beta) / beta - x * power(m + eps, beta - 1.0) / (beta - 1.0)

    @staticmethod
    def df(x: Any, m: Any, beta: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return power(m + eps, beta - 1.0) * (1.0 - x / (m + eps))

    @staticmethod
    def d2f(x: Any, m: Any, beta: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return power(m + eps, beta - 2.0) * ((beta - 1.0) - (beta - 2.0) * x / (m + eps))

    @staticmethod
    def weight(x: Any, m: Any, beta: Any, eps: Any) -> Any:
        """Expectation of the second derivative."""
        return power(maximum(m, WEIGHT_FLOOR * eps), beta - 2.0)

    @property
    def formula(self) -> Formula:
        """The general formulas, those of the limits at beta = 0 and 1, or simpler ones at 2."""
        special: dict[float, Any] = {0.0: Gamma, 1.0: Poisson, 2.0: _HalfSquare}
        if limit := special.get(self.beta):
            return Formula(
                limit.f, limit.df, limit.d2f, self.params, weight=limit.weight, zero=self.zero_loss
            )
        return super().formula

    @property
    def zero_loss(self) -> tuple[float, float] | None:
        """f(0, m) = m at beta = 1, m**2 / 2 at beta = 2."""
        return {1.0: (1.0, 0.0), 2.0: (0.0, 0.5)}.get(self.beta)

    @property
    def params(self) -> tuple[float, ...]:
        """(beta, eps), without beta where the formulas do not take it."""
        return super().params[1:] if self.beta in (0.0, 1.0, 2.0) else super().params

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return -x**beta / (beta (beta - 1)), elementwise, with its limits."""
        x = floats("x", x)
        if self.beta == 0:
            return Gamma().saturated_value(x)
        if self.beta == 1:
            return Poisson().saturated_value(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(-(x**self.beta) / (self.beta * (self.beta - 1)))

    @property
    def is_discrete(self) -> bool:
        """Whether the distribution is one of counts."""
        return self.beta == 1

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return the terms that f drops, elementwise, if a density exists: for beta = 0, 2, and 1 of counts.

        Raises `ParameterError` otherwise.
        """
        x = floats("x", x)
        same = self._same(x)
        if self.beta == 2:
            return 0.5 * x * x + 0.5 * np.log(2 * np.pi)
        return super().log_normalizer(x) if same is None else same.log_normalizer(x)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density, elementwise.

        `dispersion` is that of the gamma (beta = 0) or the variance (beta = 2), 1 by default.
        """
        same = self._same(floats("x", x))
        if same is None or self.beta == 1:
            return super().log_likelihood(x, m, dispersion)
        return same.log_likelihood(x, m, self.density_scale(dispersion))

    def density_scale(self, dispersion: float | None = None) -> float:
        """Return the dispersion, where there is a free one."""
        if self.beta not in (0.0, 2.0):
            return super().density_scale(dispersion)
        phi = 1.0 if dispersion is None else dispersion
        require_positive(self, dispersion=phi)
        return float(phi)

    def dispersion_from(self, mean_deviance: float) -> float | None:
        """Return the dispersion of the gamma or normal distribution; None for other beta."""
        same = {0.0: Gamma(), 2.0: Gaussian()}.get(self.beta)
        return None if same is None else same.dispersion_from(mean_deviance)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return m**(beta - 2), elementwise."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(floats("m", m) ** (self.beta - 2))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise, where there is a density; raise `ParameterError` otherwise."""
        same = self._same(x)
        if same is None:
            return super()._tails(x, m, dispersion)
        own = dispersion if self.beta == 1 else self.density_scale(dispersion)
        return same.cdf(x, m, own), same.sf(x, m, own)

    def _same(self, x: FloatArray) -> Loss | None:
        """Return a loss of the same density for data x of any shape; None if there is none.

        Raises
        ------
        ParameterError
            Data that are not counts at beta = 1.
        """
        if self.beta == 1 and (fractions := x[x != np.floor(x)]).size:
            raise ParameterError(
                "The beta-divergence loss with beta = 1 has a likelihood for counts only, as Poisson: found "
                f"{float(fractions[0])!r}. Of other data it is a divergence without a distribution: use "
                'deviance(x, m), or loss="gamma".'
            )
        same: dict[float, Loss] = {0.0: Gamma(self.eps), 1.0: Poisson(self.eps), 2.0: Gaussian()}
        return same.get(self.beta)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw data, elementwise: Poisson at beta = 1, else gamma, of mean m and variance m**(2 - beta).

        They are gamma at beta = 2 too: the normal density would give negative data, which the loss does not admit.
        """
        m = self._model(m, rng)
        if self.beta == 1:
            return Poisson().sample(m, rng)
        positive = np.where(m > 0, m, 1.0)
        draws = rng.gamma(positive**self.beta, positive ** (1 - self.beta))
        return np.asarray(np.where(m > 0, draws, 0.0))

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw data of that dispersion, elementwise: gamma ones, of the variance `dispersion` at beta = 2."""
        if dispersion is None:
            return self.sample(m, rng)
        phi = self.density_scale(dispersion)
        m = np.maximum(self._model(m, rng), _LEAST_MEAN)
        relative = phi if self.beta == 0 else phi / m**2
        return np.asarray(rng.gamma(1 / relative, relative * m))


class _HalfSquare:
    """The formulas at beta = 2, up to terms in x alone: no singularity calls for eps."""

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        return m * (0.5 * m - x)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        return m - x

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        return 1.0 + 0.0 * m

    weight = d2f
