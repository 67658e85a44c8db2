"""The layout of factors in padded vectors, one block per free factor (see `gauss_newton`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.kernels.shared.jit import jit


class Blocks(NamedTuple):
    """The layout of factors in a padded vector.

    Attributes
    ----------
    shapes : ndarray, shape (B, 2)
        True sizes of the factors, (I, R).
    starts : ndarray, shape (B + 1,)
    rank : int
        Of the padded blocks.
    """

    shapes: Array
    starts: Array
    rank: int

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...]) -> Blocks:
        """Return the layout for factors of these shapes."""
        rank = -(-shapes[0][1] // 4) * 4
        lengths = [rank * (-(-rows // 32) * 32) for rows, _ in shapes]
        return cls(np.array(shapes), np.concatenate([[0], np.cumsum(lengths)]), rank)

    def pad(self, vector: Array) -> FloatArray:
        """Return a packed vector (n,), factors row by row, one behind the other, in the padded form (starts[-1],)."""
        padded = np.zeros(self.starts[-1])
        _pad(vector, self.shapes, self.starts, self.rank, padded)
        return padded

    def unpad(self, padded: Array) -> FloatArray:
        """Return the packed vector (n,) of a padded one (starts[-1],)."""
        vector = np.empty(int(self.shapes.prod(axis=1).sum()))
        _unpad(padded, self.shapes, self.starts, self.rank, vector)
        return vector


@jit
def _pad(vector, shapes, starts, rank, padded):  # type: ignore[no-untyped-def]
    at = 0
    for b in range(shapes.shape[0]):
        n, n_components = shapes[b]
        width = (starts[b + 1] - starts[b]) // rank
        for i in range(n):
            for r in range(n_components):
                padded[starts[b] + r * width + i] = vector[at + i * n_components + r]
        at += n * n_components


@jit
def _unpad(padded, shapes, starts, rank, vector):  # type: ignore[no-untyped-def]
    at = 0
    for b in range(shapes.shape[0]):
        n, n_components = shapes[b]
        width = (starts[b + 1] - starts[b]) // rank
        for i in range(n):
            for r in range(n_components):
                vector[at + i * n_components + r] = padded[starts[b] + r * width + i]
        at += n * n_components
