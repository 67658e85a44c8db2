"""Amounts of memory: as people write them, and what this process may have."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from gcp.base.errors import ParameterError

_SIZE = re.compile(r"([0-9]{1,99}(?:\.[0-9]*)?|\.[0-9]+) *(?:([kmgt])(i?))?b?", re.IGNORECASE)


def parse_bytes(given: Any, name: str = "memory") -> int:
    """Return bytes, from a number or a text such as 500MB, 2GB (2 * 10**9 bytes) or 1.5GiB (1.5 * 2**30).

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


def available_memory() -> float:
    """Return the bytes that this process may have: the machine's memory, or a limit set to less; inf if unknown."""
    found = [math.inf]
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not on every system
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # of a container
        with contextlib.suppress(ValueError, OSError):
            found.append(int(Path("/sys/fs/cgroup", name).read_text()))
    with contextlib.suppress(ImportError):
        import resource

        limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        found += [limit for limit in limits if limit != resource.RLIM_INFINITY]
    return min(limit for limit in found if limit > 0)


def check_memory(what: str, size: float, copies: int, instead: str = "") -> None:
    """Refuse what cannot be done, before it is begun.

    Parameters
    ----------
    what : str
        Begins the message: what would take the memory.
    size : float
        Its bytes.
    copies : int
        How many times as much, at least, is held at once.
    instead : str
        A sentence that says what to do.

    Raises
    ------
    ParameterError
        If that is more than this process may have.
    """
    if copies * size > (available := available_memory()):
        raise ParameterError(
            f"{what} would take {show_bytes(size)}, and {copies} times as much is needed at least: this process "
            f"may have {show_bytes(available)}.{instead and ' '}{instead}"
        )


def check_factors(rank: int, shape: tuple[int, ...]) -> None:
    """Refuse factors that cannot be fitted here: both bounds, themselves, and the gradient are held at once."""
    check_memory(f"Factors of rank {rank} for the shape {shape}", 8.0 * rank * sum(shape), 4)


def show_bytes(n: float) -> str:
    """Return a size with a unit, to three digits."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    power = next((k for k in range(len(units)) if n < 999.5 * 1000**k), len(units) - 1)
    return f"{n / 1000**power:.3g} {units[power]}"
