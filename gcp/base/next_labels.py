"""Labels that go on: those of the positions after the last one of equally spaced numbers, dates or months."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.label_dates import as_dates
from gcp.base.table_result import shown
from gcp.base.types import Array

_ROUNDING = 1e-6
"""Difference of two steps, in the mean one, that is rounding."""


def in_time(labels: Array | None, size: int, name: str) -> tuple[Array, Array]:
    """Return the order (size,) of positions by their labels, and these in it: dates, numbers or, of None, 0, 1, ...

    Raises
    ------
    ParameterError
        Labels that are neither numbers nor dates, are missing, or occur twice.
    """
    found: Any = np.arange(size) if labels is None else labels
    if found.dtype.kind == "U":
        found = np.asarray(as_dates(found, np.zeros(1, "M8[D]")))
    if found.dtype.kind not in "iufmM":
        raise ParameterError(
            f"forecast: the labels of {name!r} are neither numbers nor dates, such as {str(found[0])!r}, so that "
            "nothing says what comes next: label the mode by numbers or numpy.datetime64, or take it without labels."
        )
    if (found != found).any():
        raise ParameterError(f"forecast: a label of {name!r} is missing (NaN or NaT).")
    found = found.astype(np.int64) if found.dtype.kind == "u" else found
    order = np.argsort(found, kind="stable")
    if (again := found[order][1:] == found[order][:-1]).any():
        twice = found[order][1:][again][0]
        raise ParameterError(f"forecast: the label {shown(twice)} of {name!r} is there more than once.")
    return order, found[order]


def following(ordered: Array, n: int, name: str, like: Array | None = None) -> Array:
    """Return the next labels (n,) after rising ones (size,), texts where labels `like` them are.

    Raises
    ------
    ParameterError
        Labels that are not equally spaced, or but one.
    """
    if len(ordered) < 2:
        raise ParameterError(
            f"forecast: {name!r} has one position, which says nothing of the next: expected two."
        )
    ahead = np.arange(1, n + 1)
    if not _uneven(ordered).any():
        step = (ordered[-1] - ordered[0]) / (len(ordered) - 1)
        if ordered.dtype.kind in "iM":
            step = ordered[-1] - ordered[-2]
        found = ordered[-1] + ahead * step
    else:
        found = _following_months(ordered, ahead, name)
    if like is None or like.dtype.kind != "U":
        return np.asarray(found)
    if not np.isin(ordered.astype(str), like).all():
        raise ParameterError(
            f"forecast: the labels of {name!r} are texts of dates in several forms, such as {str(like[0])!r}: give "
            "numpy.datetime64, or texts of one form (2026-12-31)."
        )
    return np.asarray(found.astype(str))


def _uneven(ordered: Array) -> Array:
    """Return which steps (size - 1,) are others than the first one."""
    steps = np.diff(ordered)
    if steps.dtype.kind == "f":
        return np.asarray(np.abs(steps - steps.mean()) > _ROUNDING * steps.mean())
    return np.asarray(steps != steps[0])


def _following_months(ordered: Array, ahead: Array, name: str) -> Array:
    """Return dates as many months apart as the given ones, on the same day and time, or on the last day of each."""
    if ordered.dtype.kind == "M" and np.datetime_data(ordered.dtype)[0] not in ("Y", "M"):
        for shift in (np.timedelta64(0, "D"), np.timedelta64(1, "D")):  # the day after the last is the first
            dates = ordered + shift
            months = dates.astype("M8[M]")
            within = dates - months.astype(dates.dtype)
            if not _uneven(months).any() and (within == within[0]).all():
                found = months[-1] + ahead * (months[-1] - months[-2])
                return np.asarray(found.astype(dates.dtype) + within[0] - shift)
    at = int(np.argmax(_uneven(ordered)))
    first, second, third, fourth = (shown(label) for label in (*ordered[:2], *ordered[at : at + 2]))
    raise ParameterError(
        f"forecast: the positions of {name!r} are not equally spaced: from {third} to {fourth} is another step than "
        f"from {first} to {second}. Insert positions without data where some are left out (from_frame(freq=...)), or "
        "fit with a design, such as fourier(...), and give the coordinates that are asked for."
    )
