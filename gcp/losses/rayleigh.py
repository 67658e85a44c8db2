"""Rayleigh loss: lengths of planar Gaussian vectors, such as wind speeds."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats
from gcp.base.interval import NONNEGATIVE, POSITIVE
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, Loss, require_positive
from gcp.losses.elementary import log, maximum
from gcp.losses.registry import register


@register("rayleigh")
@dataclass(frozen=True)
class Rayleigh(Loss):
    """Rayleigh negative log-likelihood, parametrised by the mean.

    - **Distribution:** x ~ Rayleigh(scale), scale = m * sqrt(2 / pi)
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = 2 log(m + eps) + (pi / 4) * (x / (m + eps))**2
    - **Domain:** x > 0; m >= 0, so the factors get the lower bound 0
    - **Dropped constant:** log(2 / pi) - log(x)
    """

    eps: float | None = None

    data_domain = POSITIVE
    model_domain = NONNEGATIVE
    advice = (
        "At x = 0 the loss is unbounded below as the model goes to 0. Leave such entries out (NaN, mask or "
        'entry_weights 0) or add a small constant to the data; for negative values use loss="gaussian".'
    )

    def __post_init__(self) -> None:
        require_positive(self, eps=self.eps)

    @property
    def degree(self) -> float:
        """0."""
        return 0.0

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return 2.0 * log(m + eps) + (pi / 4.0) * (x / (m + eps)) * (x / (m + eps))

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return (2.0 - (pi / 2.0) * (x / (m + eps)) * (x / (m + eps))) / (m + eps)

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return ((1.5 * pi) * (x / (m + eps)) * (x / (m + eps)) - 2.0) / ((m + eps) * (m + eps))

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 4.0 / (v * v)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return sqrt(pi) / 2 * x, elementwise: the most likely model is not the datum itself."""
        return np.sqrt(pi) / 2 * floats("x", x)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 1 + 2 log(sqrt(pi) x / 2), elementwise."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 + 2 * np.log(self.saturated(x))

    def constant(self, mean: float, mean_square: float) -> float:
        """Return sqrt(pi * mean square) / 2."""
        return float(np.sqrt(pi * mean_square) / 2)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(2 / pi) - log x, elementwise."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(2 / pi) - np.log(floats("x", x))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 4 / m**2, elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray((2 / floats("m", m)) ** 2)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """Return 2 / m**3, elementwise: the statistic is x**2, and its expectation grows like m**2."""
        with np.errstate(divide="ignore", over="ignore"):
            return 2 / floats("m", m) ** 3

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        t = pi / 4 * (np.maximum(x, 0.0) / m) ** 2
        return -np.expm1(-t), np.exp(-t)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from Rayleigh distributions with mean m, elementwise."""
        m = self._model(m, rng)
        return np.asarray(rng.rayleigh(m * np.sqrt(2 / pi)))
