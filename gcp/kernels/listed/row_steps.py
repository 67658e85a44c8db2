"""Newton's method on one row of a factor after the other, the other modes fixed.

The rows of a mode are problems of their own, each in R unknowns over the entries of one slice: minimise over a the
sum of w f(x, s (a'z + e) + o) - z q(s (a'z + e) + o), where z is the product of the other modes' rows, e the other
modes' main effects, and s and o the entry's scale and offset, plus a'Pa / 2 + c'a for the zeros and the ridge, within
bounds. One step for each row: the quadratic model's
minimum over the entries that are not held at a bound, projected (Bertsekas, 1982), and shortened until the objective
falls.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import ordering, row_algebra
from gcp.kernels.listed.entry_runs import N_RUNS, SCALE, contiguous, read_run
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared import linked, per_entry
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.columns_by_address import addressed
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH, multiply
from gcp.losses.formula import Formula

THREAD_ENTRIES = 1 << 12
"""Fewer entries than this are not worth a thread."""

_HELD = 1024
"""Rows z that are kept for the search along a step; those of longer slices are made anew."""

_PARTS = 8
"""Parts for each thread: rows cost unequally."""

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


class RowProblem(NamedTuple):
    """The numbers that are common to all rows of a mode.

    Attributes
    ----------
    stack, effects : ndarray, shapes (rows of the other modes, width), (rows of the other modes,) or (0,)
        Padded factors and main effects of the other modes, under each other as `Group.offsets` says.
    linear : ndarray, shape (2 + K, width)
        c, as the sum of vectors with weights of the row's own.
    quadratic : ndarray, shape (width, width)
        P, with the weight of the second of them.
    scales : ndarray, shape (I_mode, 2 + K) or (0, 3)
        Those weights; empty where all rows have 1, 1 and 0.
    ridge, centre : ndarray, shapes (I_mode or 1, width)
        Half of ridge * (a - centre)**2 is added to the objective of every row; one row may stand for all.
    size : int
        Number of unknowns of a row; the rest of `width` is padding. The last one is the mode's own main effect if
        there are effects.
    """

    stack: FloatArray
    effects: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    scales: FloatArray
    ridge: FloatArray
    centre: FloatArray
    size: int


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
    n = len(own)
    parts = 1 if n_threads == 1 or len(group.subs) < 2 * THREAD_ENTRIES else n_threads * _PARTS
    costs = group.first + np.arange(n + 1) * (problem.size / 3)  # a row costs as much as some entries
    cuts = np.searchsorted(costs, np.linspace(0, costs[-1], parts + 1)[1:-1])
    edges = np.unique([0, *cuts, n])
    tasks = iter(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
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

    threads.run_all(work, range(min(n_threads, len(edges) - 1)))
    found = np.array([results[low] for low in sorted(results)])
    return RowUpdate(*(float(total) for total in found.sum(axis=0)))


def compile_steps(n_modes: int) -> None:
    """Compile steps on lists of so many modes, but for what they call by address: they are called for no rows."""
    none, row, matrix = np.zeros(0), np.zeros((1, 4)), np.zeros((4, 4))
    entries = np.zeros(1, np.int64), np.zeros((0, n_modes - 1), np.uint32), addressed([None] * 5, none.dtype)
    common = np.zeros((3, 4)), matrix, np.zeros((0, 3)), row, row, 4
    others = none, none, (0,) * (n_modes - 1)
    _update_rows((0, 0), (0, 0), entries, (0, 0), (none, row, row), others, common, (none, none), 1.0)


@jit(fastmath=FASTMATH)
def _update_rows(functions, tools, entries, part, factor, others, common, numbers, step):  # type: ignore[no-untyped-def]
    first, columns = entries[0], entries[1:]
    own, lower, upper = factor
    linear, quadratic, scales, ridges, centres, size = common
    width = linear.shape[1]
    held = np.zeros((2, _HELD * width))
    runs = np.ones(N_RUNS * RUN)
    small = np.zeros((8, width))
    g, d, new, low, high = small[0], small[1], small[2], small[3], small[4]
    ridge, centre, c = small[5], small[6], small[7]
    s1, s2, s3 = 1.0, 1.0, 0.0
    h, system = np.zeros(width * width), np.zeros(width * width)
    value = slope = 0.0
    for i in range(part[0], part[1]):
        a = own[i * width : (i + 1) * width]
        at_low, at_high = i if lower.shape[0] > 1 else 0, i if upper.shape[0] > 1 else 0
        at_ridge, at_centre = i if ridges.shape[0] > 1 else 0, i if centres.shape[0] > 1 else 0
        for r in range(width):
            low[r], high[r] = lower[at_low, r], upper[at_high, r]
            ridge[r], centre[r] = ridges[at_ridge, r], centres[at_centre, r]
        if scales.size:
            s1, s2, s3 = scales[i, 0], scales[i, 1], scales[i, 2]
        for r in range(width):
            c[r] = s1 * linear[0, r] + s2 * linear[1, r] + s3 * linear[2, r]
        for k in range(3, scales.shape[1]):
            for r in range(width):
                c[r] += scales[i, k] * linear[k, r]
        span = first[i], first[i + 1]
        row = c, quadratic, s2, ridge, centre, size
        before = after = 0.0
        accepted, hopeless = False, False
        for attempt in range(2):
            before = _own_part(a, c, quadratic, s2, ridge, centre, g, h)
            function = functions[1] if attempt else functions[0]
            before += _entries_part(
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
    linear, quadratic, scale, ridge, centre, size = row
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
            after = _own_value(new, linear, quadratic, scale, ridge, centre)
            after += _entries_part(
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


@jit_part(fastmath=FASTMATH)
def _own_part(a, linear, quadratic, scale, ridge, centre, g, h):  # type: ignore[no-untyped-def]
    """Return value, and write gradient and curvature, of what does not depend on the entries."""
    width, value = a.size, 0.0
    for r in range(width):
        row, away = 0.0, a[r] - centre[r]
        for q in range(width):
            p = scale * quadratic[r, q]
            h[r * width + q] = p
            row += p * a[q]
        h[r * width + r] += ridge[r]
        g[r] = linear[r] + row + ridge[r] * away
        value += a[r] * (linear[r] + 0.5 * row) + 0.5 * ridge[r] * away * away
    return value


@jit_part(fastmath=FASTMATH)
def _own_value(a, linear, quadratic, scale, ridge, centre):  # type: ignore[no-untyped-def]
    value = 0.0
    for r in range(a.size):
        row, away = 0.0, a[r] - centre[r]
        for q in range(a.size):
            row += quadratic[r, q] * a[q]
        value += a[r] * (linear[r] + 0.5 * scale * row) + 0.5 * ridge[r] * away * away
    return value


@jit_part(fastmath=FASTMATH)
def _entries_part(function, add_gram, entries, span, a, others, size, numbers, held, runs, g, h):  # type: ignore[no-untyped-def]
    """Return the value of the entries of a row, and add their gradient and curvature to g and h if these have room.

    The first call for a row must have room: it leaves the rows z behind for the next.
    """
    fresh = g.size > 0  # as an argument, True and False would be compiled apart
    subs, columns = entries
    stack, effects, offsets = others
    y, v, u = runs[5 * RUN : 6 * RUN], runs[6 * RUN : 7 * RUN], runs[7 * RUN :]
    places = linked.pointers((y, v, u, numbers[0], numbers[1]))
    width, count, value = a.size, span[1] - span[0], 0.0
    for e in range(0, count, RUN):
        n, start = min(RUN, count - e), span[0] + e
        keep = count <= _HELD
        products = held[0, e * width :] if keep else held[0]
        if fresh or not keep:
            row_algebra.products(subs, start, n, stack, offsets, width, products)
            for k in range(n if effects.size else 0):
                products[k * width + size - 1] = 1.0
        row_algebra.models(products, n, width, a, y)
        if effects.size:
            row_algebra.add_effects(subs, start, n, offsets, effects, y)
        m, x, w, z = read_run(columns, start, n, runs, y)
        linked.call(function, x, w, z, *places, m)
        for k in range(n):
            value += v[k]
        if columns[SCALE, 1] and fresh:
            s_run = runs[SCALE * RUN : SCALE * RUN + n]
            multiply(s_run, y)
            multiply(s_run, u)
            multiply(s_run, u)
        if fresh:
            row_algebra.add_gradient(products, n, width, y, g)
            linked.call(add_gram, products, held[1], n, width, u, h)
    return value
