"""Masks and weights that are given beside a tensor: in its order, where names say which that is."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, is_unnamed
from gcp.base.named_arrays import Labelled, labelled
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listed import ListedTensor
from gcp.tensors.rearranged import aligned
from gcp.tensors.sparse import SparseTensor
from gcp.tensors.weights import in_order_of_mode


def beside(name: str, given: Any, labels: ModeLabels | None, shape: tuple[int, ...]) -> Any:
    """Return an array that broadcasts to the data's shape, if what is given has names; anything else as it is.

    Parameters
    ----------
    name : {"mask", "entry_weights"}
    given : DataArray, Series, DataFrame, DenseTensor, or anything else
    labels : ModeLabels or None
        Of the data.
    shape : tuple of int

    Raises
    ------
    DataError
        Names or labels that the data lack, or of which they have more.
    """
    own = named(name, given)
    if own is None:
        return given
    side = Side(f"the {name}", own.labels, tuple(own.values.shape))
    return align(side, Side("the data", labels, shape), broadcast=True).of_array(own.values)


def beside_mode(name: str, given: Any, labels: ModeLabels | None, mode: int, size: int) -> Any:
    """Return a vector in the order of a mode's positions, if it has labels; anything else as it is."""
    own = named(name, given)
    return given if own is None else in_order_of_mode(f"the {name} of mode {mode}", own, labels, mode, size)


def named(name: str, given: Any, *, may_lack: bool = False) -> Labelled | None:
    """Return the array and its labels, if it is of a kind that has some; a Series may lack cells, or not."""
    if isinstance(given, DenseTensor):
        values = given.values != 0 if name == "mask" else given.values
        if given.entry_weights is not None:
            if not np.isin(given.entry_weights, (0, 1)).all():
                raise DataError(f"{name} has entry weights of its own: expected values alone.")
            values = np.where(given.entry_weights != 0, values, np.zeros((), values.dtype))
        return Labelled(values, given.labels or ModeLabels.default(given.shape))
    own = labelled(given, name, may_lack=may_lack)
    if own is not None and any(math.isnan(size) for size in own.values.shape):
        raise DataError(f"{name} has shape {own.values.shape}: expected modes of known sizes.")
    return own


def is_named(given: Any) -> bool:
    """Return whether something has names to go by, and needs no order of entries."""
    return isinstance(given, SparseTensor) or named("entry_weights", given) is not None


def check_names(name: str, own: Labelled, n_modes: int) -> None:
    """Raise `DataError` if an array has fewer modes than a list of entries, and does not say which."""
    if len(own.values.shape) < n_modes and all(map(is_unnamed, own.labels.names)):
        raise DataError(
            f"{name} has no name that tells which of the {n_modes} modes it is along: name it, or give a NumPy "
            "array, one number for each entry in the order of the tensor's subs."
        )


def listed_companion(
    name: str, given: ListedTensor, labels: ModeLabels | None, shape: tuple[int, ...]
) -> SparseTensor:
    """Return a listed mask or listed weights in the data's order, checked to say one thing about every cell.

    Raises
    ------
    DataError
        Another kind, shape or labels; missing cells.
    """
    if not isinstance(given, SparseTensor):
        raise DataError(
            f"{name} is an {type(given).__name__}, which says nothing of cells that are not listed: expected a "
            "SparseTensor, where these are 0."
        )
    if given.labels is None and given.shape != shape:
        raise DataError(f"{name} has shape {given.shape}: expected the shape of the data, {shape}.")
    if given.n_missing or given.mode_weights is not None or given.entry_weights is not None:
        raise DataError(f"{name} has missing cells or weights of its own: expected values alone.")
    found = aligned(given, Side("the data", labels, shape), f"the {name}")
    assert isinstance(found, SparseTensor)
    return found
