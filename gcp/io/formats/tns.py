"""FROSTT's .tns: one line per entry, 1-based subscripts and the value last; unlisted entries are 0.

The format does not say the shape. Files written here begin with a comment that does, so that slices of zeros
at the end survive, and those of extended FROSTT with two lines of sizes; other files get the largest subscripts,
which count from 0 if a 0 is among them.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError
from gcp.base.types import Array
from gcp.io.format import Format, observed, refuse_weights
from gcp.io.formats import toolbox
from gcp.io.formats.toolbox import ListingHeader, listing_header, read_entries
from gcp.tensors.entries import check_shape
from gcp.tensors.kinds import Tensor

_CHUNK = 1 << 16
_LINE = 1 << 16
"""Bytes of the first line that are looked at."""

_DIGITS = 20
"""Digits of the largest sizes that are looked at."""

_EXTENDED = re.compile(rb"[#;]\s*extended FROSTT", re.IGNORECASE)
_SHAPE = re.compile(rb"# gcp-tensor shape:((?: \d+)+)\s*$")


def _read(file: BinaryIO, unlisted: str = "zero", aggregate: str | None = None) -> Tensor:
    if _first_line(file).split()[:1] == [b"tensor"]:  # all cells
        file.seek(0)
        return toolbox.read(file)
    file.seek(0)
    return read_entries(file, read_header(file), unlisted, aggregate)


def read_header(file: BinaryIO) -> ListingHeader:
    """Return what the first lines tell: those of gcp, of extended FROSTT, or of an `sptensor` that is called .tns.

    Raises
    ------
    DataError
        A shape that no tensor has, or lines that are no such header.
    """
    line = _first_line(file)
    words = line.split()[:1]
    if words == [b"sptensor"]:
        return listing_header(file)
    if words == [b"tensor"]:
        raise FormatError("line 1: the word tensor, with which all cells follow: expected a listing.")
    if _EXTENDED.match(line):
        return _extended(file)
    match = _SHAPE.match(line)
    return ListingHeader(shape=check_shape([int(size[:20]) for size in match[1].split()]) if match else None)


def _first_line(file: BinaryIO) -> bytes:
    return file.readline(_LINE).removeprefix(b"\xef\xbb\xbf")


def _extended(file: BinaryIO) -> ListingHeader:
    """Return the header whose first line, a comment, has been read: order and number of rows, then the sizes."""
    numbers: list[list[int]] = []
    n_lines = 1
    while len(numbers) < 2:
        line, n_lines = file.readline(_LINE), n_lines + 1
        if line.strip() and not line.startswith((b"#", b";")):
            fields = [field.decode("ascii", "replace") for field in line.split()]
            if not all(field.isdecimal() and len(field) <= _DIGITS for field in fields):
                break
            numbers.append([int(field) for field in fields])
        elif not line:
            break
    if len(numbers) < 2 or len(numbers[0]) != 2 or len(numbers[1]) != numbers[0][0]:
        raise FormatError(
            f"line {n_lines}: after the first line of extended FROSTT, expected a line of the number of modes and "
            "that of the entries, and one of the sizes."
        )
    return ListingHeader(n_lines, check_shape(numbers[1]), numbers[0][1])


def _write(file: BinaryIO, tensor: Tensor) -> None:
    subs, values = _nonzeros(tensor)
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    file.write(f"# gcp-tensor shape: {' '.join(map(str, tensor.shape))}\n".encode())
    line = "%d " * subs.shape[1] + "%r\n"  # repr is the shortest text that reads back exactly
    for first in range(0, len(values), _CHUNK):
        part = slice(first, first + _CHUNK)
        columns = [*(subs[part].T.astype(np.int64) + 1).tolist(), values[part].tolist()]
        fields = tuple(chain.from_iterable(zip(*columns, strict=True)))
        file.write((line * len(columns[0]) % fields).encode())


def _nonzeros(tensor: Tensor) -> tuple[Array, Array]:
    """Return subscripts (nnz, N) and values (nnz,); refuses what the format cannot say."""
    if tensor.subs is None:
        is_partial = observed(tensor, ".tns") is not None
    else:
        refuse_weights(tensor, ".tns")
        is_partial = tensor.zeros is None or tensor.n_missing > 0
    if is_partial:
        raise DataError(
            "The tensor has missing entries, which .tns files cannot tell from zeros. "
            "Write .npz, .csv or .parquet instead."
        )
    if tensor.subs is None:
        flat = np.flatnonzero(tensor.values)  # in C order
        cells = np.unravel_index(flat, tensor.shape)
        return np.stack(cells, axis=1), tensor.values[cells]
    return tensor.subs, tensor.values


FORMATS = (
    Format(
        endings=(".tns",),
        read=_read,
        write=_write,
        options=frozenset({"unlisted", "aggregate"}),
        is_text=True,
    ),
)
