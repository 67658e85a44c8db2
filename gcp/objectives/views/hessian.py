"""Up to which size the matrix of all second derivatives pays, and what penalties add to it."""

from __future__ import annotations

import numpy as np

from gcp.base.types import Factors, FloatArray

MOST_CELLS = 1 << 17
"""Cells of a tensor up to which the matrix pays; beyond, a pass in blocks is far faster than whole arrays."""

MOST_ENTRIES = 750
"""Entries of all factors up to which it pays: a step takes the third power of them, a pass the first."""


def add_components(matrix: FloatArray, factors: Factors, components: FloatArray) -> None:
    """Add second derivatives within components to a matrix (n, n) of all entries of factors (I_n, R), in place.

    `components` are of the columns of one component, mode by mode, shape (R, sum of I_n, sum of I_n).
    """
    rank = len(components)
    whole = matrix.reshape(sum(map(len, factors)), rank, -1, rank)
    np.einsum("irjr->rij", whole)[:] += components
