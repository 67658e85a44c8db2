"""Entries that outweigh all others together, beside which a start sees nothing of the others."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

import numpy as np

from gcp.base.types import FloatArray
from gcp.objectives.survey import Survey
from gcp.tensors.base import Block, TensorData

_GAP = 100.0
"""Weighted square of a dominant entry, at least, in the sum of those of all smaller entries."""


class DominantEntries(NamedTuple):
    """Dominant entries, the largest first, and the mean and standard deviation of the others."""

    subscripts: list[tuple[int, ...]]
    values: list[float]
    mean: float
    std: float


def dominant_entries(tensor: TensorData, facts: Survey, most: int) -> DominantEntries | None:
    """Return the dominant entries of data in one piece; None if there are none, or more than so many."""
    total = facts.mean_square * facts.total_weight
    if most < 1 or tensor.parts is not None or facts.largest_square * (most + 1) < total:
        return None
    top: list[tuple[float, float, int]] = []  # square, value, position
    for block in tensor.blocks():
        squares = _weights(block) * block.x**2
        top += [
            (float(squares[k]), float(block.x[k]), block.first + int(k)) for k in np.argsort(squares)[-most:]
        ]
        top = heapq.nlargest(most, top)
    weight, x1, x2 = _sums_without(tensor, np.array([position for *_, position in top]))
    found: list[tuple[float, float, int]] = []
    rest = x2
    for k in reversed(range(len(top))):  # the smallest that outweighs the rest, and all that are larger
        if not found and 0.0 < _GAP * rest <= top[k][0]:
            found = top[: k + 1]
        rest += top[k][0]
    if not found:
        return None
    for square, value, _ in top[len(found) :]:
        share = square / value**2 if value else 0.0
        weight, x1, x2 = weight + share, x1 + share * value, x2 + square
    mean = x1 / weight
    return DominantEntries(
        [tensor.subscript(position) for *_, position in found],
        [value for _, value, _ in found],
        mean,
        math.sqrt(max(x2 / weight - mean**2, 0.0)),
    )


def _sums_without(tensor: TensorData, positions: FloatArray) -> tuple[float, float, float]:
    """Return the sums of weights, data and squares of all entries but those at positions (k,)."""
    weight = x1 = x2 = 0.0
    for block in tensor.blocks():
        w, inside = _weights(block), positions[(positions >= block.first)] - block.first
        w[inside[inside < len(w)]] = 0.0
        weight, x1, x2 = weight + float(w.sum()), x1 + float(w @ block.x), x2 + float(w @ block.x**2)
    return weight, x1, x2


def _weights(block: Block) -> FloatArray:
    """Return the weights of a block's entries, shape (n,)."""
    return np.ones(len(block.x)) if block.weights is None else block.weights.astype(np.float64)
