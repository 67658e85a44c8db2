"""The data, as a matrix of slow and fast positions, times the Khatri-Rao product of one side's factors.

Two such products per sweep serve all modes of alternating least squares, whatever their number: the product with one
side's factors is a small array, and the other side's modes are contracted from there.

The data are read where they lie, a few rows by 512 columns at a time. Only the last rows and columns, and data of
another type than the arithmetic, are copied first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import dense_pass
from gcp.kernels.dense.layout import Layout
from gcp.kernels.shared import khatri_rao, linked, products
from gcp.kernels.shared.columns_by_address import column

COLUMNS = 512
"""Columns in a tile, at most; a multiple of 32."""


def contract(
    layout: Layout, slow: bool, factors: Factors, dtype: np.dtype[Any], n_threads: int, out: FloatArray
) -> None:
    """Multiply the data matrix with the fast side's Khatri-Rao product, or its transpose with the slow side's.

    Parameters
    ----------
    layout : Layout
        The tensor; its weights are ignored.
    slow : bool
        Whether the result belongs to the slow modes (and the fast ones are summed over) or to the fast modes.
    factors : sequence of ndarray, shapes (I_n, R)
        Of all modes; those of the result's own side are not read.
    dtype : dtype
        float32 or float64 arithmetic.
    n_threads : int
        Fixed parts, added in a fixed order.
    out : ndarray of float64, shape (R, number of positions of that side)
        Overwritten. The caller keeps it from one call to the next: new memory for it could cost as much as the
        product.
    """
    even = len(out) + len(out) % 2
    modes = layout.order[layout.split :] if slow else layout.order[: layout.split]
    side = khatri_rao.stack([factors[n] for n in modes], even, dtype)
    parts = dense_pass.thread_parts(layout.matrix.shape, n_threads, COLUMNS)
    if slow:
        turned = np.ascontiguousarray(side[0].T), side[1]
        found = threads.run_all(lambda part: _slow_part(layout, turned, part), parts)
        out[:] = 0.0
        for ((r0, r1), _), sums in zip(parts, found, strict=True):
            out[:, r0:r1] += sums[: r1 - r0, : len(out)].T
        return
    rows = np.zeros((layout.matrix.shape[0] + 8, even), dtype)
    khatri_rao.rows(*side, 0, rows[:-8])
    # Parts of the columns write to places of their own; parts of the rows must be added.
    outs = [out] + [out if part[1] != parts[0][1] else np.zeros_like(out) for part in parts[1:]]
    threads.run_all(lambda k: _fast_part(layout, rows, parts[k], outs[k]), range(len(parts)))
    for other in outs[1:]:
        if other is not out:
            out += other


def _slow_part(layout: Layout, turned: tuple[FloatArray, Array], part: dense_pass.Part) -> FloatArray:
    """Return a part's sums for its rows, shape (padded rows, R), by the transposed stack (R, sum of sizes)."""
    (r0, r1), (c0, c1) = part
    sums = np.zeros((-(-(r1 - r0) // 4) * 4, len(turned[0])), turned[0].dtype)
    of_columns = linked.address_among(khatri_rao.columns, sums.dtype)
    _sum_columns(of_columns, column(layout.matrix, r0, sums.dtype), r1 - r0, *turned, c0, c1, sums)
    return sums


def _fast_part(layout: Layout, rows: FloatArray, part: dense_pass.Part, out: FloatArray) -> None:
    """Write a part's columns of `out` (R, n_fast), by the slow side's rows of the product (n_slow + 8, R)."""
    (r0, r1), (c0, c1) = part
    _sum_rows(column(layout.matrix, r0, rows.dtype), r1 - r0, rows[r0:], c0, c1, out)


@jit
def _sum_columns(of_columns, data, n_rows, turned, sizes, first, last, sums):  # type: ignore[no-untyped-def]
    """Add columns first ... last - 1 of the matrix times those rows of the product to sums (padded rows, R)."""
    spare, room = np.zeros(4 * COLUMNS, sums.dtype), np.empty(sums.shape[1] * COLUMNS, sums.dtype)
    while first < last:
        n = _width(last - first)
        c = _matrix(room, sums.shape[1], n)
        linked.call(of_columns, turned, sizes, first, n, c)
        for b in range(0, n_rows, 4):
            in_place = data.is_direct != 0 and n % 32 == 0 and b + 4 <= n_rows
            if not in_place:
                _copy(data, b, first, min(4, n_rows - b), n, spare)
            y0, y1 = _row(data, b, 0, first, spare, in_place), _row(data, b, 1, first, spare, in_place)
            y2, y3 = _row(data, b, 2, first, spare, in_place), _row(data, b, 3, first, spare, in_place)
            _add_rows_of_four(y0, y1, y2, y3, c, sums[b : b + 4])
        first += n


@jit
def _sum_rows(data, n_rows, rows, first, last, out):  # type: ignore[no-untyped-def]
    """Write columns first ... last - 1 of out = rows.T @ matrix; `rows` goes on for 8 more rows at least."""
    spare, room = np.zeros(8 * COLUMNS, rows.dtype), np.empty(rows.shape[1] * COLUMNS, rows.dtype)
    while first < last:
        n = _width(last - first)
        g = _matrix(room, rows.shape[1], n)
        g[:] = 0.0
        for b in range(0, n_rows, 8):
            in_place = data.is_direct != 0 and n % 32 == 0 and b + 8 <= n_rows
            if not in_place:
                _copy(data, b, first, min(8, n_rows - b), n, spare)
            y0, y1 = _row(data, b, 0, first, spare, in_place), _row(data, b, 1, first, spare, in_place)
            y2, y3 = _row(data, b, 2, first, spare, in_place), _row(data, b, 3, first, spare, in_place)
            y4, y5 = _row(data, b, 4, first, spare, in_place), _row(data, b, 5, first, spare, in_place)
            y6, y7 = _row(data, b, 6, first, spare, in_place), _row(data, b, 7, first, spare, in_place)
            _add_columns_of_eight((y0, y1, y2, y3, y4, y5, y6, y7), rows[b : b + 8], g)
        for r in range(out.shape[0]):
            products.copied(g[r, :n], out[r, first : first + n])
        first += n


@jit_part(inline=True)
def _matrix(room, rows, n):  # type: ignore[no-untyped-def]
    """Return a matrix (rows, n or more, a multiple of 32) in the memory of a vector."""
    width = (n + 31) // 32 * 32
    return room[: rows * width].reshape(rows, width)


@jit_part
def _width(left):  # type: ignore[no-untyped-def]
    """Return the columns of the next tile: a multiple of 32, or all that are left if fewer."""
    return left if left < 32 else min(left // 32 * 32, COLUMNS)


@jit_part
def _copy(data, row, first, n_rows, n, spare):  # type: ignore[no-untyped-def]
    """Copy a block into the rows of `spare`, `COLUMNS` apart; zeros in the rows and columns that it lacks."""
    if n % 32 or n_rows * COLUMNS < spare.size:
        spare[:] = 0
    for i in range(n_rows):
        at = (row + i) * data.step + first
        linked.call(data.copy, data.numbers, at, n, linked.pointer(spare, i * COLUMNS))


@jit_part(inline=True)
def _row(data, row, i, first, spare, in_place):  # type: ignore[no-untyped-def]
    """Return a pointer to a row of a block: in memory, or in `spare`."""
    if in_place:
        return linked.pointer_into(data.numbers, (row + i) * data.step + first, spare)
    return linked.pointer(spare, i * COLUMNS)


@jit_part(fastmath=products.FASTMATH)
def _add_rows_of_four(y0, y1, y2, y3, c, s):  # type: ignore[no-untyped-def]
    """Do what `products.add_row_sums` does, for four rows behind pointers."""
    n = c.shape[1] & -32
    zero = c.dtype.type(0)
    for r in range(0, c.shape[0], 2):
        c0, c1 = c[r], c[r + 1]
        a0 = a1 = d0 = d1 = e0 = e1 = f0 = f1 = zero
        for k in range(n):
            a0 += y0[k] * c0[k]
            a1 += y0[k] * c1[k]
            d0 += y1[k] * c0[k]
            d1 += y1[k] * c1[k]
            e0 += y2[k] * c0[k]
            e1 += y2[k] * c1[k]
            f0 += y3[k] * c0[k]
            f1 += y3[k] * c1[k]
        s[0, r] += a0
        s[0, r + 1] += a1
        s[1, r] += d0
        s[1, r + 1] += d1
        s[2, r] += e0
        s[2, r + 1] += e1
        s[3, r] += f0
        s[3, r + 1] += f1


@jit_part(fastmath=products.FASTMATH)
def _add_columns_of_eight(y, p, g):  # type: ignore[no-untyped-def]
    """Do what `products.add_column_sums` does, for eight rows behind pointers."""
    n = g.shape[1] & -32
    y0, y1, y2, y3, y4, y5, y6, y7 = y
    for r in range(0, p.shape[1], 2):
        p0, p1, p2, p3 = p[0, r], p[1, r], p[2, r], p[3, r]
        p4, p5, p6, p7 = p[4, r], p[5, r], p[6, r], p[7, r]
        q0, q1, q2, q3 = p[0, r + 1], p[1, r + 1], p[2, r + 1], p[3, r + 1]
        q4, q5, q6, q7 = p[4, r + 1], p[5, r + 1], p[6, r + 1], p[7, r + 1]
        g0, g1 = g[r], g[r + 1]
        for k in range(n):
            s, t, u, v, w, x, z, o = y0[k], y1[k], y2[k], y3[k], y4[k], y5[k], y6[k], y7[k]
            g0[k] += p0 * s + p1 * t + p2 * u + p3 * v + p4 * w + p5 * x + p6 * z + p7 * o
            g1[k] += q0 * s + q1 * t + q2 * u + q3 * v + q4 * w + q5 * x + q6 * z + q7 * o
