"""The likelihood of several tensors that share factors: a sum, each of some of the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gcp.analysis.information import Likelihood
from gcp.analysis.parameter_layout import ParameterLayout, parameters
from gcp.base.alignment import places_among
from gcp.base.types import Array, FloatArray
from gcp.coupled import CoupledResult


@dataclass(frozen=True)
class JointLayout:
    """The parameters of all tensors, and where each one's are among them.

    Attributes
    ----------
    whole : ParameterLayout
        Of all modes that some tensor has, and their positions; then what tensors have of their own.
    own : dict of str to ParameterLayout
        Of each tensor.
    places : dict of str to ndarray of int, shapes (p,)
        Of each tensor's parameters among all.
    """

    whole: ParameterLayout
    own: dict[str, ParameterLayout]
    places: dict[str, Array]

    @classmethod
    def of(cls, result: CoupledResult) -> tuple[JointLayout, FloatArray]:
        """Return the layout of a result, and the values (P,) of the parameters."""
        factors = _sized_factors(result)
        rank, names = result.rank, list(factors)
        first = np.cumsum([0, *(a.size for a in factors.values())]).tolist()
        values, size = [a.ravel() for a in factors.values()], first[-1]
        own, places = {}, {}
        for name, one in result.items():
            layout, theta = parameters(one)
            at = []
            for n, mode in enumerate(one.labels.names):
                rows = _rows(result, one.labels.coords[n], names.index(mode), one.shape[n])
                at.append(first[names.index(mode)] + rows[:, None] * rank + np.arange(rank))
            beside = theta[sum(a.size for a in at) :]
            places[name] = np.concatenate([*(a.ravel() for a in at), size + np.arange(len(beside))])
            own[name], size = layout, size + len(beside)
            values.append(beside)
        free, bound = np.ones(size, bool), np.zeros(size, bool)
        for name, layout in own.items():
            free[places[name]] &= layout.free
            bound[places[name]] |= layout.bound
        shape, signs = tuple(len(a) for a in factors.values()), [np.ones(rank)] * len(factors)
        whole = ParameterLayout(
            shape, rank, first[:-1], signs, {}, None, slice(size, size), size, free, bound, {}
        )
        return cls(whole, own, places), np.concatenate(values)


def _sized_factors(result: CoupledResult) -> dict[str, FloatArray]:
    """Return the factors (I_n, R) of all modes, of the result's signs, and of sizes by which models are products."""
    found = {}
    for name, a in result.factors.items():
        own = np.nan_to_num(np.asarray(a, dtype=float))
        found[name] = own * np.abs(np.sum(own * result.fitted_factors[name], axis=0))
    return found


def _rows(result: CoupledResult, coords: Array | None, mode: int, size: int) -> Array:
    """Return the rows (I_n,) of a mode's factor that are a tensor's positions."""
    every = result.labels.coords[mode]
    return np.arange(size) if coords is None or every is None else places_among(coords, every)


@dataclass(frozen=True)
class JointLikelihood:
    """The sum of the log-likelihoods of several tensors, as a function of the parameters of all of them.

    Attributes
    ----------
    parts : dict of str to Likelihood
        Of each tensor, with the scale of its own dispersion.
    joint : JointLayout
    """

    parts: dict[str, Likelihood]
    joint: JointLayout

    scale: ClassVar[float] = 1.0
    """The parts are divided by theirs."""

    @property
    def layout(self) -> ParameterLayout:
        """The layout of the parameters of all."""
        return self.joint.whole

    @property
    def is_nonnegative(self) -> bool:
        """Whether some tensor's model is."""
        return any(part.is_nonnegative for part in self.parts.values())

    def information(self, theta: FloatArray) -> FloatArray:
        """Return the expected information (P, P) about theta (P,)."""
        return self.summed({name: part.information(theta[at]) for name, part, at in self._places()})

    def summed(self, own: dict[str, FloatArray]) -> FloatArray:
        """Return the sum, shape (P, P), of matrices (p, p) of tensors' own parameters."""
        total = np.zeros((self.layout.size, self.layout.size))
        for name, matrix in own.items():
            at = self.joint.places[name]
            total[np.ix_(at, at)] += matrix
        return total

    def score(self, theta: FloatArray) -> FloatArray:
        """Return the derivatives (P,) of the log-likelihood."""
        total = np.zeros(self.layout.size)
        for _, part, at in self._places():
            total[at] += part.score(theta[at])
        return total

    def change(self, theta: FloatArray, step: FloatArray) -> float:
        """Return the largest change of an entry along a step (P,); see `Likelihood`."""
        return max(part.change(theta[at], step[at]) for _, part, at in self._places())

    def is_near_bound(self, theta: FloatArray, other: FloatArray) -> bool:
        """Return whether entries of some model come near their bound on the way; see `Likelihood`."""
        return any(part.is_near_bound(theta[at], other[at]) for _, part, at in self._places())

    def at_bound(self, theta: FloatArray) -> Array:
        """Return a mask (P,) of parameters at a bound that keep entries of some model there."""
        held = np.zeros(self.layout.size, bool)
        for _, part, at in self._places():
            held[at] |= part.at_bound(theta[at])
        return held & self.layout.bound

    def biases(self, theta: FloatArray, covariance: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the information times the first-order bias of estimates, two vectors (P,); see `Likelihood`."""
        entries, curved = np.zeros((2, self.layout.size))
        for _, part, at in self._places():
            of_entries, of_curved = part.biases(theta[at], covariance[np.ix_(at, at)])
            entries[at] += of_entries
            curved[at] += of_curved
        return entries, curved

    def _places(self) -> list[tuple[str, Likelihood, Array]]:
        return [(name, part, self.joint.places[name]) for name, part in self.parts.items()]


AnyLikelihood = Likelihood | JointLikelihood
