"""Models to begin from in a search over ranks: the next smaller one grown, the next larger one reduced."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gcp.base.types import FloatArray
from gcp.objectives.build import build_objective
from gcp.objectives.evaluation import evaluate
from gcp.result import FitResult

Start = Callable[[np.random.Generator], FitResult]

_NEW_SHARE = 0.1
"""Weight of a component that is added to a smaller model, in the mean weight of its own."""


_SHRINKS = 60
"""Most times that weights are shrunk where a start is infinite, as exp of what is left of large terms may be."""


def grown(model: FitResult, rank: int, tensor: Any) -> Start:
    """Return a model with random components added that are small beside it."""

    def start(rng: np.random.Generator) -> FitResult:
        alive = np.flatnonzero(model.weights)  # a component of weight 0 has no gradient to come back by
        extra = rank - len(alive)
        is_nonnegative = model.loss.model_domain.low >= 0
        factors: list[FloatArray] = []
        for a in model.factors:
            shape = len(a), extra
            new = rng.uniform(0.1, 1.0, shape) if is_nonnegative else rng.standard_normal(shape)
            factors.append(np.column_stack([a[:, alive], new / np.linalg.norm(new, axis=0)]).astype(a.dtype))
        size = _NEW_SHARE * float(model.weights[alive].mean())
        new_weights = np.full(extra, size)
        whole = replace(model, weights=np.append(model.weights[alive], new_weights), factors=factors)
        return _finite(whole, tensor, np.append(np.ones(len(alive)), np.full(extra, 0.1)))

    return start


def reduced(model: FitResult, rank: int, tensor: Any) -> Start:
    """Return a model without the components that are missed least, one after the other."""

    def start(_: np.random.Generator) -> FitResult:
        smaller = model
        is_exact = build_objective(tensor, model.numbered_loss).is_exact_affordable
        while smaller.rank > rank:
            each = [_without(smaller, r) for r in range(smaller.rank)]
            # Components fall by weight: without an objective the last is the least.
            smaller = min(each, key=lambda less: _value(less, tensor)) if is_exact else each[-1]
        return _finite(smaller, tensor, np.full(rank, 0.5))

    return start


def _finite(model: FitResult, tensor: Any, shrink: FloatArray) -> FitResult:
    """Return the model with weights times `shrink` (R,) as often as it takes for its objective to be finite."""
    if not build_objective(tensor, model.numbered_loss).is_exact_affordable:
        return model
    for _ in range(_SHRINKS):
        if _value(model, tensor) < np.inf:
            break
        model = replace(model, weights=model.weights * shrink)
    return model


def _value(model: FitResult, tensor: Any) -> float:
    """Return the objective, infinite where it is not a number."""
    value = evaluate(model, tensor).value
    return value if np.isfinite(value) else np.inf


def _without(model: FitResult, component: int) -> FitResult:
    factors = [np.delete(a, component, axis=1) for a in model.factors]
    return replace(model, weights=np.delete(model.weights, component), factors=factors)
