"""What an objective over listed entries offers to solvers that update one row of a factor at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.kernels.listed import power_sums, row_expansions, row_steps
from gcp.kernels.listed.row_objective import RowProblem
from gcp.kernels.shared import vector
from gcp.kernels.shared.columns import CellColumns
from gcp.losses.formula import Formula
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.terms.expansion import Expansion

_DOUBLE = np.dtype(float)

_ROUNDING = 16 * float(np.finfo(float).eps)
"""Relative error of a long sum."""


@dataclass(frozen=True)
class RowWise:
    """An objective as a problem in the rows of one mode's factor, the others fixed.

    Attributes
    ----------
    groups : callable
        The entries in the order of a mode: groups of whole slices, each with the position of its first.
    formula : Formula
        Of the loss.
    zero : (float, float)
        Coefficients of the loss of a zero; (0, 0) where unlisted entries are unknown.
    cells : CellColumns
        What cells carry, listed or not.
    penalties : Penalties
        Row-wise ones; they also say which columns are main effects.
    n_threads : int
    free : tuple of int
        The mode of each variable.
    template : sequence of ndarray, shapes (I_n, R)
        The factors of all modes; those of free modes mean nothing.
    softer : tuple of Formula
        Similar losses that are easier to minimise, the easiest first.
    remembered : mapping of int to Expansion
        Of some modes, what is added to the objective of each row; not beside main effects.
    """

    groups: Callable[[int], Iterable[tuple[int, row_steps.Group]]]
    formula: Formula
    zero: tuple[float, float]
    cells: CellColumns
    penalties: Penalties
    n_threads: int
    free: tuple[int, ...]
    template: Factors = ()
    softer: tuple[Formula, ...] = ()
    remembered: Mapping[int, Expansion] = field(default_factory=dict)

    def expand(self, variables: Factors) -> list[FloatArray]:
        """Return the factors of all modes, shapes (I_n, R), in float64."""
        given = dict(zip(self.free, variables, strict=True))
        modes = range(len(self.template) or len(self.free))
        return [np.array(given[n] if n in given else self.template[n], dtype=np.float64) for n in modes]

    def update(
        self, mode: int, factors: list[FloatArray], lower: FloatArray, upper: FloatArray, step: float
    ) -> tuple[float, float]:
        """Take one Newton step for every row of a mode's factor, in place.

        Parameters
        ----------
        mode : int
        factors : list of ndarray of float64, shapes (I_n, R)
        lower, upper : ndarray, shape (I_mode, R) or (1, R)
        step : float

        Returns
        -------
        value : float
            The objective after it.
        slope : float
            Sum of squares of a - project(a - step * gradient) over the factor, before the update.
        """
        rows = self._rows(mode, factors)
        ridge, centre = (_wide(side, rows.width) for side in self.penalties.of_rows(mode, factors))
        limits = []
        for side in (lower, upper):
            wide = np.zeros((len(side), rows.width))
            _take(side, rows.columns, wide)
            limits.append(wide)
        value = slope = 0.0
        for first, group in self.groups(mode):
            part = slice(first, first + len(group.first) - 1)
            found = row_steps.update(
                group,
                rows.problem(group, part, (ridge, centre), self.remembered.get(mode)),
                rows.own[part],
                (_part(limits[0], part), _part(limits[1], part)),
                self.formula,
                self.zero,
                step=step,
                n_threads=self.n_threads,
            )
            value, slope = value + found.value, slope + found.slope
        for k, column in enumerate(rows.columns):
            if column is not None:
                factors[mode][:, column] = rows.own[:, k]
        in_rows = 0.5 * float(np.sum(ridge * np.square(rows.own - centre)))
        value += self._remembered_beside(mode, factors)
        return value - in_rows + rows.sums.constant + self.penalties.value(factors), slope

    def expansion(self, mode: int, factors: Factors) -> Expansion:
        """Return the objective without penalties to second order in the rows of a mode, about factors (I_n, R).

        Not beside main effects. Curvatures are the sizes of the loss's second derivatives.
        """
        rows = self._rows(mode, factors)
        none = np.zeros((1, rows.width))
        rank, size = rows.problem_size, len(rows.own)
        gradient, curvature = np.zeros((size, rank)), np.zeros((size, rank, rank))
        for first, group in self.groups(mode):
            part = slice(first, first + len(group.first) - 1)
            problem = rows.problem(group, part, (none, none), None)
            g, h = row_expansions.expand(
                group, problem, rows.own[part], self.formula, self.zero, n_threads=self.n_threads
            )
            gradient[part], lower = g[:, :rank], np.tril(h[:, :rank, :rank])
            curvature[part] = lower + np.tril(lower, -1).transpose(0, 2, 1)
        return Expansion(np.array(factors[mode], dtype=float), gradient, curvature)

    def _remembered_beside(self, mode: int, factors: Factors) -> float:
        """Return what rows of other modes cost, of factors (I_n, R), and the constant of the mode's own."""
        beside = sum(own.value(factors[n]) for n, own in self.remembered.items() if n != mode)
        return beside + (self.remembered[mode].at_zero if mode in self.remembered else 0.0)

    def _rows(self, mode: int, factors: Factors) -> _Rows:
        """Return the numbers of the problem in the rows of a mode, of factors (I_n, R) with their effects."""
        effects = self.penalties.effects
        components = effects.components(factors) if effects else factors
        vectors = effects.vectors(factors) if effects else []
        columns = self._columns(mode, components[0].shape[1])
        width = vector.padded(len(columns), _DOUBLE)
        sums = power_sums.of_rows(self.zero, components, vectors, mode, self.cells)
        own = vector.zeros(len(factors[mode]), width, _DOUBLE)
        _take(factors[mode], columns, own)
        return _Rows(components, vectors, columns, width, sums, own)

    def rounding(self, factors: Factors) -> float:
        """Return the objective's rounding error at factors (I_n, R): that of sums over zeros, if components run off.

        Such sums, of large numbers that cancel, then hide the loss itself.
        """
        if self.zero == (0.0, 0.0):
            return 0.0
        effects = self.penalties.effects
        components = effects.components(factors) if effects else factors
        vectors = effects.vectors(factors) if effects else []
        sizes = [[np.abs(a) for a in arrays] for arrays in (components, vectors)]
        with np.errstate(over="ignore", invalid="ignore"):
            mass, *_ = power_sums.polynomial(
                (abs(self.zero[0]), abs(self.zero[1])), sizes[0], sizes[1], self.cells.map(np.abs)
            )
        return _ROUNDING * mass

    def _columns(self, mode: int, rank: int) -> list[int | None]:
        """Return the column of the mode's factor that holds each unknown of a row; None for an effect it lacks."""
        effects = self.penalties.effects
        if effects is None:
            return list(range(rank))
        last = effects.rank + effects.modes.index(mode) if mode in effects.modes else None
        return [*range(effects.rank), last]


