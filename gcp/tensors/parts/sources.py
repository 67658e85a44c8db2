"""Arrays outside memory, read in slabs: runs of positions of one mode."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, Self, cast

import numpy as np

from gcp.base.errors import DataError, FormatError, GcpError
from gcp.base.types import Array
from gcp.tensors.entries import cells_of
from gcp.tensors.parts import file_stamps

Read = Callable[[int, int, int], Array]
"""``read(mode, first, end)``: these positions of a mode. The array is good until the next but one is read, which may
take its memory."""

Access = Callable[[], AbstractContextManager[Any]]
"""Gives an array for as long as it is needed: opens a file, or has it at hand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Source(ABC):
    """An array that is read in slabs.

    Attributes
    ----------
    name : str
        What errors call it.
    shape : tuple of int
    dtype : dtype
        Of what is read.
    order : tuple of int
        The modes, from those whose slabs are long runs of storage to those whose slabs are scattered.
    grain : tuple of int
        By mode, how many positions are stored together, so that to read one is to read them all.
    copies : int
        Memory for reading slabs, two at a time, in slabs.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: tuple[int, ...]
    grain: tuple[int, ...]
    copies: int = 2

    @abstractmethod
    def opened(self) -> AbstractContextManager[Read]:
        """Return what reads, for one thread at a time, as long as the context lasts."""

    def check(self) -> None:
        """Raise unless the array is what it was when it was opened; of arrays in memory nothing is known.

        Raises
        ------
        DataError
        """
        return None

    @property
    def n_bytes(self) -> int:
        """The bytes of the whole array."""
        return cells_of(self.shape) * self.dtype.itemsize

    def whole(self) -> Array:
        """Return the array (I_0, ...), in memory."""
        with self.opened() as read:
            found = read(self.order[0], 0, self.shape[self.order[0]])
        self.check()
        return found


@contextmanager
def naming_source(name: str) -> Iterator[None]:
    """Tell whatever goes wrong meanwhile as an error of `gcp` that names the source."""
    try:
        yield
    except GcpError as error:
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise DataError(f"{name}: a part of it does not fit into memory. Give a smaller memory=.") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # libraries meet damaged files with errors of many kinds
        reason = " ".join(str(error).split()).rstrip(".")
        raise DataError(f"{name}: cannot be read: {type(error).__name__}: {reason}.") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class FileSource(Source):
    """An array as it lies in a file, which is read by position.

    Attributes
    ----------
    stored : dtype
        With the byte order of the file.
    offset : int
        Where in the file the array begins.
    stamp : (int, int) or None
        Size and time of the file, which must stay the same.
    """

    stored: np.dtype[Any]
    offset: int
    stamp: tuple[int, int] | None

    @classmethod
    def of(cls, mapping: Any) -> Self | None:
        """Make the source of a memmap, or a contiguous part of one.

        None stands for other parts, and for changes that no file has.
        """
        flags = mapping.flags
        if mapping.mode == "c" or mapping.filename is None or not (flags.c_contiguous or flags.f_contiguous):
            return None
        if mapping.mode != "r":
            mapping.flush()
        # A part has the whole's offset, but an address of its own; maps begin where the system lets them.
        base = np.frombuffer(_map_of(mapping), np.uint8).ctypes.data
        begin = mapping.offset - mapping.offset % mmap.ALLOCATIONGRANULARITY
        modes = tuple(range(mapping.ndim))
        with open(mapping.filename, "rb") as file:
            stamp = stamp_of(file) if mapping.mode == "r" else None
        return cls(
            name=str(mapping.filename),
            shape=mapping.shape,
            dtype=mapping.dtype.newbyteorder("="),
            order=modes if flags.c_contiguous else modes[::-1],
            grain=(1,) * mapping.ndim,
            stored=mapping.dtype,
            offset=begin + mapping.ctypes.data - base,
            stamp=stamp,
        )

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Open a handle of its own: what is read through a mapping stays in the process's memory."""
        self.check()
        with open(self.name, "rb", buffering=0) as file:
            yield _FileReader(self, cast(BinaryIO, file)).read

    def check(self) -> None:
        """Check by size and time."""
        with open(self.name, "rb") as file:
            if self.stamp not in (None, stamp_of(file)):
                raise DataError("the file has changed since it was opened.")


