"""A quadratic model of an objective around a point, in scaled variables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp._typing import Array, FloatArray
from gcp.objectives.curvature import GaussNewton
from gcp.solvers import box, gram

_LEAST_RATIO = 0.01
"""A pair must show at least this part of the curvature that the Gauss-Newton matrix has along its step."""

Pair = tuple[FloatArray, FloatArray]


class Quadratic:
    """The Gauss-Newton matrix B, corrected by the BFGS formula for what it misses, damped by its diagonal D.

    All vectors are padded (`gram.Blocks`).

    Parameters
    ----------
    curvature : GaussNewton
        In the factors.
    blocks : Blocks
    scale : ndarray, shape (number of variables,)
        Factor by factor what the scaled variables are multiplied by.
    unit : float
        What the objective is divided by.
    """

    def __init__(self, curvature: GaussNewton, blocks: gram.Blocks, scale: FloatArray, unit: float) -> None:
        rank, n_components = blocks.rank, curvature.within.shape[1]
        variables, widths = np.array(curvature.variable_of), np.diff(blocks.starts) // rank
        n_terms, own = len(variables), scale[variables] / np.sqrt(unit)
        within, across = np.zeros((n_terms, rank, rank)), np.zeros((n_terms, n_terms, rank, rank))
        small = (slice(n_components), slice(n_components))
        within[:, *small] = curvature.within * (own**2)[:, None, None]
        across[:, :, *small] = curvature.across * (own[:, None] * own)[:, :, None, None]
        ends = np.cumsum(widths[variables])
        at = np.concatenate([[0], ends]) * rank
        rows, weighted = np.zeros(ends[-1]), np.zeros(at[-1])
        for t, (a, d) in enumerate(zip(curvature.factors, curvature.rows, strict=True)):
            first = ends[t] - widths[variables[t]]
            rows[first : first + len(d)] = d
            weighted[at[t] : at[t + 1]].reshape(rank, -1)[:n_components, : len(d)] = (d[:, None] * a).T
        ridge = curvature.ridge * np.bincount(variables) * scale**2 / unit
        self.form = gram.GramForm(blocks.starts, variables, at, rows, weighted, within, across, ridge)
        self._blocks = blocks
        self._set_diagonal_blocks(curvature, within[:, *small])
        self._no_pairs = np.zeros((0, blocks.starts[-1])), np.zeros((0, 0))
        self.correction = self._no_pairs
        self.corrected = False

    def _set_diagonal_blocks(self, curvature: GaussNewton, within: FloatArray) -> None:
        """Row weights and R x R matrices of the diagonal blocks; of tied modes the mean, and the sum."""
        blocks, n_components, variables = self._blocks, within.shape[1], self.form.block_of
        self._small = np.zeros((len(blocks.shapes), n_components, n_components))
        self.diagonal, self._reciprocal = np.zeros(blocks.starts[-1]), np.zeros(blocks.starts[-1])
        for v in range(len(blocks.shapes)):
            terms = np.flatnonzero(variables == v)
            d = np.add.reduce([curvature.rows[t] for t in terms]) / len(terms)
            ridge = self.form.ridge[v] / d.mean()
            h = self._small[v] = _regular(within[terms].sum(axis=0) + ridge * np.eye(n_components))
            part = slice(blocks.starts[v], blocks.starts[v + 1])
            self.diagonal[part].reshape(blocks.rank, -1)[:n_components, : len(d)] = h.diagonal()[:, None] * d
            self._reciprocal[part].reshape(blocks.rank, -1)[:n_components, : len(d)] = 1.0 / d

    def gauss_newton(self, x: Array) -> FloatArray:
        """B x before correction, of one vector or several as rows."""
        y = np.empty_like(x)
        gram.products_of_rows(self.form, np.atleast_2d(x), np.atleast_2d(y))
        return y

    def product(self, x: Array) -> FloatArray:
        """B x with the correction, without damping."""
        y = np.empty_like(x)
        box.product(self._model(0.0, self._small, self.correction), x, y)
        return y

    def correct(self, pairs: Sequence[Pair]) -> None:
        """Make B yield what is known of the second derivatives: steps, and the changes that B misses along them.

        The compact form of BFGS (Byrd, Nocedal and Schnabel, 1994).
        """
        self.correction, self.corrected = self._no_pairs, False
        if not pairs:
            return
        steps, excess = np.array([s for s, _ in pairs]), np.array([e for _, e in pairs])
        base = self.gauss_newton(steps)
        change = base + excess
        mixed, within = steps @ change.T, steps @ base.T
        along, before = mixed.diagonal(), within.diagonal()
        keep = (along > _LEAST_RATIO * before) & (before > 0)
        if not keep.any():
            return
        base, change = base[keep], change[keep]
        mixed, within = mixed[np.ix_(keep, keep)], within[np.ix_(keep, keep)]
        lower = np.tril(mixed, -1)
        middle = np.block([[within, lower], [lower.T, -np.diag(mixed.diagonal())]])
        self.correction = np.vstack([base, change]), np.linalg.inv(middle)
        self.corrected = True

    def minimize(
        self, slope: FloatArray, low: FloatArray, high: FloatArray, damping: float, bounded: bool
    ) -> tuple[FloatArray, float]:
        """The step s that nearly minimises slope's + s'(B + damping D)s / 2 in a box around 0, and the minimum."""
        damped = self._small + damping * self._small * np.eye(self._small.shape[1])
        inverses = np.zeros((len(damped), self._blocks.rank, self._blocks.rank))
        inverses[:, : damped.shape[1], : damped.shape[1]] = np.linalg.inv(damped)
        correction = self.correction if self.corrected else self._no_pairs
        step, value = box.minimize(self._model(damping, inverses, correction), slope, low, high, bounded)
        return step, float(value)

    def _model(
        self, damping: float, inverses: FloatArray, correction: tuple[FloatArray, FloatArray]
    ) -> tuple[object, ...]:
        """As `box` takes it."""
        return (self.form, *correction, damping, self.diagonal, inverses, self._reciprocal)


def _regular(h: FloatArray) -> FloatArray:
    """With a diagonal that is nowhere negligible, so that the matrix has an inverse."""
    diagonal = np.diag(h)
    floor = 1e-3 * float(diagonal.mean()) + 1e-300
    return h + np.diag(np.maximum(floor - diagonal, 0.0) + 1e-10 * floor)
