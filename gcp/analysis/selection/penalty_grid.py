"""Which penalties `select_rank` tries."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from gcp.analysis.selection.rank_choice import Strengths
from gcp.base import checks
from gcp.base.checks import is_real
from gcp.base.errors import ParameterError
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.solvers import ALS, RowNewton, SampledRowNewton, Solver

_WEIGHT_GRID = (0.0, 0.1, 0.4)
"""In units of how large a component of pure noise may be."""

_DIRICHLET_GRID = (0.0, 0.1, 1.0)
"""In observations."""

_RIDGE_GRID = (0.0, 0.1, 1.0)
_RIDGES_ALONE = ("als", "rows", "sampled-rows")

Given = float | Sequence[float] | None


def candidates(
    objective: EntrywiseObjective, l2: Given, weight: Given, dirichlet: Given, solver: str | Solver
) -> list[Strengths]:
    """All combinations of what is given; if nothing is, what suits the loss (docs/decisions/0019) and the solver."""
    is_one_of_these = isinstance(solver, ALS | RowNewton | SampledRowNewton)
    takes_ridges_alone = is_one_of_these or (isinstance(solver, str) and solver in _RIDGES_ALONE)
    if l2 is None and weight is None and dirichlet is None and takes_ridges_alone:
        l2 = _RIDGE_GRID
    elif l2 is None and weight is None and dirichlet is None:
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
    return [Strengths(*each) for each in itertools.product(*lists)]


def effects_strength(objective: EntrywiseObjective) -> float:
    """A ridge on main effects that is worth one cell, of models of any sign; else none."""
    if objective.loss.model_domain.low >= 0:
        return 0.0
    curvature = float(objective.loss.fisher(np.array([objective.null_constant]))[0])
    return curvature if np.isfinite(curvature) and curvature > 0 else 0.0


def _units(objective: EntrywiseObjective) -> tuple[float, float]:
    """How large the loss's derivatives are about the best constant: along a component of noise, and per curvature.

    A tensor of independent derivatives of standard deviation s has a spectral norm of about s times the sum of the
    roots of its sizes: at a lasso of that strength such noise has no components.
    """
    m, loss, shape = objective.null_constant, objective.loss, objective.tensor.shape
    squares, curvature = 0.0, 0.0
    for block in objective.tensor.blocks():
        weights = np.ones(np.shape(block.x)) if block.weights is None else block.weights
        with np.errstate(all="ignore"):
            slopes = np.square(loss.deriv(block.x, m)) * weights
        squares += float(np.sum(np.where(weights > 0, slopes, 0.0)))
        curvature += float(np.sum(weights)) * float(loss.fisher(np.array([m]))[0])
    cells = float(np.prod(shape, dtype=float))
    noise = np.sqrt(squares / cells) * float(np.sum(np.sqrt(shape)))
    dispersion = squares / curvature if 0 < curvature < np.inf else 1.0
    return float(np.nan_to_num(noise, posinf=0.0)), float(np.nan_to_num(dispersion, nan=1.0, posinf=1.0))


def _rounded(strength: float) -> float:
    """Three digits: to be read, and the same where rounding errors differ."""
    return float(f"{strength:.3g}")


def _numbers(name: str, given: Given) -> list[float]:
    if given is None:
        return [0.0]
    values = [given] if is_real(given) else checks.items(name, given, "a number >= 0, or a list of them")
    if not values:
        raise ParameterError(f"{name} must be numbers >= 0: found an empty list.")
    return sorted({checks.real(name, value, least=0) for value in values})
