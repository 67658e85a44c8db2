"""Sets of real numbers on which losses are defined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import is_real, numbers
from gcp.base.errors import ParameterError
from gcp.base.types import Array


@dataclass(frozen=True)
class Interval:
    """An interval of the real line, or its integers.

    Parameters
    ----------
    low, high : float
        The ends; infinite ends are always open.
    open_low : bool
        True if `low` itself is outside.
    integer : bool
        True if only whole numbers belong.
    """

    low: float = -np.inf
    high: float = np.inf
    open_low: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            end = getattr(self, name)
            is_infinite = isinstance(end, float | np.floating) and np.isinf(end)
            if not (is_real(end) or is_infinite):
                raise ParameterError(f"Interval: {name} must be a number or infinite: found {end!r}.")
        if not self.low <= self.high:
            raise ParameterError(f"Interval: low {self.low!r} is above high {self.high!r}.")
        for name in ("open_low", "integer"):
            if not isinstance(getattr(self, name), bool | np.bool_):
                raise ParameterError(
                    f"Interval: {name} must be True or False: found {getattr(self, name)!r}."
                )

    def contains(self, values: ArrayLike) -> Array:
        """Return, elementwise, whether values belong; NaN and infinities are outside.

        Parameters
        ----------
        values : array_like
            Real numbers of any dtype.

        Returns
        -------
        ndarray of bool
            Of the shape of `values`.
        """
        values = numbers("values", values)
        above = values > self.low if self.open_low else values >= self.low
        inside = above & (values <= self.high)
        if values.dtype.kind == "f":
            inside &= np.isfinite(values)
            if self.integer:
                inside &= values == np.floor(values)
        return np.asarray(inside)

    def clip(self, values: ArrayLike) -> Array:
        """Return the nearest values of the closed interval, elementwise (integrality is not enforced)."""
        return np.clip(numbers("values", values), self.low, self.high)

    def __str__(self) -> str:
        """Return words for messages: `whole numbers in [0, inf)`."""
        left = "(" if self.open_low or np.isinf(self.low) else "["
        right = ")" if np.isinf(self.high) else "]"
        text = f"{left}{self.low:g}, {self.high:g}{right}"
        return f"whole numbers in {text}" if self.integer else text


REAL = Interval()
NONNEGATIVE = Interval(low=0.0)
POSITIVE = Interval(low=0.0, open_low=True)
COUNTS = Interval(low=0.0, integer=True)
BINARY = Interval(low=0.0, high=1.0, integer=True)
