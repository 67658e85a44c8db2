"""NumPy's .npy: one array."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError
from gcp.base.types import Array
from gcp.io.files import check_file
from gcp.io.format import Format, native, values_with_nan
from gcp.tensors.dense import DenseTensor, check_numbers
from gcp.tensors.kinds import Tensor
from gcp.tensors.parts.sources import Source, source_of

_MAGIC = b"\x93NUMPY"


def read_array(file: BinaryIO) -> Array:
    """Return one array in .npy form, of any shape; arrays of objects (pickles) are refused.

    Raises
    ------
    FormatError
        Not an .npy file, or an incomplete one.
    DataError
        An array of Python objects.
    """
    start = file.tell()
    read_header(file)  # NumPy 2.1 reads arrays of negative sizes
    file.seek(start)
    with _damage_told():
        return native(np.asarray(np.lib.format.read_array(file, allow_pickle=False)))


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array in .npy form; its numbers follow.

    Raises
    ------
    FormatError
        Not an .npy file, or an incomplete one.
    """
    _check_magic(file)
    with _damage_told():
        major = (file.read(2) or b"?")[0]
        if major not in (1, 2):  # another is for names of columns alone
            raise FormatError(f"version {major} of the .npy form, which arrays of numbers do not need.")
        read = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    if any(size < 0 for size in shape):
        raise FormatError(f"the file is damaged: an array of shape {shape}.")
    return shape, dtype


def _check_magic(file: BinaryIO) -> None:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise FormatError("not in .npy form: the first bytes are not NumPy's.")


@contextmanager
def _damage_told() -> Iterator[None]:
    try:
        yield
    except FormatError:
        raise
    except (ValueError, TokenError) as error:
        if "Python objects" in str(error) or "Object arrays" in str(error):
            raise DataError(
                "holds an array of Python objects (a pickle), which is not read for safety. Save numbers "
                "instead, e.g. array.astype(float)."
            ) from None
        raise FormatError(f"the file is damaged or was cut short: {error}.") from error
    except (MemoryError, OverflowError) as error:
        raise FormatError(f"the file promises more numbers than memory can hold: {error}.") from error


def _read(file: BinaryIO) -> DenseTensor:
    return DenseTensor(read_array(file))


def _source(path: Path) -> Source:
    """Return the array where it lies in the file."""
    check_file(path)
    with open(path, "rb") as file:
        _check_magic(file)
    with _damage_told():
        mapping = np.lib.format.open_memmap(path, mode="r")
    check_numbers(mapping.dtype, mapping.shape)
    return source_of(mapping)


def _write(file: BinaryIO, tensor: Tensor) -> None:
    np.lib.format.write_array(file, values_with_nan(tensor, ".npy"), allow_pickle=False)


FORMATS = (Format(endings=(".npy",), read=_read, write=_write, source=_source),)
