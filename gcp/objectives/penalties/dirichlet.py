"""A Dirichlet prior of the columns of nonnegative factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import Penalty, RowPart

_FLOOR = 1e-3
"""Added to the entries of a column, in its mean, under the logarithm: an entry of 0 costs much, but not all."""


@dataclass(frozen=True, eq=False)
class DirichletPrior(Penalty):
    """Minus strength * sum of log(entry / column mean): concentration 1 + strength for the shape of every column.

    It is 0 for even columns, and for columns of zeros.

    Parameters
    ----------
    strength : float
        At least 0, in observations.
    """

    strength: float

    is_steep: ClassVar[bool] = True
    needs_nonnegative: ClassVar[bool] = True
    fills_rows: ClassVar[bool] = True

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        return self.strength * sum(float(np.sum(_unevenness(np.asarray(a, dtype=float)))) for a in factors)

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        for a, g in zip(factors, grad, strict=True):
            mean = a.mean(axis=0, dtype=float)
            known = np.where(mean > 0, mean, 1.0)
            inverse = 1 / (a + _FLOOR * known)
            slope = 1 / known - inverse - _FLOOR * inverse.mean(axis=0)
            g += self.strength * np.where(mean > 0, slope, 0.0)

    def hessian(self, factors: Factors) -> list[FloatArray]:
        """Return the second derivatives within each column, shapes (R, I_n, I_n)."""
        found = []
        for a in factors:
            mean, share = a.mean(axis=0, dtype=float), _FLOOR / len(a)
            known = np.where(mean > 0, mean, 1.0)
            squares = (1.0 / (a + _FLOOR * known) ** 2).T
            own = share * (squares[:, :, None] + squares[:, None])
            own += (share**2 * squares.sum(axis=1) - 1.0 / (len(a) * known**2))[:, None, None]
            np.einsum("rii->ri", own)[:] += squares
            found.append(self.strength * np.where(mean > 0, 1.0, 0.0)[:, None, None] * own)
        return found

    def of_new_rows(self, mode: int, factors: Factors, rows: FloatArray) -> RowPart:
        """Return what rows (n, R) cost beside the fitted column, to first order in the column's mean."""
        a = np.asarray(factors[mode], dtype=float)
        mean = a.mean(axis=0)
        known = np.where(mean > 0, mean, 1.0)
        away = rows + _FLOOR * known
        level = 1 / known - _FLOOR * np.mean(1 / (a + _FLOOR * known), axis=0)
        values = self.strength * np.where(mean > 0, level * rows - np.log(away / known), 0.0).sum(axis=1)
        strengths = np.where(mean > 0, self.strength / away**2, 0.0)
        return RowPart(values, strengths, rows - np.where(mean > 0, (level - 1 / away) * away**2, 0.0))


def _unevenness(a: FloatArray) -> FloatArray:
    """Return minus the logarithms of entries in their column's mean, shape (I, R)."""
    mean = a.mean(axis=0)
    relative = a / np.where(mean > 0, mean, 1.0) + _FLOOR
    return np.where(mean > 0, np.log1p(_FLOOR) - np.log(relative), 0.0)
