"""Weights as they are given: real numbers that are 0, or of a size that sums and products of them can have."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.checks import and_more
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import Labelled
from gcp.base.types import Array

LARGEST = 1e100


def in_order_of_mode(what: str, own: Labelled, labels: ModeLabels | None, mode: int, size: int) -> Any:
    """A vector in the order of a mode's positions, if these have labels too.

    Raises
    ------
    DataError
        Other names or labels.
    """
    if labels is None:
        return own.values
    side = Side(what, own.labels, tuple(own.values.shape))
    base = Side("the data", ModeLabels([labels.names[mode]], [labels.coords[mode]]), (size,))
    return align(side, base).of_array(own.values)


def check_weights_dtype(dtype: np.dtype[Any], name: str = "entry_weights") -> None:
    """Raise `DataError` unless weights have real numbers."""
    if dtype.kind not in "buif":
        raise DataError(f"{name} has dtype {dtype}: expected nonnegative real numbers.")


def check_weights(weights: Array, name: str = "entry_weights", largest: float = LARGEST) -> None:
    """Raise `DataError` with the first weight that is neither 0 nor from 1 / `largest` to `largest`."""
    check_weights_dtype(weights.dtype, name)
    if weights.dtype.kind == "b" or not weights.size:
        return
    if weights.dtype.kind == "f":
        largest = min(largest, float(np.finfo(weights.dtype).max))
    smallest = 1 / largest
    least = np.min(weights, where=weights != 0, initial=1)  # NaN if there is one
    if least >= smallest and weights.max() <= largest:
        return
    bad = ~((weights == 0) | ((weights >= smallest) & (weights <= largest)))
    where = tuple(int(i) for i in np.argwhere(bad)[0])
    place = "" if not where else f" at entry {where[0]}" if len(where) == 1 else f" at {where}"
    raise DataError(
        f"{name} must be 0, or from {smallest:.0e} to {largest:.0e}: found {float(weights[bad][0])}{place}"
        f"{and_more(int(bad.sum()) - 1)}."
    )
