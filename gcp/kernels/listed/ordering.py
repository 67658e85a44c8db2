"""Listed entries in an order that suits the passes: grouped by one mode; and what sorted ones have to tell."""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit
from gcp.base.types import Array


def grouped(subs: Array, mode: int, size: int) -> tuple[Array, Array]:
    """Return the stable permutation (nnz,) that sorts entries by one mode, and where positions begin (size + 1,)."""
    first = np.zeros(size + 1, np.int64)
    np.cumsum(np.bincount(subs[:, mode], minlength=size), out=first[1:])
    before = np.arange(len(subs), dtype=np.uint32 if len(subs) <= 2**32 else np.int64)
    return _sorted_by(subs, mode, size, before), first


def _sorted_by(subs: Array, mode: int, size: int, before: Array) -> Array:
    """Return a permutation (nnz,), as it was before, sorted by one mode of subs (nnz, N)."""
    if size > 4 * len(subs) + 65536:  # counts would take more room than entries
        return before[np.argsort(subs[before, mode], kind="stable")]
    after = np.empty_like(before)
    _count_sort(subs, mode, np.zeros(size + 1, np.int64), before, after)
    return after


@jit
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


@jit
def is_sorted(subs, order):  # type: ignore[no-untyped-def]
    """Return whether no entry comes before the one before it, the first mode of `order` slowest."""
    for e in range(1, subs.shape[0]):
        rises = np.int64(0)  # whether the slowest mode that differs rises or falls, found without a jump
        for k in range(order.size - 1, -1, -1):
            now, before = subs[e, order[k]], subs[e - 1, order[k]]
            change = np.int64(now > before) - np.int64(now < before)
            rises = change if now != before else rises
        if rises < 0:
            return False
    return True


@jit
def take_rows(source, columns, order, target):  # type: ignore[no-untyped-def]
    """Compute target[k, n] = source[order[k], columns[n]]."""
    for k in range(target.shape[0]):
        e = order[k]
        for n in range(columns.size):
            target[k, n] = source[e, columns[n]]


def first_of_runs(subs: Array) -> Array:
    """Return a mask (entries,): whether an entry of a sorted list has other subscripts than the one before."""
    new = np.ones(len(subs), bool)
    _mark_runs(subs, new)
    return new


@jit
def _mark_runs(subs, new):  # type: ignore[no-untyped-def]
    for e in range(1, subs.shape[0]):
        same = True
        for n in range(subs.shape[1]):
            same &= subs[e, n] == subs[e - 1, n]
        new[e] = not same


@jit
def keep_rows(rows, keep):  # type: ignore[no-untyped-def]
    """Move the rows to keep to the front, in place and in order."""
    k = 0
    for e in range(keep.size):
        if keep[e]:
            for n in range(rows.shape[1]):
                rows[k, n] = rows[e, n]
            k += 1


def ends_of_runs(first: Array) -> tuple[Array, Array]:
    """Return where runs begin, and their last entries, both (runs,); a run begins where `first` (n,) is true."""
    begins = np.flatnonzero(first)
    return begins, np.append(begins[1:], len(first)) - 1


def merged_runs(values: Array, first: Array, how: str) -> Array:
    """Return one number of each run of values (n,), shape (runs,): the "sum", "min", "max", "first" or "last".

    A run begins where `first` (n,) is true. What `values` holds is overwritten.
    """
    begins, ends = ends_of_runs(first)
    if how == "sum":
        _add_runs(values, first)
        return values[: len(begins)].copy()
    if how in ("first", "last"):
        return values[begins if how == "first" else ends]
    return (np.minimum if how == "min" else np.maximum).reduceat(values, begins)


@jit
def _add_runs(values, first):  # type: ignore[no-untyped-def]
    """Move sums of runs to the front, in place."""
    k = -1
    for e in range(first.size):
        if first[e]:
            k += 1
            values[k] = values[e]
        else:
            values[k] += values[e]


def places(rows: Array, wanted: Array) -> Array:
    """Return each wanted row's place among rows (n, N), -1 if it has none; both are sorted, without repetitions."""
    found = np.full(len(wanted), -1, np.int64)
    _write_places(rows, wanted, found)
    return found


@jit
def _write_places(rows, wanted, found):  # type: ignore[no-untyped-def]
    e = 0
    for k in range(wanted.shape[0]):
        while e < rows.shape[0]:
            n = 0
            while n < rows.shape[1] and rows[e, n] == wanted[k, n]:
                n += 1
            if n == rows.shape[1]:
                found[k] = e
                break
            if rows[e, n] > wanted[k, n]:
                break
            e += 1
