"""Problems without the positions of which no entry is listed.

Of lists of entries in long modes, most positions may have none. Where the loss of a zero has its minimum at a model
of 0, their rows are 0 in every fit, and change nothing for the others: time and memory need not follow their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcp.base.alignment import Alignment
from gcp.base.types import Array, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.problem import Problem
from gcp.tensors.kinds import stored
from gcp.tensors.rearranged import rearranged

_LEAST = 1 << 16
"""Rows of all factors from which on it pays to look for those without entries."""

_SHARE = 0.5
"""Largest share of rows with entries for which a smaller problem is made."""


@dataclass(frozen=True)
class Compaction:
    """Which positions of each mode have entries.

    Attributes
    ----------
    positions : tuple of ndarray of int, shapes (K_n,)
        Increasing.
    shape : tuple of int
        Of all positions.
    """

    positions: tuple[Array, ...]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem) -> Compaction | None:
        """Return which positions have entries if the problem is as well solved on them alone, and much smaller."""
        tensor = problem.tensor
        n_rows = sum(tensor.shape)
        if tensor.parts is not None or n_rows < max(_LEAST, len(tensor.values)):
            return None
        if (
            not (_is_plain(problem) and _zeros_are_still(problem))
            or (masks := tensor.listed_positions()) is None
        ):
            return None
        for group in problem.parametrisation.groups:
            shared = np.logical_or.reduce([masks[n] for n in group])
            masks = [shared if n in group else mask for n, mask in enumerate(masks)]
        positions = tuple(map(np.flatnonzero, masks))
        if sum(map(len, positions)) > _SHARE * n_rows:
            return None
        return cls(positions, tensor.shape)

    def compacted(self, problem: Problem) -> Problem:
        """Return the problem on the positions with entries."""
        reading = Alignment(tuple(range(len(self.shape))), self.positions)
        tensor = rearranged(stored(problem.tensor), reading)
        sides = problem.bounds.lower, problem.bounds.upper
        lower, upper = (tuple(a[k] for a, k in zip(side, self.positions, strict=True)) for side in sides)
        return replace(problem, tensor=tensor, bounds=Bounds(lower, upper))

    def whole(self, rows: Sequence[FloatArray]) -> list[FloatArray]:
        """Return factors (I_n, R) of all positions from those of positions with entries, (K_n, R); others are 0.

        Pages of memory that hold nothing else take none until they are read.
        """
        found = [np.zeros((size, a.shape[1]), a.dtype) for size, a in zip(self.shape, rows, strict=True)]
        for a, own, k in zip(found, rows, self.positions, strict=True):
            a[k] = own
        return found


def _is_plain(problem: Problem) -> bool:
    """Return whether nothing but the data and a ridge decides about a row: no fixed factor, map or main effect."""
    parametrisation = problem.parametrisation
    is_free = not (parametrisation.fixed or parametrisation.maps or problem.effect_modes)
    has_ridge = all(type(penalty) is Ridge for penalty in problem.penalties.of_components)
    return is_free and has_ridge and not problem.tensor.is_affine


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
