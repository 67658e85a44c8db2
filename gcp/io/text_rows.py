"""Text rows of 1-based subscripts and a value, as `.tns` and `sptensor` files hold them.

Pieces of the text are read by a compiled parser, on several threads, while the next ones are unpacked. It takes plain
rows only; any other line is read by `_row`, which knows what may stand there and names what may not.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

import numpy as np

from gcp.base import threads
from gcp.base.errors import FormatError
from gcp.base.types import Array, FloatArray
from gcp.io import digit_rows
from gcp.io.files import contents
from gcp.tensors.entries import MOST_MODES
from gcp.tensors.kinds import Tensor, tensor_from_listing

_PIECE = 1 << 20
"""Bytes of text that are read, and parsed by one thread, at a time."""

_SMALL = 1 << 16
"""Bytes of text that are read row by row sooner than the compiled parser is loaded."""

_LARGEST = 2**53

_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_FILLED = re.compile(rb"(?:^|[\r\n])[ \t]*([^\s#][^\r\n]*)")
_MARK = b"\xef\xbb\xbf"
"""What some programs begin UTF-8 text with."""


def read_listing(
    file: BinaryIO,
    shape: tuple[int, ...] | None = None,
    *,
    skip: int = 0,
    expected: int | None = None,
    unlisted: str = "zero",
    aggregate: str | None = None,
) -> Tensor:
    """The tensor that the rows of a text file list.

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
    subs, values, sizes = _rows(file, skip, shape)
    if expected is not None and len(values) != expected:
        raise FormatError(
            f"the header promises {expected} rows: found {len(values)}{cut_short(len(values), expected)}."
        )
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
    """What a piece of text holds.

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


class _BadLine(Exception):
    """A line that is no row: its number within the piece, and what is wrong."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Wide(Exception):
    """A subscript that takes more than 32 bits."""


def _rows(
    file: BinaryIO, skip: int, shape: tuple[int, ...] | None
) -> tuple[Array, FloatArray, tuple[int, ...]]:
    """All rows: 0-based subscripts, in 32 bits if they fit, and values; and the shape."""
    subs: list[Array] = []
    values: list[Array] = []
    largest: list[Array] = []
    for part in read_parts(file, shape, skip=skip):
        if len(part.values):
            subs.append(part.subs)
            values.append(part.values)
            largest.append(part.largest)
    if not values:
        return np.empty((0, len(shape or ())), np.uint32), np.empty(0), shape or ()
    sizes = shape or tuple(int(position) + 1 for position in np.max(largest, axis=0))
    return _joined(subs), _joined(values), sizes


def read_parts(
    file: BinaryIO, shape: tuple[int, ...] | None = None, *, skip: int = 0, n_threads: int | None = None
) -> Iterator[Part]:
    """The rows of a text file, some 10,000 at a time, in the order of the file.

    Parameters
    ----------
    file, shape, skip
        As in `read_listing`.
    n_threads : int, optional
        Threads that parse; default: one for each core. Memory: at most 16 MiB for each of them.

    Raises
    ------
    FormatError
        As `read_listing` does.
    """
    limits = None if shape is None else list(shape)
    waiting: deque[Future[Part]] = deque()
    line = skip

    def collected() -> Part:
        nonlocal line
        try:
            part = waiting.popleft().result()
        except _BadLine as error:
            raise FormatError(f"line {line + error.line + 1}: {error}") from None
        line += part.n_lines
        return part

    n_threads = n_threads or threads.available_cores()
    with ThreadPoolExecutor(n_threads, thread_name_prefix="gcp-read") as pool:
        try:
            for piece in _pieces(file, skip):
                limits = limits or _limits(piece)
                waiting.append(pool.submit(_parsed, piece, limits))
                if len(waiting) > n_threads:
                    yield collected()
            while waiting:
                yield collected()
        finally:  # after an error, nobody waits for the others
            for future in waiting:
                future.cancel()


def _pieces(file: BinaryIO, skip: int) -> Iterator[bytes]:
    """All lines but the first ones, in pieces that end with a line break."""
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
            pos, skip = _line_end(piece, pos), skip - 1
        yield piece[pos:] if pos else piece
        begun, size = [block[cut:]], len(block) - cut


