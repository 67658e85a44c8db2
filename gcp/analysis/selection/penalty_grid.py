"""The grid of penalties that `select_rank` tries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gcp.analysis.selection.rank_choice import Strengths
from gcp.base import checks
from gcp.base.checks import is_real
from gcp.base.errors import ParameterError
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalties.weight_lasso import WeightLasso
from gcp.objectives.penalty_units import sums_about_constant, typical
from gcp.solvers import Solver
from gcp.solvers.base import lacking

_WEIGHT_GRID = (0.0, 0.1, 0.4)
"""Strengths in units of how large a component of pure noise may be."""

_DIRICHLET_GRID = (0.0, 0.1, 1.0)
"""Strengths in observations."""

_RIDGE_GRID = (0.0, 0.1, 1.0)

Given = float | Sequence[float] | None


def candidates(
    objective: EntrywiseObjective,
    strengths: tuple[Given, Given, Given],
    alternatives: Sequence[tuple[Penalty, ...]],
    solver: Solver,
) -> list[Strengths]:
    """Return all combinations of what is given, or what suits the loss (docs/decisions/0019) and the solver.

    Parameters
    ----------
    objective : EntrywiseObjective
    strengths : (l2_reg, weight_reg, dirichlet_reg)
        Numbers, lists of numbers, or None.
    alternatives : sequence of tuple of Penalty
        Further penalties to choose among; () is none.
    solver : Solver
    """
    l2, weight, dirichlet = strengths
    under_lasso = replace(objective, penalties=Penalties((WeightLasso(1.0),)))
    takes_ridges_alone = bool(lacking(solver, under_lasso)) and not lacking(solver, objective)
    is_open = l2 is None and weight is None and dirichlet is None and not any(alternatives)
    if is_open and takes_ridges_alone:
        l2 = _RIDGE_GRID
    elif is_open:
        noise, dispersion = _units(objective)
        if objective.loss.model_domain.low >= 0:
            dirichlet = [_rounded(k * dispersion) for k in _DIRICHLET_GRID]
        else:
            weight = [_rounded(k * noise) for k in _WEIGHT_GRID]
    lists = (
        _numbers("l2_reg", l2),
        _numbers("weight_reg", weight),
        _numbers("dirichlet_reg", dirichlet),
    )
    return [Strengths(*each) for each in itertools.product(*lists, alternatives)]


def alternatives_of(given: Any) -> list[tuple[Penalty, ...]]:
    """Return the sets of penalties to choose among, from one set or a list of sets.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if isinstance(given, Penalty):
        return [(given,)]
    items = checks.items("penalties", given, "a list of penalties, or a list of such lists")
    if all(isinstance(item, Penalty) for item in items):
        return [tuple(items)]
    found = []
    for item in items:
        own = [item] if isinstance(item, Penalty) else checks.items("penalties", item, "a list of penalties")
        found.append(as_penalties(penalties=own).of_components)
    return found


def effects_strength(objective: EntrywiseObjective) -> float:
    """Return a ridge on main effects that is worth one cell, of models of any sign; else none."""
    if objective.loss.model_domain.low >= 0:
        return 0.0
    curvature = float(objective.loss.fisher(np.array([typical(objective)]))[0])
    return curvature if np.isfinite(curvature) and curvature > 0 else 0.0


def _units(objective: EntrywiseObjective) -> tuple[float, float]:
    """Return sizes of the loss's derivatives about the best constant: along a component of noise, and per curvature.

    A tensor of independent derivatives of standard deviation s has a spectral norm of about s times the sum of the
    roots of its sizes: at a lasso of that strength such noise has no components.
    """
    shape = objective.tensor.shape
    squares, curvature = sums_about_constant(objective)
    cells = float(np.prod(shape, dtype=float))
    noise = np.sqrt(squares / cells) * float(np.sum(np.sqrt(shape)))
    dispersion = squares / curvature if 0 < curvature < np.inf else 1.0
    return float(np.nan_to_num(noise, posinf=0.0)), float(np.nan_to_num(dispersion, nan=1.0, posinf=1.0))


def _rounded(strength: float) -> float:
    """Return three digits: to be read, and the same where rounding errors differ."""
    return float(f"{strength:.3g}")


def _numbers(name: str, given: Given) -> list[float]:
    if given is None:
        return [0.0]
    values = [given] if is_real(given) else checks.items(name, given, "a number >= 0, or a list of them")
    if not values:
        raise ParameterError(f"{name} must be numbers >= 0: found an empty list.")
    return sorted({checks.real(name, value, least=0) for value in values})
