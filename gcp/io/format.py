"""File formats: what one is, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.types import Array
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.sources import Source
from gcp.tensors.sparse import SparseTensor


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes
    ----------
    read : callable or None
        `read(file, **options) -> Tensor`, from a seekable binary file; None if there is only `source`.
    write : callable or None
        `write(file, tensor)`, to a binary file; None of formats that are only read.
    options : frozenset of str
        The options of `read_tensor` that `read` and `source` take.
    source : callable, optional
        `source(path, **options) -> Source`, of formats whose arrays can be read in slabs.
    """

    read: Callable[..., Tensor] | None
    write: Callable[[BinaryIO, Tensor], None] | None
    options: frozenset[str] = frozenset()
    source: Callable[..., Source] | None = None


def observed(tensor: DenseTensor, form: str) -> Array | None:
    """Return a mask of the tensor's shape, True where observed; None if everywhere.

    Refuses weights, which only .npz keeps.
    """
    weights = tensor.entry_weights
    if weights is None or weights.dtype.kind == "b":
        return weights
    if not np.isin(weights, (0, 1)).all():
        raise DataError(f"The tensor has entry weights, which {form} files cannot hold. Write .npz instead.")
    return np.asarray(weights != 0)


def refuse_weights(tensor: SparseTensor | ObservedTensor, form: str) -> None:
    """Raise `DataError` for a listed tensor with weights."""
    has_modes = tensor.zeros is not None and tensor.mode_weights is not None
    if has_modes or tensor.entry_weights is not None:
        raise DataError(f"The tensor has weights, which {form} files cannot hold. Write .npz instead.")


def values_with_nan(tensor: Tensor, form: str) -> Array:
    """Return all cells, shape (I_0, ...), with NaN for missing ones (integers then become float64)."""
    tensor = tensor.to_dense()
    mask = observed(tensor, form)
    if mask is None:
        return tensor.values
    if tensor.values.dtype.kind == "f":
        return np.where(mask, tensor.values, np.array(np.nan, tensor.values.dtype))
    return np.where(mask, tensor.values, np.nan)


def native(values: Array) -> Array:
    """Return the array, of any shape, in this machine's byte order."""
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def choose_variable(found: Mapping[str, Any], others: dict[str, str], variable: str | None) -> Any:
    """Return the one array of a file that holds several things, or the one that `variable` names.

    Parameters
    ----------
    found : mapping
        Numeric arrays by name, of any class that has a shape.
    others : dict
        What else is there: a description by name.
    variable : str or None
        The caller's choice.
    """
    listing = ", ".join(f"{name} {' x '.join(map(str, array.shape))}" for name, array in found.items())
    if variable is None:
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            raise DataError(f"The file holds several arrays ({listing}): choose one with variable=.")
        held = ", ".join(f"{name} ({what})" for name, what in others.items()) or "the file is empty"
        raise FormatError(f"The file holds no array of real numbers: {held}.")
    if variable in found:
        return found[variable]
    if variable in others:
        raise DataError(f"Variable {variable!r} is no array of real numbers but {others[variable]}.")
    raise ParameterError(f"There is no variable {variable!r}; arrays in the file: {listing or 'none'}.")
