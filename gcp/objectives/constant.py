"""The best constant model: what a fit is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from gcp.losses.base import Loss
from gcp.objectives.survey import Survey
from gcp.tensors.base import Block, TensorData

_LARGEST_CONSTANT = 1e10

_NEARLY_CONSTANT = 1e-6
"""Standard deviation of data, in their mean, below which moments do not tell them from constant ones."""

_MANY = 1e4
_PERFECT = {"float64": 1e-6, "float32": 1e-4}
"""Deviance of a perfect model of constant data, in that of a model that is clearly wrong."""


def best(loss: Loss, mean: float, std: float, objective: Callable[[float], float]) -> float:
    """Return the constant that minimises the objective, by a bounded search about the data's mean."""
    centre = float(loss.model_domain.clip(finite(float(loss.link(mean)))))
    reach = 10 * max(std, abs(centre), 1e-300)
    low, high = max(centre - reach, loss.model_domain.low), min(centre + reach, loss.model_domain.high)
    size, value = _power(reach), _power(objective(centre))  # the search multiplies values by lengths
    found = minimize_scalar(
        lambda t: objective(size * t) / value,
        bounds=(low / size, high / size),
        method="bounded",
        options={"xatol": 1e-9 * reach / size},
    )
    return finite(size * float(found.x))


def _power(number: float) -> float:
    """Return a power of 2 near a number's size, by which division does not round; 1 for 0 and infinity."""
    exponent = math.frexp(number)[1] if np.isfinite(number) else 0
    return math.ldexp(1.0, min(max(exponent, -1000), 1000))


def value(tensor: TensorData, loss: Loss, n_threads: int, m: float, _: None = None) -> float:
    """Return the loss of a constant model, over a tensor or a part of one."""
    if tensor.zeros is not None:  # all its zeros are one block
        with np.errstate(all="ignore"):
            return math.fsum(_sum(block, loss, m) for block in tensor.blocks())
    ones = [np.ones((size, 1)) for size in tensor.shape]
    return tensor.loss_and_mttkrps(loss.formula, [m * ones[0], *ones[1:]], n_threads)[0]


def _sum(block: Block, loss: Loss, m: float) -> float:
    values = loss.value(block.x, m)
    w = block.weights
    return float(values.sum() if w is None else np.where(w, values, 0) @ w)


def finite(m: float) -> float:
    """Return the model value itself, or a large one where a link is infinite (probability 1, mean 0 under a log)."""
    return m if np.isfinite(m) else float(np.copysign(_LARGEST_CONSTANT, m))


def share_explained(
    values: tuple[float, float, float], facts: Survey, dtype: np.dtype[Any], price: Callable[[], float]
) -> float:
    """Return 1 - the part of the best constant's deviance that a model leaves; 1 or NaN if that is rounding.

    The values are the objective of the model, of the best constant and of the saturated model; `price` is the
    deviance of a constant that is clearly wrong.
    """
    value, null, saturated = values
    left, whole = value - saturated, null - saturated
    if facts.std > _NEARLY_CONSTANT * abs(facts.mean) and whole > 0:
        return 1 - left / whole
    eps, unit = float(np.finfo(dtype).eps), price()
    rounding = _MANY * eps * max(abs(value), abs(null), abs(saturated))
    if whole > max(rounding, _MANY * eps**2 * unit):
        return 1 - left / whole
    return 1.0 if left <= max(rounding, _PERFECT[dtype.name] * unit) else math.nan
