"""Factors as one vector, for solvers that work on vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp.base.types import Array, Factors, FloatArray


@dataclass(frozen=True)
class Packing:
    """Shapes of the factors that a vector holds, one behind the other."""

    shapes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, factors: Factors) -> Packing:
        """Return the packing of such factors, shapes (I_n, R)."""
        return cls(tuple((a.shape[0], a.shape[1]) for a in factors))

    def pack(self, factors: Sequence[Array]) -> FloatArray:
        """Return factors (I_n, R) in a new float64 vector (n,)."""
        return np.concatenate([np.ravel(a) for a in factors]).astype(np.float64)

    def unpack(self, vector: Array) -> list[Array]:
        """Return views (I_n, R) into a vector (n,), one per factor; leading axes hold several vectors."""
        parts, at = [], 0
        for rows, columns in self.shapes:
            part = vector[..., at : at + rows * columns]
            parts.append(part.reshape(*part.shape[:-1], rows, columns))
            at += rows * columns
        return parts