def _limits(piece: bytes) -> list[int] | None:
    """The largest subscripts, one for each that the first row of this piece has; None if it has no row.

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
            return [_LARGEST] * (len(fields) - 1)
    return None


def _n_lines(piece: bytes) -> int:
    return piece.count(b"\n") + piece.count(b"\r") - piece.count(b"\r\n")


def _parsed(piece: bytes, limits: list[int] | None) -> Part:
    if limits is None:
        return Part(np.empty((0, 0), np.uint32), np.empty(0), np.empty(0, np.int64), _n_lines(piece))
    try:
        return _parsed_as(np.dtype(np.uint32), piece, limits)
    except _Wide:
        return _parsed_as(np.dtype(np.int64), piece, limits)


def _parsed_as(dtype: np.dtype[Any], piece: bytes, limits: list[int]) -> Part:
    buffer = np.frombuffer(piece, np.uint8)
    most = piece.count(b"\n") + piece.count(b"\r")
    subs, values = np.empty((most, len(limits)), dtype), np.empty(most)
    largest = int(np.iinfo(dtype).max)
    narrow = np.array([min(limit, largest) for limit in limits], np.int64)
    highest = np.zeros(len(limits), np.int64)
    pos = row = line = 0
    while pos < len(piece):
        if limits and len(piece) > _SMALL:
            pos, row, n_lines = digit_rows.parse_rows(buffer, pos, narrow, subs, values, row, highest)
            line += n_lines
            if pos == len(piece):
                break
        end = _line_end(piece, pos)
        try:
            found = _row(_fields(piece[pos:end]), limits)
        except FormatError as error:
            raise _BadLine(line, str(error)) from None
        if found is not None:
            if max(found[0]) > largest:
                raise _Wide
            subs[row], values[row] = found
            np.maximum(highest, found[0], out=highest)
            row += 1
        pos, line = end, line + 1
    return Part(subs[:row], values[:row], highest, line)


def _line_end(piece: bytes, pos: int) -> int:
    """Where the next line begins."""
    found = _LINE_BREAK.search(piece, pos)
    return found.end() if found else len(piece)


def _fields(line: bytes) -> list[str]:
    return line.decode("utf-8").partition("#")[0].split()


def _row(fields: list[str], limits: list[int]) -> tuple[list[int], float] | None:
    """0-based subscripts and the value of a line, None if it has none.

    Raises
    ------
    FormatError
        Without the line number.
    """
    if not fields:
        return None
    if not limits:
        raise FormatError("expected subscripts and a value, found one field.")
    if len(fields) != len(limits) + 1:
        raise FormatError(f"expected {len(limits)} subscripts and a value, found {len(fields)} fields.")
    *numbers, value = (_number(field) for field in fields)
    for mode, (field, number, limit) in enumerate(zip(fields, numbers, limits, strict=False)):
        is_exact = number < _LARGEST or (field.isdecimal() and int(field) <= _LARGEST)
        if not (1 <= number <= limit and number == np.floor(number) and is_exact):
            top = f" to {_LARGEST:,}" if number >= _LARGEST else "" if limit == _LARGEST else f" to {limit}"
            hint = " (a file that counts from 0 is another format: add 1 to each)" if number == 0 else ""
            raise FormatError(f"subscript {field} of mode {mode}: expected whole numbers from 1{top}{hint}.")
    if np.isnan(value):
        raise FormatError('the value is NaN. Leave missing entries out and read with unlisted="missing".')
    return [int(number) - 1 for number in numbers], value


def _number(field: str) -> float:
    try:
        if "_" in field:  # Python's own, in no other reader
            raise ValueError
        return float(field)
    except ValueError:
        raise FormatError(f"{field[:40]!r} is not a number.") from None


def cut_short(found: int, expected: int) -> str:
    """What another number than the promised one may mean."""
    return (
        ", less: the file may be cut short"
        if found < expected
        else ", more: the header may be another file's"
    )


def _joined(parts: list[Array]) -> Array:
    """Arrays one after the other; each is dropped when it is copied."""
    dtype = np.result_type(*{part.dtype for part in parts})
    total = np.empty((sum(map(len, parts)), *parts[0].shape[1:]), dtype)
    first = 0
    for k, part in enumerate(parts):
        total[first : first + len(part)] = part
        first += len(part)
        parts[k] = part[:0].copy()
    return total


def line_of(file: BinaryIO, skip: int, row: int) -> str:
    """`line 7`, the line that holds a row."""
    before = skip
    for piece in _pieces(file, skip):
        if piece.strip():
            for number, line in enumerate(_LINE_BREAK.split(piece), start=before + 1):
                row -= bool(line.partition(b"#")[0].split())
                if row < 0:
                    return f"line {number}"
        before += _n_lines(piece)
    return f"row {row}"
