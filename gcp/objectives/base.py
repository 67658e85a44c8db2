"""What a solver sees of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gcp._typing import Array, Factors, FloatArray


class Curvature(Protocol):
    """A positive semidefinite approximation of an objective's second derivatives at one point."""

    @property
    def blocks(self) -> list[tuple[FloatArray, FloatArray]]:
        """Of each factor's diagonal block a column d, (I_n, 1), and a matrix H, (R, R): d_i H for row i."""

    def product(self, vectors: Sequence[Array]) -> list[FloatArray]:
        """The matrix times a vector, both given factor by factor; leading axes hold several vectors."""


class Objective(Protocol):
    """A function of factor matrices with its gradient."""

    def value_and_grad(self, factors: Factors) -> tuple[float, list[FloatArray]]:
        """Value and gradient in every factor, from one pass over the model."""

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], Curvature]:
        """Value, gradient and curvature, from one pass as well."""

    @property
    def saturated_value(self) -> float:
        """What a model free at every entry reaches: no value lies below."""

    @property
    def null_value(self) -> float:
        """What the best constant model reaches; `null_value - saturated_value` is the problem's scale."""
