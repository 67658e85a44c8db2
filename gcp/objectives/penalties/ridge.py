"""A ridge: half the sum of squared entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import FactorQuadratic, Penalty


@dataclass(frozen=True, eq=False)
class Ridge(Penalty):
    """(strength / 2) * sum of squared entries of all factors.

    Parameters
    ----------
    strength : float
        At least 0, in units of the loss per squared entry of a factor.
    """

    strength: float

    is_row_wise: ClassVar[bool] = True
    has_fixed_strengths: ClassVar[bool] = True
    prefers_balance: ClassVar[bool] = True

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        entries = [np.asarray(a, dtype=float).ravel() for a in factors]
        return 0.5 * self.strength * sum(float(a @ a) for a in entries)

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        for a, g in zip(factors, grad, strict=True):
            g += self.strength * a

    def curvature(self, factors: Factors) -> FloatArray:
        """Return the strength, which is the second derivative in any entry, for each factor, shape (N,)."""
        return np.full(len(factors), self.strength)

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic:
        """Return the penalty as a function of one mode's factor (I_n, R)."""
        return FactorQuadratic(np.full(factors[mode].shape[1], self.strength))
