"""Weights as they are given (real numbers that are 0, or of a size that sums and products of them can have), and
other columns of entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.alignment import Side, align
from gcp.base.checks import and_more, array, items
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import Labelled, labelled
from gcp.base.types import Array, FloatArray

LARGEST = 1e100


def in_order_of_mode(what: str, own: Labelled, labels: ModeLabels | None, mode: int, size: int) -> Any:
    """Return a vector (I_n,) in the order of a mode's positions, if these have labels too.

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


def checked_columns(given: Mapping[str, ArrayLike | None], shape: tuple[int, ...]) -> dict[str, Array]:
    """Return those columns that are given, of this shape, as `checked_column` has them."""
    return {name: checked_column(name, a, shape) for name, a in given.items() if a is not None}


def checked_column(name: str, given: ArrayLike, shape: tuple[int, ...]) -> Array:
    """Return scales, offsets or groups as an array of this shape, to which what is given broadcasts.

    Raises
    ------
    DataError
        Another shape, numbers that are not finite, groups that are not whole.
    """
    found = array(name, given, DataError)
    kinds, expected = ("iu", "whole") if name == "group" else ("buif", "real, finite")
    if found.dtype.kind not in kinds or (found.dtype.kind == "f" and not np.isfinite(found).all()):
        raise DataError(f"{name} must hold {expected} numbers: found {found.dtype} ones, or some not finite.")
    try:
        return np.broadcast_to(found if name == "group" else found.astype(np.float64), shape)
    except ValueError:
        raise DataError(
            f"{name} has shape {found.shape}: expected {shape}, or one that broadcasts to it."
        ) from None


def checked_mode_weights(
    given: Sequence[ArrayLike | None] | None, shape: tuple[int, ...], labels: ModeLabels | None
) -> list[FloatArray] | None:
    """Return a vector of weights (I_n,) for each mode, in the order of its positions; None where none are given.

    Raises
    ------
    DataError
        Another number of vectors or of weights; weights out of range.
    """
    if given is None:
        return None
    given = items("mode_weights", given, "one array or None per mode", DataError)
    if len(given) != len(shape):
        raise DataError(f"mode_weights has {len(given)} items: expected one per mode, {len(shape)}.")
    found = []
    for mode, (weights, size) in enumerate(zip(given, shape, strict=True)):
        name = f"mode_weights of mode {mode}"
        if (own := labelled(weights, name)) is not None:
            weights = in_order_of_mode(f"the {name}", own, labels, mode, size)
        vector = np.ones(size) if weights is None else array(name, weights, DataError)
        check_weights(vector, name, LARGEST ** (1 / len(shape)))
        if vector.shape != (size,):
            raise DataError(f"{name} has shape {vector.shape}: expected {size} numbers.")
        vector = vector.astype(np.float64)
        found.append(vector)
    return found


def checked_vectors(name: str, given: Sequence[ArrayLike | None], shape: tuple[int, ...]) -> list[FloatArray]:
    """Return a vector of finite numbers (I_n,) for each mode; ones where None is given.

    Raises
    ------
    DataError
        Another number of vectors or of numbers.
    """
    if len(given) != len(shape):
        raise DataError(
            f"{name} of a SparseTensor has {len(given)} items: expected one per mode, {len(shape)}."
        )
    return [
        np.array(checked_column(f"{name} of mode {n}", 1.0 if vector is None else vector, (size,)))
        for n, (vector, size) in enumerate(zip(given, shape, strict=True))
    ]


def check_weights_dtype(dtype: np.dtype[Any], name: str = "entry_weights") -> None:
    """Raise `DataError` unless weights have real numbers."""
    if dtype.kind not in "buif":
        raise DataError(f"{name} has dtype {dtype}: expected nonnegative real numbers.")


def check_weights(weights: Array, name: str = "entry_weights", largest: float = LARGEST) -> None:
    """Raise `DataError` with the first weight, in any shape, that is not 0 nor from 1 / `largest` to `largest`."""
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
