"""The layout of factors in padded vectors, one block per free factor (see `gauss_newton`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray


class Blocks(NamedTuple):
    """The layout of factors in a padded vector.

    Attributes
    ----------
    shapes : tuple of (int, int)
        True sizes of the factors, (I, R).
    starts : ndarray, shape (B + 1,)
    rank : int
        Of the padded blocks.
    """

    shapes: tuple[tuple[int, int], ...]
    starts: Array
    rank: int

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...]) -> Blocks:
        """Return the layout for factors of these shapes."""
        rank = -(-shapes[0][1] // 4) * 4
        lengths = [rank * (-(-rows // 32) * 32) for rows, _ in shapes]
        return cls(shapes, np.concatenate([[0], np.cumsum(lengths)]), rank)

    def pad(self, vector: Array) -> FloatArray:
        """Return a packed vector (n,), factors row by row, one behind the other, in the padded form (starts[-1],)."""
        padded = np.zeros(self.starts[-1])
        for own, turned in self._factors(vector, padded):
            turned[:] = own.T
        return padded

    def unpad(self, padded: Array) -> FloatArray:
        """Return the packed vector (n,) of a padded one (starts[-1],)."""
        vector = np.empty(sum(rows * columns for rows, columns in self.shapes))
        for own, turned in self._factors(vector, padded):
            own[:] = turned.T
        return vector

    def _factors(self, vector: Array, padded: Array) -> Iterator[tuple[Array, Array]]:
        """Yield each factor in a packed vector (n,), a view (I, R), and in a padded one (starts[-1],), (R, I)."""
        at = 0
        for (rows, columns), (first, last) in zip(self.shapes, pairwise(self.starts.tolist()), strict=True):
            own = vector[at : at + rows * columns].reshape(rows, columns)
            yield own, padded[first:last].reshape(self.rank, -1)[:columns, :rows]
            at += rows * columns
