"""The sum of the objectives of several losses, each over its own positions of a mode."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NoReturn

import numpy as np

from gcp.base.checks import matrices
from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.several import SeveralLosses
from gcp.objectives import constant
from gcp.objectives.best_constants import Moments, best_constants, moments_of
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.features import Feature, check_has
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.survey import Survey
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views import hessian
from gcp.objectives.views.curvature import GaussNewton, curved_pass
from gcp.objectives.views.least_squares import LeastSquares
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import Sampled, Sampling, Seeds
from gcp.objectives.views.sampled_rows import SampledRows
from gcp.objectives.zero_policy import ZeroPolicy
from gcp.tensors.base import TensorData
from gcp.tensors.kinds import Tensor

_CHUNK = 1 << 19
_LEAST_ROW = 1e-6
"""Least curvature of a position, relative to that of its best constant: those of others are in other units."""

_CURVED = (Feature.CURVATURE, Feature.CURVATURE_BY_PASSES, Feature.FULL_CURVATURE)


@dataclass(frozen=True)
class Summand:
    """One loss over its positions.

    Attributes
    ----------
    objective : EntrywiseObjective
        Without penalties, of factors that have these positions alone.
    positions : tuple of (ndarray of int, shape (k,), or None)
        Of each mode, which rows of the whole factors; None is all of them.
    data : DenseTensor, SparseTensor or ObservedTensor
        The data themselves: those of the objective may be others under other weights.
    """

    objective: EntrywiseObjective
    positions: tuple[Array | None, ...]
    data: Tensor

    def own(self, vectors: Sequence[FloatArray]) -> list[FloatArray]:
        """Return the rows of factors (I_n, R) or vectors (I_n,) that are this summand's."""
        return [a if k is None else np.asarray(a)[k] for a, k in zip(vectors, self.positions, strict=True)]

    def add(self, totals: Sequence[FloatArray], own: Sequence[FloatArray]) -> None:
        """Add this summand's rows, shapes (k_n, R) or (k_n,), to those of the whole, in place."""
        for total, part, k in zip(totals, own, self.positions, strict=True):
            if k is None:
                total += part
            else:
                total[k] += part

    def entries(self, shapes: Sequence[tuple[int, int]]) -> Array:
        """Return the places of this summand's factor entries among all, factors (I_n, R) one behind the other."""
        ends = np.cumsum([0, *(size * rank for size, rank in shapes)])
        places = [np.arange(a, b).reshape(s) for a, b, s in zip(ends[:-1], ends[1:], shapes, strict=True)]
        return np.concatenate([a.ravel() for a in self.own(places)])


