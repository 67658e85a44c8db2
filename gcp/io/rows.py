"""Text rows of 1-based subscripts and a value, as `.tns` and `sptensor` files hold them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from io import TextIOWrapper
from typing import BinaryIO

import numpy as np

from gcp._typing import Array
from gcp.errors import FormatError
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listing import dense_from_listing


def read_listing(
    file: BinaryIO,
    shape: tuple[int, ...] | None = None,
    *,
    skip: int = 0,
    expected: int | None = None,
    unlisted: str = "zero",
    aggregate: str = "sum",
) -> DenseTensor:
    """The tensor that the rows of a text file list.

    Parameters
    ----------
    file : binary file
        Whitespace-separated rows; empty lines and everything after `#` are skipped.
    shape : tuple of int, optional
        Sizes of the modes; default: the largest subscripts.
    skip : int
        Lines of header, left out.
    expected : int, optional
        Number of rows that the header promised.
    unlisted, aggregate : str
        As in `read_tensor`.

    Raises
    ------
    FormatError
        With the line number: a wrong number of fields, something that is not a number, a bad subscript.
    """
    rows = _parsed(file, skip)
    if expected is not None and len(rows) != expected:
        raise FormatError(
            f"the header promises {expected} rows: found {len(rows)}. The file may be cut short."
        )
    if len(rows) == 0:
        if shape is None:
            raise FormatError("the file lists no entry.")
        rows = np.empty((0, len(shape) + 1))
    if rows.shape[1] < 2:
        raise FormatError(f"{_line(file, skip, 0)}: expected subscripts and a value, found one field.")
    if shape is not None and rows.shape[1] != len(shape) + 1:
        raise FormatError(
            f"{_line(file, skip, 0)}: expected {len(shape)} subscripts and a value, "
            f"found {rows.shape[1]} fields."
        )
    _check_rows(file, skip, rows, shape)
    subs = rows[:, :-1].astype(np.int64) - 1
    sizes = shape if shape is not None else tuple(int(size) for size in subs.max(axis=0) + 1)
    return dense_from_listing(
        list(subs.T),
        rows[:, -1].copy(),
        sizes,
        unlisted=unlisted,
        aggregate=aggregate,
        place=lambda row: _line(file, skip, row),
    )


def _parsed(file: BinaryIO, skip: int) -> Array:
    """All rows as float64, which holds subscripts exactly up to 2**53."""
    file.seek(0)
    text = TextIOWrapper(file, encoding="utf-8")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "loadtxt: input contained no data")
            return np.loadtxt(text, dtype=np.float64, comments="#", skiprows=skip, ndmin=2)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise _blame(text, skip, error) from None
    finally:
        text.detach()  # leaves the file open


def _blame(text: TextIOWrapper, skip: int, error: ValueError) -> FormatError:
    """Find the line that the fast reader stumbled over."""
    text.seek(0)
    width = None
    for number, fields in _fields(text, skip):
        width = width or len(fields)
        if len(fields) != width:
            return FormatError(
                f"line {number}: expected {width - 1} subscripts and a value, found {len(fields)} fields."
            )
        for field in fields:
            try:
                float(field)
            except ValueError:
                return FormatError(f"line {number}: {field!r} is not a number.")
    return FormatError(f"cannot be read: {error}")


def _fields(text: TextIOWrapper, skip: int) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text, start=1):
        fields = line.partition("#")[0].split()
        if number > skip and fields:
            yield number, fields


def _line(file: BinaryIO, skip: int, row: int) -> str:
    """`line 7`, the line that holds a row."""
    file.seek(0)
    text = TextIOWrapper(file, encoding="utf-8")
    try:
        for index, (number, _) in enumerate(_fields(text, skip)):
            if index == row:
                return f"line {number}"
        return f"row {row + 1}"
    finally:
        text.detach()


def _check_rows(file: BinaryIO, skip: int, rows: Array, shape: tuple[int, ...] | None) -> None:
    """Refuse the first row with a subscript that is not a position, or with no value."""
    subs, values = rows[:, :-1], rows[:, -1]
    limit = np.full(subs.shape[1], 2.0**53) if shape is None else np.asarray(shape, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~((subs >= 1) & (subs <= limit) & (subs == np.floor(subs)))
    wrong = bad.any(axis=1) | np.isnan(values)
    if not wrong.any():
        return
    row = int(np.flatnonzero(wrong)[0])
    where = _line(file, skip, row)
    if not bad[row].any():
        raise FormatError(
            f'{where}: the value is NaN. Leave missing entries out and read with unlisted="missing".'
        )
    mode = int(np.flatnonzero(bad[row])[0])
    top = "" if shape is None else f" to {shape[mode]}"
    raise FormatError(
        f"{where}: subscript {subs[row, mode]:g} of mode {mode}: expected whole numbers from 1{top}."
    )
