"""Sorting rows that exceed memory: split by ranges until each part fits; and repeated cells made one.

Rows of one cell stay in the order of the listing, so that sums are the same to the last bit as if all rows had been
in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from gcp.base import threads
from gcp.base.errors import DataError
from gcp.base.types import Array
from gcp.io.spool import Spool
from gcp.kernels.listed import ordering, radix
from gcp.tensors.entries import repetition, sorting_order

Rows: TypeAlias = tuple[Array, ...]
"""Parallel arrays: subscripts, values and, where it matters, the rows' numbers in the listing."""

_RANGES = 64
"""Most splitters that rows are compared with at a time."""

_SAMPLE = 1 << 14
"""Rows that the splitters are chosen from, about."""


def row_type(ndim: int, index: Any, *, numbered: bool = False) -> np.dtype[Any]:
    """Return the dtype of a row on disk: `subs`, `value` and, if it matters, its `number` in the listing."""
    number = [("number", np.int64)] if numbered else []
    return np.dtype([("subs", index, (ndim,)), ("value", np.float64), *number])


def in_order(rows: Spool, shape: Sequence[int], memory: int) -> Iterator[Rows]:
    """Yield the rows sorted, block by block.

    Parameters
    ----------
    rows : Spool of `row_type`
        As the listing has them; closed as soon as they have been split.
    shape : sequence of int
    memory : int
        Bytes to use, about.

    Yields
    ------
    tuple of ndarray
        Subscripts, with the modes in `sorting_order` as columns, values, and numbers if the rows have them.
    """
    most = max(1, memory // (4 * rows.dtype.itemsize + 24))  # as measured
    yield from _sorted(rows, shape, _words(shape), most)


def _words(shape: Sequence[int]) -> list[list[int]]:
    """Return the modes in `sorting_order`, in groups whose subscripts fit into 64 bits together."""
    words: list[list[int]] = []
    room = 0
    for mode in sorting_order(shape):
        bits = (shape[mode] - 1).bit_length()
        if bits > room:
            words.append([])
            room = 64
        words[-1].append(mode)
        room -= bits
    return words


def _sorted(rows: Spool, shape: Sequence[int], words: Sequence[Sequence[int]], most: int) -> Iterator[Rows]:
    """Yield rows that differ in these words alone, sorted in parts of at most so many."""
    if words and len(rows) > most:
        for part, rest in _split(rows, shape, words, 2 * len(rows) // most):
            yield from _sorted(part, shape, rest, most)
        return
    for block in rows.blocks(most):  # more than one only of rows that are all of one cell
        yield _sorted_block(block, shape)
    rows.close()


def _split(
    rows: Spool, shape: Sequence[int], words: Sequence[Sequence[int]], n_parts: int
) -> list[tuple[Spool, Sequence[Sequence[int]]]]:
    """Return the rows by the ranges of the first word, and the words that the rows of each range differ in.

    Splitters come from a sample. Rows with just a splitter's word are a range of their own, so that every range is
    less than the whole.
    """
    step = 1 + len(rows) // _SAMPLE
    sample = np.sort(np.concatenate([_keys(block[::step], shape, words[0]) for block in rows.blocks()]))
    n_splitters = min(_RANGES, n_parts)
    splitters = np.unique(sample[np.arange(1, n_splitters + 1) * len(sample) // (n_splitters + 1)])
    parts = [rows.another(rows.dtype) for _ in range(2 * len(splitters) + 1)]
    for block in rows.blocks():
        keys = _keys(block, shape, words[0])
        found = np.searchsorted(splitters, keys, "left") + np.searchsorted(splitters, keys, "right")
        ends = np.cumsum(np.bincount(found, minlength=len(parts)))
        for part, chosen in zip(parts, np.split(np.argsort(found, kind="stable"), ends[:-1]), strict=True):
            part.append(block[chosen])
    rows.close()
    return [(part, words[k % 2 :]) for k, part in enumerate(parts)]


def _keys(block: Array, shape: Sequence[int], word: Sequence[int]) -> Array:
    """Return numbers (rows,) of 64 bits that are ordered as the subscripts of these modes."""
    keys = np.zeros(len(block), np.uint64)
    for mode in word:
        keys <<= np.uint64((shape[mode] - 1).bit_length())
        keys |= block["subs"][:, mode]
    return keys


def _sorted_block(block: Array, shape: Sequence[int]) -> Rows:
    """Return the rows of a block (rows,) in order, as parallel arrays."""
    n_threads = threads.available_cores()
    subs = np.ascontiguousarray(block["subs"])
    subs, permutation = radix.sorted_rows(subs, shape, sorting_order(shape), n_threads)
    others = (np.ascontiguousarray(block[name]) for name in list(block.dtype.fields or ())[1:])
    return subs, *(one if permutation is None else radix.taken(one, permutation, n_threads) for one in others)


def cells(blocks: Iterator[Rows], aggregate: str) -> Iterator[Rows]:
    """Sorted rows with those of one cell as one: their sum, mean, least or greatest, or the first or last of them."""
    is_mean = aggregate == "mean"
    how = "sum" if aggregate in ("mean", "error") else aggregate
    held: Rows = ()
    n_held = 0  # rows of the last cell, which may go on in the next block
    for subs, values, *_ in blocks:
        if held:
            subs, values = map(np.concatenate, zip(held, (subs, values), strict=True))
        first = ordering.first_of_runs(subs)
        begins = np.flatnonzero(first)
        counts = np.diff(begins, append=len(first))
        counts[0] += max(n_held - 1, 0)
        subs, merged = subs[begins], ordering.merged_runs(values, first, how)
        held, n_held = (subs[-1:].copy(), merged[-1:].copy()), int(counts[-1])
        yield subs[:-1], merged[:-1] / counts[:-1] if is_mean else merged[:-1]
    if held:
        yield held[0], held[1] / n_held if is_mean else held[1]


def without_repetitions(
    blocks: Iterator[Rows], shape: Sequence[int], place: Callable[[int], str]
) -> Iterator[Rows]:
    """Return the sorted rows with those of one cell as one; `place` names a row in messages, given its number.

    Raises
    ------
    DataError
        At the end, about the earliest row of the listing whose cell was listed before.
    """
    total, found = 0, (0, 0, [0])  # of the earliest: its number, that of the first of its cell, and the cell
    held: Rows = ()  # the first row of the last cell
    for block in blocks:
        subs, _, numbers = tuple(map(np.concatenate, zip(held, block, strict=True))) if held else block
        first = ordering.first_of_runs(subs)
        begins, again = np.flatnonzero(first), np.flatnonzero(~first)
        if len(again):
            k = int(again[np.argmin(numbers[again])])
            if not total or numbers[k] < found[0]:
                one = begins[np.searchsorted(begins, k) - 1]
                found = int(numbers[k]), int(numbers[one]), subs[k].tolist()
            total += len(again)
        held = tuple(part[begins[-1:]] for part in (subs, _, numbers))
        yield block
    if total:
        second, one, row = found
        cell = tuple(row[n] for n in np.argsort(sorting_order(shape)))
        raise DataError(repetition(place(one), place(second), cell, total))
