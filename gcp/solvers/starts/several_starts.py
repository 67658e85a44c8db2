"""Random factors to begin with under several losses, whose positions have means in units of their own."""

from __future__ import annotations

import numpy as np

from gcp.base.types import FloatArray
from gcp.objectives.bounds import Bounds
from gcp.objectives.sum_objective import SumObjective
from gcp.solvers.starts.initial import is_identity, reach

_SMALL_STD = 0.3
"""Spread of a random model, in that of the data under an identity link: enough to break symmetry."""

_LEAST_MEAN = 1e-3
"""Mean of a nonnegative model where all data of a position are 0."""


def random_of_positions(
    objective: SumObjective, rank: int, bounds: Bounds, rng: np.random.Generator
) -> list[FloatArray]:
    """Return random factors (I_n, R) of a model whose mean at each position is its best constant.

    The factors of other modes are positive where some loss needs nonnegative models, else normal about 1; rows of the
    mode are positive there, and elsewhere the constant and a random part that has no mean.
    """
    loss, mode = objective.loss, objective.mode
    must, constants, spreads = loss.nonnegative, _levels(objective), _spreads(objective)
    factors = [
        rng.uniform(0.1, 1.0, (size, rank)) if must.any() else 1.0 + rng.standard_normal((size, rank))
        for size in objective.tensor.shape
    ]
    others = [a for n, a in enumerate(factors) if n != mode]
    mean = np.prod([a.mean(axis=0) for a in others], axis=0) * np.ones(rank)
    square = np.prod([np.square(a).mean(axis=0) for a in others], axis=0) * np.ones(rank)
    varies = np.sqrt(np.maximum(square - mean**2, 0.0)) if others else np.ones(rank)
    positive = rng.uniform(0.1, 1.0, (len(must), rank))
    positive *= (np.where(constants > 0, constants, _LEAST_MEAN) / (positive @ mean))[:, None]
    chance = rng.standard_normal((len(must), rank))
    if rank > 1:
        chance -= np.outer(chance @ mean, mean) / (mean @ mean)
    size = np.sqrt(np.square(chance) @ np.square(varies))
    part = np.divide(_SMALL_STD * spreads, size, out=np.zeros(len(must)), where=size > 0)
    free = np.outer(constants, mean) / (mean @ mean) + part[:, None] * chance
    factors[mode] = np.where(must[:, None], positive, free)
    return bounds.project(factors)


def _spreads(objective: SumObjective) -> FloatArray:
    """Return the spread (I_mode,) of the models of each position: of the data, under an identity link, else 1."""
    _, mean, square = objective.moments
    found = np.sqrt(np.maximum(square - mean**2, 0.0))
    for part in objective.summands:
        if not is_identity(part.objective.loss):
            found[part.positions[objective.mode]] = 1.0
    return found


def _levels(objective: SumObjective) -> FloatArray:
    """Return the best constant (I_mode,) of each position, held within reach where a link is infinite."""
    found = objective.null_constants.copy()
    for part in objective.summands:
        k = part.positions[objective.mode]
        found[k] = np.clip(found[k], *reach(part.objective.loss))
    return found
