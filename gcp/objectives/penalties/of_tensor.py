"""A penalty of one of several tensors that share factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.penalties.base import FactorQuadratic, Penalty


@dataclass(frozen=True, eq=False)
class OfTensor(Penalty):
    """A penalty on the components of one tensor, times a weight.

    What a component adds to a tensor is the product of the factors of that tensor's modes: of these a penalty that no
    rescaling evades is made, once for each tensor that has the mode.

    Parameters
    ----------
    penalty : Penalty
        Of the tensor's own modes, in its units.
    modes : tuple of int
        Which modes of the whole these are; all rows of their factors count.
    weight : float
        That of the tensor.
    """

    penalty: Penalty
    modes: tuple[int, ...]
    weight: float

    @property
    def is_steep(self) -> bool:  # type: ignore[override]
        """See `Penalty`."""
        return self.penalty.is_steep

    @property
    def needs_nonnegative(self) -> bool:  # type: ignore[override]
        """See `Penalty`."""
        return self.penalty.needs_nonnegative

    @property
    def tells_components_apart(self) -> bool:  # type: ignore[override]
        """See `Penalty`."""
        return self.penalty.tells_components_apart

    @property
    def has_hessian(self) -> bool:
        """See `Penalty`."""
        return self.penalty.has_hessian

    def _own(self, arrays: Sequence[Any]) -> list[Any]:
        return [arrays[n] for n in self.modes]

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        return self.weight * self.penalty.value(self._own(factors))

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        own = [np.zeros(np.shape(factors[n])) for n in self.modes]
        self.penalty.add_grad(self._own(factors), own)
        for n, part in zip(self.modes, own, strict=True):
            grad[n][:] += self.weight * part

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic | None:
        """Return the penalty as a function of one mode's factor (I_n, R), if that is quadratic."""
        if mode not in self.modes:
            return None
        found = self.penalty.quadratic(self.modes.index(mode), self._own(factors))
        return None if found is None else found._replace(strengths=self.weight * found.strengths)

    def curvature(self, factors: Factors) -> FloatArray:
        """Return the mean second derivative in an entry of each factor, shape (N,)."""
        found = np.zeros(len(factors))
        found[list(self.modes)] = self.weight * self.penalty.curvature(self._own(factors))
        return found

    def component_hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, shape (R, sum of I_n, sum of I_n)."""
        ends = np.cumsum([0, *map(len, factors)])
        places = np.concatenate([np.arange(ends[n], ends[n + 1]) for n in self.modes])
        found = np.zeros((np.shape(factors[0])[1], ends[-1], ends[-1]))
        found[:, places[:, None], places] = self.weight * self.penalty.component_hessian(self._own(factors))
        return found

    def unsuited(self, lower: Factors) -> str:
        """Return why it does not suit factors with such lower bounds (I_n, R), in a sentence; empty if it does."""
        return self.penalty.unsuited(self._own(lower))

    def determined(self, mode: int, known: Array, rank: int) -> Array:
        """Return a mask (I_n,) of positions of a mode that it determines, beside those that data do (`known`)."""
        if mode not in self.modes:
            return np.zeros_like(known)
        return self.penalty.determined(self.modes.index(mode), known, rank)
