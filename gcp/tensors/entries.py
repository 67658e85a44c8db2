"""Checks of listed entries, and their way into a `Listing`: compact, sorted, each cell once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import threads
from gcp.base.checks import and_more, array, items, show
from gcp.base.errors import DataError, ParameterError
from gcp.base.types import Array, FloatArray
from gcp.kernels.dense.layout import readable
from gcp.kernels.listed import ordering, radix
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import EntryColumns
from gcp.tensors.dense import arithmetic
from gcp.tensors.weights import check_weights

_LARGEST = 2**53
"""Largest size of a mode: up to here every whole number is also a float."""

MOST_MODES = 64
"""Number of modes, at most, as NumPy's arrays have."""

_MOST_CELLS = 300
"""Largest power of ten of the number of cells, which is a weight as well."""


@dataclass(frozen=True)
class Entries:
    """Checked entries, in the caller's order.

    Attributes
    ----------
    subs : ndarray of int, shape (entries, N)
    columns : EntryColumns of ndarray, shape (entries,)
        Data are real, integer or boolean numbers, weights float64.
    shape : tuple of int
    place : callable
        Names an entry in messages, given its position.
    """

    subs: Array
    columns: EntryColumns
    shape: tuple[int, ...]
    place: Callable[[int], str]


def checked(
    subs: ArrayLike | Sequence[ArrayLike],
    values: ArrayLike,
    shape: Sequence[int] | None,
    entry_weights: ArrayLike | None,
    place: Callable[[int], str] = "entry {}".format,
) -> Entries:
    """Return entries as arrays of the right types and sizes, with subscripts inside the shape.

    Raises
    ------
    DataError
        With the first offender.
    """
    numbers = _values(values)
    rows = _subscripts(subs, len(numbers), place)
    sizes = _shape(shape, rows)
    _check_range(rows, sizes, place, is_given=shape is not None)
    weights = None if entry_weights is None else checked_weights(entry_weights, len(numbers))
    return Entries(rows, EntryColumns(numbers, weights), sizes, place)


def _values(values: ArrayLike) -> Array:
    """Return values as an array (entries,) of numbers, NaN where they are masked."""
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in "buif":
        values = np.ma.filled(values.astype(float), np.nan)
    found = array("values", values, DataError)
    if found.dtype.kind not in "buif":
        raise DataError(f"values has dtype {found.dtype}: expected real, integer or boolean numbers.")
    if found.ndim != 1:
        raise DataError(f"values has shape {found.shape}: expected one number per entry, shape (entries,).")
    return readable(found)


def _subscripts(subs: ArrayLike | Sequence[ArrayLike], n: int, place: Callable[[int], str]) -> Array:
    """Return subscripts as an array (entries, N) of whole numbers."""
    rows = array("subs", subs, DataError)
    if rows.ndim != 2 or rows.shape[0] != n or rows.shape[1] == 0:
        raise DataError(
            f"subs has shape {rows.shape}: expected one row of subscripts per value, ({n}, number of modes)."
        )
    if rows.dtype.kind in "iu":
        return readable(rows)
    if rows.dtype.kind != "f":
        raise DataError(f"subs has dtype {rows.dtype}: expected whole numbers.")
    with np.errstate(invalid="ignore"):
        bad = ~((rows == np.floor(rows)) & (np.abs(rows) <= _LARGEST))
    if bad.any():
        e, mode = (int(k) for k in np.argwhere(bad)[0])
        raise DataError(
            f"subs: {place(e)} has the subscript {rows[e, mode]} in mode {mode}: expected whole numbers."
        )
    return rows.astype(np.int64)


def _shape(shape: Sequence[int] | None, rows: Array) -> tuple[int, ...]:
    """Return the shape as given, or the least that holds subscripts (entries, N)."""
    n_modes = rows.shape[1]
    if shape is None:
        if len(rows) == 0:
            raise DataError("The list has no entries: give its shape.")
        shape = [max(int(size), 0) + 1 for size in rows.max(axis=0)]
    sizes = tuple(items("shape", shape, "a sequence of sizes", DataError))
    found = check_shape(sizes)
    if len(sizes) != n_modes:
        raise DataError(f"shape has {len(sizes)} modes, but subs has {n_modes} columns.")
    return found


def check_shape(sizes: Sequence[Any]) -> tuple[int, ...]:
    """Return the sizes as integers.

    Raises
    ------
    DataError
        Sizes that no tensor has, or too many.
    """
    if len(sizes) > MOST_MODES:
        raise DataError(f"shape has {len(sizes):,} modes, but a tensor has at most {MOST_MODES}.")
    for size in sizes:
        is_whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
        if not (is_whole and 1 <= size <= _LARGEST):
            kind = "at least 1" if not is_whole or size < 1 else f"at most {_LARGEST:,}"
            raise DataError(f"shape must hold sizes of modes, {kind}: found {show(size)} in {show(sizes)}.")
    if sum(math.log10(size) for size in sizes) > _MOST_CELLS:
        raise DataError(f"shape {show(sizes)} has more than 1e{_MOST_CELLS} cells.")
    return tuple(int(size) for size in sizes)


