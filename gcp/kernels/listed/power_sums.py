"""Sums of powers of the model over all cells of a tensor, from the factors alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp.base.types import Factors, FloatArray


def polynomial(
    coefficients: tuple[float, float],
    factors: Factors,
    effects: Factors = (),
    mode_weights: Sequence[FloatArray] | None = None,
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Weighted sum of a m + b m**2 over all cells, and its gradient in every factor and main effect.

    Parameters
    ----------
    coefficients : (float, float)
        a and b.
    factors : sequence of ndarray, shapes (I_n, R)
    effects : sequence of ndarray, shapes (I_n,)
        Added to the model; none by default.
    mode_weights : sequence of ndarray, shapes (I_n,), optional
        The weight of a cell is the product of those of its positions; by default 1.

    Notes
    -----
    The sum of m is that of the products of the columns' sums, and the sum of m**2 that of the elementwise product of
    the Gram matrices. Costs about sum(I_n) R numbers for a, R times as much for b.
    """
    linear, quadratic = coefficients
    rank = factors[0].shape[1]
    wide = with_effects(factors, effects)
    weighted = _weighted(wide, mode_weights)
    value, grad = 0.0, [np.zeros(a.shape) for a in wide]
    if linear:
        sums = np.array([a.sum(axis=0) for a in weighted])
        value += linear * float(np.prod(sums, axis=0).sum())
        for n, g in enumerate(grad):
            row = linear * np.prod(np.delete(sums, n, axis=0), axis=0)
            g += row if mode_weights is None else mode_weights[n][:, None] * row
    if quadratic:
        grams = np.array([a.T @ b for a, b in zip(wide, weighted, strict=True)])
        value += quadratic * float(np.prod(grams, axis=0).sum())
        for n, g in enumerate(grad):
            g += 2 * quadratic * weighted[n] @ np.prod(np.delete(grams, n, axis=0), axis=0)
    dtype = np.asarray(factors[0]).dtype
    effect_grad = [g[:, rank + n].astype(dtype) for n, g in enumerate(grad)] if effects else []
    return value, [g[:, :rank].astype(dtype, copy=False) for g in grad], effect_grad


def of_rows(
    coefficients: tuple[float, float],
    factors: Factors,
    effects: Factors,
    mode: int,
    mode_weights: Sequence[FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray, float]:
    """The same sum over a slice of one mode as c'a + a'Pa / 2 + d, but for the weight of the slice.

    a is the slice's row of the factor, with its main effect behind if there are effects.

    Returns
    -------
    c : ndarray, shape (R,) or (R + 1,)
    P : ndarray, shape (R, R) or (R + 1, R + 1)
    d : float
    """
    wide = with_effects(factors, effects)
    columns = wide[0].shape[1]
    linear, quadratic = np.full(columns, coefficients[0]), np.full((columns, columns), 2.0 * coefficients[1])
    for n, (a, weighted) in enumerate(zip(wide, _weighted(wide, mode_weights), strict=True)):
        if n != mode:
            if coefficients[0]:
                linear *= weighted.sum(axis=0)
            if coefficients[1]:
                quadratic *= a.T @ weighted
    if not effects:
        return linear, quadratic, 0.0
    rank = factors[0].shape[1]
    free = [*range(rank), rank + mode]
    given = [rank + n for n in range(len(factors)) if n != mode]  # in this mode these columns are ones
    constant = linear[given].sum() + 0.5 * quadratic[np.ix_(given, given)].sum()
    return linear[free] + quadratic[np.ix_(free, given)].sum(axis=1), quadratic[np.ix_(free, free)], constant


def with_effects(factors: Factors, effects: Factors) -> list[FloatArray]:
    """The same model without main effects: a mode's are a further component, whose other columns are ones."""
    rank = factors[0].shape[1]
    found = []
    for n, a in enumerate(factors):
        wide = np.ones((len(a), rank + len(effects)))
        wide[:, :rank] = a
        if effects:
            wide[:, rank + n] = effects[n]
        found.append(wide)
    return found


def _weighted(
    factors: Sequence[FloatArray], mode_weights: Sequence[FloatArray] | None
) -> Sequence[FloatArray]:
    if mode_weights is None:
        return factors
    return [u[:, None] * a for u, a in zip(mode_weights, factors, strict=True)]
