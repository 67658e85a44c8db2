"""Student-t loss: measurements of which a few lie far off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, stdtr

from gcp.base.checks import floats
from gcp.base.interval import REAL
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss, require_positive
from gcp.losses.elementary import log1p
from gcp.losses.estimable import Logarithm, Marginal, Scale
from gcp.losses.huber import Huber
from gcp.losses.registry import register


@register("student-t")
@dataclass(frozen=True)
class StudentT(Loss):
    """Student-t negative log-likelihood of a location.

    - **Distribution:** x = m + scale * t, where t has Student's distribution with dof degrees of freedom
    - **Link:** m is the centre (identity): the mean where dof > 1, the median always
    - **Loss:** f(x, m) = (dof + 1) / 2 * log(1 + ((x - m) / scale)**2 / dof)
    - **Domain:** x real, m real; scale > 0, in units of the data; dof > 0, real; both
      may be "estimate"
    - **Dropped constant:** log(sqrt(pi dof) scale) + log Gamma(dof / 2) - log Gamma((dof + 1) / 2)

    A datum far off counts for less and less, so f is not convex in m: fits begin at the minimum of a Huber loss, and
    may still end in a local one, which several starts (`n_starts`) tell. At 30 degrees of freedom and more it is
    nearly Gaussian of variance scale**2.
    """

    scale: Any = 1.0
    dof: Any = 4.0

    data_domain = REAL
    model_domain = REAL
    estimable: ClassVar[Mapping[str, Scale]] = {
        "scale": Logarithm(1e-150, 1e150),
        "dof": Logarithm(0.3, 1e6),
    }
    orthogonal = ("scale", "dof")  # the density is even in x - m
    advice = "Mark unknown entries as NaN or leave them out with mask."

    def __post_init__(self) -> None:
        known = {name: getattr(self, name) for name in ("scale", "dof") if name not in self.unknowns}
        require_positive(self, **known)

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return one with heavy tails, and one in another unit."""
        return cls(dof=2.5), cls(scale=0.5, dof=4.0)

    def starting(self, marginal: Marginal) -> Mapping[str, Any]:
        """Return the scale by the middle half of all data: too large, as the model's variation counts as noise."""
        low, high = np.quantile(marginal.x[marginal.w > 0], (0.25, 0.75))
        return {"scale": float((high - low) / 1.5) or np.sqrt(marginal.variance) or 1.0, "dof": 4.0}

    @property
    def bears_outliers(self) -> bool:
        """True."""
        return True

    @property
    def convex(self) -> Huber:
        """The Huber loss that is linear from one and a half scales on."""
        return Huber(1.5 * self.params[0])

    @staticmethod
    def f(x: Any, m: Any, scale: Any, dof: Any) -> Any:
        """Return the value."""
        t = (x - m) / scale
        return 0.5 * (dof + 1.0) * log1p(t * t / dof)

    @staticmethod
    def df(x: Any, m: Any, scale: Any, dof: Any) -> Any:
        """Return the derivative in m."""
        return (dof + 1.0) * (m - x) / (dof * scale * scale + (x - m) * (x - m))

    @staticmethod
    def d2f(x: Any, m: Any, scale: Any, dof: Any) -> Any:
        """Return the second derivative in m, below 0 far from the datum."""
        inner, square = dof * scale * scale, (x - m) * (x - m)
        return (dof + 1.0) * (inner - square) / (inner + square) / (inner + square)

    @staticmethod
    def weight(x: Any, m: Any, scale: Any, dof: Any) -> Any:
        """Return the datum's weight in the EM algorithm: the curvature of a parabola that touches f from above."""
        return (dof + 1.0) / (dof * scale * scale + (x - m) * (x - m))

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the centre m, elementwise."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the centre, elementwise."""
        return floats("mean", mean)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return 0, elementwise."""
        return np.zeros(floats("x", x).shape)

    def constant(self, mean: float, mean_square: float) -> None:
        """Return None: moments do not determine the best constant."""

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return minus the logarithm of the density at the centre, elementwise."""
        scale, dof = self.params
        own = 0.5 * np.log(np.pi * dof) + np.log(scale) + gammaln(dof / 2) - gammaln((dof + 1) / 2)
        return np.full(floats("x", x).shape, own)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return (dof + 1) / ((dof + 3) scale**2), elementwise."""
        scale, dof = self.params
        return np.full(floats("m", m).shape, (dof + 1) / (dof + 3) / scale**2)

    def _tails(self, x: FloatArray, m: FloatArray, dispersion: float | None) -> tuple[FloatArray, FloatArray]:
        self._no_dispersion(dispersion)
        scale, dof = self.params
        t = (x - m) / scale
        return stdtr(dof, t), stdtr(dof, -t)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw from Student-t distributions with centre m, elementwise."""
        m = self._model(m, rng)
        scale, dof = self.params
        return np.asarray(m + scale * rng.standard_t(dof, m.shape))
