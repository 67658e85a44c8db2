"""Fits that estimate a parameter of the loss along with the model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from gcp.cells import Cells, known_cells
from gcp.kernels import threads
from gcp.losses.base import Loss
from gcp.objectives.survey import survey
from gcp.result import FitResult
from gcp.solvers.journal import Journal
from gcp.tensors.coerce import in_one_piece

_RANGE = 1e-4, 1e8
"""Of r; at the upper end the negative binomial is Poisson."""

_ROUNDS = 30
_TOL = 1e-4
"""Relative change of r that ends the search."""


def fit_estimating_r(
    fit: Callable[[Journal, dict[str, Any]], FitResult], journal: Journal, arguments: dict[str, Any]
) -> FitResult:
    """A negative-binomial model whose r maximises the likelihood together with the factors.

    Parameters
    ----------
    fit : callable
        `fit_gcp`, of a journal and arguments by name.
    journal : Journal
    arguments : dict
        With a loss whose r is "estimate".

    Returns
    -------
    FitResult
        Its loss has the estimate, and so has ``settings["estimated"]``.

    Notes
    -----
    In turn, the factors are fitted under r, and r to the expectations that they give; a secant step on log r between
    two such rounds saves most of them. All starts run at the first r only.
    """
    called = time.perf_counter()
    began = called - journal.seconds_before
    loss, limit = arguments["loss"], arguments["max_seconds"]
    tensor = in_one_piece(*(arguments[name] for name in ("data", "mask", "entry_weights")))
    loss = replace(loss, r=_by_moments(tensor, replace(loss, r=1.0)))
    options = arguments | {"data": tensor, "mask": None, "entry_weights": None}
    first = result = fit(journal.within("round 0"), options | {"loss": loss})
    options |= {"n_starts": 1, "random_state": result.settings["seed"]}
    seen: list[tuple[float, float]] = []
    for k in range(1, _ROUNDS + 1):
        cells = known_cells(result, tensor)
        with threads.single_threaded_blas():  # many short products
            now, best = np.log(loss.r), np.log(_most_likely(result.loss, cells))
        left = None if limit is None else limit - (time.perf_counter() - called)
        if (
            abs(best - now) < _TOL
            or result.status in ("interrupted", "callback")
            or (left is not None and left <= 0)
        ):
            break
        seen.append((now, best))
        aim = float(np.exp(_secant(seen)))
        start = _rescaled(result, loss.r / aim)
        loss = replace(loss, r=aim)
        own = {"loss": loss, "init": start, "max_seconds": left}
        result = fit(journal.within(f"round {k}"), options | own)
    asked = {name: first.settings[name] for name in ("init", "n_starts", "max_seconds")}
    settings = result.settings | asked | {"estimated": {"r": loss.r}}
    return replace(result, settings=settings, seconds=time.perf_counter() - began)


def _by_moments(tensor: Any, loss: Loss) -> float:
    """From the mean and the variance of all data: too small, for it takes the model's variation for dispersion."""
    facts = survey(tensor, loss)
    extra = facts.std**2 - facts.mean
    return float(np.clip(facts.mean**2 / extra if extra > 0 else 1e3, 0.05, 1e3))


def _most_likely(loss: Any, cells: Cells) -> float:
    """r that maximises the likelihood of the data, their expectations as they are."""
    mean = loss.mean(cells.m)

    def minus(log_r: float) -> float:
        other = replace(loss, r=float(np.exp(log_r)))
        return -float(cells.w @ other.log_likelihood(cells.x, other.link(mean)))

    low, high = np.log(_RANGE)
    return float(
        np.exp(minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    )


def _secant(seen: list[tuple[float, float]]) -> float:
    """Where the last two rounds would meet best == now; the last one's best if they disagree."""
    (x, y) = seen[-1]
    if len(seen) > 1:
        (p, q) = seen[-2]
        slope = (y - q) / (x - p) if x != p else 1.0
        if 0 <= slope < 0.95:
            return float(np.clip(x + (y - x) / (1 - slope), *np.log(_RANGE)))
    return y


def _rescaled(result: FitResult, ratio: float) -> FitResult:
    """The same expectations under another r, where m is proportional to them; else the same m."""
    if result.loss.model_domain.low < 0:
        return result
    effects = {name: vector * ratio for name, vector in result.main_effects.items()}
    return replace(
        result, weights=result.weights * ratio, intercept=result.intercept * ratio, main_effects=effects
    )
