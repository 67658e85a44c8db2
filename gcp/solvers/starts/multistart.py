"""The starts of a fit: where each begins, how it runs, and what is left of it when it is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from gcp.base.errors import FitError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.signals import uninterrupted_compilation
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.free import FreeFactors
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views.sampled import Seeds
from gcp.solvers import Solver
from gcp.solvers.base import lacking
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import IterationState, SolverOutput, Trace
from gcp.solvers.starts.initial import given_factors, random_factors, svd_factors
from gcp.solvers.starts.settling import settled, with_advice

_CLEAR = 1e-2
"""What components must gain, relative to main effects, before these are not fitted to the end for comparison."""

INTERRUPTED = "the fit was interrupted; this is the best model so far"


@dataclass(frozen=True)
class Job:
    """What all starts of a fit share."""

    objective: EntrywiseObjective
    rank: int
    init: Any
    bounds: Bounds
    fixed: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    solver: Solver
    seed: int
    effect_modes: tuple[int, ...]

    @cached_property
    def effects(self) -> MainEffects | None:
        """Which columns of the factors are main effects."""
        return MainEffects(self.effect_modes, self.rank) if self.effect_modes else None

    @cached_property
    def known(self) -> list[Array]:
        """Of each mode, the positions that the data (a tied mode's too) or fixed factors tell something of."""
        known = self.objective.survey.known or self.objective.tensor.known_positions()
        found = [np.ones_like(mask) for mask in known]
        for group in self.groups:
            shared = np.logical_or.reduce([known[mode] for mode in group])
            for mode in group:
                found[mode] = shared
        return found

    def unknown(self, labels: ModeLabels) -> dict[str, Array]:
        """By the mode's name, positions whose rows neither the data nor a penalty that pulls them to 0 determine."""
        penalties = self.objective.penalties
        if penalties.prefer_balance and not penalties.fill_rows and self.allows_zeros:
            return {}
        named = zip(labels.names, self.known, strict=True)
        return {name: np.flatnonzero(~mask) for name, mask in named if not mask.all()}

    @cached_property
    def allows_zeros(self) -> bool:
        """Whether bounds let components vanish."""
        zeros = [np.zeros_like(a) for a in self.bounds.lower]
        return all(np.array_equal(a, b) for a, b in zip(self.bounds.project(zeros), zeros, strict=True))

    def sampling_seeds(self, index: int) -> Seeds:
        """For stochastic solvers: the sample that judges is common to all starts, the batches are a start's own."""
        keys = (0, 1), (index, 2)
        fixed, batches = (np.random.SeedSequence(self.seed, spawn_key=key) for key in keys)
        return fixed, batches

    def problem(
        self, start: Factors, effects: MainEffects | None, index: int = 0
    ) -> tuple[FreeFactors, Bounds]:
        """What a solver minimises, and within which bounds, from such factors on."""
        if effects is None:
            return FreeFactors(self.objective, self.groups, start, self.sampling_seeds(index)), self.bounds
        lower, upper = (
            [a[:, : effects.rank] for a in side] for side in (self.bounds.lower, self.bounds.upper)
        )
        floor = 0.0 if self.objective.loss.model_domain.low >= 0 else -np.inf
        bounds = Bounds(*effects.limits(lower, upper, floor))
        objective = self.objective.with_effects(effects)
        return FreeFactors(objective, self.groups, start, self.sampling_seeds(index)), bounds

    def additive_start(self) -> list[FloatArray]:
        """Main effects alone, whose model is the best constant."""
        shape = self.objective.tensor.shape
        constant = self.objective.null_constant / len(self.effect_modes)
        vectors = [np.full(size, constant if n in self.effect_modes else 0.0) for n, size in enumerate(shape)]
        none = [np.zeros((size, 0)) for size in shape]
        return self.typed(MainEffects(self.effect_modes, 0).joined(none, vectors))

    def start(self, index: int) -> list[FloatArray]:
        """All factors at the beginning of a start; main effects, if there are any, make the best constant."""
        components = self._components(index)
        if self.effects is None:
            return components
        vectors = MainEffects(self.effect_modes, 0).vectors(self.additive_start())
        given = getattr(self.init, "main_effects", None)
        if index == 0 and given:
            names = self.init.labels.names
            known = {n: given[names[n]] for n in self.effect_modes if names[n] in given}
            vectors = self.effects.uncentred(self.init.intercept, known, self.objective.tensor.shape)
            if self.objective.loss.model_domain.low >= 0:
                vectors = self.effects.lifted(vectors)
        return self.typed(self.effects.joined(components, vectors))

    def typed(self, factors: Factors) -> list[FloatArray]:
        """The factors in the type of the data's arithmetic."""
        return [np.asarray(a).astype(self.objective.tensor.dtype) for a in factors]

    def _components(self, index: int) -> list[FloatArray]:
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        is_named = isinstance(self.init, str)
        if is_named and self.init not in ("random", "svd"):
            raise ParameterError(f'Unknown init {self.init!r}: expected "random", "svd" or a model.')
        if is_named and self.fixed:
            raise ParameterError("fixed_modes needs init to give the fixed factors, e.g. init=[a, b, c].")
        if index == 0 and not (is_named and self.init == "random"):
            factors = self._svd(rng) if is_named else self._given()
        else:
            beside = bool(self.effect_modes)
            factors = random_factors(self.objective, self.rank, self.bounds, rng, beside_effects=beside)
        if self.fixed and index > 0:
            given = self._given()
            for mode in self.fixed:
                factors[mode] = given[mode]
        for group in self.groups:  # tied modes begin, and stay, equal
            for mode in group[1:]:
                factors[mode] = factors[group[0]]
        return self.typed(self.silenced(factors))

    def silenced(self, factors: list[FloatArray]) -> list[FloatArray]:
        """Components with rows of 0, or as near as bounds allow, where nothing is known.

        No gradient moves these, but that of a Dirichlet prior, which wants them near the mean row.
        """
        if all(mask.all() for mask in self.known):
            return factors
        silenced = []
        for a, mask in zip(factors, self.known, strict=True):
            row = a[mask].mean(axis=0) if self.objective.penalties.fill_rows else 0.0
            silenced.append(np.where(mask[:, None], a, row))
        return self.bounds.project(silenced)

    def _svd(self, rng: np.random.Generator) -> list[FloatArray]:
        return svd_factors(self.objective, self.rank, self.bounds, rng)

    def _given(self) -> list[FloatArray]:
        tensor = self.objective.tensor
        factors = given_factors(self.init, tensor.shape, self.rank, self.groups, tensor.labels)
        factors = self._turned(factors)
        inside = self.bounds.project(factors)
        for mode in self.fixed:
            if not np.array_equal(inside[mode], factors[mode]):
                raise ParameterError(
                    f"The fixed factor of mode {mode} lies outside its bounds; for the "
                    f"{self.objective.loss.name} loss these are {self.objective.loss.model_domain} by default."
                )
        return inside

    def _turned(self, factors: list[FloatArray]) -> list[FloatArray]:
        """The same model with signs that suit bounds at 0: columns change theirs in pairs of modes.

        Of an odd number of columns that are negative rather than positive, the one that is so least is left.
        """
        own = [group[0] for group in self.groups if len(group) == 1]
        modes = [
            n for n in own if not np.any(self.bounds.lower[n]) and np.isposinf(self.bounds.upper[n]).all()
        ]
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


@uninterrupted_compilation()
def run_starts(
    job: Job, n_starts: int, observer: Observer
) -> tuple[list[SolverOutput], KeyboardInterrupt | FitError | None]:
    """The outcome of every start, and what cut them short: an interrupt, or that the fit could not be continued.

    With main effects, the additive model comes last, as one more outcome if no start ends below it.
    """
    outputs: list[SolverOutput] = []
    for index in range(n_starts):
        if index and observer.is_late():
            break
        watch = _StartWatch(index, observer)
        try:
            start = job.start(index)
            run = partial(_from_start, job, start=start, index=index, solver=job.solver, watch=watch)
            with _memory_reported(job):
                found = observer.stage(f"start {index}", run, job.solver, start, repr(job.objective.loss))
            outputs.append(found)
        except (KeyboardInterrupt, FitError) as end:
            latest = watch.interrupted()
            if not (outputs or latest):
                raise
            return outputs + latest, end
        if found.status == "callback":
            break
    if job.effects is not None and job.rank and outputs[-1].status != "callback":
        try:
            with _memory_reported(job):
                outputs += _better_additive(job, outputs, observer)
        except (KeyboardInterrupt, FitError) as end:
            return outputs, end
    return outputs, None


@contextmanager
def _memory_reported(job: Job) -> Iterator[None]:
    """`FitError` in place of what Python raises where memory ends."""
    try:
        yield
    except MemoryError as error:
        raise FitError(
            f"Memory ran out in a fit of rank {job.rank} ({error}): take a lower rank, data in float32, or another "
            "solver; lbfgsb and adam need least."
        ) from error


def _from_start(
    job: Job,
    observer: Observer,
    *,
    start: list[FloatArray],
    index: int,
    solver: Solver,
    watch: _StartWatch,
) -> SolverOutput:
    """The settled outcome of one start."""
    free, bounds = job.problem(start, job.effects, index)
    found = settled(job, free, job.effects, _solve(solver, free, start, bounds, watch, observer))
    return with_advice(job, found)


def _better_additive(job: Job, outputs: list[SolverOutput], observer: Observer) -> list[SolverOutput]:
    """The additive model as one more outcome, if it is better than the others and components may be 0.

    It is fitted roughly first: mostly that shows that it is not.
    """
    whole, zeros = job.objective, [np.zeros_like(a) for a in job.bounds.lower]
    if job.effects is None or not (job.groups and job.allows_zeros and whole.is_exact_affordable):
        return []
    alone, observer = replace(job, rank=0), replace(observer, callback=None)
    best, start = min(output.objective for output in outputs), job.additive_start()
    for name, method in (("additive, roughly", _roughly(job.solver)), ("additive", job.solver)):
        watch = _StartWatch(0, observer)
        run = partial(_from_start, alone, start=start, index=0, solver=method, watch=watch)
        found = observer.stage(name, run, method, start, repr(whole.loss))
        # The factors of free modes are 0, which switches components off; fixed ones keep their penalty.
        given = outputs[0].factors  # in all outcomes the same
        components = [given[n][:, : job.rank] if n in job.fixed else z for n, z in enumerate(zeros)]
        vectors = MainEffects(job.effect_modes, 0).vectors(found.factors)
        factors = job.typed(job.effects.joined(components, vectors))
        value, _ = whole.with_effects(job.effects).value_and_grad(factors)
        if best < value - _CLEAR * abs(whole.null_value - value):
            return []
        start = found.factors
    return [replace(found, factors=factors, objective=value)] if value < best else []


def _roughly(solver: Solver) -> Solver:
    """The solver, content with less."""
    tol = getattr(solver, "tol", None)
    return solver if tol is None else replace(solver, tol=max(tol, 1e-4))  # type: ignore[type-var]


def _solve(
    solver: Solver,
    free: FreeFactors,
    start: list[FloatArray],
    bounds: Bounds,
    watch: _StartWatch,
    observer: Observer,
) -> SolverOutput:
    if free.groups:
        if reason := lacking(solver, free):
            raise ParameterError(reason)
        watch.free = free
        own = replace(observer, callback=watch, report=None)
        found = solver.solve(free, free.reduce(start), bounds.select(free.groups), own)
        return watch.with_reason(found)
    value, _ = free.value_and_grad([])
    message = "every mode is fixed: nothing to fit"
    return SolverOutput([], value, 0.0, True, "converged", message, 0, 1, Trace([0.0], [value], [0.0]), "")


class _StartWatch:
    """The callback of one start: hands on states in all factors, and remembers the latest model."""

    def __init__(self, index: int, observer: Observer) -> None:
        self.index, self.observer = index, observer
        self.free: FreeFactors | None = None
        self.is_asked = False
        self.latest: IterationState | None = None
        self.trace = Trace()

    def __call__(self, state: IterationState) -> bool:
        assert self.free is not None
        factors = [a.copy() for a in self.free.expand(state.factors)]
        state = replace(state, start=self.index, factors=factors)
        self.latest = state
        self.trace.add(state.seconds, state.objective, state.projected_gradient_norm)
        self.is_asked = self.observer.asks(state)
        return self.is_asked

    def with_reason(self, found: SolverOutput) -> SolverOutput:
        """The outcome with the reason for which it was asked to stop: solvers see only that they were."""
        if found.converged or (found.status == "callback") == self.is_asked:
            return found
        return replace(found, status="callback" if self.is_asked else "max_seconds")

    def interrupted(self) -> list[SolverOutput]:
        """The latest model as the outcome of a start that was cut short."""
        last = self.latest
        if last is None:
            return []
        output = SolverOutput(
            last.factors,
            last.objective,
            last.projected_gradient_norm,
            False,
            "interrupted",
            INTERRUPTED + ("; F is an estimate from a sample" if last.is_estimate else ""),
            last.iteration,
            last.n_eval,
            self.trace,
            "",
        )
        return [output]