def _check_range(rows: Array, shape: tuple[int, ...], place: Callable[[int], str], *, is_given: bool) -> None:
    """Raise `DataError` unless subscripts (entries, N) lie inside the shape."""
    for mode, size in enumerate(shape):
        column = rows[:, mode]
        if len(column) == 0 or (column.min() >= 0 and column.max() < size):
            continue
        bad = np.flatnonzero((column < 0) | (column >= size))
        e, limit = int(bad[0]), f" to {size - 1}" if is_given else " or more"
        raise DataError(
            f"subs: {place(e)} has the subscript {int(column[e])} in mode {mode}{and_more(len(bad) - 1)}: expected "
            f"0{limit} (subscripts count from 0)."
        )


def checked_weights(weights: ArrayLike, n: int) -> FloatArray:
    """Return a weight for each of n entries, shape (n,); a single number stands for all.

    Raises
    ------
    DataError
        Weights of the wrong shape or type, or the first that is negative, not finite, or beyond all sizes.
    """
    found = array("entry_weights", weights, DataError)
    if found.shape not in ((), (n,)):
        raise DataError(
            f"entry_weights has shape {found.shape}: expected one number per listed entry, ({n},)."
        )
    check_weights(found)
    found = np.array(np.broadcast_to(found, n), dtype=np.float64)
    return found


@dataclass(frozen=True)
class SortedEntries:
    """Entries sorted by their subscripts, each cell once; `order` and `subs` as in `Listing`, data as they came.

    Attributes
    ----------
    is_reordered : bool
        Whether a caller listed them in another order, or cells several times: numbers in that order are not in ours.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    subs: Array
    columns: EntryColumns
    is_reordered: bool = False

    def check_order(self, name: str, numbers: Array, instead: str) -> None:
        """Raise `DataError` if numbers (entries,), of an argument, may be in the caller's order, not in ours."""
        if self.is_reordered and (numbers != numbers[:1]).any():
            raise DataError(
                f"{name} has one number for each entry, but the tensor has sorted its entries since they were "
                f"listed: {instead}."
            )

    @property
    def values(self) -> Array:
        """The data, shape (entries,)."""
        return self.columns.x

    @property
    def weights(self) -> FloatArray | None:
        """The entry weights, shape (entries,); None means all 1."""
        return self.columns.weight

    def select(self, keep: Array) -> SortedEntries:
        """Return the entries where `keep` (entries,) is true."""
        return replace(self, subs=self.subs[keep], columns=self.columns.at(keep))

    def having(self, **columns: Any) -> SortedEntries:
        """Return the entries with other columns in the place of those that are named."""
        return replace(self, columns=self.columns._replace(**columns))

    def listing(self, x: Array, w: FloatArray | None, z: FloatArray | None) -> Listing:
        """Return a listing for the kernels, with other data, weights w and z (entries,).

        Numbers are stored in as few bytes as hold them exactly.
        """
        columns = self.columns._replace(x=_compact(x), weight=w)
        return Listing(self.shape, self.order, self.subs, columns, z)


def sorted_entries(entries: Entries, aggregate: str = "error") -> SortedEntries:
    """Sort entries and merge those of one cell.

    Parameters
    ----------
    entries : Entries
    aggregate : {"error", "sum", "mean", "first", "last", "min", "max"}
        Refuse several entries of one cell, or make them one: their sum, their mean, the first or the last as it is,
        the least or the greatest. NaN wins in all but the first and the last. Weights are added under "mean" (which
        is then the weighted one), stay with the first and the last, and must be left out under the others.
    """
    check_aggregate(aggregate)
    shape = entries.shape
    order = sorting_order(shape)
    n_threads = threads.available_cores()
    subs, permutation = radix.sorted_rows(entries.subs, shape, order, n_threads)
    columns, is_reordered = entries.columns, permutation is not None
    if permutation is not None:
        columns = columns.map(lambda column: radix.taken(column, permutation, n_threads))
    else:  # these may still be the caller's, who may change them
        subs, columns = np.array(subs, order="C"), columns._replace(x=columns.x.copy())
    first = ordering.first_of_runs(subs)
    found = SortedEntries(shape, order, subs, columns, is_reordered or not first.all())
    if first.all():
        return found
    if aggregate == "error":
        raise DataError(_repetition(entries, first, permutation))
    return _merged(found, first, aggregate)


