"""The method that suits the problem."""

from __future__ import annotations

from dataclasses import dataclass

from gcp.base.types import Factors
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.solvers import exact
from gcp.solvers.adam import Adam
from gcp.solvers.base import Options, lacking
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.sampled_row_newton import SampledRowNewton


@dataclass(frozen=True)
class Auto(Options):
    """The method that suits the problem.

    Of dense data, `ALS` for the Gaussian loss on complete data without entry weights, finite bounds and tied modes,
    and `PreconditionedLBFGS` from there if that has not converged after 40 sweeps; `PreconditionedLBFGS` for
    everything else, but `LBFGSB` if there are more unknowns than cells, and `RowNewton`, where it applies, for long
    tables: at least 5,000 unknowns, and at most 64 cells for each row of a factor. What has not converged after 300
    iterations of `PreconditionedLBFGS`, or has stalled, goes on by `RowNewton` (not with tied modes, data in parts
    and slices of more than 2**24 cells). Of lists of entries, `RowNewton` where it applies. Where that stalls,
    `LBFGSB` goes on. Under Huber's loss, what has not converged after 300 iterations goes on from the minimum of
    squared error, if that lies lower. Of sparse data under a loss without a closed form for zeros,
    `SampledRowNewton`, and `LBFGSB` from there on if there are at most 2**28 cells. With more of them and models of
    any sign (logit and log links) `Adam`; with tied modes `LBFGSB`, or `Adam`; with designs `PreconditionedLBFGS`, or
    `Adam`.

    Parameters
    ----------
    n_iter_max : int
        Most iterations, of all methods together.
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
        self,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R), within `bounds`.

        Raises
        ------
        FitError
            If the objective is not finite at the start.
        """
        method = self.method(objective, bounds)
        if isinstance(method, SampledRowNewton | Adam):
            return method.solve(objective, start, bounds, observer)
        return exact.minimize(self, objective, start, bounds, observer)

    def method(self, objective: Objective, bounds: Bounds) -> Options:
        """Return the method that runs first."""
        is_out_of_reach = bool(objective.lacks(Feature.EXACT))
        is_steady = not (is_out_of_reach and objective.lacks(Feature.CONTROLLED_ZEROS))
        if is_steady and not lacking(SampledRowNewton, objective):
            return SampledRowNewton(**vars(self))
        if is_out_of_reach:
            return Adam(**vars(self))
        return exact.first(self, objective, bounds)
