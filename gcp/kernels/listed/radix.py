"""Sorting rows of subscripts by their bits, lowest first: linear in the number of rows, and stable.

The subscripts of a row are packed into words of 64 bits, one as a rule, and sorted together with the rows' numbers;
the sorted subscripts come from the sorted words, without a look at the rows in their old order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit
from gcp.base.types import Array
from gcp.kernels.listed import ordering

_DIGIT = 11
"""Bits that one pass sorts by: their 2048 buckets fit into the caches near the core."""

_WORD = 64
_THREAD_ROWS = 1 << 16


def sorted_rows(
    subs: Array, shape: Sequence[int], order: Sequence[int], n_threads: int
) -> tuple[Array, Array | None]:
    """Return rows sorted by the mode order[0], then order[1] and so on, in as few bytes as hold them.

    Parameters
    ----------
    subs : ndarray of int, shape (rows, N)
    shape, order : sequence of int
    n_threads : int

    Returns
    -------
    sorted : ndarray of uint32 or uint64, shape (rows, N)
        With the modes of `order` as columns; `subs` itself if it is that already.
    permutation : ndarray of int, shape (rows,), or None
        The rows' old positions; None if they were sorted.
    """
    dtype = np.dtype(np.uint32 if max(shape) <= 2**32 else np.uint64)
    columns = np.array(order)
    if ordering.is_sorted(subs, columns):
        is_same = subs.dtype == dtype and subs.flags.c_contiguous and list(order) == sorted(order)
        return subs if is_same else np.ascontiguousarray(subs[:, columns], dtype=dtype), None
    found = np.arange(len(subs), dtype=np.uint32 if len(subs) <= 2**32 else np.int64)
    words = _words(shape, order)
    for modes in words:
        shifts = np.cumsum([0, *((shape[n] - 1).bit_length() for n in modes)])
        keys = np.empty(len(subs), np.uint64)
        _pack(subs, np.array(modes), shifts.astype(np.uint64), found, keys)
        keys, found = _sorted(keys, int(shifts[-1]), found, n_threads)
    target = np.empty(subs.shape, dtype)
    if len(words) == 1:
        masks = (np.uint64(1) << np.diff(shifts)[::-1].astype(np.uint64)) - np.uint64(1)
        _unpack(keys, shifts[::-1].astype(np.uint64), masks, target)
    else:
        ordering.take_rows(subs, columns, found, target)
    return target, found


def taken(values: Array, permutation: Array, n_threads: int) -> Array:
    """Return values[permutation], shape (n,)."""
    found = np.empty_like(values)

    def take(part: _Part) -> None:
        _take(values, permutation, part.begin, part.end, found)

    threads.run_all(take, _parts(len(values), n_threads))
    return found


class _Part(NamedTuple):
    """The rows of one thread."""

    number: int
    begin: int
    end: int


def _parts(n: int, n_threads: int) -> list[_Part]:
    runs = threads.split_range(n, min(n_threads, 1 + n // _THREAD_ROWS))
    return [_Part(number, *run) for number, run in enumerate(runs)]


def _words(shape: Sequence[int], order: Sequence[int]) -> list[list[int]]:
    """Return the modes, fastest first, in groups whose subscripts fit into one word together."""
    words: list[list[int]] = [[]]
    room = _WORD
    for mode in reversed(order):
        bits = (shape[mode] - 1).bit_length()
        if bits > room:
            words.append([])
            room = _WORD
        words[-1].append(mode)
        room -= bits
    return words


def _sorted(keys: Array, bits: int, rows: Array, n_threads: int) -> tuple[Array, Array]:
    """Return keys (n,) sorted, and rows (n,) along with them; what is given is overwritten."""
    now, spare = (keys, rows), (np.empty_like(keys), np.empty_like(rows))
    parts = _parts(len(keys), n_threads)
    for shift in range(0, bits, _DIGIT):
        if _pass(*now, np.uint64(shift), parts, *spare):
            now, spare = spare, now
    return now


def _pass(keys: Array, rows: Array, shift: Any, parts: list[_Part], new_keys: Array, new_rows: Array) -> bool:
    """Sort keys and rows (n,) by one digit, all threads at once; False if that is one in all keys.

    Then nothing was done.
    """
    counts = np.zeros((len(parts), 1 << _DIGIT), np.int64)

    def count(part: _Part) -> None:
        _count(keys, part.begin, part.end, shift, counts[part.number])

    threads.run_all(count, parts)
    total = counts.sum(axis=0)
    if total.max() == len(keys):
        return False
    places = (np.cumsum(total) - total) + (np.cumsum(counts, axis=0) - counts)

    def scatter(part: _Part) -> None:
        _scatter(keys, rows, part.begin, part.end, shift, places[part.number], new_keys, new_rows)

    threads.run_all(scatter, parts)
    return True


@jit
def _pack(subs, modes, shifts, rows, keys):  # type: ignore[no-untyped-def]
    for k in range(keys.size):
        key = np.uint64(0)
        for j in range(modes.size):
            key |= np.uint64(subs[rows[k], modes[j]]) << shifts[j]
        keys[k] = key


@jit
def _unpack(keys, shifts, masks, target):  # type: ignore[no-untyped-def]
    """Write to target (n, N) the subscripts, slowest mode first, with bits from shifts[j + 1] up to shifts[j]."""
    for k in range(keys.size):
        for j in range(masks.size):
            target[k, j] = (keys[k] >> shifts[j + 1]) & masks[j]


@jit
def _count(keys, begin, end, shift, counts):  # type: ignore[no-untyped-def]
    for k in range(begin, end):
        counts[(keys[k] >> shift) & np.uint64(2047)] += 1


@jit
def _scatter(keys, rows, begin, end, shift, places, new_keys, new_rows):  # type: ignore[no-untyped-def]
    for k in range(begin, end):
        bucket = (keys[k] >> shift) & np.uint64(2047)
        place = places[bucket]
        places[bucket] = place + 1
        new_keys[place] = keys[k]
        new_rows[place] = rows[k]


@jit
def _take(values, permutation, begin, end, found):  # type: ignore[no-untyped-def]
    for k in range(begin, end):
        found[k] = values[permutation[k]]