@dataclass(frozen=True)
class SumObjective:
    """F = sum over losses k, over their entries e, of w_e f_k(x_e, m_e), + penalties.

    Attributes
    ----------
    tensor : TensorData
        All data.
    loss : SeveralLosses
        As they are in the scale of the data.
    mode : int
        The mode whose positions have losses of their own.
    summands : tuple of Summand
    penalties : Penalties
    n_threads : int
    """

    tensor: TensorData
    loss: SeveralLosses
    mode: int
    summands: tuple[Summand, ...]
    penalties: Penalties
    n_threads: int

    def value_and_grad(self, factors: Factors) -> tuple[float, list[FloatArray]]:
        """Return the value, and the gradient in every factor, shapes (I_n, R); see `EntrywiseObjective`."""
        factors = matrices(factors, self.tensor.shape)
        total, grad = [], [np.zeros(np.shape(a), self.tensor.dtype) for a in factors]
        for part in self.summands:
            value, own = part.objective.value_and_grad(part.own(factors))
            total.append(value)
            part.add(grad, own)
        return self.penalties.add_to(_sum(total), grad, factors), grad

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and the Gauss-Newton matrix: curvatures of slices add up."""
        check_has(self, Feature.CURVATURE)
        total, grad = [], [np.zeros(np.shape(a), self.tensor.dtype) for a in factors]
        sums = [np.zeros(size) for size in self.tensor.shape]
        for part in self.summands:
            one, own = part.objective, part.own(factors)
            value, own_grad, _, marginals = curved_pass(one.tensor, one.formula, own, self.n_threads, ())
            total.append(value)
            part.add(grad, own_grad)
            part.add(sums, [np.asarray(s, dtype=float) for s in marginals])
        value = self.penalties.add_to(_sum(total), grad, factors)
        for n, own_sums in enumerate(sums):
            least = self.typical_curvatures if n == self.mode else float(own_sums.mean())
            sums[n] = np.maximum(own_sums, _LEAST_ROW * least)
        return value, grad, GaussNewton.of(factors, sums, *self.penalties.curvature(factors), least=0.0)

    def hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives in the entries of all factors (I_n, R), row by row, shape (n, n)."""
        check_has(self, Feature.HESSIAN)
        shapes = [np.shape(a) for a in factors]
        size = sum(rows * rank for rows, rank in shapes)
        found = np.zeros((size, size))
        for part in self.summands:
            places = part.entries(shapes)
            found[np.ix_(places, places)] += part.objective.hessian(part.own(factors))
        if self.penalties.of_components:
            hessian.add_components(found, factors, self.penalties.hessian(factors))
        return found

    def convex(self) -> SumObjective | None:
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
        return self.lacks(Feature.EXACT) or NO_OTHER_METHOD

    def _beyond_reach(self) -> str:
        """Return why sums over all cells cannot be had, in a sentence; empty if they can."""
        for part in self.summands:
            if not part.objective.zeros.are_affordable:
                return (
                    "Several losses need sums over all cells, and zeros have no closed form under the "
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
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""
        return math.prod(self.tensor.shape)

    # --- the scale of values -----------------------------------------------------------------------------------

    @cached_property
    def moments(self) -> Moments:
        """Moments of the data of each position of the mode."""
        total = Moments(*np.zeros((3, self.tensor.shape[self.mode])))
        for part in self.summands:
            k = part.positions[self.mode]
            for column, own in zip(total, moments_of(part.data, self.mode, self.n_threads), strict=True):
                column[slice(None) if k is None else k] = own
        return total

    @cached_property
    def null_constants(self) -> FloatArray:
        """The best constant model of each position (I_mode,), 0 where nothing is known.

        One for all positions would mean as many expectations as there are losses, and variables in other units have
        other means.
        """
        found = np.zeros(self.tensor.shape[self.mode])
        for part in self.summands:
            k = part.positions[self.mode]
            assert k is not None
            own = Moments(*(column[k] for column in self.moments))
            found[k] = best_constants(part.objective, self.loss, k, own, self.mode)
        return found

    @cached_property
    def typical_curvatures(self) -> FloatArray:
        """The curvature of each position (I_mode,), summed over its cells, at its best constant."""
        at = self.loss.at(np.arange(len(self.null_constants)))
        with np.errstate(all="ignore"):
            found = self.moments.weight * at.fisher(self.null_constants)
        usual = found[np.isfinite(found) & (found > 0)]
        return np.where(np.isfinite(found) & (found > 0), found, usual.min(initial=1.0))

    def squared_slopes(self) -> float:
        """Return the sum over all cells of the squared derivatives of the losses at the best constants."""
        total = 0.0
        for part in self.summands:
            k = part.positions[self.mode]
            assert k is not None
            for cells in part.data.known_cells(_CHUNK):
                at, w = k[cells.subs[:, self.mode]], cells.weights
                with np.errstate(all="ignore"):
                    slopes = np.square(self.loss.at(at).deriv(cells.x, self.null_constants[at]))
                total += float(np.sum(np.where(w > 0, w * slopes, 0.0)))
        return total

    @cached_property
    def null_value(self) -> float:
        """The value of the best constant model of each position, without penalty."""
        ones = [np.ones((size, 1)) for size in self.tensor.shape]
        ones[self.mode] = self.null_constants[:, None]
        return _sum([part.objective.value_and_grad(part.own(ones))[0] for part in self.summands])

    @property
    def saturated_value(self) -> float:
        """The value of a model free at every entry, without penalty."""
        return _sum([part.objective.saturated_value for part in self.summands])

    @cached_property
    def beyond(self) -> float:
        """What outliers that losses bear cost whatever the model is for the others."""
        return _sum([part.objective.beyond for part in self.summands])

    @cached_property
    def survey(self) -> Survey:
        """Facts about all data together, in whatever units they are."""
        w, x1, x2 = self.moments
        total = float(w.sum())
        every = [part.objective.survey for part in self.summands]
        return Survey(
            total,
            float(w @ x1) / total,
            float(w @ x2) / total,
            self.saturated_value,
            min(one.least for one in every),
            max(one.largest_square for one in every),
        )

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
        return constant.share_explained(values, facts, self.tensor.dtype, self._price)

    def _price(self) -> float:
        """Return about what constant models that are off by a tenth cost."""
        return _sum([part.objective.price_of_a_tenth() for part in self.summands])

    # --- what a sum does not have ------------------------------------------------------------------------------

    def with_effects(self, effects: MainEffects) -> NoReturn:
        """Raise `ParameterError`: effects of a mode would be added to models in as many units as there are losses."""
        raise ParameterError(NO_EFFECTS)

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


NO_OTHER_METHOD = (
    "Several losses in one tensor are fitted by the sum of their gradients: "
    'use solver="auto", "plbfgs" or "lbfgsb".'
)
NO_EFFECTS = (
    "main_effects cannot be had beside several losses, whose models are in as many units: leave them out; one "
    "component more can hold a level for each position."
)


def _sum(values: Sequence[float]) -> float:
    """Return a sum of numbers of which some may be infinite."""
    return math.fsum(values) if all(map(math.isfinite, values)) else float(sum(values))
