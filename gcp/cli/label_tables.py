"""Tables of a mode's positions that options name: .csv files with a header, and labels in the first column."""

from __future__ import annotations

import csv
from collections.abc import Sequence

import numpy as np

from gcp.base.errors import DataError
from gcp.base.types import Array


def label_table(path: str) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns of a file, and its rows."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(header) < 2 or not rows:
        raise DataError(f"{path}: expected a header, and rows of a label and more: found {len(rows)} rows.")
    ragged = next((k for k, row in enumerate(rows) if len(row) != len(header)), None)
    if ragged is not None:
        raise DataError(f"{path}: row {ragged + 2} has {len(rows[ragged])} fields: expected {len(header)}.")
    return header, rows


def numbers_of(path: str, rows: Sequence[Sequence[str]]) -> Array:
    """Return the columns after the first as numbers, (n, K)."""
    found = np.empty((len(rows), len(rows[0]) - 1))
    for k, row in enumerate(rows):
        for column, field in enumerate(row[1:]):
            try:
                found[k, column] = float(field)
            except ValueError:
                raise DataError(f"{path}: {field!r} in row {k + 2} is no number.") from None
    if not np.isfinite(found).all():
        raise DataError(
            f"{path}: a number is NaN or infinite; fill it in, or leave the row or the column out."
        )
    return found


def labels_like(texts: Array, coords: Array | None) -> Array:
    """Return labels (n,) as numbers or dates, if those of the mode are; without labels they are positions."""
    kind = "i" if coords is None else coords.dtype.kind
    try:
        if kind in "iuf":
            numbers = texts.astype(float)
            whole = numbers.astype(np.int64)
            return whole if np.array_equal(whole, numbers) else numbers
        return texts.astype("M8") if kind == "M" else texts
    except ValueError:
        return texts
