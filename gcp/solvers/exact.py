"""The exact method that suits a problem: what `Auto` runs, and what polishes the end of a stochastic one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gcp.base.types import Factors
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.solvers import als
from gcp.solvers.base import Method, Options, lacking
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.method_sequence import joined, run_in_sequence
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.row_newton import RowNewton

_SWEEPS = 40
"""Sweeps after which alternating least squares counts as slow."""

_SLOW = 300
"""Iterations after which Gauss-Newton counts as slow; four of five ordinary fits need fewer than 250."""

_CELLS_OF_A_ROW, _MANY = 64, 5000
"""Cells for each row of a factor, at most, and unknowns, at least, of long tables: there the inner minimisations of
`PreconditionedLBFGS` cost many times its passes, and row-wise steps little."""

_ANY = 2**62


def minimize(
    options: Options,
    objective: Objective,
    start: Factors,
    bounds: Bounds,
    observer: Observer | Callback | None,
) -> SolverOutput:
    """Minimise from `start`, shapes (I_n, R), within `bounds`; see `Auto` for which method runs when.

    Raises
    ------
    FitError
        If the objective is not finite at the start.
    """
    every = _methods(options, objective, bounds)
    if objective.squared():
        name, first, _ = every[0]
        every = [(name, first, _SLOW), ("from-squares", FromSquares(**vars(options)), _ANY)]
    return run_in_sequence(every, objective, start, bounds, Observer.of(observer, options.max_seconds))


def first(options: Options, objective: Objective, bounds: Bounds) -> Method:
    """Return the method that `minimize` begins with."""
    return _methods(options, objective, bounds)[0][1]


def _methods(options: Options, objective: Objective, bounds: Bounds) -> list[tuple[str, Method, int]]:
    """Return methods for the problem, by name, each for where the one before gives up, with its most iterations."""
    every: list[tuple[str, Method, int]] = []
    if als.suits(objective, bounds):
        every.append(("als", als.ALS(**vars(options)), _SWEEPS))
    by_rows = not lacking(RowNewton, objective)
    has_curvature = not (objective.lacks(Feature.FULL_CURVATURE) and objective.lacks(Feature.HESSIAN))
    if has_curvature and sum(a.size for a in bounds.lower) > objective.n_cells:
        by_rows = has_curvature = False  # steps of second order would cost more than all passes
    if by_rows and _is_long(objective, bounds):
        has_curvature = False
    if has_curvature:
        every.append(("plbfgs", PreconditionedLBFGS(**vars(options)), _SLOW if by_rows else _ANY))
    if by_rows:
        every.append(("rows", RowNewton(**vars(options)), _ANY))
    if by_rows or not has_curvature:
        every.append(("lbfgsb", LBFGSB(**vars(options)), _ANY))
    return every


def _is_long(objective: Objective, bounds: Bounds) -> bool:
    """Return whether factors have so many rows that each has few cells."""
    n_rows, n_unknowns = (sum(count(a) for a in bounds.lower) for count in (len, np.size))
    return n_unknowns >= _MANY and objective.n_cells <= _CELLS_OF_A_ROW * n_rows


@dataclass(frozen=True)
class FromSquares(Method):
    """Runs all methods, from the minimum of squared error if that lies lower than the start.

    Where nearly all data are in the linear part of a loss that bears outliers, its slope says little of where to go.
    """

    def solve(
        self,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R), within `bounds`."""
        observer, squared = Observer.of(observer, self.max_seconds), objective.squared()
        assert squared is not None
        limited = replace(self, n_iter_max=_SLOW)  # whatever is left: limits must not change where a fit goes
        search = partial(minimize, limited, squared, start, bounds)
        found = observer.unseen().stage("squared", search, limited, start)
        is_lower = objective.value_and_grad(found.factors)[0] < objective.value_and_grad(start)[0]
        # From where a method has been slow, the next one goes on.
        every = [each for each in _methods(self, objective, bounds) if is_lower or each[2] != _SLOW]
        begin = found.factors if is_lower else start
        output = run_in_sequence(every, objective, begin, bounds, observer)
        return replace(output, n_eval=output.n_eval + found.n_eval + 2)


def polished(
    options: Options,
    objective: Objective,
    found: SolverOutput,
    bounds: Bounds,
    observer: Observer,
) -> SolverOutput:
    """Return the outcome of a stochastic method and of an exact one after it, with what is left of the limits."""
    limits = Options(options.n_iter_max - found.n_iter, options.tol, options.gradient_tol)
    polish = partial(minimize, limits, objective, found.factors, bounds)
    return joined(found, observer.after(found).stage("polish", polish, limits, found.factors))
