"""Gaussian loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from gcp.base.checks import floats
from gcp.base.interval import REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss, require_positive
from gcp.losses.registry import register


@register("gaussian")
@dataclass(frozen=True)
class Gaussian(Loss):
    """Squared error.

    - **Distribution:** x ~ Normal(m, variance 1/2); other variances through `dispersion`
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = (x - m)**2
    - **Domain:** x real, m real
    - **Dropped constant:** log(pi) / 2
    """

    data_domain = REAL
    model_domain = REAL
    deviance_factor = 1.0
    advice = "Mark unknown entries as NaN or leave them out with mask."

    @staticmethod
    def f(x: Any, m: Any) -> Any:
        """Return the value."""
        return (x - m) * (x - m)

    @staticmethod
    def df(x: Any, m: Any) -> Any:
        """Return the derivative in m."""
        return 2.0 * (m - x)

    @staticmethod
    def d2f(x: Any, m: Any) -> Any:
        """Return the second derivative in m."""
        return 2.0 + 0.0 * m

    @staticmethod
    def weight(x: Any, m: Any) -> Any:
        """Return the second derivative in m."""
        return 2.0 + 0.0 * m

    @property
    def zero_loss(self) -> tuple[float, float]:
        """f(0, m) = m**2."""
        return 0.0, 1.0

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 0, elementwise."""
        return np.zeros(floats("x", x).shape)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(pi) / 2, elementwise."""
        return np.full(floats("x", x).shape, 0.5 * np.log(np.pi))

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the normal log-density with mean m, elementwise.

        `dispersion` is the variance (default 1/2, as f implies).
        """
        scale = self.density_scale(dispersion)
        with np.errstate(over="ignore"):
            return -self.value(x, m) / scale - 0.5 * np.log(np.pi * scale)

    def density_scale(self, dispersion: float | None = None) -> float:
        """Return 2 * variance."""
        variance = 0.5 if dispersion is None else dispersion
        require_positive(self, dispersion=variance)
        return 2 * float(variance)

    def dispersion_from(self, mean_deviance: float) -> float:
        """Return the mean deviance: that of the squared residuals."""
        return mean_deviance

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        z = (x - m) / np.sqrt(self.density_scale(dispersion) / 2)
        return ndtr(z), ndtr(-z)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from normal distributions with mean m and variance 1/2, elementwise."""
        return self.sample_dispersed(m, rng, 0.5)

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw from normal distributions with mean m and that variance, elementwise."""
        m = self._model(m, rng)
        return rng.normal(m, np.sqrt(self.density_scale(dispersion) / 2))
