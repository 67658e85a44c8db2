"""Problems without the positions of which no entry is listed.

Of lists of entries in long modes, most positions may have none. Where the loss of a zero has its minimum at a model
of 0, their rows are 0 in every fit, and change nothing for the others: time and memory need not follow their number.
Where zeros want other models, all these positions have one and the same problem, and one row serves for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from gcp.base.alignment import Alignment
from gcp.base.types import Array, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.penalties.repeated_ridge import RepeatedRidge
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.problem import Problem
from gcp.objectives.zero_policy import ZeroPolicy
from gcp.tensors.kinds import stored
from gcp.tensors.rearranged import rearranged
from gcp.tensors.sparse import SparseTensor

_LEAST = 1 << 16
"""Rows of all factors from which on it pays to look for those without entries."""

_SHARE = 0.5
"""Largest share of rows with entries for which a smaller problem is made."""

_MODELS = np.linspace(-40.0, 40.0, 321)
"""Models at which a loss is looked at."""


@dataclass(frozen=True)
class Compaction:
    """Which positions of each mode have entries.

    Attributes
    ----------
    positions : tuple of ndarray of int, shapes (K_n,)
        Increasing.
    shape : tuple of int
        Of all positions.
    has_rest : bool
        Whether a row after those of the positions stands for all others of its mode, if there are any; else others
        have rows of 0.
    """

    positions: tuple[Array, ...]
    shape: tuple[int, ...]
    has_rest: bool = False

    @classmethod
    def of(cls, problem: Problem) -> Compaction | None:
        """Return which positions have entries if the problem is as well solved on them alone, and much smaller."""
        tensor = problem.tensor
        if tensor.parts is not None or not _is_plain(problem):
            return None
        n_rows, has_rest = sum(tensor.shape), not _zeros_are_still(problem)
        if has_rest and (ZeroPolicy(tensor, problem.loss).are_affordable or not _one_row_serves(problem)):
            return None
        if n_rows < (len(tensor.values) if has_rest else max(_LEAST, len(tensor.values))):
            return None
        if (masks := tensor.listed_positions()) is None:
            return None
        for group in problem.parametrisation.groups:
            shared = np.logical_or.reduce([masks[n] for n in group])
            masks = [shared if n in group else mask for n, mask in enumerate(masks)]
        positions = tuple(map(np.flatnonzero, masks))
        if sum(map(len, positions)) > _SHARE * n_rows:
            return None
        found = cls(positions, tensor.shape, has_rest)
        return found if not has_rest or found.has_even_bounds(problem.bounds) else None

    @cached_property
    def taken(self) -> tuple[Array, ...]:
        """Which positions have a row in the smaller problem: those with entries, and the first of the others."""
        if not self.has_rest:
            return self.positions
        return tuple(
            np.append(k, first) if (first := _first_without(k)) < size else k
            for k, size in zip(self.positions, self.shape, strict=True)
        )

    def has_even_bounds(self, bounds: Bounds) -> bool:
        """Return whether bounds (I_n, R) are the same for all positions of a mode without entries."""
        for side in (bounds.lower, bounds.upper):
            for a, k, taken in zip(side, self.positions, self.taken, strict=True):
                if len(taken) > len(k) and (np.delete(a, k, axis=0) != a[taken[-1]]).any():
                    return False
        return True

    def compacted(self, problem: Problem) -> Problem:
        """Return the problem on the positions with entries, and on one of the others that counts for all of them."""
        reading = Alignment(tuple(range(len(self.shape))), self.taken)
        tensor = rearranged(stored(problem.tensor), reading)
        sides = problem.bounds.lower, problem.bounds.upper
        lower, upper = (tuple(a[k] for a, k in zip(side, self.taken, strict=True)) for side in sides)
        found = replace(problem, tensor=tensor, bounds=Bounds(lower, upper))
        if not self.has_rest:
            return found
        counts = tuple(map(self._counts, range(len(self.shape))))
        assert isinstance(tensor, SparseTensor)
        ridges = tuple(RepeatedRidge(ridge.strength, counts) for ridge in problem.penalties.of_components)  # type: ignore[attr-defined]
        penalties = replace(problem.penalties, of_components=ridges)
        own = tensor.weighted(tensor.entries.weights, counts)
        return replace(found, tensor=own, penalties=penalties)

    def _counts(self, mode: int) -> FloatArray:
        """Return for how many positions of a mode each row stands, shape (K_n,) or (K_n + 1,)."""
        counts = np.ones(len(self.taken[mode]))
        if len(counts) > len(self.positions[mode]):
            counts[-1] = self.shape[mode] - len(self.positions[mode])
        return counts

    def whole(self, rows: Sequence[FloatArray]) -> list[FloatArray]:
        """Return factors (I_n, R) of all positions from the rows of the smaller problem's.

        Rows of positions without entries are 0, or the one that stands for all. Pages of memory that hold nothing but
        zeros take none until they are read.
        """
        found = [np.zeros((size, a.shape[1]), a.dtype) for size, a in zip(self.shape, rows, strict=True)]
        for a, own, k in zip(found, rows, self.positions, strict=True):
            if len(own) > len(k):
                a[:] = own[-1]
            a[k] = own[: len(k)]
        return found


def _first_without(positions: Array) -> int:
    """Return the first whole number that is not among these (K,), which increase."""
    gaps = np.flatnonzero(positions != np.arange(len(positions)))
    return int(gaps[0]) if len(gaps) else len(positions)


def _one_row_serves(problem: Problem) -> bool:
    """Return whether rows of positions without entries may be equal in a minimum.

    They have the same problem, and if that is convex, their mean is no worse than they are.
    """
    zeros = problem.tensor.zeros
    if problem.parametrisation.tied or zeros is None or any(vectors is not None for vectors in zeros):
        return False
    with np.errstate(all="ignore"):
        models = _MODELS[problem.loss.model_domain.low <= _MODELS]
        bends = problem.loss.formula.d2f(np.zeros_like(models), models, *problem.loss.formula.params)
    return bool(np.all(bends >= 0))


def _is_plain(problem: Problem) -> bool:
    """Return whether nothing but the data and a ridge decides about a row.

    No fixed factor, map, main effect, or parameter of a position does.
    """
    parametrisation = problem.parametrisation
    is_free = not (parametrisation.fixed or parametrisation.maps or problem.effect_modes)
    ridges = problem.penalties.of_components
    has_ridge = all(isinstance(one, Ridge) and one.mode is None for one in ridges)
    return is_free and has_ridge and not problem.tensor.is_affine and problem.loss.is_standard


def _zeros_are_still(problem: Problem) -> bool:
    """Return whether a row of 0 is within the bounds, and best where all entries are unknown, or zeros not listed.

    Such zeros must cost nothing at a model of 0, and no less elsewhere.
    """
    sides = zip(problem.bounds.lower, problem.bounds.upper, strict=True)
    if not all((low <= 0).all() and (high >= 0).all() for low, high in sides):
        return False
    loss = problem.loss
    if problem.tensor.zeros is None:
        return True
    if loss.model_domain.low >= 0 and not all((low >= 0).all() for low in problem.bounds.lower):
        return False
    return float(loss.saturated(0.0)) == 0.0 and float(loss.value(0.0, 0.0)) == 0.0
