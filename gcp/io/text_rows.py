"""Text rows of subscripts and a value, as `.tns` and `sptensor` files hold them.

Subscripts count from 1. Where no header tells the shape, a subscript 0 proves that all count from 0: whoever reads
begins again.

PyArrow parses the text piece by piece. A piece that it does not take, and every piece where it is not installed, is
read by `_row` line by line, which knows what may stand there and names what may not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.types import Array, FloatArray
from gcp.io.files import contents
from gcp.io.format import check_promise
from gcp.tensors.entries import MOST_MODES
from gcp.tensors.kinds import Tensor, tensor_from_listing

_PIECE = 1 << 20
"""Bytes of text that are read and parsed at a time."""

_BLOCK = 1 << 18
"""Bytes that one thread of PyArrow parses at a time."""

_SMALL = 1 << 16
"""Bytes of text that are read line by line sooner than PyArrow is loaded."""

_LARGEST = 2**53

_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_FILLED = re.compile(rb"(?:^|[\r\n])[ \t]*([^\s#][^\r\n]*)")
_COMMENT = re.compile(rb"#[^\r\n]*")
_TABS = bytes.maketrans(b"\t", b" ")
_MARK = b"\xef\xbb\xbf"
"""Bytes with which some programs begin UTF-8 text."""


def read_listing(
    file: BinaryIO,
    shape: tuple[int, ...] | None = None,
    *,
    skip: int = 0,
    expected: int | None = None,
    unlisted: str = "zero",
    aggregate: str | None = None,
) -> Tensor:
    """Return the tensor that the rows of a text file list.

    Parameters
    ----------
    file : binary file
        Whitespace-separated rows; empty lines and everything after `#` are skipped. Read from its beginning.
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
    try:
        subs, values, sizes = _rows(file, skip, shape, 1)
    except CountsFromZero:
        subs, values, sizes = _rows(file, skip, shape, 0)
    check_promise(len(values), expected)
    if shape is None and len(values) == 0:
        raise FormatError("the file lists no entry.")
    return tensor_from_listing(
        subs,
        values,
        sizes,
        unlisted=unlisted,
        aggregate=aggregate,
        place=lambda row: line_of(file, skip, row),
    )


@dataclass(frozen=True)
class Part:
    """The rows of a piece of text.

    Attributes
    ----------
    subs : ndarray of uint32 or int64, shape (rows, N)
        0-based; in 32 bits if they fit.
    values : ndarray, shape (rows,)
    largest : ndarray of int, shape (N,)
        The largest subscripts.
    n_lines : int
        Lines, with and without a row.
    """

    subs: Array
    values: FloatArray
    largest: Array
    n_lines: int


class CountsFromZero(Exception):
    """A row has the subscript 0, in a file whose rows were taken to count from 1."""


