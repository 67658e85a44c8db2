"""Quantile loss: a quantile of the data in place of their mean, by a smoothed check function."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr, logit

from gcp.base import checks
from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.interval import REAL
from gcp.base.types import FloatArray
from gcp.losses.base import Loss, require_positive
from gcp.losses.elementary import sigmoid, softplus, where
from gcp.losses.registry import register

_NEAR = 1e-4
"""Distances from the middle, in widths, at which the quotient of the curvature weight is its limit."""


@register("quantile")
@dataclass(frozen=True)
class Quantile(Loss):
    """Check function (pinball loss) of a quantile, smoothed.

    - **Distribution:** none: m is the quantile of order tau of x, whatever the distribution about it
    - **Link:** m is the quantile (identity)
    - **Loss:** f(x, m) = tau (x - m) + h log(1 + exp((m - x) / h)), h = width * scale; for h to 0 it is
      tau (x - m) where x > m, (1 - tau) (m - x) elsewhere
    - **Domain:** x real, m real; 0 < tau < 1; width > 0, in units of scale > 0, which is in units of the data
    - **Dropped constant:** none

    The check function has a corner at x = m, where smooth solvers stall, so that f is its smoothed form. Where f is
    least, m is the exact quantile of the data with logistic noise of scale h added: off the quantile q of a density g
    by about 1.64 h**2 g'(q) / g(q). Of normal residuals of standard deviation s and tau = 0.9 that is 0.01 s at h =
    0.07 s, and 0.17 s at h = 0.3 s. None as `scale` means the interquartile range of the data, fixed when the loss
    meets them; `result.loss` shows it. A model that leaves only a hundredth of that range over needs a smaller
    `scale`: that of its residuals.

    A quantile has no likelihood: no AIC, standard errors, tail probabilities or samples. What is to hold is that a
    share of about tau of the data lies below the model.
    """

    tau: float = 0.5
    width: float = 0.01
    scale: float | None = None

    data_domain = REAL
    model_domain = REAL
    advice = "Mark unknown entries as NaN or leave them out with mask."

    def __post_init__(self) -> None:
        require_positive(self, width=self.width)
        if self.scale is not None:
            require_positive(self, scale=self.scale)
        if not (checks.is_real(self.tau) and 0 < self.tau < 1):
            raise ParameterError(f"Quantile needs tau between 0 and 1: found {checks.show(self.tau)}.")

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Return the median, and a high quantile more smoothly."""
        return cls(scale=5.0), cls(tau=0.9, width=0.3, scale=1.0)

    @property
    def degree(self) -> float:
        """1."""
        return 1.0

    @property
    def params(self) -> tuple[float, ...]:
        """(tau, h)."""
        return float(self.tau), float(self.width * (1.0 if self.scale is None else self.scale))

    @property
    def bears_outliers(self) -> bool:
        """True."""
        return True

    @property
    def wants_spread(self) -> bool:
        """Whether `scale` is to be that of the data."""
        return self.scale is None

    def with_spread(self, spread: float) -> Self:
        """Return the same loss with an unset `scale` fixed at a spread of the data."""
        return replace(self, scale=spread) if self.wants_spread else self

    @staticmethod
    def f(x: Any, m: Any, tau: Any, h: Any) -> Any:
        """Return the value."""
        return tau * (x - m) + h * softplus((m - x) / h)

    @staticmethod
    def df(x: Any, m: Any, tau: Any, h: Any) -> Any:
        """Return the derivative in m."""
        return sigmoid((m - x) / h) - tau

    @staticmethod
    def d2f(x: Any, m: Any, tau: Any, h: Any) -> Any:
        """Return the second derivative in m."""
        return sigmoid((m - x) / h) * sigmoid((x - m) / h) / h

    @staticmethod
    def weight(x: Any, m: Any, tau: Any, h: Any) -> Any:
        """Return the curvature of the parabola that touches f from above at m, and at its mirror image about x."""
        u = abs(m - x) / h
        return where(u < _NEAR, 0.25, (sigmoid(u) - 0.5) / where(u < _NEAR, 1.0, u)) / h

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the quantile m, elementwise: there is no expectation."""
        return floats("m", m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the quantile, elementwise."""
        return floats("mean", mean)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return x + h log(tau / (1 - tau)), elementwise."""
        tau, h = self.params
        return np.asarray(floats("x", x) + h * logit(tau))

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return -h (tau log(tau) + (1 - tau) log(1 - tau)), elementwise."""
        tau, h = self.params
        return np.full(floats("x", x).shape, h * (entr(tau) + entr(1 - tau)))

    def constant(self, mean: float, mean_square: float) -> None:
        """Return None: moments do not determine the best constant."""

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> NoReturn:
        """Raise `ParameterError` whatever the shape of m: a quantile is no distribution."""
        raise ParameterError(
            "The quantile loss is no distribution to draw from; draw data by another loss, such as student-t."
        )
