"""The search for the minimum of a problem: where each start begins, and the model that its end makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.designs.linear_maps import Undetermined
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.free import FreeFactors
from gcp.objectives.model import Model, normalize
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.problem import Problem
from gcp.objectives.sum_base import SumOfObjectives
from gcp.objectives.sum_objective import SumObjective
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views.sampled import Seeds
from gcp.solvers import Solver
from gcp.solvers.starts.designed_starts import nearest_in_designs, random_in_designs
from gcp.solvers.starts.initial import given_factors, random_factors, svd_factors
from gcp.solvers.starts.several_starts import random_of_positions


@dataclass(frozen=True, eq=False)
class Search:
    """The search for the minimum of a problem.

    Attributes
    ----------
    problem : Problem
    init : object
        Where the first start begins, as for `fit_gcp`.
    solver : Solver
    n_starts : int
    seed : int
        Decides the starts, and the samples of stochastic solvers.
    """

    problem: Problem
    init: Any
    solver: Solver
    n_starts: int
    seed: int

    @property
    def objective(self) -> EntrywiseObjective | SumOfObjectives:
        """The function of the components' factors."""
        return self.problem.objective

    @property
    def parametrisation(self) -> Parametrisation:
        """The map of free factors to all."""
        return self.problem.parametrisation

    @cached_property
    def known(self) -> list[Array]:
        """Masks, one per mode, shape (I_n,), of positions that data (or a tied mode's) or fixed factors determine.

        A map determines those without data whose rows are combinations of those with data.
        """
        found = list(self.with_data)
        for mode, z in self.parametrisation.maps:
            if not found[mode].all():
                found[mode] = ~Undetermined.by(z[found[mode]]).touches(z)
        return found

    @cached_property
    def with_data(self) -> list[Array]:
        """Masks, one per mode, shape (I_n,), of positions with data, their own or a tied mode's, or a fixed row."""
        known = self.objective.survey.known or self.objective.tensor.known_positions()
        found = [np.ones_like(mask) for mask in known]
        for group in self.parametrisation.groups:
            shared = np.logical_or.reduce([known[mode] for mode in group])
            for mode in group:
                found[mode] = shared
        return found

    @cached_property
    def determined(self) -> list[Array]:
        """Masks, one per mode, shape (I_n,), of positions that these or a penalty of the mode determine."""
        penalties, rank = self.objective.penalties, self.problem.rank
        found = [penalties.determined(n, mask, rank) for n, mask in enumerate(self.known)]
        for group in self.parametrisation.tied:
            shared = np.logical_or.reduce([found[mode] for mode in group])
            found = [shared if n in group else mask for n, mask in enumerate(found)]
        return found

    def unknown(self, labels: ModeLabels) -> dict[str, Array]:
        """Return, by a mode's name, its positions (k,) whose rows neither data nor a penalty towards 0 determine."""
        penalties = self.objective.penalties
        if penalties.prefer_balance and not penalties.fill_rows and self.problem.allows_zeros:
            return {}
        named = zip(labels.names, self.determined, strict=True)
        return {name: np.flatnonzero(~mask) for name, mask in named if not mask.all()}

    def sampling_seeds(self, index: int) -> Seeds:
        """Return seeds for stochastic solvers: starts share the sample that judges, batches are each one's own."""
        keys = (0, 1), (index, 2)
        fixed, batches = (np.random.SeedSequence(self.seed, spawn_key=key) for key in keys)
        return fixed, batches

    def free(self, start: Factors, index: int = 0) -> tuple[FreeFactors, Bounds]:
        """Return what a solver minimises from such factors on, shapes (I_n, R + effects), and all factors' bounds."""
        objective, bounds = self.problem.with_effects()
        return FreeFactors(objective, self.parametrisation, start, self.sampling_seeds(index)), bounds

    def additive_start(self) -> list[FloatArray]:
        """Return main effects alone, whose model is the best constant, as factors (I_n, effects)."""
        shape = self.objective.tensor.shape
        assert isinstance(self.objective, EntrywiseObjective)  # others have no main effects
        constant = self.objective.null_constant / len(self.problem.effect_modes)
        vectors = [
            np.full(size, constant if n in self.problem.effect_modes else 0.0) for n, size in enumerate(shape)
        ]
        none = [np.zeros((size, 0)) for size in shape]
        return self.typed(MainEffects(self.problem.effect_modes, 0).joined(none, vectors))

    def start(self, index: int) -> list[FloatArray]:
        """Return all factors (I_n, R + effects) at a start; main effects, if there are any, are the best constant."""
        components = self._components(index)
        if self.problem.effects is None:
            return components
        vectors = MainEffects(self.problem.effect_modes, 0).vectors(self.additive_start())
        given = getattr(self.init, "main_effects", None)
        if index == 0 and given:
            names = self.init.labels.names
            known = {n: given[names[n]] for n in self.problem.effect_modes if names[n] in given}
            vectors = self.problem.effects.uncentred(self.init.intercept, known, self.objective.tensor.shape)
            if self.objective.loss.model_domain.low >= 0:
                vectors = self.problem.effects.lifted(vectors)
        return self.typed(self.problem.effects.joined(components, vectors))

    def typed(self, factors: Factors) -> list[FloatArray]:
        """Return factors (I_n, R) in the type of the data's arithmetic."""
        return [np.asarray(a).astype(self.objective.tensor.dtype) for a in factors]

    def _components(self, index: int) -> list[FloatArray]:
        """Return the components' factors (I_n, R) at a start."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        is_named = isinstance(self.init, str)
        if is_named and self.init not in ("random", "svd"):
            raise ParameterError(f'Unknown init {self.init!r}: expected "random", "svd" or a model.')
        if is_named and self.parametrisation.fixed:
            raise ParameterError(
                "fixed_modes needs init to give the fixed factors, e.g. init=[a, b, c]; of coupled tensors by mode, "
                '{"subject": a, ...}.'
            )
        if index == 0 and not (is_named and self.init == "random"):
            factors = self._svd(rng) if is_named else self._given()
            factors = nearest_in_designs(factors, self.parametrisation, self.problem.bounds)
        else:
            problem = self.problem
            factors = self._random(rng, bool(problem.effect_modes))
            factors = random_in_designs(factors, self.parametrisation, problem.bounds, self.with_data)
        if self.parametrisation.fixed and index > 0:
            given = self._given()
            for mode in self.parametrisation.fixed:
                factors[mode] = given[mode]
        for group in self.parametrisation.groups:  # tied modes begin, and stay, equal
            for mode in group[1:]:
                factors[mode] = factors[group[0]]
        return self.typed(self.silenced(factors, self.known))

    def silenced(self, factors: list[FloatArray], known: Sequence[Array]) -> list[FloatArray]:
        """Return factors (I_n, R) with rows of 0, or as near as bounds allow, where nothing is `known`, masks (I_n,).

        No gradient moves these, but those of penalties that determine them (which begin there), and that of a
        Dirichlet prior, which wants them near the mean row.
        """
        if all(mask.all() for mask in known):
            return factors
        silenced, maps = [], dict(self.parametrisation.maps)
        for n, (a, mask) in enumerate(zip(factors, known, strict=True)):
            if n in maps:  # then the start is of coefficients without what nothing is known of
                silenced.append(a)
                continue
            row = a[mask].mean(axis=0) if self.objective.penalties.fill_rows else 0.0
            silenced.append(np.where(mask[:, None], a, row))
        return self.problem.bounds.project(silenced)

    def _random(self, rng: np.random.Generator, beside_effects: bool) -> list[FloatArray]:
        """Return random factors, shapes (I_n, R)."""
        objective, rank, bounds = self.objective, self.problem.rank, self.problem.bounds
        if isinstance(objective, SumObjective):
            return random_of_positions(objective, rank, bounds, rng)
        assert isinstance(objective, EntrywiseObjective)
        return random_factors(objective, rank, bounds, rng, beside_effects=beside_effects)

    def _svd(self, rng: np.random.Generator) -> list[FloatArray]:
        """Return the singular vectors' factors, shapes (I_n, R)."""
        if isinstance(self.objective, SumObjective):
            raise ParameterError(
                'init="svd" is for one loss: the links of several put data on as many scales. Use init="random".'
            )
        assert isinstance(self.objective, EntrywiseObjective)
        return svd_factors(self.objective, self.problem.rank, self.problem.bounds, rng)

    def _given(self) -> list[FloatArray]:
        """Return the factors of `init`, shapes (I_n, R), within the bounds."""
        tensor, groups = self.objective.tensor, self.parametrisation.groups
        factors = given_factors(self.init, tensor.shape, self.problem.rank, groups, tensor.labels)
        factors = self._turned(factors)
        inside = self.problem.bounds.project(factors)
        for mode in self.parametrisation.fixed:
            if not np.array_equal(inside[mode], factors[mode]):
                raise ParameterError(
                    f"The fixed factor of mode {mode} lies outside its bounds; for the "
                    f"{self.objective.loss.name} loss these are {self.objective.loss.model_domain} by default."
                )
        return inside

    def _turned(self, factors: list[FloatArray]) -> list[FloatArray]:
        """Return factors (I_n, R) of the same model with signs that suit bounds at 0.

        Columns change signs in pairs of modes. If columns that are negative rather than positive are odd in number,
        the one that is so least is left.
        """
        own = [group[0] for group in self.parametrisation.groups if len(group) == 1]
        lower, upper = self.problem.bounds.lower, self.problem.bounds.upper
        modes = [n for n in own if not np.any(lower[n]) and np.isposinf(upper[n]).all()]
        if len(modes) < 2:
            return factors
        with np.errstate(divide="ignore", invalid="ignore"):
            tilt = np.array([factors[n].sum(axis=0) / np.abs(factors[n]).sum(axis=0) for n in modes])
        tilt = np.nan_to_num(tilt)
        signs = np.where(tilt < 0, -1.0, 1.0)
        odd = np.flatnonzero(np.prod(signs, axis=0) < 0)
        signs[np.argmin(np.abs(tilt[:, odd]), axis=0), odd] *= -1.0
        turned = list(factors)
        for n, sign in zip(modes, signs, strict=True):
            turned[n] = factors[n] * sign
        return turned

    # --- the end ---------------------------------------------------------------------------------------------

    def model(self, factors: Factors) -> Model:
        """Return the model of factors (I_n, R + effects), in its normal form."""
        problem, labels = self.problem, self.problem.labels
        components, intercept, effects = factors, 0.0, {}
        if problem.effects is not None:
            components = problem.effects.components(factors)
            intercept, centred = problem.effects.centred(problem.effects.vectors(factors), self.known)
            effects = {labels.names[mode]: vector for mode, vector in centred.items()}
        silent = [np.where(mask[:, None], a, 0) for a, mask in zip(components, self.determined, strict=True)]
        fixed, last = self.parametrisation.fixed, self.parametrisation.ndim - 1
        last_is_tied = any(last in group for group in self.parametrisation.tied)
        weights, unit, order = normalize(
            silent,
            keep_order=bool(fixed)
            or problem.bounds.tell_components_apart
            or problem.penalties.tell_components_apart,
            fix_signs=not (fixed or last_is_tied or problem.bounds.hold_some_rows),
        )
        return Model(
            weights=weights,
            factors=unit,
            loss=self.problem.fitted_loss,
            labels=labels,
            intercept=intercept,
            main_effects=effects,
            unknown=self.unknown(labels),
            fitted_factors=[np.ascontiguousarray(a[:, order]) for a in self._inside(components)],
            row_bounds=[side[:, order] for side in problem.bounds.of_rows()],
            problem=problem.describe(),
        )

    def _inside(self, components: Factors) -> Factors:
        """Return the factors (I_n, R) within the bounds, from which sums of coefficients may differ by rounding."""
        return self.problem.bounds.project(components) if self.parametrisation.maps else components
