"""The starts of a fit: how each runs, and what is left of it when it is cut short."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from gcp.base.errors import FitError, ParameterError
from gcp.base.signals import uninterrupted_compilation
from gcp.base.table_result import Table, Tabular, is_fact
from gcp.base.types import FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.free import FreeFactors
from gcp.objectives.model import Model
from gcp.objectives.terms.main_effects import MainEffects
from gcp.solvers import Solver
from gcp.solvers.base import Options, lacking
from gcp.solvers.exact import minimize
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import IterationState, Later, SolverOutput, Trace
from gcp.solvers.starts.balancing import balanced, with_advice
from gcp.solvers.starts.search import Search

_CLEAR = 1e-2
"""Gain of components over main effects from which on the latter are not fitted to the end for comparison."""

_NEAR_BY = Options(n_iter_max=100, tol=1e-4)
"""How well the convex loss near to one that is not is minimised."""

INTERRUPTED = "the fit was interrupted; this is the best model so far"


@dataclass(frozen=True, eq=False)
class Outcome:
    """The ends of all starts of a search.

    Attributes
    ----------
    search : Search
    outputs : list of SolverOutput
    cut : KeyboardInterrupt, FitError or None
        What cut them short: an interrupt, or that the fit could not be continued.
    """

    search: Search
    outputs: list[SolverOutput]
    cut: KeyboardInterrupt | FitError | None

    @property
    def best(self) -> SolverOutput:
        """The output with the lowest objective."""
        return min(self.outputs, key=lambda output: output.objective)

    @cached_property
    def model(self) -> Model:
        """The model of the best output."""
        return self.search.model(self.best.factors)

    @property
    def status(self) -> str:
        """Why the best start ended, or "interrupted"."""
        return "interrupted" if self.cut is not None else self.best.status


@uninterrupted_compilation()
def run_starts(search: Search, observer: Observer) -> Outcome:
    """Minimise from every start.

    With main effects, the additive model comes last, as one more output if no start ends below it.
    """
    outputs: list[SolverOutput] = []
    for index in range(search.n_starts):
        if index and observer.is_late():
            break
        watch = _StartWatch(index, observer)
        try:
            start = search.start(index)
            run = partial(_from_start, search, start=start, index=index, solver=search.solver, watch=watch)
            with _memory_reported(search):
                found = observer.stage(
                    f"start {index}", run, search.solver, start, repr(search.objective.loss)
                )
            outputs.append(found)
        except (KeyboardInterrupt, FitError) as end:
            latest = watch.interrupted()
            if not (outputs or latest):
                raise
            return Outcome(search, outputs + latest, end)
        if found.status == "callback":
            break
    problem = search.problem
    if problem.effects is not None and problem.rank and outputs[-1].status != "callback":
        try:
            with _memory_reported(search):
                outputs += _better_additive(search, outputs, observer)
        except (KeyboardInterrupt, FitError) as end:
            return Outcome(search, outputs, end)
    return Outcome(search, outputs, None)


@contextmanager
def _memory_reported(search: Search) -> Iterator[None]:
    """Raise `FitError` in place of what Python raises where memory ends."""
    try:
        yield
    except MemoryError as error:
        raise FitError(
            f"Memory ran out in a fit of rank {search.problem.rank} ({error}): take a lower rank, data in float32, "
            "or another solver; lbfgsb and adam need least."
        ) from error


def _from_start(
    search: Search,
    observer: Observer,
    *,
    start: list[FloatArray],
    index: int,
    solver: Solver,
    watch: _StartWatch,
) -> SolverOutput:
    """Return the balanced outcome of one start, factors of shapes (I_n, R)."""
    free, bounds = search.free(start, index)
    if index or isinstance(search.init, str):
        start = _begun(free, start, bounds, observer)
    found = balanced(search, free, _solve(solver, free, start, bounds, watch, observer))
    return with_advice(search, found)


def _begun(
    free: FreeFactors, start: list[FloatArray], bounds: Bounds, observer: Observer
) -> list[FloatArray]:
    """Return the start itself, factors (I_n, R), or what it leads to under a convex loss near to one that is not."""
    near = free.convex()
    if near is None or near.lacks(Feature.EXACT) or not free.parametrisation.groups:
        return start
    run = partial(minimize, _NEAR_BY, near, free.reduce(start), free.parametrisation.bounds(bounds))
    return free.expand(observer.unseen().stage("convex", run, _NEAR_BY, start).factors)


def _better_additive(search: Search, outputs: list[SolverOutput], observer: Observer) -> list[SolverOutput]:
    """Return the additive model's output in a list; empty unless it beats the others and components may be 0.

    It is fitted roughly first: mostly that shows that it is not.
    """
    problem, whole = search.problem, search.objective
    has_free = bool(search.parametrisation.groups)
    if problem.effects is None or not (has_free and problem.allows_zeros and whole.is_exact_affordable):
        return []
    alone, observer = replace(search, problem=problem.of_effects_alone()), replace(observer, callback=None)
    best, start = min(output.objective for output in outputs), search.additive_start()
    for name, method in (("additive, roughly", _roughly(search.solver)), ("additive", search.solver)):
        watch = _StartWatch(0, observer)
        run = partial(_from_start, alone, start=start, index=0, solver=method, watch=watch)
        found = observer.stage(name, run, method, start, repr(whole.loss))
        # The factors of free modes are 0, which switches components off; fixed ones keep their penalty.
        given, fixed = outputs[0].factors, search.parametrisation.fixed  # in all outputs the same
        zeros = [np.zeros_like(a) for a in problem.bounds.lower]
        components = [given[n][:, : problem.rank] if n in fixed else z for n, z in enumerate(zeros)]
        vectors = MainEffects(problem.effect_modes, 0).vectors(found.factors)
        factors = search.typed(problem.effects.joined(components, vectors))
        value, _ = whole.with_effects(problem.effects).value_and_grad(factors)
        if best < value - _CLEAR * abs(whole.null_value - value):
            return []
        start = found.factors
    return [replace(found, factors=factors, objective=value)] if value < best else []


def _roughly(solver: Solver) -> Solver:
    """Return the solver, content with less."""
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
    """Return the solver's outcome from one start, factors of shapes (I_n, R)."""
    if free.parametrisation.groups:
        if reason := lacking(solver, free):
            raise ParameterError(reason)
        watch.free = free
        own = replace(observer, callback=watch, report=None)
        found = solver.solve(free, free.reduce(start), free.parametrisation.bounds(bounds), own)
        return watch.with_reason(found)
    value, _ = free.value_and_grad([])
    message = "every mode is fixed: nothing to fit"
    return SolverOutput([], value, 0.0, True, "converged", message, 0, 1, Trace([0.0], [value], [0.0]), "")


