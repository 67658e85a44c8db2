"""Penalties on components as wholes: a lasso on their weights, and a Dirichlet prior of their columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp.base.types import Factors, FloatArray

_FLOOR = 1e-3
"""Added to the entries of a column, in its mean, under the logarithm: an entry of 0 costs much, but not all."""


def weights_value(strength: float, factors: Factors) -> float:
    """(strength / N) * sum of ||a||**N over all columns of all N factors."""
    return strength / len(factors) * sum(float(np.sum(_norms(a) ** len(factors))) for a in factors)


def add_weights_grad(strength: float, factors: Factors, grad: Sequence[FloatArray]) -> None:
    """Its gradient is added to `grad` in place."""
    for g, a in zip(grad, factors, strict=True):
        g += strength * weights_curvature(a, len(factors)) * a


def weights_curvature(factor: FloatArray, ndim: int) -> FloatArray:
    """The strengths, per column, of the ridge that has the gradient of the penalty of strength 1 here."""
    norms = _norms(factor)
    return np.where(norms > 0, np.maximum(norms, 1e-300) ** (ndim - 2), 0.0)


def _norms(factor: FloatArray) -> FloatArray:
    return np.linalg.norm(np.asarray(factor, dtype=float), axis=0)


def dirichlet_value(strength: float, factors: Factors) -> float:
    """Minus strength * log(entry / column mean), summed; 0 for even columns, and for columns of zeros."""
    return strength * sum(float(np.sum(_evenness(np.asarray(a, dtype=float)))) for a in factors)


def _evenness(a: FloatArray) -> FloatArray:
    mean = a.mean(axis=0)
    relative = a / np.where(mean > 0, mean, 1.0) + _FLOOR
    return np.where(mean > 0, np.log1p(_FLOOR) - np.log(relative), 0.0)


def add_dirichlet_grad(strength: float, factors: Factors, grad: Sequence[FloatArray]) -> None:
    """Its gradient is added to `grad` in place."""
    for g, a in zip(grad, factors, strict=True):
        mean = a.mean(axis=0, dtype=float)
        known = np.where(mean > 0, mean, 1.0)
        inverse = 1 / (a + _FLOOR * known)
        slope = 1 / known - inverse - _FLOOR * inverse.mean(axis=0)
        g += strength * np.where(mean > 0, slope, 0.0)
