"""A lasso on the components' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import Penalty, column_norms


@dataclass(frozen=True, eq=False)
class WeightLasso(Penalty):
    """(strength / N) * sum of ||column||**N over the columns of all N factors.

    Of equal models the least is strength times the sum of the components' weights, by the inequality of arithmetic
    and geometric means: superfluous components vanish.

    Parameters
    ----------
    strength : float
        At least 0, in units of the loss per weight.
    """

    strength: float

    prefers_balance: ClassVar[bool] = True

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        order = len(factors)
        return self.strength / order * sum(float(np.sum(column_norms(a) ** order)) for a in factors)

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        for n, (a, g) in enumerate(zip(factors, grad, strict=True)):
            g += self.ridge(n, factors) * a

    def ridge(self, mode: int, factors: Factors) -> FloatArray:
        """Return the strengths (R,) of the ridge on a mode's factor that has the penalty's gradient here."""
        norms = column_norms(factors[mode])
        return self.strength * np.where(norms > 0, np.maximum(norms, 1e-300) ** (len(factors) - 2), 0.0)

    def hessian(self, factors: Factors) -> list[FloatArray]:
        """Return the second derivatives within each column, shapes (R, I_n, I_n)."""
        found = []
        for n, a in enumerate(factors):
            ridge, norms = self.ridge(n, factors), column_norms(a)
            units = (a / np.where(norms > 0, norms, 1.0)).T
            outer = (len(factors) - 2) * units[:, :, None] * units[:, None]
            found.append(ridge[:, None, None] * (np.eye(len(a)) + outer))
        return found

    def curvature(self, factors: Factors) -> FloatArray:
        """Return that of the ridge, in the mean over all modes, which are balanced near a minimum; shape (N,)."""
        slopes = np.concatenate([self.ridge(n, factors) for n in range(len(factors))])
        return np.full(len(factors), float(slopes.mean()) if slopes.size else 0.0)

    def price(self, factors: Factors) -> FloatArray:
        """Return strength times the components' weights, shape (R,)."""
        return self.strength * np.prod([column_norms(a) for a in factors], axis=0)
