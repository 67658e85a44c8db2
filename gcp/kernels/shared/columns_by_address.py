"""Entry columns of any type, as passes read them: by the address of their memory.

So a pass is not compiled anew for data of another type, or with other columns; of each type only the loop that copies
some numbers is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gcp.base.compiler.jit import DISABLED, jit_closure, jit_part
from gcp.base.types import Array
from gcp.kernels.shared import linked, prefetch

AHEAD = 8
"""Rows between what is computed and what is fetched from memory."""


class AddressedColumn(NamedTuple):
    """Where a column's numbers are; of one that is absent, all is 0.

    Attributes
    ----------
    numbers : int
        The address of its first number, of an array that must outlive it (the numbers where compiling is disabled).
    step : int
        Numbers between the beginnings of rows.
    size : int
        Bytes of a number.
    is_direct : int
        1 if numbers have the type of the arithmetic, so that whole tiles need no copy; else 0.
    copy : int
        The address of the function that copies some, as numbers of the arithmetic's type.
    """

    numbers: Any
    step: int
    size: int
    is_direct: int
    copy: Any


_ABSENT = AddressedColumn(0, 0, 0, 0, 0)


def column(matrix: Array | None, first_row: int, dtype: np.dtype[Any]) -> AddressedColumn:
    """Return the rows of a matrix (n, k), which may be absent, from some row on, for arithmetic of a type."""
    if matrix is None:
        return _ABSENT
    source, size = matrix.dtype, matrix.itemsize
    step = matrix.strides[0] // size if len(matrix) > 1 else matrix.shape[1]
    first: Any = linked.address_of(matrix) + first_row * step * size
    if DISABLED:
        first = flat(matrix[first_row:])[0]
    is_direct = source == dtype and matrix.flags.aligned
    return AddressedColumn(first, step, size, int(is_direct), _copying(source, dtype))


def addressed(columns: Sequence[Array | None], dtype: np.dtype[Any]) -> Array:
    """Return where columns of listed entries are, contiguous vectors (n,) or None, for arithmetic of a type.

    A row of the result, shape (columns, 3), has the address of the first number, of an array that must outlive it,
    that of the function that copies some, and how many numbers can be read where they are, n or 0, because they have
    the type of the arithmetic; of a column that is absent all are 0.
    """
    found = np.zeros((len(columns), 3), object if DISABLED else np.int64)
    for place, numbers in zip(found, columns, strict=True):
        if numbers is not None:
            assert numbers.flags.c_contiguous
            place[0] = numbers if DISABLED else linked.address_of(numbers)
            place[1] = _copying(numbers.dtype, dtype)
            place[2] = len(numbers) if numbers.dtype == dtype and numbers.flags.aligned else 0
    return found


def flat(matrix: Array) -> tuple[Array, int]:
    """Return the memory of a matrix (n, k) with dense rows as a vector, and the distance between rows in it."""
    n_rows, n_columns = matrix.shape
    step = matrix.strides[0] // matrix.itemsize if n_rows > 1 else n_columns
    size = (n_rows - 1) * step + n_columns
    return np.lib.stride_tricks.as_strided(matrix, (size,), (matrix.itemsize,), writeable=False), step


@lru_cache(maxsize=64)
def _copying(source: np.dtype[Any], dtype: np.dtype[Any]) -> Any:
    """Return the address of a function that copies numbers of one type to a row of another."""
    number_at = linked.number_at(np.dtype(np.uint8) if source.kind == "b" else source)

    def copy(numbers, first, n, row):  # type: ignore[no-untyped-def]
        for k in range(n):
            row[k] = number_at(numbers, first + k)

    return linked.address(jit_closure(copy, f"{source}", fastmath=set()), linked.COPY, dtype)


@jit_part
def copy_entries(column, row, first, n, buffer):  # type: ignore[no-untyped-def]
    """Copy n entries of a row of the matrix to `buffer`."""
    linked.call(column.copy, column.numbers, row * column.step + first, n, linked.pointer(buffer, 0))


@jit_part(inline=True)
def entries_at(column, row, first, n, buffer):  # type: ignore[no-untyped-def]
    """Return a pointer to n entries of a row of the matrix, in whole vectors: in memory, or copied to `buffer`.

    Those of a later row are asked for.
    """
    at = row * column.step + first
    prefetch.bytes_at(column.numbers, (at + AHEAD * column.step) * column.size, n * column.size)
    if column.is_direct and n == buffer.size:
        return linked.pointer_into(column.numbers, at, buffer)
    copy_entries(column, row, first, n, buffer)
    return linked.pointer(buffer, 0)
