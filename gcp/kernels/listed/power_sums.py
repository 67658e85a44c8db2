"""Sums of powers of the model over all cells of a tensor, from the factors alone.

Where cells have scales and offsets that are products of one number for each position, s m + o is itself a model of
components: the rows of its factors are multiplied by the scales, and the offsets are further components.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.kernels.listed import array_sums
from gcp.kernels.shared.columns import CellColumns

_PLAIN = CellColumns()


def polynomial(
    coefficients: tuple[float, float],
    factors: Factors,
    effects: Factors = (),
    cells: CellColumns = _PLAIN,
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Return the weighted sum of a M + b M**2 over all cells, M = s m + o, and its gradient.

    The gradient is in every factor, shapes (I_n, R), and main effect, shapes (I_n,).

    Parameters
    ----------
    coefficients : (float, float)
        a and b.
    factors : sequence of ndarray, shapes (I_n, R)
    effects : sequence of ndarray, shapes (I_n,)
        Added to the model; none by default.
    cells : CellColumns
        Weights, scales s and offsets o of the cells.

    Notes
    -----
    The sum of M is that of the products of the columns' sums, and the sum of M**2 that of the elementwise product of
    the Gram matrices. Costs about sum(I_n) R numbers for a, R times as much for b.
    """
    linear, quadratic = coefficients
    cells = _needed(coefficients, cells)
    if isinstance(cells.scale, np.ndarray):
        assert not quadratic  # see `array_sums.squares`
        return array_sums.polynomial(linear, with_effects(factors, effects), factors[0], cells)
    wide = augmented(factors, effects, cells)
    weighted = _multiplied(wide, cells.weight)
    value, grad = 0.0, [np.zeros(a.shape) for a in wide]
    if linear:
        sums = np.array([a.sum(axis=0) for a in weighted])
        value += linear * float(np.prod(sums, axis=0).sum())
        for n, g in enumerate(grad):
            row = linear * np.prod(np.delete(sums, n, axis=0), axis=0)
            g += row if cells.weight is None else cells.weight[n][:, None] * row
    if quadratic:
        grams = np.array([a.T @ b for a, b in zip(wide, weighted, strict=True)])
        value += quadratic * float(np.prod(grams, axis=0).sum())
        for n, g in enumerate(grad):
            g += 2 * quadratic * weighted[n] @ np.prod(np.delete(grams, n, axis=0), axis=0)
    return value, *narrowed(grad, factors, effects, cells)


def squares(factors: Factors, cells: CellColumns) -> float:
    """Return the weighted sum of the squares of s m + o over all cells, of factors (I_n, R)."""
    if isinstance(cells.scale, np.ndarray):
        return array_sums.squares(factors, cells)
    return polynomial((0.0, 1.0), factors, (), cells)[0]


class RowSums(NamedTuple):
    """The sum of `polynomial` over the slices of one mode, as quadratic functions of the rows of its factor.

    In row i, with its main effect behind if there are effects, it is c'a + a'Pa / 2 and what does not depend on the
    row, where c is the sum of the vectors of `linear` with the weights scales[i], and P is `quadratic` with the
    second of these.

    Attributes
    ----------
    linear : ndarray, shape (2 + K, R) or (2 + K, R + 1)
        K is the number of products that offsets are sums of, 1 without offsets.
    quadratic : ndarray, shape (R, R) or (R + 1, R + 1)
    scales : ndarray, shape (I_mode, 2 + K) or (0, 3)
        Empty where all rows have 1, 1 and 0.
    constant : float
        What does not depend on the rows, summed over them.
    """

    linear: FloatArray
    quadratic: FloatArray
    scales: FloatArray
    constant: float


