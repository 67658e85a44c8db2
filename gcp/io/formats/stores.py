"""HDF5 files and zarr folders: named arrays, in chunks, through h5py and zarr."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gcp.base.errors import DataError, FormatError, GcpError, ParameterError
from gcp.io import hdf5
from gcp.io.format import Format
from gcp.tensors.parts.sources import ArraySource, Source


def _zarr(path: Path, variable: str | None = None) -> Source:
    import zarr

    if not path.is_dir():
        raise DataError("is a file: expected a folder." if path.exists() else "there is no such folder.")
    try:
        store = zarr.open(str(path), mode="r")
        is_array = hasattr(store, "shape")
        if is_array and variable is not None:
            raise ParameterError(f"There is no variable {variable!r}: the folder is one array.")
        items = {"": store} if is_array else dict(_arrays_of(store, ""))
        return ArraySource.of(_chosen(items, {} if is_array else store, variable), str(path))
    except GcpError:
        raise
    except Exception as error:  # of many kinds, and other ones in each version
        reason = " ".join(str(error).split()).rstrip(".")
        raise FormatError(f"not a zarr folder, or a damaged one: {reason}.") from error


def _arrays_of(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, array in group.arrays():
        yield f"{prefix}{name}", array
    for name, inner in group.groups():
        yield from _arrays_of(inner, f"{prefix}{name}/")


def _chosen(items: dict[str, Any], store: Any, variable: str | None) -> Any:
    """Return the array that `variable` names, or the only one of numbers."""
    if variable is not None:
        variable = variable.strip("/")
        if variable not in items and variable in store:  # a group
            items = items | {variable: store[variable]}
    return hdf5.choose_array(items, variable)


_OPTIONS = frozenset({"variable"})

FORMATS = (
    Format(endings=(".h5", ".hdf5"), options=_OPTIONS, source=hdf5.source, needs=("h5py",), extra="arrays"),
    Format(endings=(".zarr",), options=_OPTIONS, source=_zarr, needs=("zarr",), extra="arrays"),
)
