"""The best constant model: what a fit is compared with."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.objectives.survey import Survey
from gcp.tensors.base import Block, TensorData

_LARGEST_CONSTANT = 1e10

_NEARLY_CONSTANT = 1e-6
"""Standard deviation of data, in their mean, below which moments do not tell them from constant ones."""

_MOST_STEPS = 60
"""Doublings of a step, in which any root of numbers of a usual size is found."""

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
    if tensor.zeros is not None and not tensor.is_affine:  # all its zeros are one block
        with np.errstate(all="ignore"):
            return math.fsum(_sum(block, loss, m) for block in tensor.blocks())
    return tensor.loss_and_mttkrps(loss.formula, factors_of(m, tensor.shape), n_threads)[0]


def factors_of(m: float, shape: tuple[int, ...]) -> list[FloatArray]:
    """Return factors (I_n, 1) of a constant model."""
    ones = [np.ones((size, 1)) for size in shape]
    return [m * ones[0], *ones[1:]]


def beside_columns(
    evaluate: Callable[[float], tuple[float, list[FloatArray]]], loss: Loss, facts: Survey
) -> float:
    """Return the constant model that is best where entries have scales and offsets: where the derivative is 0.

    `evaluate` returns the value of a constant model, and its gradients in the factors.
    """

    def slope(m: float) -> float:
        return float(evaluate(m)[1][0].sum())

    centre = float(loss.link(facts.mean))
    if not np.isfinite(centre) or centre == loss.model_domain.low:
        return finite(centre)
    if loss.model_domain.low >= 0:
        return math.exp(_root(lambda t: slope(math.exp(t)), math.log(centre), 1.0))
    return _root(slope, centre, max(facts.std, 1e-3 * abs(centre)) or 1.0)


def _root(slope: Callable[[float], float], centre: float, step: float) -> float:
    """Return where a rising function is 0, from a point near it and a step."""
    low = high = centre
    for _ in range(_MOST_STEPS):
        if slope(low) <= 0:
            break
        low, high, step = low - step, low, 2 * step
    for _ in range(_MOST_STEPS):
        if slope(high) >= 0:
            break
        low, high, step = high, high + step, 2 * step
    if not slope(low) < 0 < slope(high):
        return low if slope(low) == 0 else high
    return float(brentq(slope, low, high, xtol=1e-13 * max(1.0, abs(centre)), rtol=1e-14))


def _sum(block: Block, loss: Loss, m: float) -> float:
    values = loss.value(block.x, m)
    w = block.weights
    return float(values.sum() if w is None else np.where(w, values, 0) @ w)


def squared_slopes(tensor: TensorData, loss: Loss, n_threads: int, m: float, _: None = None) -> float:
    """Return the sum of squared derivatives of the loss at a constant model, over a tensor or a part of one."""
    total = 0.0
    for block in tensor.blocks():
        w = np.ones(np.shape(block.x)) if block.weights is None else block.weights
        with np.errstate(all="ignore"):
            slopes = np.square(loss.deriv(block.x, m)) * w
        total += float(np.sum(np.where(w > 0, slopes, 0.0)))
    return total


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
