"""Data as a list of entries in the order of a model, but in modes where they are new."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from gcp.base.alignment import Alignment, Side, align
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.objectives.known_cells import side_of
from gcp.objectives.model import Model
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.rearranged import filled, rearranged
from gcp.tensors.sparse import SparseTensor

MOST_CELLS = 2**26


def in_order(
    model: Model, tensor: Tensor, free: Collection[int] = (), what: str = "the new data"
) -> tuple[ObservedTensor | SparseTensor, Alignment]:
    """Return data as entries in the model's order, in `free` modes their own, and the order in which they are read.

    Labels of the model that the data lack are missing there.
    """
    order = align(Side(what, tensor.labels, tensor.shape), side_of(model, free=free), gaps=True)
    if tensor.subs is not None or any(p is not None and (p < 0).any() for p in order.positions):
        found = rearranged(_listed(model, tensor), order)
    else:
        found = _listed(model, rearranged(tensor, order))
    assert not isinstance(found, DenseTensor)
    return found, order


def complete(model: Model, tensor: Tensor, mode: int, unlisted: str | None) -> Tensor:
    """Return data with zeros at labels of the model that they lack, if unlisted cells are "zero".

    Raises
    ------
    ParameterError
        Data that lack some, where nothing says what that means, or that carry what zeros would need, too.
    """
    if isinstance(tensor, ObservedTensor):
        return tensor
    order = align(Side("the new data", tensor.labels, tensor.shape), side_of(model, free=(mode,)), gaps=True)
    lacks = lacking(model, order)
    if not lacks or unlisted == "missing":
        return tensor
    name, labels = next(iter(lacks.items()))
    found = f"The new data lack {len(labels):,} labels of mode {name!r} that the model has, first {str(labels[0])!r}"
    if unlisted is None:
        raise ParameterError(
            f'{found}: give unlisted="zero" if their cells are 0, as counts that nobody listed are, or '
            'unlisted="missing" if nothing is known of them.'
        )
    if carried := carried_by(tensor):
        raise ParameterError(f"{found}: zeros there need {' and '.join(carried)}, too, so list these cells.")
    own = order.modes[mode]
    coords: list[Array | None] = list(model.labels.coords)
    coords[mode] = None if tensor.labels is None or own is None else tensor.labels.coords[own]
    return filled(tensor, order, ModeLabels(model.labels.names, coords))


def labels_along(tensor: Tensor, mode: int | None) -> Array:
    """Return the labels (n,) of a mode of a tensor, or 0, 1, ..."""
    assert mode is not None  # models have all modes of their data
    n = tensor.shape[mode]
    return np.arange(n) if tensor.labels is None else tensor.labels.values(mode, n)


def lacking(model: Model, order: Alignment) -> dict[str, Array]:
    """Return labels of the model, by the mode's name, that data read in this order lack."""
    return {
        model.labels.names[n]: model.labels.values(n, len(p))[p < 0]
        for n, p in enumerate(order.positions)
        if p is not None and (p < 0).any()
    }


def _listed(model: Model, tensor: Tensor) -> ObservedTensor | SparseTensor:
    """Return the new data as a list of entries."""
    if len(tensor.shape) < 2:
        raise ParameterError("New positions need another mode than theirs: found a model of one mode.")
    if tensor.zeros is not None and (model.loss.kinds or model.loss.at(np.array(0)).formula.zero is None):
        if (n_cells := cells_of(tensor.shape)) > MOST_CELLS:
            raise ParameterError(
                f"The {model.loss.name} loss has no closed form for zeros, so that new positions take a look at each "
                f"of the {n_cells:,} cells: at most {MOST_CELLS:,}. Give fewer positions at a time."
            )
        tensor = tensor.to_dense()
    if tensor.subs is None:
        known = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights > 0
        return ObservedTensor.of_dense(tensor, known)
    return tensor
