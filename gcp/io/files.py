"""Opening files for reading, and replacing them safely when writing."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from gcp.base import locks
from gcp.base.errors import DataError, FormatError, GcpError

DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)
"""Exceptions that Python's archives raise over damaged ones; the last, over features that it lacks."""

_PACKED = 1 << 18
"""Bytes that are unpacked at a time."""

_GZIP = 31
"""The number that zlib has for its own largest window in gzip's wrapping."""

_REASON = 300
"""Characters of an archive's complaint that are repeated."""

_LONG = 60
"""Characters of a file's name that its parts' names repeat."""


@contextmanager
def opened(path: Path, is_gzipped: bool, mode: str = "rb") -> Iterator[BinaryIO]:
    """Open a binary file, unpacked or packed on the way; packed files carry no name and no time."""
    if mode == "rb":
        check_file(path)
    with open(path, mode) as raw:
        if not is_gzipped:
            yield cast(BinaryIO, raw)
            return
        with gzip.GzipFile(filename="", mode=mode, compresslevel=6, fileobj=raw, mtime=0) as packed:
            yield cast(BinaryIO, packed)


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let errors of `gcp` begin with the name of this file."""
    try:
        yield
    except GcpError as error:
        raise type(error)(f"{path}: {error}") from error


@contextmanager
def reading(path: Path, is_gzipped: bool) -> Iterator[BinaryIO]:
    """Open a file for reading, with errors that name it (see `telling`)."""
    with telling(path), opened(path, is_gzipped) as file:
        yield file


@contextmanager
def telling(path: Path | str) -> Iterator[None]:
    """Tell whatever goes wrong with reading as an error of `gcp` that names the file."""
    try:
        with naming(path):
            yield
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: expected UTF-8 text: {error}.") from error
    except DAMAGE as error:
        raise FormatError(f"{path}: the file is damaged or was cut short: {str(error)[:_REASON]}.") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    except MemoryError as error:
        raise DataError(f"{path}: the tensor does not fit into memory.") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell whatever goes wrong meanwhile as an error of `gcp` that names this file."""
    try:
        with naming(path):
            yield
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror or error}.") from error


def check_file(path: Path) -> None:
    """Raise `DataError` unless there is a file with something in it."""
    if path.is_dir():
        raise DataError("is a folder: expected a file.")
    if not os.path.exists(path):
        raise DataError("there is no such file.")
    if path.stat().st_size == 0:
        raise DataError("the file is empty.")


def contents(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield all that a file holds, from its beginning, in runs of bytes of about this size.

    What `opened` unpacks comes faster from here than from the file's own `read`.
    """
    if not isinstance(file, gzip.GzipFile):
        file.seek(0)
        while run := file.read(size):
            yield run
        return
    raw = cast(BinaryIO, file.fileobj)
    raw.seek(0)
    unpacker, is_inside = zlib.decompressobj(_GZIP), False
    while packed := raw.read(_PACKED):
        while packed:
            is_inside = True
            yield unpacker.decompress(packed, size)
            packed = unpacker.unconsumed_tail
            if unpacker.eof:  # another member may follow, or zeros that fill up a block
                packed = unpacker.unused_data.lstrip(b"\0")
                unpacker, is_inside = zlib.decompressobj(_GZIP), False
    while is_inside and (run := unpacker.decompress(b"", size)):
        yield run
    if is_inside and not unpacker.eof:
        raise EOFError("compressed data end before their end mark")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; the file there takes the place of `path` on success.

    On failure it is removed, and whatever `path` was before is untouched. What processes left that were killed
    meanwhile is removed too: the file is locked as long as the process lives.
    """
    target = target_of(path)
    stem = _stem(target.name)
    _clear(target.parent, stem)
    part = target.with_name(f"{stem}{uuid.uuid4().hex}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        locks.take(descriptor)
        yield part
        os.replace(part, target)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)


def _stem(name: str) -> str:
    """Return the beginning of the names of a file's parts: no other file's, and short enough for any file system."""
    if len(name) > _LONG:
        name = f"{name[:_LONG]}.{hashlib.sha256(name.encode(errors='surrogateescape')).hexdigest()[:16]}"
    return f".{name}."


def _clear(folder: Path, stem: str) -> None:
    """Remove the parts that nobody writes any more."""
    name = re.compile(re.escape(stem) + "[0-9a-f]{32}\\.part")
    for found in os.scandir(folder):
        if name.fullmatch(found.name) and found.is_file(follow_symlinks=False):
            with suppress(OSError), open(found.path, "rb") as part:
                if locks.take(part.fileno()):
                    os.unlink(found.path)


def target_of(path: Path) -> Path:
    """Return the file to write: a link keeps pointing where it does.

    Raises
    ------
    DataError
        It cannot be a file there.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise DataError("is a folder: expected a file name.")
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {target.parent}.")
    return target
