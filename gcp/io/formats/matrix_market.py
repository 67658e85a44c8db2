"""Matrix Market, sparse or dense: the header through SciPy, the numbers through NumPy.

SciPy's own reader of the numbers ends the process over some damaged files.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.types import Array
from gcp.io.format import Format, check_promise, damage_told
from gcp.io.sparse_arrays import tensor_of_listing
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor

_COLUMNS = {"pattern": 0, "real": 1, "integer": 1, "unsigned-integer": 1}
"""Numbers for each entry, by field."""


def _read(file: BinaryIO, unlisted: str | None = None) -> Tensor:
    from scipy.io import mminfo

    content = file.read()
    with damage_told("a Matrix Market file"):
        n_rows, n_columns, n_entries, form, field, symmetry = mminfo(io.BytesIO(content))
    shape = n_rows, n_columns
    if field not in _COLUMNS or symmetry == "hermitian" or min(*shape, n_entries) < 0:
        raise DataError(f"the matrix is {field} and {symmetry}: expected real numbers.")
    is_square = n_rows == n_columns
    if symmetry != "general" and not is_square:
        raise FormatError(f"the matrix of shape {shape} is said to be {symmetry}.")
    if form == "coordinate":
        subs, values = _entries(content, n_entries, field)
        subs, values = _whole(subs, values, symmetry)
        return tensor_of_listing(subs, values, shape, unlisted or "zero")
    if unlisted is not None:
        raise ParameterError("unlisted does not apply: the file holds a dense matrix, which lists all cells.")
    return DenseTensor(_dense(content, n_rows, n_columns, field, symmetry))


def _numbers(content: bytes, n_fields: int, expected: int, field: str) -> Array:
    """Return the numbers behind the header, shape (expected, n_fields)."""
    lines = io.BytesIO(content)
    for line in lines:
        if line.strip() and not line.startswith(b"%"):
            break  # the sizes
    with damage_told("a Matrix Market file"):
        rest = lines.read()
        found = (
            np.loadtxt(io.BytesIO(rest), comments="%", ndmin=2) if rest.strip() else np.empty((0, n_fields))
        )
    check_promise(len(found), expected)
    if found.shape[1] != n_fields:
        raise FormatError(f"expected {n_fields} numbers a line for a {field} matrix, found {found.shape[1]}.")
    return found


def _entries(content: bytes, n_entries: int, field: str) -> tuple[Array, Array]:
    """Return 0-based subscripts (entries, 2), which may be out of range, and values (entries,)."""
    found = _numbers(content, 2 + _COLUMNS[field], n_entries, field)
    values = found[:, 2] if found.shape[1] > 2 else np.ones(len(found))
    return found[:, :2] - 1, _typed(values, field)


def _whole(subs: Array, values: Array, symmetry: str) -> tuple[Array, Array]:
    """Return entries (entries, 2) and values (entries,) with those that the symmetry says are there too."""
    if symmetry == "general":
        return subs, values
    beside = subs[:, 0] != subs[:, 1]
    sign = -1 if symmetry == "skew-symmetric" else 1
    return np.concatenate([subs, subs[beside, ::-1]]), np.concatenate([values, sign * values[beside]])


def _dense(content: bytes, n_rows: int, n_columns: int, field: str, symmetry: str) -> Array:
    """Return the matrix (n_rows, n_columns), which is stored by columns, of a symmetric one those of a triangle."""
    offset = 1 if symmetry == "skew-symmetric" else 0
    n_numbers = (
        n_rows * n_columns if symmetry == "general" else (n_rows - offset) * (n_rows + 1 - offset) // 2
    )
    numbers = _typed(_numbers(content, 1, n_numbers, field)[:, 0], field)
    if symmetry == "general":
        return numbers.reshape((n_rows, n_columns), order="F")
    columns, rows = np.triu_indices(n_rows, offset)
    found = np.zeros((n_rows, n_columns), numbers.dtype)
    found[columns, rows] = -numbers if offset else numbers
    found[rows, columns] = numbers
    return found


def _typed(values: Array, field: str) -> Array:
    """Return values (n,) as whole numbers if the header says so and none is beyond a float's."""
    is_whole = field.endswith("integer") and bool(np.all(np.abs(values) < 2.0**53))
    return values.astype(np.int64) if is_whole else values


FORMATS = (Format(endings=(".mtx",), read=_read, options=frozenset({"unlisted"}), is_text=True),)
