"""Solvers: one file per method; each sees only an objective, a start and bounds."""

from __future__ import annotations

from collections.abc import Callable

from gcp.base.errors import ParameterError
from gcp.solvers.adam import Adam
from gcp.solvers.als import ALS
from gcp.solvers.auto import Auto
from gcp.solvers.base import Solver
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.row_newton import RowNewton
from gcp.solvers.sampled_row_newton import SampledRowNewton

__all__ = [
    "ALS",
    "LBFGSB",
    "Adam",
    "Auto",
    "PreconditionedLBFGS",
    "RowNewton",
    "SampledRowNewton",
    "Solver",
    "available_solvers",
    "get_solver",
]

_SOLVERS: dict[str, Callable[[], Solver]] = {
    "adam": Adam,
    "als": ALS,
    "auto": Auto,
    "lbfgsb": LBFGSB,
    "plbfgs": PreconditionedLBFGS,
    "rows": RowNewton,
    "sampled-rows": SampledRowNewton,
}


def available_solvers() -> list[str]:
    """Names that `fit_gcp(solver=...)` takes."""
    return sorted(_SOLVERS)


def get_solver(name: str) -> Solver:
    """A solver with its default options."""
    if name not in _SOLVERS:
        raise ParameterError(f"Unknown solver {name!r}. Known: {', '.join(available_solvers())}.")
    return _SOLVERS[name]()