class Starts(list[dict[str, Any]], Tabular):
    """What became of every start of a fit, a dict for each; see `FitResult.starts`."""

    __repr__ = Tabular.__repr__

    def _table(self) -> Table:
        names = [name for name, value in self[0].items() if is_fact(value)] if self else []
        index = {"start": np.array([one["start"] for one in self])} if "start" in names else {}
        columns = {name: np.array([one.get(name) for one in self]) for name in names if name != "start"}
        return Table(columns, index)


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
        expand, found = self.free.expand, state.factors
        state = replace(state, start=self.index, factors=Later(lambda: [a.copy() for a in expand(found)]))
        self.latest = state
        self.trace.add(state.seconds, state.objective, state.projected_gradient_norm)
        self.is_asked = self.observer.asks(state)
        return self.is_asked

    def with_reason(self, found: SolverOutput) -> SolverOutput:
        """Return the outcome with the reason for which it was asked to stop: solvers see only that they were."""
        if found.converged or (found.status == "callback") == self.is_asked:
            return found
        return replace(found, status="callback" if self.is_asked else "max_seconds")

    def interrupted(self) -> list[SolverOutput]:
        """Return the latest model as the outcome of a start that was cut short."""
        last = self.latest
        if last is None:
            return []
        output = SolverOutput(
            list(last.factors),
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
