"""Several methods, each from where the one before gave up, as one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gcp.base.types import Factors
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.solvers.base import Method
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import SolverOutput, Trace
from gcp.solvers.run import GAVE_UP


def run_in_sequence(
    methods: Sequence[tuple[str, Method, int]],
    objective: Objective,
    start: Factors,
    bounds: Bounds,
    observer: Observer,
) -> SolverOutput:
    """Return the outcome of methods, one after the other from `start`, shapes (I_n, R), as one run.

    Each is given with a name and its most iterations; the limits are those of all together. Each begins where the one
    before gave up, if it did.
    """
    found = None
    for name, method, most in methods:
        left, own = method.n_iter_max, observer
        if found is not None:
            if found.status not in GAVE_UP or found.n_iter >= method.n_iter_max:
                break
            left, start, own = left - found.n_iter, found.factors, observer.after(found)
        limited = replace(method, n_iter_max=min(most, left))
        output = own.stage(name, partial(limited.solve, objective, start, bounds), limited, start)
        found = output if found is None else joined(found, output)
    assert found is not None
    return found


def joined(first: SolverOutput, second: SolverOutput) -> SolverOutput:
    """Return the second output, with the effort of both; the start of the second is the end of the first."""
    spent = first.trace.seconds[-1]
    trace = Trace(
        [*first.trace.seconds, *(spent + s for s in second.trace.seconds[1:])],
        [*first.trace.objective, *second.trace.objective[1:]],
        [*first.trace.projected_gradient_norm, *second.trace.projected_gradient_norm[1:]],
    )
    return replace(
        second,
        n_iter=first.n_iter + second.n_iter,
        n_eval=first.n_eval + second.n_eval,
        trace=trace,
        method=f"{first.method}, then {second.method}",
    )
