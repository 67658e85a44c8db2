"""Arrays of HDF5 files. A file may name others as the place of its data: only such in its own folder are read."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, GcpError, ParameterError
from gcp.base.sizes import check_memory
from gcp.base.types import Array
from gcp.io.files import check_file
from gcp.io.format import choose_variable, damage_told
from gcp.io.global_heaps import check_heaps
from gcp.tensors.parts.sources import ArraySource, Source

_MOST_LINKS = 32


def source(path: Path, variable: str | None = None) -> Source:
    """Return the array that `variable` names, or the only one of numbers.

    Raises
    ------
    FormatError
        No HDF5 file, or a damaged one; links that lead nowhere.
    DataError
        An array whose numbers lie in other files than HDF5 files of the same folder.
    """
    import h5py

    variable = None if variable is None else variable.strip("/")
    check_file(path)
    path.open(
        "rb"
    ).close()  # what the system says of files that may not be read is clearer than what HDF5 does
    if not h5py.is_hdf5(path):
        raise FormatError("not an HDF5 file, or a damaged one.")
    with _damage_told():
        with h5py.File(path, "r") as file:
            items: dict[str, Any] = {}
            file.visititems(lambda name, item: items.update({name: item}) if hasattr(item, "shape") else None)
            name = variable or ""
            if variable is None or variable in items:
                name = choose_array(items, variable).name
            try:  # what is asked for may be behind a link
                where, name = _Folder(path).located(path, name)
            except ParameterError:
                choose_array(items, variable)
                raise
        with h5py.File(where, "r") as file:
            array = choose_array({variable or name: file[name]}, variable)
            return ArraySource.of(array, str(path), partial(_opened, where, name))


@contextmanager
def _opened(path: Path, name: str) -> Iterator[Any]:
    import h5py

    with h5py.File(path, "r") as file:
        yield file[name]


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except GcpError:
        raise
    except Exception as error:  # h5py meets damaged files with errors of many kinds
        reason = " ".join(str(error).split()).strip("'\".")
        raise FormatError(f"the file is damaged: {reason}.") from error


@contextmanager
def opened_alone(file: BinaryIO, what: str) -> Iterator[Any]:
    """Open an HDF5 file for libraries that follow links; all that it holds must lie in itself.

    Parameters
    ----------
    file : binary file
    what : str
        What errors say it is not, such as "an .h5ad file".

    Raises
    ------
    FormatError
        Whatever goes wrong with it, now or as long as the file is open.
    DataError
        Links to other files, or numbers that lie in others.
    """
    import h5py

    check_heaps(file)
    with damage_told(what), h5py.File(file, "r") as opened:
        if (name := opened.visititems_links(_outer_link) or opened.visititems(_outer_array)) is not None:
            raise DataError(
                f"{name} lies in another file, which is not read for safety: copy both into one file, e.g. with "
                "h5repack."
            )
        yield opened


def _outer_link(name: str, link: Any) -> str | None:
    """Return the name of a link that leads out of its file; the first ends the search."""
    return name if hasattr(link, "filename") else None


def _outer_array(name: str, item: Any) -> str | None:
    """Return the name of an array whose numbers lie in other files, or may."""
    is_outer = bool(getattr(item, "external", None)) or getattr(item, "is_virtual", False)
    return name if is_outer else None


def values_of(array: Any) -> Array:
    """Return an array of a file, of any shape, read whole after a look at its size."""
    check_memory(f"The array {array.name}", math.prod(array.shape) * array.dtype.itemsize, 1)
    return np.asarray(array[()])


def texts_of(names: Any) -> Array:
    """Return names (n,) that a file holds as text or as bytes in UTF-8."""
    given = np.asarray(names).ravel().tolist()
    return np.array([one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in given])


def choose_array(items: dict[str, Any], variable: str | None) -> Any:
    """Return the one array of numbers among named items, or the one that `variable` names."""
    found, others = {}, {}
    for name, item in items.items():
        shape, dtype = getattr(item, "shape", None), getattr(item, "dtype", None)
        if shape and dtype is not None and dtype.kind in "buif":
            found[name] = item
        else:
            others[name] = "a group" if dtype is None else f"{len(shape or ())}-mode {dtype}"
    return choose_variable(found, others, variable)


class _Folder:
    """Follows links in a file, one by one, as far as they stay in its folder.

    Parameters
    ----------
    path : path
        The file that is read.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path.resolve().parent
        self.steps = 0
        self.known: set[tuple[Path, str]] = set()

    def located(self, path: Path, name: str) -> tuple[Path, str]:
        """Return the file that holds an object, and the object's name there without links.

        Raises
        ------
        DataError
            A way that leaves the folder, or data that lie elsewhere.
        """
        import h5py

        parts, here = deque(_split(name)), ""
        with h5py.File(path, "r") as file:
            while parts:
                part = parts.popleft()
                group = file[here or "/"]
                link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
                if link is None:
                    raise ParameterError(f"There is no variable {name!r}: nothing is called {here}/{part}.")
                if isinstance(link, h5py.SoftLink | h5py.ExternalLink):
                    self._count(name)
                if isinstance(link, h5py.ExternalLink):
                    other = self._inside(path, link.filename, f"{here}/{part} is a link")
                    return self.located(other, "/".join([link.path, *parts]))
                if isinstance(link, h5py.SoftLink):
                    parts.extendleft(reversed(_split(link.path)))
                    here = "" if link.path.startswith("/") else here
                else:
                    here = f"{here}/{part}"
            found = file[here or "/"]
            if isinstance(found, h5py.Dataset):
                self._check_storage(path, here, found)
        return path, here or "/"

    def _count(self, name: str) -> None:
        self.steps += 1
        if self.steps > _MOST_LINKS:
            raise FormatError(
                f"the links behind {name!r} go round in a circle, or are more than {_MOST_LINKS}."
            )

    def _check_storage(self, path: Path, name: str, array: Any) -> None:
        """Raise `DataError` for numbers outside the file, unless they are in HDF5 files of the folder."""
        if array.external:
            raise DataError(
                f"{name} has its numbers in another file, {array.external[0][0]!r}, which is not read for safety: "
                "copy it into one HDF5 file, e.g. with h5repack."
            )
        for part in array.virtual_sources() if array.is_virtual else ():
            if "%" in part.file_name or "%" in part.dset_name:
                raise DataError(
                    f"{name} is put together from files {part.file_name!r} of any number: not read."
                )
            what = f"{name} is put together from others"
            other = path if part.file_name == "." else self._inside(path, part.file_name, what)
            if (other, part.dset_name) not in self.known:
                self.known.add((other, part.dset_name))
                self.located(other, part.dset_name)

    def _inside(self, path: Path, name: str, what: str) -> Path:
        """Return another file that this one names."""
        import h5py

        found = (path.resolve().parent / name).resolve()
        if not found.is_relative_to(self.folder):
            raise DataError(
                f"{what}, and names the file {name!r}, which lies outside the folder of the file and is not read for "
                "safety: copy both into one folder."
            )
        if not found.is_file() or not h5py.is_hdf5(found):
            raise FormatError(f"{what}, but there is no HDF5 file {name!r}.")
        return found


def _split(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]
