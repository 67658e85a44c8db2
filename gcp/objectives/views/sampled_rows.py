"""What an objective over sparse data offers to solvers that update rows from samples of its zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import ValueAndGrad
from gcp.tensors.samplers import Controlled, ControlledSample

ZERO_SAMPLES = 1 << 20
"""Zeros, at least, in the sample that estimates an objective that is out of reach."""


@dataclass(frozen=True)
class SampledRows:
    """An objective whose rows are known up to a sample of the zeros.

    Attributes
    ----------
    value_and_grad : callable
        ``value_and_grad(factors)``: exact where that is affordable, else of a sample that was drawn once.
    is_exact : bool
        Which of the two.
    draw : callable
        ``draw(factors, n)``: the problem in rows with n fresh zeros, for factors (of all modes) near these.
    rng : numpy.random.Generator
        That of the fresh zeros.
    rows : RowWise
        The same problem without entries: its modes, template and penalty.
    n_listed, n_zeros : int
        Numbers of the listed entries and of the zeros.
    saturated_value, null_value : float
        Of the objective itself, exactly.
    """

    value_and_grad: ValueAndGrad
    is_exact: bool
    draw: Callable[[Factors, int], RowWise]
    rng: np.random.Generator
    rows: RowWise
    n_listed: int
    n_zeros: int
    saturated_value: float
    null_value: float

    def reach(self, factors: Factors) -> float:
        """Return 0 for any factors (I_n, R): estimates do not tell how fast an objective falls."""
        return 0.0

    @property
    def far(self) -> float:
        """Infinity, likewise."""
        return float("inf")

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """False: estimates do not tell how close a model comes."""
        return False


def estimate(
    controlled: Controlled,
    slope: float,
    rng: np.random.Generator,
    loss: Callable[[ControlledSample, Factors], tuple[float, list[FloatArray]]],
    penalties: Penalties,
) -> ValueAndGrad:
    """Return the value and the gradient, of factors (I_n, R), with the zeros' part from one sample.

    It is drawn at the first call, and controlled by a polynomial of this slope.
    """
    drawn: list[ControlledSample] = []

    def value_and_grad(factors: Factors) -> tuple[float, list[FloatArray]]:
        if not drawn:
            n = max(ZERO_SAMPLES, 2 * controlled.n_listed)
            drawn.append(controlled.sample(n, slope, rng))
        value, grad = loss(drawn[0], factors)
        return penalties.add_to(value, grad, factors), grad

    return value_and_grad
