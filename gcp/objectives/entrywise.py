"""The weighted sum of a loss over the entries of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from gcp.base.checks import matrices
from gcp.base.errors import ParameterError
from gcp.base.interval import BINARY
from gcp.base.types import Factors, FloatArray
from gcp.kernels.dense import dense_pass, second_derivatives
from gcp.kernels.listed.row_steps import grouped
from gcp.kernels.shared import uncompiled
from gcp.kernels.shared.columns import CellColumns
from gcp.losses.base import Loss
from gcp.losses.formula import Formula
from gcp.losses.gaussian import Gaussian
from gcp.objectives import constant
from gcp.objectives.bulk import Bulk, bulk
from gcp.objectives.features import Feature, check_has, reason_to_lack
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.survey import Survey
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views import hessian
from gcp.objectives.views.curvature import GaussNewton, curved_pass
from gcp.objectives.views.least_squares import LeastSquares
from gcp.objectives.views.row_wise import RowWise
from gcp.objectives.views.sampled import (
    DEFAULT_SEEDS,
    Functions,
    Sampled,
    Sampling,
    Seeds,
    ValueAndGrad,
    sample,
    sample_parts,
)
from gcp.objectives.views.sampled_rows import ZERO_SAMPLES, SampledRows, estimate
from gcp.objectives.zero_policy import ZeroPolicy
from gcp.tensors.base import Parts, TensorData
from gcp.tensors.parts.local_engine import Partial
from gcp.tensors.samplers import Batch, Controlled, ControlledSample

_FAR, _FAR_OF_LOGARITHMS = 1e8, 1e4
"""Sizes of components that no model with a minimum comes to (docs/decisions/0025-wide-range.md)."""

_SOFTNESS = tuple(0.1 * 0.5**k for k in range(10))
"""Levels of `Loss.softened` for the first sweeps of row-wise solvers (docs/decisions/0013-rows.md)."""


@dataclass(frozen=True)
class EntrywiseObjective:
    """F = sum_e w_e f(x_e, m_e) + penalties.

    Attributes
    ----------
    tensor : TensorData
    loss : Loss
    survey : Survey
        The data's moments under this loss.
    penalties : Penalties
    n_threads : int
    effects : MainEffects or None
        Which columns of the factors are main effects.
    """

    tensor: TensorData
    loss: Loss
    survey: Survey
    penalties: Penalties
    n_threads: int
    effects: MainEffects | None = None

    def with_effects(self, effects: MainEffects) -> EntrywiseObjective:
        """Return the objective of factors with columns of main effects."""
        return replace(self, effects=effects, penalties=replace(self.penalties, effects=effects))

    def squared(self) -> EntrywiseObjective | None:
        """Return this objective under squared error if its loss bears outliers; else None."""
        return replace(self, loss=Gaussian()) if self.loss.bears_outliers else None

    def convex(self) -> EntrywiseObjective | None:
        """Return this objective under a convex loss near to its own, if that is not convex; else None."""
        return None if self.loss.convex is None else replace(self, loss=self.loss.convex)

    def value_and_grad(self, factors: Factors) -> tuple[float, list[FloatArray]]:
        """Return the value and the gradient in every factor.

        Parameters
        ----------
        factors : sequence of ndarray, shapes (I_n, R)
            Not modified.

        Returns
        -------
        value : float
            Summed in float64.
        gradients : list of ndarray, shapes (I_n, R)
            float32 for float32 data, else float64.

        Raises
        ------
        ParameterError
            If the factors do not fit, or that would take too long; see `is_exact_affordable`.
        """
        if not self.is_exact_affordable:
            raise ParameterError(self.zeros.message)
        value, grad = self._pass(self.tensor, matrices(factors, self.tensor.shape), self.n_threads)
        return self.penalties.add_to(value, grad, factors), grad

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and the Gauss-Newton matrix with the loss's curvature weights.

        An outer product stands in for the weights of the entries, from their sums over the slices of each mode.
        """
        check_has(self, Feature.CURVATURE_BY_PASSES if self.lacks(Feature.CURVATURE) else Feature.CURVATURE)
        components, effects = self._split(factors)
        value, *parts, marginals = curved_pass(self.tensor, self.formula, components, self.n_threads, effects)
        grad = self._joined(*parts)
        value = self.penalties.add_to(value, grad, factors)
        return value, grad, GaussNewton.of(factors, marginals, *self.penalties.curvature(factors))

    def hessian(self, factors: Factors) -> FloatArray:
        """Return the second derivatives in the entries of all factors (I_n, R), row by row, shape (n, n).

        It raises `ParameterError` of data, penalties or effects that they cannot be had for, or would not pay for.
        """
        check_has(self, Feature.HESSIAN)
        cells = self.tensor.stored_cells
        assert cells is not None
        with np.errstate(all="ignore"):  # what is not finite is for the solver to see
            m = dense_pass.model_values(factors, self.tensor.shape)
            found = second_derivatives.of_factors(*uncompiled.derivatives(self.formula, cells, m), factors)
        if self.penalties.of_components:
            hessian.add_components(found, factors, self.penalties.hessian(factors))
        return found

    def _pass(
        self, tensor: TensorData | Batch | ControlledSample, factors: Factors, n_threads: int
    ) -> tuple[float, list[FloatArray]]:
        """Return the loss over a tensor or a part of it, and its gradient, shapes (I_n, R), without penalty."""
        components, effects = self._split(factors)
        value, *parts = tensor.loss_and_mttkrps(self.formula, components, n_threads, effects)
        return value, self._joined(*parts)

    def _loss_of_parts(
        self,
        parts: Parts,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        own: list[Any],
        factors: Factors,
    ) -> tuple[float, list[FloatArray]]:
        """Return loss and gradient, shapes (I_n, R), from a function of a part, which has its own arguments."""
        (components, effects), fixed = self._split(factors), (*fixed, self.formula)
        value, *found, _ = parts.summed(function, fixed, components, self.n_threads, effects, own=own)
        return value, self._joined(*found)

    def _split(self, factors: Factors) -> tuple[Factors, Factors]:
        """Return components, shapes (I_n, R), and main effects, shapes (I_n,), or none."""
        if self.effects is None:
            return factors, ()
        return self.effects.components(factors), self.effects.vectors(factors)

    def _joined(self, grad: list[FloatArray], effect_grad: list[FloatArray]) -> list[FloatArray]:
        """Return gradients in components (I_n, R) and effects (I_n,) as gradients in all columns of the factors."""
        return grad if self.effects is None else self.effects.joined(grad, effect_grad, elsewhere=0.0)

    def lacks(self, feature: Feature) -> str:
        """Return why the objective lacks a feature, in a sentence; empty if it has it."""
        has_effects = self.effects is not None
        return reason_to_lack(feature, self.tensor, self.loss, self.penalties, has_effects=has_effects)

    @cached_property
    def is_exact_affordable(self) -> bool:
        """Whether `value_and_grad` can be had; not for very many zeros without a closed form (see `ZeroPolicy`)."""
        return not self.lacks(Feature.EXACT)

    @cached_property
    def formula(self) -> Formula:
        """The loss's, looked up once: every evaluation asks for it."""
        return self.loss.formula

    @property
    def zeros(self) -> ZeroPolicy:
        """How the loss treats the cells that sparse data do not list."""
        return ZeroPolicy(self.tensor, self.loss)

    def sampled(self, sampling: Sampling, seeds: Seeds | None = None) -> Sampled:
        """Return estimates of value and gradient from samples of the entries; the same seeds, the same samples.

        Raises
        ------
        ParameterError
            If there is no such sampler for the data.
        """
        check_has(self, Feature.SAMPLES)
        functions = self._samples(sampling, seeds or DEFAULT_SEEDS)
        return Sampled(*functions, self.saturated_value, self.null_value)

    def _samples(self, sampling: Sampling, seeds: Seeds) -> Functions:
        if (parts := self.tensor.parts) is not None:
            return sample_parts(parts, partial(self._loss_of_parts, parts), self.penalties, sampling, seeds)
        return sample(self.tensor, self._pass, self.penalties, self.n_threads, sampling, seeds)

    def least_squares(self) -> LeastSquares:
        """Return the parts of a sum of squares: of the Gaussian loss, with every entry observed and of weight 1.

        It raises `ParameterError` of another loss, missing entries or entry weights.
        """
        check_has(self, Feature.LEAST_SQUARES)

        def contract(side: tuple[int, ...], factors: Factors, out: FloatArray) -> None:
            self.tensor.contract(side, factors, out, self.n_threads)

        norm2 = self.survey.mean_square * self.survey.total_weight
        sides = self.tensor.sides
        return LeastSquares(norm2, self.penalties, sides, contract, tuple(range(len(self.tensor.shape))))

    def row_wise(self) -> RowWise:
        """Return the parts of an objective whose rows can be updated one by one.

        Raises
        ------
        ParameterError
            Data in parts, one mode, a formula that does not compile, or zeros without a closed form.
        """
        check_has(self, Feature.ROWS)
        tensor, zero = self.tensor, self.formula.zero
        rows = self._rows()
        has_zeros = tensor.zeros is not None
        return replace(rows, groups=tensor.groups, zero=(has_zeros and zero) or (0.0, 0.0))

    def _rows(self) -> RowWise:
        """Return the problem in rows, without its entries."""
        return RowWise(
            lambda mode: (),
            self.formula,
            (0.0, 0.0),
            self.tensor.zeros or CellColumns(),
            self.penalties,
            self.n_threads,
            tuple(range(len(self.tensor.shape))),
            softer=tuple(soft.formula for level in _SOFTNESS if (soft := self.loss.softened(level))),
        )

    def sampled_rows(self, seeds: Seeds | None = None) -> SampledRows:
        """Return the problem in rows of sparse data whose zeros have no closed form, from samples of these.

        Raises
        ------
        ParameterError
            Other data or another loss, one mode, or a formula that does not compile.
        """
        check_has(self, Feature.SAMPLED_ROWS)
        formula = self.formula
        controlled, rows = self._controlled, self._rows()
        fixed, fresh = seeds or DEFAULT_SEEDS
        rng = np.random.default_rng(fresh)

        def draw(factors: Factors, n: int) -> RowWise:
            listing = controlled.draw(n, rng)
            zero = controlled.polynomial(formula, *self._split(factors), rng)
            return replace(rows, groups=lambda mode: [(0, grouped(listing, mode))], zero=zero)

        value_and_grad: ValueAndGrad = self.value_and_grad
        if not self.is_exact_affordable:
            value_and_grad = self._estimate(controlled, np.random.default_rng(fixed))
        return SampledRows(
            value_and_grad,
            self.is_exact_affordable,
            draw,
            rng,
            rows,
            controlled.n_listed,
            controlled.n_zeros,
            self.saturated_value,
            self.null_value,
        )

    @cached_property
    def _controlled(self) -> Controlled:
        """Made once for all starts."""
        assert self.tensor.sparse is not None
        return Controlled(self.tensor.sparse, self.loss.model_domain.low >= 0)

    def _estimate(self, controlled: Controlled, rng: np.random.Generator) -> ValueAndGrad:
        """Return the value and the gradient with the zeros' part from one sample."""
        slope = 0.0
        if controlled.is_nonnegative:
            slope = float(self.formula.df(0.0, self.null_constant, *self.formula.params))
        return estimate(controlled, slope, rng, partial(self._pass, n_threads=self.n_threads), self.penalties)

    @property
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""
        return math.prod(self.tensor.shape)

    @property
    def saturated_value(self) -> float:
        """The value of a model free at every entry, without penalty."""
        return self.survey.saturated_value

    @cached_property
    def null_constant(self) -> float:
        """The best constant model."""
        facts, near = self.survey, self.convex()
        if self.tensor.is_affine:
            return constant.beside_columns(self._constant_model, self.loss, facts)
        if (m := self.loss.constant(facts.mean, facts.mean_square)) is not None:
            return constant.finite(m)
        mean, std = (near.null_constant, near.bulk.std) if near else (facts.mean, facts.std)
        return constant.best(self.loss, mean, std, self._constant_value)

    @cached_property
    def bulk(self) -> Bulk:
        """What the data are like without outliers that the loss bears, at scales of 1 and offsets of 0."""
        if near := self.convex():  # far off, its own values hardly grow
            return replace(near.bulk, beyond=0.0)
        return bulk(self.tensor, self.loss, self.survey, self.null_constant)

    @property
    def beyond(self) -> float:
        """What outliers that the loss bears cost whatever the model is for the others."""
        return self.bulk.beyond

    @cached_property
    def null_value(self) -> float:
        """The value of the best constant model, without penalty."""
        own = self.survey.own_null
        return self._constant_value(self.null_constant) if own is None else own

    def _constant_value(self, m: float) -> float:
        if self.tensor.is_affine:
            return self._constant_model(m)[0]
        return math.fsum(self.tensor.map(constant.value, self.loss, self.n_threads, m))

    def _constant_model(self, m: float) -> tuple[float, list[FloatArray]]:
        """Return value and gradients of a constant model beside scales and offsets, estimated if need be."""
        factors = constant.factors_of(m, self.tensor.shape)
        if not self.is_exact_affordable:
            return self._of_fixed_sample(factors)
        return self.tensor.loss_and_mttkrps(self.loss.formula, factors, self.n_threads)[:2]

    @cached_property
    def _of_fixed_sample(self) -> ValueAndGrad:
        """The loss without penalties in components alone, from a sample that is drawn once."""
        plain = replace(self, penalties=Penalties(), effects=None)
        return plain._samples(Sampling(value_samples=ZERO_SAMPLES), DEFAULT_SEEDS)[0]

    def reach(self, factors: Factors) -> float:
        """Return the largest size of a component, of factors (I_n, R), at an entry.

        It is 0 unless the minimum may lie at infinite models.
        """
        if self.penalties.prefer_balance or not self.loss.wants_infinity:
            return 0.0
        sizes = [np.abs(a).max(axis=0, initial=0.0) for a in factors]
        return float(np.prod(sizes, axis=0, dtype=np.float64).max(initial=0.0))

    @property
    def far(self) -> float:
        """The size of a component from which on a fit that is slow is on its way to an infinite model.

        Far less is as good as infinite where the model is a logarithm, of a mean or of odds.
        """
        return _FAR if self.loss.model_domain.low >= 0 else _FAR_OF_LOGARITHMS

    @property
    def has_its_minimum_at_infinity(self) -> bool:
        """Whether no finite model is perfect, as none is for 0/1 data: one that comes close can separate them."""
        has_shares = self.survey.saturated_value > 0  # of trials
        if self.loss.data_domain != BINARY or has_shares or self.penalties.prefer_balance:
            return False
        kinds = (0.0, self.survey.mean < 1), (1.0, self.survey.mean > 0)
        with np.errstate(all="ignore"):
            return not all(np.isfinite(self.loss.link(datum)) for datum, is_there in kinds if is_there)

    def share_explained(self, value: float) -> float:
        """Return 1 - the share of the best constant's deviance that a model of this value leaves.

        The value is without penalty. Where the best constant is perfect, as far as rounding shows: 1 if the model is
        too, else NaN.
        """
        values = value, self.null_value, self.saturated_value
        return constant.share_explained(values, self.survey, self.tensor.dtype, self.price_of_a_tenth)

    def price_of_a_tenth(self) -> float:
        """Return about what a constant model that is off by a tenth costs."""
        if self.loss.data_domain.integer:
            return self.survey.total_weight
        m = self.null_constant
        return self._constant_value(m + 0.1 * (abs(m) or 1.0)) - self.null_value
