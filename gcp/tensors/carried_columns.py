"""Exposures, offsets and trials as cells carry them: their names, checks, and the cells that they leave out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from gcp.base.checks import and_more
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, FloatArray
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor
from gcp.tensors.successes import Reading, are_counts, as_shares, reading

TITLES = {"exposure": "an exposure", "offset": "an offset", "trials": "trials"}

CARRIED = tuple(TITLES)
"""What cells may carry beside data and weights."""

MOST_SEEN = 2**26
"""Cells of a SparseTensor, at most, that are looked at one by one where what they carry has no closed form."""


def carried_by(tensor: Any) -> tuple[str, ...]:
    """Return what cells carry beside data and weights: some of "exposure", "offset" and "trials"."""
    parts = getattr(tensor, "parts", None)
    if parts is not None:
        found: tuple[str, ...] = parts.carried
        return found
    columns = getattr(tensor, "columns", None)
    return () if columns is None else tuple(name for name in CARRIED if getattr(columns, name) is not None)


def checked(name: str, given: Array, labels: ModeLabels | None) -> FloatArray:
    """Return an array of any shape in float64; 0 (but for offsets) and NaN are not observed.

    Raises
    ------
    DataError
        With the first number that is negative or infinite, and its place.
    """
    if given.dtype.kind not in "buif":
        raise DataError(f"{name} has dtype {given.dtype}: expected real numbers.")
    numbers = given.astype(np.float64)
    bad, expected = np.isinf(numbers), "finite"
    if name != "offset":
        bad, expected = bad | (numbers < 0), "nonnegative and finite"
    if name == "trials":
        bad, expected = bad | (numbers != np.floor(numbers)) & ~np.isnan(numbers), "whole and nonnegative"
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.ndim else ()
        raise DataError(
            f"{name} must hold numbers that are {expected} (0 or NaN where a cell is not observed): found "
            f"{float(numbers[where])!r}{_place(where, numbers.shape, labels)}{and_more(int(bad.sum()) - 1)}."
        )
    return numbers


def _place(where: tuple[int, ...], shape: tuple[int, ...], labels: ModeLabels | None) -> str:
    """Return words for the place of a number in an array whose modes of size 1 say nothing."""
    if not where:
        return ""
    if labels is None or len(where) != len(labels.names):
        return f" at {where if len(where) > 1 else f'entry {where[0]}'}"
    at = [f"{labels.names[n]} {labels.values(n, shape[n])[i]}" for n, i in enumerate(where) if shape[n] > 1]
    return f" at {', '.join(at)}" if at else ""


def is_known(name: str, column: FloatArray) -> Array:
    """Return, elementwise, whether numbers, of any shape, leave a cell observed."""
    return ~np.isnan(column) if name == "offset" else column > 0


def whole_numbers(tensor: Any, _: None = None) -> Reading:
    """Return what the data of a tensor, or of a part of one, show of trials that were attached to it."""
    return reading(tensor.columns)


def settled(tensor: Any, names: Collection[str], counts: bool | None = None) -> Any:
    """Return a tensor whose cells without exposure, offset or trials are not observed; data with trials as shares.

    Parameters
    ----------
    tensor : DenseTensor, ObservedTensor or SparseTensor
        In one piece, or a part, which may be wholly missing if it is dense.
    names : collection of str
        Columns that are new; others are settled.
    counts : bool, optional
        Whether data with trials are counts; None looks at them.
    """
    if isinstance(tensor, SparseTensor):
        return tensor
    columns = tensor.columns
    known: Any = True
    given = {name: column for name in names if (column := getattr(columns, name)) is not None}
    for name, column in given.items():
        known = known & is_known(name, column)
    weights = np.broadcast_to(known, columns.x.shape)
    plain = {name: np.where(known, column, float(name != "offset")) for name, column in given.items()}
    if columns.weight is not None:
        weights = np.where(weights, columns.weight, np.zeros((), columns.weight.dtype))
    columns = columns._replace(weight=None if weights.all() and weights.dtype == bool else weights, **plain)
    if "trials" in given:
        whole = are_counts([reading(columns)]) if counts is None else counts
        columns = as_shares(columns, tensor, whole)
    if isinstance(tensor, DenseTensor):
        return DenseTensor.part_of(columns, tensor.labels)
    if columns.weight is not None and columns.weight.dtype == bool:
        found = tensor.entries.having(**columns._replace(weight=None)._asdict()).select(columns.weight)
        return ObservedTensor.of(found, tensor.labels)
    return ObservedTensor.of(tensor.entries.having(**columns._asdict()), tensor.labels)
