"""A ridge: half the sum of squares, of all factors, or of each component along one mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.base import DataFacts, FactorQuadratic, Penalty
from gcp.objectives.penalties.of_mode import ComponentQuadratic


@dataclass(frozen=True, eq=False, repr=False)
class Ridge(ComponentQuadratic):
    """A ridge on each component along a mode, or, of all modes, on the entries of the factors.

    Of one mode, (strength / 2) * unit * sum over r of ||a_r||^2 * (product over the other modes of the mean square of
    b_r) is added to F: the size of what the component adds to the model, which no rescaling of the factors evades. Of
    all modes it is what `l2_reg` is, (strength / 2) * sum of squared entries of all factors.

    Parameters
    ----------
    mode : int, str or None
        Number or name of a mode; None is all.
    strength : float
        At least 0. Of one mode, the unit is that of `Smooth`: a strength of 1 draws each position to 0 as one cell
        more would. Of all modes it is in units of the loss per squared entry of a factor.
    number, unit : optional
        What the data of a fit decide; no arguments.
    """

    mode: int | str | None
    strength: float
    number: int | None = field(default=None, kw_only=True)
    unit: float | None = field(default=None, kw_only=True)

    is_row_wise: ClassVar[bool] = True

    @property
    def has_fixed_strengths(self) -> bool:  # type: ignore[override]
        """Whether `quadratic` says the same of a mode whatever the factors are."""
        return self.mode is None

    @property
    def prefers_balance(self) -> bool:  # type: ignore[override]
        """Whether, of equal models, those with equal norms in all modes cost least."""
        return self.mode is None

    def resolved(self, facts: DataFacts) -> tuple[Penalty, ...]:
        """Return the penalty with the number of its mode and its unit; of all modes, as it is."""
        return (self,) if self.mode is None else super().resolved(facts)

    def times(self, a: FloatArray) -> FloatArray:
        """Return the factor itself."""
        return a

    def matrix_of(self, size: int) -> Any:
        """Return None, which is the identity."""
        return None

    def value(self, factors: Factors) -> float:
        """Return the penalty of factors of shapes (I_n, R)."""
        if self.mode is not None:
            return super().value(factors)
        entries = [np.asarray(a, dtype=float).ravel() for a in factors]
        return 0.5 * self.strength * sum(float(a @ a) for a in entries)

    def add_grad(self, factors: Factors, grad: Sequence[FloatArray]) -> None:
        """Add the gradient in every factor to `grad`, arrays of the factors' shapes, in place."""
        if self.mode is not None:
            super().add_grad(factors, grad)
            return
        for a, g in zip(factors, grad, strict=True):
            g += self.strength * a

    def curvature(self, factors: Factors) -> FloatArray:
        """Return the mean second derivative in an entry of each factor, shape (N,)."""
        if self.mode is not None:
            return super().curvature(factors)
        return np.full(len(factors), self.strength)

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic | None:
        """Return the penalty as a function of one mode's factor (I_n, R)."""
        if self.mode is not None:
            return super().quadratic(mode, factors)
        return FactorQuadratic(np.full(factors[mode].shape[1], self.strength))

    def component_hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, shape (R, sum of I_n, sum of I_n)."""
        if self.mode is None:
            return Penalty.component_hessian(self, factors)
        return super().component_hessian(factors)

    def information(self, factors: Factors) -> FloatArray | None:  # type: ignore[override]
        """Return what it adds to the information about components; None of all modes, whose errors leave it out."""
        return None if self.mode is None else super().information(factors)

    def determined(self, mode: int, known: Any, rank: int) -> Any:
        """Return a mask (I_n,) of positions that it determines; of all modes, `prefers_balance` says it."""
        return np.zeros_like(known) if self.mode is None else super().determined(mode, known, rank)
