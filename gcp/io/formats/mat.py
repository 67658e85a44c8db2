"""MATLAB's .mat: an array, a sparse matrix, or a `tensor` or `sptensor` of the Tensor Toolbox, also inside structs.

Versions 4 to 7 come through SciPy, version 7.3 (which is HDF5) through h5py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.types import Array
from gcp.io.format import Format, choose_variable, damage_told, native, required, values_with_nan
from gcp.io.hdf5 import opened_alone
from gcp.io.mat_structure import SIGNATURE, Described, tree_of
from gcp.io.mat_tags import check_tags
from gcp.io.sparse_arrays import tensor_of_listing, tensor_of_matrix
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor

_WHAT = "a .mat file"
_USERBLOCK = 512
_NAME = re.compile(r"\w{1,63}", re.ASCII)
_MOST_PACKED = 130
"""Elements of 8 bytes, at least, that one byte of packed numbers may stand for."""


@dataclass(frozen=True)
class _Listing:
    """The fields of an `sptensor`: subs (entries, N), counted from 1, and values (entries,)."""

    shape: tuple[int, ...]
    subs: Array
    values: Array


def _read(file: BinaryIO, variable: str | None = None, unlisted: str | None = None) -> Tensor:
    content = file.read(_USERBLOCK + len(SIGNATURE))
    file.seek(0)
    if SIGNATURE in (content[: len(SIGNATURE)], content[_USERBLOCK:]):
        required("h5py", ".mat files of version 7.3", "arrays")
        with opened_alone(file, _WHAT) as opened:
            return _chosen(tree_of(opened), variable, unlisted)
    from scipy.io import loadmat

    with damage_told(_WHAT):
        check_tags(file)
        _check_headers(file)
        content = loadmat(cast(Any, file))  # the stubs know only paths
        return _chosen(
            {key: _plain(one) for key, one in content.items() if key[:2] != "__"}, variable, unlisted
        )


def _check_headers(file: BinaryIO) -> None:
    """Raise `FormatError` for what SciPy would not survive.

    These are names that MATLAB does not allow, behind which it reads at wrong places, and structs or cells of more
    elements than the file has bytes for, which would all be made first.
    """
    from scipy.io import whosmat

    size = file.seek(0, 2)
    file.seek(0)
    for name, shape, kind in whosmat(cast(Any, file)):
        if not _NAME.fullmatch(name):
            raise FormatError(f"the file is damaged: a variable is called {name[:40]!r}.")
        if kind in ("struct", "cell", "object") and math.prod(shape) > _MOST_PACKED * size:
            raise FormatError(
                f"the file is damaged: {name} is a {kind} of shape {shape}, which it cannot hold."
            )
    file.seek(0)


def _plain(item: Any) -> Any:
    """Return a struct of SciPy's as a mapping; anything else as it is."""
    names = getattr(getattr(item, "dtype", None), "names", None)
    if not names:
        return item
    if item.size != 1:
        return Described(f"an array of structs of {', '.join(names)}")
    return {name: _plain(item[name].flat[0]) for name in names}


def _chosen(content: Mapping[str, Any], variable: str | None, unlisted: str | None) -> Tensor:
    """Return the tensor that `variable` names, with "/" between the names of structs, or the only one.

    What lies in structs counts where nothing else does.
    """
    items = dict(_flat(content, ""))
    arrays = {name: one for name, one in items.items() if not isinstance(one, Described)}
    others = {name: str(one) for name, one in items.items() if isinstance(one, Described)}
    others |= {
        name: f"a struct of {', '.join(one)}"
        for name, one in content.items()
        if isinstance(one, Mapping) and name not in arrays
    }
    outer = {name: one for name, one in arrays.items() if "/" not in name}
    candidates = outer if variable is None and outer else arrays
    found = choose_variable(candidates, others, None if variable is None else variable.strip("/"))
    if isinstance(found, _Listing):
        return tensor_of_listing(found.subs - 1, found.values, found.shape, unlisted or "zero")
    if hasattr(found, "tocsr"):
        return tensor_of_matrix(found, unlisted or "zero")
    if unlisted is not None:
        raise ParameterError("unlisted does not apply: the array is dense and lists all cells.")
    return DenseTensor(native(np.asarray(found)))


def _flat(content: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield arrays, sparse matrices, listings and descriptions of anything else, by their names."""
    for key, item in content.items():
        name = f"{prefix}{key}"
        understood = _toolbox_object(item) if isinstance(item, Mapping) else item
        if isinstance(understood, Mapping):
            yield from _flat(understood, f"{name}/")
            continue
        is_known = isinstance(understood, _Listing | Described) or hasattr(understood, "tocsr")
        if is_known or understood.dtype.kind in "buif":
            yield name, understood
        else:
            yield name, Described(f"of type {understood.dtype}")


def _toolbox_object(fields: Mapping[str, Any]) -> Any:
    """Return the contents of a `tensor` or `sptensor`, an object or its struct; anything else as it is."""
    numbers = {
        name: one
        for name, one in fields.items()
        if hasattr(one, "dtype") and one.dtype.kind in "buif" and not hasattr(one, "tocsr")
    }
    if numbers.keys() >= {"subs", "vals", "size"}:
        shape = tuple(int(size) for size in np.ravel(np.asarray(numbers["size"])))
        subs, values = np.asarray(numbers["subs"]), np.ravel(np.asarray(numbers["vals"]))
        subs = subs.astype(np.int64) if subs.dtype.kind in "iu" else subs  # bytes have no -1
        return _Listing(shape, subs.reshape(len(values), len(shape)), values)
    if "data" not in numbers or numbers.keys() != fields.keys():
        return fields
    data = np.asarray(numbers["data"])
    if "size" in numbers:  # MATLAB drops sizes of 1
        shape = tuple(int(size) for size in np.ravel(np.asarray(numbers["size"])))
        if shape and np.prod(shape) == data.size:
            return data.reshape(shape, order="F")
    return data if len(fields) == 1 else fields


def _write(file: BinaryIO, tensor: Tensor) -> None:
    from scipy.io import savemat

    values = values_with_nan(tensor, ".mat")
    if values.dtype in (np.float16, np.longdouble):  # types that MATLAB does not have
        values = values.astype(np.float32 if values.dtype == np.float16 else np.float64)
    try:
        savemat(cast(Any, file), {"X": values}, do_compression=True, oned_as="column")
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"the tensor cannot be written as .mat: {error}.") from error


FORMATS = (Format(endings=(".mat",), read=_read, write=_write, options=frozenset({"variable", "unlisted"})),)
