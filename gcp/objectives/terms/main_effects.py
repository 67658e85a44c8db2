"""Main effects: one number per position of a mode, added to the components of the model.

To solvers, the effects of a mode are one more column of its factor, and of all other factors a column of ones that
bounds hold: a component like any other. Objectives take these columns apart again, for adding numbers costs next to
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp.base.types import Array, Factors, FloatArray


@dataclass(frozen=True)
class MainEffects:
    """The modes that have main effects, and the number of components before their columns.

    Attributes
    ----------
    modes : tuple of int
        The k-th has its effects in column `rank` + k of its factor.
    rank : int
        Number of components.
    """

    modes: tuple[int, ...]
    rank: int

    @property
    def centred_columns(self) -> tuple[int, ...]:
        """The columns whose effects a ridge counts from their mean, so that the intercept is free of it."""
        return (self.rank,)

    def components(self, factors: Factors) -> list[FloatArray]:
        """Return the factors without the columns of effects, shapes (I_n, R)."""
        return [a[:, : self.rank] for a in factors]

    def vectors(self, factors: Factors) -> list[FloatArray]:
        """Return the effects of every mode, shapes (I_n,); zeros where it has none."""
        found = [np.zeros(len(a), np.asarray(a).dtype) for a in factors]
        for k, mode in enumerate(self.modes):
            found[mode] = np.ascontiguousarray(factors[mode][:, self.rank + k])
        return found

    def joined(self, components: Factors, vectors: Factors, elsewhere: float = 1.0) -> list[FloatArray]:
        """Return components (I_n, R) and vectors (I_n,) as factors; other modes' columns of effects are `elsewhere`.

        Joins gradients too, with 0 elsewhere.
        """
        found = []
        for n, a in enumerate(components):
            wide = np.full((len(a), self.rank + len(self.modes)), elsewhere, np.asarray(a).dtype)
            wide[:, : self.rank] = a
            if n in self.modes:
                wide[:, self.rank + self.modes.index(n)] = vectors[n]
            found.append(wide)
        return found

    def limits(
        self, lower: Factors, upper: Factors, floor: float
    ) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
        """Return bounds (I_n, R) with the columns of effects: `floor` or no bound for the effects, 1 for all else."""
        floors = [np.full(len(a), floor) for a in lower]
        tops = [np.full(len(a), np.inf) for a in upper]
        return tuple(self.joined(lower, floors)), tuple(self.joined(upper, tops))

    def centred(self, vectors: Factors, known: Sequence[Array]) -> tuple[float, dict[int, FloatArray]]:
        """Return the intercept, and the effects (I_n,) of each mode less their means, which it holds.

        Positions of which nothing is known (False in `known`) have no part in a mean, and the effect 0.
        """
        means = {mode: float(np.mean(vectors[mode][known[mode]], dtype=float)) for mode in self.modes}
        centred = {mode: np.where(known[mode], vectors[mode] - means[mode], 0.0) for mode in self.modes}
        return sum(means.values()), centred

    def lifted(self, vectors: Factors) -> list[FloatArray]:
        """Return effects (I_n,) of equal sum, each mode's moved up to 0 at least at the cost of the first's."""
        found = [np.array(v, dtype=float) for v in vectors]
        for mode in self.modes[1:]:
            low = min(float(found[mode].min()), 0.0)
            found[mode] -= low
            found[self.modes[0]] += low
        return found

    def uncentred(
        self, intercept: float, effects: dict[int, FloatArray], shape: Sequence[int]
    ) -> list[FloatArray]:
        """Return the effects (I_n,) of every mode, the intercept among those of the first that has any."""
        found = [np.asarray(effects.get(n, np.zeros(size)), dtype=float) for n, size in enumerate(shape)]
        found[self.modes[0]] = found[self.modes[0]] + intercept
        return found


@dataclass(frozen=True)
class EffectsOfTensors(MainEffects):
    """The main effects of several tensors that share factors: each tensor has columns of its own.

    Attributes
    ----------
    modes : tuple of int
        The k-th column after the components has effects of this mode; a mode of two tensors may be there twice.
    rank : int
        Number of components.
    firsts : tuple of int
        Of each tensor with effects, the first of its columns after the components.
    """

    firsts: tuple[int, ...]

    @property
    def centred_columns(self) -> tuple[int, ...]:
        """See `MainEffects`: one for each tensor."""
        return tuple(self.rank + k for k in self.firsts)

    def widened(
        self, components: Factors, vectors: Sequence[FloatArray], elsewhere: float = 1.0
    ) -> list[FloatArray]:
        """Return components (I_n, R) with a column for each of the vectors, (I_n,); in other modes `elsewhere`."""
        found = []
        for n, a in enumerate(components):
            wide = np.full((len(a), self.rank + len(self.modes)), elsewhere, np.asarray(a).dtype)
            wide[:, : self.rank] = a
            for k, (mode, vector) in enumerate(zip(self.modes, vectors, strict=True)):
                if mode == n:
                    wide[:, self.rank + k] = vector
            found.append(wide)
        return found
