"""Damped Newton steps for the rows of one mode, each by itself, where cells have losses without a common formula."""

from __future__ import annotations

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.objectives.single_rows import OwnRows

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-12, 1e12
_LOWER, _RAISE = 0.2, 4.0


def minimize_rows(
    problem: OwnRows, factors: list[FloatArray], low: FloatArray, high: FloatArray, most: int, tol: float
) -> bool:
    """Minimise the rows of the mode's factor (n, R), in place, and return whether all came to an end.

    Parameters
    ----------
    problem : OwnRows
    factors : list of ndarray, shapes (I_n, R)
    low, high : ndarray, shape (1, R)
        Bounds of the rows.
    most : int
        Steps, at most.
    tol : float
        Relative decrease of a row's objective in a step below which it is at its minimum.
    """
    mode, rows = problem.mode, factors[problem.mode]
    products, at = problem.products(factors), problem.places
    values = problem.values(factors)
    damping, is_open = np.full(len(rows), _FIRST_DAMPING), np.ones(len(rows), bool)
    for _ in range(most):
        slope, bend = _derivatives(problem, factors, products, at)
        held = ((rows <= low) & (slope > 0)) | ((rows >= high) & (slope < 0)) | ~is_open[:, None]
        step = _steps(np.where(held, 0.0, slope), bend, held, damping)
        other = np.clip(rows + step, low, high)
        trial = problem.values([*factors[:mode], other, *factors[mode + 1 :]])
        is_lower = trial < values
        is_over = (values - trial <= tol * np.abs(values)) & (is_lower | (damping >= _MOST_DAMPING))
        is_open &= ~(is_over | held.all(axis=1))
        rows[:] = np.where(is_lower[:, None], other, rows)
        values = np.where(is_lower, trial, values)
        damping = np.clip(damping * np.where(is_lower, _LOWER, _RAISE), _LEAST_DAMPING, _MOST_DAMPING)
        if not is_open.any():
            return True
    return False


def _derivatives(
    problem: OwnRows, factors: list[FloatArray], products: FloatArray, at: Array
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient (n, R) and the curvature (n, R, R) of every row, of other modes' products (nnz, R)."""
    rows, x = factors[problem.mode], np.asarray(problem.tensor.values, dtype=float)
    m = np.einsum("er,er->e", products, rows[at])
    w = problem.tensor.entry_weights
    w = np.ones(len(x)) if w is None else w
    with np.errstate(all="ignore"):
        first = np.nan_to_num(w * problem.loss.deriv(x, m))
        second = np.nan_to_num(w * problem.loss.weight(x, m), posinf=0.0)
    n, rank = rows.shape
    slope = np.stack([np.bincount(at, first * products[:, r], n) for r in range(rank)], axis=1)
    bend = np.empty((n, rank, rank))
    for r in range(rank):
        for s in range(r + 1):
            bend[:, r, s] = bend[:, s, r] = np.bincount(at, second * products[:, r] * products[:, s], n)
    strengths, centres = problem.penalties.of_rows(problem.mode, factors)
    slope += strengths * (rows - centres)
    bend[:, np.arange(rank), np.arange(rank)] += strengths
    return slope, bend


def _steps(slope: FloatArray, bend: FloatArray, held: Array, damping: FloatArray) -> FloatArray:
    """Return steps (n, R) against slopes (n, R), 0 where entries are held."""
    own = np.where(held[:, :, None] | held[:, None, :], 0.0, bend)
    k = np.arange(slope.shape[1])
    diagonal = own[:, k, k]
    least = np.maximum(1e-12 * diagonal.max(axis=1, initial=0.0), np.finfo(float).tiny)
    own[:, k, k] = np.where(held, 1.0, np.maximum(diagonal, least[:, None]) * (1 + damping[:, None]))
    return -np.linalg.solve(own, slope[:, :, None])[:, :, 0]
