"""A look at the heaps of an HDF5 file, in which its texts lie: some damage lets the library go round without end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

from gcp.base.errors import FormatError

_SIGNATURE = b"GCOL\x01\x00\x00\x00"
_HEADER = 16
_BLOCK = 1 << 20


def check_heaps(file: BinaryIO) -> None:
    """Raise `FormatError` for a heap with an object of no length, at which the library would stay forever.

    Costs one reading of the file.
    """
    for place in list(_heaps(file)):
        file.seek(place + len(_SIGNATURE))
        size = int.from_bytes(file.read(8), "little")
        heap = file.read(min(size, _BLOCK) - _HEADER) if size > _HEADER else b""
        at = 0
        while at + _HEADER <= len(heap):
            number, length = struct.unpack_from("<H6xQ", heap, at)
            step = (_HEADER + (length + 7) // 8 * 8 if number else length) % 2**64
            if step == 0:
                raise FormatError(
                    f"the file is damaged: its heap at byte {place:,} has an object of no length."
                )
            at += step


def _heaps(file: BinaryIO) -> Iterator[int]:
    """Yield where the heaps of a file begin."""
    file.seek(0)
    begin, kept = 0, b""
    while block := file.read(_BLOCK):
        part, at = kept + block, -1
        while (at := part.find(_SIGNATURE, at + 1)) >= 0:
            yield begin - len(kept) + at
        begin, kept = begin + len(block), part[1 - len(_SIGNATURE) :]
