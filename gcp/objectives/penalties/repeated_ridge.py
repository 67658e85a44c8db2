"""A ridge on factors some of whose rows stand for several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import Penalty


@dataclass(frozen=True, eq=False)
class RepeatedRidge(Penalty):
    """(strength / 2) * sum of squared entries of all factors, of which a row counts as often as it stands for one.

    Parameters
    ----------
    strength : float
        At least 0, in units of the loss per squared entry of a factor.
    counts : sequence of ndarray, shapes (I_n,)
        For how many rows each one stands.
    """

    strength: float
    counts: Sequence[FloatArray]

    prefers_balance: ClassVar[bool] = True  # of norms over all rows, repeated as often as they stand for one

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        squares = [
            float(own @ (a.astype(float) ** 2).sum(axis=1))
            for a, own in zip(factors, self.counts, strict=True)
        ]
        return 0.5 * self.strength * sum(squares)

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        for a, g, own in zip(factors, grad, self.counts, strict=True):
            g += self.strength * own[:, None] * a
