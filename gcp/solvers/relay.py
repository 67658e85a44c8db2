"""Two methods in turn, as one run."""

from __future__ import annotations

import time
from dataclasses import replace

from gcp.solvers.base import Callback, IterationState, SolverOutput, Trace


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
