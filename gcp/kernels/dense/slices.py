"""The entries of a dense tensor in the order of one mode, a bounded number of them at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from gcp.kernels.listed.row_steps import Group
from gcp.kernels.shared.columns import EntryColumns

_ENTRIES = 1 << 19
"""Number of entries at a time, if that is more than one slice: some 12 MB beside the data."""

_LARGEST = 2**24
"""Cells of a slice, at most: a list of it takes some 400 MB."""


def fits(shape: tuple[int, ...]) -> bool:
    """Return whether every slice of a tensor of this shape can be listed."""
    return math.prod(shape) <= _LARGEST * min(shape)


def grouped(columns: EntryColumns, mode: int) -> Iterator[tuple[int, Group]]:
    """Yield slices of a mode as lists of entries, and the position of each list's first slice.

    Parameters
    ----------
    columns : EntryColumns of ndarray, shape (I_0, ..., I_{N-1})
        Where the weight is 0, the data do not matter.
    mode : int
    """
    shape = columns.x.shape
    others = tuple(n for n in range(len(shape)) if n != mode)
    sizes = [shape[n] for n in others]
    offsets = tuple(int(k) for k in np.cumsum([0, *sizes])[:-1])
    of_one = np.indices(sizes, np.uint32).reshape(len(sizes), -1).T
    length = len(of_one)
    height = min(max(1, _ENTRIES // length), shape[mode])
    subs = np.ascontiguousarray(np.tile(of_one, (height, 1)))
    moved = columns.map(lambda column: np.moveaxis(column, mode, 0))
    for start in range(0, shape[mode], height):
        part = slice(start, min(start + height, shape[mode]))
        n = part.stop - part.start
        own = moved.at(part).map(np.ravel)
        numbers = own._replace(group=None).map(lambda column: column.astype(np.float64))
        if numbers.weight is not None:
            numbers.x[numbers.weight == 0] = 1.0  # inside every built-in loss's domain
        first = np.arange(n + 1) * length
        listed = numbers._replace(group=own.group)
        yield start, Group(mode, others, first, subs[: n * length], listed, None, offsets)
