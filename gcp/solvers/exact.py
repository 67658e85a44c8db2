"""The exact method that suits a problem: what `Auto` runs, and what polishes the end of a stochastic one."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

from gcp._typing import Factors
from gcp.bounds import Bounds
from gcp.objectives.base import Objective
from gcp.solvers import als, rows
from gcp.solvers.base import Callback, SolverOutput
from gcp.solvers.journal import FORGETFUL, Journal
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.relay import continued, joined, seconds_left
from gcp.solvers.run import Options

_SWEEPS = 40
"""Sweeps after which alternating least squares counts as slow."""


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
    if rows.suits(objective):
        return rows.RowNewton(**vars(options)).solve(objective, start, bounds, callback, journal)
    if not objective.has_curvature:
        return LBFGSB(**vars(options)).solve(objective, start, bounds, callback, journal)
    finisher = PreconditionedLBFGS(**vars(options))
    if not als.suits(objective, bounds):
        return finisher.solve(objective, start, bounds, callback, journal)
    began = time.perf_counter()
    starter = als.ALS(**{**vars(options), "n_iter_max": min(options.n_iter_max, _SWEEPS)})
    sweeps = partial(starter.solve, objective, start, bounds, callback)
    first = journal.stage("als", sweeps, starter, start)
    if first.status not in ("n_iter_max", "stalled") or first.n_iter >= options.n_iter_max:
        return first
    finisher = replace(
        finisher,
        n_iter_max=options.n_iter_max - first.n_iter,
        max_seconds=seconds_left(options.max_seconds, began),
    )
    rest = partial(finisher.solve, objective, first.factors, bounds, continued(callback, first))
    return joined(first, journal.stage("then", rest, finisher, first.factors))


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
