"""Parts that all checks share: sentences about numbers that differ, points inside domains, finite differences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gcp.base.interval import Interval
from gcp.base.types import Array, FloatArray


def demand(holds: Any, sentence: str) -> None:
    """Raise AssertionError with a sentence unless a property holds."""
    if not holds:
        raise AssertionError(sentence)


def demand_close(
    what: str,
    found: Any,
    expected: Any,
    *,
    rtol: float,
    atol: float = 0.0,
    at: Mapping[str, Any] | None = None,
) -> None:
    """Raise AssertionError where numbers differ, with the worst place.

    Parameters
    ----------
    what : str
        The property, as the beginning of a sentence.
    found, expected : array_like
        Of one shape, or broadcastable.
    rtol, atol : float
        Differences may be atol + rtol * abs(expected).
    at : mapping of str to array_like, optional
        Coordinates of the entries, which the sentence names; their subscript is named without them.
    """
    found, expected = np.broadcast_arrays(np.asarray(found, float), np.asarray(expected, float))
    with np.errstate(all="ignore"):
        excess = np.abs(found - expected) - (atol + rtol * np.abs(expected))
    excess = np.where(found == expected, -1.0, np.nan_to_num(excess, nan=np.inf))
    if not excess.size or excess.max() <= 0:
        return
    worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), excess.shape))
    names = {k: np.broadcast_to(np.asarray(v, float), found.shape)[worst] for k, v in (at or {}).items()}
    where = ", ".join(f"{name} = {value:.6g}" for name, value in names.items())
    where = where or (f"subscript {worst}" if worst else "")
    place = f" at {where}" if where else ""
    raise AssertionError(f"{what}{place}: found {found[worst]:.10g}, expected {expected[worst]:.10g}.")


def central_difference(function: Callable[[Any], Any], at: Any) -> FloatArray:
    """Return the derivative by the five-point formula, with steps relative to the points (n,), shape (n,)."""
    return _difference(function, np.asarray(at, float), 1e-3)


def smooth_difference(what: str, function: Callable[[Any], Any], at: FloatArray) -> tuple[FloatArray, Array]:
    """Return `central_difference` at points (n,), and where it is to be trusted, both of that shape.

    Next to a kink two lengths of steps disagree.

    Raises
    ------
    AssertionError
        If they disagree at more than one point of ten.
    """
    with np.errstate(all="ignore"):
        whole, half = _difference(function, at, 1e-3), _difference(function, at, 5e-4)
        is_smooth = np.abs(whole - half) <= 1e-6 * np.abs(whole) + 5e-9
    demand(
        is_smooth.mean() >= 0.9,
        f"{what} has no derivative at {np.sum(~is_smooth)} of {at.size} points inside its domain, "
        f"e.g. m = {at[np.argmin(is_smooth)]:.6g}.",
    )
    return whole, is_smooth


def _difference(function: Callable[[Any], Any], at: FloatArray, step: float) -> FloatArray:
    h = step * np.maximum(np.abs(at), 0.01)
    near = function(at + h) - function(at - h)
    far = function(at + 2 * h) - function(at - 2 * h)
    return np.asarray((8 * near - far) / (12 * h))


def points_in(domain: Interval, size: int, rng: np.random.Generator) -> FloatArray:
    """Return random data (size,) in a domain, of the size of one."""
    low, high = domain.low, domain.high
    if np.isfinite(low) and np.isfinite(high):
        found = np.asarray(
            rng.integers(int(low), int(high) + 1, size) if domain.integer else rng.uniform(low, high, size)
        )
    elif np.isfinite(low):
        found = low + (rng.poisson(3.0, size) if domain.integer else rng.gamma(2.0, 1.5, size))
    elif np.isfinite(high):
        found = high - (rng.poisson(3.0, size) if domain.integer else rng.gamma(2.0, 1.5, size))
    else:
        found = rng.normal(0.0, 2.0, size)
    return np.round(found).astype(float) if domain.integer else found.astype(float)


def models_in(domain: Interval, size: int, rng: np.random.Generator) -> FloatArray:
    """Return random model values (size,) well inside a domain."""
    return rng.uniform(0.05, 6.0, size) if domain.low == 0 else rng.normal(0.0, 2.0, size)
