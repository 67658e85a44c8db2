"""What a .mat file of version 7.3 holds: arrays with their modes in reverse, sparse matrices, structs as groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.types import Array
from gcp.io.hdf5 import values_of

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""The first bytes of HDF5, behind MATLAB's own 512."""

_NUMERIC = {
    "double",
    "single",
    "logical",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
}


class Described(str):
    """Words for what is no array of numbers."""

    __slots__ = ()


class _LazyArray:
    """An array of numbers, read when NumPy asks for it.

    Parameters
    ----------
    dataset : h5py.Dataset
    kind : str
        MATLAB's class, empty if it is not told.
    """

    def __init__(self, dataset: Any, kind: str) -> None:
        self._dataset = dataset
        self.dtype = np.dtype(bool) if kind == "logical" else dataset.dtype
        self.shape = tuple(reversed(dataset.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Read the array, of MATLAB's shape."""
        return values_of(self._dataset).T.astype(dtype or self.dtype, copy=False)


class _Group(Mapping[str, Any]):
    """A file or a struct, whose fields are looked at when they are asked for."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self._names = [name for name in group if not name.startswith("#")]  # the file's own

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self._names)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __getitem__(self, name: str) -> Any:
        """Return an array, a sparse matrix, a struct, or a description of something else."""
        return _item(self._group[name])


def tree_of(file: Any) -> Mapping[str, Any]:
    """Return what an open h5py.File holds, by name."""
    return _Group(file)


def _item(item: Any) -> Any:
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    if not hasattr(item, "dtype"):
        return _sparse(item) if "MATLAB_sparse" in item.attrs else _Group(item)
    if "MATLAB_empty" in item.attrs:
        return Described("empty")
    is_number = item.dtype.kind in "buif" and (not kind or kind in _NUMERIC)
    return _LazyArray(item, kind) if is_number and item.shape else Described(f"of class {kind or item.dtype}")


def _sparse(group: Any) -> Any:
    """Return a sparse matrix, which is stored by columns."""
    from scipy.sparse import csc_array

    n_rows = int(group.attrs["MATLAB_sparse"])
    starts = values_of(group["jc"]).astype(np.int64)
    if starts.ndim != 1 or len(starts) < 2:
        raise FormatError(f"the file is damaged: {group.name} is a sparse matrix without columns.")
    if "data" not in group:  # there is no entry
        return csc_array((n_rows, len(starts) - 1))
    rows, values = values_of(group["ir"]).astype(np.int64), values_of(group["data"])
    return csc_array((values, rows, starts), shape=(n_rows, len(starts) - 1))
