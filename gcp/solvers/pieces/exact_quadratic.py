"""A quadratic model of an objective around a point, from all its second derivatives, for few variables."""

from __future__ import annotations

import numpy as np
from scipy.linalg import lapack

from gcp.base import threads
from gcp.base.compiler.jit import jit
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import products

_FACES = 8
"""Most sets of active bounds to try in one minimisation."""

_SEARCHES = 10
"""Most lengths to try along one direction."""

_SUFFICIENT = 1e-4
"""Part of the decrease promised by the slope that a search within the box must bring."""

_LEAST = 1e-3
"""Least number on the damping's diagonal, in units of the mean over its factor."""


_NORMAL = float(np.finfo(float).tiny)
"""Least number that has a reciprocal."""


class ExactQuadratic:
    """The matrix H of second derivatives, damped by the sizes D of its diagonal; H + damping D may be indefinite.

    All vectors are padded (`blocks.Blocks`), shapes (n,); where `order` names no place they stay 0.

    Parameters
    ----------
    matrix : ndarray, shape (k, k)
        H in scaled variables; it is kept.
    order : ndarray of int, shape (k,)
        The place of each variable in a vector.
    starts : ndarray of int, shape (N,)
        Where each factor's variables begin.
    size : int
        n.
    room : ndarray, shape (2, k, k)
        Scratch: new pages for it in every iteration would cost as much as the arithmetic.
    """

    def __init__(self, matrix: FloatArray, order: Array, starts: Array, size: int, room: FloatArray) -> None:
        self._matrix, self._order, self._room = matrix, order, room
        sizes, counts = np.abs(matrix.diagonal()), np.diff([*starts, len(matrix)])
        least = _LEAST * np.add.reduceat(sizes, starts) / counts
        self._diagonal = np.maximum(sizes, np.repeat(np.maximum(least, 1e-300), counts))
        self.diagonal = np.zeros(size)
        self.diagonal[order] = self._diagonal

    def minimize(
        self, slope: FloatArray, low: FloatArray, high: FloatArray, damping: float, bounded: bool
    ) -> tuple[FloatArray, float] | None:
        """Return the step s that nearly minimises slope's + s'(H + damping D)s / 2 in a box, and that minimum.

        The box lies around 0. None if the matrix has a negative eigenvalue where the step is free: there is no
        minimum then without the box.
        """
        order, step, damped = self._order, np.zeros(len(slope)), self._room[0]
        np.copyto(damped, self._matrix)
        damped.flat[:: len(damped) + 1] += damping * self._diagonal
        box = (low[order], high[order]) if bounded else None
        with threads.single_threaded_blas():  # more are slower on so small a matrix
            if box is None:
                found = _free(damped, slope[order])
            else:
                found = _Box(damped, slope[order], *box, self._room[1:]).minimum()
        if found is None:
            return None
        step[order] = found[0]
        return step, found[1]


def compile_steps() -> None:
    """Compile minimisations in a box: one of two variables, of which a bound holds the first."""
    order, zeros = np.arange(2), np.zeros(2)
    quadratic = ExactQuadratic(np.eye(2), order, np.array([0]), 2, np.empty((2, 2, 2)))
    quadratic.minimize(np.ones(2), np.array([0.0, -9.0]), zeros, 0.0, bounded=True)


def _free(matrix: FloatArray, slope: FloatArray) -> tuple[FloatArray, float] | None:
    """Return the minimum without bounds, or None, of the model's matrix (k, k), which is lost, and slope (k,)."""
    step = _newton(matrix, slope)
    return None if step is None else (step, 0.5 * float(slope @ step))


class _Box:
    """The minimum in a box: projected steps along the gradient find the active bounds, Newton steps move the rest."""

    def __init__(
        self, matrix: FloatArray, slope: FloatArray, low: FloatArray, high: FloatArray, room: FloatArray
    ) -> None:
        self.matrix, self.slope, self.low, self.high, self.room = matrix, slope, low, high, room
        self.s, self.grad, self.value = np.zeros(len(slope)), slope, 0.0
        self.sizes = np.maximum(np.abs(matrix.diagonal()), _NORMAL)

    def minimum(self) -> tuple[FloatArray, float] | None:
        """Return it (k,) and its value; None if the matrix has a negative eigenvalue where the step is free."""
        for _ in range(_FACES):
            before = self.value
            self.search(-self.grad / self.sizes)
            held = ((self.s <= self.low) & (self.grad > 0)) | ((self.s >= self.high) & (self.grad < 0))
            free = np.flatnonzero(~held)
            if not len(free):
                break
            own = _newton(self.part(free), self.grad[free])
            if own is None:
                return None
            direction = np.zeros(len(held))
            direction[free] = own
            if not self.search(direction) or before - self.value < 0.01 * abs(self.value):
                break
        return self.s, self.value

    def part(self, free: Array) -> FloatArray:
        """Return a copy of the matrix's rows and columns of some variables (f,), shape (f, f)."""
        n_free = len(free)
        found = self.room[0].reshape(-1)[: n_free**2].reshape(n_free, n_free)
        if n_free == len(self.matrix):
            np.copyto(found, self.matrix)
        else:
            _gather(self.matrix, free, found)
        return found

    def search(self, direction: FloatArray) -> bool:
        """Move along the projection of a direction until the value falls; true if bounds cut the move short."""
        s, grad = np.empty_like(self.s), np.empty_like(self.s)
        sides = self.matrix, self.slope, self.low, self.high
        found, is_cut = _search(*sides, self.s, self.grad, self.value, direction, s, grad)
        if found < self.value:
            self.s, self.grad, self.value = s, grad, found
            return bool(is_cut)
        return True


@jit
def _gather(matrix, places, out):  # type: ignore[no-untyped-def]
    """Write a matrix's rows and columns at some places (f,) to `out` (f, f)."""
    for i in range(places.size):
        row = matrix[places[i]]
        for j in range(places.size):
            out[i, j] = row[places[j]]


@jit
def _search(matrix, slope, low, high, before, grad_before, value, direction, s, grad):  # type: ignore[no-untyped-def]
    """Set s (k,) to the first point of a projected path whose value is low enough, and `grad` to the gradient there.

    Return its value, and whether bounds cut the move short; the value before, if no point is.
    """
    length = 1.0
    for _ in range(_SEARCHES):
        is_cut = False
        for k in range(s.size):
            aim = before[k] + length * direction[k]
            s[k] = min(max(aim, low[k]), high[k])
            is_cut |= s[k] != aim
            grad[k] = 0.0
        for k in range(s.size):
            products.add_scaled(matrix[k], s[k], grad)
        found, promised = 0.0, 0.0
        for k in range(s.size):
            found += s[k] * (slope[k] + 0.5 * grad[k])
            promised += grad_before[k] * (s[k] - before[k])
            grad[k] += slope[k]
        if found < value + _SUFFICIENT * promised:
            return found, is_cut
        length *= 0.3
    return value, True


def _newton(matrix: FloatArray, grad: FloatArray) -> FloatArray | None:
    """Return minus the inverse of a matrix (k, k) times a vector (k,); None if it is not positive definite.

    The matrix is lost.
    """
    factor, info = lapack.dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
    if info:
        return None
    step: FloatArray = lapack.dpotrs(factor, -grad, lower=1)[0]
    return step
