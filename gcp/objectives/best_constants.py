"""The data of each position of a mode, and the constant model that is best for it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.gaussian import Gaussian
from gcp.losses.several import SeveralLosses
from gcp.objectives import constant
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.survey import survey
from gcp.tensors.base import TensorData
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.rearranged import at_positions


class Moments(NamedTuple):
    """Weighted moments of the data of each position.

    Attributes
    ----------
    weight, mean, mean_square : ndarray, shape (I_mode,)
    """

    weight: FloatArray
    mean: FloatArray
    mean_square: FloatArray


def moments_of(tensor: Tensor, mode: int, n_threads: int) -> Moments:
    """Return the moments of every position of a mode: gradients of squared error at models of 0 and 1 tell them."""
    slopes = _slopes(tensor, mode, n_threads, 0.0)
    weight = 0.5 * (_slopes(tensor, mode, n_threads, 1.0) - slopes)
    squares = tensor.with_values(np.square(np.asarray(tensor.values, dtype=float)))
    safe = np.where(weight > 0, weight, 1.0)
    return Moments(weight, -0.5 * slopes / safe, -0.5 * _slopes(squares, mode, n_threads, 0.0) / safe)


def _slopes(tensor: TensorData, mode: int, n_threads: int, m: float) -> FloatArray:
    """Return the derivatives (I_mode,) of squared error in a constant of each position."""
    factors = [np.ones((size, 1)) for size in tensor.shape]
    factors[mode] *= m
    _, grad, _ = tensor.loss_and_mttkrps(Gaussian().formula, factors, n_threads)
    return np.asarray(grad[mode][:, 0], dtype=float)


def best_constants(
    objective: EntrywiseObjective, several: SeveralLosses, positions: Array, moments: Moments, mode: int
) -> FloatArray:
    """Return the best constant (k,) of each position of an objective, which are these of the whole tensor.

    Parameters
    ----------
    objective : EntrywiseObjective
        Of one of several losses.
    several : SeveralLosses
    positions : ndarray of int, shape (k,)
    moments : Moments
        Of shapes (k,).
    mode : int
    """
    found = np.zeros(len(positions))
    loss = several.part(int(several.which[positions[0]]))
    for j, position in enumerate(positions):
        own = loss.at(np.asarray(position))
        best = own.constant(float(moments.mean[j]), float(moments.mean_square[j]))
        if best is None:
            part = at_positions(stored(objective.tensor), mode, np.array([j]))
            facts = survey(part, objective.loss, objective.n_threads)
            best = replace(objective, tensor=part, survey=facts).null_constant
        found[j] = constant.finite(float(best))
    return found
