"""Factors as one vector, for solvers that work on vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np

from gcp.base.types import Array, Factors, FloatArray


@dataclass(frozen=True)
class Packing:
    """Shapes of the factors that a vector holds, one behind the other."""

    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, factors: Factors) -> Self:
        """Return the packing of such factors, shapes (I_n, R)."""
        return cls(tuple((a.shape[0], a.shape[1]) for a in factors))

    @cached_property
    def starts(self) -> Array:
        """Where each factor starts in the vector, and its end, shape (N + 1,)."""
        return np.concatenate([[0], np.cumsum([rows * columns for rows, columns in self.shapes])])

    def pack(self, factors: Sequence[Array], *, elsewhere: float = 0.0) -> FloatArray:
        """Return factors (I_n, R) in a new float64 vector (n,), with a number at places that no factor takes."""
        return np.concatenate([np.ravel(a) for a in factors], dtype=np.float64)

    def unpack(self, vector: Array) -> list[Array]:
        """Return views (I_n, R) into a vector (n,), one per factor; leading axes hold several vectors."""
        bounds = self.starts.tolist()
        return [
            vector[..., a:b].reshape(*vector.shape[:-1], *shape)
            for shape, a, b in zip(self.shapes, bounds, bounds[1:], strict=False)
        ]

    def runs(self, most: int) -> list[list[slice]]:
        """Return for each factor the places of its entries in a vector, so many at a time."""
        return [
            [slice(k, min(k + most, b)) for k in range(a, b, most)] for a, b in pairwise(self.starts.tolist())
        ]

    @staticmethod
    def norms_of(part: Callable[[slice], FloatArray], runs: Sequence[Sequence[slice]]) -> FloatArray:
        """Return the Frobenius norm of each factor, shape (N,), in a vector of which `part` gives runs of places."""
        return np.sqrt([sum(float(own @ own) for own in map(part, places)) for places in runs])

    def norms(self, vector: Array) -> FloatArray:
        """Return the Frobenius norm of each factor in a vector (n,), shape (N,)."""
        if not self.shapes[0][1]:
            return np.zeros(len(self.shapes))
        squares: FloatArray = np.add.reduceat(vector * vector, self.starts[:-1])
        return np.sqrt(squares)
