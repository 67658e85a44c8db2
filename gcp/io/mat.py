"""MATLAB's .mat, versions 4 to 7: one numeric array, or a Tensor Toolbox `tensor`."""

from __future__ import annotations

from typing import Any, BinaryIO, cast

import numpy as np

from gcp.base.errors import DataError, FormatError
from gcp.base.types import Array
from gcp.io.format import Format, choose_variable, native, values_with_nan
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor


def _read(file: BinaryIO, variable: str | None = None) -> DenseTensor:
    from scipy.io import loadmat

    try:
        content = loadmat(cast(Any, file))  # the stubs know only paths
    except NotImplementedError:
        raise FormatError("a version 7.3 (HDF5) file: save it in MATLAB with the option -v7.") from None
    except MemoryError:
        raise
    except Exception as error:  # the reader meets damaged bytes with errors of many kinds
        raise FormatError(
            f"not a .mat file, or one that is damaged or cut short: {str(error).rstrip('?.')}."
        ) from error
    found: dict[str, Array] = {}
    others: dict[str, str] = {}
    for name, item in content.items():
        if name.startswith("__"):
            continue
        array = _tensor_object(item)
        if isinstance(array, np.ndarray) and array.dtype.kind in "buif":
            found[name] = native(array)
        else:
            others[name] = _kind(item)
    return DenseTensor(choose_variable(found, others, variable))


def _tensor_object(item: Any) -> Any:
    """Return the data of a `tensor` object or struct in its true shape (MATLAB drops sizes of 1); else the item."""
    names = getattr(getattr(item, "dtype", None), "names", None) or ()
    if "data" not in names or item.size != 1:
        return item
    data = item["data"].flat[0]
    if "size" in names and isinstance(data, np.ndarray):
        shape = tuple(int(size) for size in np.ravel(item["size"].flat[0]))
        if shape and np.prod(shape) == data.size:
            return data.reshape(shape, order="F")
    return data


def _kind(item: Any) -> str:
    if hasattr(item, "tocsr"):
        return "a sparse matrix; save it as full(...)"
    names = getattr(getattr(item, "dtype", None), "names", None)
    return (
        f"a struct of {', '.join(names)}"
        if names
        else f"of type {getattr(item, 'dtype', type(item).__name__)}"
    )


def _write(file: BinaryIO, tensor: Tensor) -> None:
    from scipy.io import savemat

    values = values_with_nan(tensor, ".mat")
    if values.dtype in (np.float16, np.longdouble):  # types that MATLAB does not have
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    try:
        savemat(cast(Any, file), {"X": values}, do_compression=True, oned_as="column")
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"the tensor cannot be written as .mat: {error}.") from error


FORMAT = Format(_read, _write, frozenset({"variable"}))
