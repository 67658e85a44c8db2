"""Checks of the arguments of a fit, and their description in its settings."""

from __future__ import annotations

import platform
from dataclasses import asdict, fields, is_dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_arguments
from gcp.solvers import Solver, get_solver
from gcp.solvers.starts.search import Search
from gcp.tensors.carried_columns import carried_by


def solver(
    given: str | Solver, n_iter_max: int | None, tol: float | None, max_seconds: float | None
) -> Solver:
    """Return the solver with the options that the fit overrides."""
    method = get_solver(given) if isinstance(given, str) else given
    if isinstance(method, type) or not (is_dataclass(method) and callable(getattr(method, "solve", None))):
        raise ParameterError(f"solver must be a name or a Solver instance: found {show(given)}.")
    asked = {"n_iter_max": n_iter_max, "tol": tol, "max_seconds": max_seconds}
    changes = {name: value for name, value in asked.items() if value is not None}
    known = {field.name for field in fields(method)}
    if max_seconds is not None and "max_seconds" not in known:  # its observer looks at the clock
        checks.real("max_seconds", changes.pop("max_seconds"), least=0)
    if unknown := sorted(set(changes) - known):
        raise ParameterError(f"The solver {type(method).__name__} has no option {unknown[0]!r}.")
    return replace(method, **changes)


def settings(search: Search, n_starts: int, init: Any, max_seconds: float | None) -> dict[str, Any]:
    """Return all that decided a fit beside the data and the loss, as plain numbers and texts, for people."""
    problem = search.problem
    solver_options = {name: describe(value) for name, value in asdict(search.solver).items()}  # type: ignore[call-overload]
    strengths = as_arguments(problem.penalties, has_effects=bool(problem.effect_modes))
    found = {
        "rank": problem.rank,
        "solver": {"name": type(search.solver).__name__, **solver_options},
        "seed": search.seed,
        "n_threads": search.objective.n_threads,
        "init": describe(init),
        "n_starts": n_starts,
        "bounds": describe(problem.given_bounds),
        "fixed_modes": list(problem.parametrisation.fixed),
        "tied_modes": [list(group) for group in problem.parametrisation.tied],
        **{name: describe(value) for name, value in strengths.items()},
        "main_effects": list(problem.effect_modes),
        "design": {problem.labels.names[n]: repr(basis) for n, basis in problem.designs},
        "max_seconds": max_seconds,
        "versions": dict(_versions()),
    }
    if carried := carried_by(problem.tensor):
        found["carried"] = list(carried)
    if not (zeros := search.objective.zeros).are_affordable:
        found["zeros"] = zeros.note
    if (parts := search.objective.tensor.parts) is not None:
        found["partition"] = parts.account()
    return found


@lru_cache(maxsize=1)  # each is read from a file
def _versions() -> dict[str, str]:
    names = {"gcp": "gcp-tensor"} | {name: name for name in ("numpy", "scipy", "tensorly", "llvmlite")}
    return {"python": platform.python_version()} | {key: version(name) for key, name in names.items()}


def describe(value: Any) -> Any:
    """Return a JSON value that says what an argument was; arrays by their shape."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return f"array of shape {value.shape}"
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {name: describe(item) for name, item in value.items()}
    if isinstance(value, Penalty):
        return repr(value)
    return type(value).__name__