def stamp_of(file: Any) -> tuple[int, int]:
    """Return size and time of an open file."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


class _FileReader:
    """Reads slabs into two buffers in turn."""

    def __init__(self, source: FileSource, file: BinaryIO) -> None:
        self.source, self.file = source, file
        self.buffers = [np.empty(0, source.stored), np.empty(0, source.stored)]

    def read(self, mode: int, first: int, end: int) -> Array:
        """Return a slab (I_0, ..., end - first, ...) of positions first ... end - 1 of a mode, in a buffer."""
        source = self.source
        sizes = [source.shape[n] for n in source.order]
        axis = source.order.index(mode)
        outer, inner = cells_of(sizes[:axis]), cells_of(sizes[axis + 1 :])
        position = inner * source.stored.itemsize
        run, step = (end - first) * position, sizes[axis] * position
        found = self._buffer(outer * (end - first) * inner)
        target = cast(Any, found.view(np.uint8)).data
        for k in range(outer):
            self._fill(target[k * run : (k + 1) * run], source.offset + first * position + k * step)
        if not source.stored.isnative:
            found = found.byteswap(inplace=True).view(source.dtype)
        sizes[axis] = end - first
        return found.reshape(sizes).transpose(np.argsort(source.order))

    def _buffer(self, size: int) -> Array:
        """Return the buffer that was filled longer ago, shape (size,)."""
        self.buffers.reverse()
        if self.buffers[0].size < size:
            self.buffers[0] = np.empty(0, self.source.stored)  # gone before its successor comes
            self.buffers[0] = np.empty(size, self.source.stored)
        return self.buffers[0][:size]

    def _fill(self, target: memoryview, position: int) -> None:
        self.file.seek(position)
        done = 0
        while done < len(target):
            n = self.file.readinto(target[done:])  # type: ignore[attr-defined]
            if not n:
                raise FormatError(
                    f"the file was cut short: it ends after {position + done:,} bytes, but the array after "
                    f"{self.source.offset + self.source.n_bytes:,}."
                )
            done += n


@dataclass(frozen=True, kw_only=True, eq=False)
class ArraySource(Source):
    """An array of any library, of which slices can be had.

    Attributes
    ----------
    access : callable
        A context manager that gives the array.
    places : tuple of str
        Its files and folders, which must stay as they are.
    stamp : dict
        What these were when the array was opened.
    """

    access: Access
    places: tuple[str, ...] = ()
    stamp: file_stamps.Stamp

    @classmethod
    def of(cls, array: Any, name: str | None = None, access: Access | None = None) -> Self:
        """Make the source with the array's chunks: of one shape, or by mode a tuple of sizes as in Dask's arrays.

        Parameters
        ----------
        array : array_like with shape and dtype
            ``numpy.asarray(array[slices])`` is a part of it.
        name : str, optional
        access : callable, optional
            Default: the array is kept.
        """
        shape = tuple(int(size) for size in array.shape)
        chunks = getattr(array, "chunks", None)
        places = file_stamps.places_of(array)
        strides = getattr(array, "strides", None) or range(len(shape), 0, -1)
        return cls(
            name=name or name_of(array),
            shape=shape,
            dtype=np.dtype(array.dtype),
            order=tuple(sorted(range(len(shape)), key=lambda n: -abs(strides[n]))),
            grain=tuple(int(np.max(sizes)) for sizes in chunks) if chunks else (1,) * len(shape),
            copies=4 if chunks else 2,  # while chunks are unpacked, they are in memory packed and unpacked
            access=access or partial(nullcontext, array),
            places=places,
            stamp=file_stamps.stamp_of(places),
        )

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Yield what reads slices of the array; copies of those of mapped files."""
        self.check()
        with self.access() as array:

            def read(mode: int, first: int, end: int) -> Array:
                found = array[(slice(None),) * mode + (slice(first, end),)]
                # Masked arrays stay masked, also those that Dask computes.
                found = np.asanyarray(found.compute() if hasattr(found, "compute") else found)
                if isinstance(array, np.memmap):
                    found = np.array(found, order="K")
                    _forget(array)
                return found

            yield read

    def check(self) -> None:
        """Check by sizes and times of all files: libraries read chunks that are gone as fill values."""
        file_stamps.check(self.places, self.stamp)


def _forget(mapping: Any) -> None:
    """Take the pages that were read out of this process's memory; the system still has them."""
    if mapping.mode != "c" and hasattr(mmap, "MADV_DONTNEED"):  # changes of "c" are nowhere else
        _map_of(mapping).madvise(mmap.MADV_DONTNEED)


def _map_of(array: Any) -> Any:
    """Return the map of a file that an array lies in; None if it lies in none."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


@dataclass(frozen=True, kw_only=True, eq=False)
class Converted(Source):
    """A source that applies an elementwise function to what another one reads."""

    source: Source
    function: Callable[[Array], Array]

    @classmethod
    def of(cls, source: Source, function: Callable[[Array], Array], dtype: Any) -> Self:
        """Make the source of a function, elementwise, with the type of its values."""
        return cls(
            name=source.name,
            shape=source.shape,
            dtype=np.dtype(dtype),
            order=source.order,
            grain=source.grain,
            copies=source.copies + 1,
            source=source,
            function=function,
        )

    def check(self) -> None:
        """Check what is read."""
        self.source.check()

    @contextmanager
    def opened(self) -> Iterator[Read]:
        """Yield what reads the function of slabs."""
        with self.source.opened() as read:
            yield lambda mode, first, end: self.function(read(mode, first, end))


def source_of(data: Any) -> Source:
    """Return the source of an array: a mapped file itself where its bytes are there one after the other."""
    if isinstance(data, Source):
        return data
    if is_mapped(data):
        return FileSource.of(data) or ArraySource.of(data, str(data.filename or "a mapped file"))
    return ArraySource.of(data)


def is_mapped(data: Any) -> bool:
    """Return whether this is a memmap; what is computed from one has its class, but lies in memory."""
    return isinstance(data, np.memmap) and _map_of(data) is not None


def name_of(array: Any) -> str:
    """Return where an array of h5py or zarr lies, if it tells; else its class."""
    place = getattr(getattr(array, "file", None), "filename", None) or getattr(array, "store_path", None)
    if place is None:
        return type(array).__name__
    return f"{str(place).removeprefix('file://')}: {getattr(array, 'name', '')}"
