"""Solvers of a user's own have callback, time limit and checkpoint like any other."""

import gc
import signal
import time
from dataclasses import dataclass

import numpy as np
import pytest
from helpers import full, random_factors

from gcp import ALS, LBFGSB, Adam, ParameterError, PreconditionedLBFGS, RowNewton, fit_gcp, select_rank
from gcp.base.interval import REAL
from gcp.objectives.bounds import resolve
from gcp.objectives.build import build_objective
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.solvers import Auto
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import IterationState, SolverOutput, Trace
from gcp.solvers.run import Run


@dataclass(frozen=True)
class Descent:
    """Steepest descent, as a user would write it: it knows nothing of checkpoints or clocks."""

    n_iter_max: int = 40
    tol: float = 1e-12

    def solve(self, objective, start, bounds, callback=None):
        began, factors, trace, step = time.perf_counter(), list(start), Trace(), 1e-3
        value, grad = objective.value_and_grad(factors)
        trace.add(0.0, value, 0.0)
        status, n = "n_iter_max", 0
        for n in range(1, self.n_iter_max + 1):
            while True:
                trial = bounds.project([a - step * g for a, g in zip(factors, grad, strict=True)])
                lower, slope = objective.value_and_grad(trial)
                if lower <= value:
                    break
                step /= 2
            change, value, factors, grad, step = value - lower, lower, trial, slope, 1.5 * step
            seconds = time.perf_counter() - began
            trace.add(seconds, value, 0.0)
            if callback is not None and callback(IterationState(n, value, 0.0, seconds, factors, n)):
                status = "callback"
                break
            if change <= self.tol * abs(value):
                status = "converged"
                break
        converged = status == "converged"
        return SolverOutput(factors, value, 0.0, converged, status, status, n, n, trace, "Descent")


@pytest.fixture
def x(rng):
    return full(random_factors((6, 5, 4), 2, rng)) + 0.1 * rng.standard_normal((6, 5, 4))


def bits(result):
    return [a.tobytes() for a in (result.weights, *result.factors, result.trace["objective"])]


def test_a_solver_of_a_users_own_works_under_a_checkpoint(x, tmp_path):
    options = {"random_state": 0, "n_starts": 2, "solver": Descent(), "n_threads": 1}
    whole, path = fit_gcp(x, 2, **options), tmp_path / "a.npz"
    assert bits(fit_gcp(x, 2, checkpoint=path, **options)) == bits(whole)
    calls = []
    again = fit_gcp(x, 2, checkpoint=path, callback=lambda state: calls.append(state), **options)
    assert bits(again) == bits(whole)
    longer = fit_gcp(x, 2, checkpoint=path, **(options | {"n_iter_max": 60}))
    assert bits(longer) == bits(fit_gcp(x, 2, **(options | {"n_iter_max": 60})))
    assert calls == []  # what is over is not run again


def test_a_solver_of_a_users_own_works_in_a_search_with_a_folder(x, tmp_path):
    options = {"loss": "gaussian", "random_state": 0, "n_starts": 1, "solver": Descent(), "n_threads": 1}
    plain = select_rank(x, [1, 2], **options)
    kept = select_rank(x, [1, 2], folder=tmp_path / "search", **options)
    assert kept.rank == plain.rank
    assert kept.result.objective == plain.result.objective


@dataclass(frozen=True)
class Resumable(Descent):
    """The same with constant steps, of which it saves where they have led."""

    n_iter_max: int = 30
    step: float = 1e-3

    def solve(self, objective, start, bounds, observer):
        trace = Trace([0.0], [objective.value_and_grad(start)[0]], [0.0])
        factors, n, status = list(start), 0, "n_iter_max"
        if observer.state is not None:
            factors, n = observer.state["factors"], observer.state["n"]
            trace = Trace(**observer.state["trace"])
        while n < self.n_iter_max:
            observer.save(lambda f=factors, k=n: {"factors": f, "n": k, "trace": vars(trace)})
            _, grad = objective.value_and_grad(factors)
            factors = bounds.project([a - self.step * g for a, g in zip(factors, grad, strict=True)])
            n, value = n + 1, objective.value_and_grad(factors)[0]
            trace.add(float(n), value, 0.0)
            if observer(IterationState(n, value, 0.0, float(n), factors, n)):
                status = "callback"
                break
        return SolverOutput(factors, value, 0.0, False, status, "", n, n, trace, "Resumable")


class Killed(Exception):
    """Instead of a kill."""


