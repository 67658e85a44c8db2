"""Where the factors of designs begin: random coefficients, or those nearest to given factors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.designs.linear_maps import Undetermined, nearest
from gcp.objectives.parametrisation import Parametrisation, is_bounded

_MOST_COLUMNS = 500
"""Coefficients, at most, of which the nearest within bounds are found exactly."""


def random_in_designs(
    factors: list[FloatArray], parametrisation: Parametrisation, bounds: Bounds, known: Sequence[Array]
) -> list[FloatArray]:
    """Return random factors (I_n, R) whose columns are in the span of the modes' maps, if they have one.

    The mean of a column is kept as well as the map can; what is random about it becomes random coefficients, of the
    same size in the factor. Coefficients of which nothing is known are 0, masks `known` (I_n,) say of which.
    """
    found = list(factors)
    for mode, z in parametrisation.maps:
        a = np.asarray(factors[mode], dtype=float)
        mean = a.mean(axis=0)
        level = nearest(z, np.broadcast_to(mean, a.shape))
        chance = np.resize(a - mean, (z.shape[1], a.shape[1]))
        sizes, moved = np.linalg.norm(a - mean, axis=0), np.linalg.norm(z @ chance, axis=0)
        c = level + chance * (sizes / np.where(moved > 0, moved, 1.0))
        if is_bounded(bounds, mode):  # of nonnegative designs; 0 is a place where losses may have no slope
            c = np.abs(c)
        found[mode] = _expanded(z, _of_known(z, c, known[mode]), bounds, mode)
    return found


def nearest_in_designs(
    factors: list[FloatArray], parametrisation: Parametrisation, bounds: Bounds
) -> list[FloatArray]:
    """Return the factors (I_n, R) that maps and bounds can make, nearest to given ones in modes with a map."""
    found = list(factors)
    for mode, z in parametrisation.maps:
        c = nearest(z, factors[mode])
        low = bounds.lower[mode]
        if low.size and np.all(low == 0) and (c < 0).any() and z.shape[1] <= _MOST_COLUMNS:
            from scipy.optimize import nnls

            dense = z.toarray() if hasattr(z, "toarray") else z
            c = np.column_stack([nnls(dense, column)[0] for column in np.asarray(factors[mode], float).T])
        found[mode] = _expanded(z, c, bounds, mode)
    return found


def _of_known(z: Any, c: FloatArray, known: Array) -> FloatArray:
    """Return coefficients (K, R) without what nothing is known of, where positions are known by a mask (I_n,)."""
    if known.all():
        return c
    nothing = Undetermined.by(z[known])
    return np.where(nothing.columns[:, None], 0.0, c) if (c >= 0).all() else nothing.removed_from(c)


def _expanded(z: Any, c: FloatArray, bounds: Bounds, mode: int) -> FloatArray:
    """Return Z C, with coefficients (K, R) within the bounds of the mode, which are the same for all of its rows."""
    if bounds.lower[mode].size and is_bounded(bounds, mode):
        c = np.clip(c, bounds.lower[mode][0], bounds.upper[mode][0])
    return np.asarray(z @ c)
