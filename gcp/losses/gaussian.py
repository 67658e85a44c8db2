"""Gaussian loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from gcp.base.checks import floats
from gcp.base.interval import REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.estimable import Marginal, RelativeLogarithm, Scale
from gcp.losses.own_dispersion import REPEATED, FreeDispersion
from gcp.losses.registry import register


@register("gaussian")
@dataclass(frozen=True, repr=False)
class Gaussian(FreeDispersion):
    """Squared error.

    - **Distribution:** x ~ Normal(m, variance 1/2); other variances through `dispersion`, or, one for each position
      of the mode `by`, as `variance`
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = (x - m)**2; with `by`, (x - m)**2 / (2 variance)
    - **Domain:** x real, m real; with `by`, the name or number of a mode, variance > 0 for each of its positions, or
      "estimate"
    - **Dropped constant:** log(pi) / 2; with `by`, log(2 pi variance) / 2
    """

    variance: Any = None
    by: int | str | None = None

    data_domain = REAL
    model_domain = REAL
    parameter_by = "variance"
    orthogonal = ("variance",)
    limits_in_words: ClassVar[Mapping[str, str]] = {"low": REPEATED}
    estimable: ClassVar[Mapping[str, Scale]] = {"variance": RelativeLogarithm(1e-300, 1e300, least=1e-6)}
    instead_of_exposure = (
        'of counts, take loss="poisson"; of measurements, fit data / exposure with entry_weights=exposure**2, which '
        "has the same minimum."
    )
    advice = "Mark unknown entries as NaN or leave them out with mask."

    @property
    def deviance_factor(self) -> float:  # type: ignore[override]
        """1, for f already is a full squared error; 2 with variances by position."""
        return 1.0 if self.by is None else 2.0

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the variance of all data: too large, as the model's variation counts as noise."""
        return {"variance": marginal.variance or 1.0}

    def _dispersion_of(self, value: Any) -> Any:
        """Return the variance itself."""
        return value

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

    def density_scale(self, dispersion: Any = None) -> Any:
        """Return 2 * variance."""
        return 2 * self._positive(dispersion, 0.5)

    def _likeliest_dispersion(self, mean_deviance: float) -> float:
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
