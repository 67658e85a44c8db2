"""Opening files for reading, and replacing them safely when writing."""

from __future__ import annotations

import gzip
import os
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from gcp.errors import DataError

DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, NotImplementedError)
"""What Python's archives raise over damaged ones; the last, over features that it lacks."""

_PACKED = 1 << 18
"""Bytes that are unpacked at a time."""

_GZIP = 31
"""What zlib calls its own largest window in gzip's wrapping."""


@contextmanager
def opened(path: Path, is_gzipped: bool, mode: str = "rb") -> Iterator[BinaryIO]:
    """A binary file, unpacked or packed on the way; packed files carry no name and no time."""
    if mode == "rb":
        check_file(path)
    with open(path, mode) as raw:
        if not is_gzipped:
            yield cast(BinaryIO, raw)
            return
        with gzip.GzipFile(filename="", mode=mode, compresslevel=6, fileobj=raw, mtime=0) as packed:
            yield cast(BinaryIO, packed)


def check_file(path: Path) -> None:
    """Raise `DataError` unless there is a file with something in it."""
    if path.is_dir():
        raise DataError("is a folder: expected a file.")
    if not path.exists():
        raise DataError("there is no such file.")
    if path.stat().st_size == 0:
        raise DataError("the file is empty.")


def contents(file: BinaryIO, size: int) -> Iterator[bytes]:
    """All that a file holds, from its beginning, in runs of bytes of about this size.

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
    """A temporary name in the folder of `path`; the file there takes the place of `path` on success.

    On failure it is removed, and whatever `path` was before is untouched.
    """
    target = Path(os.path.realpath(path))  # a link keeps pointing where it does
    if target.is_dir():
        raise DataError("is a folder: expected a file name.")
    if not target.parent.is_dir():
        raise DataError(f"there is no folder {target.parent}.")
    part = target.with_name(f".{target.name[:100]}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
