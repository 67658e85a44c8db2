"""The spread of data that outliers do not change."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gcp.base.types import FloatArray
from gcp.tensors.base import TensorData

_SAMPLE = 1 << 17
"""Values of a block, at most, that stand for all of it."""


def spread(tensor: TensorData) -> float:
    """Return the interquartile range of the observed data, weighted, from evenly spaced ones where they are many.

    Where half of the data are one number it is their standard deviation, and their size if all are; 1 of zeros alone.
    """
    found = [pair for part in tensor.map(_of_part) for pair in part]
    x, w = (np.concatenate(column) for column in zip(*found, strict=True))
    keep = (w > 0) & np.isfinite(x)
    x, w = x[keep], w[keep]
    if not x.size:
        return 1.0
    order = np.argsort(x, kind="stable")
    share = np.cumsum(w[order])
    low, high = x[order][np.minimum(np.searchsorted(share, share[-1] * np.array([0.25, 0.75])), x.size - 1)]
    if high > low:
        return float(high - low)
    mean = float(np.average(x, weights=w))
    return math.sqrt(float(np.average((x - mean) ** 2, weights=w))) or abs(mean) or 1.0


def _of_part(part: Any, _: None = None) -> list[tuple[FloatArray, FloatArray]]:
    """Return values and weights (n,) of some of each block's data."""
    found = []
    for block in part.blocks():
        step = max(block.x.size // _SAMPLE, 1)
        x = np.asarray(block.x, float)[::step]
        w = np.ones(x.shape) if block.weights is None else np.asarray(block.weights, float)[::step]
        found.append((x, w * step))
    return found
