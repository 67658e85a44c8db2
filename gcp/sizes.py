"""Amounts of memory, as people write them."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from gcp.errors import ParameterError

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+) *(?:([kmgt])(i?))?b?", re.IGNORECASE)


def parse_bytes(given: Any, name: str = "memory") -> int:
    """Bytes, from a number or a text such as 500MB, 2GB (2 * 10**9 bytes) or 1.5GiB (1.5 * 2**30).

    Raises
    ------
    ParameterError
        Anything else, or less than one byte.
    """
    found = 0
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        found = int(given)
    elif isinstance(given, str) and (match := _SIZE.fullmatch(given.strip())):
        number, prefix, is_binary = match.groups()
        power = " kmgt".index((prefix or " ").lower())
        found = int(float(number) * (1024 if is_binary else 1000) ** power)
    if found < 1:
        raise ParameterError(f'{name} must be a size such as 500_000_000, "500MB" or "2GB": found {given!r}.')
    return found


def show_bytes(n: float) -> str:
    """A size with a unit, to three digits."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    power = min(int(math.log(max(n, 1), 1000) + 1e-9), len(units) - 1)
    return f"{n / 1000**power:.3g} {units[power]}"
