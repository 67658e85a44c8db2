"""Archives of .npy arrays (.npz), of which the headers are looked at first, and only what is used is unpacked."""

from __future__ import annotations

import copy
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.sizes import show_bytes
from gcp.base.types import Array
from gcp.io.formats.npy import read_array, read_header

_LONGEST_TEXT = 1 << 26
"""Bytes of the one text that describes a result."""

_LONGEST_LABEL = 1 << 20
"""Bytes of one text among several."""

_SLACK = 1000
"""Numbers by which an array may exceed what fits: that is no bomb, but a mistake, which is told by who reads it."""


@dataclass(frozen=True)
class Header:
    """The name, shape and type of an array, before it is read."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        """Number of modes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    def check_size(self, most: int) -> None:
        """Raise `FormatError` for more entries than belong there."""
        if self.size > most + _SLACK:
            raise FormatError(
                f"entry {self.name!r} has shape {self.shape}: expected at most {most:,} numbers."
            )


class Archive(Mapping[str, Array]):
    """The arrays of an archive by name, each unpacked when it is asked for.

    Parameters
    ----------
    file : binary file
        Open as long as arrays are read.

    Raises
    ------
    FormatError
        No archive.
    """

    def __init__(self, file: BinaryIO) -> None:
        if not zipfile.is_zipfile(file):
            raise FormatError("not an .npz archive, or one that was cut short.")
        self._zip = zipfile.ZipFile(file)
        self._names = [name.removesuffix(".npy") for name in self._zip.namelist() if name.endswith(".npy")]
        self._known = frozenset(self._names)
        self._prefix = ""

    def within(self, prefix: str) -> Archive:
        """Return the arrays whose names begin with a text, by the rest of their names."""
        found = copy.copy(self)
        found._names = [name.removeprefix(prefix) for name in self._names if name.startswith(prefix)]
        found._known, found._prefix = frozenset(found._names), self._prefix + prefix
        return found

    def __len__(self) -> int:
        """Return the number of arrays."""
        return len(self._known)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of the arrays, in the order of the file."""
        return iter(dict.fromkeys(self._names))

    def __contains__(self, name: object) -> bool:
        """Return whether there is an array of this name."""
        return name in self._known

    def header(self, name: str) -> Header:
        """Return shape and type of an array.

        Raises
        ------
        KeyError
            There is none of this name.
        FormatError
            A damaged one, or one that is larger than the archive says.
        """
        if name not in self._known:
            raise KeyError(name)
        with self._opened(name) as entry:
            header = Header(name, *read_header(entry))
        most = _LONGEST_TEXT if header.size == 1 else _LONGEST_LABEL
        promised = header.size * header.dtype.itemsize
        if header.dtype.kind in "US" and header.dtype.itemsize > most:
            raise FormatError(f"entry {name!r} holds texts of {show_bytes(header.dtype.itemsize)}.")
        if not header.dtype.hasobject and promised > (
            held := self._zip.getinfo(f"{self._prefix}{name}.npy").file_size
        ):
            raise FormatError(
                f"entry {name!r} promises more than it holds: {show_bytes(promised)} in {show_bytes(held)}."
            )
        return header

    def __getitem__(self, name: str) -> Array:
        """Return the array, of any shape; errors as of `header`, and `DataError` for one of Python objects."""
        self.header(name)
        with self._opened(name) as entry:
            return read_array(entry)

    def wanted(self, name: str) -> Array:
        """Return the array, of any shape; one that is not there is a `FormatError`."""
        self.check(name)
        return self[name]

    def check(self, name: str) -> None:
        """Raise `FormatError` unless there is an array of this name."""
        if name not in self._known:
            raise FormatError(f"the archive has no entry {name!r}: it is incomplete.")

    def text(self, name: str) -> str:
        """Return the one short text that an entry is; empty if it is none."""
        if name not in self._known:
            return ""
        header = self.header(name)
        return str(self[name]) if header.dtype.kind == "U" and header.size == 1 else ""

    def _opened(self, name: str) -> BinaryIO:
        try:
            return cast(BinaryIO, self._zip.open(f"{self._prefix}{name}.npy"))
        except RuntimeError as error:  # encrypted
            raise FormatError(f"entry {name!r} cannot be unpacked: {error}.") from error
