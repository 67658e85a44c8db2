"""The layout of factors in padded vectors, one block per free factor (see `gauss_newton`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.solvers.pieces.packing import Packing


@dataclass(frozen=True)
class Blocks(Packing):
    """Factors transposed, each in a block of `rank` rows of a multiple of 32 numbers."""

    @cached_property
    def rank(self) -> int:
        """Number of rows of a block: that of columns, up to a multiple of 4."""
        return -(-self.shapes[0][1] // 4) * 4

    @cached_property
    def starts(self) -> Array:
        """Where each block starts, and the end, shape (N + 1,)."""
        lengths = [self.rank * (-(-rows // 32) * 32) for rows, _ in self.shapes]
        return np.concatenate([[0], np.cumsum(lengths)])

    def pack(self, factors: Sequence[Array], *, elsewhere: float = 0.0) -> FloatArray:
        """Return factors (I_n, R) in a new padded vector (starts[-1],), with a number at places that none takes."""
        padded = np.full(self.starts[-1], elsewhere)
        for own, a in zip(self.unpack(padded), factors, strict=True):
            own[:] = a
        return padded

    def unpack(self, vector: Array) -> list[Array]:
        """Return views (I_n, R), transposed, into a padded vector (starts[-1],); leading axes hold several."""
        bounds = self.starts.tolist()
        return [
            vector[..., a:b].reshape(*vector.shape[:-1], self.rank, -1)[..., :columns, :rows].swapaxes(-1, -2)
            for (rows, columns), a, b in zip(self.shapes, bounds, bounds[1:], strict=False)
        ]
