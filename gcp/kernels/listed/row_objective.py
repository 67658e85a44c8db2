"""The objective of one row of a factor, the other modes fixed: its value, gradient and curvature.

`row_steps` says what it is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gcp.base.compiler.jit import jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import row_algebra
from gcp.kernels.listed.entry_runs import SCALE, read_run
from gcp.kernels.shared import linked
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH, multiply

THREAD_ENTRIES = 1 << 12
"""Fewer entries than this are not worth a thread."""

HELD = 1024
"""Rows z that are kept for the search along a step; those of longer slices are made anew."""

_PARTS = 8
"""Parts for each thread: rows cost unequally."""


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
    slopes, blocks : ndarray, shapes (I_mode, width) and (I_mode, width, width), or both of no rows
        Further c and P, of each row its own.
    """

    stack: FloatArray
    effects: FloatArray
    linear: FloatArray
    quadratic: FloatArray
    scales: FloatArray
    ridge: FloatArray
    centre: FloatArray
    size: int
    slopes: FloatArray
    blocks: FloatArray


def parts(first: Array, size: int, n_threads: int) -> list[tuple[int, int]]:
    """Return ranges of rows that cost about the same, of rows of `size` unknowns whose entries begin at `first`."""
    n = len(first) - 1
    n_parts = 1 if n_threads == 1 or first[-1] < 2 * THREAD_ENTRIES else n_threads * _PARTS
    costs = first + np.arange(n + 1) * (size / 3)  # a row costs as much as some entries
    cuts = np.searchsorted(costs, np.linspace(0, costs[-1], n_parts + 1)[1:-1])
    edges = np.unique([0, *cuts, n])
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))


@jit_part(fastmath=FASTMATH)
def of_row(i, linear, quadratic, scales, slopes, blocks, c, p):  # type: ignore[no-untyped-def]
    """Write c (width,) and P (width, width) of a row: what does not depend on its entries, but for the ridge."""
    width, s1, s2, s3 = c.size, 1.0, 1.0, 0.0
    if scales.size:
        s1, s2, s3 = scales[i, 0], scales[i, 1], scales[i, 2]
    for r in range(width):
        c[r] = s1 * linear[0, r] + s2 * linear[1, r] + s3 * linear[2, r]
    for k in range(3, scales.shape[1]):
        for r in range(width):
            c[r] += scales[i, k] * linear[k, r]
    for r in range(width):
        for q in range(width):
            p[r, q] = s2 * quadratic[r, q]
    for r in range(width if blocks.shape[0] else 0):
        c[r] += slopes[i, r]
        for q in range(width):
            p[r, q] += blocks[i, r, q]


@jit_part(fastmath=FASTMATH)
def own_part(a, linear, quadratic, ridge, centre, g, h):  # type: ignore[no-untyped-def]
    """Return value, and write gradient and curvature, of what does not depend on the entries."""
    width, value = a.size, 0.0
    for r in range(width):
        row, away = 0.0, a[r] - centre[r]
        for q in range(width):
            h[r * width + q] = quadratic[r, q]
            row += quadratic[r, q] * a[q]
        h[r * width + r] += ridge[r]
        g[r] = linear[r] + row + ridge[r] * away
        value += a[r] * (linear[r] + 0.5 * row) + 0.5 * ridge[r] * away * away
    return value


@jit_part(fastmath=FASTMATH)
def own_value(a, linear, quadratic, ridge, centre):  # type: ignore[no-untyped-def]
    """Return the value of what does not depend on the entries."""
    value = 0.0
    for r in range(a.size):
        row, away = 0.0, a[r] - centre[r]
        for q in range(a.size):
            row += quadratic[r, q] * a[q]
        value += a[r] * (linear[r] + 0.5 * row) + 0.5 * ridge[r] * away * away
    return value


@jit_part(fastmath=FASTMATH)
def entries_part(function, add_gram, entries, span, a, others, size, numbers, held, runs, g, h):  # type: ignore[no-untyped-def]
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
        keep = count <= HELD
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
