"""Checks of solvers."""

from __future__ import annotations

import os
import tempfile
import warnings
from dataclasses import is_dataclass
from typing import Any, NamedTuple

import numpy as np

from gcp.base import checks
from gcp.base.errors import ConvergenceWarning, ParameterError
from gcp.base.types import Factors, FloatArray
from gcp.fit import fit_gcp
from gcp.objectives.build import build_objective
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.result import FitResult
from gcp.solvers.base import Solver, lacking
from gcp.solvers.outcome import IterationState
from gcp.tensors.sparse import SparseTensor
from gcp.testing.agreement import demand, demand_close

_N_ITER = 10
"""Iterations of the fits that need not reach a minimum."""


class _Case(NamedTuple):
    """A small problem."""

    data: Any
    loss: str
    start: list[FloatArray]
    objective: EntrywiseObjective


def check_solver(solver: Solver, random_state: int = 0) -> None:
    """Check that a solver does what a fit expects, on small data that suit what it `requires`.

    The data are a dense tensor under squares, or, for solvers that these do not suit, sparse 0/1 data under the
    logit loss.

    - every iterate is within the bounds (a solver may refuse bounds, and ties, with a ParameterError)
    - the objective that it reports, of each iterate and of the result, is that of `build_objective` at these factors,
      unless it says that it is an estimate
    - it never ends above its start
    - it stops at the first iteration whose callback returns True
    - the same object gives the same bits at the second fit, and the same with a checkpoint
    - float32 data give float32 factors
    - a fixed mode keeps its factor, tied modes share one
    - with one mode fixed, least squares under a ridge have one minimum: it finds the one of the normal equations, to
      a ten-thousandth of the way from the start, if it is a method for squares

    Parameters
    ----------
    solver : Solver
        An instance, with its options.
    random_state : int
        Decides data and starts.

    Raises
    ------
    AssertionError
        A sentence that says which property fails.

    Examples
    --------
    >>> import gcp
    >>> gcp.testing.check_solver(gcp.LBFGSB(memory=5))
    """
    if isinstance(solver, type) or not (is_dataclass(solver) and callable(getattr(solver, "solve", None))):
        raise ParameterError(
            f"solver must be an instance of a dataclass with a method `solve`: found {checks.show(solver)}."
        )
    rng = np.random.default_rng(checks.seed(random_state))
    cases = [_dense(rng), _sparse(rng)]
    suited = [case for case in cases if not lacking(solver, case.objective)]
    reasons = [lacking(solver, case.objective) for case in cases]
    demand(suited, f"{solver!r} suits neither dense data nor sparse data: {' '.join(reasons)}")
    case = suited[0]
    _check_iterates(solver, case)
    _check_stop(solver, case)
    _check_repeats(solver, case)
    _check_single(solver, case)
    _check_modes(solver, case, rng)
    if case is cases[0]:
        _check_minimum(solver, case)


def _dense(rng: np.random.Generator) -> _Case:
    truth = [rng.uniform(0.2, 1.5, (size, 2)) for size in (5, 5, 4)]
    data = np.einsum("ir,jr,kr->ijk", *truth) + 0.1 * rng.normal(size=(5, 5, 4))
    start = [rng.uniform(0.2, 1.0, a.shape) for a in truth]
    return _Case(data, "gaussian", start, _objective(data, "gaussian"))


def _sparse(rng: np.random.Generator) -> _Case:
    cells = np.argwhere(rng.random((5, 5, 4)) < 0.3)
    data = SparseTensor(cells, np.ones(len(cells)), (5, 5, 4))
    start = [rng.uniform(-0.5, 0.5, (size, 2)) for size in data.shape]
    return _Case(data, "bernoulli-logit", start, _objective(data, "bernoulli-logit"))


def _objective(data: Any, loss: str) -> EntrywiseObjective:
    found = build_objective(data, loss, n_threads=1)
    assert isinstance(found, EntrywiseObjective)
    return found


def _fit(solver: Solver, case: _Case, **options: Any) -> FitResult:
    """Return a fit from the start of a case."""
    given: dict[str, Any] = {
        "init": case.start,
        "random_state": 0,
        "n_threads": 1,
        "callback": _is_enough,
    } | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return fit_gcp(given.pop("data", case.data), 2, loss=case.loss, solver=solver, **given)


def _is_enough(state: IterationState) -> bool:
    return state.iteration >= _N_ITER


def _weighted(result: FitResult) -> list[FloatArray]:
    return [result.factors[0] * result.weights, *result.factors[1:]]


def _value(case: _Case, factors: Factors) -> float:
    return case.objective.value_and_grad([np.asarray(a, dtype=float) for a in factors])[0]


