"""Sorting rows that are on disk: runs that fit into memory, merged; and repeated cells made one.

Rows of one cell stay in the order of the listing, so that sums are the same to the last bit as if all rows had been
in memory.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from gcp.base import threads
from gcp.base.errors import DataError
from gcp.io.spool import Rows, Table
from gcp.kernels.listed import ordering, radix
from gcp.tensors.entries import repetition, sorting_order

Run = tuple[int, int]
"""Sorted rows: where they begin in their table, and where they end."""


def in_order(table: Table, shape: Sequence[int], memory: int, numbered: bool) -> Iterator[Rows]:
    """The rows of a table sorted, block by block.

    Parameters
    ----------
    table : Table
        Subscripts and values, as the listing has them; closed as soon as it has been read.
    shape : sequence of int
    memory : int
        Bytes to use, about.
    numbered : bool
        Whether the rows come with their numbers in the listing.

    Yields
    ------
    tuple of ndarray
        Subscripts, with the modes in `sorting_order` as columns, and values; and if `numbered`, numbers. Not empty.
    """
    order, ndim = sorting_order(shape), len(shape)
    dtype = np.dtype(np.uint32 if max(shape) <= 2**32 else np.uint64)
    row = ndim * dtype.itemsize + (16 if numbered else 8)
    n_sorted, n_merged = max(1, memory // (3 * row + 24)), max(1, memory // (8 * row + 40))  # as measured
    columns = [(dtype, ndim), (np.float64, 0), (np.int64, 0)]
    with Table(table.folder, *columns[: 3 if numbered else 2]) as target:
        runs = _write_runs(table, target, shape, order, n_sorted)
        table.close()
        yield from _merged(target, runs, [shape[n] for n in order], n_merged)


def _write_runs(
    table: Table, target: Table, shape: Sequence[int], order: Sequence[int], n_rows: int
) -> list[Run]:
    """Sort rows in runs of at most `n_rows`, or more where they follow on."""
    runs: list[Run] = []
    highest: list[int] = []
    for first in range(0, len(table), n_rows):
        last = min(first + n_rows, len(table))
        lowest, end = _sort(table, target, (first, last), shape, order)
        if runs and highest <= lowest:
            runs[-1] = runs[-1][0], last
        else:
            runs.append((first, last))
        highest = end
    return runs


def _sort(
    table: Table, target: Table, part: Run, shape: Sequence[int], order: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Sort a part of the rows; its first and its last subscripts."""
    n_threads = threads.available_cores()
    subs, values = table.read(*part)
    subs, permutation = radix.sorted_rows(subs, shape, order, n_threads)
    if permutation is not None:
        values = radix.taken(values, permutation, n_threads)
    if len(target.columns) == 3:
        numbers = np.arange(*part)
        target.append((subs, values, numbers if permutation is None else numbers[permutation]))
    else:
        target.append((subs, values))
    return subs[0].tolist(), subs[-1].tolist()


@dataclass
class _Open:
    """A run that is being merged: the next rows in memory, the others from `begin` to `end` in the table."""

    table: Table
    begin: int
    end: int
    rows: Rows = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.table.read(self.begin, self.begin)

    @property
    def highest(self) -> list[int]:
        """The last subscripts in memory."""
        found: list[int] = self.rows[0][-1].tolist()
        return found

    @property
    def has_more(self) -> bool:
        """Whether rows are left in the table."""
        return self.begin < self.end

    def fill(self, n_rows: int) -> None:
        """Read on if less than half of `n_rows` is in memory."""
        held = len(self.rows[0])
        if self.has_more and 2 * held <= n_rows:
            stop = min(self.begin + n_rows - held, self.end)
            more = self.table.read(self.begin, stop)
            self.rows = tuple(map(np.concatenate, zip(self.rows, more, strict=True))) if held else more
            self.begin = stop

    def front(self, bound: list[int], bisect: Callable[..., int]) -> Rows:
        """Take the rows below a bound (`bisect_left`), or those up to it (`bisect_right`)."""
        subs = self.rows[0]
        n = bisect(range(len(subs)), bound, key=lambda row: subs[row].tolist())
        taken = tuple(part[:n] for part in self.rows)
        self.rows = tuple(part[n:] for part in self.rows)
        return taken


def _merged(table: Table, runs: Sequence[Run], sizes: Sequence[int], n_rows: int) -> Iterator[Rows]:
    """All rows of sorted runs in order, those of one cell by run, in blocks of about `n_rows`.

    Of each run, some rows are in memory. They are given out up to the lowest subscripts that end such a part: no
    other row is below them. Rows just there come from the runs up to that one only, as it may have more of them.
    """
    opened = [_Open(table, *run) for run in runs]
    share = max(1, n_rows // max(1, len(runs)))
    while opened:
        for run in opened:
            run.fill(share)
        ends = [k for k, run in enumerate(opened) if run.has_more]
        lowest = min(ends, key=lambda k: opened[k].highest, default=len(opened))
        bound = opened[lowest].highest if ends else list(sizes)
        sides = (bisect_left if k > lowest else bisect_right for k in range(len(opened)))
        yield _blended([run.front(bound, side) for run, side in zip(opened, sides, strict=True)], sizes)
        opened = [run for run in opened if run.has_more or len(run.rows[0])]


def _blended(fronts: Sequence[Rows], sizes: Sequence[int]) -> Rows:
    """Sorted rows from several lists as one."""
    subs, *others = map(np.concatenate, zip(*fronts, strict=True))
    subs, permutation = radix.sorted_rows(subs, sizes, range(len(sizes)), threads.available_cores())
    return subs, *(part if permutation is None else part[permutation] for part in others)


def cells(blocks: Iterator[Rows], aggregate: str) -> Iterator[Rows]:
    """Sorted rows with those of one cell as one: their sum or mean."""
    held: Rows = ()
    n_held = 0  # rows of the last cell, which may go on in the next block
    for subs, values in blocks:
        if held:
            subs, values = map(np.concatenate, zip(held, (subs, values), strict=True))
        first = ordering.first_of_runs(subs)
        begins = np.flatnonzero(first)
        counts = np.diff(begins, append=len(first))
        counts[0] += max(n_held - 1, 0)
        ordering.add_runs(values, first)
        subs, sums = subs[begins], values[: len(begins)]
        held, n_held = (subs[-1:].copy(), sums[-1:].copy()), int(counts[-1])
        yield subs[:-1], sums[:-1] / counts[:-1] if aggregate == "mean" else sums[:-1]
    if held:
        yield held[0], held[1] / n_held if aggregate == "mean" else held[1]


def without_repetitions(
    blocks: Iterator[Rows], shape: Sequence[int], place: Callable[[int], str]
) -> Iterator[Rows]:
    """Sorted subscripts and values of numbered rows; `place` names a row in messages, given its number.

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
        yield block[:2]
    if total:
        second, one, row = found
        cell = tuple(row[n] for n in np.argsort(sorting_order(shape)))
        raise DataError(repetition(place(one), place(second), cell, total))
