"""The penalties of a problem together, of its components and of its main effects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.penalties.base import FactorQuadratic, Penalty, RowPart
from gcp.objectives.terms.main_effects import MainEffects


@dataclass(frozen=True)
class Penalties:
    """The sum of penalties on components, and of a ridge on main effects.

    Attributes
    ----------
    of_components : tuple of Penalty
    effects_ridge : float
        (effects_ridge / 2) * sum of squared main effects. Those of the first mode that has any count from their mean,
        so that the intercept is free.
    effects : MainEffects, optional
        Which columns of the factors are main effects.
    """

    of_components: tuple[Penalty, ...] = ()
    effects_ridge: float = 0.0
    effects: MainEffects | None = None

    # --- what it is ------------------------------------------------------------------------------------------

    def value(self, factors: Factors) -> float:
        """Return the sum of the penalties of factors (I_n, R + effects)."""
        if not self.of_components and self.effects is None:
            return 0.0
        own = self._components(factors)
        total = sum(penalty.value(own) for penalty in self.of_components)
        if self.effects is None:
            return total
        return total + sum(self._of_effects(n, a) for n, a in enumerate(factors))

    def add_to(self, value: float, grad: Sequence[FloatArray], factors: Factors) -> float:
        """Return the value with the penalties; adds their gradient to `grad`, shapes (I_n, R), in place."""
        if not (self.of_components or (self.effects and self.effects_ridge)):
            return value
        own, own_grad = self._components(factors), self._components(grad)
        for penalty in self.of_components:
            penalty.add_grad(own, own_grad)
        for n, column in self._effect_columns():
            a = factors[n][:, column]
            grad[n][:, column] += self.effects_ridge * (a - self._mean(column, a))
        return value + self.value(factors)

    # --- what methods may make of it -------------------------------------------------------------------------

    @property
    def are_row_wise(self) -> bool:
        """Whether all are quadratic in each factor and apart for each row."""
        return all(penalty.is_row_wise for penalty in self.of_components)

    @property
    def are_steep(self) -> bool:
        """Whether one is too steep for Gauss-Newton steps."""
        return any(penalty.is_steep for penalty in self.of_components)

    @property
    def prefer_balance(self) -> bool:
        """Whether, of equal models, those with equal norms in all modes cost least, and components of 0 nothing."""
        return any(penalty.prefers_balance for penalty in self.of_components)

    @property
    def fill_rows(self) -> bool:
        """Whether one draws rows of which nothing is known to the mean row, not to 0."""
        return any(penalty.fills_rows for penalty in self.of_components)

    @property
    def tell_components_apart(self) -> bool:
        """Whether one is another for components in another order."""
        return any(penalty.tells_components_apart for penalty in self.of_components)

    def determined(self, mode: int, known: Array, rank: int) -> Array:
        """Return a mask (I_n,) of positions of a mode whose rows the data (`known`) or penalties determine."""
        masks = [penalty.determined(mode, known, rank) for penalty in self.of_components]
        return np.logical_or.reduce([known, *masks])

    def curvature(self, factors: Factors) -> tuple[FloatArray, tuple[tuple[int, FactorQuadratic], ...]]:
        """Return the mean second derivative in an entry of each factor, shape (N,), and what differs by entry.

        The latter are the quadratics that have a matrix along their mode, or strengths that factors decide, each with
        the number of its mode and its matrix; the means are those of the rest.
        """
        total = np.zeros(len(factors))
        if not self.of_components:
            return total, ()
        own, along = self._components(factors), []
        for penalty in self.of_components:
            mean = penalty.curvature(own)
            for n in () if penalty.has_fixed_strengths and penalty.is_row_wise else range(len(factors)):
                part = penalty.quadratic(n, own)
                if part is None or (part.matrix is None and penalty.has_fixed_strengths):
                    continue
                matrix = sparse.eye_array(len(own[n]), format="csr") if part.matrix is None else part.matrix
                along.append((n, part._replace(matrix=matrix)))
                mean[n] = 0.0
            total += mean
        return total, tuple(along)

    def hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives within each component, shape (R, sum I_n, sum I_n), without main effects."""
        size = sum(map(len, factors))
        parts = [penalty.component_hessian(factors) for penalty in self.of_components]
        return np.asarray(sum(parts, np.zeros((factors[0].shape[1], size, size))))

    def price(self, factors: Factors) -> FloatArray:
        """Return what each component costs, shape (R,), where a penalty can switch components off; else zeros."""
        own = self._components(factors)
        return np.sum([np.zeros(own[0].shape[1]), *(p.price(own) for p in self.of_components)], axis=0)

    def of_rows(self, mode: int, factors: Factors) -> tuple[FloatArray, FloatArray]:
        """Return strengths and centres of the ridge on the rows of a mode's factor, where all are row-wise.

        Both are of shape (1 or I_n, R), with one more column for the mode's main effects where the model has any.
        """
        own = self._components(factors)
        rank = own[mode].shape[1]
        strengths, pulls = np.zeros((1, rank)), np.zeros((1, rank))
        for penalty in self.of_components:
            part = penalty.quadratic(mode, own)
            if part is None or part.matrix is not None:
                found = "no quadratic" if part is None else "a matrix"
                raise ParameterError(
                    f"The penalty {penalty.name} says is_row_wise, but has {found} along mode {mode}; "
                    "gcp.testing.check_penalty tells more."
                )
            strengths = strengths + part.strengths
            if part.centre is not None:
                pulls = pulls + part.strengths * part.centre
        centres = _ratio(pulls, strengths)
        if self.effects is None:
            return strengths, centres
        mean = sum(
            self._mean(column, factors[mode][:, column]) for n, column in self._effect_columns() if n == mode
        )
        rows = np.ones((len(centres), 1))
        return np.hstack([strengths, [[self.effects_ridge]]]), np.hstack([centres, mean * rows])

    def of_new_rows(self, mode: int, fitted: Factors, rows: FloatArray) -> RowPart:
        """Return what new positions of a mode cost, one for each of `rows` (n, R), beside the `fitted` components."""
        parts = [penalty.of_new_rows(mode, fitted, rows) for penalty in self.of_components]
        values, strengths, pulls = (
            np.zeros(len(rows)),
            np.zeros((1, rows.shape[1])),
            np.zeros((1, rows.shape[1])),
        )
        for part in parts:
            values, strengths = values + part.values, strengths + part.strengths
            pulls = pulls + part.strengths * part.centres
        return RowPart(values, strengths, _ratio(pulls, strengths))

    def least_squares(self, mode: int, factors: Factors) -> tuple[FloatArray, FloatArray | None]:
        """Return the strengths (R,) of the quadratic on a mode's factor, and its pull (I_n, R), None for 0."""
        if not self.of_components and self.effects is None:
            return np.zeros(factors[mode].shape[1]), None
        strengths, centres = self.of_rows(mode, factors)
        return strengths[0], strengths * centres if centres.any() else None

    # --- main effects ------------------------------------------------------------------------------------------

    def _of_effects(self, mode: int, factor: FloatArray) -> float:
        """Return the ridge on the main effects of one mode, a column of its factor (I_n, R + effects)."""
        columns = (column for n, column in self._effect_columns() if n == mode)
        vectors = ((column, factor[:, column].astype(float)) for column in columns)
        return sum(
            0.5 * self.effects_ridge * float(np.sum(np.square(vector - self._mean(column, vector))))
            for column, vector in vectors
        )

    def _effect_columns(self) -> Iterable[tuple[int, int]]:
        """Return the modes with main effects, and the column of each."""
        modes = self.effects.modes if self.effects else ()
        return [(mode, self.effects.rank + k) for k, mode in enumerate(modes)]  # type: ignore[union-attr]

    def _mean(self, column: int, vector: FloatArray) -> float:
        """Return the number from which the main effects (I_n,) of a column count."""
        is_first = self.effects is not None and column in self.effects.centred_columns
        return float(vector.mean()) if is_first else 0.0

    def _components(self, factors: Factors) -> Factors:
        """Return the columns that are components, shapes (I_n, R); views."""
        return factors if self.effects is None else [a[:, : self.effects.rank] for a in factors]


def _ratio(pulls: FloatArray, strengths: FloatArray) -> FloatArray:
    """Return centres, shape (1 or I_n, R) as the pulls, which are 0 where nothing pulls."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(strengths > 0, pulls / strengths, 0.0)
