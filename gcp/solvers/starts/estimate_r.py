"""Fits that estimate a parameter of the loss along with the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import digamma

from gcp.base import threads
from gcp.losses.base import Loss
from gcp.objectives.build import build_objective
from gcp.objectives.evaluation import evaluate
from gcp.objectives.known_cells import known_cells
from gcp.objectives.model import Model
from gcp.objectives.survey import survey
from gcp.solvers.observer import Observer, Storage
from gcp.solvers.starts.multistart import Outcome
from gcp.solvers.starts.search import Search
from gcp.tensors.kinds import stored

_RANGE = np.log(1e-4), np.log(1e8)
"""Limits of log r; at the upper end the negative binomial is Poisson."""

_ROUNDS = 30
_TOL = 1e-3
"""The search ends when r is as near to the likeliest one, in standard errors of log r."""

_NEAR = 1e-2
"""Steps of log r below which the curvature says more than the likeliest r for given expectations."""


Run = Callable[[Search, Observer], Outcome]
"""A function that runs all starts of a search."""


def estimate_r(run: Run, search: Search, observer: Observer) -> tuple[Outcome, Outcome, bool]:
    """Find the r of a negative-binomial loss that maximises the likelihood together with the factors.

    Parameters
    ----------
    run : callable
    search : Search
        Of a problem with a loss whose r is "estimate", and data in one piece.
    observer : Observer

    Returns
    -------
    first, last : Outcome
        Under the first r, of all starts, and under the last one, of the start that goes on.
    is_settled : bool
        False if r was still changing after the most rounds.

    Notes
    -----
    The factors are fitted under one r after another; the derivative of the likelihood in log r, the factors as they
    are, is that of the profile likelihood, and a secant search finds where it is 0. All starts run at the first r
    only; the best one goes on. The first r is the likeliest of a model that is given to start from, else by moments.
    """
    loss: Any = search.problem.loss
    tensor = search.problem.tensor
    loss = replace(loss, r=_by_moments(tensor, replace(loss, r=1.0)))
    if not isinstance(search.init, str):  # a model, which says more of r than the moments
        nothing = replace(search.solver, n_iter_max=0)  # type: ignore[type-var]
        own = replace(search, problem=search.problem.with_loss(loss), solver=nothing, n_starts=1)
        begin = run(own, replace(observer.unseen(), storage=Storage()))
        loss = replace(loss, r=max(loss.r, min(np.exp(_likeliest(begin.model, tensor)), 1e3)))

    def fitted(k: int, loss: Any, **changes: Any) -> Outcome:
        own = replace(search, problem=search.problem.with_loss(loss), **changes)
        return run(own, replace(observer, storage=observer.storage.within(f"round {k}")))

    first = last = fitted(0, loss)
    steps = _RSearch()
    for k in range(1, _ROUNDS + 1):
        model = last.model
        now, slope = float(np.log(loss.r)), _slope(model, tensor)
        is_over = last.status in ("interrupted", "callback") or observer.is_late()
        if is_over or steps.is_settled(now, slope):
            return first, last, True
        before = loss.r
        loss = replace(loss, r=float(np.exp(steps.next(now, slope, partial(_likeliest, model, tensor)))))
        last = fitted(k, loss, init=_rescaled(model, before / loss.r), n_starts=1)
    return first, last, False


def _by_moments(tensor: Any, loss: Loss) -> float:
    """Return r by the mean and the variance of all data: too small, as the model's variation counts as dispersion."""
    facts = survey(tensor, loss)
    extra = facts.std**2 - facts.mean
    return float(np.clip(facts.mean**2 / extra if extra > 0 else 1e3, 0.05, 1e3))


def _slope(model: Model, tensor: Any) -> float:
    """Return the derivative of minus the log-likelihood in log r, the factors as they are."""
    loss: Any = model.loss
    twice = replace(loss, r=2 * loss.r)
    if build_objective(tensor, loss).is_exact_affordable:  # the sum of f is linear in r
        change = evaluate(replace(model, loss=twice), tensor).value - evaluate(model, tensor).value
    else:
        cells = known_cells(model, stored(tensor))
        change = float(cells.w @ (twice.value(cells.x, cells.m) - loss.value(cells.x, cells.m)))
    for block in tensor.blocks():
        terms = loss.r * (digamma(loss.r) - digamma(block.x + loss.r))
        change += float(np.sum(terms if block.weights is None else terms * block.weights))
    return change


def _likeliest(model: Model, tensor: Any, *, holds_means: bool = False) -> float:
    """Return the likeliest log r if the model's entries stay as they are, or the expectations."""
    loss: Any = model.loss
    cells = known_cells(model, stored(tensor))
    mean = loss.mean(cells.m)

    def minus(log_r: float) -> float:
        other = replace(loss, r=float(np.exp(log_r)))
        m = other.link(mean) if holds_means else cells.m
        return -float(cells.w @ other.log_likelihood(cells.x, m))

    with threads.single_threaded_blas():  # many short products
        return float(minimize_scalar(minus, bounds=_RANGE, method="bounded", options={"xatol": 1e-4}).x)


_CLOSE = 1e-5
"""Width of the range of log r at which fits that do not converge say no more."""


class _RSearch:
    """The zero of a function of log r that rises through it, of few values."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.low, self.high = _RANGE
        self.curvature = 0.0

    def is_settled(self, at: float, slope: float) -> bool:
        """Return whether this value is as good as zero, or nothing is left to look at."""
        curvature = self.curvature
        if self.seen and at != self.seen[-1][0]:
            curvature = (slope - self.seen[-1][1]) / (at - self.seen[-1][0])
        self.curvature = max(curvature, 0.0)
        is_beyond = abs(at - _RANGE[int(slope < 0)]) < 1e-9
        is_beyond |= self.high - self.low < _CLOSE
        return is_beyond or abs(slope) <= _TOL * np.sqrt(max(self.curvature, 1.0))

    def next(self, at: float, slope: float, likeliest: Callable[..., float]) -> float:
        """Return the next log r; without a curvature, no farther than the factors as they are say."""
        if slope > 0:
            self.high = at
        else:
            self.low = at
        is_between = self.low > _RANGE[0] and self.high < _RANGE[1]
        aim = np.inf if is_between else likeliest(holds_means=True)
        if is_between or abs(aim - at) < _NEAR or (aim > at) != (slope < 0):
            if self.curvature > 0:
                step = -slope / self.curvature
            else:  # a long step may leave the optimum's surroundings
                step = -float(np.sign(slope)) * max(abs(likeliest() - at), _NEAR / 10)
            aim = at + float(np.clip(step, -1.0, 1.0))
        self.seen.append((at, slope))
        if self.low < aim < self.high:
            return aim
        ends = self.low, self.high
        end = ends[int(slope < 0)]
        return end if end in _RANGE else float(np.mean(ends))


def _rescaled(model: Model, ratio: float) -> Model:
    """Return a model of equal expectations under another r, where m is proportional to them; else of equal m."""
    is_given = len(model.problem.fixed_modes) == len(model.shape)
    if is_given or model.loss.model_domain.low < 0:
        return model
    effects = {name: vector * ratio for name, vector in model.main_effects.items()}
    return replace(
        model, weights=model.weights * ratio, intercept=model.intercept * ratio, main_effects=effects
    )
