"""Masks and weights that are given beside a tensor of listed entries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.checks import array
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import Labelled
from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import ordering
from gcp.tensors import entries
from gcp.tensors.dense import check_mask
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import beside_mode, check_names, listed_companion, named
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor
from gcp.tensors.weights import check_weights_dtype

_MOST_CELLS = 2**26
"""Cells, at most, of a mask or weights of every cell of a SparseTensor."""


def restricted(
    tensor: SparseTensor | ObservedTensor, mask: Any = None, entry_weights: Any = None
) -> SparseTensor | ObservedTensor:
    """Return a listed tensor under a mask and weights, on top of its own.

    Parameters
    ----------
    tensor : SparseTensor or ObservedTensor
    mask : sequence of (array_like of bool or None), SparseTensor, or array with names, optional
        One vector for each mode, True = observed, None = all: a cell is observed if all its positions are. Or a
        SparseTensor of the same shape: its nonzero cells are observed. Or an array of pandas or xarray along some of
        the modes.
    entry_weights : array_like, shape (entries,), SparseTensor, or array with names, optional
        Nonnegative weights of the listed entries, if these were listed in the order of `tensor.subs`. Or a
        SparseTensor of the same shape: the weights of all cells. Or an array with names.

    Raises
    ------
    DataError
        What is given does not fit.
    """
    for name, given in (("mask", mask), ("entry_weights", entry_weights)):
        if (own := named(name, given)) is not None:
            tensor = _by_name(tensor, name, own)
            mask, entry_weights = (None, entry_weights) if name == "mask" else (mask, None)
    masks = (
        None if mask is None or isinstance(mask, ListedTensor) else _masks(mask, tensor.shape, tensor.labels)
    )
    weights = tensor.entry_weights
    if entry_weights is not None and not isinstance(entry_weights, ListedTensor):
        given = entries.checked_weights(entry_weights, len(tensor.values))
        where = f"{type(tensor).__name__}(subs, values, shape, entry_weights)"
        tensor.entries.check_order("entry_weights", given, f"give them where these are listed, {where}")
        weights = given if weights is None else weights * given
    if masks is not None or weights is not tensor.entry_weights:
        tensor = _weighted(tensor, masks, weights)
    if isinstance(mask, ListedTensor):
        cells = listed_companion("mask", mask, tensor.labels, tensor.shape)
        tensor = _at(tensor, cells, np.ones(len(cells.values)) * (cells.values != 0))
    if isinstance(entry_weights, ListedTensor):
        cells = listed_companion("entry_weights", entry_weights, tensor.labels, tensor.shape)
        tensor = _at(tensor, cells, entries.checked_weights(cells.values, len(cells.values)))
    return tensor


def _by_name(
    tensor: SparseTensor | ObservedTensor, name: str, own: Labelled
) -> SparseTensor | ObservedTensor:
    """Return the tensor under an array with names: of one mode, of some, or of every cell."""
    check_names(name, own, tensor.ndim)
    side = Side(f"the {name}", own.labels, own.values.shape)
    numbers = np.asarray(
        align(side, Side("the data", tensor.labels, tensor.shape), broadcast=True).of_array(own.values)
    )
    check = check_mask if name == "mask" else check_weights_dtype
    check(numbers.dtype)
    varied = [n for n, size in enumerate(numbers.shape) if size > 1] or [0]
    if isinstance(tensor, ObservedTensor):
        at = tuple(tensor.subs[:, n] if size > 1 else 0 for n, size in enumerate(numbers.shape))
        weights = entries.checked_weights(numbers[at], len(tensor.values))
        weights = weights if tensor.entry_weights is None else weights * tensor.entry_weights
        is_mask = name == "mask" and tensor.entry_weights is None
        found = tensor.entries.having(weight=None if is_mask else weights)
        return ObservedTensor.of(found.select(weights > 0), tensor.labels)
    if len(varied) == 1:
        vectors: list[Array | None] = [None] * tensor.ndim
        vectors[varied[0]] = np.broadcast_to(numbers.reshape(-1), tensor.shape[varied[0]])
        return _weighted(tensor, vectors, tensor.entry_weights)
    if tensor.n_cells > _MOST_CELLS:
        raise DataError(
            f"{name} has a number for each position of {len(varied)} modes, but the data are a SparseTensor of "
            f"{tensor.n_cells:,} cells: of more than {_MOST_CELLS:,}, give vectors of one mode, or a SparseTensor."
        )
    every = np.broadcast_to(numbers, tensor.shape)
    cells = np.argwhere(every)
    return restricted(
        tensor, **{name: SparseTensor(cells, every[tuple(cells.T)], tensor.shape, labels=tensor.labels)}
    )


def _masks(mask: Any, shape: tuple[int, ...], labels: ModeLabels | None) -> list[Array | None]:
    """Return a mask (I_n,) for each mode, or None."""
    expected = (
        f"expected a list of {len(shape)} boolean vectors or None, one for each mode, or a SparseTensor"
    )
    if not isinstance(mask, list | tuple):
        shown = f"of shape {mask.shape}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise DataError(f"mask of a tensor of listed entries: {expected}; found {shown}.")
    if len(mask) != len(shape):
        raise DataError(f"mask has {len(mask)} items: {expected}.")
    found: list[Array | None] = []
    for mode, (vector, size) in enumerate(zip(mask, shape, strict=True)):
        name, given = f"mask of mode {mode}", beside_mode("mask", vector, labels, mode, size)
        own = None if given is None else array(name, given, DataError)
        if own is not None and (own.shape != (size,) or own.dtype.kind != "b"):
            raise DataError(
                f"{name} has shape {own.shape} and dtype {own.dtype}: expected {size} booleans, "
                "True where the position is observed."
            )
        found.append(own)
    return found


def _weighted(
    tensor: SparseTensor | ObservedTensor, masks: list[Array | None] | None, weights: FloatArray | None
) -> SparseTensor | ObservedTensor:
    """Return the tensor under masks (I_n,) of the modes and weights (entries,)."""
    if isinstance(tensor, SparseTensor):
        modes = tensor.mode_weights
        if masks is not None:
            own = modes or [np.ones(size) for size in tensor.shape]
            modes = [u if m is None else u * m for u, m in zip(own, masks, strict=True)]
        return tensor.weighted(weights, modes)
    keep = np.ones(len(tensor.values), bool)
    for mode, mask in enumerate(masks or []):
        if mask is not None:
            keep &= mask[tensor.subs[:, mode]]
    return ObservedTensor.of(tensor.entries.having(weight=weights).select(keep), tensor.labels)


def _at(tensor: SparseTensor | ObservedTensor, cells: SparseTensor, weights: FloatArray) -> ObservedTensor:
    """Return the tensor at some cells, with more weights (cells,): nothing is known of any other."""
    place = ordering.places(tensor.entries.subs, cells.entries.subs)
    is_listed = place >= 0
    values = np.zeros(len(place), tensor.values.dtype)
    values[is_listed] = tensor.values[place[is_listed]]
    if isinstance(tensor, SparseTensor):
        weights = weights * tensor.weights_at(cells.entries)
        columns = tensor.zeros.entries(values, weights, cells.entries.subs, cells.entries.order)
    else:
        columns = tensor.columns.at(place)  # of unknown cells, too, which are left out
        own = 1.0 if columns.weight is None else columns.weight
        weights = weights * np.where(is_listed, own, 0.0)
    plain = None if np.isin(weights, (0.0, 1.0)).all() else weights
    found = replace(cells.entries, columns=columns._replace(x=values, weight=plain))
    return ObservedTensor.of(found.select(weights > 0), tensor.labels)
