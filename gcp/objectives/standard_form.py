"""Losses with a parameter for each position of a mode, as one loss over other data and weights.

A loss whose parameter belongs to a position has no formula of its own: it says which data and which entry weights a
standard loss has to be given (docs/decisions/0050-estimated-parameters.md), and passes over them are as they always are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.losses.base import Loss
from gcp.tensors.base import TensorData


def standardised(tensor: TensorData, loss: Loss) -> tuple[TensorData, Loss]:
    """Return data, entry weights and the loss with one formula for all entries, the same where there is one already.

    Raises
    ------
    ParameterError
        Data that hold zeros that are not listed, or are in parts; another number of parameters than of positions.
    """
    if loss.by is None:
        return tensor, loss
    mode = (tensor.labels or ModeLabels.default(tensor.shape)).number(loss.by)
    values = np.asarray(getattr(loss, loss.parameter_by), dtype=float)
    if len(values) != tensor.shape[mode]:
        raise ParameterError(
            f"The {loss.name} loss has {len(values)} numbers {loss.parameter_by} by {loss.by!r}, a mode of "
            f"{tensor.shape[mode]} positions: give one for each."
        )
    if tensor.parts is not None or tensor.zeros is not None:
        found = "data in parts" if tensor.parts is not None else "sparse data, whose zeros are not listed"
        raise ParameterError(
            f"A parameter for each position of a mode is for dense and observed data in memory: found {found}. Leave "
            "by=... out, or give the data as an array."
        )
    own: Any = tensor
    x = np.asarray(own.values, dtype=float)
    x, weights = loss.standard_entries(x, values[_positions(own, mode)])
    own = own.with_values(x.astype(own.values.dtype if own.values.dtype.kind == "f" else own.dtype))
    if weights is not None:
        weights = np.broadcast_to(weights, x.shape)
        before = tensor.entry_weights
        own = own.with_weights(np.array(weights if before is None else weights * before))
    return own, loss.standard()


def _positions(tensor: TensorData, mode: int) -> Array:
    """Return the positions of a mode at the entries, of a shape that broadcasts with their values."""
    if tensor.subs is not None:
        return tensor.subs[:, mode].astype(np.int64)
    return np.arange(tensor.shape[mode]).reshape([-1 if n == mode else 1 for n in range(len(tensor.shape))])
