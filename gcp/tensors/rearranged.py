"""Tensors with their modes and positions in another order, or some of the positions only."""

from __future__ import annotations

import numpy as np

from gcp.base.alignment import Alignment, Side, align
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor


def aligned(tensor: Tensor, base: Side, what: str = "the data") -> Tensor:
    """Return a tensor in the order of the base: itself, if it stands in it or has no labels.

    Parameters
    ----------
    tensor : DenseTensor, SparseTensor or ObservedTensor
    base : Side
    what : str
        What messages call the tensor.

    Raises
    ------
    DataError
        With the first name or label that one side lacks.
    """
    return rearranged(tensor, align(Side(what, tensor.labels, tensor.shape), base))


def rearranged(tensor: Tensor, alignment: Alignment) -> Tensor:
    """Return a tensor of the same kind as an alignment reads it; positions that it leaves out are not there.

    Those that the tensor lacks, as a list of entries may, are missing, zeros too; it has no labels then.
    """
    if alignment.is_identity:
        return tensor
    known = [None if p is None or (p >= 0).all() else p >= 0 for p in alignment.positions]
    has_gaps = any(mask is not None for mask in known)
    labels = None if tensor.labels is None or has_gaps else alignment.of_labels(tensor.labels)
    if isinstance(tensor, DenseTensor):
        return _dense(tensor, alignment, labels)
    found = _listed(tensor, alignment, labels)
    if has_gaps and isinstance(found, SparseTensor):
        own = found.mode_weights or [np.ones(size) for size in found.shape]
        inside = [u if mask is None else u * mask for u, mask in zip(own, known, strict=True)]
        return found.weighted(found.entry_weights, inside)
    return found


def filled(tensor: SparseTensor, alignment: Alignment, labels: ModeLabels) -> SparseTensor:
    """Return a sparse tensor as an alignment reads it, with zeros at positions that it lacks; labels are as given."""
    found = _listed(tensor, alignment, labels)
    assert isinstance(found, SparseTensor)
    if found.mode_weights is None:
        return found
    pairs = zip(found.mode_weights, alignment.positions, strict=True)
    weights = [u if p is None else np.where(p >= 0, u, 1.0) for u, p in pairs]
    return found.weighted(found.entry_weights, weights)


def at_positions(tensor: Tensor, mode: int, positions: Array) -> Tensor:
    """Return the part of some positions (k,) of a mode, labelled: positions that had no labels keep their numbers."""
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    every = range(tensor.ndim)
    alignment = Alignment(tuple(every), tuple(positions if n == mode else None for n in every))
    if isinstance(tensor, DenseTensor):
        return _dense(tensor, alignment, alignment.of_labels(labels))
    return _listed(tensor, alignment, alignment.of_labels(labels))


def _dense(tensor: DenseTensor, alignment: Alignment, labels: ModeLabels | None) -> DenseTensor:
    return DenseTensor.of(tensor.columns.map(alignment.of_array), labels)


def _listed(
    tensor: SparseTensor | ObservedTensor, alignment: Alignment, labels: ModeLabels | None
) -> SparseTensor | ObservedTensor:
    modes = [mode for mode in alignment.modes if mode is not None]
    columns = list(zip(modes, alignment.positions, strict=True))
    places = [None if p is None else _inverse(p, tensor.shape[mode]) for mode, p in columns]

    def moved(subs: Array) -> tuple[Array, Array]:
        """Return subscripts (kept, N), and a mask (n,) of those that are kept."""
        found = subs[:, modes].astype(np.int64)
        for n, place in enumerate(places):
            if place is not None:
                found[:, n] = place[found[:, n]]
        keep: Array = np.all(found >= 0, axis=1)
        return found[keep], keep

    taken = [(mode, slice(None) if p is None else np.maximum(p, 0)) for mode, p in columns]
    return tensor.remapped(taken, moved, labels)


def _inverse(positions: Array, size: int) -> Array:
    """Return where each position goes, shape (size,); -1 where it is left out."""
    place, there = np.full(size, -1), np.flatnonzero(positions >= 0)
    place[positions[there]] = there
    return place
