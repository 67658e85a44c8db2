"""Sums of s M over all cells of a tensor, with scales s in one array over some of its modes.

For losses whose zeros cost a multiple of the model: exposures of Poisson counts. The array is gone through for every
mode that it has; of the others, the sums of factors are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.kernels.shared.columns import CellColumns


def polynomial(
    linear: float, wide: Factors, narrow: FloatArray, cells: CellColumns
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Return the weighted sum of a s M over all cells, and its gradient, as `power_sums.polynomial` does.

    Parameters
    ----------
    linear : float
        a.
    wide : sequence of ndarray, shapes (I_n, R) or (I_n, R + N)
        Factors with main effects as components.
    narrow : ndarray, shape (I_0, R)
        The factor without them, whose type gradients have.
    cells : CellColumns
        Scales are one array (I_n or 1, ...).
    """
    rows = [_rows(n, wide, cells) for n in range(len(wide))]
    rank, dtype = narrow.shape[1], np.asarray(narrow).dtype
    grad = [linear * np.broadcast_to(g, a.shape) for g, a in zip(rows, wide, strict=True)]
    value = float(np.sum(grad[0] * wide[0]))
    has_effects = wide[0].shape[1] > rank
    effect_grad = [g[:, rank + n].astype(dtype) for n, g in enumerate(grad)] if has_effects else []
    return value, [g[:, :rank].astype(dtype) for g in grad], effect_grad


def of_rows(
    linear: float, wide: Factors, mode: int, free: Sequence[int], cells: CellColumns
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return the fields of `power_sums.RowSums` for a mode's factor, whose columns `free` are unknown.

    Every row has a vector c of its own, as the sum of unit vectors with weights.
    """
    c = linear * np.broadcast_to(_rows(mode, wide, cells), wide[mode].shape)
    given = [k for k in range(c.shape[1]) if k not in free]
    size = len(free)
    vectors = np.vstack([np.zeros((2, size)), np.eye(size)])
    weights = np.column_stack([np.zeros((len(c), 2)), c[:, free]])
    return vectors, np.zeros((size, size)), weights, float(np.sum(c[:, given] * wide[mode][:, given]))


def squares(factors: Factors, cells: CellColumns) -> float:
    """Return the weighted sum of (s M)**2 over all cells, of factors (I_n, R); costs R times that of s M."""
    pairs = [(a[:, :, None] * a[:, None, :]).reshape(len(a), -1) for a in map(np.asarray, factors)]
    assert isinstance(cells.scale, np.ndarray)
    return float(np.sum(_rows(0, pairs, cells._replace(scale=cells.scale**2)) * pairs[0]))


def _rows(mode: int, wide: Factors, cells: CellColumns) -> FloatArray:
    """Return sums (I_mode or 1, R) over the slices of a mode of weights, scales and the other modes' factors."""
    scale = cells.scale
    assert isinstance(scale, np.ndarray)
    weighted = [np.asarray(a, dtype=np.float64) for a in wide]
    if cells.weight is not None:
        weighted = [u[:, None] * a for u, a in zip(cells.weight, weighted, strict=True)]
    rank, kept = weighted[0].shape[1], []
    operands: list[Any] = []
    plain = np.ones(rank)
    for n, a in enumerate(weighted):
        if scale.shape[n] == 1 and n != mode:
            plain = plain * a.sum(axis=0)
        elif scale.shape[n] > 1:
            kept.append(n)
            if n != mode:
                operands += [a, [n, len(weighted)]]
    inside = scale.reshape([scale.shape[n] for n in kept])
    out = [mode, len(weighted)] if mode in kept else [len(weighted)]
    if not operands:  # the array has the mode alone
        found = inside[:, None] * np.ones(rank)
    else:
        einsum: Any = np.einsum
        found = einsum(inside, kept, *operands, out, optimize="greedy")
    found = plain * np.atleast_2d(found)
    return found if cells.weight is None else cells.weight[mode][:, None] * found
