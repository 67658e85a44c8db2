"""Huber loss: squared error that grows only linearly for outliers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erf, ndtr, ndtri

from gcp.base.checks import floats
from gcp.base.interval import REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss, require_positive
from gcp.losses.elementary import maximum, minimum, where
from gcp.losses.registry import register


@register("huber")
@dataclass(frozen=True)
class Huber(Loss):
    """Huber's robust loss.

    - **Distribution:** density proportional to exp(-f): normal (variance 1/2) within delta of m, with
      exponential tails
    - **Link:** m is the centre (identity)
    - **Loss:** f(x, m) = (x - m)**2 if abs(x - m) <= delta, else 2 delta abs(x - m) - delta**2
    - **Domain:** x real, m real; delta > 0, in units of the data
    - **Dropped constant:** log(sqrt(pi) erf(delta) + exp(-delta**2) / delta)
    """

    delta: float = 1.0

    data_domain = REAL
    model_domain = REAL
    deviance_factor = 1.0
    advice = "Mark unknown entries as NaN or leave them out with mask."

    def __post_init__(self) -> None:
        require_positive(self, delta=self.delta)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return a narrow and a wide loss."""
        return cls(delta=0.25), cls(delta=2.0)

    @property
    def bears_outliers(self) -> bool:
        """True."""
        return True

    @staticmethod
    def f(x: Any, m: Any, delta: Any) -> Any:
        """Return the value."""
        near = minimum(abs(x - m), delta)
        return near * (2.0 * abs(x - m) - near)

    @staticmethod
    def df(x: Any, m: Any, delta: Any) -> Any:
        """Return the derivative in m."""
        return 2.0 * maximum(minimum(m - x, delta), -delta)

    @staticmethod
    def d2f(x: Any, m: Any, delta: Any) -> Any:
        """Return the second derivative in m (0 in the linear part)."""
        return where(abs(x - m) <= delta, 2.0, 0.0)

    @staticmethod
    def weight(x: Any, m: Any, delta: Any) -> Any:
        """Return the curvature of the parabola that touches f at m from above, centred on x."""
        return 2.0 * delta / maximum(abs(x - m), delta)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 0, elementwise."""
        return np.zeros(floats("x", x).shape)

    def constant(self, mean: float, mean_square: float) -> None:
        """Return None: moments do not determine the best constant."""

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return log(sqrt(pi) erf(delta) + exp(-delta**2) / delta), elementwise."""
        d = self.delta
        return np.full(floats("x", x).shape, np.log(np.sqrt(np.pi) * erf(d) + np.exp(-d * d) / d))

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 2 P(abs(x - m) < delta), elementwise."""
        return np.full(floats("m", m).shape, 2 * (1 - 2 * float(self.sf(self.delta, 0.0))))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        d, away = self.delta, np.abs(x - m)
        linear = np.exp(-d * d - 2 * d * np.maximum(away - d, 0.0)) / (2 * d)
        beyond = linear + np.sqrt(np.pi) / 2 * (erf(d) - erf(np.minimum(away, d)))
        beyond = beyond / (np.sqrt(np.pi) * erf(d) + np.exp(-d * d) / d)
        return np.where(x < m, beyond, 1 - beyond), np.where(x < m, 1 - beyond, beyond)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from the density proportional to exp(-f), elementwise."""
        m = self._model(m, rng)
        d, shape = self.delta, m.shape
        centre = np.sqrt(np.pi) * erf(d)
        inside = rng.random(shape) < centre / (centre + np.exp(-d * d) / d)
        low = ndtr(-d * np.sqrt(2))
        normal = ndtri(rng.uniform(low, 1 - low, shape)) * np.sqrt(0.5)
        tail = rng.choice((-1.0, 1.0), shape) * (d + rng.exponential(1 / (2 * d), shape))
        return np.asarray(m + np.where(inside, normal, tail))
