"""The search for the minimum of coupled tensors: where each start begins, and the models that its end makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.model import Model, normalize
from gcp.objectives.sum_base import Summand
from gcp.objectives.sum_objective import SumObjective
from gcp.solvers.starts.initial import given_factors, random_factors
from gcp.solvers.starts.search import Search
from gcp.solvers.starts.several_starts import random_of_positions


class CoupledModels(NamedTuple):
    """What factors are as models.

    Attributes
    ----------
    factors : list of ndarray, shapes (I_n, R)
        Of all modes, with columns of norm 1 over the positions of all tensors.
    models : dict of str to Model
        Of each tensor.
    fitted : list of ndarray, shapes (I_n, R)
        The factors within their bounds; columns are those of `factors`, scaled and with signs of their own.
    unknown : dict of str to ndarray of int, shape (k,)
        By the mode's name, positions whose rows nothing determines.
    """

    factors: list[FloatArray]
    models: dict[str, Model]
    fitted: list[FloatArray]
    unknown: dict[str, Array]


@dataclass(frozen=True, eq=False)
class CoupledSearch(Search):
    """The search for the minimum of a problem of coupled tensors; `init` is "random", or a factor for each mode."""

    problem: CoupledProblem
    begun: Sequence[FloatArray] | None = None

    def start(self, index: int) -> list[FloatArray]:
        """Return all factors (I_n, R + effects) at a start: those that are `begun`, or see `Search`."""
        if self.begun is not None:
            return [a.copy() for a in self.begun]
        components, effects = self._components(index), self.problem.joined_effects
        if effects is None:
            return components
        return self.typed(effects.widened(components, self._first_effects()))

    def _first_effects(self) -> list[FloatArray]:
        """Return main effects, (I_n,) for each column, that make each tensor's model its best constant."""
        problem, found = self.problem, []
        for (name, own), part in zip(problem.effects_of.items(), problem.plain.summands, strict=True):
            for k in own:
                size = problem.tensor.shape[problem.tensor.modes[name][k]]
                found.append(np.full(size, part.objective.null_constant / len(own)))
        return found

    def _random(self, rng: np.random.Generator, beside_effects: bool) -> list[FloatArray]:
        """Return random factors, shapes (I_n, R): tensors draw those of their modes that none before them has.

        Those that need nonnegative models come first. A private mode then gives each model the size that it would
        have alone.
        """
        problem = self.problem
        shapes = [(size, problem.rank) for size in problem.tensor.shape]
        factors, is_drawn = [np.zeros(shape) for shape in shapes], [np.zeros(s[0], bool) for s in shapes]
        shared = problem.tensor.shared
        effects_of = dict(zip(map(id, problem.plain.summands), problem.effects_of.values(), strict=True))
        for part in sorted(problem.plain.summands, key=_is_free):
            sides = problem.bounds.lower, problem.bounds.upper
            limits = Bounds(*(tuple(part.own(side)) for side in sides))
            drawn = _drawn(part, problem.rank, limits, rng, beside_effects=bool(effects_of[id(part)]))
            for n, k, own in zip(part.modes, part.positions, drawn, strict=True):
                rows = np.arange(len(factors[n])) if k is None else k
                new = ~is_drawn[n][rows]
                factors[n][rows[new]], is_drawn[n][rows] = own[new], True
            size, private = _size(part.own(factors)), [n for n in part.modes if n not in shared]
            if private and size > 0:
                factors[private[-1]] *= _size(drawn) / size
        return problem.bounds.project(factors)

    def _svd(self, rng: np.random.Generator) -> list[FloatArray]:
        """Raise `ParameterError`: there is no one matrix to decompose."""
        raise ParameterError('init="svd" is for one tensor: use init="random", or a factor for each mode.')

    def _given(self) -> list[FloatArray]:
        """Return the factors of `init`, shapes (I_n, R), within the bounds."""
        problem, names = self.problem, self.problem.labels.names
        if not isinstance(self.init, Mapping):
            raise ParameterError(
                'init of coupled tensors must be "random", a factor for each mode by its name '
                f"({', '.join(names)}), or a CoupledResult: found {show(self.init)}."
            )
        if set(self.init) != set(names):
            raise ParameterError(
                f"init has factors of {', '.join(map(str, self.init)) or 'nothing'}: expected one for each mode, "
                f"{', '.join(names)}."
            )
        given = [self.init[name] for name in names]
        factors = given_factors((None, given), problem.tensor.shape, problem.rank, (), problem.labels)
        inside = problem.bounds.project(factors)
        for mode in self.parametrisation.fixed:
            if not np.array_equal(inside[mode], factors[mode]):
                raise ParameterError(
                    f"The fixed factor of mode {names[mode]!r} lies outside its bounds; a tensor whose loss needs a "
                    "nonnegative model needs nonnegative factors of its modes."
                )
        return inside

    # --- the end ---------------------------------------------------------------------------------------------

    def models(self, factors: Factors) -> CoupledModels:
        """Return the models of all tensors of factors (I_n, R + effects).

        Components have one order and signs in common.
        """
        problem = self.problem
        inside = [np.asarray(a)[:, : problem.rank] for a in self._inside(factors)]
        silent = [np.where(mask[:, None], a, 0) for a, mask in zip(inside, self.determined, strict=True)]
        bounds, is_fixed = problem.bounds, bool(self.parametrisation.fixed)
        keeps_order = is_fixed or bounds.tell_components_apart or problem.penalties.tell_components_apart
        order = np.arange(problem.rank) if keeps_order else self._order(silent)
        keeps_signs = is_fixed or bounds.hold_some_rows
        signs = np.ones((len(silent), problem.rank)) if keeps_signs else self._signs(silent)
        turned = [np.asarray((a * s)[:, order], a.dtype) for a, s in zip(silent, signs, strict=True)]
        fitted = [np.ascontiguousarray(a[:, order]) for a in inside]
        sides = [side[:, order] for side in problem.bounds.of_rows()]
        unknown, losses = self.unknown(problem.labels), problem.fitted_losses
        models = {}
        for name, part in zip(problem.tensor.tensors, problem.plain.summands, strict=True):
            weights, unit, _ = normalize(part.own(turned), keep_order=True, fix_signs=False)
            labels = problem.labels_of(name)
            intercept, effects = self._effects(name, part, factors)
            models[name] = Model(
                intercept=intercept,
                main_effects={labels.names[k]: vector for k, vector in effects.items()},
                weights=weights,
                factors=unit,
                loss=losses[name],
                labels=labels,
                unknown=_own_unknown(part, unknown, problem.labels.names),
                fitted_factors=part.own(fitted),
                row_bounds=[sides[n] for n in part.modes],
                problem=problem.describe_tensor(name),
            )
        norms = [np.linalg.norm(a, axis=0) for a in turned]
        units = [
            a / np.where(norm > 0, norm, 1).astype(a.dtype) for a, norm in zip(turned, norms, strict=True)
        ]
        return CoupledModels(units, models, fitted, unknown)

    def _effects(self, name: str, part: Summand, factors: Factors) -> tuple[float, dict[int, FloatArray]]:
        """Return a tensor's intercept and main effects, (I_n,) by its own mode, of factors (I_n, R + effects)."""
        own = self.problem.own_effects(name)
        if own is None:
            return 0.0, {}
        columns = self.problem.columns_of[name]
        vectors = own.vectors([a[:, columns] for a in part.own(factors)])
        return own.centred(vectors, part.data.known_positions())

    def _order(self, factors: Factors) -> Array:
        """Return the components (R,) by falling share of the weights of all tensors."""
        total = np.zeros(self.problem.rank)
        for part in self.problem.plain.summands:
            norms = np.prod([np.linalg.norm(a, axis=0) for a in part.own(factors)], axis=0, dtype=float)
            total += norms / max(float(norms.sum()), np.finfo(float).tiny)
        return np.argsort(-total, kind="stable")

    def _signs(self, factors: Factors) -> FloatArray:
        """Return signs (N, R) that leave all models as they are, and make the largest entry of columns positive.

        That is so in all modes but as many as tensors tell apart, which take what is left: the last ones, private
        modes before shared ones.
        """
        modes = self.problem.tensor.modes.values()
        order = sorted(range(len(factors)), key=lambda n: (n not in self.problem.tensor.shared, n))
        rules = [
            sum(1 << order.index(n) for n in own) for own in modes
        ]  # of each tensor an even number changes
        pivots: dict[int, int] = {}
        for rule in rules:
            while rule and (last := rule.bit_length() - 1) in pivots:
                rule ^= pivots[last]
            if rule:
                pivots[rule.bit_length() - 1] = rule
        columns = np.arange(self.problem.rank)
        changes = np.array([a[np.argmax(np.abs(a), axis=0), columns] < 0 for a in factors])
        for last in sorted(pivots):
            others = [order[k] for k in range(last) if pivots[last] >> k & 1]
            changes[order[last]] = np.logical_xor.reduce(changes[others], axis=0)
        return np.where(changes, -1.0, 1.0)


def _is_free(part: Summand) -> bool:
    return bool(part.objective.loss.model_domain.low < 0)


def _drawn(
    part: Summand, rank: int, bounds: Bounds, rng: np.random.Generator, *, beside_effects: bool
) -> list[FloatArray]:
    """Return random factors of one tensor, shapes (I_n, R)."""
    one: Any = part.objective
    if isinstance(one, SumObjective):
        return random_of_positions(one, rank, bounds, rng)
    assert isinstance(one, EntrywiseObjective)
    return random_factors(one, rank, bounds, rng, beside_effects=beside_effects)


def _size(factors: Factors) -> float:
    """Return the norm of the model of factors (I_n, R)."""
    gram = np.prod([np.asarray(a, dtype=float).T @ a for a in factors], axis=0)
    return float(np.sqrt(max(gram.sum(), 0.0)))


def _own_unknown(part: Summand, unknown: dict[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    """Return, by mode, a tensor's own positions whose rows nothing determines."""
    found = {}
    for n, k in zip(part.modes, part.positions, strict=True):
        if names[n] in unknown:
            own = unknown[names[n]] if k is None else np.flatnonzero(np.isin(k, unknown[names[n]]))
            if own.size:
                found[names[n]] = own
    return found
