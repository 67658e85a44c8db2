"""The Tensor Toolbox text format, `tensor` and `sptensor` (written: `tensor`).

A header of one item a line (the word, the number of modes, the sizes, and for `sptensor` the number of rows),
then the values in Fortran order, or rows of 1-based subscripts and a value.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.types import Array
from gcp.io.format import Format, cut_short, values_with_nan
from gcp.io.text_rows import read_listing
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import check_shape
from gcp.tensors.kinds import Tensor

_CHUNK = 1 << 16


@dataclass(frozen=True)
class ListingHeader:
    """The lines before the entries of a listing.

    Attributes
    ----------
    n_lines : int
        How many there are.
    shape : tuple of int, optional
        Sizes of the modes, if they tell it.
    n_rows : int, optional
        Number of entries, if they tell it.
    """

    n_lines: int = 0
    shape: tuple[int, ...] | None = None
    n_rows: int | None = None


def read(file: BinaryIO, unlisted: str = "zero", aggregate: str | None = None) -> Tensor:
    """Return the tensor of a file; options as in `read_tensor`."""
    words = file.readline().decode("utf-8", "replace").removeprefix("\ufeff").split()
    kind = words[0] if words else ""
    if kind not in ("tensor", "sptensor"):
        raise FormatError(
            f"line 1: expected the word tensor or sptensor, found {' '.join(words)[:40]!r}. A table with a row for "
            'each cell is read with format="dat".'
        )
    if kind == "tensor":
        (ndim,) = _whole_numbers(file, 2, 1)
        shape = check_shape(_whole_numbers(file, 3, ndim))
        return DenseTensor(_values(file, math.prod(shape)).reshape(shape, order="F"))
    return read_entries(file, listing_header(file), unlisted, aggregate)


def read_entries(file: BinaryIO, header: ListingHeader, unlisted: str, aggregate: str | None) -> Tensor:
    """Return the tensor of a listing whose header has been read; options as in `read_tensor`."""
    return read_listing(
        file,
        header.shape,
        skip=header.n_lines,
        expected=header.n_rows,
        unlisted=unlisted,
        aggregate=aggregate,
    )


def listing_header(file: BinaryIO) -> ListingHeader:
    """Return the header of an `sptensor`, of which the first line has been read."""
    (ndim,) = _whole_numbers(file, 2, 1)
    shape = check_shape(_whole_numbers(file, 3, ndim))
    (rows,) = _whole_numbers(file, 4, 1, least=0)
    return ListingHeader(4, shape, rows)


def _whole_numbers(file: BinaryIO, line: int, count: int, least: int = 1) -> tuple[int, ...]:
    text = file.readline().decode("utf-8", "replace").strip()
    try:
        numbers = tuple(int(field) for field in text.split())
    except ValueError:
        numbers = ()
    if len(numbers) != count or min(numbers) < least:
        raise FormatError(f"line {line}: expected {count} whole number(s) from {least}, found {text[:40]!r}.")
    return numbers


def _values(file: BinaryIO, expected: int) -> Array:
    """Return the rest of the file as float64, shape (expected,)."""
    text = file.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older NumPy warns, and leaves out the rest
            values = np.fromstring(text, sep=" ") if text.strip() else np.empty(0)
    except (ValueError, DeprecationWarning):  # the fast parser does not say where
        raise _blame(text) from None
    if len(values) != expected:
        found = len(values)
        raise FormatError(
            f"the header promises {expected} values: found {found}{cut_short(found, expected)}."
        )
    return values


def _blame(text: bytes) -> FormatError:
    for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), start=4):
        for field in line.split():
            try:
                float(field)
            except ValueError:
                return FormatError(f"line {number}: {field[:40]!r} is not a number.")
    return FormatError("the values cannot be read as numbers.")


def _write(file: BinaryIO, tensor: Tensor) -> None:
    values = values_with_nan(tensor, "Tensor Toolbox").ravel(order="F")
    if values.dtype.kind == "b":
        values = values.astype(np.int8)
    sizes = " ".join(map(str, tensor.shape))
    file.write(f"tensor\n{tensor.ndim}\n{sizes}\n".encode())
    for first in range(0, values.size, _CHUNK):
        file.write("".join(f"{number!r}\n" for number in values[first : first + _CHUNK].tolist()).encode())


FORMATS = (
    Format(
        endings=(".ttb", ".txt"),
        read=read,
        write=_write,
        options=frozenset({"unlisted", "aggregate"}),
        is_text=True,
    ),
)
