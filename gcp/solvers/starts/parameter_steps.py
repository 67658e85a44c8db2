"""Searches for the parameters at which a profile likelihood is level, of few values of its slope."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from gcp.base.types import FloatArray
from gcp.solvers.starts.unknown_parameters import ParameterLikelihood

_TOL = 1e-3
"""A search ends when free numbers are as near to the likeliest ones, in their standard errors."""

_FINE = 2e-4
"""The same of several numbers, of which the search knows less."""

_COARSE, _PATIENCE = 5e-2, 5
"""What is good enough once so many values have come as near: slopes are no more exact than the fits are."""

_LEAST_BEND = {True: 0.1, False: 1e-3}
"""Curvature along a step, in that of the likelihood beside a model that stays, below which it is not believed.

That depends on whether the expectations can stay: then the two are about equal.
"""

_NEAR = 1e-2
"""Steps of one free number below which the curvature says more than the likeliest one for given expectations."""

_CLOSE = 1e-5
"""Width of the range of one free number at which fits that do not converge say no more."""

_LONG = 0.5
"""Steps of a number by position from which on it is asked whether the likelihood rises all the way to its limit."""

_NOTHING = 1e-3
"""What a log-likelihood can gain, at most, where a number is as good as at its limit."""

_MEMORY = 10
"""Steps whose changes of the slope a search in several numbers remembers."""


class ParameterSteps(ABC):
    """A search for free numbers (P,) at which the profile likelihood is level."""

    @abstractmethod
    def is_settled(self, likelihood: ParameterLikelihood) -> bool:
        """Return whether its slope is as good as zero, or nothing is left to look at."""

    @abstractmethod
    def next(self, likelihood: ParameterLikelihood) -> FloatArray:
        """Return the next free numbers (P,)."""


class OneNumber(ParameterSteps):
    """The zero of a slope in one number that rises through it: secants within a bracket.

    Parameters
    ----------
    low, high : float
        Limits.
    """

    def __init__(self, low: float, high: float) -> None:
        self.ends = low, high
        self.seen: list[tuple[float, float]] = []
        self.low, self.high = low, high
        self.curvature = 0.0

    def is_settled(self, likelihood: ParameterLikelihood) -> bool:
        """Return whether this value is as good as zero, or nothing is left to look at."""
        (at,), (slope,) = likelihood.at, likelihood.slope
        curvature = self.curvature
        if self.seen and at != self.seen[-1][0]:
            curvature = (slope - self.seen[-1][1]) / (at - self.seen[-1][0])
        self.curvature = max(curvature, 0.0)
        is_beyond = abs(at - self.ends[int(slope < 0)]) < 1e-9
        is_beyond |= self.high - self.low < _CLOSE
        return bool(is_beyond or abs(slope) <= _TOL * np.sqrt(max(self.curvature, 1.0)))

    def next(self, likelihood: ParameterLikelihood) -> FloatArray:
        """Return the next number (1,); without a curvature, no farther than the factors as they are say."""
        (at,), (slope,) = likelihood.at, likelihood.slope
        if slope > 0:
            self.high = at
        else:
            self.low = at
        is_between = self.low > self.ends[0] and self.high < self.ends[1]
        aim = np.inf if is_between else likelihood.likeliest(holds_means=True)
        if is_between or abs(aim - at) < _NEAR or (aim > at) != (slope < 0):
            if self.curvature > 0:
                step = -slope / self.curvature
            else:  # a long step may leave the optimum's surroundings
                step = -float(np.sign(slope)) * max(abs(likelihood.likeliest() - at), _NEAR / 10)
            aim = at + float(np.clip(step, -1.0, 1.0))
        self.seen.append((at, slope))
        if self.low < aim < self.high:
            return np.array([aim])
        found = self.low, self.high
        end = found[int(slope < 0)]
        return np.array([end if end in self.ends else float(np.mean(found))])


class SeveralNumbers(ParameterSteps):
    """A level place of a slope in several numbers: quasi-Newton steps within limits.

    The likelihood's own second derivatives, each by itself, begin; what changes of the slope say is added.

    Parameters
    ----------
    low, high : ndarray, shapes (P,)
        Limits.
    """

    def __init__(self, low: FloatArray, high: FloatArray) -> None:
        self.low, self.high = low, high
        self.pairs: list[tuple[FloatArray, FloatArray]] = []
        self.seen: tuple[FloatArray, FloatArray] | None = None
        self.distances: list[float] = []
        self.gains = np.full(len(low), np.nan)

    def is_settled(self, likelihood: ParameterLikelihood) -> bool:
        """Return whether every number is as good as the likeliest, or at a limit beyond which that is."""
        at, slope = likelihood.at, likelihood.slope
        if self.seen is not None:
            s, y, bend = at - self.seen[0], slope - self.seen[1], _bend(likelihood)
            least = _LEAST_BEND[likelihood.keeps_means] * (s @ (bend * s))
            if s @ y < least:  # Powell's damping: fits that end early leave slopes that are a little off
                share = (s @ (bend * s) - least) / max(s @ (bend * s) - s @ y, 1e-300)
                y = share * y + (1 - share) * bend * s
            self.pairs = [*self.pairs[1 - _MEMORY :], (s, y)]
        self.seen = at, slope
        # a step by its own slope is the square of the distance in standard errors
        by_bend = np.abs(slope) / np.sqrt(np.maximum(likelihood.curvature, 1.0))
        far = np.maximum(by_bend, np.sqrt(np.abs(self._step(likelihood) * slope)))
        self.gains = np.full(len(at), np.nan)
        if np.any((np.abs(self._step(likelihood)) >= _LONG) & (far > _FINE)):
            nearest = np.where(self.high - at < at - self.low, self.high, self.low)
            ends = np.where(slope < 0, self.high, self.low)
            self.gains = likelihood.gains_towards(np.where(np.abs(slope) > _NOTHING, ends, nearest))
        self.distances.append(float(np.max(far, where=~self._is_held(at, slope), initial=0.0)))
        stalls = sum(distance <= _COARSE for distance in self.distances) > _PATIENCE
        return self.distances[-1] <= (_COARSE if stalls else _FINE)

    def next(self, likelihood: ParameterLikelihood) -> FloatArray:
        """Return the next numbers (P,), none of them farther off than 1, unless it is on its way to its limit.

        What is left to gain there falls with exp(-distance): a number goes where it is a tenth of nothing.
        """
        step = np.clip(self._step(likelihood), -1.0, 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            away = np.maximum(np.log(self.gains / (0.1 * _NOTHING)), 0.0)
        step = np.where(away > 1.0, -np.sign(likelihood.slope) * away, step)
        step = np.where(self.gains <= _NOTHING, 0.0, step)
        return np.clip(likelihood.at + step, self.low, self.high)

    def _step(self, likelihood: ParameterLikelihood) -> FloatArray:
        slope, free = likelihood.slope, ~self._is_held(likelihood.at, likelihood.slope)
        bend = _bend(likelihood)
        found = -_two_loops(np.where(free, slope, 0.0), self.pairs, bend)
        return np.where(free, np.where(found * slope < 0, found, -slope / bend), 0.0)

    def _is_held(self, at: FloatArray, slope: FloatArray) -> np.ndarray:
        """Return a mask (P,) of numbers at a limit, beyond which the likelihood is larger, or as good as there."""
        return (self.gains <= _NOTHING) | np.where(slope < 0, at >= self.high - 1e-9, at <= self.low + 1e-9)


def _bend(likelihood: ParameterLikelihood) -> FloatArray:
    """Return second derivatives (P,), large enough for steps of at most 10."""
    return np.maximum(likelihood.curvature, np.maximum(0.1 * np.abs(likelihood.slope), 1e-8))


def _two_loops(slope: FloatArray, pairs: list[tuple[FloatArray, FloatArray]], bend: FloatArray) -> FloatArray:
    """Return the inverse of a second derivative times a slope (P,): `bend` (P,), updated by pairs (BFGS)."""
    found, kept = slope.copy(), [(s, y) for s, y in pairs if s @ y > 1e-10 * abs(s) @ abs(y)]
    shares = []
    for s, y in reversed(kept):
        shares.append((s @ found) / (s @ y))
        found = found - shares[-1] * y
    found = found / bend
    for (s, y), share in zip(kept, reversed(shares), strict=True):
        found = found + (share - (y @ found) / (s @ y)) * s
    return found
