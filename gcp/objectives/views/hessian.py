"""Up to which size the matrix of all second derivatives pays, and what penalties add to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp.base.types import FloatArray

MOST_CELLS = 1 << 17
"""Cells of a tensor up to which the matrix pays; beyond, a pass in blocks is far faster than whole arrays."""

MOST_ENTRIES = 750
"""Entries of all factors up to which it pays: a step takes the third power of them, a pass the first."""


def _own(matrix: FloatArray, first: int, shape: tuple[int, int]) -> FloatArray:
    """Return a factor's part of the matrix (n, n), a view of shape (I, R, I, R)."""
    at = slice(first, first + shape[0] * shape[1])
    return matrix[at, at].reshape(*shape, *shape)


def add_columns(matrix: FloatArray, columns: Sequence[FloatArray]) -> None:
    """Add second derivatives within each column of each factor, shapes (R, I_n, I_n), to a matrix (n, n) in place."""
    first = 0
    for own in columns:
        shape = own.shape[1], own.shape[0]
        np.einsum("irjr->rij", _own(matrix, first, shape))[:] += own
        first += own.shape[0] * own.shape[1]
