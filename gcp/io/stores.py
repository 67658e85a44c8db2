"""HDF5 files and zarr folders: named arrays, in chunks, through h5py and zarr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from gcp.errors import DataError, FormatError, ParameterError
from gcp.io.base import Format, choose_variable
from gcp.io.files import check_file
from gcp.tensors.sources import ArraySource, Source


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ParameterError(f'such files need {name}: pip install "gcp-tensor[arrays]".') from error


def _hdf5(path: Path, variable: str | None = None) -> Source:
    h5py = _imported("h5py")
    check_file(path)
    if not h5py.is_hdf5(path):
        raise FormatError("not an HDF5 file, or a damaged one.")
    with h5py.File(path, "r") as file:
        items: dict[str, Any] = {}
        file.visititems(lambda name, item: items.update({name: item}) if hasattr(item, "shape") else None)
        array = _chosen(items, file, variable)
        return ArraySource.of(array, str(path), partial(_hdf5_array, path, array.name))


@contextmanager
def _hdf5_array(path: Path, name: str) -> Iterator[Any]:
    with _imported("h5py").File(path, "r") as file:
        yield file[name]


def _zarr(path: Path, variable: str | None = None) -> Source:
    zarr = _imported("zarr")
    if not path.is_dir():
        raise DataError("is a file: expected a folder." if path.exists() else "there is no such folder.")
    try:
        store = zarr.open(str(path), mode="r")
    except Exception as error:  # of many kinds, and other ones in each version
        reason = " ".join(str(error).split()).rstrip(".")
        raise FormatError(f"not a zarr folder, or a damaged one: {reason}.") from error
    if hasattr(store, "shape"):
        if variable is not None:
            raise ParameterError(f"There is no variable {variable!r}: the folder is one array.")
        return ArraySource.of(_chosen({"": store}, {}, None), str(path))
    return ArraySource.of(_chosen(dict(_arrays_of(store, "")), store, variable), str(path))


def _arrays_of(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, array in group.arrays():
        yield f"{prefix}{name}", array
    for name, inner in group.groups():
        yield from _arrays_of(inner, f"{prefix}{name}/")


def _chosen(items: dict[str, Any], store: Any, variable: str | None) -> Any:
    """The array that `variable` names, or the only one of numbers."""
    if variable is not None:
        variable = variable.strip("/")
        if variable not in items and variable in store:  # behind a link, or a group
            items = items | {variable: store[variable]}
    found, others = {}, {}
    for name, item in items.items():
        shape, dtype = getattr(item, "shape", None), getattr(item, "dtype", None)
        if shape and dtype is not None and dtype.kind in "buif":
            found[name] = item
        else:
            others[name] = "a group" if dtype is None else f"{len(shape or ())}-mode {dtype}"
    return choose_variable(found, others, variable)


HDF5 = Format(None, None, frozenset({"variable"}), _hdf5)
ZARR = Format(None, None, frozenset({"variable"}), _zarr)
