"""Masks and weights that are given beside a tensor of listed entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp._typing import Array, FloatArray
from gcp.errors import DataError
from gcp.kernels import ordering
from gcp.tensors import entries
from gcp.tensors.listed import ListedTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor


def restricted(
    tensor: SparseTensor | ObservedTensor, mask: Any = None, entry_weights: Any = None
) -> SparseTensor | ObservedTensor:
    """A listed tensor under a mask and weights, on top of its own.

    Parameters
    ----------
    tensor : SparseTensor or ObservedTensor
    mask : sequence of (array_like of bool or None), or SparseTensor, optional
        One vector for each mode, True = observed, None = all: a cell is observed if all its positions are. Or a
        SparseTensor of the same shape: its nonzero cells are observed.
    entry_weights : array_like, shape (entries,), or SparseTensor, optional
        Nonnegative weights of the listed entries, in the order of `tensor.subs`. Or a SparseTensor of the same shape:
        the weights of all cells.

    Raises
    ------
    DataError
        What is given does not fit.
    """
    masks = None if mask is None or isinstance(mask, ListedTensor) else _masks(mask, tensor.shape)
    weights = tensor.entry_weights
    if entry_weights is not None and not isinstance(entry_weights, ListedTensor):
        given = entries.checked_weights(entry_weights, len(tensor.values))
        weights = given if weights is None else weights * given
    if masks is not None or weights is not tensor.entry_weights:
        tensor = _weighted(tensor, masks, weights)
    if isinstance(mask, ListedTensor):
        cells = companion("mask", mask, tensor.shape)
        tensor = _at(tensor, cells, np.ones(len(cells.values)) * (cells.values != 0))
    if isinstance(entry_weights, ListedTensor):
        cells = companion("entry_weights", entry_weights, tensor.shape)
        tensor = _at(tensor, cells, entries.checked_weights(cells.values, len(cells.values)))
    return tensor


def companion(name: str, given: ListedTensor, shape: tuple[int, ...]) -> SparseTensor:
    """A listed mask or listed weights, checked to say one thing about every cell of a tensor of this shape."""
    if not isinstance(given, SparseTensor):
        raise DataError(
            f"{name} is an {type(given).__name__}, which says nothing of cells that are not listed: expected a "
            "SparseTensor, where these are 0."
        )
    if given.shape != shape:
        raise DataError(f"{name} has shape {given.shape}: expected the shape of the data, {shape}.")
    if given.n_missing or given.mode_weights is not None or given.entry_weights is not None:
        raise DataError(f"{name} has missing cells or weights of its own: expected values alone.")
    return given


def _masks(mask: Any, shape: tuple[int, ...]) -> list[Array | None]:
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
        array = None if vector is None else np.asarray(vector)
        if array is not None and (array.shape != (size,) or array.dtype.kind != "b"):
            raise DataError(
                f"mask of mode {mode} has shape {array.shape} and dtype {array.dtype}: expected {size} booleans, "
                "True where the position is observed."
            )
        found.append(array)
    return found


def _weighted(
    tensor: SparseTensor | ObservedTensor, masks: list[Array | None] | None, weights: FloatArray | None
) -> SparseTensor | ObservedTensor:
    if isinstance(tensor, SparseTensor):
        modes = tensor.mode_weights
        if masks is not None:
            own = modes or [np.ones(size) for size in tensor.shape]
            modes = [u if m is None else u * m for u, m in zip(own, masks, strict=True)]
        return SparseTensor(
            tensor.subs, tensor.values, tensor.shape, weights, modes, tensor.missing, tensor.labels
        )
    keep = np.ones(len(tensor.values), bool)
    for mode, mask in enumerate(masks or []):
        if mask is not None:
            keep &= mask[tensor.subs[:, mode]]
    kept = None if weights is None else weights[keep]
    return ObservedTensor(tensor.subs[keep], tensor.values[keep], tensor.shape, kept, tensor.labels)


def _at(tensor: SparseTensor | ObservedTensor, cells: SparseTensor, weights: FloatArray) -> ObservedTensor:
    """The tensor at some cells, with more weights: nothing is known of any other."""
    place = ordering.places(tensor.entries.subs, cells.entries.subs)
    is_listed = place >= 0
    values = np.zeros(len(place), tensor.values.dtype)
    values[is_listed] = tensor.values[place[is_listed]]
    if isinstance(tensor, SparseTensor):
        weights = weights * tensor.weights_at(cells.entries)
    else:
        weights = weights * is_listed
        if tensor.entry_weights is not None:
            weights[is_listed] *= tensor.entry_weights[place[is_listed]]
    plain = None if np.isin(weights, (0.0, 1.0)).all() else weights
    known = weights > 0
    found = entries.SortedEntries(tensor.shape, cells.entries.order, cells.entries.subs, values, plain)
    return ObservedTensor.of(found.select(known), tensor.labels)