class _Rows(NamedTuple):
    """The rows of a mode, padded, and what is common to them."""

    components: Factors
    effects: Sequence[FloatArray]
    columns: Sequence[int | None]
    width: int
    sums: power_sums.RowSums
    own: FloatArray

    @property
    def problem_size(self) -> int:
        """Number of unknowns of a row."""
        return len(self.columns)

    def problem(
        self,
        group: row_steps.Group,
        part: slice,
        ridge: tuple[FloatArray, FloatArray],
        remembered: Expansion | None,
    ) -> RowProblem:
        """Return the problem of a part of the rows, with a ridge and centres (I or 1, width)."""
        stack = vector.zeros(sum(len(self.components[n]) for n in group.others), self.width, _DOUBLE)
        rank = self.components[0].shape[1]
        np.concatenate([self.components[n] for n in group.others], out=stack[:, :rank])
        slopes, blocks = np.zeros((0, self.width)), np.zeros((0, self.width, self.width))
        if remembered is not None:
            slopes = _wide(remembered.slopes[part], self.width)
            blocks = _padded(remembered.curvature[part], self.width)
        return RowProblem(
            stack,
            np.concatenate([self.effects[n] for n in group.others]) if self.effects else np.empty(0),
            _wide(self.sums.linear, self.width),
            _padded(self.sums.quadratic, self.width),
            self.sums.scales[part],
            _part(ridge[0], part),
            _part(ridge[1], part),
            self.problem_size,
            slopes,
            blocks,
        )


def _take(source: FloatArray, columns: Sequence[int | None], target: FloatArray) -> None:
    """Copy columns of a matrix (n, k) into the target's, (n, width), which is left as it is where there is none."""
    for k, column in enumerate(columns):
        if column is not None:
            target[:, k] = source[:, column]


def _part(side: FloatArray, part: slice) -> FloatArray:
    """Return the rows of a part of a matrix (n, width), unless one row stands for all."""
    return side[part] if len(side) > 1 else side


def _wide(rows: FloatArray, width: int) -> FloatArray:
    """Return rows (n, R) with zeros behind each, shape (n, width)."""
    wide = np.zeros((len(rows), width))
    wide[:, : rows.shape[1]] = rows
    return wide


def _padded(array: FloatArray, width: int) -> FloatArray:
    """Return square matrices (..., R, R) with zeros around them, shape (..., width, width)."""
    wide = np.zeros((*array.shape[:-2], width, width))
    wide[..., : array.shape[-2], : array.shape[-1]] = array
    return wide
