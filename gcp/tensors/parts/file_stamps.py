"""Stamps of files that an array is read from, which tell whether they have stayed as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from gcp.base.errors import DataError

Stamp = dict[str, tuple[int, int, int]]
"""Size, time and number of every file, by its path."""


def places_of(array: Any) -> tuple[str, ...]:
    """Return the files and folders of an array of h5py or zarr; none of one in memory or in a cloud."""
    file = getattr(array, "file", None)
    if file is not None and hasattr(file, "filename"):
        if file.mode != "r":
            file.flush()  # what is still to be written is no change
        folder = os.path.dirname(os.path.abspath(file.filename))
        parts = [source.file_name for source in array.virtual_sources()] if array.is_virtual else []
        return tuple(os.path.join(folder, name) for name in (file.filename, *parts) if name != ".")
    store = getattr(array, "store", None)
    root = getattr(store, "root", None) or getattr(store, "path", None)
    inside = getattr(array, "path", None)
    if root is None or not isinstance(inside, str):
        return ()
    return (str(root) if os.path.isfile(str(root)) else os.path.join(str(root), inside),)


def stamp_of(places: tuple[str, ...]) -> Stamp:
    """Return the stamp of places as they are now."""
    return {path: _facts(path) for place in places for path in _files(place)}


def check(places: tuple[str, ...], before: Stamp) -> None:
    """Raise unless all is as it was.

    Raises
    ------
    DataError
        Says which file has changed.
    """
    now = stamp_of(places)
    if now == before:
        return
    for path in before:
        if path not in now:
            raise DataError(f"the data have changed since they were opened: {path} is gone.")
    changed = next(path for path in now if now[path] != before.get(path))
    what = "has changed" if changed in before else "is new"
    raise DataError(f"the data have changed since they were opened: {changed} {what}.")


def _files(place: str) -> Iterator[str]:
    if os.path.isdir(place):
        for folder, _, names in os.walk(place):
            yield from (os.path.join(folder, name) for name in names)
    elif os.path.exists(place):
        yield place


def _facts(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:  # since it was listed
        return -1, -1, -1
    return found.st_size, found.st_mtime_ns, found.st_ino
