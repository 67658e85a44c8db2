"""Losses with a parameter for each position of a mode, and hurdles, as one loss over other data and weights.

Such a loss has no formula of its own: it says which data and which entry weights a
standard loss has to be given (docs/decisions/0050-estimated-parameters.md), and passes over them are as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.exposed import exposed
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import MOST_SEEN
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_CHUNK = 1 << 19


def standardised(tensor: TensorData, loss: Loss) -> tuple[TensorData, Loss]:
    """Return data, entry weights and the loss with one formula for all entries, the same where there is one already.

    Raises
    ------
    ParameterError
        Data in parts, or too many zeros that have to be looked at one by one; another number of parameters than of
        positions.
    """
    if loss.is_standard:
        return tensor, loss
    if tensor.parts is not None:
        raise ParameterError(
            f"The {loss.name} loss, in this form, is for data in memory: found data in parts. Read them whole, or "
            "take a loss without by=... and without a hurdle."
        )
    own: Any = tensor
    if tensor.zeros is not None:
        if loss.is_dispersion_by and loss.zero_loss is not None:
            return _weighted_positions(own, loss), loss.standard()
        own = _with_zeros_seen(own, loss)
    values = np.asarray(1.0) if loss.by is None else _values(tensor, loss)[_positions_by(own, loss)]
    x = np.asarray(own.values, dtype=float)
    x, weights = loss.standard_entries(x, values)
    kind = own.values.dtype
    own = own.with_values(x.astype(kind if kind.kind == "f" else own.dtype))
    if weights is not None:
        weights = np.array(np.broadcast_to(weights, x.shape))
        before = own.entry_weights
        own = own.with_weights(weights if before is None else weights * before)
    return own, loss.standard()


def _weighted_positions(tensor: SparseTensor, loss: Loss) -> SparseTensor:
    """Return sparse data whose cells, zeros too, have the weight of their position of that mode."""
    mode, values = _mode(tensor, loss), _values(tensor, loss)
    _, own = loss.standard_entries(np.zeros(len(values)), values)
    assert own is not None
    before = tensor.mode_weights or [np.ones(size) for size in tensor.shape]
    weights = [u * own if n == mode else u for n, u in enumerate(before)]
    return tensor.weighted(tensor.entries.weights, weights)


def _with_zeros_seen(tensor: SparseTensor, loss: Loss) -> ObservedTensor | DenseTensor:
    """Return the entries above 0 of sparse data, for losses that do not look at others; else all cells."""
    if loss.zero_loss != (0.0, 0.0):
        if tensor.n_cells > MOST_SEEN:
            raise ParameterError(
                f"Zeros have no closed form under the {loss.name} loss, and beside one {loss.parameter_by} for each "
                f"position of a mode they are looked at one by one: found {tensor.n_cells:,} cells, more than "
                f"{MOST_SEEN:,}. "
                "Leave by=... out, or take a sample of cells as an ObservedTensor."
            )
        return tensor.to_dense()
    keep = (tensor.values > 0) & (tensor.known_weights() > 0)
    columns = tensor.zeros.entries(
        tensor.values[keep], tensor.known_weights()[keep], tensor.subs[keep], range(len(tensor.shape))
    )
    return ObservedTensor.of_rows(tensor.subs[keep], columns, tensor.shape, tensor.labels)


def _values(tensor: TensorData, loss: Loss) -> FloatArray:
    """Return the numbers of the positions, shape (I_mode,)."""
    values, size = (
        np.asarray(getattr(loss, loss.parameter_by), dtype=float),
        tensor.shape[_mode(tensor, loss)],
    )
    if len(values) != size:
        raise ParameterError(
            f"The {loss.name} loss has {len(values)} numbers {loss.parameter_by} by {loss.by!r}, a mode of {size} "
            "positions: give one for each."
        )
    return values


def _mode(tensor: TensorData, loss: Loss) -> int:
    """Return the number of the mode of the parameters."""
    assert loss.by is not None
    return (tensor.labels or ModeLabels.default(tensor.shape)).number(loss.by)


def _positions_by(tensor: TensorData, loss: Loss) -> Array:
    """Return the positions of that mode at the entries, of a shape that broadcasts with their values."""
    mode = _mode(tensor, loss)
    if tensor.subs is not None:
        return tensor.subs[:, mode].astype(np.int64)
    return np.arange(tensor.shape[mode]).reshape([-1 if n == mode else 1 for n in range(len(tensor.shape))])


def null_factors(tensor: TensorData, loss: Loss, mean: float) -> list[FloatArray]:
    """Return factors (I_n, 1) of the model of this expected datum at every cell."""
    mode = _mode(tensor, loss)
    return [
        (loss.at(np.arange(size)).link(np.full(size, mean)) if n == mode else np.ones(size)).reshape(-1, 1)
        for n, size in enumerate(tensor.shape)
    ]


def null_mean(tensor: TensorData, loss: Loss) -> float | None:
    """Return the weighted mean of all data, of losses under which one m for all means different expectations.

    Beside exposures it is that of one unit.
    """
    if loss.by is None or not loss.position_moves_mean:
        return None
    sums = np.zeros(2)
    own = exposed(tensor, loss)
    if own.is_affine:
        for cells in own.known_cells(_CHUNK):
            scale, offset = cells.columns.scale, cells.columns.offset
            units = np.ones(len(cells.x)) if scale is None else scale
            units = units if offset is None else units * np.exp(offset)
            sums += cells.weights @ units, cells.weights @ np.where(cells.weights > 0, cells.x, 0.0)
        return float(sums[1] / sums[0])
    for block in tensor.blocks():
        w = np.ones(len(block.x)) if block.weights is None else block.weights
        sums += w.sum(), np.sum(np.where(w > 0, block.x, 0.0) * w)
    return float(sums[1] / sums[0])
