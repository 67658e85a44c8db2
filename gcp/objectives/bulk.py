"""Data under a loss that bears outliers, without those that lie so far off that they hide the others."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.objectives.survey import Survey
from gcp.tensors.base import Block, TensorData

_FAR = 1e4
"""Loss of an outlier under the best constant, in the geometric mean of that of all data."""


@dataclass(frozen=True)
class Bulk:
    """Moments of the data without outliers, and what the outliers' loss has too much under the best constant."""

    mean: float
    std: float
    beyond: float = 0.0


def bulk(tensor: TensorData, loss: Loss, facts: Survey, constant: float) -> Bulk:
    """Return the bulk of data under a loss that bears outliers; else, or of data in parts, all data are the bulk.

    Of data with scales and offsets, it is what they would be about the best constant without these.
    """
    everything = Bulk(facts.mean, facts.std)
    if tensor.is_affine:
        mean = float(loss.mean(constant))
        return Bulk(mean, facts.std * abs(mean / facts.mean) if facts.mean else facts.std)
    if not loss.bears_outliers or tensor.parts is not None:
        return everything
    logs = weight = 0.0
    for block in tensor.blocks():
        w, values = _of(block, loss, constant)
        logs += float(w @ np.log(np.maximum(values, np.finfo(float).tiny)))
        weight += float(w.sum())
    most = _FAR * math.exp(logs / weight)
    beyond = weight = total = squares = 0.0
    for block in tensor.blocks():
        w, values = _of(block, loss, constant)
        beyond += float(w @ np.maximum(values - most, 0.0))
        w = np.where(values > most, 0.0, w)
        weight += float(w.sum())
        total += float(w @ (block.x - constant))
        squares += float(w @ (block.x - constant) ** 2)
    if beyond == 0.0 or weight == 0.0:
        return everything
    mean = total / weight
    return Bulk(constant + mean, math.sqrt(max(squares / weight - mean**2, 0.0)), beyond)


def _of(block: Block, loss: Loss, constant: float) -> tuple[FloatArray, FloatArray]:
    """Return the weights (n,) of a block of entries, and their loss, of that shape too; 1 where a weight is 0."""
    values = loss.value(block.x, constant)
    weights = np.ones(block.x.shape) if block.weights is None else block.weights.astype(np.float64)
    return weights, np.where(weights > 0, values, 1.0)