class _BadLine(Exception):
    """A line that is no row: its number within the piece, and what is wrong."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _rows(
    file: BinaryIO, skip: int, shape: tuple[int, ...] | None, base: int
) -> tuple[Array, FloatArray, tuple[int, ...]]:
    """Return all rows, 0-based subscripts (rows, N), in 32 bits if they fit, and values (rows,), and the shape."""
    subs: list[Array] = []
    values: list[Array] = []
    largest: list[Array] = []
    for part in read_parts(file, shape, skip=skip, base=base):
        if len(part.values):
            subs.append(part.subs)
            values.append(part.values)
            largest.append(part.largest)
    if not values:
        return np.empty((0, len(shape or ())), np.uint32), np.empty(0), shape or ()
    sizes = shape or tuple(int(position) + 1 for position in np.max(largest, axis=0))
    return _joined(subs), _joined(values), sizes


def read_parts(
    file: BinaryIO, shape: tuple[int, ...] | None = None, *, skip: int = 0, base: int = 1
) -> Iterator[Part]:
    """Yield the rows of a text file, some 10,000 at a time, in the order of the file.

    Parameters
    ----------
    file, shape, skip
        As in `read_listing`.
    base : {0, 1}
        What the subscripts count from.

    Raises
    ------
    FormatError
        As `read_listing` does.
    CountsFromZero
        A subscript 0 where they were to count from 1, and no shape is given.
    """
    limits = None if shape is None else _Limits(list(shape), base, is_given=True)
    line = skip
    for piece in _pieces(file, skip):
        limits = limits or _limits(piece, base)
        try:
            part = _parsed(piece, limits)
        except _BadLine as error:
            raise FormatError(f"line {line + error.line + 1}: {error}") from None
        line += part.n_lines
        yield part


def _pieces(file: BinaryIO, skip: int) -> Iterator[bytes]:
    """Yield all lines but the first ones, in pieces that end with a line break."""
    begun: list[bytes] = []
    size = 0
    blocks = contents(file, _PIECE)
    first = next(blocks, b"").removeprefix(_MARK)
    for block in chain([first], blocks, [b"\n"]):
        cut = max(block.rfind(b"\n"), block.rfind(b"\r", 0, len(block) - 1)) + 1  # not between \r and \n
        size += len(block)
        if not cut or (size < _PIECE and block != b"\n"):
            begun.append(block)
            continue
        piece, pos = b"".join([*begun, block[:cut]]), 0
        while skip and pos < len(piece):
            found = _LINE_BREAK.search(piece, pos)
            pos, skip = found.end() if found else len(piece), skip - 1
        yield piece[pos:] if pos else piece
        begun, size = [block[cut:]], len(block) - cut


@dataclass(frozen=True)
class _Limits:
    """What subscripts may be.

    Attributes
    ----------
    sizes : list of int
        Of the modes: the largest that there are if no shape is given.
    base : {0, 1}
        What the subscripts count from.
    is_given : bool
        Whether the sizes are those of a header.
    """

    sizes: list[int]
    base: int
    is_given: bool


def _limits(piece: bytes, base: int) -> _Limits | None:
    """Return the limits of as many subscripts as the first row of a piece has; None if it has no row.

    Raises
    ------
    FormatError
        More modes than a tensor has.
    """
    for line in _FILLED.finditer(piece):
        if fields := _fields(line[1]):
            if len(fields) > MOST_MODES + 1:
                raise FormatError(
                    f"the first row has {len(fields):,} fields, but a tensor has at most {MOST_MODES} modes."
                )
            return _Limits([_LARGEST] * (len(fields) - 1), base, is_given=False)
    return None


def _n_lines(piece: bytes) -> int:
    n_returns = piece.count(b"\r") - piece.count(b"\r\n") if b"\r" in piece else 0
    return piece.count(b"\n") + n_returns


def _parsed(piece: bytes, limits: _Limits | None) -> Part:
    columns = [np.empty(0)] if limits is None else _fast(piece, limits) or _by_line(piece, limits)
    *numbers, values = columns
    subs = np.empty((len(values), len(numbers)), np.uint32)
    if len(values) == 0:
        return Part(subs, values, np.zeros(len(numbers), np.int64), _n_lines(piece))
    base = 1 if limits is None else limits.base
    largest = np.array([column.max() for column in numbers]).astype(np.int64) - base
    if largest.max() >= 2**32:
        subs = np.empty(subs.shape, np.int64)
    for column, target in zip(numbers, subs.T, strict=True):
        target[:] = column - base
    return Part(subs, values, largest, _n_lines(piece))


def _fast(piece: bytes, limits: _Limits) -> list[FloatArray] | None:
    """Return the columns (rows,) of a piece through PyArrow; None if it cannot tell, or the piece is small.

    Small pieces are not worth the loading of PyArrow.
    """
    if not limits.sizes or len(piece) <= _SMALL or (arrow := _arrow()) is None:
        return None
    return _columns(arrow, piece, limits) or _columns(arrow, _plain(piece), limits)


def _arrow() -> Any:
    """Return PyArrow, None where it is not installed."""
    try:
        import_module("pyarrow.csv")
    except ImportError:
        return None
    return import_module("pyarrow")


def _plain(piece: bytes) -> bytes:
    """Return the rows of a piece with one blank between fields, and nothing else."""
    if b"#" in piece:
        piece = _COMMENT.sub(b"", piece)
    piece = piece.translate(_TABS)
    while b"  " in piece:
        piece = piece.replace(b"  ", b" ")
    for end in (b"\n", b"\r"):
        piece = piece.replace(b" " + end, end).replace(end + b" ", end)
    return piece.strip(b" \r\n")


def _columns(arrow: Any, text: bytes, limits: _Limits) -> list[FloatArray] | None:
    """Return the columns (rows,) of plain rows, None if any is not plain.

    They are floats, which tell apart what a subscript may be.
    """
    if not text:
        return [np.empty(0)] * (len(limits.sizes) + 1)
    names = [str(k) for k in range(len(limits.sizes) + 1)]
    try:
        table = arrow.csv.read_csv(
            arrow.BufferReader(text),
            arrow.csv.ReadOptions(column_names=names, block_size=_BLOCK),
            arrow.csv.ParseOptions(delimiter=" ", quote_char=False),
            arrow.csv.ConvertOptions(column_types=dict.fromkeys(names, arrow.float64()), null_values=[]),
        )
    except arrow.ArrowInvalid:
        return None
    *numbers, values = columns = [column.to_numpy() for column in table.columns]
    for column, size in zip(numbers, limits.sizes, strict=True):
        top = min(size, _LARGEST - 1) + limits.base - 1
        is_inside = column.min() >= limits.base and column.max() <= top
        if not (is_inside and np.array_equal(column, np.floor(column))):
            return None
    return None if np.isnan(values).any() else columns


def _by_line(piece: bytes, limits: _Limits) -> list[FloatArray]:
    """Return the columns (rows,) of all rows' fields, read one by one.

    Raises
    ------
    _BadLine
        The first that is no row.
    """
    rows = []
    for number, line in enumerate(_LINE_BREAK.split(piece)):
        try:
            row = _row(_fields(line), limits)
        except FormatError as error:
            raise _BadLine(number, str(error)) from None
        if row is not None:
            rows.append(row)
    return list(np.array(rows, np.float64).reshape(len(rows), len(limits.sizes) + 1).T)


def _fields(line: bytes) -> list[str]:
    return line.partition(b"#")[0].decode("utf-8").split()


def _row(fields: list[str], limits: _Limits) -> list[float] | None:
    """Return subscripts and the value of a line, None if it has none.

    Raises
    ------
    FormatError
        Without the line number.
    CountsFromZero
        As `read_parts` does.
    """
    if not fields:
        return None
    if not limits.sizes:
        raise FormatError("expected subscripts and a value, found one field.")
    if len(fields) != len(limits.sizes) + 1:
        raise FormatError(f"expected {len(limits.sizes)} subscripts and a value, found {len(fields)} fields.")
    *numbers, value = (_number(field) for field in fields)
    for mode, (field, number, size) in enumerate(zip(fields, numbers, limits.sizes, strict=False)):
        top = size + limits.base - 1
        is_exact = number < _LARGEST or (field.isdecimal() and int(field) <= _LARGEST)
        if limits.base <= number <= top and number == np.floor(number) and is_exact:
            continue
        if number == 0 and not limits.is_given:
            raise CountsFromZero
        end = f" to {_LARGEST:,}" if number >= _LARGEST else f" to {top}" if limits.is_given else ""
        hint = " (files with this header count from 1)" if number == 0 else ""
        raise FormatError(
            f"subscript {field} of mode {mode}: expected whole numbers from {limits.base}{end}{hint}."
        )
    if np.isnan(value):
        raise FormatError('the value is NaN. Leave missing entries out and read with unlisted="missing".')
    return [*numbers, value]


def _number(field: str) -> float:
    try:
        if "_" in field:  # Python's own, in no other reader
            raise ValueError
        return float(field)
    except ValueError:
        raise FormatError(f"{field[:40]!r} is not a number.") from None


def _joined(parts: list[Array]) -> Array:
    """Return arrays (rows, ...) one after the other; each is dropped when it is copied."""
    dtype = np.result_type(*{part.dtype for part in parts})
    total = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype)
    first = 0
    for k, part in enumerate(parts):
        total[first : first + len(part)] = part
        first += len(part)
        parts[k] = part[:0].copy()
    return total


def line_of(file: BinaryIO, skip: int, row: int) -> str:
    """Return `line 7`, the line that holds a row."""
    before = skip
    for piece in _pieces(file, skip):
        if piece.strip():
            for number, line in enumerate(_LINE_BREAK.split(piece), start=before + 1):
                row -= bool(line.partition(b"#")[0].split())
                if row < 0:
                    return f"line {number}"
        before += _n_lines(piece)
    return f"row {row}"
