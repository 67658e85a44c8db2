"""An objective of the factors that are free: without fixed modes, with tied modes counted once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.base import Objective
from gcp.objectives.features import Feature, check_has
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.views.curvature import GaussNewton
from gcp.objectives.views.hessian import MOST_ENTRIES
from gcp.objectives.views.least_squares import LeastSquares
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import DEFAULT_SEEDS, Sampled, Sampling, Seeds
from gcp.objectives.views.sampled_rows import SampledRows

_OF_SEPARATE_FACTORS = {
    Feature.LEAST_SQUARES: "Alternating least squares needs",
    Feature.ROWS: "Row-wise updates need",
    Feature.SAMPLED_ROWS: "Row-wise updates need",
}
"""What tied modes exclude, as the message begins."""


@dataclass(frozen=True)
class FreeFactors:
    """`objective` as a function of one factor per group of modes.

    Attributes
    ----------
    objective : Objective
        Of all factors.
    parametrisation : Parametrisation
    template : sequence of ndarray, shapes (I_n, R)
        All factors; the fixed ones are taken from here.
    seeds : pair of SeedSequence
        What `sampled` draws from.
    """

    objective: Objective
    parametrisation: Parametrisation
    template: Factors
    seeds: Seeds = DEFAULT_SEEDS

    def expand(self, free: Factors) -> list[FloatArray]:
        """Return all factors, shapes (I_n, R), in the order of the modes."""
        return self.parametrisation.expand(free, self.template)

    def reduce(self, factors: Factors) -> list[FloatArray]:
        """Return the variables, shapes (K_n, R), that make factors of shapes (I_n, R)."""
        return self.parametrisation.reduce(factors)

    def squared(self) -> FreeFactors | None:
        """Return the function under squared error, as the whole objective has it; else None."""
        whole = self.objective.squared()
        return None if whole is None else replace(self, objective=whole)

    def convex(self) -> FreeFactors | None:
        """Return the function under a convex loss near to its own, as the whole objective has it; else None."""
        whole = self.objective.convex()
        return None if whole is None else replace(self, objective=whole)

    def value_and_grad(self, free: Factors) -> tuple[float, list[FloatArray]]:
        """Return the value, and the gradient in each free factor (K_n, R): the sum over the modes that share it."""
        value, grad = self.objective.value_and_grad(self.expand(free))
        return value, self.gather(grad)

    def value_grad_and_curvature(self, free: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient and curvature in each free factor, shapes (K_n, R)."""
        check_has(self, Feature.CURVATURE)
        value, grad, curvature = self.objective.value_grad_and_curvature(self.expand(free))
        return (
            value,
            self.gather(grad),
            curvature.restricted(self.parametrisation.groups, self.parametrisation.maps),
        )

    def hessian(self, free: Factors) -> FloatArray:
        """Return the second derivatives in the entries of the free factors (K_n, R), row by row, shape (n, n)."""
        factors = self.expand(free)
        if self.parametrisation.is_plain and len(free) == len(factors):
            return self.objective.hessian(factors)
        found, cuts = self.objective.hessian(factors), np.cumsum([a.size for a in factors])[:-1]
        for _ in range(2):  # the rows, and then the columns
            parts = [part.reshape(len(a), -1) for part, a in zip(np.split(found, cuts), factors, strict=True)]
            found = np.concatenate([part.reshape(-1, found.shape[1]) for part in self.gather(parts)]).T
        return found

    def lacks(self, feature: Feature) -> str:
        """Return why the objective lacks a feature, in a sentence; empty if it has it."""
        reason = self.objective.lacks(feature)
        if reason and self.parametrisation.maps and feature in (Feature.CURVATURE, Feature.FULL_CURVATURE):
            reason = self.objective.lacks(
                Feature.CURVATURE_BY_PASSES
            )  # the best for lists, by rows, know no maps
        if reason:
            return reason
        if feature is Feature.HESSIAN and sum(a.size for a in self.template) > MOST_ENTRIES:
            return f"The matrix of second derivatives pays for at most {MOST_ENTRIES} entries of all factors."
        if self.parametrisation.is_plain or feature not in _OF_SEPARATE_FACTORS:
            return ""
        tied = self.parametrisation.tied
        found = f"tied modes {tied[0]}" if tied else "a factor that is a linear map of its variable"
        what = _OF_SEPARATE_FACTORS[feature]
        return f'{what} a factor of its own for every mode: found {found}. Use solver="auto".'

    def least_squares(self) -> LeastSquares:
        """Return the parts of a sum of squares, unless modes are tied."""
        free = self._own(Feature.LEAST_SQUARES)
        return replace(self.objective.least_squares(), free=free, template=self.template)

    def row_wise(self) -> RowWise:
        """Return the parts of a problem in rows, unless modes are tied."""
        free = self._own(Feature.ROWS)
        return replace(self.objective.row_wise(), free=free, template=self.template)

    def sampled_rows(self, seeds: Seeds | None = None) -> SampledRows:
        """Return the problem in rows of sparse data whose zeros have no closed form, unless modes are tied."""
        free = self._own(Feature.SAMPLED_ROWS)
        whole = self.objective.sampled_rows(seeds or self.seeds)

        def value_and_grad(factors: Factors) -> tuple[float, list[FloatArray]]:
            value, grad = whole.value_and_grad(self.expand(factors))
            return value, self.gather(grad)

        def draw(factors: Factors, n: int) -> RowWise:
            return replace(whole.draw(factors, n), free=free, template=self.template)

        rows = replace(whole.rows, free=free, template=self.template)
        return replace(whole, value_and_grad=value_and_grad, draw=draw, rows=rows)

    def _own(self, feature: Feature) -> tuple[int, ...]:
        """Return the free modes, each with a factor of its own, as the feature needs it."""
        check_has(self, feature)
        return tuple(group[0] for group in self.parametrisation.groups)

    def sampled(self, sampling: Sampling, seeds: Seeds | None = None) -> Sampled:
        """Return estimates of value and gradient, in each free factor, from samples of the entries."""
        whole = self.objective.sampled(sampling, seeds or self.seeds)

        def value_and_grad(free: Factors) -> tuple[float, list[FloatArray]]:
            value, grad = whole.value_and_grad(self.expand(free))
            return value, self.gather(grad)

        def gradient(free: Factors) -> list[FloatArray]:
            return self.gather(whole.gradient(self.expand(free)))

        return replace(whole, value_and_grad=value_and_grad, gradient=gradient)

    def gather(self, vectors: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the transpose of `expand` applied to vectors of shapes (I_n, R): one (K_n, R) per free factor."""
        return self.parametrisation.gather(vectors)

    def reach(self, free: Factors) -> float:
        """Return the reach of the whole objective at the factors of free ones, shapes (K_n, R)."""
        return self.objective.reach(self.expand(free))

    @property
    def far(self) -> float:
        """The whole objective's."""
        return self.objective.far

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """Whether no finite model of the whole objective is perfect."""
        return self.objective.has_its_minimum_at_infinity

    @property
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""
        return self.objective.n_cells

    @property
    def saturated_value(self) -> float:
        """The whole objective's saturated value, with what outliers cost whatever the model is for the others."""
        return self.objective.saturated_value + self.objective.beyond

    @property
    def beyond(self) -> float:
        """What outliers cost under the whole objective whatever the model is for the others."""
        return self.objective.beyond

    @property
    def null_value(self) -> float:
        """The value of the whole objective at the best constant model."""
        return self.objective.null_value
