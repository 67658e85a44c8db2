"""Fits that estimate parameters of the loss along with the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gcp.losses.base import Loss
from gcp.objectives.model import Model
from gcp.solvers.observer import Observer, Storage
from gcp.solvers.starts.multistart import Outcome
from gcp.solvers.starts.parameter_notes import notes_on
from gcp.solvers.starts.parameter_steps import OneNumber, ParameterSteps, SeveralNumbers
from gcp.solvers.starts.repeatable_positions import RepeatablePositions
from gcp.solvers.starts.search import Search
from gcp.solvers.starts.unknown_parameters import UnknownParameters

_ROUNDS = 30

_FAR = 7.0
"""How far the likeliest number beside a given model may lie from the one that the data suggest."""

Run = Callable[[Search, Observer], Outcome]
"""A function that runs all starts of a search."""


class Estimated(NamedTuple):
    """What came of a search for parameters.

    Attributes
    ----------
    first, last : Outcome
        Under the first parameters, of all starts, and under the last ones, of the start that goes on.
    is_settled : bool
        False if a parameter was still changing after the most rounds.
    notes : str
        What is to be said of parameters by position, in one or more sentences' parts; empty if nothing is.
    """

    first: Outcome
    last: Outcome
    is_settled: bool
    notes: str


def estimate_parameters(run: Run, search: Search, observer: Observer) -> Estimated:
    """Find the parameters of a loss that maximise the likelihood together with the factors.

    Parameters
    ----------
    run : callable
    search : Search
        Of a problem with a loss whose parameters are "estimate", some of them, and data in one piece.
    observer : Observer

    Notes
    -----
    The factors are fitted under one value after another; the derivative of the likelihood in the parameters, the
    factors as they are, is that of the profile likelihood, and a secant search, or a quasi-Newton one in several
    numbers, finds where it is 0. All starts run at the first value only; the best one goes on. The first value is
    that of a model of the same loss that is given to start from, or the likeliest beside another model, else what
    the data suggest.
    """
    unknowns = UnknownParameters.of(search.problem)
    loss = _first(unknowns, run, search, observer)

    def fitted(k: int, loss: Loss, **changes: Any) -> Outcome:
        own = replace(search, problem=search.problem.with_loss(loss), **changes)
        return run(own, replace(observer, storage=observer.storage.within(f"round {k}")))

    first = last = fitted(0, loss)
    steps = steps_towards(unknowns, loss)
    repeatable = None if unknowns.held is None else RepeatablePositions(unknowns)
    for k in range(1, _ROUNDS + 1):
        likelihood = unknowns.likelihood(last.model)
        is_over = last.status in ("interrupted", "callback") or observer.is_late()
        is_settled = is_over or (
            all([steps.is_settled(likelihood), repeatable is None or repeatable.is_settled(last.model)])
        )
        if is_settled:
            return Estimated(first, last, True, notes_on(unknowns, last.model))
        free = steps.next(likelihood)
        before, loss = loss, unknowns.with_free(loss, repeatable.moved(free) if repeatable else free)
        last = fitted(k, loss, init=_rescaled(last.model, before, loss), n_starts=1)
    return Estimated(first, last, False, notes_on(unknowns, last.model))


def _first(unknowns: UnknownParameters, run: Run, search: Search, observer: Observer) -> Loss:
    """Return the loss to begin with."""
    init = search.init
    loss = unknowns.starting(getattr(init, "loss", None))
    if isinstance(init, str) or len(unknowns.free(loss)) > 1:
        return loss
    nothing = replace(search.solver, n_iter_max=0)  # type: ignore[type-var]
    own = replace(search, problem=search.problem.with_loss(loss), solver=nothing, n_starts=1)
    begin = run(own, replace(observer.unseen(), storage=Storage()))
    suggested, likeliest = unknowns.free(loss), unknowns.likelihood(begin.model).likeliest()
    return unknowns.with_free(loss, np.clip([likeliest], suggested - _FAR, suggested + _FAR))


def steps_towards(unknowns: UnknownParameters, loss: Loss) -> ParameterSteps:
    """Return the search for the parameters of a loss."""
    low, high = unknowns.limits(loss)
    return OneNumber(low[0], high[0]) if len(low) == 1 else SeveralNumbers(low, high)


def _rescaled(model: Model, before: Loss, after: Loss) -> Model:
    """Return a model of equal expectations under other parameters, if m is proportional to these; else of equal m."""
    is_given = len(model.problem.fixed_modes) == len(model.shape)
    if is_given or not before.position_moves_mean or model.loss.model_domain.low < 0:
        return model
    if before.by is None:
        ratio = float(before.mean(1.0) / after.mean(1.0))
        effects = {name: vector * ratio for name, vector in model.main_effects.items()}
        return replace(
            model, weights=model.weights * ratio, intercept=model.intercept * ratio, main_effects=effects
        )
    mode = model.labels.number(before.by)
    tied = [n for group in model.problem.tied_modes for n in group]
    if mode in (*model.problem.fixed_modes, *tied) or model.main_effects:
        return model
    positions = np.arange(model.shape[mode])
    ratios = before.at(positions).mean(1.0) / after.at(positions).mean(1.0)
    factors = [a * ratios[:, None] if n == mode else a for n, a in enumerate(model.factors)]
    return replace(model, factors=factors)
