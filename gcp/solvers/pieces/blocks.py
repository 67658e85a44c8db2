"""The layout of factors in padded vectors, one block per free factor (see `gauss_newton`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray


class Blocks(NamedTuple):
    """The layout of factors in a padded vector.

    Attributes
    ----------
    starts : ndarray, shape (B + 1,)
    rank : int
        Of the padded blocks.
    places : ndarray, shape (n,)
        Where each number of the packed vector stands in the padded one.
    """

    starts: Array
    rank: int
    places: Array

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...]) -> Blocks:
        """Return the layout for factors of these shapes, (I, R)."""
        rank = -(-shapes[0][1] // 4) * 4
        widths = [-(-rows // 32) * 32 for rows, _ in shapes]
        starts = np.concatenate([[0], np.cumsum([rank * width for width in widths])])
        places = [
            (first + np.arange(rows)[:, None] + width * np.arange(columns)).ravel()
            for first, width, (rows, columns) in zip(starts[:-1], widths, shapes, strict=True)
        ]
        return cls(starts, rank, np.concatenate(places))

    def pad(self, vector: Array) -> FloatArray:
        """Return a packed vector (n,), factors row by row, one behind the other, in the padded form (starts[-1],)."""
        padded = np.zeros(self.starts[-1])
        padded[self.places] = vector
        return padded

    def unpad(self, padded: Array) -> FloatArray:
        """Return the packed vector (n,) of a padded one (starts[-1],)."""
        found: FloatArray = padded[self.places]
        return found
