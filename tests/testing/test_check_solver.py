"""Rung 5: `check_solver` on every solver with a name, and on solvers with one fault each, which it must name."""

import time
from dataclasses import dataclass

import numpy as np
import pytest

import gcp
from gcp.solvers import available_solvers, get_solver
from gcp.solvers.outcome import IterationState, SolverOutput, Trace
from gcp.testing import check_solver

OF_FEW_STEPS = {"adam": gcp.Adam(epoch_iters=100)}
"""By default an iteration is a thousand steps."""


@pytest.mark.parametrize("name", available_solvers())
def test_every_solver_is_right(name):
    check_solver(OF_FEW_STEPS.get(name) or get_solver(name))


@dataclass(frozen=True)
class Steepest:
    """Steepest descent with a step that is halved until the objective falls, and one fault if it is asked for."""

    fault: str = ""
    n_iter_max: int = 3000
    tol: float = 1e-12

    def solve(self, objective, start, bounds, observer):
        began, factors, trace, step = time.perf_counter(), list(start), Trace(), 0.1
        if self.fault == "random":
            factors = [a * np.random.default_rng().uniform(0.9, 1.1) for a in factors]
        value, grad = objective.value_and_grad(factors)
        trace.add(0.0, value, 0.0)
        status, n = "n_iter_max", 0
        for n in range(1, self.n_iter_max + 1):
            change, step = 0.0, 2 * step
            while step > 1e-12:
                trial = [a - step * g for a, g in zip(factors, grad, strict=True)]
                trial = trial if self.fault == "bounds" else bounds.project(trial)
                trial = [b.astype(a.dtype) for a, b in zip(factors, trial, strict=True)]  # bounds are float64
                lower, slope = objective.value_and_grad(trial)
                if lower <= value:
                    change, value, factors, grad = value - lower, lower, trial, slope
                    break
                step /= 2
            told = value * (1.01 if self.fault == "value" else 1.0)
            seconds = time.perf_counter() - began
            trace.add(0.0, value, 0.0)
            asked = observer(IterationState(n, told, 0.0, seconds, [a.copy() for a in factors], n))
            if asked and self.fault != "deaf":
                status = "callback"
                break
            if change <= self.tol * abs(value) or (self.fault == "early" and n == 3):
                status = "converged"
                break
        return SolverOutput(
            factors, value, 0.0, status == "converged", status, status, n, n, trace, "Steepest"
        )


def test_a_solver_of_a_users_own_is_right():
    check_solver(Steepest())


FAULTS = {
    "bounds": r"iteration 1 leaves the bounds \[0.1, 1.2\] in mode",
    "value": "iteration 1 reports an objective that is not that of its factors",
    "deaf": "goes on after a callback returned True",
    "random": "gives another result at the second fit",
    "early": "where the normal equations of a ridge regression give",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault):
    with pytest.raises(AssertionError, match=FAULTS[fault]):
        check_solver(Steepest(fault))


def test_it_takes_only_solvers():
    for given in ("adam", gcp.Adam, 3):
        with pytest.raises(gcp.ParameterError, match="solver must be an instance"):
            check_solver(given)
