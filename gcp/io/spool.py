"""Arrays too long for memory, kept in nameless files for a while."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from gcp.base.types import Array

_BLOCK = 1 << 16
"""Rows that are read at a time."""


class Spool:
    """An array on disk that grows at its end.

    Its file has no name (where the system has such files; else one that goes with it), so that nothing of it is left
    when it is closed or the process ends, however that comes.

    Parameters
    ----------
    folder : path
    dtype : numpy dtype
    stack : ExitStack
        Closes the file in the end.
    """

    def __init__(self, folder: Path, dtype: Any, stack: ExitStack) -> None:
        self.dtype, self.folder, self._stack = np.dtype(dtype), folder, stack
        self._file = stack.enter_context(tempfile.TemporaryFile(dir=folder))  # noqa: SIM115
        self._length = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._length

    def another(self, dtype: Any) -> Spool:
        """Return an empty spool, in the same folder and closed by the same stack."""
        return Spool(self.folder, dtype, self._stack)

    def append(self, rows: Array) -> None:
        """Add rows at the end.

        Parameters
        ----------
        rows : ndarray, shape (rows,)
        """
        self._file.seek(0, os.SEEK_END)
        self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        self._length += len(rows)

    def blocks(self, size: int = _BLOCK) -> Iterator[Array]:
        """Yield all rows, arrays (size,) or less at the end."""
        for first in range(0, len(self), size):
            rows = np.empty(min(size, len(self) - first), self.dtype)
            self._file.seek(first * self.dtype.itemsize)
            if self._file.readinto(rows.data) != rows.nbytes:
                raise OSError("a temporary file has lost its end")
            yield rows

    def close(self) -> None:
        """Give the disk space back."""
        self._file.close()
