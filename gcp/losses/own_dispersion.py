"""Losses with a free dispersion, which may be one number for each position of a mode."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss, require_positive
from gcp.losses.estimable import is_estimate
from gcp.losses.formula import Formula
from gcp.losses.position_parameters import check_positions

REPEATED = (
    "at the limit, a millionth of the variance of their data: the model repeats them (a Heywood case), which no "
    "number of this kind can be told from; take fewer components, or leave these positions out"
)
"""What it means that a position's dispersion went to its least value."""


class _OfCells(NamedTuple):
    """Dispersions of cells, checked, where else is one number for all."""

    values: FloatArray


class FreeDispersion(Loss):
    """The base of losses whose minimum depends on no dispersion, unless positions have dispersions of their own.

    Then the loss of a cell is divided by the scale of its position's dispersion: a fit is a weighted one.
    """

    is_dispersion_by = True
    position_moves_mean = False

    def __post_init__(self) -> None:
        name = self.parameter_by
        check_positions(self)
        value = getattr(self, name)
        if self.by is None and value is not None:
            raise ParameterError(
                f"{type(self).__name__} has {name}={checks.show(value)} without a mode: say by=..., or leave it out, "
                "for a fit does not depend on one number for all cells, which judgements estimate (dispersion=)."
            )
        if not (value is None or is_estimate(value)):
            require_positive(self, **{f"{name}[{k}]": one for k, one in enumerate(value)})

    @abstractmethod
    def _dispersion_of(self, value: Any) -> Any:
        """Return the dispersion, as for `log_likelihood`, of values of the parameter by position, elementwise."""

    def parameter_of(self, dispersion: float) -> float:
        """Return the parameter of a dispersion: they are one another's reciprocals, or equal."""
        return float(self._dispersion_of(dispersion))

    @abstractmethod
    def _likeliest_dispersion(self, mean_deviance: float) -> float:
        """Return the likeliest dispersion of all cells, from the weighted mean of the deviance."""

    def dispersion_from(self, mean_deviance: float) -> float | None:
        """Return the likeliest dispersion; None where positions have their own."""
        return None if self.by is not None else self._likeliest_dispersion(mean_deviance)

    def estimate_dispersion(
        self, x: ArrayLike, m: ArrayLike, weights: ArrayLike | None = None
    ) -> float | None:
        """See `Loss.estimate_dispersion`; None where positions have dispersions of their own."""
        return None if self.by is not None else super().estimate_dispersion(x, m, weights)

    def _positive(self, dispersion: Any, default: float) -> Any:
        """Return a dispersion, one for all or one for each cell; None is the default."""
        self.refuse_alone()
        if isinstance(dispersion, _OfCells):
            return dispersion.values
        found = default if dispersion is None else dispersion
        require_positive(self, dispersion=found)
        return float(found)

    def at(self, positions: Array) -> Loss:  # type: ignore[override]
        """See `PositionParameters.at`."""
        if self.by is None:
            return self
        values = np.asarray(getattr(self, self.parameter_by), dtype=float)[positions]
        return OfDispersion(self.standard(), np.asarray(self._dispersion_of(values)))

    def standard(self) -> Self:
        """Return the loss without a dispersion."""
        return replace(self, **{self.parameter_by: None, "by": None})  # type: ignore[type-var]

    def standard_entries(self, x: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Return the data, and by what their loss is multiplied."""
        own = np.asarray(self._dispersion_of(values))
        scale = self.standard().density_scale(_OfCells(own))
        return x, np.asarray(1 / scale)

    def __repr__(self) -> str:
        """Return the loss as it is written: without a mode and its parameter, if it has none."""
        left_out = (self.parameter_by, "by") if self.by is None else ()
        names = [field.name for field in fields(self) if field.name not in left_out]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"


@dataclass(frozen=True)
class OfDispersion(Loss):
    """A loss whose dispersion is known: f divided by its scale, whose log-density needs none besides.

    Attributes
    ----------
    loss : Loss
    dispersion : ndarray
        One for each cell, or of a shape that broadcasts with data and models.
    """

    loss: Loss
    dispersion: FloatArray

    deviance_factor = 2.0

    def __post_init__(self) -> None:
        for name in ("name", "data_domain", "model_domain", "advice", "exposure_is", "instead_of_exposure"):
            object.__setattr__(self, name, getattr(self.loss, name))

    @property
    def _scale(self) -> FloatArray:
        return np.asarray(self.loss.density_scale(_OfCells(self.dispersion)))

    def _over_scale(self, function: Callable[..., Any]) -> Callable[..., Any]:
        scale = self._scale
        return lambda x, m, *params: function(x, m, *params) / scale

    @property
    def f(self) -> Any:
        """The value."""
        return self._over_scale(self.loss.f)

    @property
    def df(self) -> Any:
        """The derivative in m."""
        return self._over_scale(self.loss.df)

    @property
    def d2f(self) -> Any:
        """The second derivative in m."""
        return self._over_scale(self.loss.d2f)

    @property
    def weight(self) -> Any:
        """The curvature."""
        return self._over_scale(self.loss.weight)

    @property
    def params(self) -> tuple[Any, ...]:
        """Those of the loss."""
        return self.loss.params

    @property
    def formula(self) -> Formula:
        """The formulas, which run as NumPy."""
        return Formula(self.f, self.df, self.d2f, self.params, False, weight=self.weight, zero=None)

    @property
    def is_discrete(self) -> bool:
        """Whether the distribution is one of counts."""
        return self.loss.is_discrete

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return the expected datum, elementwise."""
        return self.loss.mean(m)

    def link(self, mean: ArrayLike) -> FloatArray:
        """Return the m of an expected datum, elementwise."""
        return self.loss.link(mean)

    def saturated(self, x: ArrayLike) -> FloatArray:
        """Return the m that minimises f(x, .), elementwise."""
        return self.loss.saturated(x)

    def saturated_value(self, x: ArrayLike) -> FloatArray:
        """Return f at that m, elementwise."""
        return self.loss.saturated_value(x) / self._scale

    def log_normalizer(self, x: ArrayLike) -> FloatArray:
        """Return what f drops of minus the log-density, elementwise."""
        x = checks.floats("x", x)
        with np.errstate(all="ignore"):
            at = self.saturated(np.where(x > 0, x, 1.0)) if self.loss.model_domain.low >= 0 else x
            return -self.log_likelihood(x, at) - self.value(x, at)

    def log_likelihood(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the log-density, elementwise."""
        self._no_dispersion(dispersion)
        return self.loss.log_likelihood(x, m, _OfCells(self.dispersion))  # type: ignore[arg-type]

    def fisher(self, m: ArrayLike) -> FloatArray:
        """Return the expected second derivative, elementwise."""
        return self.loss.fisher(m) / self._scale

    def leverage_bias(self, m: ArrayLike) -> FloatArray:
        """See `Loss.leverage_bias`."""
        return self.loss.leverage_bias(m) / self._scale

    def tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise."""
        self._no_dispersion(dispersion)
        return self.loss.tails(x, m, _OfCells(self.dispersion))  # type: ignore[arg-type]

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise."""
        self._no_dispersion(dispersion)
        return self.loss.strict_tails(x, m, _OfCells(self.dispersion))  # type: ignore[arg-type]

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw data, shaped like m."""
        return self.loss.sample_dispersed(m, rng, _OfCells(self.dispersion))  # type: ignore[arg-type]
