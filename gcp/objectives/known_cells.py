"""The known cells of a tensor beside the model's values there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np

from gcp.base import checks
from gcp.base.alignment import Side, align
from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.model import Model
from gcp.tensors.base import TensorData
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
        Data, model values and weights.
    """

    subs: Array
    x: FloatArray
    m: FloatArray
    w: FloatArray


def tensor_of(model: Model, data: Any, mask: Any = None, entry_weights: Any = None) -> Tensor:
    """Return the data as a tensor in one piece, its modes and positions in the order of the model's.

    Raises
    ------
    DataError
        Unusable data, or another shape, other names or labels than the model's.
    """
    tensor = stored(in_one_piece(data, mask, entry_weights))
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
    """Raise unless the data are in the unit of the model's, where both say which."""
    check_result(model)
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
    """Raise `ParameterError` unless this is the result of a fit."""
    checks.instance("result", model, Model, "the FitResult of a fit")


def blocks(model: Model, tensor: TensorData) -> Iterator[KnownCells]:
    """Yield all known cells, the zeros of a sparse tensor too, a block at a time.

    Raises
    ------
    ParameterError
        Sparse data of more than 2**28 cells.
    """
    if tensor.sparse is not None and tensor.sparse.n_cells > _MOST_CELLS:
        raise ParameterError(
            f"Sparse data of {tensor.sparse.n_cells:,} cells are too many to look at one by one: at most "
            f"{_MOST_CELLS:,}."
        )
    for cells in tensor.known_cells(_CHUNK):
        yield _cells(model, *cells)


def known_cells(model: Model, tensor: TensorData, random_state: int = 0) -> KnownCells:
    """Return all known cells at once; many zeros of a sparse tensor are a sample, as in `known_parts`."""
    parts = known_parts(model, tensor, random_state)
    return KnownCells(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def known_parts(model: Model, tensor: TensorData, random_state: int = 0) -> Iterable[KnownCells]:
    """Return all known cells in parts; many zeros of a sparse tensor are a weighted sample.

    That is where there are more than a million, and more than listed entries.
    """
    if (sparse := tensor.sparse) is not None:
        zeros = Zeros(sparse)
        n = max(_ZEROS, len(sparse.listing.x))
        if zeros.count > n:
            drawn, w = zeros.draw(n, checks.generator(random_state, "zeros"))
            subs = drawn[:, np.argsort(sparse.listing.order)].astype(np.int64)
            listed = _cells(model, sparse.subs.astype(np.int64), sparse.values, sparse.known_weights())
            return [listed, _cells(model, subs, np.zeros(n), w)]
    return blocks(model, tensor)


def _cells(model: Model, subs: Array, x: Array, w: FloatArray) -> KnownCells:
    """Return the cells of positive weight among subs (n, N), with data x and weights w, shapes (n,)."""
    keep = w > 0
    subs = subs[keep]
    return KnownCells(subs, x[keep].astype(float), model.model_values(subs), w[keep].astype(float))
