"""Labels that stand for dates, read as such."""

from __future__ import annotations

import re
from datetime import time
from typing import Any

import numpy as np

from gcp.base.types import Array

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
        if found.dtype.kind != "O":
            return found
        are_days = np.array_equal(known.astype("M8[D]"), known)
        return np.array([_as_date(label, are_days) for label in found])
    except (ValueError, TypeError, OverflowError):
        return labels


def _as_date(label: Any, are_days: bool) -> np.datetime64:
    """Return one label, an object of Python's or of pandas."""
    if isinstance(label, str) and _WITH_OFFSET.search(label):
        raise ValueError
    if getattr(label, "tzinfo", None) is not None:
        label = label.replace(tzinfo=None)
        if not are_days or label.time() != time():
            raise ValueError
    return np.datetime64(label.to_datetime64() if hasattr(label, "to_datetime64") else label)
