"""Arguments of `fit_gcp`, given by name, as what they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

from gcp.losses.base import Loss
from gcp.losses.registry import DEFAULT_LOSS
from gcp.losses.several import as_loss
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.problem import Problem
from gcp.solvers.starts.plan import Plan
from gcp.tensors.intake.coerce import in_one_piece


def estimating(loss: Loss) -> str:
    """Return what messages call a fit under a loss with parameters that it estimates."""
    return f"A fit that estimates {' and '.join(loss.unknowns)}"


def problem_and_plan(data: Any, rank: int, options: Mapping[str, Any]) -> tuple[Problem, Plan]:
    """Return what arguments of `fit_gcp`, given by name, ask for.

    Raises
    ------
    TypeError
        A name that is no argument of `fit_gcp`.
    """
    own = dict(options)
    loss = as_loss(own.pop("loss", DEFAULT_LOSS))
    penalties = as_penalties(**{name: own.pop(name) for name in _OF_PENALTIES if name in own})
    of_problem = {name: own.pop(name) for name in _OF_PROBLEM if name in own}
    if loss.unknowns:
        beside = {name: of_problem.pop(name, None) for name in ("mask", "entry_weights", "modes", *_CARRIED)}
        data = in_one_piece(data, why=estimating(loss), **beside)
    if unknown := sorted(set(own) - set(signature(Plan.of).parameters)):
        raise TypeError(f"fit_gcp() got an unexpected keyword argument {unknown[0]!r}")
    return Problem.of(data, rank, loss, penalties=penalties, **of_problem), Plan.of(**own)


_OF_PENALTIES = ("l2_reg", "weight_reg", "dirichlet_reg", "penalties")
_CARRIED = ("exposure", "offset", "trials")
_OF_PROBLEM = (
    *_CARRIED,
    "modes",
    "mask",
    "entry_weights",
    "bounds",
    "fixed_modes",
    "tied_modes",
    "main_effects",
    "design",
    "n_threads",
)
