"""The exact method that suits a problem: what `Auto` runs, and what polishes the end of a stochastic one."""

from __future__ import annotations

from functools import partial

from gcp._typing import Factors
from gcp.bounds import Bounds
from gcp.objectives.base import Objective
from gcp.solvers import als, rows
from gcp.solvers.base import Callback, SolverOutput
from gcp.solvers.journal import FORGETFUL, Journal
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.relay import continued, in_turn, joined, seconds_left
from gcp.solvers.run import Method, Options

_SWEEPS = 40
"""Sweeps after which alternating least squares counts as slow."""

_SLOW = 300
"""Iterations after which Gauss-Newton counts as slow; four of five ordinary fits need fewer than 250."""

_ANY = 2**62


def minimize(
    options: Options,
    objective: Objective,
    start: Factors,
    bounds: Bounds,
    callback: Callback | None,
    journal: Journal = FORGETFUL,
) -> SolverOutput:
    """Minimise from `start` within `bounds`; see `Auto` for which method runs when.

    Raises
    ------
    FitError
        If the objective is not finite at the start.
    """
    every: list[tuple[str, Method, int]] = []
    if als.suits(objective, bounds):
        every.append(("als", als.ALS(**vars(options)), _SWEEPS))
    by_rows = rows.suits(objective)
    if objective.has_curvature:
        every.append(("plbfgs", PreconditionedLBFGS(**vars(options)), _SLOW if by_rows else _ANY))
    if by_rows:
        every.append(("rows", rows.RowNewton(**vars(options)), _ANY))
    if by_rows or not objective.has_curvature:
        every.append(("lbfgsb", LBFGSB(**vars(options)), _ANY))
    return in_turn(every, objective, start, bounds, callback, journal)


def polished(
    options: Options,
    objective: Objective,
    found: SolverOutput,
    bounds: Bounds,
    callback: Callback | None,
    journal: Journal,
    began: float,
) -> SolverOutput:
    """The outcome of a stochastic method, and an exact one from there on with what is left of the limits."""
    left = seconds_left(options.max_seconds, began)
    limits = Options(options.n_iter_max - found.n_iter, options.tol, options.gradient_tol, left)
    polish = partial(minimize, limits, objective, found.factors, bounds, continued(callback, found))
    return joined(found, journal.stage("polish", polish, limits, found.factors))
