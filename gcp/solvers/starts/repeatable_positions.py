"""Dispersions of positions that a model could repeat: what is left of their data, beside the parameters they use up.

The likelihood of such a dispersion has no end where it goes to 0: in a matrix, a component can be one column. A sum
of squares has an expectation, though: that of w r**2 / dispersion over a position's cells is their number less the
parameters that they use up. The dispersions for which that holds are, in a matrix, those of factor analysis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.own_dispersion import FreeDispersion
from gcp.losses.several import SeveralLosses
from gcp.objectives.known_cells import KnownCells, blocks
from gcp.objectives.model import Model
from gcp.solvers.starts.unknown_parameters import UnknownParameters
from gcp.tensors.kinds import stored

LIMIT = 100.0
"""How many times smaller a dispersion may be than that of the position's data about their mean."""

_FINE = 0.05
"""Distance from where the sum of squares has its expectation, in standard errors, at which a search ends."""

_LEAST_LEFT = 0.02
"""Least part of a position's cells that its parameters may leave, for the rest to tell a dispersion."""

_LEAST_SLOPE = 0.2
_LEAST_RIDGE = 1e-10


class RepeatablePositions:
    """The search for the dispersions of the positions that a model could repeat.

    Parameters
    ----------
    unknowns : UnknownParameters
        Some of whose positions are `held`.
    """

    def __init__(self, unknowns: UnknownParameters) -> None:
        assert unknowns.held is not None
        self.unknowns, self.held = unknowns, unknowns.held & unknowns.with_data
        first = unknowns.free(unknowns.suggested)
        self.low, self.high = first - math.log(LIMIT), first + math.log(LIMIT)
        self.seen: tuple[FloatArray, FloatArray] | None = None
        self.steps = np.zeros(len(first))

    def is_settled(self, model: Model, others: Sequence[FloatArray] | None = None) -> bool:
        """Return whether all sums of squares are as they are expected, or dispersions at their limit.

        `others` is what data beside the model's tell of the rows of each factor, shapes (I_n, R, R).
        """
        at = self.unknowns.free(model.loss)
        gaps, n = self._gaps(model, at, others)
        slopes = np.full(len(at), -1.0)
        if self.seen is not None:
            moved = at - self.seen[0]
            with np.errstate(divide="ignore", invalid="ignore"):
                found = (gaps - self.seen[1]) / moved
            slopes = np.where(np.abs(moved) > 1e-9, found, -1.0)
        self.seen = at, gaps
        self.steps = np.clip(gaps / -np.clip(slopes, -2.0, -_LEAST_SLOPE), -1.0, 1.0)
        aims = np.clip(at + self.steps, self.low, self.high)
        far = np.abs(gaps) * np.sqrt(np.maximum(n, 1.0) / 2)
        return bool(np.all((far <= _FINE) | (np.abs(aims - at) < 1e-6) | ~self.held))

    def moved(self, free: FloatArray) -> FloatArray:
        """Return free numbers (P,) with the next ones of these positions."""
        assert self.seen is not None
        return np.where(self.held, np.clip(self.seen[0] + self.steps, self.low, self.high), free)

    def _gaps(
        self, model: Model, at: FloatArray, others: Sequence[FloatArray] | None
    ) -> tuple[FloatArray, FloatArray]:
        """Return how far the free numbers (I_mode,) of the dispersions that would suit lie, and numbers of cells."""
        loss, mode = self.unknowns.loss, self.unknowns.mode
        assert mode is not None
        deviances, weights, used = _sums(model, self.unknowns, others)
        gaps = np.zeros(len(at))
        for k in np.flatnonzero(self.held):
            left = weights[k] - used[k]
            if left > _LEAST_LEFT * weights[k] and deviances[k] > 0:
                kind = loss.kind_at(int(k))
                dispersion = kind.dispersion_from(deviances[k] / left)
                scale = kind.estimable[kind.parameter_by]
                gaps[k] = float(scale.free(kind.parameter_of(dispersion))[0]) - at[k]
        return gaps, weights


def _sums(
    model: Model, unknowns: UnknownParameters, others: Sequence[FloatArray] | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the deviance, the weight, and the parameters that are used up, of every position (I_mode,)."""
    mode, n, several = unknowns.mode, unknowns.n_positions, unknowns.loss
    assert mode is not None
    assert isinstance(several, SeveralLosses)
    deviances, weights, used = np.zeros((3, n))
    inverses = [
        _inverses(model, unknowns, k, None if others is None else others[k]) for k in _free_modes(model)
    ]
    for cells in blocks(model, stored(unknowns.tensor)):
        at = cells.subs[:, mode]
        weights += np.bincount(at, cells.w, n)
        for kind, own in enumerate(several.kinds):
            if isinstance(own, FreeDispersion) and (here := several.which[at] == kind).any():
                x, m, w = cells.x[here], cells.m[here], cells.w[here]
                deviances += np.bincount(at[here], w * own.deviance(x, m), n)
        curvature = _curvature(model, cells)
        for k, inverse in zip(_free_modes(model), inverses, strict=True):
            z, rows = _products(model, cells, k), cells.subs[:, k]
            used += np.bincount(at, curvature * np.einsum("er,ers,es->e", z, inverse[rows], z), n)
    modes = _free_modes(model)
    sizes = sum(model.shape[k] for k in modes)
    scales = max(len(modes) - 1, 0)  # a component has one scale for all modes
    return deviances, weights, used * ((sizes - scales) / max(sizes, 1))


def _free_modes(model: Model) -> list[int]:
    return [k for k in range(len(model.shape)) if k not in model.problem.fixed_modes]


def _curvature(model: Model, cells: KnownCells) -> FloatArray:
    """Return the weighted expected curvatures of cells (n,)."""
    with np.errstate(all="ignore"):
        found = cells.w * model.loss_at(cells.subs).fisher(cells.m)
    return np.where(np.isfinite(found), found, 0.0)


def _inverses(model: Model, unknowns: UnknownParameters, mode: int, others: FloatArray | None) -> FloatArray:
    """Return the inverse information of every row of a mode's factor, the others fixed, shape (I_mode, R, R).

    What other data tell of the rows, of the same shape, is part of it.
    """
    n, rank = model.shape[mode], model.rank
    found = np.zeros((n, rank, rank)) if others is None else others.copy()
    for cells in blocks(model, stored(unknowns.tensor)):
        z, rows, w = _products(model, cells, mode), cells.subs[:, mode], _curvature(model, cells)
        for r in range(rank):
            for s in range(r + 1):
                found[:, r, s] += np.bincount(rows, w * z[:, r] * z[:, s], n)
                found[:, s, r] = found[:, r, s]
    k = np.arange(rank)
    least = _LEAST_RIDGE * found[:, k, k].max(axis=1, initial=0.0) + np.finfo(float).tiny
    found[:, k, k] += np.where(found[:, k, k] > 0, least[:, None], 1.0)
    return np.linalg.inv(found)


def _products(model: Model, cells: KnownCells, mode: int) -> FloatArray:
    """Return the derivatives (n, R) of cells in a mode's row, 0 in entries of that at a bound of 0."""
    z = np.broadcast_to(model.weights, (len(cells.x), model.rank)).astype(float)
    for k, a in enumerate(model.factors):
        if k != mode:
            z = z * a[cells.subs[:, k]]
    return z * _is_inside(model.factors[mode])[cells.subs[:, mode]]


def _is_inside(factor: Array) -> Array:
    return np.asarray(factor != 0)
