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
    """Return a tensor of the same kind as an alignment reads it; positions that it leaves out are not there."""
    if alignment.is_identity:
        return tensor
    labels = None if tensor.labels is None else alignment.of_labels(tensor.labels)
    if isinstance(tensor, DenseTensor):
        return _dense(tensor, alignment, labels)
    return _listed(tensor, alignment, labels)


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

    taken = [(mode, slice(None) if p is None else p) for mode, p in columns]
    return tensor.remapped(taken, moved, labels)


def _inverse(positions: Array, size: int) -> Array:
    """Return where each position goes, shape (size,); -1 where it is left out."""
    place = np.full(size, -1)
    place[positions] = np.arange(len(positions))
    return place
