"""What is remembered of data that are gone: their objective to second order in the rows of the factors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gcp.base.types import FloatArray


@dataclass(frozen=True, eq=False)
class Expansion:
    """A sum over the rows a_i of one factor of g_i'(a_i - c_i) + (a_i - c_i)' B_i (a_i - c_i) / 2.

    Attributes
    ----------
    centre, gradient : ndarray, shapes (I, R)
        c and g.
    curvature : ndarray, shape (I, R, R)
        B, symmetric and positive semidefinite.
    """

    centre: FloatArray
    gradient: FloatArray
    curvature: FloatArray

    @classmethod
    def empty(cls, centre: FloatArray) -> Expansion:
        """Return nothing, about rows (I, R)."""
        return cls(centre, np.zeros_like(centre), np.zeros((*centre.shape, centre.shape[1])))

    def value(self, factor: FloatArray) -> float:
        """Return the sum at the rows of a factor (I, R)."""
        away = factor - self.centre
        return float(np.sum(away * (self.gradient + 0.5 * self._pull(away))))

    @property
    def slopes(self) -> FloatArray:
        """The gradients where the rows are 0, shape (I, R): the sum is slopes'a + a'Ba / 2 and a constant."""
        return self.gradient - self._pull(self.centre)

    @property
    def at_zero(self) -> float:
        """The value where all rows are 0."""
        return self.value(np.zeros_like(self.centre))

    def about(self, centre: FloatArray) -> Expansion:
        """Return the same function, but for a constant, about other rows (I, R)."""
        return replace(self, centre=centre, gradient=self.gradient + self._pull(centre - self.centre))

    def times(self, share: float) -> Expansion:
        """Return a share of it."""
        return replace(self, gradient=share * self.gradient, curvature=share * self.curvature)

    def plus(self, other: Expansion) -> Expansion:
        """Return the sum with another one about the same rows."""
        return replace(
            self, gradient=self.gradient + other.gradient, curvature=self.curvature + other.curvature
        )

    def extended(self, rows: FloatArray) -> Expansion:
        """Return it with further rows (n, R) of which nothing is remembered."""
        if not len(rows):
            return self
        more = Expansion.empty(rows)
        pairs = zip(vars(self).values(), vars(more).values(), strict=True)
        return Expansion(*(np.concatenate(pair) for pair in pairs))

    def _pull(self, away: FloatArray) -> FloatArray:
        """Return B_i times the rows (I, R) of a matrix."""
        found: FloatArray = np.matmul(self.curvature, away[:, :, None])[:, :, 0]
        return found
