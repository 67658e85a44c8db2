"""Inverse Gaussian loss: positive data whose variance grows with the cube of the mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfcx, ndtr

from gcp.base.checks import floats
from gcp.base.interval import NONNEGATIVE, POSITIVE
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, require_positive
from gcp.losses.elementary import maximum
from gcp.losses.estimable import Marginal, RelativeLogarithm, Scale
from gcp.losses.own_dispersion import REPEATED, FreeDispersion
from gcp.losses.registry import register


@register("inverse-gaussian")
@dataclass(frozen=True, repr=False)
class InverseGaussian(FreeDispersion):
    """Inverse Gaussian negative log-likelihood, parametrised by the mean.

    - **Distribution:** x ~ InverseGaussian(mean m, shape 1): variance m**3; other shapes, 1 / dispersion, through
      `dispersion`
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = x / (2 (m + eps)**2) - 1 / (m + eps); with `by`, shape times that
    - **Domain:** x > 0; m >= 0, so the factors get the lower bound 0; with `by`, the name or number of a mode, a
      `shape` > 0 for each of its positions, in units of the data, or "estimate"
    - **Dropped constant:** 1 / (2 x) + log(2 pi x**3) / 2; with `by`, shape / (2 x) + log(2 pi x**3 / shape) / 2
    """

    eps: float | None = None
    shape: Any = None
    by: int | str | None = None

    data_domain = POSITIVE
    model_domain = NONNEGATIVE
    exposure_is = "scale"
    parameter_by = "shape"
    orthogonal = ("shape",)
    limits_in_words: ClassVar[Mapping[str, str]] = {"high": REPEATED}
    estimable: ClassVar[Mapping[str, Scale]] = {"shape": RelativeLogarithm(1e-300, 1e300, most=1e6)}
    advice = (
        "At x = 0 the loss is unbounded below as the model goes to 0. Leave such entries out (NaN, mask or "
        'entry_weights 0), or use loss="tweedie", which has a probability of 0; for negative values loss="gaussian".'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, eps=self.eps)

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the shape by the moments of all data: too small, as the model's variation counts as noise."""
        return {"shape": float(marginal.mean**3 / marginal.variance) if marginal.variance > 0 else 1.0}

    def _dispersion_of(self, value: Any) -> Any:
        """Return 1 / shape."""
        return 1 / value

    @property
    def degree(self) -> float:
        """-1."""
        return -1.0

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return (0.5 * x / (m + eps) - 1.0) / (m + eps)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return (1.0 - x / (m + eps)) / ((m + eps) * (m + eps))

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return (3.0 * x / (m + eps) - 2.0) / ((m + eps) * (m + eps)) / (m + eps)

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 1.0 / (v * v) / v

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return -1 / (2 x), elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return -0.5 / floats("x", x)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return 1 / (2 x) + log(2 pi x**3) / 2, elementwise, for a dispersion of 1."""
        x = floats("x", x)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return 0.5 / x + 0.5 * np.log(2 * np.pi) + 1.5 * np.log(x)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 1 / m**3, elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray((1 / floats("m", m)) ** 3)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density with mean m, elementwise; `dispersion` is the variance over m**3 (default 1)."""
        phi = self.density_scale(dispersion)
        x = floats("x", x)
        with np.errstate(all="ignore"):
            own = 0.5 / (phi * x) + 0.5 * np.log(2 * np.pi * phi) + 1.5 * np.log(x)
            return -self.value(x, m) / phi - own

    def density_scale(self, dispersion: Any = None) -> Any:
        """Return the dispersion."""
        return self._positive(dispersion, 1.0)

    def _likeliest_dispersion(self, mean_deviance: float) -> float:
        """Return the mean deviance, the likeliest dispersion."""
        return mean_deviance

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise, by Mills ratios: no factor overflows."""
        shape = 1 / self.density_scale(dispersion)
        root = np.sqrt(shape / np.maximum(x, np.finfo(float).tiny))
        a, b = root * (x / m - 1), root * (x / m + 1)
        second = np.exp(-0.5 * a * a) * 0.5 * erfcx(b / np.sqrt(2))  # exp(2 shape / m) P(Z > b)
        below, above = ndtr(a) + second, np.maximum(ndtr(-a) - second, 0.0)
        return np.where(x <= 0, 0.0, below), np.where(x <= 0, 1.0, above)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from inverse Gaussian distributions with mean m and shape 1, elementwise."""
        return self.sample_dispersed(m, rng, 1.0)

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw with mean m and variance dispersion * m**3, elementwise (Michael, Schucany and Haas, 1976)."""
        m = self._model(m, rng)
        w = self.density_scale(dispersion) * m * rng.standard_normal(m.shape) ** 2 / 2
        ratio = 1 / (1 + w + np.sqrt(w * (w + 2)))  # the smaller root over m, without its cancellation
        return np.asarray(m * np.where(rng.random(m.shape) * (1 + ratio) <= 1, ratio, 1 / ratio))
