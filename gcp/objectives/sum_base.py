"""A sum of objectives, each of some rows of the factors of some modes: what any such sum has."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NoReturn, Self

import numpy as np

from gcp.base.checks import matrices
from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.base import Loss
from gcp.objectives import constant
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.features import Feature, check_has
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.survey import Survey
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views import hessian
from gcp.objectives.views.curvature import GaussNewton
from gcp.objectives.views.least_squares import LeastSquares
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import Sampled, Sampling, Seeds
from gcp.objectives.views.sampled_rows import SampledRows
from gcp.objectives.zero_policy import ZeroPolicy
from gcp.tensors.kinds import Tensor

_CURVED = (Feature.CURVATURE, Feature.CURVATURE_BY_PASSES, Feature.FULL_CURVATURE)


@dataclass(frozen=True)
class Summand:
    """One objective of a sum, and its part of the factors.

    Attributes
    ----------
    objective : EntrywiseObjective
        Without penalties, of factors of its own modes and positions alone.
    modes : tuple of int
        Which modes of the whole its own are, each once.
    positions : tuple of (ndarray of int, shape (k,), or None)
        Of each of its modes, which rows of the whole factor are its own; None is all of them.
    data : DenseTensor, SparseTensor or ObservedTensor
        The data themselves: those of the objective may be others under other weights.
    weight : float
        By which the objective is multiplied.
    columns : ndarray of int, shape (c,), or None
        Which columns of the factors are its own: the components, and its main effects; None is all.
    """

    objective: EntrywiseObjective
    modes: tuple[int, ...]
    positions: tuple[Array | None, ...]
    data: Tensor
    weight: float = 1.0
    columns: Array | None = None

    def own(self, vectors: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the rows of factors (I_n, R) or vectors (I_n,) that are this summand's."""
        taken = zip(self.modes, self.positions, strict=True)
        found = [vectors[n] if k is None else np.asarray(vectors[n])[k] for n, k in taken]
        return found if self.columns is None else [np.ascontiguousarray(a[:, self.columns]) for a in found]

    def add(self, totals: Sequence[FloatArray], own: Sequence[FloatArray]) -> None:
        """Add this summand's rows, shapes (k_n, R) or (k_n,), times its weight, to those of the whole, in place."""
        for n, k, part in zip(self.modes, self.positions, own, strict=True):
            weighted = part if self.weight == 1.0 else self.weight * part
            if self.columns is not None:
                rows = np.arange(len(totals[n])) if k is None else k
                totals[n][np.ix_(rows, self.columns)] += weighted
            elif k is None:
                totals[n][:] += weighted
            else:
                totals[n][k] += weighted

    def entries(self, shapes: Sequence[tuple[int, int]]) -> Array:
        """Return the places of this summand's factor entries among all, factors (I_n, R) one behind the other."""
        ends = np.cumsum([0, *(size * rank for size, rank in shapes)])
        places = [np.arange(a, b).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        return np.concatenate([a.ravel() for a in self.own(places)])


@dataclass(frozen=True)
class SumOfObjectives(ABC):
    """F = sum over summands k of w_k F_k, each of its own rows of the factors, + penalties.

    Attributes
    ----------
    tensor : TensorData
        All data: shape, labels, arithmetic and positions with data of the whole.
    loss : Loss
        All losses, as they are in the scale of the data.
    summands : tuple of Summand
    penalties : Penalties
    n_threads : int
    """

    tensor: Any
    loss: Loss
    summands: tuple[Summand, ...]
    penalties: Penalties
    n_threads: int

    what: ClassVar[str]
    """What messages call it, at the beginning of a sentence, in the plural."""

    no_effects: ClassVar[str]
    """Why it has no main effects, in a sentence."""

    def value_and_grad(self, factors: Factors) -> tuple[float, list[FloatArray]]:
        """Return the value, and the gradient in every factor, shapes (I_n, R); see `EntrywiseObjective`."""
        factors = matrices(factors, self.tensor.shape)
        total, grad = [], [np.zeros(np.shape(a), self.tensor.dtype) for a in factors]
        for part in self.summands:
            value, own = part.objective.value_and_grad(part.own(factors))
            total.append(part.weight * value)
            part.add(grad, own)
        return self.penalties.add_to(sum_of(total), grad, factors), grad

    @abstractmethod
    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and the Gauss-Newton matrix."""

    def hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives in the entries of all factors (I_n, R), row by row, shape (n, n)."""
        check_has(self, Feature.HESSIAN)
        shapes = [np.shape(a) for a in factors]
        size = sum(rows * rank for rows, rank in shapes)
        found = np.zeros((size, size))
        for part in self.summands:
            places = part.entries(shapes)
            found[np.ix_(places, places)] += part.weight * part.objective.hessian(part.own(factors))
        if self.penalties.of_components:
            hessian.add_components(found, factors, self.penalties.hessian(factors))
        return found

    def convex(self) -> Self | None:
        """Return this sum under convex losses near to those that are none; None if all are convex."""
        near = [part.objective.convex() for part in self.summands]
        if not any(near):
            return None
        pairs = zip(self.summands, near, strict=True)
        return replace(self, summands=tuple(replace(p, objective=one or p.objective) for p, one in pairs))

    def squared(self) -> None:
        """Return None: squared error of several losses is in as many units."""
        return

    def lacks(self, feature: Feature) -> str:
        """Return why the objective lacks a feature, in a sentence; empty if it has it."""
        if feature in _CURVED:
            by_passes = (part.objective.lacks(Feature.CURVATURE_BY_PASSES) for part in self.summands)
            if reason := self._beyond_reach() or next(filter(None, by_passes), ""):
                return reason
            if not self.penalties.are_steep:
                return ""
            one = replace(self.summands[0].objective, penalties=self.penalties)
            return one.lacks(feature)
        if feature is Feature.EXACT:
            return self._beyond_reach()
        if feature is Feature.HESSIAN:
            own = (replace(part.objective, penalties=self.penalties) for part in self.summands)
            return next(filter(None, (one.lacks(feature) for one in own)), "")
        return self.lacks(Feature.EXACT) or self.no_other_method

    @property
    def no_other_method(self) -> str:
        """Which methods there are, in a sentence."""
        return (
            f'{self.what} are fitted by the sum of their gradients: use solver="auto", "plbfgs" or "lbfgsb".'
        )

    def _beyond_reach(self) -> str:
        """Return why sums over all cells cannot be had, in a sentence; empty if they can."""
        for part in self.summands:
            if not part.objective.zeros.are_affordable:
                return (
                    f"{self.what} need sums over all cells, and zeros have no closed form under the "
                    f"{part.objective.loss.name} loss: found {part.objective.zeros.n_apart:,.0f} cells, too many to "
                    "look at one by one. Take a loss that has one (gaussian, poisson, bernoulli-poisson), or a "
                    "sample of the cells as an ObservedTensor."
                )
        return ""

    @property
    def is_exact_affordable(self) -> bool:
        """Whether `value_and_grad` can be had."""
        return not self.lacks(Feature.EXACT)

    @property
    def zeros(self) -> ZeroPolicy:
        """How the losses treat the cells that sparse data do not list: that of the one which does worst."""
        every = [part.objective.zeros for part in self.summands]
        return max(every, key=lambda zeros: zeros.n_apart)

    @property
    @abstractmethod
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""

    # --- the scale of values -----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def null_value(self) -> float:
        """The value of the best constant models, without penalty."""

    @property
    @abstractmethod
    def survey(self) -> Survey:
        """Facts about all data together, in whatever units they are."""

    @property
    def saturated_value(self) -> float:
        """The value of a model free at every entry, without penalty."""
        return sum_of([part.weight * part.objective.saturated_value for part in self.summands])

    @property
    def beyond(self) -> float:
        """What outliers that losses bear cost whatever the model is for the others."""
        return sum_of([part.weight * part.objective.beyond for part in self.summands])

    def reach(self, factors: Factors) -> float:
        """Return the largest size of a component, of factors (I_n, R), where the minimum may lie at infinity."""
        if self.penalties.prefer_balance:
            return 0.0
        return max(part.objective.reach(part.own(factors)) for part in self.summands)

    @property
    def far(self) -> float:
        """The size of a component from which on a fit that is slow is on its way to an infinite model."""
        return min(part.objective.far for part in self.summands)

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """Whether no finite model is perfect."""
        some = any(part.objective.has_its_minimum_at_infinity for part in self.summands)
        return some and not self.penalties.prefer_balance

    def share_explained(self, value: float) -> float:
        """Return 1 - the share of the best constants' deviance that a model of this value leaves.

        The value is without penalty.
        """
        facts = replace(self.survey, mean_square=self.survey.mean**2)  # whether data vary, the values show
        values = value, self.null_value, self.saturated_value
        return constant.share_explained(values, facts, self.tensor.dtype, self.price_of_a_tenth)

    def price_of_a_tenth(self) -> float:
        """Return about what constant models that are off by a tenth cost."""
        return sum_of([part.weight * part.objective.price_of_a_tenth() for part in self.summands])

    # --- what a sum does not have ------------------------------------------------------------------------------

    def with_effects(self, effects: MainEffects) -> NoReturn:
        """Raise `ParameterError`: the models are in as many units as there are losses."""
        raise ParameterError(self.no_effects)

    def least_squares(self) -> LeastSquares:
        """Raise `ParameterError`; see `lacks`."""
        raise ParameterError(self.lacks(Feature.LEAST_SQUARES))

    def row_wise(self) -> RowWise:
        """Raise `ParameterError`; see `lacks`."""
        raise ParameterError(self.lacks(Feature.ROWS))

    def sampled(self, sampling: Sampling, seeds: Seeds | None = None) -> Sampled:
        """Raise `ParameterError`; see `lacks`."""
        raise ParameterError(self.lacks(Feature.SAMPLES))

    def sampled_rows(self, seeds: Seeds | None = None) -> SampledRows:
        """Raise `ParameterError`; see `lacks`."""
        raise ParameterError(self.lacks(Feature.SAMPLED_ROWS))


def sum_of(values: Sequence[float]) -> float:
    """Return a sum of numbers of which some may be infinite."""
    return math.fsum(values) if all(map(math.isfinite, values)) else float(sum(values))