def _check_iterates(solver: Solver, case: _Case) -> None:
    low, high = (0.1, 1.2) if case.loss == "gaussian" else (-1.0, 1.0)
    what, began = repr(solver), _value(case, case.start)

    def look(state: IterationState) -> bool:
        place = f"{what}: iteration {state.iteration}"
        for mode, a in enumerate(state.factors):
            inside = ((a >= low) & (a <= high)).all()
            demand(
                inside,
                f"{place} leaves the bounds [{low}, {high}] in mode {mode}: {a.min():g} to {a.max():g}.",
            )
        if not state.is_estimate:
            name = f"{place} reports an objective that is not that of its factors"
            demand_close(name, state.objective, _value(case, state.factors), rtol=1e-7)
        return _is_enough(state)

    try:
        result = _fit(solver, case, bounds=(low, high), callback=look)
    except ParameterError:  # it is not for bounds, and says so
        low, high = -np.inf, np.inf
        result = _fit(solver, case, callback=look)
    value = _value(case, _weighted(result))
    demand_close(
        f"{what}: the objective of the result is not that of its factors", result.objective, value, rtol=1e-7
    )
    demand(value <= began * (1 + 1e-9), f"{what} ends at {value:.10g}, above its start, {began:.10g}.")


def _check_stop(solver: Solver, case: _Case) -> None:
    seen: list[int] = []

    def stop(state: IterationState) -> bool:
        seen.append(state.iteration)
        return True

    result = _fit(solver, case, callback=stop)
    demand(seen, f"{solver!r} never calls its observer.")
    demand(
        len(seen) == 1 and result.status == "callback",
        f'{solver!r} goes on after a callback returned True: {len(seen)} calls, status "{result.status}" instead of '
        '"callback".',
    )


def _bits(result: FitResult) -> list[bytes]:
    return [a.tobytes() for a in (result.weights, *result.factors, result.trace["objective"])]


def _check_repeats(solver: Solver, case: _Case) -> None:
    first = _bits(_fit(solver, case))
    demand(_bits(_fit(solver, case)) == first, f"{solver!r} gives another result at the second fit.")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "fit.npz")
        resumable = _bits(_fit(solver, case, checkpoint=path))
        demand(resumable == first, f"{solver!r} gives another result with a checkpoint.")


def _check_single(solver: Solver, case: _Case) -> None:
    data = case.data
    single = (
        SparseTensor(data.subs, data.values.astype(np.float32), data.shape)
        if isinstance(data, SparseTensor)
        else data.astype(np.float32)
    )
    for a in _fit(solver, case, data=single).factors:
        demand(a.dtype == np.float32, f"{solver!r} gives factors of type {a.dtype} for data of float32.")


def _check_modes(solver: Solver, case: _Case, rng: np.random.Generator) -> None:
    norms = np.linalg.norm(case.start[0], axis=0)
    held = _fit(solver, case, fixed_modes=[0])
    found = held.factors[0] * np.sign(np.sum(held.factors[0] * case.start[0], axis=0))
    order = np.argmax(np.abs((case.start[0] / norms).T @ found), axis=1)
    name = f"{solver!r} changes the factor of a fixed mode"
    demand_close(name, found[:, order], case.start[0] / norms, rtol=1e-9, atol=1e-12)
    start = [case.start[0], case.start[0], case.start[2]]
    try:
        tied = _fit(solver, case, tied_modes=[(0, 1)], init=start)
    except ParameterError:  # it is not for ties, and says so
        return
    demand(
        np.array_equal(tied.factors[0], tied.factors[1]),
        f"{solver!r}: tied modes end with factors that differ.",
    )


def _check_minimum(solver: Solver, case: _Case) -> None:
    """Check a matrix (I, J) whose rows' factor is fixed: ridge regressions, one for each column."""
    x, rows, strength = case.data[:, :, 0], case.start[0], 0.5
    columns = np.linalg.solve(2 * rows.T @ rows + strength * np.eye(2), 2 * rows.T @ x).T
    fixed = build_objective(x, "gaussian", l2_reg=strength, n_threads=1)
    least, began = (fixed.value_and_grad([rows, b])[0] for b in (columns, case.start[1]))
    near = least + 1e-5 * (began - least)
    options: dict[str, Any] = {"fixed_modes": [0], "l2_reg": strength}
    result = _fit(
        solver,
        case,
        data=x,
        init=[rows, case.start[1]],
        callback=lambda state: not state.is_estimate and state.objective <= near,
        **options,
    )
    ends = result.objective
    demand(
        least - 1e-9 * abs(least) <= ends <= least + 1e-4 * (began - least),
        f"{solver!r} ends at {ends:.10g} where the normal equations of a ridge regression give {least:.10g} "
        f"(the start has {began:.10g}).",
    )
