"""Weights and columns of unit norm, which scaling does not change: their variances and biases, from parameters."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from gcp.analysis.fixed_scale import FixedScale
from gcp.analysis.parameter_layout import ParameterLayout
from gcp.base.types import Array, FloatArray


class Estimate(NamedTuple):
    """Parameters, their covariance, and the bias that curvature gives them; None where none is taken off."""

    theta: FloatArray
    covariance: FloatArray
    biases: FloatArray | None


class Column(NamedTuple):
    """A component's column in a mode, of unit norm.

    Attributes
    ----------
    unit, error, bias : ndarray, shape (I_n,)
    log_gradient : ndarray, shape (I_n,)
        Of the logarithm of its norm in its entries.
    log_bias : float
        Of that logarithm.
    """

    unit: FloatArray
    error: FloatArray
    bias: FloatArray
    log_gradient: FloatArray
    log_bias: float


class Component(NamedTuple):
    """A component: its weight, the weight's standard error and bias, and its columns."""

    weight: float
    error: float
    bias: float
    columns: list[Column]


def component(layout: ParameterLayout, estimate: Estimate, r: int) -> Component | None:
    """Return weight and columns of a component by the delta method, biases to second order; None if it is off."""
    theta, covariance = estimate.theta, estimate.covariance
    biases = np.zeros(len(theta)) if estimate.biases is None else estimate.biases
    places = [layout.columns(n, r) for n in range(len(layout.shape))]
    if any(not theta[at].any() for at in places):
        return None
    columns = []
    for n, at in enumerate(places):
        own = theta[at], covariance[np.ix_(at, at)], biases[at]
        columns.append(_designed_column(layout.designs[n], *own) if n in layout.designs else _column(*own))
    gradient = np.zeros(len(theta))
    for at, column in zip(places, columns, strict=True):
        gradient[at] += column.log_gradient
    sizes = (
        layout.designs[n] @ theta[at] if n in layout.designs else theta[at] for n, at in enumerate(places)
    )
    weight = float(np.prod([np.linalg.norm(a) for a in sizes]))
    variance = float(np.maximum(gradient @ covariance @ gradient, 0.0))
    bias = sum(column.log_bias for column in columns) + variance / 2
    return Component(weight, weight * float(np.sqrt(variance)), weight * bias, columns)


def _column(theta: FloatArray, covariance: FloatArray, biases: FloatArray) -> Column:
    """Return the column of entries (I_n,), with their covariance (I_n, I_n) and biases (I_n,)."""
    norm = float(np.linalg.norm(theta))
    unit, own = theta / norm, covariance / norm**2
    turn = np.eye(len(unit)) - np.outer(unit, unit)
    turned = turn @ own
    variance = np.sum(turned * turn, axis=1)
    away, along = float(np.trace(turned)), float(unit @ own @ unit)
    shift = biases / norm
    return Column(
        unit,
        np.sqrt(np.maximum(variance, 0.0)),
        turn @ shift - turned @ unit - away / 2 * unit,
        unit / norm,
        float(unit @ shift) + (away - along) / 2,
    )


def column_gradient(z: Any, c: FloatArray) -> FloatArray:
    """Return the derivatives (K, K) of c / ||Z c|| in coefficients c (K,)."""
    a = z @ c
    norm = float(np.linalg.norm(a))
    return np.asarray((np.eye(len(c)) - np.outer(c, z.T @ a) / norm**2) / norm)


def _designed_column(z: Any, theta: FloatArray, covariance: FloatArray, biases: FloatArray) -> Column:
    """Return the column Z c of coefficients c (K,), with their covariance (K, K) and biases (K,)."""
    a = z @ theta
    norm = float(np.linalg.norm(a))
    unit, turn = a / norm, column_gradient(z, theta)
    slope = np.asarray(z.T @ unit)
    total = float(np.sum(np.asarray(z.T @ (z @ covariance)).diagonal())) / norm**2
    along = float(slope @ covariance @ slope) / norm**2
    away = total - along
    shift = turn @ biases - (covariance @ slope) / norm**2 - theta / norm * ((away - along) / 2 - along / 2)
    turned = z @ (turn @ covariance @ turn.T)
    variance = np.asarray((z * turned).sum(axis=1)).reshape(-1)
    return Column(
        unit,
        np.sqrt(np.maximum(variance, 0.0)),
        np.asarray(z @ shift),
        slope / norm,
        float(slope @ biases) / norm + (away - along) / 2,
    )


def confusion(components: list[Component | None]) -> FloatArray:
    """Return the variance (R, modes) of each component's columns in what sets them apart from the nearest other's.

    The part of a column that is orthogonal to another one looks larger than it is by the columns' errors, and what
    only it tells apart looks that much surer.
    """
    found = [(r, each) for r, each in enumerate(components) if each is not None]
    total = np.zeros((len(components), max((len(each.columns) for _, each in found), default=0)))
    for r, one in found:
        for n, column in enumerate(one.columns):
            own = float(np.sum(column.error**2))
            total[r, n] = own
            for s, other in found:
                if s != r:
                    theirs = float(np.sum(other.columns[n].error ** 2))
                    apart = 1 - float(column.unit @ other.columns[n].unit) ** 2
                    total[r, n] = max(total[r, n], (own + theirs) / max(apart, 1e-12))
    return total


def determined(
    layout: ParameterLayout, section: FixedScale, theta: FloatArray, r: int
) -> tuple[bool, list[Array]]:
    """Return whether models of equal entries agree on a component's weight, and on its columns' entries (I_n,)."""
    gradient, entries = np.zeros(len(theta)), []
    for n in range(len(layout.shape)):
        at, z = layout.columns(n, r), layout.designs.get(n)
        a = theta[at] if z is None else z @ theta[at]
        square = float(a @ a)
        if square == 0:
            return False, [np.zeros(size, bool) for size in layout.shape]
        slope = a if z is None else z.T @ a
        gradient[at] += slope / square
        whole = np.eye(len(at)) if z is None else z.toarray() if issparse(z) else z
        entries.append(section.determines(at, whole - np.outer(a, slope) / square))
    return bool(section.determines(np.arange(len(theta)), gradient[None])[0]), entries
