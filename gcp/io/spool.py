"""Arrays too long for memory, kept in nameless files for a while."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from gcp.base.types import Array

Rows: TypeAlias = tuple[Array, ...]
"""Parallel arrays: subscripts, values, and, where it matters, the rows' numbers in the listing."""

_BLOCK = 1 << 16
"""Rows that are copied at a time."""


class Spool:
    """An array on disk that grows at its end.

    Its file has no name (where the system has such files; else one that goes with it), so that nothing of it is left
    when it is closed or the process ends, however that comes.

    Parameters
    ----------
    folder : path
    dtype : numpy dtype
    width : int
        Columns; 0 for a vector.
    """

    def __init__(self, folder: Path, dtype: Any, width: int = 0) -> None:
        self.dtype, self.width = np.dtype(dtype), width
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._length = 0

    def __len__(self) -> int:
        """Number of rows."""
        return self._length

    def append(self, rows: Array) -> None:
        """Add rows at the end."""
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._length += len(rows)

    def read(self, first: int, last: int) -> Array:
        """The rows from `first` up to `last`."""
        rows = np.empty((last - first, self.width) if self.width else last - first, self.dtype)
        self._file.seek(first * self.dtype.itemsize * max(self.width, 1))
        if self._file.readinto(rows.data) != rows.nbytes:
            raise OSError("a temporary file has lost its end")
        return rows

    def blocks(self) -> Iterator[Array]:
        """All rows, in runs of bounded size."""
        for first in range(0, len(self), _BLOCK):
            yield self.read(first, min(first + _BLOCK, len(self)))

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()


class Table:
    """Parallel columns on disk.

    Parameters
    ----------
    folder : path
    columns : (dtype, width) each
        As a `Spool` takes them.
    """

    def __init__(self, folder: Path, *columns: tuple[Any, int]) -> None:
        self.folder = folder
        self.columns = [Spool(folder, *column) for column in columns]

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Give the disk space back."""
        for column in self.columns:
            column.close()

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.columns[0])

    def append(self, rows: Rows) -> None:
        """Add rows at the end."""
        for column, part in zip(self.columns, rows, strict=True):
            column.append(part)

    def read(self, first: int, last: int) -> Rows:
        """The rows from `first` up to `last`."""
        return tuple(column.read(first, last) for column in self.columns)

    def widen(self) -> None:
        """Make room for more than 32 bits in the first column."""
        narrow = self.columns[0]
        if narrow.dtype == np.uint32:
            wide = self.columns[0] = Spool(self.folder, np.uint64, narrow.width)
            for subs in narrow.blocks():
                wide.append(subs)
            narrow.close()