def check_aggregate(aggregate: str) -> None:
    """Raise `ParameterError` unless it is one of the words."""
    words = ("sum", "mean", "first", "last", "min", "max", "error")
    if not isinstance(aggregate, str) or aggregate not in words:
        expected = ", ".join(f'"{word}"' for word in words[:-1])
        raise ParameterError(f'aggregate must be {expected} or "error": found {show(aggregate)}.')


def sorting_order(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the modes in the order that entries are sorted by: the longest is slowest."""
    return tuple(sorted(range(len(shape)), key=lambda n: (-shape[n], n)))


def _merged(found: SortedEntries, first: Array, aggregate: str) -> SortedEntries:
    """Return entries with runs of one cell as one, `first` (entries,) being true where one begins.

    What `found` holds is overwritten.
    """
    values, weights = found.values, found.weights
    if aggregate in ("first", "last"):
        return found.select(ordering.ends_of_runs(first)[aggregate == "last"])
    if any(column is not None for column in found.columns[2:]):
        raise ParameterError(
            f'aggregate="{aggregate}" cannot merge entries with a scale, an offset, a group, an exposure or trials: '
            "merge them first."
        )
    if aggregate != "mean" and weights is not None:
        raise ParameterError(
            f'aggregate="{aggregate}" cannot merge entries with entry_weights: merge them first.'
        )
    own = values[first]
    single = np.diff(np.flatnonzero(first), append=len(first)) == 1
    whole = np.uint64 if values.dtype.kind == "u" else np.int64
    kind = np.float64 if values.dtype.kind == "f" or aggregate == "mean" else whole
    x = values.astype(kind) if weights is None else np.where(weights > 0, values, 0) * weights
    x = ordering.merged_runs(x, first, "sum" if aggregate == "mean" else aggregate)
    if weights is not None:
        weights = ordering.merged_runs(weights, first, "sum")
        x /= np.where(weights > 0, weights, 1.0)
    elif aggregate == "mean":
        x /= np.diff(np.flatnonzero(first), append=len(first))
    ordering.keep_rows(found.subs, first)
    x = np.where(single, own, x)  # not through a weight and back
    if values.dtype.kind == "f":
        x = x.astype(values.dtype, copy=False)
    return replace(found, subs=_fitting(found.subs[: len(x)]), columns=EntryColumns(x, weights))


def _fitting(part: Array) -> Array:
    """Return the front of an array (n, ...), copied if much would lie idle behind it."""
    whole: Array | None = part.base
    return part if whole is not None and part.size > 0.9 * whole.size else part.copy()


def with_missing(found: SortedEntries, unknown: Entries) -> SortedEntries:
    """Return sorted entries and further cells, the latter with the value NaN; their data and weights alone."""
    back = np.argsort(found.order)
    n = len(unknown.subs)
    subs = np.concatenate([found.subs[:, back], unknown.subs.astype(found.subs.dtype)])
    values = np.concatenate([found.values.astype(np.float64), np.full(n, np.nan)])
    weights = None if found.weights is None else np.concatenate([found.weights, np.ones(n)])
    # Where a cell is in both lists, the NaN wins in every sum.
    columns = EntryColumns(values, weights)
    every = sorted_entries(Entries(subs, columns, found.shape, unknown.place), "mean")
    made = every.having(x=every.values.astype(arithmetic(found.values.dtype)))
    return replace(made, is_reordered=found.is_reordered)


def is_nan(values: Array) -> Array:
    """Return a mask (n,), True where a value is NaN; of integers, none is."""
    return np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)


def _repetition(entries: Entries, first: Array, permutation: Array | None) -> str:
    """Return the message about the earliest entry, of `first` (entries,), whose cell was listed before."""
    source = np.arange(len(first)) if permutation is None else permutation
    again = np.flatnonzero(~first)
    k = int(again[np.argmin(source[again])])
    second, run = int(source[k]), k
    while not first[run]:
        run -= 1
    cell = tuple(int(i) for i in entries.subs[second])
    return repetition(entries.place(int(source[run])), entries.place(second), cell, len(again))


def repetition(one: str, other: str, cell: tuple[int, ...], number: int) -> str:
    """Return a message on two places that list the same cell, the first of a number of repetitions."""
    return (
        f"{one} and {other} list the same cell {cell} "
        f'({number} such {"repetition" if number == 1 else "repetitions"} in all). Choose aggregate="sum", '
        '"mean" or "last", or remove them.'
    )


def _compact(values: Array) -> FloatArray:
    """Return values (n,) as float32 if this loses nothing: counts, ratings, zeros and ones; else float64."""
    if values.dtype == np.float32:
        return values
    if values.dtype.kind in "bui" and values.dtype.itemsize <= 2:
        return values.astype(np.float32)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if np.array_equal(single, values) else values.astype(np.float64)


def cells_of(shape: Sequence[int]) -> int:
    """Return the number of cells of a tensor, exactly."""
    return math.prod(shape)
