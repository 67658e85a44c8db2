"""The second derivatives of a sum of losses over all cells of a tensor in the entries of its factors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from gcp.base.types import Factors, FloatArray

MOST_CELLS = 1 << 17
"""Cells of a tensor up to which the matrix pays; beyond, a pass in blocks is far faster than whole arrays."""

MOST_ENTRIES = 750
"""Entries of all factors up to which it pays: a step takes the third power of them, a pass the first."""


def of_factors(first: FloatArray, second: FloatArray, factors: Factors) -> FloatArray:
    """Return the matrix of second derivatives, shape (n, n), of n = sum of I_n R entries, factors row by row.

    For an entry m = sum over r of the product over modes of a_n(i_n, r), and its loss f(m),

        d2f / da_p(i, r) da_q(j, s) = f'' dm/da_p(i, r) dm/da_q(j, s) + f' d2m / da_p(i, r) da_q(j, s);

    both are summed over the modes other than p and q at once, by a product of matrices (Acar, Dunlavy & Kolda 2011
    have the second term for squares). About cells * R**2 * N**2 / 2 multiplications.

    Parameters
    ----------
    first, second : ndarray, shape (I_0, ..., I_{N-1}), N >= 2
        Derivatives of the loss in the model's entries.
    factors : sequence of ndarray, shapes (I_n, R)
    """
    rank, shapes = factors[0].shape[1], [a.shape for a in factors]
    starts = np.cumsum([0, *(a.size for a in factors)]).tolist()
    found = np.zeros((starts[-1], starts[-1]))
    of_rows = [
        np.einsum("iris->irs", _own(found, first, shape))
        for first, shape in zip(starts, shapes, strict=False)
    ]
    for p, q in combinations(range(len(factors)), 2):
        a, b = factors[p], factors[q]
        rest = _khatri_rao([factors[n] for n in range(len(factors)) if n not in (p, q)], rank)
        squares = (rest[:, :, None] * rest[:, None, :]).reshape(len(rest), -1)
        bends = (_unfolded(second, p, q) @ squares).reshape(len(a), len(b), rank, rank)
        if (p, q) == (0, 1):
            of_rows[0][:] = (bends * (b[:, :, None] * b[:, None])).sum(axis=1)
        bends *= a[:, None, None]
        if p == 0:
            of_rows[q][:] = (bends * a[:, None, :, None]).sum(axis=0)
        bends *= b[:, :, None]
        slopes = (_unfolded(first, p, q) @ rest).reshape(len(a), len(b), rank)
        np.einsum("ijrr->ijr", bends)[:] += slopes
        above = found[starts[p] : starts[p + 1], starts[q] : starts[q + 1]]
        above.reshape(*a.shape, *b.shape).transpose(0, 2, 1, 3)[:] = bends
        found[starts[q] : starts[q + 1], starts[p] : starts[p + 1]] = above.T
    return found


def _khatri_rao(factors: Factors, rank: int) -> FloatArray:
    """Return the rows of the Khatri-Rao product of factors (I_n, R), the last mode fastest; one row without any."""
    found = factors[0] if factors else np.ones((1, rank))
    for a in factors[1:]:
        found = (found[:, None] * a).reshape(-1, rank)
    return found


def _unfolded(tensor: FloatArray, p: int, q: int) -> FloatArray:
    """Return a tensor as a matrix, shape (I_p I_q, product of the other sizes)."""
    rest = (n for n in range(tensor.ndim) if n not in (p, q))
    return tensor.transpose(p, q, *rest).reshape(tensor.shape[p] * tensor.shape[q], -1)


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
