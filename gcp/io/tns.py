"""FROSTT's .tns: one line per entry, 1-based subscripts and the value last; unlisted entries are 0.

The format does not say the shape. Files written here begin with a comment that does, so that slices of zeros
at the end survive; other files get the largest subscripts.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError
from gcp.base.types import Array
from gcp.io.format import Format, observed, refuse_weights
from gcp.io.text_rows import read_listing
from gcp.tensors.entries import check_shape
from gcp.tensors.kinds import Tensor

_CHUNK = 1 << 16
_LINE = 1 << 16
"""Bytes of the first line that are looked at."""

_EXTENDED = re.compile(rb"[#;]\s*extended FROSTT", re.IGNORECASE)
_SHAPE = re.compile(rb"# gcp-tensor shape:((?: \d+)+)\s*$")


def _read(file: BinaryIO, unlisted: str = "zero", aggregate: str | None = None) -> Tensor:
    return read_listing(file, shape_in_header(file), unlisted=unlisted, aggregate=aggregate)


def shape_in_header(file: BinaryIO) -> tuple[int, ...] | None:
    """Return the shape that the first line gives, if it does.

    Raises
    ------
    DataError
        A shape that no tensor has, or the first line of another format.
    """
    line = file.readline(_LINE).removeprefix(b"\xef\xbb\xbf")
    if line.split()[:1] in ([b"tensor"], [b"sptensor"]):
        raise FormatError("line 1: this is Tensor Toolbox text, whose files end in .ttb or .txt.")
    if _EXTENDED.match(line):
        raise FormatError(
            "line 1: in extended FROSTT format two lines of sizes come before the entries: remove these three lines."
        )
    match = _SHAPE.match(line)
    return check_shape([int(size[:20]) for size in match[1].split()]) if match else None


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


FORMAT = Format(_read, _write, frozenset({"unlisted", "aggregate"}))
