"""Solvers: one file per method; each sees only an objective, a start, bounds and an observer.

A method is a frozen dataclass of options (`base`) whose `solve` makes a run: the state of one call, most of it shared
by all (`run`: variables in units of their scale, stopping rules, trace, what is saved for a checkpoint). A run asks
the objective for values and gradients, or for the view of it that the method `requires` (rows, least squares,
samples, curvature), and an observer (`observer`) after each iteration whether to stop. What several methods use of
numerical parts is in `pieces`. `exact` chooses among the exact methods and runs them one after the other
(`method_sequence`), `auto` between these and the stochastic ones, which hand their end to `exact` for the polish.
`starts` does what comes around a run: where it begins, several starts, the end of each, checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches

from gcp.base.errors import ParameterError
from gcp.solvers.adam import Adam
from gcp.solvers.als import ALS
from gcp.solvers.auto import Auto
from gcp.solvers.base import Solver
from gcp.solvers.lbfgsb import LBFGSB
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import IterationState, SolverOutput, Trace
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.row_newton import RowNewton
from gcp.solvers.sampled_row_newton import SampledRowNewton

__all__ = [
    "ALS",
    "LBFGSB",
    "Adam",
    "Auto",
    "IterationState",
    "Observer",
    "PreconditionedLBFGS",
    "RowNewton",
    "SampledRowNewton",
    "Solver",
    "SolverOutput",
    "Trace",
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


_ALIASES = dict.fromkeys(("lbfgs", "l-bfgs", "l-bfgs-b"), "lbfgsb")
"""Names that people use, with those of gcp."""

_NEAR: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("sgd", "stochastic", "adagrad", "rmsprop"), ("adam",)),
    **dict.fromkeys(("newton", "newton-cg", "trust-ncg", "gauss-newton"), ("rows", "plbfgs")),
    **dict.fromkeys(("mu", "hals", "multiplicative"), ("plbfgs", "als")),
    "bfgs": ("lbfgsb",),
}
"""Names of methods that gcp does not have, with what comes near."""


def available_solvers() -> list[str]:
    """Return names that `fit_gcp(solver=...)` takes."""
    return sorted(_SOLVERS)


def get_solver(name: str) -> Solver:
    """Return a solver with its default options.

    Capitals, and underscores for hyphens, make no difference; "lbfgs" and "l-bfgs-b" are "lbfgsb".

    Raises
    ------
    ParameterError
        Unknown name (with the nearest known one).
    """
    plain = name.strip().lower().replace("_", "-")
    plain = _ALIASES.get(plain, plain)
    if plain not in _SOLVERS:
        near = _NEAR.get(plain) or get_close_matches(plain, _SOLVERS, n=1, cutoff=0.6)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ParameterError(f"Unknown solver {name!r}.{hint} Known: {', '.join(available_solvers())}.")
    return _SOLVERS[plain]()
