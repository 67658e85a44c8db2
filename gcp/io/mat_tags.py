"""A look at the types of what a .mat file of version 5 to 7 holds: SciPy follows unknown ones out of its memory."""

from __future__ import annotations

import struct
from typing import BinaryIO

from gcp.base.errors import FormatError

_HEADER = 128
_TAG = 8
_MATRIX, _COMPRESSED, _MOST = 14, 15, 18
"""The types that hold others, packed and not, and the largest number of a type."""

_DEEPEST = 100


def check_tags(file: BinaryIO) -> None:
    """Raise `FormatError` for elements of types that there are not; packed ones have checksums.

    The file is left at its beginning.
    """
    size = file.seek(0, 2)
    file.seek(_HEADER - 2)
    order = {b"IM": "<", b"MI": ">"}.get(file.read(2))
    if order is not None:  # version 4 has no such mark
        _walk(file, order, _HEADER, size, 0)
    file.seek(0)


def _walk(file: BinaryIO, order: str, at: int, end: int, depth: int) -> None:
    """Check the elements between two places of the file."""
    while at + _TAG <= end:
        file.seek(at)
        kind, size = struct.unpack(f"{order}II", file.read(_TAG))
        is_small = kind >> 16 > 0  # with its numbers in the place of the size
        kind &= 0xFFFF
        if not 1 <= kind <= _MOST or depth > _DEEPEST:
            raise FormatError(f"the file is damaged: an element of type {kind} at byte {at:,}.")
        if kind == _MATRIX and not is_small:
            _walk(file, order, at + _TAG, min(end, at + _TAG + size), depth + 1)
        at += _TAG if is_small else _TAG + (size if kind == _COMPRESSED else -(-size // 8) * 8)
