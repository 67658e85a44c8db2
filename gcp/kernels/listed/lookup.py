"""Search for given cells in a sorted list of cells."""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array


def first_of_slices(subs: Array, size: int) -> Array:
    """Return where the entries of each position of the first column begin, shape (size + 1,).

    The array is empty if it would outgrow the list itself. A search then looks through one slice, a few neighbouring
    cache lines, instead of the whole list.
    """
    if size > 4 * len(subs) + 65536:
        return np.empty(0, np.int64)
    first = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(subs[:, 0], minlength=size), out=first[1:])
    return first


def positions(subs: Array, first: Array, cells: Array) -> Array:
    """Return the position in a sorted list of each of some cells, shape (n,), -1 for those that are not in it.

    Parameters
    ----------
    subs : ndarray of uint32 or uint64, shape (entries, N)
        Sorted, the first column slowest.
    first : ndarray of int64, shape (size of the first mode + 1,)
        Of `first_of_slices`.
    cells : ndarray of the same type, shape (n, N)
    """
    found = np.empty(len(cells), np.int64)
    _search(subs, first, np.ascontiguousarray(cells, subs.dtype), found)
    return found


@jit
def _search(subs, first, cells, found):  # type: ignore[no-untyped-def]
    n_modes = subs.shape[1]
    for k in range(cells.shape[0]):
        low, high = 0, subs.shape[0]
        if first.size:
            low, high = first[cells[k, 0]], first[cells[k, 0] + 1]
        end = high
        while low < high:  # the first entry that is not before the cell
            middle = (low + high) // 2
            if _is_before(subs, middle, cells, k):
                low = middle + 1
            else:
                high = middle
        same = low < end
        for n in range(n_modes):
            same = same and subs[low, n] == cells[k, n]
        found[k] = low if same else -1


@jit_part
def _is_before(subs, e, cells, k):  # type: ignore[no-untyped-def]
    for n in range(subs.shape[1]):
        if subs[e, n] != cells[k, n]:
            return subs[e, n] < cells[k, n]
    return False
