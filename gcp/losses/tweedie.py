"""Tweedie loss: amounts of which some are exactly 0, such as rain, claims and catches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.interval import NONNEGATIVE
from gcp.base.types import Array, FloatArray
from gcp.losses import compound_poisson
from gcp.losses.base import require_positive, weighted_mean
from gcp.losses.beta_divergence import BetaDivergence
from gcp.losses.estimable import Linear, Marginal, RelativeLogarithm, Scale
from gcp.losses.own_dispersion import REPEATED, FreeDispersion
from gcp.losses.poisson import draw
from gcp.losses.registry import register


@register("tweedie")
@dataclass(frozen=True, repr=False)
class Tweedie(FreeDispersion):
    """Tweedie negative log-likelihood for a power between 1 and 2: sums of a Poisson number of gamma amounts.

    - **Distribution:** mean m, variance dispersion * m**power; x = 0 has the probability
      exp(-m**(2 - power) / ((2 - power) dispersion)), the rest a density
    - **Link:** m is the mean (identity)
    - **Loss:** f(x, m) = m**(2 - power) / (2 - power) + x m**(1 - power) / (power - 1); m is shifted by eps
    - **Domain:** x >= 0; m >= 0, so the factors get the lower bound 0; 1 < power < 2, or "estimate"; with `by`, the
      name or number of a mode, a `dispersion` > 0 for each of its positions, by which f is divided, or "estimate"
    - **Dropped constant:** minus the logarithm of Dunn and Smyth's series in x (2005), with the dispersion

    f is that of the beta divergence with beta = 2 - power, which has no density of its own. Zeros have no closed
    form: of sparse data they are summed one by one up to 2**28 cells, and sampled beyond.

    References
    ----------
    P. K. Dunn, G. K. Smyth: Series evaluation of Tweedie exponential dispersion model densities, Statistics and
    Computing 15 (2005) 267-280.
    """

    power: Any = 1.5
    eps: float | None = None
    dispersion: Any = None
    by: int | str | None = None

    data_domain = NONNEGATIVE
    model_domain = NONNEGATIVE
    exposure_is = "scale"
    parameter_by = "dispersion"
    limits_in_words: ClassVar[Mapping[str, str]] = {"low": REPEATED}
    estimable: ClassVar[Mapping[str, Scale]] = {
        "power": Linear(1.01, 1.99),
        "dispersion": RelativeLogarithm(1e-300, 1e300, least=1e-6),
    }
    orthogonal = ("power", "dispersion")  # to the mean, of every exponential dispersion model
    advice = 'Amounts are not negative; for other data use loss="gaussian".'

    f = staticmethod(BetaDivergence.f)
    df = staticmethod(BetaDivergence.df)
    d2f = staticmethod(BetaDivergence.d2f)
    weight = staticmethod(BetaDivergence.weight)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, eps=self.eps)
        if "power" not in self.unknowns and not (checks.is_real(self.power) and 1 < self.power < 2):
            raise ParameterError(f"Tweedie needs a power between 1 and 2: found {checks.show(self.power)}.")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return many small amounts, and few large ones."""
        return cls(power=1.2), cls(power=1.7)

    @property
    def degree(self) -> float:
        """2 - power."""
        return 0.5 if "power" in self.unknowns else 2.0 - float(self.power)

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the power in the middle, and the dispersion by the moments of all data."""
        power = 1.5 if "power" in self.unknowns else float(self.power)
        usable = marginal.variance > 0 and marginal.mean > 0
        dispersion = float(marginal.variance / marginal.mean**power) if usable else 1.0
        return {"power": 1.5, "dispersion": dispersion}

    def _dispersion_of(self, value: Any) -> Any:
        """Return the dispersion itself."""
        return value

    @property
    def params(self) -> tuple[float, ...]:
        """(2 - power, eps), as the beta divergence takes them."""
        power, eps = super().params
        return 2.0 - power, eps

    @property
    def deviance_tells_dispersion(self) -> bool:
        """False: the likelihood of a dispersion is a series in the data."""
        return False

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return E[x] = m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return m = E[x], elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return x**(2 - power) / ((2 - power) (power - 1)), elementwise."""
        beta, _ = self.params
        with np.errstate(invalid="ignore"):
            return np.asarray(floats("x", x) ** beta / (beta * (1 - beta)))

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return what f drops at a dispersion of 1, elementwise; 0 for x = 0."""
        return -compound_poisson.log_factor(floats("x", x), self.power, 1.0)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density, and the log-probability of 0, elementwise; the dispersion is 1 by default.

        The series takes some microseconds for each x > 0, but for some thousands of them at most: between these it is
        interpolated, to nine digits.
        """
        phi = self.density_scale(dispersion)
        x, m = checks.pair(x, m)
        with np.errstate(all="ignore"):
            return compound_poisson.log_factor(x, self.power, phi) - self.value(x, m) / phi

    def density_scale(self, dispersion: Any = None) -> Any:
        """Return the dispersion."""
        return self._positive(dispersion, 1.0)

    def _likeliest_dispersion(self, mean_deviance: float) -> float:
        """Return the mean deviance: a rough dispersion, too small where many data are 0."""
        return mean_deviance

    def estimate_dispersion(
        self, x: ArrayLike, m: ArrayLike, weights: ArrayLike | None = None
    ) -> float | None:
        """Return the maximum-likelihood dispersion for `log_likelihood`; the weights are of the shape of x and m."""
        if self.by is not None:
            return None
        x, m = np.broadcast_arrays(*checks.pair(x, m))
        with np.errstate(all="ignore"):
            own = self.value(x, m)
            rough = weighted_mean(self.deviance(x, m), weights)
        w = np.ones(x.shape) if weights is None else floats("weights", weights)
        if not np.isfinite(rough):
            raise ParameterError(f"The tweedie loss has no dispersion at a mean deviance of {rough}.")
        return compound_poisson.likeliest_dispersion(x.ravel(), own.ravel(), w.ravel(), self.power, rough)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return m**(-power), elementwise, for a dispersion of 1."""
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            return np.asarray(floats("m", m) ** -float(self.power))

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        return compound_poisson.tails(x, m, self.power, self.density_scale(dispersion))

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise: 0 and 1 at x = 0, which has a probability."""
        x, m = np.broadcast_arrays(*checks.pair(x, m))
        low, high = self.tails(x, m, dispersion)
        return np.where(x <= 0, 0.0, low), np.where(x <= 0, 1.0, high)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw data with mean m and variance m**power, elementwise."""
        return self.sample_dispersed(m, rng, 1.0)

    def sample_dispersed(self, m: ArrayLike, rng: np.random.Generator, dispersion: float | None) -> Array:
        """Draw data of another dispersion, elementwise: the sum of a Poisson number of gamma amounts."""
        m = self._model(m, rng)
        rate, shape, scale = compound_poisson.parts(m, self.power, self.density_scale(dispersion))
        return np.asarray(rng.gamma(shape * draw(rate, rng), 1.0) * scale)
