"""The loss of cells of which each has one of several losses, elementwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import floats
from gcp.base.errors import ParameterError
from gcp.base.interval import NONNEGATIVE, REAL, Interval
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.formula import Formula
from gcp.losses.own_dispersion import FreeDispersion

_LEAST_MEAN = 1e-100


@dataclass(frozen=True, eq=False)
class LossOfCells(Loss):
    """Several losses, each where it belongs.

    Attributes
    ----------
    losses : tuple of Loss
        Those with a parameter for each position have one for all positions of the mode.
    which : ndarray of int, shape (I_mode,)
        The loss of each position of the mode, as a place in `losses`.
    positions : ndarray of int
        The position of each cell, of a shape that broadcasts with data and models.
    """

    losses: tuple[Loss, ...]
    which: Array
    positions: Array

    @property
    def kinds(self) -> tuple[Loss, ...]:  # type: ignore[override]
        """All losses."""
        return self.losses

    @property
    def name(self) -> str:  # type: ignore[override]
        """Those of all losses."""
        return names_of(self.losses)

    @property
    def model_domain(self) -> Interval:  # type: ignore[override]
        """Where some loss admits model values."""
        return domain_of(self.losses)

    @property
    def deviance_factor(self) -> float:  # type: ignore[override]
        """2: that of log-likelihoods, in whose units all losses are."""
        return 2.0

    def _each(self, function: Callable[..., Any], *arrays: ArrayLike) -> FloatArray:
        """Return the values, elementwise, of a function of a cell's loss and of its numbers in some arrays."""
        whole = np.broadcast_arrays(self.positions, *(floats("values", a) for a in arrays))
        found = np.empty(whole[0].shape)
        kinds = self.which[whole[0]]
        for kind, loss in enumerate(self.losses):
            here = kinds == kind
            if here.any():
                positions, *own = (a[here] for a in whole)
                found[here] = function(loss.at(positions), *own)
        return found

    @property
    def formula(self) -> Formula:
        """There is none for all cells."""
        raise ParameterError(f"Cells under several losses ({self.name}) have no formula in common.")

    def f(self, x: Any, m: Any) -> Any:  # type: ignore[override]
        """Return the value, elementwise."""
        return self._each(lambda loss, x, m: loss.value(x, m), x, m)

    def df(self, x: Any, m: Any) -> Any:  # type: ignore[override]
        """Return the derivative in m, elementwise."""
        return self._each(lambda loss, x, m: loss.deriv(x, m), x, m)

    def d2f(self, x: Any, m: Any) -> Any:  # type: ignore[override]
        """Return the second derivative in m, elementwise."""
        return self._each(lambda loss, x, m: loss.curvature(x, m), x, m)

    def weight(self, x: Any, m: Any) -> Any:  # type: ignore[override]
        """Return a curvature >= 0 in m, elementwise."""
        return self._each(lambda loss, x, m: loss.formula.weight(x, m, *loss.params), x, m)

    value, deriv, curvature = f, df, d2f

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the expected datum, elementwise."""
        return self._each(lambda loss, m: loss.mean(m), m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum, elementwise."""
        return self._each(lambda loss, mean: loss.link(mean), mean)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the m that minimises f(x, .), elementwise."""
        return self._each(lambda loss, x: loss.saturated(x), x)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at that m, elementwise."""
        return self._each(lambda loss, x: loss.saturated_value(x), x)

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return what f drops of minus the log-density, elementwise."""
        self._check_scaled()
        return self._each(lambda loss, x: loss.log_normalizer(x), x)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density, elementwise."""
        self._no_dispersion(dispersion)
        self._check_scaled()
        return self._each(lambda loss, x, m: loss.log_likelihood(x, m), x, m)

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the expected second derivative, elementwise."""
        return self._each(lambda loss, m: loss.fisher(m), m)

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """See `Loss.leverage_bias`."""
        return self._each(lambda loss, m: loss.leverage_bias(m), m)

    def tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise."""
        self._no_dispersion(dispersion)
        self._check_scaled()
        low, high = (self._each(lambda loss, x, m, k=side: loss.tails(x, m)[k], x, m) for side in (0, 1))
        return low, high

    def ranked_probability_score(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> FloatArray:
        """Return the score of each cell under its own loss, elementwise."""
        self._no_dispersion(dispersion)
        self._check_scaled()
        return self._each(lambda loss, x, m: loss.ranked_probability_score(x, m), x, m)

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise."""
        self._no_dispersion(dispersion)
        self._check_scaled()
        low, high = (
            self._each(lambda loss, x, m, k=side: loss.strict_tails(x, m)[k], x, m) for side in (0, 1)
        )
        return low, high

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw data, shaped like m."""
        return self._each(lambda loss, m: loss.sample(_above_zero(loss, m), rng), m)

    def _check_scaled(self) -> None:
        """Raise `ParameterError` where a loss has a free dispersion of which nothing is known."""
        for loss in self.losses:
            if isinstance(loss, FreeDispersion) and loss.by is None:
                raise ParameterError(
                    f"The {loss.name} loss, one of several, has no {loss.parameter_by} here (balanced=False), and "
                    "log-likelihoods and tail probabilities need one: fit with balanced=True, the default."
                )


def _above_zero(loss: Loss, m: FloatArray) -> FloatArray:
    """Return models (n,) of which a loss can draw data: no datum of a mean of 0 is in an open domain."""
    return np.maximum(m, _LEAST_MEAN) if loss.data_domain.open_low else m


def names_of(losses: tuple[Loss, ...]) -> str:
    """Return the names of losses, each once."""
    *first, last = dict.fromkeys(loss.name for loss in losses)
    return f"{', '.join(first)} and {last}" if first else last


def domain_of(losses: tuple[Loss, ...]) -> Interval:
    """Return where some of the losses admit model values: all reals, or those from 0."""
    return NONNEGATIVE if all(loss.model_domain.low >= 0 for loss in losses) else REAL
