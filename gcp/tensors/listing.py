"""From a listing of cells (subscripts and values) to a dense tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from gcp._typing import Array
from gcp.errors import DataError, ParameterError
from gcp.labels import ModeLabels
from gcp.tensors.dense import DenseTensor

MAX_CELLS = 2**31
"""Largest dense array that a listing may ask for."""


def dense_from_listing(
    subs: Sequence[Array],
    values: Array,
    shape: Sequence[int],
    *,
    unlisted: str | None,
    aggregate: str = "sum",
    labels: ModeLabels | None = None,
    place: Callable[[int], str] = "row {}".format,
) -> DenseTensor:
    """The dense tensor that a listing of cells describes.

    Parameters
    ----------
    subs : sequence of ndarray of int, each of shape (rows,)
        Valid 0-based subscripts, one array per mode.
    values : ndarray, shape (rows,)
        Numbers; NaN makes its cell missing.
    shape : sequence of int
        Sizes of the modes.
    unlisted : {"zero", "missing"} or None
        What a cell means that no row lists; None refuses such cells.
    aggregate : {"sum", "mean", "error"}
        What to do with several rows for one cell.
    labels : ModeLabels, optional
        Names and coordinates of the modes.
    place : callable
        Names a row in messages, given its position.

    Raises
    ------
    ParameterError
        Unknown `unlisted` or `aggregate`.
    DataError
        Too many cells, unlisted cells without a meaning, or repeated cells with `aggregate="error"`.
    """
    _check_choices(unlisted, aggregate)
    shape = tuple(int(size) for size in shape)
    cells = _checked_cells(shape)
    flat = np.ravel_multi_index(tuple(subs), shape)
    seen = np.zeros(cells, dtype=bool)
    seen[flat] = True
    n_seen = int(np.count_nonzero(seen))
    if n_seen < cells and unlisted is None:
        raise DataError(
            f"{cells - n_seen:,} of the {cells:,} cells of shape {shape} are not listed. Say what that "
            'means: unlisted="zero" (they are known to be 0, as when empty counts were left out) or '
            'unlisted="missing" (nothing is known about them; a fit leaves them out).'
        )
    if n_seen == len(flat):
        dense = np.zeros(cells, dtype=values.dtype)
        dense[flat] = values
    elif aggregate == "error":
        raise DataError(_repetition(flat, place))
    else:
        dense = _aggregated(flat, values, cells, aggregate)
    if n_seen == cells or unlisted == "zero":
        return DenseTensor(dense.reshape(shape), labels=labels)
    if dense.dtype.kind == "f":  # visible in the values; integers have no NaN and keep their compact type
        dense[~seen] = np.nan
        return DenseTensor(dense.reshape(shape), labels=labels)
    return DenseTensor(dense.reshape(shape), mask=seen.reshape(shape), labels=labels)


def _check_choices(unlisted: str | None, aggregate: str) -> None:
    if unlisted not in (None, "zero", "missing"):
        raise ParameterError(f'unlisted must be "zero" or "missing": found {unlisted!r}.')
    if aggregate not in ("sum", "mean", "error"):
        raise ParameterError(f'aggregate must be "sum", "mean" or "error": found {aggregate!r}.')


def _checked_cells(shape: tuple[int, ...]) -> int:
    cells = math.prod(shape)
    if cells > MAX_CELLS:
        raise DataError(
            f"A dense tensor of shape {shape} has {cells:,} cells, more than the {MAX_CELLS:,} that a "
            "listing may ask for. Select or merge levels first."
        )
    return cells


def _aggregated(flat: Array, values: Array, cells: int, aggregate: str) -> Array:
    """Sums or means of the rows of each cell: integers stay exact, floats keep their precision."""
    is_float = values.dtype.kind == "f"
    total: Array = np.zeros(cells, dtype=np.float64 if is_float or aggregate == "mean" else np.int64)
    np.add.at(total, flat, values)
    if aggregate == "mean":
        total = total / np.maximum(np.bincount(flat, minlength=cells), 1)
    return total.astype(values.dtype) if is_float else total


def _repetition(flat: Array, place: Callable[[int], str]) -> str:
    """The message about the first pair of rows that name one cell."""
    order = np.argsort(flat, kind="stable")
    second = int(order[1:][np.diff(flat[order]) == 0].min())
    first = int(np.flatnonzero(flat == flat[second])[0])
    repeats = len(flat) - len(np.unique(flat))
    return (
        f"{place(first)} and {place(second)} list the same cell ({repeats} such repetitions in all). "
        'Choose aggregate="sum" or "mean", or remove them.'
    )
