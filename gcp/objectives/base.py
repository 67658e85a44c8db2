"""What a solver sees of a problem."""

from __future__ import annotations

from typing import Protocol

from gcp.base.types import Factors, FloatArray
from gcp.objectives.features import Feature
from gcp.objectives.views.curvature import GaussNewton
from gcp.objectives.views.least_squares import LeastSquares
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import Sampled, Sampling, Seeds
from gcp.objectives.views.sampled_rows import SampledRows


class Differentiable(Protocol):
    """A function of factor matrices with its gradient, and the scale of its values."""

    def value_and_grad(self, factors: Factors) -> tuple[float, list[FloatArray]]:
        """Return the value and the gradient in every factor, shapes (I_n, R), from one pass over the model."""

    @property
    def saturated_value(self) -> float:
        """What a model free at every entry reaches: no value lies below, but of a model that follows outliers."""

    @property
    def null_value(self) -> float:
        """What the best constant model reaches; `null_value - saturated_value` is the problem's scale."""

    def reach(self, factors: Factors) -> float:
        """Return the largest size of a component, of factors (I_n, R), at an entry.

        It is 0 unless the minimum may lie at infinite models.
        """

    @property
    def far(self) -> float:
        """The size of a component from which on a fit that is slow is on its way to an infinite model."""

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """Whether no finite model is perfect of 0/1 data: one that comes close separates them."""


class Objective(Differentiable, Protocol):
    """The function that a fit minimises, and what else of it solvers may ask for."""

    @property
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""

    def squared(self) -> Objective | None:
        """Return this objective under squared error if its loss bears outliers; else None.

        Its minimum is a good start.
        """

    def convex(self) -> Objective | None:
        """Return this objective under a convex loss near to its own, if that is not convex; else None."""

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and curvature, from one pass as well."""

    def hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives in the entries of factors (I_n, R), row by row, shape (n, n).

        Raises
        ------
        ParameterError
            If they cannot be had, or would not pay; the message says why.
        """

    @property
    def beyond(self) -> float:
        """What outliers that the loss bears cost whatever the model is for the others."""

    def lacks(self, feature: Feature) -> str:
        """Return why the objective lacks a feature, in a sentence; empty if it has it.

        Nothing is built for the answer.
        """

    def least_squares(self) -> LeastSquares:
        """Return the parts of an objective that is a plain sum of squares.

        Raises
        ------
        ParameterError
            If it is none; the message says why.
        """

    def row_wise(self) -> RowWise:
        """Return the parts of an objective over listed entries whose rows can be updated one by one.

        Raises
        ------
        ParameterError
            If it is none; the message says why.
        """

    def sampled(self, sampling: Sampling, seeds: Seeds | None = None) -> Sampled:
        """Return estimates of value and gradient from samples of the entries; the same seeds, the same samples.

        Raises
        ------
        ParameterError
            If there is no such sampler for the data.
        """

    def sampled_rows(self, seeds: Seeds | None = None) -> SampledRows:
        """Return the problem in rows of sparse data whose zeros have no closed form, from samples of these.

        Raises
        ------
        ParameterError
            If the objective is none such; the message says why.
        """
