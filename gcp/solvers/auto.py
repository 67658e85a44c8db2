"""The method that suits the problem."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gcp._typing import Factors
from gcp.bounds import Bounds
from gcp.objectives.base import Objective
from gcp.solvers import als, rows
from gcp.solvers.base import Callback, IterationState, SolverOutput, Trace
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.run import Options

_SWEEPS = 40
"""Sweeps after which alternating least squares counts as slow."""


@dataclass(frozen=True)
class Auto(Options):
    """The method that suits the problem.

    Of dense data, `ALS` for the Gaussian loss on complete data without entry weights, finite bounds and tied modes,
    and `PreconditionedLBFGS` from there if that has not converged after 40 sweeps; `PreconditionedLBFGS` for
    everything else. Of lists of entries, `RowNewton` where it applies, else `LBFGSB`.

    Parameters
    ----------
    n_iter_max : int
        Most iterations, of both methods together.
    tol : float
        Stop when the objective fell, per iteration and on average over the last five, by less than `tol` times
        its excess over the saturated model (one free at every entry). In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`) is below this. In float32 at least
        1e-5.
    max_seconds : float or None
        Stop after this time, at the end of an iteration.

    Notes
    -----
    The methods were chosen by races (docs/decisions/0011-auto.md). The result's
    ``settings["solver"]["method"]`` says what ran.
    """

    def solve(
        self, objective: Objective, start: Factors, bounds: Bounds, callback: Callback | None = None
    ) -> SolverOutput:
        """Minimise from `start` within `bounds`.

        Raises
        ------
        FitError
            If the objective is not finite at the start.
        """
        if rows.suits(objective):
            return rows.RowNewton(**vars(self)).solve(objective, start, bounds, callback)
        if not objective.has_curvature:
            return LBFGSB(**vars(self)).solve(objective, start, bounds, callback)
        finisher = PreconditionedLBFGS(**vars(self))
        if not als.suits(objective, bounds):
            return finisher.solve(objective, start, bounds, callback)
        starter = als.ALS(**{**vars(self), "n_iter_max": min(self.n_iter_max, _SWEEPS)})
        first = starter.solve(objective, start, bounds, callback)
        if first.status not in ("n_iter_max", "stalled") or first.n_iter == self.n_iter_max:
            return first
        spent = first.trace.seconds[-1]
        left = None if self.max_seconds is None else max(self.max_seconds - spent, 0.0)
        finisher = replace(finisher, n_iter_max=self.n_iter_max - first.n_iter, max_seconds=left)
        return _joined(first, finisher.solve(objective, first.factors, bounds, _continued(callback, first)))


def _continued(callback: Callback | None, first: SolverOutput) -> Callback | None:
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


def _joined(first: SolverOutput, second: SolverOutput) -> SolverOutput:
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
