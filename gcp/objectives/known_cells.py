"""The known cells of a tensor beside the model's values there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.alignment import Side, align
from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.base import Loss
from gcp.losses.trials import OfTrials, counts
from gcp.objectives.exposed import check_carried, exposed
from gcp.objectives.model import Model
from gcp.tensors.base import Cells, TensorData
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.rearranged import aligned
from gcp.tensors.samplers.random_cells import Zeros

M = TypeVar("M", bound=Model)

_ZEROS = 1 << 20
"""Zeros of a sparse tensor, at least, that stand for all of them; fewer are all taken."""

_MOST_CELLS = 2**28
_CHUNK = 1 << 19


class KnownCells(NamedTuple):
    """Known cells, or a sample of them that is weighted to stand for all.

    Attributes
    ----------
    subs : ndarray of int, shape (n, N)
    x, m, w : ndarray of float64, shape (n,)
        Data, arguments of the loss (model values, at the cells' exposures and offsets) and weights.
    scale : ndarray of float64, shape (n,), or None
        Derivatives of the arguments in the model; None means all 1.
    offset : ndarray of float64, shape (n,), or None
        The arguments at a model of 0; None means all 0.
    trials : ndarray of float64, shape (n,), or None
        Of which the data are shares, and which the weights include; None means all 1.
    """

    subs: Array
    x: FloatArray
    m: FloatArray
    w: FloatArray
    scale: FloatArray | None = None
    offset: FloatArray | None = None
    trials: FloatArray | None = None

    def at(self, index: Any) -> KnownCells:
        """Return some of the cells."""
        return KnownCells(*map(partial(_part, index=index), self))

    def argument(self, m: float | FloatArray) -> FloatArray:
        """Return the arguments (n,) of the loss at a constant model, or at one number for each cell."""
        own = np.array(np.broadcast_to(m, len(self.x)), dtype=float)
        return EntryColumns(self.x, scale=self.scale, offset=self.offset).argument(own)

    def counted(self, loss: Loss) -> tuple[KnownCells, Loss | OfTrials]:
        """Return the cells with successes in the place of shares, and the loss of those: what has single tails."""
        if self.trials is None:
            return self, loss
        own = self._replace(x=counts(self.x, self.trials), w=self.w / self.trials, trials=None)
        return own, OfTrials(loss, self.trials)


def joined(parts: Iterable[KnownCells]) -> KnownCells:
    """Return the cells of several parts as one; all parts have the same columns."""
    columns: Any = zip(*parts, strict=True)
    whole: Any = (own[0] if own[0] is None else np.concatenate(own) for own in columns)
    return KnownCells(*whole)


def _part(column: Any, index: Any) -> Any:
    return None if column is None else column[index]


def tensor_of(
    model: Model, data: Any, mask: Any = None, entry_weights: Any = None, **carried: Unpack[Carried]
) -> Tensor:
    """Return the data as a tensor in one piece, its modes and positions in the order of the model's.

    Raises
    ------
    DataError
        Unusable data, or another shape, other names or labels than the model's.
    """
    tensor = stored(in_one_piece(data, mask, entry_weights, **carried))
    check_units(model, tensor)
    return aligned(tensor, side_of(model))


def matched(model: M, tensor: TensorData, what: str = "the model", error: type[GcpError] = DataError) -> M:
    """Return the model in the order of a tensor's modes and positions: where sums do not care, no data have to move.

    Raises
    ------
    DataError, or the given error
        Another shape, other names or labels than the model's.
    """
    check_units(model, tensor, error)
    data = align(Side("the data", tensor.labels, tensor.shape), side_of(model, what), error=error)
    return model if data.is_identity else data.inverse().of_model(model)


def check_units(model: Model, tensor: TensorData, error: type[GcpError] = DataError) -> None:
    """Raise unless the data are in the model's unit, where both say which, and carry what those of the fit did."""
    check_result(model)
    check_carried(model.problem.carried, carried_by(tensor), error)
    own, there = model.labels.data_units, None if tensor.labels is None else tensor.labels.data_units
    if own is not None and there is not None and own != there:
        raise error(
            f"The data are in {there!r}, but the model is of data in {own!r}: convert them, or leave the units out."
        )


def side_of(model: Model, what: str = "the model", free: Collection[int] = ()) -> Side:
    """Return the model as what data are matched with."""
    check_result(model)
    return Side(what, model.labels, model.shape, free)


def loss_of_entries(model: Model, tensor: TensorData, known: Array) -> Loss:
    """Return the loss at entries of a tensor in the model's order, those that a mask, shaped like its values, has."""
    if model.loss.by is None:
        return model.loss
    return model.loss_at(np.argwhere(known) if tensor.subs is None else tensor.subs[known])


def check_result(model: object) -> None:
    """Raise `ParameterError` unless this is the result of a fit of one tensor."""
    refuse_several(model)
    checks.instance("result", model, Model, "the FitResult of a fit")


def refuse_several(model: object) -> None:
    """Raise `ParameterError` if this holds a model for each of several tensors: one of them is wanted."""
    models = getattr(model, "of_tensors", model)
    if isinstance(models, dict) and models and all(isinstance(one, Model) for one in models.values()):
        raise ParameterError(
            f"The result is one of coupled tensors, with a model for each: take that of one, "
            f'result["{next(iter(models))}"] (there are {", ".join(map(str, models))}), and its own data.'
        )


def blocks(model: Model, tensor: TensorData) -> Iterator[KnownCells]:
    """Yield all known cells, the zeros of a sparse tensor too, a block at a time.

    Raises
    ------
    ParameterError
        Sparse data of more than 2**28 cells.
    """
    check_number(tensor)
    for cells in exposed(tensor, model.loss).known_cells(_CHUNK):
        yield _cells(model, cells)


def check_number(tensor: TensorData) -> None:
    """Raise `ParameterError` of sparse data with too many cells to look at one by one."""
    if tensor.sparse is not None and tensor.sparse.n_cells > _MOST_CELLS:
        raise ParameterError(
            f"Sparse data of {tensor.sparse.n_cells:,} cells are too many to look at one by one: at most "
            f"{_MOST_CELLS:,}. A sample of cells as an ObservedTensor says much the same."
        )


def known_cells(model: Model, tensor: TensorData, random_state: int = 0) -> KnownCells:
    """Return all known cells at once; many zeros of a sparse tensor are a sample, as in `known_parts`."""
    return joined(known_parts(model, tensor, random_state))


def known_parts(model: Model, tensor: TensorData, random_state: int = 0) -> Iterable[KnownCells]:
    """Return all known cells in parts; many zeros of a sparse tensor are a weighted sample.

    That is where there are more than a million, and more than listed entries.
    """
    sparse = exposed(tensor, model.loss)
    if sparse.sparse is not None:
        zeros = Zeros(sparse)
        n = max(_ZEROS, len(sparse.listing.x))
        if zeros.count > n:
            drawn, w = zeros.draw(n, checks.generator(random_state, "zeros"))
            subs = drawn[:, np.argsort(sparse.listing.order)].astype(np.int64)
            own = sparse.columns._replace(weight=sparse.known_weights())
            listed = Cells(sparse.subs.astype(np.int64), own.x, own.weight, own)
            of_zeros = sparse.zeros.entries(np.zeros(n), w, subs, range(sparse.ndim))
            return [_cells(model, listed), _cells(model, Cells(subs, of_zeros.x, w, of_zeros))]
    return blocks(model, tensor)


def _cells(model: Model, cells: Cells) -> KnownCells:
    """Return the cells of positive weight."""
    keep = cells.weights > 0
    subs, w = cells.subs[keep], cells.weights[keep].astype(float)
    m = model.model_values(subs)
    if cells.columns is None:
        return KnownCells(subs, cells.x[keep].astype(float), m, w)
    own = cells.columns.at(keep)
    return KnownCells(subs, own.x.astype(float), own.argument(m), w, own.scale, own.offset, own.trials)
