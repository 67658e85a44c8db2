"""Damped Newton steps for the rows of one mode, each by itself, where cells have losses without a common formula."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.single_rows import OwnRows

_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-3, 1e-12, 1e12
_LOWER, _RAISE = 0.2, 4.0


class SeparateRows(Protocol):
    """Rows of one mode (n, R), each of which has an objective of its own."""

    def values(self, rows: FloatArray) -> FloatArray:
        """Return the objective of every row, shape (n,)."""

    def derivatives(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (n, R) and a curvature (n, R, R) of every row."""


class RowsBeside:
    """The rows of one mode under a loss and penalties, beside factors of the other modes.

    Parameters
    ----------
    own : OwnRows
    factors : list of ndarray, shapes (I_n, R)
        That of the mode itself is not looked at.
    """

    def __init__(self, own: OwnRows, factors: list[FloatArray]) -> None:
        self.own, self.factors = own, list(factors)
        self._products, self._at = own.products(factors), own.places

    def _beside(self, rows: FloatArray) -> list[FloatArray]:
        mode = self.own.mode
        return [*self.factors[:mode], rows, *self.factors[mode + 1 :]]

    def values(self, rows: FloatArray) -> FloatArray:
        """Return the objective of every row, shape (n,)."""
        return self.own.values(self._beside(rows))

    def derivatives(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (n, R) and a curvature (n, R, R) of every row."""
        own, products, at = self.own, self._products, self._at
        x, columns = np.asarray(own.tensor.values, dtype=float), own.tensor.columns
        m = columns.argument(np.einsum("er,er->e", products, rows[at]))
        w = own.tensor.entry_weights
        w = np.ones(len(x)) if w is None else w
        scale = 1.0 if columns.scale is None else columns.scale
        with np.errstate(all="ignore"):
            first = np.nan_to_num(w * scale * own.loss.deriv(x, m))
            second = np.nan_to_num(w * np.square(scale) * _bends(own.loss, x, m), posinf=0.0)
        n, rank = rows.shape
        slope = np.stack([np.bincount(at, first * products[:, r], n) for r in range(rank)], axis=1)
        bend = np.empty((n, rank, rank))
        for r in range(rank):
            for s in range(r + 1):
                bend[:, r, s] = bend[:, s, r] = np.bincount(at, second * products[:, r] * products[:, s], n)
        strengths, centres = own.penalties.of_rows(own.mode, self._beside(rows))
        k = np.arange(rank)
        if (effects := own.penalties.effects) is not None:  # of which those of other modes are held
            k = np.append(k[: own.rank], own.rank + effects.modes.index(own.mode))
        slope[:, k] += strengths * (rows[:, k] - centres)
        bend[:, k, k] += strengths
        return slope, bend


def minimize_rows(
    problem: SeparateRows, rows: FloatArray, low: FloatArray, high: FloatArray, most: int, tol: float
) -> bool:
    """Minimise rows (n, R), in place, and return whether all came to an end.

    Parameters
    ----------
    problem : SeparateRows
    rows : ndarray, shape (n, R)
    low, high : ndarray, shape (1, R)
        Bounds of the rows.
    most : int
        Steps, at most.
    tol : float
        Relative decrease of a row's objective in a step below which it is at its minimum.
    """
    values = problem.values(rows)
    damping, is_open = np.full(len(rows), _FIRST_DAMPING), np.ones(len(rows), bool)
    for _ in range(most):
        slope, bend = problem.derivatives(rows)
        held = ((rows <= low) & (slope > 0)) | ((rows >= high) & (slope < 0)) | ~is_open[:, None]
        step = _steps(np.where(held, 0.0, slope), bend, held, damping)
        other = np.clip(rows + step, low, high)
        trial = problem.values(other)
        is_lower = trial < values
        is_over = (values - trial <= tol * np.abs(values)) & (is_lower | (damping >= _MOST_DAMPING))
        is_open &= ~(is_over | held.all(axis=1))
        rows[:] = np.where(is_lower[:, None], other, rows)
        values = np.where(is_lower, trial, values)
        damping = np.clip(damping * np.where(is_lower, _LOWER, _RAISE), _LEAST_DAMPING, _MOST_DAMPING)
        if not is_open.any():
            return True
    return False


def _bends(loss: Loss, x: FloatArray, m: FloatArray) -> FloatArray:
    """Return a curvature (n,) of the loss, elementwise."""
    if loss.kinds:
        return np.asarray(loss.weight(x, m))
    formula = loss.formula
    return np.asarray(np.maximum((formula.weight or formula.d2f)(x, m, *formula.params), 0.0))


def _steps(slope: FloatArray, bend: FloatArray, held: Array, damping: FloatArray) -> FloatArray:
    """Return steps (n, R) against slopes (n, R), 0 where entries are held."""
    own = np.where(held[:, :, None] | held[:, None, :], 0.0, bend)
    k = np.arange(slope.shape[1])
    diagonal = own[:, k, k]
    least = np.maximum(1e-12 * diagonal.max(axis=1, initial=0.0), np.finfo(float).tiny)
    own[:, k, k] = np.where(held, 1.0, np.maximum(diagonal, least[:, None]) * (1 + damping[:, None]))
    return -np.linalg.solve(own, slope[:, :, None])[:, :, 0]
