"""The second derivatives of a sum of losses over all cells of a tensor in the entries of its factors."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from gcp.base.compiler.jit import jit
from gcp.base.types import Factors, FloatArray


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
    rank = factors[0].shape[1]
    factors = [np.ascontiguousarray(a) for a in factors]
    starts = [0, *np.cumsum([a.size for a in factors]).tolist()]
    found = np.zeros((starts[-1], starts[-1]))
    for p, q in combinations(range(len(factors)), 2):
        rest = _khatri_rao([factors[n] for n in range(len(factors)) if n not in (p, q)], rank)
        squares = (rest[:, :, None] * rest[:, None, :]).reshape(len(rest), -1)
        bends, slopes = _unfolded(second, p, q) @ squares, _unfolded(first, p, q) @ rest
        _fill(found, bends, slopes, factors[p], factors[q], starts[p], starts[q], (p, q) == (0, 1), p == 0)
    return found


@jit
def _fill(found, bends, slopes, a, b, at_a, at_b, add_a, add_b):  # type: ignore[no-untyped-def]
    """Write the block of two factors (I, R) and (J, R), and add to those of either with itself, from rows `at`.

    `bends` (I J, R R) and `slopes` (I J, R) hold sums over all other modes.
    """
    rank = a.shape[1]
    for i in range(a.shape[0]):
        row = at_a + i * rank
        for j in range(b.shape[0]):
            column, ij = at_b + j * rank, i * b.shape[0] + j
            for r in range(rank):
                for s in range(rank):
                    bend = bends[ij, r * rank + s]
                    both = bend * a[i, s] * b[j, r]
                    if r == s:
                        both += slopes[ij, r]
                    found[row + r, column + s] = both
                    found[column + s, row + r] = both
                    if add_a:
                        found[row + r, row + s] += bend * b[j, r] * b[j, s]
                    if add_b:
                        found[column + r, column + s] += bend * a[i, r] * a[i, s]


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
