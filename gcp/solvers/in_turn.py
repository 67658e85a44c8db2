"""Methods in turn, as one run."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from gcp.base.types import Factors
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.solvers.base import Callback, IterationState, SolverOutput, Trace
from gcp.solvers.journal import Journal
from gcp.solvers.run import GAVE_UP, Method


def in_turn(
    methods: Sequence[tuple[str, Method, int]],
    objective: Objective,
    start: Factors,
    bounds: Bounds,
    callback: Callback | None,
    journal: Journal,
) -> SolverOutput:
    """The outcome of methods, given with a name and the most iterations of each, as one run within their limits.

    Each begins where the one before gave up, if it did.
    """
    began, found = time.perf_counter(), None
    for name, method, most in methods:
        left, seconds, ask = method.n_iter_max, method.max_seconds, callback
        if found is not None:
            if found.status not in GAVE_UP or found.n_iter >= method.n_iter_max:
                break
            left, seconds = left - found.n_iter, seconds_left(seconds, began)
            start, ask = found.factors, continued(callback, found)
        limited = replace(method, n_iter_max=min(most, left), max_seconds=seconds)
        output = journal.stage(name, partial(limited.solve, objective, start, bounds, ask), limited, start)
        found = output if found is None else joined(found, output)
    assert found is not None
    return found


def continued(callback: Callback | None, first: SolverOutput) -> Callback | None:
    """The callback, with states that count on from the end of the first method."""
    if callback is None:
        return None
    ask = callback

    def on(state: IterationState) -> bool | None:
        return ask(
            replace(
                state,
                iteration=state.iteration + first.n_iter,
                n_eval=state.n_eval + first.n_eval,
                seconds=state.seconds + first.trace.seconds[-1],
            )
        )

    return on


def joined(first: SolverOutput, second: SolverOutput) -> SolverOutput:
    """The second output, with the effort of both; the start of the second is the end of the first."""
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


def seconds_left(max_seconds: float | None, began: float) -> float | None:
    """What is left of the time, which began at this reading of `time.perf_counter`."""
    return None if max_seconds is None else max(max_seconds - (time.perf_counter() - began), 0.0)
