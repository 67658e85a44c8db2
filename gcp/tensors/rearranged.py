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


def filled(
    tensor: DenseTensor | SparseTensor, alignment: Alignment, labels: ModeLabels
) -> DenseTensor | SparseTensor:
    """Return a tensor as an alignment reads it, with zeros of weight 1 at positions that it lacks, labelled so.

    Dense ones must not carry exposures and the like.
    """
    if isinstance(tensor, DenseTensor):
        pairs = list(zip(alignment.modes, alignment.positions, strict=True))
        assert all(mode is not None for mode, _ in pairs)  # data of a model have all of its modes
        own = [np.arange(tensor.shape[mode or 0]) if p is None else p for mode, p in pairs]
        places, taken = [np.flatnonzero(p >= 0) for p in own], [p[p >= 0] for p in own]
        order = [mode or 0 for mode, _ in pairs]

        def spread(values: Array, rest: float) -> Array:
            found = np.full([len(p) for p in own], rest, values.dtype)
            found[np.ix_(*places)] = values.transpose(order)[np.ix_(*taken)]
            return found

        own_weights = tensor.entry_weights
        whole = None if own_weights is None else spread(np.asarray(own_weights), 1.0)
        return DenseTensor(spread(tensor.values, 0.0), entry_weights=whole, labels=labels)
    found = _listed(tensor, alignment, labels)
    assert isinstance(found, SparseTensor)
    if found.mode_weights is None:
        return found
    sides = zip(found.mode_weights, alignment.positions, strict=True)
    weights = [u if p is None else np.where(p >= 0, u, 1.0) for u, p in sides]
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
