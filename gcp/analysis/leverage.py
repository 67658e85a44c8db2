"""How much of the variation of counts a fitted Poisson model takes along."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gcp._typing import Array, FloatArray
from gcp.analysis.dimension import Structure, dimension
from gcp.cells import Cells
from gcp.losses.poisson import PoissonLog
from gcp.result import FitResult

_MOST_PARAMETERS = 1500
"""Of the whole information; of more, each row of a factor is looked at by itself."""

_CHUNK = 1 << 16
_AT_BOUND = 1e-7
"""Entries of a nonnegative factor below this, in its largest, are at the bound and do not follow the data."""

_NULL = 1e-10
"""Eigenvalues of the information, in the largest, that are none."""

_TINY = 1e-100

_FLAT = 0.1
"""Least curvature of the objective along a direction, in that of the information."""


class Leverages(NamedTuple):
    """Sums over cells; H = A G A' / mu turns a change of the counts into one of the fitted means, h is its diagonal.

    A has the derivatives of the means in the parameters; G is the inverse of the objective's second derivatives, for
    components that are hardly above the noise follow it by more than the information, A' diag(w / mu) A, says.

    Attributes
    ----------
    variation : float
        Sum of w h mu: by so much the squared residuals of Poisson counts are less than the counts.
    squares : float
        Expected sum of squared residuals of data with variance mu**2, but for what `variation` is to mu: sum of
        w mu**2 (1 - 2 h), and of w w' H**2 mu**2 over pairs of cells.
    """

    variation: float
    squares: float


def leverages(result: FitResult, cells: Cells, means2: float) -> Leverages:
    """Of a Poisson model; `means2` is the sum of w mu**2 over all cells."""
    root = np.asarray(result.weights, dtype=float) ** (1 / len(result.factors))
    factors = [np.asarray(a, dtype=float) * root for a in result.factors]
    size = sum(a.size for a in factors) + sum(len(vector) for vector in result.main_effects.values())
    if size > _MOST_PARAMETERS:
        return _by_rows(result, factors, cells, means2)
    from scipy import sparse

    grams = [np.zeros((size, size)) for _ in range(4)]
    for part, value, place in _derivatives(result, factors, cells):
        pointers = np.arange(0, value.size + 1, value.shape[1])
        jacobian = sparse.csr_array((value.ravel(), place.ravel(), pointers), shape=(len(value), size))
        for total, w in zip(grams, part, strict=True):
            heavy = sparse.csr_array(
                ((value * w[:, None]).ravel(), place.ravel(), pointers), shape=jacobian.shape
            )
            total += (jacobian.T @ heavy).toarray()
    free = _free(result, factors)
    information, plain, heavy, seen = (total[np.ix_(free, free)] for total in grams)
    inverse = _inverse(information)
    own = inverse @ plain
    linear = float(np.trace(own))
    if not linear:
        return Leverages(0.0, means2)
    taken = 2 * float(np.sum(inverse * heavy)) - float(np.sum(own * own.T))
    curved = _curvature(result, factors, cells)[np.ix_(free, free)] + seen - information
    variation = float(np.sum(_inverse(information, curved) * plain))
    return Leverages(variation, means2 - taken * variation / linear)


def _derivatives(
    result: FitResult, factors: list[FloatArray], cells: Cells
) -> Iterator[tuple[tuple[FloatArray, ...], FloatArray, Array]]:
    """Of the means of some cells at a time: four weights, values and their columns.

    Weights over mu, weights, weights times mu; and those of the objective's second derivatives, but for the model's.
    """
    rank, names = result.rank, list(result.labels.names)
    first = [0, *np.cumsum([a.size for a in factors]).tolist()]
    effects, at = {}, first[-1]
    for name, vector in result.main_effects.items():
        effects[names.index(name)] = at
        at += len(vector)
    for start in range(0, len(cells.x), _CHUNK):
        run = slice(start, start + _CHUNK)
        subs, w, mu = cells.subs[run], cells.w[run], np.maximum(result.loss.mean(cells.m[run]), _TINY)
        rows = [a[subs[:, n]] for n, a in enumerate(factors)]
        values, columns = [], []
        for n in range(len(factors)):
            values.append(_product(rows, n, (len(subs), rank)))
            columns.append(first[n] + subs[:, n, None] * rank + np.arange(rank))
        for n, k in effects.items():
            values.append(np.ones((len(subs), 1)))
            columns.append(k + subs[:, n, None])
        value = np.concatenate(values, axis=1)
        seen = w * cells.x[run] / mu**2
        if isinstance(result.loss, PoissonLog):
            value, seen = value * mu[:, None], w / mu
        yield (w / mu, w, w * mu, seen), value, np.concatenate(columns, axis=1)


def _product(rows: list[FloatArray], without: int, shape: tuple[int, int]) -> FloatArray:
    found = np.ones(shape)
    for n, row in enumerate(rows):
        if n != without:
            found *= row
    return found


def _free(result: FitResult, factors: list[FloatArray]) -> Array:
    """Parameters that follow the data: of free modes, off the bound."""
    free = []
    for n, a in enumerate(factors):
        inside = np.full(a.shape, n not in result.settings["fixed_modes"])
        if not isinstance(result.loss, PoissonLog):
            inside &= a > _AT_BOUND * a.max(axis=0)
        free.append(inside.ravel())
    return np.concatenate([*free, *(np.ones(len(v), bool) for v in result.main_effects.values())])


def _curvature(result: FitResult, factors: list[FloatArray], cells: Cells) -> FloatArray:
    """What the second derivatives of the model add to those of the objective."""
    sizes = [a.size for a in factors]
    size = sum(sizes) + sum(len(vector) for vector in result.main_effects.values())
    total = np.zeros((size, size))
    first = [0, *np.cumsum(sizes).tolist()]
    x, m, w, subs, rank = cells.x, cells.m, cells.w, cells.subs, result.rank
    mu = np.maximum(result.loss.mean(m), _TINY)
    slope = w * (mu - x) if isinstance(result.loss, PoissonLog) else w * (1 - x / mu)
    slope = np.where(mu > _TINY, slope, 0.0)
    for n, k in itertools.combinations(range(len(factors)), 2):
        others = [a[subs[:, j]] for j, a in enumerate(factors) if j not in (n, k)]
        pair = subs[:, n] * len(factors[k]) + subs[:, k]
        for r in range(rank):
            value = slope.copy()
            for row in others:
                value *= row[:, r]
            block = np.bincount(pair, value, len(factors[n]) * len(factors[k]))
            rows = first[n] + r + rank * np.arange(len(factors[n]))
            columns = first[k] + r + rank * np.arange(len(factors[k]))
            total[np.ix_(rows, columns)] = block.reshape(len(rows), len(columns))
            total[np.ix_(columns, rows)] = block.reshape(len(rows), len(columns)).T
    return total


def _inverse(information: FloatArray, curvature: FloatArray | None = None) -> FloatArray:
    """Of the sum of both, on the complement of the scalings, of which nothing is known."""
    from scipy.linalg import eigh

    if not information.size:
        return information
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    values, vectors = eigh(information / np.outer(size, size))
    good = values > _NULL * values[-1]
    root = vectors[:, good] / np.sqrt(values[good]) / size[:, None]  # the inverse is root root'
    if curvature is None:
        return np.asarray(root @ root.T)
    beside, turn = eigh(root.T @ curvature @ root)
    root = root @ (turn / np.sqrt(np.maximum(1 + beside, _FLAT)))
    return np.asarray(root @ root.T)


def _by_rows(result: FitResult, factors: list[FloatArray], cells: Cells, means2: float) -> Leverages:
    """As if every row of a factor were estimated by itself; what they have in common is taken off in proportion."""
    rank = result.rank
    blocks = [np.zeros((3, len(a), rank, rank)) for a in factors]
    for part, value, place in _derivatives(result, factors, cells):
        offset = 0
        for n, a in enumerate(factors):
            own, rows = value[:, n * rank : (n + 1) * rank], (place[:, n * rank] - offset) // rank
            for k, w in enumerate(part[:3]):
                for r in range(rank):
                    for s in range(rank):
                        blocks[n][k, :, r, s] += np.bincount(rows, w * own[:, r] * own[:, s], len(a))
            offset += a.size
    variation = both = 0.0
    free, offset = _free(result, factors), 0
    for a, (information, plain, heavy) in zip(factors, blocks, strict=True):
        inside = free[offset : offset + a.size].reshape(a.shape)
        offset += a.size
        held = ~(inside[:, :, None] & inside[:, None, :])
        information[held], plain[held], heavy[held] = 0.0, 0.0, 0.0
        inverse = np.linalg.pinv(information, rcond=_NULL, hermitian=True)
        own = inverse @ plain
        variation += float(np.trace(own, axis1=1, axis2=2).sum())
        both += float(np.sum(own * own.transpose(0, 2, 1)) - 2 * np.sum(inverse * heavy))
    share = min(dimension(Structure.of(result)) / max(sum(a.size for a in factors), 1), 1.0)
    return Leverages(share * variation, means2 + share * both)
