"""A quadratic model of an objective around a point, in scaled variables."""

from __future__ import annotations

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.objectives.views.curvature import GaussNewton
from gcp.solvers.pieces import box_quadratic, gauss_newton
from gcp.solvers.pieces.bfgs_pairs import Pairs
from gcp.solvers.pieces.blocks import Blocks


class Quadratic:
    """The Gauss-Newton matrix B, corrected by the BFGS formula for what it misses, damped by its diagonal D.

    All vectors are padded (`blocks.Blocks`), shapes (n,).

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

    def __init__(self, curvature: GaussNewton, blocks: Blocks, scale: FloatArray, unit: float) -> None:
        self.form, self._small, self.diagonal, self._reciprocal = gauss_newton.build(
            curvature, scale / np.sqrt(unit), blocks, gauss_newton.functions()
        )
        self._n_components = curvature.factors.shape[1]
        self._no_pairs = np.zeros((0, blocks.starts[-1])), np.zeros((0, 0))
        self.correction: tuple[FloatArray, FloatArray] = self._no_pairs
        self._minimized = self._no_pairs

    def gauss_newton(self, x: Array) -> FloatArray:
        """Return B x, shape (n,), before correction."""
        y = np.empty((1, 1, len(x)))
        gauss_newton.products_of_rows(self.form, x[None], y)
        return y.ravel()

    def correction_of(self, x: Array) -> FloatArray:
        """Return what the correction takes from B x, shape (n,)."""
        sides, middle = self.correction
        return (middle @ (sides @ x)) @ sides

    def correct(self, pairs: Pairs, *, minimize: bool) -> None:
        """Make B yield what the pairs know of the second derivatives; `minimize` may do without."""
        self.correction = pairs.correction(self.form) if len(pairs) else self._no_pairs
        self._minimized = self.correction if minimize else self._no_pairs

    def minimize(
        self, slope: FloatArray, low: FloatArray, high: FloatArray, damping: float, bounded: bool
    ) -> tuple[FloatArray, float]:
        """Return the step s that nearly minimises slope's + s'(B + damping D)s / 2 in a box, and that minimum.

        The box lies around 0; all vectors have the shape (n,).
        """
        n = self._n_components
        inverses = np.zeros_like(self._small)
        damped = self._small[:, :n, :n] * (1.0 + damping * np.eye(n))
        inverses[:, :n, :n] = np.linalg.inv(damped)
        model = (self.form, *self._minimized, damping, self.diagonal, inverses, self._reciprocal)
        scratch = np.empty((box_quadratic.N_SCRATCH, len(slope)))
        value = box_quadratic.minimize(model, slope, low, high, bounded, scratch)
        return scratch[0], float(value)
