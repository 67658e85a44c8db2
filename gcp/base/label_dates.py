"""Labels that stand for dates, read as such."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gcp.base.types import Array

_DAYS = ("Y", "M", "W", "D")
"""Units of dates without a time of day."""

_WITH_OFFSET = re.compile(r":\d\d\S*[+-]\d\d:?\d\d$")
"""The end of a time in a zone, as ISO 8601 has it."""


def as_dates(labels: Any, known: Array) -> Any:
    """Return labels (n,) as dates, if that is what they say, for known dates; numbers do not.

    Times in a zone are none, for known dates have none; but midnights are days.
    """
    found = np.asarray(labels)
    try:
        if found.dtype.kind == "U" and not any(map(_WITH_OFFSET.search, found.reshape(-1).tolist())):
            return found.astype("M8")
        return np.array([_as_date(label, known) for label in found]) if found.dtype.kind == "O" else found
    except (ValueError, TypeError, OverflowError):
        return labels


def _as_date(label: Any, known: Array) -> np.datetime64:
    """Return one label, an object of Python's or of pandas."""
    if isinstance(label, str) and _WITH_OFFSET.search(label):
        raise ValueError
    if getattr(label, "tzinfo", None) is not None:
        label = label.replace(tzinfo=None)
        if np.datetime_data(known.dtype)[0] not in _DAYS or label != label.replace(
            hour=0, minute=0, second=0
        ):
            raise ValueError
    return np.datetime64(label.to_datetime64() if hasattr(label, "to_datetime64") else label)
