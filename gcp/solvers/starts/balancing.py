"""The end of a start as the one of all equal models that the penalty prefers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gcp.base.types import FloatArray
from gcp.objectives.free import FreeFactors
from gcp.solvers.outcome import SolverOutput
from gcp.solvers.starts.search import Search

_TRACE = 1e-2
"""Weights below this, in the largest, are tried at 0 under a lasso."""

_CHEAP = 1e-6
"""Price, in the objective, below which components are tried at 0 as well."""

_SAME = 1e-9
"""Part of the objective that is not worth a component."""

_TINY = 1e-300

_BEYOND = 30.0
"""Log-odds or logarithms of this size are on their way to infinity: the loss falls by less than 1e-13 from there."""


def balanced(search: Search, free: FreeFactors, found: SolverOutput) -> SolverOutput:
    """Return the outcome in all factors, as the one of all equal models that the penalty prefers.

    Components have equal norms in the free modes, and the means of main effects are in the first mode's, where no
    ridge is on them. Bounds may forbid either.
    """
    found = replace(found, factors=free.expand(found.factors))
    effects, rank = search.problem.effects, search.problem.rank
    penalties = search.objective.penalties
    if not all(mask.all() for mask in search.determined):
        found = _silenced(search, free, found)
    is_free = not (penalties.prefer_balance or (effects and penalties.effects_ridge))
    if is_free or not search.objective.is_exact_affordable:
        return found
    factors = _balanced(search, found.factors, rank)
    if effects is not None and search.objective.loss.model_domain.low < 0:
        intercept, centred = effects.centred(effects.vectors(factors), search.known)
        vectors = effects.uncentred(intercept, centred, [len(a) for a in factors])
        factors = search.typed(effects.joined(effects.components(factors), vectors))
    found = _lower(free, found, factors)
    if search.problem.allows_zeros:
        found = _without_traces(search, free, found, rank)
    return found


def with_advice(search: Search, found: SolverOutput) -> SolverOutput:
    """Return the outcome, whose message says so if the model grows without end, as under a log or logit link."""
    is_said = found.converged or found.status in ("unbounded", "separable")
    if is_said or search.objective.reach(found.factors) < _BEYOND:
        return found
    more = "the model grows without end where it can separate the data (0 from more, or 0 from 1); l2_reg bounds it"
    return replace(found, message=f"{found.message}; {more}")


def _silenced(search: Search, free: FreeFactors, found: SolverOutput) -> SolverOutput:
    """Return the outcome without moves of unknown rows that approximate curvatures or rounding have made."""
    rank = search.problem.rank
    if rank == 0 or search.objective.penalties.fill_rows:
        return found
    own = search.silenced([a[:, :rank] for a in found.factors], search.determined)
    factors = [np.hstack([a, b[:, rank:]]) for a, b in zip(search.typed(own), found.factors, strict=True)]
    if not search.objective.penalties.prefer_balance:  # the objective does not see those rows
        return replace(found, factors=factors)
    return _lower(free, found, factors) if search.objective.is_exact_affordable else found


def _lower(
    free: FreeFactors, found: SolverOutput, factors: list[FloatArray], slack: float = 0.0
) -> SolverOutput:
    """Return the outcome, or the given factors (I_n, R) if their objective is lower, or as low up to a part of it."""
    value, _ = free.objective.value_and_grad(factors)
    if not value < found.objective + slack * abs(found.objective):
        return found
    found.trace.objective[-1] = value
    return replace(found, factors=factors, objective=value)


def _without_traces(search: Search, free: FreeFactors, found: SolverOutput, rank: int) -> SolverOutput:
    """Return the outcome without components that a lasso has nearly switched off.

    They go to 0 ever more slowly; or they are splinters of larger ones, whose weights together cost the same.
    """
    weights = np.prod([np.linalg.norm(a[:, :rank], axis=0) for a in found.factors], axis=0)
    price = search.objective.penalties.price([a[:, :rank] for a in found.factors])
    if not price.any():
        return found
    is_trace = (weights < _TRACE * weights.max(initial=0.0)) | (price < _CHEAP * abs(found.objective))
    for component in np.flatnonzero(is_trace & (weights > 0)).tolist():
        changed = [a.copy() for a in found.factors]
        for mode in (mode for group in search.parametrisation.groups for mode in group):
            changed[mode][:, component] = 0.0
        found = _lower(free, found, changed)
        if changed is not found.factors:
            found = _lower(free, found, _joined(search, found.factors, component, changed), _SAME)
    return found


def _joined(
    search: Search, factors: list[FloatArray], component: int, without: list[FloatArray]
) -> list[FloatArray]:
    """Return factors (I_n, R) without a component, whose weight goes to the one that is most like it."""
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    likeness = np.ones(factors[0].shape[1])
    for a, own in zip(factors, norms, strict=True):
        likeness *= a.T @ a[:, component] / np.maximum(own * own[component], _TINY)
    likeness[component] = -np.inf
    into = int(np.argmax(likeness))
    weights = np.prod(norms, axis=0)
    modes = [mode for group in search.parametrisation.groups for mode in group]
    found = [a.copy() for a in without]
    for mode in modes:
        found[mode][:, into] *= (1.0 + weights[component] / max(weights[into], _TINY)) ** (1 / len(modes))
    return found


def _balanced(search: Search, factors: list[FloatArray], rank: int) -> list[FloatArray]:
    """Return factors (I_n, R), components of equal norm in modes that are free, untied and bounded by 0 at most."""
    limits = zip(search.problem.bounds.lower, search.problem.bounds.upper, strict=True)
    is_cone = [
        np.isin(low, (0.0, -np.inf)).all() and np.isin(high, (0.0, np.inf)).all() for low, high in limits
    ]
    modes = [group[0] for group in search.parametrisation.groups if len(group) == 1 and is_cone[group[0]]]
    norms = [np.linalg.norm(factors[n][:, :rank], axis=0) for n in modes]
    if not modes or not rank:
        return factors
    alive = np.all(norms, axis=0)
    mean = np.exp(np.mean(np.log(np.where(alive, norms, 1.0)), axis=0))
    found = list(factors)
    for n, norm in zip(modes, norms, strict=True):
        found[n] = factors[n].copy()
        found[n][:, :rank] *= np.where(alive, mean / np.where(alive, norm, 1.0), 1.0)
    return found
