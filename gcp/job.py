"""The starts of a fit: where each begins, how it runs, and what is left of it when it is cut short."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gcp._typing import Factors, FloatArray
from gcp.bounds import Bounds
from gcp.effects import MainEffects
from gcp.errors import ParameterError
from gcp.kernels import compilation
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.free import FreeFactors
from gcp.objectives.sampled import Seeds
from gcp.progress import Reporter
from gcp.solvers import Solver
from gcp.solvers.base import IterationState, SolverOutput, Trace
from gcp.start import given_factors, random_factors, svd_factors

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
        return self._typed(MainEffects(self.effect_modes, 0).joined(none, vectors))

    def start(self, index: int, additive: Factors) -> list[FloatArray]:
        """All factors at the beginning of a start; main effects, if there are any, from the additive model."""
        components = self._components(index)
        if self.effects is None:
            return components
        vectors = MainEffects(self.effect_modes, 0).vectors(additive)
        given = getattr(self.init, "main_effects", None)
        if index == 0 and given:
            names = self.init.labels.names
            known = {n: given[names[n]] for n in self.effect_modes if names[n] in given}
            vectors = self.effects.uncentred(self.init.intercept, known, self.objective.tensor.shape)
        return self._typed(self.effects.joined(components, vectors))

    def _typed(self, factors: Factors) -> list[FloatArray]:
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
        return self._typed(factors)

    def _svd(self, rng: np.random.Generator) -> list[FloatArray]:
        return svd_factors(self.objective, self.rank, self.bounds, rng)

    def _given(self) -> list[FloatArray]:
        factors = given_factors(self.init, self.objective.tensor.shape, self.rank, self.groups)
        inside = self.bounds.project(factors)
        for mode in self.fixed:
            if not np.array_equal(inside[mode], factors[mode]):
                raise ParameterError(
                    f"The fixed factor of mode {mode} lies outside its bounds; for the "
                    f"{self.objective.loss.name} loss these are {self.objective.loss.model_domain} by default."
                )
        return inside


@compilation.interrupts_wait()
def run_starts(
    job: Job,
    n_starts: int,
    max_seconds: float | None,
    callback: Callable[[IterationState], bool | None] | None,
    progress: Reporter,
) -> tuple[list[SolverOutput], bool]:
    """The outcome of every start, and whether an interrupt cut them short.

    With main effects, the additive model comes first, as one more outcome if it is all that is asked for or if no
    start ends below it.
    """
    began = time.perf_counter()
    outputs: list[SolverOutput] = []
    additive = _fit_additive(job, max_seconds, callback if not job.rank else None, progress)
    if job.rank == 0 and additive is not None:
        return [additive], False
    for index in range(n_starts):
        solver = job.solver
        if max_seconds is not None:
            left = max_seconds - (time.perf_counter() - began)
            if index and left <= 0:
                break
            solver = replace(solver, max_seconds=max(left, 0.0))  # type: ignore[type-var]
        watch = None
        try:
            start = job.start(index, additive.factors if additive else [])
            free, bounds = job.problem(start, job.effects, index)
            watch = _Watch(free, index, callback, progress)
            found = _solve(solver, free, start, bounds, watch)
        except KeyboardInterrupt:
            latest = watch.interrupted() if watch else []
            if not (outputs or latest):
                raise
            return _with_additive(job, outputs + latest, additive), True
        outputs.append(_settled(job, free, job.effects, found))
        if found.status == "callback":
            break
    return _with_additive(job, outputs, additive), False


def _fit_additive(
    job: Job,
    max_seconds: float | None,
    callback: Callable[[IterationState], bool | None] | None,
    progress: Reporter,
) -> SolverOutput | None:
    """The model of main effects alone, if there are any."""
    if not job.effect_modes:
        return None
    solver = job.solver if max_seconds is None else replace(job.solver, max_seconds=max_seconds)  # type: ignore[type-var]
    start = job.additive_start()
    free, bounds = job.problem(start, MainEffects(job.effect_modes, 0))
    found = _solve(solver, free, start, bounds, _Watch(free, 0, callback, progress))
    return _settled(job, free, MainEffects(job.effect_modes, 0), found)


def _settled(job: Job, free: FreeFactors, effects: MainEffects | None, found: SolverOutput) -> SolverOutput:
    """The outcome in all factors, with the means of all main effects in the first mode's, where no ridge is on them.

    The model stays the same. Nonnegative effects stay as they are.
    """
    found = replace(found, factors=free.expand(found.factors))
    if effects is None or job.objective.loss.model_domain.low >= 0 or not job.objective.is_exact_affordable:
        return found
    intercept, centred = effects.centred(effects.vectors(found.factors))
    shape = [len(a) for a in found.factors]
    vectors = effects.uncentred(intercept, centred, shape)
    factors = effects.joined(effects.components(found.factors), vectors)
    value, _ = free.objective.value_and_grad(factors)
    if not value <= found.objective:
        return found
    found.trace.objective[-1] = value
    return replace(found, factors=factors, objective=value)


def _with_additive(
    job: Job, outputs: list[SolverOutput], additive: SolverOutput | None
) -> list[SolverOutput]:
    """The outcomes, and the additive model among them if it is the best and components may be 0."""
    if additive is None or job.effects is None or min(o.objective for o in outputs) <= additive.objective:
        return outputs
    zeros = [np.zeros((size, job.rank)) for size in job.objective.tensor.shape]
    if any((a != b).any() for a, b in zip(job.bounds.project(zeros), zeros, strict=True)):
        return outputs
    vectors = MainEffects(job.effect_modes, 0).vectors(additive.factors)
    return [*outputs, replace(additive, factors=job.effects.joined(zeros, vectors))]


def _solve(
    solver: Solver, free: FreeFactors, start: list[FloatArray], bounds: Bounds, watch: _Watch
) -> SolverOutput:
    if free.groups:
        return solver.solve(free, free.reduce(start), bounds.select(free.groups), watch)
    value, _ = free.value_and_grad([])
    message = "every mode is fixed: nothing to fit"
    return SolverOutput([], value, 0.0, True, "converged", message, 0, 1, Trace([0.0], [value], [0.0]), "")


class _Watch:
    """The callback of one start: reports, remembers the latest model, and asks the user's own callback."""

    def __init__(
        self,
        free: FreeFactors,
        index: int,
        callback: Callable[[IterationState], bool | None] | None,
        progress: Reporter,
    ) -> None:
        self.free = free
        self.index = index
        self.callback = callback
        self.progress = progress
        self.latest: IterationState | None = None
        self.trace = Trace()

    def __call__(self, state: IterationState) -> bool:
        factors = [a.copy() for a in self.free.expand(state.factors)]
        state = replace(state, start=self.index, factors=factors)
        self.latest = state
        self.trace.add(state.seconds, state.objective, state.projected_gradient_norm)
        self.progress.update(state)
        return self.callback is not None and bool(self.callback(state))

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