def of_rows(
    coefficients: tuple[float, float],
    factors: Factors,
    effects: Factors,
    mode: int,
    cells: CellColumns = _PLAIN,
) -> RowSums:
    """Return sums over the slices of one mode, of factors (I_n, R); `polynomial` has the arguments."""
    cells = _needed(coefficients, cells)
    if isinstance(cells.scale, np.ndarray):
        assert not coefficients[1]
        rank = factors[0].shape[1]
        free = [*range(rank), *([rank + mode] if effects else [])]
        wide = with_effects(factors, effects)
        return RowSums(*array_sums.of_rows(coefficients[0], wide, mode, free, cells))
    wide = augmented(factors, effects, cells)
    columns = wide[0].shape[1]
    linear, quadratic = np.full(columns, coefficients[0]), np.full((columns, columns), 2.0 * coefficients[1])
    for n, (a, weighted) in enumerate(zip(wide, _multiplied(wide, cells.weight), strict=True)):
        if n != mode:
            if coefficients[0]:
                linear *= weighted.sum(axis=0)
            if coefficients[1]:
                quadratic *= a.T @ weighted
    is_plain = all(vectors is None for vectors in cells)
    if is_plain and not effects:
        return RowSums(np.vstack([linear, np.zeros((2, columns))]), quadratic, np.empty((0, 3)), 0.0)
    rank = factors[0].shape[1]
    free = [*range(rank), *([rank + mode] if effects else [])]
    # In a row, the columns of the other modes' effects are the row's scale, and the last one is its offset.
    given = [rank + n for n in range(len(effects)) if n != mode]
    size = len(factors[mode])
    o = np.zeros((size, 0)) if cells.offset is None else cells.offset[mode].reshape(size, -1)
    last = list(range(columns - o.shape[1], columns))
    of_row = np.vstack(
        [
            linear[free],
            quadratic[np.ix_(free, given)].sum(axis=1),
            quadratic[np.ix_(last, free)] if last else np.zeros(len(free)),
        ]
    )
    u, s = (np.ones(size) if vectors is None else vectors[mode] for vectors in (cells.weight, cells.scale))
    us = u * s
    constant = (
        us.sum() * linear[given].sum()
        + 0.5 * (us @ s) * quadratic[np.ix_(given, given)].sum()
        + (u @ o) @ linear[last]
        + (us @ o) @ quadratic[np.ix_(last, given)].sum(axis=1)
        + 0.5 * np.sum(((u[:, None] * o).T @ o) * quadratic[np.ix_(last, last)])
    )
    weights = us[:, None] * (o if last else np.zeros((size, 1)))
    scales = np.empty((0, 3)) if is_plain else np.column_stack([us, us * s, weights])
    return RowSums(of_row, quadratic[np.ix_(free, free)], scales, float(constant))


def augmented(factors: Factors, effects: Factors, cells: CellColumns) -> list[FloatArray]:
    """Return factors of the model s m + o, without main effects, shapes (I_n, R + effects + K or 0)."""
    wide = _multiplied(with_effects(factors, effects), cells.scale)
    if cells.offset is None:
        return list(wide)
    offsets: Any = cells.offset
    return [np.column_stack([a, o]) for a, o in zip(wide, offsets, strict=True)]


def narrowed(
    gradients: Sequence[FloatArray], factors: Factors, effects: Factors, cells: CellColumns
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return gradients in factors (I_n, R) and effects (I_n,), from those in the factors of `augmented`."""
    rank, dtype = factors[0].shape[1], np.asarray(factors[0]).dtype
    own: Any = _multiplied(gradients, cells.scale)
    effect_grad = [g[:, rank + n].astype(dtype) for n, g in enumerate(own)] if effects else []
    return [g[:, :rank].astype(dtype, copy=False) for g in own], effect_grad


def with_effects(factors: Factors, effects: Factors) -> list[FloatArray]:
    """Return factors (I_n, R + effects) of the same model without main effects (I_n,).

    A mode's effects are a further component, whose other columns are ones.
    """
    rank = factors[0].shape[1]
    found = []
    for n, a in enumerate(factors):
        wide = np.ones((len(a), rank + len(effects)))
        wide[:, :rank] = a
        if effects:
            wide[:, rank + n] = effects[n]
        found.append(wide)
    return found


def _needed(coefficients: tuple[float, float], cells: CellColumns) -> CellColumns:
    """Return cells without offsets in an array, which have no closed form: beside them a and b are 0."""
    if not isinstance(cells.offset, np.ndarray):
        return cells
    assert coefficients == (0.0, 0.0)
    return cells._replace(offset=None)


def _multiplied(factors: Sequence[FloatArray], vectors: Any) -> Sequence[FloatArray]:
    """Return factors (I_n, R), every row times its position's number in a vector (I_n,)."""
    if vectors is None:
        return factors
    return [u[:, None] * a for u, a in zip(vectors, factors, strict=True)]
