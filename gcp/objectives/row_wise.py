"""What an objective over listed entries offers to solvers that update one row of a factor at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp._typing import Factors, FloatArray
from gcp.formula import Formula
from gcp.kernels import moments, rows, vector


@dataclass(frozen=True)
class RowWise:
    """An objective as a problem in the rows of one mode's factor, the others fixed.

    Attributes
    ----------
    groups : sequence of rows.Group
        The entries in the order of each mode.
    formula : Formula
        Of the loss.
    zero : (float, float)
        Coefficients of the loss of a zero; (0, 0) where unlisted entries are unknown.
    mode_weights : sequence of ndarray or None
        Weights of the positions of each mode.
    strength : float
        Of the ridge.
    n_threads : int
    free : tuple of int
        The mode of each variable.
    template : sequence of ndarray
        The factors of all modes; those of free modes mean nothing.
    softer : tuple of Formula
        Similar losses that are easier to minimise, the easiest first.
    """

    groups: Sequence[rows.Group]
    formula: Formula
    zero: tuple[float, float]
    mode_weights: Sequence[FloatArray] | None
    strength: float
    n_threads: int
    free: tuple[int, ...]
    template: Factors = ()
    softer: tuple[Formula, ...] = ()

    def expand(self, variables: Factors) -> list[FloatArray]:
        """The factors of all modes, in float64."""
        given = dict(zip(self.free, variables, strict=True))
        modes = range(len(self.groups))
        return [np.array(given[n] if n in given else self.template[n], dtype=np.float64) for n in modes]

    def update(
        self, mode: int, factors: list[FloatArray], lower: FloatArray, upper: FloatArray, step: float
    ) -> tuple[float, float]:
        """One Newton step for every row of a mode's factor, in place.

        Parameters
        ----------
        mode : int
        factors : list of ndarray of float64, shapes (I_n, R)
        lower, upper : ndarray, shape (I_mode, R) or (1, R)
        step : float

        Returns
        -------
        value : float
            The objective, but for the ridge of the other modes.
        slope : float
            Sum of squares of a - project(a - step * gradient) over the factor, before the update.
        """
        group, rank = self.groups[mode], factors[0].shape[1]
        width = vector.padded(rank, np.dtype(float))
        stack = vector.zeros(sum(len(factors[n]) for n in group.others), width, np.dtype(float))
        np.concatenate([factors[n] for n in group.others], out=stack[:, :rank])
        linear, quadratic = moments.of_rows(self.zero, factors, mode, self.mode_weights)
        problem = rows.RowProblem(
            stack,
            np.empty(0),
            _padded(linear, width),
            _padded(quadratic, width),
            np.empty(0) if self.mode_weights is None else self.mode_weights[mode],
            np.full(width, self.strength),
            rank,
        )
        own = vector.zeros(len(factors[mode]), width, np.dtype(float))
        own[:, :rank] = factors[mode]
        found = rows.update(
            group,
            problem,
            own,
            (_padded(lower, width, lower), _padded(upper, width, upper)),
            self.formula,
            self.zero,
            step=step,
            n_threads=self.n_threads,
        )
        factors[mode] = own[:, :rank].copy()
        return found.value, found.slope


def _padded(array: FloatArray, width: int, rows: FloatArray | None = None) -> FloatArray:
    """Zeros behind the last columns of a matrix with these rows, or behind a vector or a square matrix."""
    if rows is not None:
        wide = np.zeros((len(rows), width))
        wide[:, : array.shape[1]] = array
        return wide
    wide = np.zeros((width,) * array.ndim)
    wide[tuple(slice(n) for n in array.shape)] = array
    return wide
