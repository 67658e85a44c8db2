"""A dense tensor as a matrix: which modes are its rows, in which order, and where its entries lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.kernels.shared.columns import EntryColumns

CHUNK_ENTRIES = 1 << 16
"""Entries in a chunk of a streaming pass."""

SMALL_BYTES = 1 << 25
"""Columns that may be copied into an order that the loops prefer."""


@dataclass(frozen=True)
class Layout:
    """A tensor as a matrix, over its own memory where possible.

    Attributes
    ----------
    columns : EntryColumns of ndarray, shape (n_slow, n_fast)
        Views of what the entries carry wherever strides allow.
    order : tuple of int
        The modes from slow to fast; the first `split` of them are the matrix's rows.
    split : int
    shape : tuple of int
        Sizes of the modes, in the tensor's own order.
    """

    columns: EntryColumns
    order: tuple[int, ...]
    split: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, columns: EntryColumns) -> Layout:
        """Choose the modes' order and split, and take the matrix view of arrays (I_0, ..., I_{N-1}).

        A copy only if no split gives a view, or if all views have short rows and the data are small.
        """
        columns = columns.map(readable)
        data = columns.x
        order = tuple(sorted(range(data.ndim), key=lambda n: -abs(data.strides[n])))
        split = _choose_split([a.transpose(order) for a in columns if a is not None])
        is_small = columns.n_bytes <= SMALL_BYTES
        turn = _choose_turn(tuple(data.shape[n] for n in order), split) if is_small else 0
        if turn:
            order, split = order[turn:] + order[:turn], data.ndim - turn
        rows = int(np.prod([data.shape[n] for n in order[:split]], dtype=np.int64))
        found = columns.map(lambda a: _with_dense_rows(a.transpose(order).reshape(rows, -1)))
        return cls(found, order, split, data.shape)

    @classmethod
    def of_zeros(cls, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Layout:
        """Make the layout of a tensor of zeros, without memory for it but for one row."""
        order = tuple(sorted(range(len(shape)), key=lambda n: (shape[n], n)))
        sizes = [shape[n] for n in order]
        sides = [(int(np.prod(sizes[:k])), int(np.prod(sizes[k:]))) for k in range(len(sizes))]
        split = min(range(1, len(sizes)), key=lambda k: sum(sides[k]), default=0)
        n_slow, n_fast = sides[split]
        matrix = np.broadcast_to(np.zeros(n_fast, dtype), (n_slow, n_fast))
        return cls(EntryColumns(matrix), order, split, shape)

    @property
    def matrix(self) -> Array:
        """The data, shape (n_slow, n_fast)."""
        return self.columns.x

    @property
    def weights(self) -> Array | None:
        """The entry weights, shape (n_slow, n_fast); None means all 1."""
        return self.columns.weight

    def chunks(self) -> Iterator[tuple[int, FloatArray, FloatArray | None]]:
        """Yield all entries, row by row: (first position, data, weights), as float64 vectors (n,)."""
        n_rows, n_columns = self.matrix.shape
        width = min(n_columns, CHUNK_ENTRIES)
        height = max(1, CHUNK_ENTRIES // width)
        corners = product(range(0, n_rows, height), range(0, n_columns, width))
        for r0, c0 in corners:
            r1, c1 = min(r0 + height, n_rows), min(c0 + width, n_columns)
            x = self.matrix[r0:r1, c0:c1].astype(np.float64).ravel()
            w = None if self.weights is None else self.weights[r0:r1, c0:c1].astype(np.float64).ravel()
            if w is not None:
                x[w == 0] = 1.0  # inside every built-in loss's domain
            yield r0 * n_columns + c0, x, w

    def in_own_order(self, matrix: Array) -> Array:
        """Return a matrix (n_slow, n_fast) as a tensor (I_0, ...), the modes in the tensor's own order."""
        return matrix.reshape([self.shape[n] for n in self.order]).transpose(np.argsort(self.order))

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript, in the tensor's own modes, of an entry of `matrix` counted row by row."""
        ordered = np.unravel_index(position, [self.shape[n] for n in self.order])
        found = dict(zip(self.order, ordered, strict=True))
        return tuple(int(found[n]) for n in range(len(self.shape)))


def _with_dense_rows(matrix: Array) -> Array:
    """Return the matrix (n, k) itself if its rows are contiguous and follow each other forwards, else a copy."""
    n_rows, n_columns = matrix.shape
    dense = n_columns == 1 or matrix.strides[1] == matrix.itemsize
    forwards = n_rows == 1 or (matrix.strides[0] >= 0 and matrix.strides[0] % matrix.itemsize == 0)
    return matrix if dense and forwards else np.ascontiguousarray(matrix)


def readable(array: Array) -> Array:
    """Return the array, of any shape, in a type that compiled code reads.

    Half precision, long doubles and foreign bytes are copied.
    """
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize == 2 else np.float64, order="K")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="), order="K")


def _choose_split(columns: list[Array]) -> int:
    """Return the split of least cost among those that give views of the data, the first of `columns` (I_0, ...).

    Views of other columns come second: those that broadcast along the middle of the modes have none.
    """
    ordered, *others = columns
    if ordered.ndim == 1:
        return 0
    candidates = sorted(range(1, ordered.ndim), key=lambda split: _cost(ordered.shape, split))
    viewable = [split for split in candidates if _has_view(ordered, split)] or candidates
    both = [split for split in viewable if all(_has_view(other, split) for other in others)]
    return (both or viewable)[0]


def _choose_turn(shape: tuple[int, ...], split: int) -> int:
    """Return how many modes had better come last, so that rows are long; 0 if that gains too little for a copy."""
    turns = range(1, len(shape))

    def cost(turn: int) -> float:
        return _cost(shape[turn:] + shape[:turn], len(shape) - turn)

    best = min(turns, key=cost, default=0)
    return best if best and _cost(shape, split) > 1.25 * cost(best) else 0


def _cost(shape: tuple[int, ...], split: int) -> float:
    """Return the cost of a pass, relative to a large tensor's.

    Rows are padded to a multiple of 4 and columns to one of 32. Each column costs some work of its own, and each row
    more: its sums come down from a vector to a number.
    """
    slow, fast = (int(np.prod(sizes, dtype=np.int64)) for sizes in (shape[:split], shape[split:]))
    return (-(-slow // 4) * 4 / slow) * (-(-fast // 32) * 32 / fast) + 6 / slow + 60 / fast


def _has_view(array: Array, split: int) -> bool:
    """Return whether an array (I_0, ...) has a view as the matrix of a split."""
    try:
        array.reshape(int(np.prod(array.shape[:split], dtype=np.int64)), -1, copy=False)
    except ValueError:
        return False
    return True
