"""Listed entries in an order that suits the passes: sorted by subscripts, or grouped by those of one mode.

Sorting is by counting, one mode after the other: linear in the number of entries.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from gcp._typing import Array


def lexicographic(subs: Array, shape: Sequence[int], order: Sequence[int]) -> Array | None:
    """The permutation that sorts entries by their subscripts, the first mode of `order` slowest; a stable one.

    None if they are sorted already.
    """
    if is_sorted(subs, np.array(order)):
        return None
    found = np.arange(len(subs), dtype=np.uint32 if len(subs) <= 2**32 else np.int64)
    for mode in reversed(order):
        found = _sorted_by(subs, mode, shape[mode], found)
    return found


def grouped(subs: Array, mode: int, size: int) -> tuple[Array, Array]:
    """The stable permutation that sorts entries by one mode, and where each position's entries begin."""
    first = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(subs[:, mode], minlength=size), out=first[1:])
    before = np.arange(len(subs), dtype=np.uint32 if len(subs) <= 2**32 else np.int64)
    return _sorted_by(subs, mode, size, before), first


def _sorted_by(subs: Array, mode: int, size: int, before: Array) -> Array:
    if size > 4 * len(subs) + 65536:  # counts would take more room than entries
        return before[np.argsort(subs[before, mode], kind="stable")]
    after = np.empty_like(before)
    _count_sort(subs, mode, np.zeros(size + 1, np.int64), before, after)
    return after


@njit(cache=True, nogil=True, error_model="numpy")
def _count_sort(subs, mode, places, before, after):  # type: ignore[no-untyped-def]
    for k in range(before.size):
        places[subs[k, mode] + 1] += 1
    for i in range(1, places.size):
        places[i] += places[i - 1]
    for k in range(before.size):
        e = before[k]
        i = subs[e, mode]
        after[places[i]] = e
        places[i] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def is_sorted(subs, order):  # type: ignore[no-untyped-def]
    """True if no entry comes before the one before it, the first mode of `order` slowest."""
    for e in range(1, subs.shape[0]):
        for n in order:
            if subs[e, n] != subs[e - 1, n]:
                if subs[e, n] < subs[e - 1, n]:
                    return False
                break
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def take_rows(source, columns, order, target):  # type: ignore[no-untyped-def]
    """target[k, n] = source[order[k], columns[n]]."""
    for k in range(target.shape[0]):
        e = order[k]
        for n in range(columns.size):
            target[k, n] = source[e, columns[n]]


@njit(cache=True, nogil=True, error_model="numpy")
def first_of_runs(subs):  # type: ignore[no-untyped-def]
    """True for each entry of a sorted list whose subscripts differ from those of the entry before."""
    new = np.ones(subs.shape[0], np.bool_)
    for e in range(1, subs.shape[0]):
        same = True
        for n in range(subs.shape[1]):
            same &= subs[e, n] == subs[e - 1, n]
        new[e] = not same
    return new
