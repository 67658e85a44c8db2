"""Sums of powers of the model over all cells of a tensor, from the factors alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp._typing import Factors, FloatArray


def polynomial(
    coefficients: tuple[float, float], factors: Factors, mode_weights: Sequence[FloatArray] | None = None
) -> tuple[float, list[FloatArray]]:
    """Weighted sum of a m + b m**2 over all cells, and its gradient in every factor.

    Parameters
    ----------
    coefficients : (float, float)
        a and b.
    factors : sequence of ndarray, shapes (I_n, R)
    mode_weights : sequence of ndarray, shapes (I_n,), optional
        The weight of a cell is the product of those of its positions; by default 1.

    Notes
    -----
    The sum of m is that of the products of the columns' sums, and the sum of m**2 that of the elementwise product of
    the Gram matrices. Costs about sum(I_n) R numbers for a, R times as much for b.
    """
    linear, quadratic = coefficients
    wide = [np.asarray(a, dtype=np.float64) for a in factors]
    weighted = (
        wide if mode_weights is None else [u[:, None] * a for u, a in zip(mode_weights, wide, strict=True)]
    )
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
    return value, [g.astype(np.asarray(a).dtype, copy=False) for g, a in zip(grad, factors, strict=True)]


def of_rows(
    coefficients: tuple[float, float],
    factors: Factors,
    mode: int,
    mode_weights: Sequence[FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray]:
    """The same sum over a slice of one mode as c'a + a'Pa / 2 in the slice's row a, but for the weight of the slice.

    Returns
    -------
    c : ndarray, shape (R,)
    P : ndarray, shape (R, R)
    """
    rank = factors[0].shape[1]
    linear, quadratic = np.full(rank, coefficients[0]), np.full((rank, rank), 2.0 * coefficients[1])
    for n, a in enumerate(factors):
        if n != mode:
            weighted = a if mode_weights is None else mode_weights[n][:, None] * a
            if coefficients[0]:
                linear *= weighted.sum(axis=0)
            if coefficients[1]:
                quadratic *= a.T @ weighted
    return linear, quadratic
