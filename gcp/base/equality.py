"""Equality bit for bit, of what results consist of."""

from __future__ import annotations

from typing import Any

import numpy as np


def is_same(a: Any, b: Any) -> bool:
    """Return whether two values are equal: arrays in type and every bit, lists and dicts of them one by one."""
    if isinstance(a, np.ndarray):
        return (
            isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
    if isinstance(a, list) and a and isinstance(a[0], np.ndarray):
        return len(a) == len(b) and all(is_same(p, q) for p, q in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(a[k], b[k]) for k in a)
    return bool(a == b) or (a != a and b != b)
