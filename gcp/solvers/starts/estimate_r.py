"""Fits that estimate a parameter of the loss along with the model."""

from __future__ import annotations

import time
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
from gcp.objectives.survey import survey
from gcp.result import FitResult
from gcp.solvers.observer import Storage
from gcp.tensors.intake.coerce import in_one_piece

_RANGE = np.log(1e-4), np.log(1e8)
"""Of log r; at the upper end the negative binomial is Poisson."""

_ROUNDS = 30
_TOL = 1e-3
"""The search ends when r is as near to the likeliest one, in standard errors of log r."""

_NEAR = 1e-2
"""Steps of log r below which the curvature says more than the likeliest r for given expectations."""


def fit_estimating_r(
    fit: Callable[[Storage, dict[str, Any]], FitResult], storage: Storage, arguments: dict[str, Any]
) -> FitResult:
    """A negative-binomial model whose r maximises the likelihood together with the factors.

    Parameters
    ----------
    fit : callable
        `fit_gcp`, of a storage and arguments by name.
    storage : Storage
    arguments : dict
        With a loss whose r is "estimate".

    Returns
    -------
    FitResult
        Its loss has the estimate, and so has ``settings["estimated"]``.

    Notes
    -----
    The factors are fitted under one r after another; the derivative of the likelihood in log r, the factors as they
    are, is that of the profile likelihood, and a secant search finds where it is 0. All starts run at the first r
    only; the best one goes on. The first r is the likeliest of a model that is given to start from, else by moments.
    """
    called = time.perf_counter()
    began = called - storage.seconds_before
    loss, limit = arguments["loss"], arguments["max_seconds"]
    tensor = in_one_piece(*(arguments[name] for name in ("data", "mask", "entry_weights")))
    options = arguments | {"data": tensor, "mask": None, "entry_weights": None}
    loss = replace(loss, r=_by_moments(tensor, replace(loss, r=1.0)))
    if not isinstance(options.get("init", "random"), str):  # a model, which says more of r than the moments
        begin = fit(Storage(), options | {"loss": loss, "n_iter_max": 0, "n_starts": 1, "callback": None})
        loss = replace(loss, r=max(loss.r, min(np.exp(_likeliest(begin, tensor)), 1e3)))
    first = result = fit(storage.within("round 0"), options | {"loss": loss})
    options |= {"n_starts": 1, "random_state": result.settings["seed"]}
    search = _Search()
    for k in range(1, _ROUNDS + 1):
        now, slope = float(np.log(loss.r)), _slope(result, tensor)
        left = None if limit is None else limit - (time.perf_counter() - called)
        is_over = result.status in ("interrupted", "callback") or (left is not None and left <= 0)
        if is_over or search.is_settled(now, slope):
            break
        before = loss.r
        loss = replace(loss, r=float(np.exp(search.next(now, slope, partial(_likeliest, result, tensor)))))
        own = {"loss": loss, "init": _rescaled(result, before / loss.r), "max_seconds": left}
        result = fit(storage.within(f"round {k}"), options | own)
    else:
        result = replace(
            result,
            converged=False,
            status="n_iter_max",
            message=f"r was still changing after {_ROUNDS} rounds",
        )
    asked = {name: first.settings[name] for name in ("init", "n_starts", "max_seconds")}
    settings = result.settings | asked | {"estimated": {"r": loss.r}}
    seconds = time.perf_counter() - began
    return replace(result, settings=settings, seconds=seconds, starts=_all_starts(first, result))


def _all_starts(first: FitResult, last: FitResult) -> list[dict[str, Any]]:
    """Those of the first round, the best of them as it ended."""
    kept = _best(first)
    return [_best(last) | {"start": own["start"]} if own is kept else own for own in first.starts]


def _best(result: FitResult) -> dict[str, Any]:
    return min(result.starts, key=lambda start: start["objective"])


def _by_moments(tensor: Any, loss: Loss) -> float:
    """From the mean and the variance of all data: too small, for it takes the model's variation for dispersion."""
    facts = survey(tensor, loss)
    extra = facts.std**2 - facts.mean
    return float(np.clip(facts.mean**2 / extra if extra > 0 else 1e3, 0.05, 1e3))


def _slope(result: FitResult, tensor: Any) -> float:
    """Derivative of minus the log-likelihood in log r, the factors as they are."""
    loss: Any = result.loss
    twice = replace(loss, r=2 * loss.r)
    if build_objective(tensor, loss).is_exact_affordable:  # the sum of f is linear in r
        change = evaluate(replace(result, loss=twice), tensor).value - evaluate(result, tensor).value
    else:
        cells = known_cells(result, tensor)
        change = float(cells.w @ (twice.value(cells.x, cells.m) - loss.value(cells.x, cells.m)))
    for block in tensor.blocks():
        terms = loss.r * (digamma(loss.r) - digamma(block.x + loss.r))
        change += float(np.sum(terms if block.weights is None else terms * block.weights))
    return change


def _likeliest(result: FitResult, tensor: Any, *, holds_means: bool = False) -> float:
    """The likeliest log r if the model's entries stay as they are, or the expectations."""
    loss: Any = result.loss
    cells = known_cells(result, tensor)
    mean = loss.mean(cells.m)

    def minus(log_r: float) -> float:
        other = replace(loss, r=float(np.exp(log_r)))
        m = other.link(mean) if holds_means else cells.m
        return -float(cells.w @ other.log_likelihood(cells.x, m))

    with threads.single_threaded_blas():  # many short products
        return float(minimize_scalar(minus, bounds=_RANGE, method="bounded", options={"xatol": 1e-4}).x)


_CLOSE = 1e-5
"""Width of the range of log r at which fits that do not converge say no more."""


class _Search:
    """The zero of a function of log r that rises through it, of few values."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []
        self.low, self.high = _RANGE
        self.curvature = 0.0

    def is_settled(self, at: float, slope: float) -> bool:
        """Whether this value is as good as zero, or nothing is left to look at."""
        curvature = self.curvature
        if self.seen and at != self.seen[-1][0]:
            curvature = (slope - self.seen[-1][1]) / (at - self.seen[-1][0])
        self.curvature = max(curvature, 0.0)
        is_beyond = abs(at - _RANGE[int(slope < 0)]) < 1e-9
        is_beyond |= self.high - self.low < _CLOSE
        return is_beyond or abs(slope) <= _TOL * np.sqrt(max(self.curvature, 1.0))

    def next(self, at: float, slope: float, likeliest: Callable[..., float]) -> float:
        """Where to look next; without a curvature, no farther than the factors as they are say."""
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


def _rescaled(result: FitResult, ratio: float) -> FitResult:
    """The same expectations under another r, where m is proportional to them; else the same m."""
    is_given = len(result.settings["fixed_modes"]) == len(result.shape)
    if is_given or result.loss.model_domain.low < 0:
        return result
    effects = {name: vector * ratio for name, vector in result.main_effects.items()}
    return replace(
        result, weights=result.weights * ratio, intercept=result.intercept * ratio, main_effects=effects
    )
