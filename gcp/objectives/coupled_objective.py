"""The sum of the objectives of several tensors that have modes, and so factors, in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from gcp.base import threads
from gcp.base.errors import GcpError
from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.base import Loss
from gcp.losses.of_tensors import LossesOfTensors
from gcp.objectives.build import objective_of
from gcp.objectives.features import Feature, check_has
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.sum_base import Summand, SumOfObjectives, sum_of
from gcp.objectives.survey import Survey
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views.curvature import CurvedPart, GaussNewton
from gcp.tensors.coupled_tensors import CoupledTensors


@dataclass(frozen=True)
class CoupledObjective(SumOfObjectives):
    """F = sum over tensors k of w_k * (sum over its entries e of w_e f_k(x_e, m_e)) + penalties.

    Attributes
    ----------
    tensor : CoupledTensors
    loss : LossesOfTensors
        As they are in the scale of the data.
    summands, penalties, n_threads
        See `SumOfObjectives`; a summand for each tensor, in order.
    """

    tensor: CoupledTensors
    loss: LossesOfTensors

    what: ClassVar[str] = "Coupled tensors"
    no_effects: ClassVar[str] = "Main effects of coupled tensors are those of each: see `with_effects_of`."

    @classmethod
    def of(
        cls,
        tensors: CoupledTensors,
        losses: Mapping[str, Loss],
        weights: Mapping[str, float],
        n_threads: int | None,
    ) -> CoupledObjective:
        """Return the objective without penalties, with the data looked through and eps of losses in their scale.

        Raises
        ------
        DataError, DomainError
            Data that their loss does not admit; the message begins with the name of the tensor.
        """
        n_threads, summands, found = threads.resolve(n_threads), [], {}
        for name, tensor in tensors.tensors.items():
            try:
                one = objective_of(tensor, losses[name], Penalties(), n_threads)
            except GcpError as error:
                raise type(error)(f"{name}: {error}") from error
            if (
                one.tensor.dtype != tensors.dtype
            ):  # of another tensor, or one of them has no numbers for its data
                return cls.of(tensors.in_double(), losses, weights, n_threads)
            own = tensors.modes[name], tensors.positions[name]
            summands.append(Summand(one, *own, tensor, float(weights[name])))  # type: ignore[arg-type]
            found[name] = one.loss
        return cls(tensors, LossesOfTensors(found), tuple(summands), Penalties(), n_threads)

    def weighted(self, weights: Mapping[str, float]) -> CoupledObjective:
        """Return the objective with other weights of the tensors."""
        pairs = zip(self.summands, self.tensor.tensors, strict=True)
        return replace(self, summands=tuple(replace(p, weight=float(weights[name])) for p, name in pairs))

    def with_effects_of(self, effects: Sequence[tuple[MainEffects | None, Array]]) -> CoupledObjective:
        """Return the objective of factors with columns of main effects.

        `effects` has those of every tensor, in the numbers of its own modes, and its columns (c,) of the factors.
        """
        pairs = zip(self.summands, effects, strict=True)
        return replace(self, summands=tuple(_with_effects(part, *own) for part, own in pairs))

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and the Gauss-Newton matrix: the sum of those of all tensors."""
        check_has(self, Feature.CURVATURE)
        total, grad = [], [np.zeros(np.shape(a), self.tensor.dtype) for a in factors]
        parts = []
        for part in self.summands:
            value, own_grad, matrix = part.objective.value_grad_and_curvature(part.own(factors))
            total.append(part.weight * value)
            part.add(grad, own_grad)
            parts.append(CurvedPart(matrix, part.weight, part.modes, part.positions, part.columns))
        value = self.penalties.add_to(sum_of(total), grad, factors)
        return value, grad, GaussNewton.summed(factors, parts, *self.penalties.curvature(factors))

    @property
    def n_cells(self) -> int:
        """Number of cells of all tensors, known or not."""
        return sum(part.objective.n_cells for part in self.summands)

    @cached_property
    def null_value(self) -> float:
        """The value of the best constant model of each tensor, without penalty."""
        return sum_of([part.weight * part.objective.null_value for part in self.summands])

    @cached_property
    def survey(self) -> Survey:
        """Facts about all data together, in whatever units they are."""
        every = [part.objective.survey for part in self.summands]
        total = sum(one.total_weight for one in every)
        return Survey(
            total,
            sum(one.total_weight * one.mean for one in every) / total,
            sum(one.total_weight * one.mean_square for one in every) / total,
            self.saturated_value,
            min(one.least for one in every),
            max(one.largest_square for one in every),
        )


def _with_effects(part: Summand, effects: MainEffects | None, columns: Array) -> Summand:
    """Return a summand with main effects, if it has any, among columns (c,) of the factors."""
    one = part.objective if effects is None else part.objective.with_effects(effects)
    return replace(part, objective=one, columns=columns)