@pytest.mark.parametrize("solver", [Descent(), Resumable()])
def test_a_fit_that_was_stopped_ends_with_the_same_bits(solver, x, tmp_path):
    options = {"random_state": 0, "n_starts": 2, "solver": solver, "n_threads": 1}
    whole, seen = fit_gcp(x, 2, **options), []

    def kill(state):
        seen.append((state.start, state.iteration))
        if len(seen) == 50:
            raise Killed

    path = {"checkpoint": tmp_path / "a.npz", "checkpoint_every": 0}
    with pytest.raises(Killed):
        fit_gcp(x, 2, callback=kill, **path, **options)
    first = len(seen)
    assert bits(fit_gcp(x, 2, callback=kill, **path, **options)) == bits(whole)
    if isinstance(solver, Resumable):  # goes on; the other begins its start anew
        assert seen[49:51] == [(1, 20), (1, 20)]
        assert len(seen) == first + 11


@pytest.mark.parametrize("solver", [Descent(), Resumable()])
def test_a_callback_and_the_clock_stop_it(solver, x):
    options = {"random_state": 0, "n_starts": 3, "solver": solver}
    asked = fit_gcp(x, 2, callback=lambda state: state.iteration == 4, **options)
    assert (asked.status, asked.n_iter, len(asked.starts)) == ("callback", 4, 1)
    late = fit_gcp(x, 2, max_seconds=0.0, **options)
    assert (late.status, late.n_iter, len(late.starts)) == ("max_seconds", 1, 1)
    with pytest.raises(ParameterError, match="max_seconds"):
        fit_gcp(x, 2, max_seconds=-1, **options)


@pytest.mark.parametrize("solver", [Descent(), Resumable()])
def test_an_interrupt_waits_for_the_end_of_an_iteration(solver, x, tmp_path):
    options = {"random_state": 0, "solver": solver, "n_threads": 1}
    passed = []

    def interrupt(state):
        if state.iteration == 5:
            signal.raise_signal(signal.SIGINT)
            passed.append(1)

    path = tmp_path / "a.npz"
    stopped = fit_gcp(x, 2, checkpoint=path, callback=interrupt, **options)
    assert (stopped.status, stopped.n_iter, passed) == ("interrupted", 5, [1])
    assert bits(fit_gcp(x, 2, checkpoint=path, **options)) == bits(fit_gcp(x, 2, **options))


def test_an_observer_counts_on_from_the_end_of_another_method(rng):
    seen = []
    first = SolverOutput(
        [], 1.0, 0.0, False, "stalled", "", 7, 20, Trace([0.0, 3.0], [2.0, 1.0], [0.0, 0.0]), ""
    )
    observer = Observer(lambda state: state.iteration > 8, seen.append)
    state = IterationState(1, 0.5, 0.0, 0.25, [], 2)
    assert not observer.after(first)(state)
    assert observer.after(first)(IterationState(2, 0.4, 0.0, 0.5, [], 3))
    assert [(s.iteration, s.n_eval, s.seconds) for s in seen] == [(8, 22, 3.25), (9, 23, 3.5)]
    assert not observer.unseen()(IterationState(9, 0.4, 0.0, 0.5, [], 3))
    assert len(seen) == 2


def test_solvers_take_a_plain_callback(rng):
    whole = build_objective(rng.normal(size=(4, 3)), "gaussian")
    start = [rng.normal(size=(4, 1)), rng.normal(size=(3, 1))]
    objective = FreeFactors(whole, Parametrisation(len(start), ((0,), (1,))), start)
    bounds = resolve(None, [a.shape for a in start], REAL, "gaussian")
    for solver in (LBFGSB(), ALS(), Auto(), PreconditionedLBFGS(), RowNewton(), Adam()):
        seen = []
        found = solver.solve(
            objective, start, bounds, lambda state, seen=seen: seen.append(state) or len(seen) == 2
        )
        assert (found.status, len(seen)) == ("callback", 2)


@pytest.mark.parametrize("solver", ["auto", "plbfgs", "lbfgsb", "rows"])
def test_a_solver_is_gone_when_its_fit_is(solver, rng):
    """States make their factors late, but keep nothing of the solver for it: a circle would hold its memory."""
    gc.collect()
    gc.disable()
    try:
        fit_gcp(rng.poisson(2.0, (9, 8, 7)).astype(float), 2, loss="poisson", random_state=0, solver=solver)
        assert not [one for one in gc.get_objects() if issubclass(type(one), Run)]
    finally:
        gc.enable()


@pytest.mark.parametrize("solver", ["auto", "plbfgs", "lbfgsb", "rows"])
def test_factors_of_a_state_are_those_of_its_time(solver, rng):
    """Looked at when the fit is over, or at once."""
    x, states, at_once = rng.poisson(2.0, (9, 8, 7)).astype(float), [], []
    options = {"loss": "poisson", "random_state": 0, "solver": solver, "n_iter_max": 8}
    fit_gcp(x, 2, callback=states.append, **options)
    fit_gcp(x, 2, callback=lambda state: at_once.append([a.copy() for a in state.factors]), **options)
    for state, factors in zip(states, at_once, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(state.factors, factors, strict=True))
