"""NumPy's .npy: one array."""

from __future__ import annotations

from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from gcp._typing import Array
from gcp.errors import DataError, FormatError
from gcp.io.base import Format, native, values_with_nan
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listing import Tensor

_MAGIC = b"\x93NUMPY"


def read_array(file: BinaryIO) -> Array:
    """One array in .npy form; arrays of objects (pickles) are refused.

    Raises
    ------
    FormatError
        Not an .npy file, or an incomplete one.
    DataError
        An array of Python objects.
    """
    start = file.read(len(_MAGIC))
    if start != _MAGIC:
        raise FormatError("not in .npy form: the first bytes are not NumPy's.")
    file.seek(-len(_MAGIC), 1)
    try:
        return native(np.asarray(np.lib.format.read_array(file, allow_pickle=False)))
    except (ValueError, TokenError) as error:
        if "Object arrays" in str(error):
            raise DataError(
                "holds an array of Python objects (a pickle), which is not read for safety. Save numbers "
                "instead, e.g. array.astype(float)."
            ) from None
        raise FormatError(f"the file is damaged or was cut short: {error}.") from error
    except (MemoryError, OverflowError) as error:
        raise FormatError(f"the file promises more numbers than memory can hold: {error}.") from error


def _read(file: BinaryIO) -> DenseTensor:
    return DenseTensor(read_array(file))


def _write(file: BinaryIO, tensor: Tensor) -> None:
    np.lib.format.write_array(file, values_with_nan(tensor, ".npy"), allow_pickle=False)


FORMAT = Format(_read, _write)
