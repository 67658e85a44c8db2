"""Gamma loss: positive data whose standard deviation grows with the mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammainc, gammaincc, gammaln

from gcp.base.checks import floats
from gcp.base.interval import NONNEGATIVE, POSITIVE
from gcp.base.types import Array, FloatArray
from gcp.losses.base import WEIGHT_FLOOR, require_positive
from gcp.losses.elementary import log, maximum
from gcp.losses.estimable import Marginal, RelativeLogarithm, Scale
from gcp.losses.own_dispersion import REPEATED, FreeDispersion
from gcp.losses.registry import register


@register("gamma")
@dataclass(frozen=True, repr=False)
class Gamma(FreeDispersion):
    """Gamma negative log-likelihood, parametrised by the mean.

    - **Distribution:** x ~ Gamma(shape k, mean m); f is its m-part divided by k, whole for k = 1 (exponential)
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = x / (m + eps) + log(m + eps); with `by`, k times that
    - **Domain:** x > 0; m >= 0, so the factors get the lower bound 0; with `by`, the name or number of a mode, a
      `shape` > 0 for each of its positions, or "estimate"
    - **Dropped constant:** none for k = 1; with `by`, log Gamma(k) - k log k - (k - 1) log x
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
        'entry_weights 0), add a small constant to the data, or use loss="beta-divergence" with 0 < beta < 1, '
        'which admits zeros; for negative values loss="gaussian".'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, eps=self.eps)

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the shape by the moments of all data: too small, as the model's variation counts as noise."""
        return {"shape": float(marginal.mean**2 / marginal.variance) if marginal.variance > 0 else 1.0}

    def _dispersion_of(self, value: Any) -> Any:
        """Return 1 / shape."""
        return 1 / value

    @property
    def degree(self) -> float:
        """0."""
        return 0.0

    @staticmethod
    def f(x: Any, m: Any, eps: Any) -> Any:
        """Return the value."""
        return x / (m + eps) + log(m + eps)

    @staticmethod
    def df(x: Any, m: Any, eps: Any) -> Any:
        """Return the derivative in m."""
        return (1.0 - x / (m + eps)) / (m + eps)

    @staticmethod
    def d2f(x: Any, m: Any, eps: Any) -> Any:
        """Return the second derivative in m."""
        return (2.0 * x / (m + eps) - 1.0) / ((m + eps) * (m + eps))

    @staticmethod
    def weight(x: Any, m: Any, eps: Any) -> Any:
        """Return the Fisher information of m."""
        v = maximum(m, WEIGHT_FLOOR * eps)
        return 1.0 / (v * v)

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 1 + log x, elementwise."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 + np.log(floats("x", x))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return 0 for shape 1, elementwise."""
        return np.zeros(floats("x", x).shape)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return 1 / m**2, elementwise."""
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray((1 / floats("m", m)) ** 2)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the gamma log-density with mean m, elementwise; `dispersion` is 1 / shape (default 1)."""
        k = 1.0 / self.density_scale(dispersion)
        x = floats("x", x)
        with np.errstate(all="ignore"):
            return k * (np.log(k) - self.value(x, m)) + (k - 1) * np.log(x) - gammaln(k)

    def density_scale(self, dispersion: Any = None) -> Any:
        """Return 1 / shape."""
        return self._positive(dispersion, 1.0)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        phi = self.density_scale(dispersion)
        scaled = np.maximum(x, 0.0) / (phi * m)
        return gammainc(1 / phi, scaled), gammaincc(1 / phi, scaled)

    def _likeliest_dispersion(self, mean_deviance: float) -> float:
        """Return the likeliest dispersion: log k - digamma(k) = mean deviance / 2, solved for the shape k."""
        from scipy.optimize import brentq  # slow to import, rarely needed

        excess = mean_deviance / 2
        if excess <= 0:
            return 1e-12
        # 1 / (2k) < log k - digamma(k) < 1 / k brackets the root.
        return 1.0 / float(brentq(lambda k: np.log(k) - digamma(k) - excess, 0.4 / excess, 1.1 / excess))

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from exponential distributions with mean m (shape 1), elementwise."""
        m = self._model(m, rng)
        return np.asarray(rng.exponential(m))

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw from gamma distributions with mean m and shape 1 / dispersion, elementwise."""
        m, phi = self._model(m, rng), self.density_scale(dispersion)
        return np.asarray(rng.gamma(1 / phi, phi * m))
