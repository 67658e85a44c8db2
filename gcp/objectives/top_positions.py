"""The positions of a mode that a model expects most of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.alignment import Side, positions_of
from gcp.base.errors import DataError, ParameterError
from gcp.base.named_arrays import library_of
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import tensor_of
from gcp.objectives.model import Model
from gcp.tensors.kinds import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class TopPositions(TableResult):
    """Positions of a mode by falling prediction.

    Attributes
    ----------
    labels : ndarray, shape (n,)
        Of the positions.
    predicted : ndarray, shape (n,)
        What `predict` gives there.
    positions : ndarray of int, shape (n,)
    mode : str
        Name of the mode.
    at : dict of str to label
        Where: by the name of every other mode, a label.
    """

    labels: Array
    predicted: FloatArray
    positions: Array
    mode: str
    at: dict[str, Any]

    def _facts(self) -> dict[str, Any]:
        return {"top": self.mode, "at": ", ".join(f"{name} {label}" for name, label in self.at.items())}

    def _table(self) -> Table:
        return Table({"predicted": self.predicted}, {self.mode: self.labels})


def top(
    model: Model, mode: int | str, at: Mapping[Any, Any] | None = None, n: int = 10, *, exclude: Any = None
) -> TopPositions:
    """See `FitResult.top`."""
    number, n = model.labels.number(mode), checks.whole("n", n)
    side = Side("the model", model.labels, model.shape)
    place = _place(side, number, {} if at is None else at)
    subs = np.tile(np.array([place.get(k, 0) for k in range(len(model.shape))]), (model.shape[number], 1))
    subs[:, number] = np.arange(len(subs))
    values = model.model_values(subs)
    left = np.ones(len(subs), bool)
    if exclude is not None:
        left[_excluded(model, number, place, exclude)] = False
    means = model.loss_at(subs).mean(values)
    # by m, which falls with the mean and does not saturate, unless positions have parameters of their own
    order = np.argsort(-(values if model.loss.by is None else means), kind="stable")
    chosen = order[left[order]][:n]
    names = model.labels.names
    where = {names[k]: model.labels.values(k, model.shape[k])[position] for k, position in place.items()}
    labels = model.labels.values(number, len(subs))[chosen]
    return TopPositions(labels, means[chosen], chosen, names[number], where)


def seen_cells(tensor: Tensor) -> Array:
    """Return subscripts (n, N) of the cells that count as seen, where new ones are looked for.

    Of a list of ratings they are the known cells, of a list of counts those that are not 0. So of an array with every
    cell; of one with missing cells the known ones, unless there are zeros among them, which may be either.

    Raises
    ------
    DataError
        Such an array.
    """
    weights = tensor.entry_weights
    if tensor.subs is not None:
        keep = np.ones(len(tensor.values), bool) if weights is None else weights > 0
        if tensor.zeros is not None:
            keep &= tensor.values != 0
        return tensor.subs[keep].astype(np.int64)
    known = np.ones(tensor.shape, bool) if weights is None else weights > 0
    is_zero = known & (tensor.values == 0)
    if is_zero.any() and not known.all():
        raise DataError(
            "These data have missing cells and zeros: whether a zero counts as seen cannot be told. Give a boolean "
            "array, True where a cell does, or a gcp.ObservedTensor (all that it lists do), or a gcp.SparseTensor "
            "(zeros do not)."
        )
    return np.argwhere(known & ~is_zero)


def _place(side: Side, mode: int, at: Mapping[Any, Any]) -> dict[int, int]:
    """Return a position for every other mode than this one."""
    if not isinstance(at, Mapping):
        raise ParameterError(f"at must be a dict from modes to labels: found {checks.show(at)}.")
    labels = side.labels
    assert labels is not None  # for the type checker
    given = {labels.number(name): label for name, label in at.items()}
    if len(given) < len(at):
        raise ParameterError(f"at names a mode twice, by name and by number: found {checks.show(at)}.")
    if mode in given:
        raise ParameterError(f"at names the mode {side.names[mode]!r}, whose positions are looked for.")
    found = {}
    for k, name in enumerate(side.names):
        if k == mode:
            continue
        if k not in given:
            raise ParameterError(
                f"at needs a label of every other mode than {side.names[mode]!r}: {name!r} is lacking. Predictions "
                "are of single cells; means over a mode are not taken."
            )
        label = checks.array(f"at[{name!r}]", given[k])
        if label.ndim:
            raise ParameterError(f"at needs one label of {name!r}: found {checks.show(given[k])}.")
        found[k] = int(positions_of(label[None], side, k, "at")[0])
    return found


def _excluded(model: Model, mode: int, place: Mapping[int, int], exclude: Any) -> Array:
    """Return positions (n,) of the mode that are left out: given by label, or seen at this place in data."""
    side = Side("the model", model.labels, model.shape)
    if isinstance(exclude, set | frozenset):
        exclude = list(exclude)
    is_array = isinstance(exclude, str | int | float | np.generic | list | tuple | np.ndarray)
    is_list = library_of(exclude) == "pandas" and getattr(exclude, "ndim", 0) == 1
    if is_list and getattr(getattr(exclude, "index", None), "nlevels", 1) > 1:
        is_list = False  # a Series with a mode for each level
    if (is_array or is_list) and (labels := np.atleast_1d(checks.array("exclude", exclude))).ndim == 1:
        return positions_of(labels, side, mode, "exclude")
    cells = seen_cells(tensor_of(model, exclude))
    here = [cells[:, k] == position for k, position in place.items()]
    return cells[np.logical_and.reduce(here), mode] if here else cells[:, mode]
