"""Newton's method on one row of a factor after the other, the other modes fixed.

The rows of a mode are problems of their own, each in R unknowns over the entries of one slice: minimise over a the
sum of w f(x, s (a'z + e) + o) - z q(s (a'z + e) + o), where z is the product of the other modes' rows, e the other
modes' main effects, and s and o the entry's scale and offset, plus a'Pa / 2 + c'a for the zeros, the ridge and what
is remembered of other data, within bounds. One step for each row: the quadratic model's minimum over the entries that
are not held at a bound, projected (Bertsekas, 1982), and shortened until the objective falls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import ordering, row_algebra, row_objective
from gcp.kernels.listed.entry_runs import N_RUNS, contiguous
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.listed.row_objective import RowProblem
from gcp.kernels.shared import linked, per_entry
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.columns_by_address import addressed
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH
from gcp.losses.formula import Formula

_SEARCHES = 4
_DAMPING, _MORE_DAMPING, _DAMPINGS = 1e-9, 1e3, 4
"""Damping of the equations of a row, relative to their trace, and how it grows: rows of few entries leave directions
open, where steps may be far too long; then more of it is tried.
"""

_SUFFICIENT = 1e-4
_NOTHING = 1e-15
"""Promised decrease of a row's objective, relative to it, that rounding would hide."""


class Group(NamedTuple):
    """The listed entries in the order of one mode.

    Attributes
    ----------
    mode : int
    others : tuple of int
        The other modes, as the columns of `subs` have them.
    first : ndarray of int, shape (I_mode + 1,)
        Where the entries of each position begin, and the end.
    subs : ndarray, shape (entries, N - 1)
    columns, z
        As in `Listing`.
    offsets : tuple of int
        Where the other modes' rows begin when all of them lie under each other.
    """

    mode: int
    others: tuple[int, ...]
    first: Array
    subs: Array
    columns: EntryColumns
    z: FloatArray | None
    offsets: tuple[int, ...]


def grouped(listing: Listing, mode: int) -> Group:
    """Return the entries in the order of a mode; a copy of all but the subscripts of the mode itself."""
    column, n = listing.order.index(mode), len(listing.x)
    columns = np.array([k for k in range(len(listing.order)) if k != column], np.int64)
    others = tuple(listing.order[k] for k in columns)
    permutation, first = ordering.grouped(listing.subs, column, listing.shape[mode])
    subs = np.empty((n, len(others)), listing.subs.dtype)
    ordering.take_rows(listing.subs, columns, permutation, subs)
    z = None if listing.z is None else listing.z[permutation]
    sizes = [listing.shape[n] for n in others]
    offsets = tuple(int(k) for k in np.cumsum([0, *sizes])[: len(others)])
    return Group(mode, others, first, subs, listing.columns.at(permutation), z, offsets)


class RowUpdate(NamedTuple):
    """The result of an update of all rows of a mode.

    Attributes
    ----------
    value : float
        Sum of the rows' objectives after it.
    slope : float
        Sum over rows of the squares of a - project(a - t g), with the gradient g before the update and the given t.
    """

    value: float
    slope: float


def update(
    group: Group,
    problem: RowProblem,
    own: FloatArray,
    bounds: tuple[FloatArray, FloatArray],
    formula: Formula,
    zero: tuple[float, float],
    *,
    step: float,
    n_threads: int,
) -> RowUpdate:
    """Take one step for every row of a mode, in place.

    Parameters
    ----------
    group : Group
    problem : RowProblem
    own : ndarray of float64, shape (I_mode, width)
        The mode's padded factor, with its main effects as the last unknown if there are any.
    bounds : (ndarray, ndarray), each of shape (I_mode or 1, width)
        Lower and upper; in either, one row stands for all.
    formula : Formula
        Of the loss. The size of its second derivative serves first: the Fisher information that other solvers take is
        much larger at small data and models near 0, and steps would be too short. Where a step of either size fails,
        `weight` serves.
    zero : (float, float)
        The loss of a zero is zero[0] * m + zero[1] * m**2; see `listed_pass.loss_and_mttkrps`.
    step : float
        t of `RowUpdate.slope`.
    n_threads : int
        The factor does not depend on it; sums do, in their last digits.

    Notes
    -----
    About R**2 / 2 multiplications and additions for each entry, and R**3 / 6 for each row.
    """
    functions = tuple(
        per_entry.address(formula, np.dtype(float), bend)
        for bend in (formula.d2f, formula.weight or formula.d2f)
    )
    tools = row_algebra.addresses()
    numbers = np.array(formula.params, float), np.array(zero, float)
    columns = contiguous(group.columns, group.z)  # must live as long as their addresses
    places = addressed(columns, np.dtype(float))
    lower, upper = (np.ascontiguousarray(side, float) for side in bounds)
    parts = row_objective.parts(group.first, problem.size, n_threads)
    tasks = iter(parts)
    results: dict[int, tuple[float, float]] = {}

    def work(_: int) -> None:
        for low, high in tasks:  # whichever thread comes first: rows do not depend on each other
            results[low] = _update_rows(
                functions,
                tools,
                (group.first, group.subs, places),
                (low, high),
                (own.reshape(-1), lower, upper),
                (problem.stack.reshape(-1), problem.effects, group.offsets),
                problem[2:],
                numbers,
                step,
            )

    threads.run_all(work, range(min(n_threads, len(parts))))
    found = np.array([results[low] for low in sorted(results)])
    return RowUpdate(*(float(total) for total in found.sum(axis=0)))


