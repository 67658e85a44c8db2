"""Successes of trials as shares of them, weighted by their number."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import DataError
from gcp.base.types import Array
from gcp.kernels.shared.columns import EntryColumns

_ROUNDING = 1e-12
"""Distance from a whole number, for each of it, that is rounding of a product of shares and trials."""

_WHOLE = 1e-6
"""Distance from a whole number of successes, for each of them, that is rounding of a proportion."""


def as_shares(columns: EntryColumns, tensor: Any) -> EntryColumns:
    """Return columns of any shape whose data are shares of their trials, and whose weights are multiplied by these.

    Data that are all whole numbers are counts; others are proportions, all of them in [0, 1].

    Parameters
    ----------
    columns : EntryColumns
        Trials are whole and positive.
    tensor : DenseTensor or ObservedTensor
        Names cells in messages.

    Raises
    ------
    DataError
        With the first cell of more successes than trials, or a proportion outside [0, 1].
    """
    n, weight = columns.trials, columns.weight
    assert n is not None
    x = np.asarray(columns.x, dtype=np.float64)
    known = ~np.isnan(x) if weight is None else (weight != 0) & ~np.isnan(x)
    nearest = np.rint(x)
    whole = bool(np.all(np.abs(x - nearest)[known] <= _ROUNDING * np.maximum(nearest[known], 1.0)))
    x = np.where(known, nearest, x) if whole else x
    outside = known & ((x < 0) | (x > (n if whole else 1.0)))
    if outside.any():
        found, trials, where = float(x[outside][0]), float(n[outside][0]), _subscript(outside, tensor)
        raise DataError(
            f"The data are whole numbers, so they count successes: found {found:g} of {trials:g} trials at {where}."
            if whole
            else "The data are not all whole numbers, so they are proportions of their trials, in [0, 1]: found "
            f"{found!r} at {where}."
        )
    successes = x if whole else x * n
    nearest = np.rint(successes)
    is_near = np.abs(successes - nearest) <= _WHOLE * np.maximum(nearest, 1.0)
    share = np.where(is_near, nearest, successes) / n
    share = np.where(known, share, 0.0).astype(np.float32 if columns.x.dtype == np.float32 else np.float64)
    weights = np.where(known, n if weight is None else n * weight, 0.0)
    return columns._replace(x=share, weight=weights)


def _subscript(where: Array, tensor: Any) -> tuple[int, ...]:
    """Return the subscript of the first cell that a mask, of any shape, marks."""
    first = np.argwhere(where)[0]
    row = first if tensor.subs is None else tensor.subs[first[0]]
    return tuple(int(i) for i in row)
