"""BFGS pairs: what steps and changes of the gradient say of second derivatives, and the correction that follows."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from gcp.base.types import FloatArray, State
from gcp.solvers.pieces import gauss_newton

_LEAST_RATIO = 0.01
"""A pair must show at least this part of the curvature that the Gauss-Newton matrix has along its step."""


class Pairs:
    """The latest steps, and of each the change of the gradient in excess of the Gauss-Newton matrix's.

    Vectors are padded (`Blocks`). The memory of all arrays is kept: new pages for them in every iteration would cost
    as much as the arithmetic.

    Parameters
    ----------
    capacity : int
        Most pairs.
    size : int
        Of a vector.
    """

    def __init__(self, capacity: int, size: int) -> None:
        self._steps, self._excess = np.empty((capacity, size)), np.empty((capacity, size))
        self._sides = np.empty((capacity, 2, size))
        self._ages: list[int] = []

    def __len__(self) -> int:
        return len(self._ages)

    def clear(self) -> None:
        """Forget all."""
        self._ages = []

    def add(self, step: FloatArray, excess: FloatArray, room: int) -> None:
        """Keep a pair of vectors (n,), in place of the oldest if there are `room` pairs already."""
        age = max(self._ages, default=0) + 1
        if len(self._ages) < min(room, len(self._steps)):
            self._ages.append(age)
            at = len(self._ages) - 1
        else:
            at = int(np.argmin(self._ages))
            self._ages[at] = age
        self._steps[at], self._excess[at] = step, excess

    def snapshot(self) -> State:
        """Return the pairs that are kept."""
        k = len(self._ages)
        return {"steps": self._steps[:k], "excess": self._excess[:k], "ages": self._ages}

    def restore(self, state: State) -> None:
        """Take the pairs of a snapshot."""
        self._ages = [int(age) for age in state["ages"]]
        k = len(self._ages)
        self._steps[:k], self._excess[:k] = state["steps"], state["excess"]

    def correction(self, form: gauss_newton.GramForm) -> tuple[FloatArray, FloatArray]:
        """Return sides (K, n) and middle (K, K) of the matrix to subtract, so that B agrees with the pairs.

        They are valid until the next call. The form is the compact one of BFGS (Byrd, Nocedal and Schnabel, 1994).
        Pairs of too little curvature get no weight.
        """
        k = len(self._ages)
        steps, sides = self._steps[:k], self._sides[:k]
        gauss_newton.products_of_rows(form, steps, sides)
        np.add(sides[:, 0], self._excess[:k], out=sides[:, 1])
        rows: FloatArray = sides.reshape(2 * k, -1)
        products = steps @ rows.T
        within, mixed = products[:, ::2], products[:, 1::2]
        along, before, ages = mixed.diagonal(), within.diagonal(), np.array(self._ages)
        middle = np.zeros((2 * k, 2 * k))
        middle[::2, ::2] = within
        middle[::2, 1::2] = mixed * (ages[:, None] > ages)
        middle[1::2, ::2] = middle[::2, 1::2].T
        middle.flat[2 * k + 1 :: 4 * k + 2] = -along
        kept = (along > _LEAST_RATIO * before) & (before > 0)
        dropped = np.repeat(~kept, 2)
        if not kept.all():
            middle[dropped], middle[:, dropped] = 0.0, 0.0
            middle[dropped, dropped] = 1.0
        weights: FloatArray = np.zeros_like(middle)
        with suppress(np.linalg.LinAlgError):  # no correction then
            weights = np.linalg.inv(middle)
        weights[dropped] = 0.0
        return rows, weights
