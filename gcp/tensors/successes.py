"""Successes of trials as shares of them, weighted by their number."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Flag, auto
from functools import reduce
from operator import or_
from typing import Any

import numpy as np

from gcp.base.errors import DataError
from gcp.base.types import Array
from gcp.kernels.shared.columns import EntryColumns

_ROUNDING = 1e-12
"""Distance from a whole number, for each of it, that is rounding of a product of shares and trials."""

_WHOLE = 1e-6
"""Distance from a whole number of successes, for each of them, that is rounding of a proportion."""


class Reading(Flag):
    """What data beside trials show of whether they count successes or are proportions."""

    NOTHING = 0
    INTEGERS = auto()  # of an integer type, or booleans
    FRACTION = auto()  # a number that is not whole
    ABOVE_ONE = auto()
    ONE_OF_MANY = auto()  # a 1 beside more than one trial: one success, or all of them


def reading(columns: EntryColumns) -> Reading:
    """Return what columns with trials, of any shape, show."""
    assert columns.trials is not None
    if columns.x.dtype.kind != "f":
        return Reading.INTEGERS
    x, known = _known(columns)
    known = known & (columns.trials > 0)
    nearest = np.rint(x)
    found = Reading.NOTHING
    if not np.all(np.abs(x - nearest)[known] <= _ROUNDING * np.maximum(nearest[known], 1.0)):
        found |= Reading.FRACTION
    if np.any(nearest[known] > 1):
        found |= Reading.ABOVE_ONE
    if np.any((nearest == 1)[known] & (columns.trials > 1)[known]):
        found |= Reading.ONE_OF_MANY
    return found


def are_counts(readings: Sequence[Reading]) -> bool:
    """Return whether data, in one or more parts, count successes; if not, all are proportions.

    Data of an integer type are counts. Others are proportions if any is not whole, counts if all are and any is above
    1.

    Raises
    ------
    DataError
        Floating point numbers that are all 0 or 1, where that makes a difference.
    """
    every = reduce(or_, readings)
    if Reading.INTEGERS in every or (Reading.ABOVE_ONE in every and Reading.FRACTION not in every):
        return True
    if Reading.FRACTION in every:
        return False
    if Reading.ONE_OF_MANY in every:
        raise DataError(
            "All data are 0 or 1, in floating point, beside more than one trial: they may count successes or be "
            "proportions. Give counts in an integer type (data.astype(int); a mask, or no row of the table, where "
            "one is missing), and make counts of proportions (numpy.rint(data * trials).astype(int))."
        )
    return True


def as_shares(columns: EntryColumns, tensor: Any, whole: bool) -> EntryColumns:
    """Return columns of any shape whose data are shares of their trials, and whose weights are multiplied by these.

    Parameters
    ----------
    columns : EntryColumns
        Trials are whole and positive.
    tensor : DenseTensor or ObservedTensor
        Names cells in messages.
    whole : bool
        Whether data are counts; else they are proportions, in [0, 1].

    Raises
    ------
    DataError
        With the first cell of more successes than trials, or a proportion outside [0, 1].
    """
    n, weight = columns.trials, columns.weight
    assert n is not None
    x, known = _known(columns)
    x = np.where(known, np.rint(x), x) if whole else x
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


def _known(columns: EntryColumns) -> tuple[Array, Array]:
    """Return data in float64, and where they are known, of the shape of the columns."""
    x = np.asarray(columns.x, dtype=np.float64)
    known = ~np.isnan(x) if columns.weight is None else (columns.weight != 0) & ~np.isnan(x)
    return x, known


def _subscript(where: Array, tensor: Any) -> tuple[int, ...]:
    """Return the subscript of the first cell that a mask, of any shape, marks."""
    first = np.argwhere(where)[0]
    row = first if tensor.subs is None else tensor.subs[first[0]]
    return tuple(int(i) for i in row)
