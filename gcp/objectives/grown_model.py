"""A model with room for positions of new data, in one mode that grows and in others where they bring new labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcp.base.alignment import Side, align, places_among
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, appended
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import side_of
from gcp.objectives.model import Model, normalize
from gcp.tensors.kinds import Tensor


@dataclass(frozen=True, eq=False)
class GrownModel:
    """A model whose factors have rows for all positions of new data, but those of the mode that grows.

    Attributes
    ----------
    model : Model
        With the new labels; a new row is the mean of the others, as is one of which nothing was known.
    mode : int
        The mode that grows.
    labels : ndarray, shape (n,), or None
        Of the new positions of that mode.
    n_new : tuple of int
        By mode, how many rows are new; 0 for the mode that grows.
    signs : list of ndarray, shapes (R,)
        By mode, of the columns of the factors as they were, in those of the fitted ones.
    """

    model: Model
    mode: int
    labels: Array | None
    n_new: tuple[int, ...]
    signs: Sequence[FloatArray]

    @property
    def factors(self) -> list[FloatArray]:
        """The fitted factors with rows for the new labels, shapes (I_n + new, R), in float64."""
        return self.model.fitted_factors


def grown(model: Model, tensor: Tensor, mode: int, sizes: Sequence[FloatArray]) -> GrownModel:
    """Return the model with room for new data.

    Parameters
    ----------
    model : Model
    tensor : DenseTensor, SparseTensor or ObservedTensor
    mode : int
    sizes : sequence of ndarray, shapes (R,)
        By mode, what the columns of the factors are multiplied by in the fitted ones.

    Raises
    ------
    DataError
        Positions of the mode that the model has already, or labels on one side alone.
    """
    names, shape = model.labels.names, model.shape
    free = {mode, *(n for n, labels in enumerate(model.labels.coords) if labels is not None)}
    order = align(Side("the new data", tensor.labels, tensor.shape), side_of(model, free=free), gaps=True)
    coords, new, own_labels = list(model.labels.coords), [0] * len(shape), None
    for n, own in enumerate(order.modes):
        assert own is not None  # for the type checker
        labels = None if tensor.labels is None else tensor.labels.coords[own]
        if n == mode:
            own_labels = labels
            _check_new(labels, coords[n], names[n])
        elif labels is not None and (known := coords[n]) is not None:
            further = labels[places_among(labels, known) < 0]
            coords[n], new[n] = appended(known, further, names[n]), len(further)
    factors = []
    for a, size, count in zip(model.with_mean_rows().factors, sizes, new, strict=True):
        fitted = np.asarray(a, dtype=float) * size
        factors.append(np.concatenate([fitted, np.tile(fitted.mean(axis=0), (count, 1))]))
    weights, unit, _ = normalize(factors, keep_order=True, fix_signs=False)
    own_names = replace_coords(model.labels, coords)
    found = replace(
        model, weights=weights, factors=unit, labels=own_names, fitted_factors=factors, unknown={}
    )
    signs = [np.where(size < 0, -1.0, 1.0) for size in sizes]
    return GrownModel(found, mode, own_labels, tuple(new), signs)


def replace_coords(labels: ModeLabels, coords: Sequence[Array | None]) -> ModeLabels:
    """Return labels with other coordinates."""
    return ModeLabels(labels.names, coords, labels.units, labels.data_units, labels.exposure)


def _check_new(labels: Array | None, known: Array | None, name: str) -> None:
    """Raise unless positions of the mode that grows are new, and labelled as those of the model (I,) are."""
    if (labels is None) != (known is None):
        sides = ("the model", "the new data") if labels is None else ("the new data", "the model")
        raise DataError(
            f"The positions of mode {name!r} have labels in {sides[0]}, but none in {sides[1]}: label both, or none."
        )
    if labels is None or known is None:
        return
    if (there := places_among(labels, known) >= 0).any():
        raise DataError(
            f"The label {str(labels[there][0])!r} of mode {name!r} is in the model already ({int(there.sum())} of "
            f"{len(labels)} are): an update takes new positions."
        )
    if len(set(labels.tolist())) < len(labels):
        raise DataError(f"The new data have a label of mode {name!r} more than once.")
