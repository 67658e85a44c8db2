"""Training data and a judge of what was fitted to them, several times over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gcp.analysis.holdout import hold_out
from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.losses.base import Loss
from gcp.losses.poisson import Poisson, PoissonLog
from gcp.result import FitResult
from gcp.tensors.base import WholeData


class ValidationSplit(NamedTuple):
    """Data to fit, and the mean held-out loss of what was fitted."""

    train: WholeData
    judge: Callable[[FitResult], float]


def make_split(tensor: WholeData, loss: Loss, method: str, fraction: float, seed: int) -> ValidationSplit:
    """Return a random split.

    Raises
    ------
    ParameterError
        Unknown method, or thinning of a loss that is not Poisson.
    """
    if checks.text("method", method, ("cells", "thinning")) == "cells":
        parts = hold_out(tensor, fraction, seed, keep=0.5)
        return ValidationSplit(parts.train, lambda result: -result.score(parts.test))
    if not isinstance(loss, Poisson | PoissonLog):
        raise ParameterError(f"Thinning is for counts under a Poisson loss: found {loss.name}.")
    train, test = _thinned(tensor, fraction, checks.generator(seed, "thinning"))
    return ValidationSplit(train, lambda result: -_scaled(result, fraction / (1 - fraction)).score(test))


def _thinned(tensor: WholeData, fraction: float, rng: np.random.Generator) -> tuple[WholeData, WholeData]:
    """Return each count cut in two by the toss of a coin: independent Poisson counts of proportional means."""
    values = np.asarray(tensor.values)
    known = (
        np.ones(values.shape, bool) if tensor.entry_weights is None else np.asarray(tensor.entry_weights) > 0
    )
    counts = np.where(known, values, 0).astype(np.int64)
    training = rng.binomial(counts, 1 - fraction)
    dtype = np.float32 if tensor.dtype == np.float32 else np.float64
    return tensor.with_values(training.astype(dtype)), tensor.with_values((counts - training).astype(dtype))


def _scaled(result: FitResult, ratio: float) -> FitResult:
    """Return the model of counts whose means are in this ratio to those of the fit."""
    if isinstance(result.loss, PoissonLog):
        weight = np.log(ratio) * np.sqrt(np.prod(result.shape, dtype=float))  # of a constant component
        factors = [np.column_stack([a, np.full(len(a), len(a) ** -0.5)]) for a in result.factors]
        return replace(result, weights=np.append(result.weights, weight), factors=factors)
    effects = {name: vector * ratio for name, vector in result.main_effects.items()}
    return replace(
        result, weights=result.weights * ratio, intercept=result.intercept * ratio, main_effects=effects
    )
