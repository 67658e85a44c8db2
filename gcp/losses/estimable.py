"""How a fit estimates parameters of a loss: on which scale, within which limits, and where it begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit, logit

from gcp.base.types import FloatArray

ESTIMATE = "estimate"
"""Text that stands for a parameter which a fit is to estimate."""


def is_estimate(value: object) -> bool:
    """Return whether this stands for a parameter that a fit is to estimate."""
    return isinstance(value, str) and value == ESTIMATE


class Marginal(NamedTuple):
    """What data are like without a model, for values of parameters to begin with.

    Attributes
    ----------
    mean, variance : float
        Of all data, weighted.
    x, w : ndarray, shape (n,)
        Data, at most a million of them, and their weights.
    """

    mean: float
    variance: float
    x: FloatArray
    w: FloatArray


class Scale(ABC):
    """The scale on which a fit looks for a parameter: vectors of free real numbers in place of its values."""

    @abstractmethod
    def free(self, value: Any) -> FloatArray:
        """Return the free numbers, shape (n,), of a value of the parameter."""

    @abstractmethod
    def given(self, free: FloatArray) -> Any:
        """Return the value of the parameter of free numbers, shape (n,)."""

    @abstractmethod
    def limits(self, n: int) -> tuple[FloatArray, FloatArray]:
        """Return the limits of n free numbers, two vectors (n,)."""

    def limits_about(self, suggested: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the limits, two vectors (n,), of free numbers of which data suggest some to begin with (n,)."""
        return self.limits(len(suggested))


@dataclass(frozen=True)
class _OneByOne(Scale):
    """A scale of numbers, each within the same limits: one, or one for each position of a mode.

    Attributes
    ----------
    low, high : float
        Limits of the parameter.
    """

    low: float
    high: float

    def free(self, value: Any) -> FloatArray:
        return self._free(np.clip(np.atleast_1d(np.asarray(value, dtype=float)), self.low, self.high))

    def given(self, free: FloatArray) -> Any:
        found = np.clip(self._given(np.asarray(free, dtype=float)), self.low, self.high)
        return float(found[0]) if len(found) == 1 else tuple(found.tolist())

    def limits(self, n: int) -> tuple[FloatArray, FloatArray]:
        low, high = self._free(np.array([self.low, self.high]))
        return np.full(n, low), np.full(n, high)

    @abstractmethod
    def _free(self, values: FloatArray) -> FloatArray:
        """Return the free numbers, elementwise."""

    @abstractmethod
    def _given(self, free: FloatArray) -> FloatArray:
        """Return the values, elementwise."""


class Linear(_OneByOne):
    """The parameter itself."""

    def _free(self, values: FloatArray) -> FloatArray:
        return values

    def _given(self, free: FloatArray) -> FloatArray:
        return free


class Logarithm(_OneByOne):
    """The logarithm of a positive parameter."""

    def _free(self, values: FloatArray) -> FloatArray:
        return np.log(values)

    def _given(self, free: FloatArray) -> FloatArray:
        return np.exp(free)


@dataclass(frozen=True)
class RelativeLogarithm(Logarithm):
    """The logarithm of a positive parameter with a unit, beside whose value that data suggest there are limits.

    Attributes
    ----------
    least, most : float
        Limits in units of that value: a model that repeats the data of a position has no others.
    """

    least: float = 0.0
    most: float = np.inf

    def limits_about(self, suggested: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Scale`."""
        low, high = self.limits(len(suggested))
        with np.errstate(divide="ignore"):
            return np.maximum(low, suggested + np.log(self.least)), np.minimum(
                high, suggested + np.log(self.most)
            )


class Logit(_OneByOne):
    """The log-odds of a parameter between 0 and 1."""

    def _free(self, values: FloatArray) -> FloatArray:
        return np.asarray(logit(values))

    def _given(self, free: FloatArray) -> FloatArray:
        return np.asarray(expit(free))


@dataclass(frozen=True)
class Increasing(Scale):
    """Numbers that increase, as thresholds do: the first one, and the logarithms of the steps to the others.

    Attributes
    ----------
    first : float or None
        The first one, if it stays as it is; None if it is free.
    reach : float
        The first one lies between minus and plus this; steps are at most this.
    """

    first: float | None = None
    reach: float = 1e3

    def free(self, value: Any) -> FloatArray:
        """See `Scale`; shape (n,)."""
        values = np.asarray(value, dtype=float)
        steps = np.log(np.diff(values))
        return steps if self.first is not None else np.concatenate([values[:1], steps])

    def given(self, free: FloatArray) -> Any:
        """See `Scale`; free numbers of shape (n,)."""
        free = np.asarray(free, dtype=float)
        first, steps = (self.first, free) if self.first is not None else (free[0], free[1:])
        return tuple((first + np.concatenate([[0.0], np.cumsum(np.exp(steps))])).tolist())

    def limits(self, n: int) -> tuple[FloatArray, FloatArray]:
        """See `Scale`; vectors of shape (n,)."""
        low, high = np.full(n, -np.log(self.reach) * 2), np.full(n, np.log(self.reach))
        if self.first is None:
            low[0], high[0] = -self.reach, self.reach
        return low, high