def compile_steps(n_modes: int) -> None:
    """Compile steps on lists of so many modes, but for what they call by address: they are called for no rows."""
    none, row, matrix = np.zeros(0), np.zeros((1, 4)), np.zeros((4, 4))
    entries = np.zeros(1, np.int64), np.zeros((0, n_modes - 1), np.uint32), addressed([None] * 5, none.dtype)
    common = np.zeros((3, 4)), matrix, np.zeros((0, 3)), row, row, 4, np.zeros((0, 4)), np.zeros((0, 4, 4))
    others = none, none, (0,) * (n_modes - 1)
    _update_rows((0, 0), (0, 0), entries, (0, 0), (none, row, row), others, common, (none, none), 1.0)


@jit(fastmath=FASTMATH)
def _update_rows(functions, tools, entries, part, factor, others, common, numbers, step):  # type: ignore[no-untyped-def]
    first, columns = entries[0], entries[1:]
    own, lower, upper = factor
    linear, quadratic, scales, ridges, centres, size, slopes, blocks = common
    width = linear.shape[1]
    held = np.zeros((2, row_objective.HELD * width))
    runs = np.ones(N_RUNS * RUN)
    small = np.zeros((8, width))
    g, d, new, low, high = small[0], small[1], small[2], small[3], small[4]
    ridge, centre, c = small[5], small[6], small[7]
    h, system, p = np.zeros(width * width), np.zeros(width * width), np.zeros((width, width))
    value = slope = 0.0
    for i in range(part[0], part[1]):
        a = own[i * width : (i + 1) * width]
        at_low, at_high = i if lower.shape[0] > 1 else 0, i if upper.shape[0] > 1 else 0
        at_ridge, at_centre = i if ridges.shape[0] > 1 else 0, i if centres.shape[0] > 1 else 0
        for r in range(width):
            low[r], high[r] = lower[at_low, r], upper[at_high, r]
            ridge[r], centre[r] = ridges[at_ridge, r], centres[at_centre, r]
        row_objective.of_row(i, linear, quadratic, scales, slopes, blocks, c, p)
        span = first[i], first[i + 1]
        row = c, p, ridge, centre, size
        before = after = 0.0
        accepted, hopeless = False, False
        for attempt in range(2):
            before = row_objective.own_part(a, c, p, ridge, centre, g, h)
            function = functions[1] if attempt else functions[0]
            before += row_objective.entries_part(
                function, tools[0], columns, span, a, others, size, numbers, held, runs, g, h
            )
            for r in range(0 if attempt else size):
                moved = a[r] - min(max(a[r] - step * g[r], low[r]), high[r])
                slope += moved * moved
            accepted, hopeless, after = _search(
                functions[0],
                tools,
                columns,
                span,
                others,
                row,
                numbers,
                (held, runs),
                (h, system),
                (a, g, d, new, low, high),
                before,
            )
            if accepted or hopeless:
                break
        if accepted:
            for r in range(size):
                a[r] = new[r]
        value += after if accepted else before
    return value, slope


@jit_part(fastmath=FASTMATH)
def _search(function, tools, entries, span, others, row, numbers, buffers, matrices, vectors, before):  # type: ignore[no-untyped-def]
    """Find a step `new` that lowers a row's objective; return whether it is one, none can be, and the objective."""
    a, g, d, new, low, high = vectors
    linear, quadratic, ridge, centre, size = row
    h, system = matrices
    damping, after = _DAMPING, before
    for _ in range(_DAMPINGS):
        linked.call(tools[1], h, system, g, d, a, low, high, size, damping)
        length, is_free = 1.0, False
        for r in range(size):
            is_free |= d[r] != 0.0
        if not is_free:
            return False, True, before
        for _ in range(_SEARCHES):
            gain = 0.0
            for r in range(size):
                new[r] = min(max(a[r] - length * d[r], low[r]), high[r])
                gain += g[r] * (new[r] - a[r])
            if abs(gain) <= _NOTHING * abs(before):
                return False, True, before
            if gain > 0.0:  # bounds have bent the step away from a descent
                length *= 0.3
                continue
            after = row_objective.own_value(new, linear, quadratic, ridge, centre)
            after += row_objective.entries_part(
                function,
                tools[0],
                entries,
                span,
                new,
                others,
                size,
                numbers,
                buffers[0],
                buffers[1],
                g[:0],
                h[:0],
            )
            if after <= before + _SUFFICIENT * gain:
                return True, False, after
            length *= 0.3
        damping *= _MORE_DAMPING
    return False, False, before
