"""The three skinny matrix products of the fused pass, on blocks that fit the first-level caches.

Shapes: P (n, R) rows of the slow side, C (R, k) columns of the fast side, Y (n, k) a block. n is a multiple of 4, R
is even, k a multiple of 32: callers pad with zeros. Each loop keeps a tile of 4 rows x 4 components (or 8 x 2) in
registers and runs along k, which LLVM turns into full vectors. At ranks of 5 to 50 a BLAS product of such shapes
reaches a third to two thirds of its square peak, and these loops about all of it (scripts/benchmarks/kernels.py).

Arrays with k columns come from `blank`: a vector of 64 bytes that straddles two lines of the cache costs twice, and
rows a multiple of 4096 bytes apart make loads wait for stores with which they share their last 12 bits alone. `& -32`
drops the gap between rows and tells LLVM that no remainder is left: the code for one takes registers from the loop.
"""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit, jit_part

# Sums over components and columns may be reordered here; in the loss formulas they may not.
FASTMATH = {"contract", "nsz", "arcp", "reassoc"}


_GAP = 16  # unused columns at the end of each row


@jit_part(inline=True)
def room(rows, columns, like):  # type: ignore[no-untyped-def]
    """Return memory for a `blank` of at most so many columns, of the type of another array."""
    return np.empty(rows * (columns + _GAP), like.dtype)


@jit_part(inline=True)
def blank(room, rows, columns):  # type: ignore[no-untyped-def]
    """Return an array (rows, columns + gap) in such memory; in compiled code it is on a 64-byte boundary."""
    return room[: rows * (columns + _GAP)].reshape(rows, columns + _GAP)


@jit(fastmath=FASTMATH)
def model(p, c, y):  # type: ignore[no-untyped-def]
    """Compute y = p @ c."""
    n, rank = y.shape[1] & -32, p.shape[1]
    for b in range(0, y.shape[0], 4):
        y0, y1, y2, y3 = y[b], y[b + 1], y[b + 2], y[b + 3]
        for r in range(0, rank - 3, 4):
            c0, c1, c2, c3 = c[r], c[r + 1], c[r + 2], c[r + 3]
            a0, a1, a2, a3 = p[b, r], p[b, r + 1], p[b, r + 2], p[b, r + 3]
            d0, d1, d2, d3 = p[b + 1, r], p[b + 1, r + 1], p[b + 1, r + 2], p[b + 1, r + 3]
            e0, e1, e2, e3 = p[b + 2, r], p[b + 2, r + 1], p[b + 2, r + 2], p[b + 2, r + 3]
            f0, f1, f2, f3 = p[b + 3, r], p[b + 3, r + 1], p[b + 3, r + 2], p[b + 3, r + 3]
            if r == 0:
                for k in range(n):
                    t, u, v, w = c0[k], c1[k], c2[k], c3[k]
                    y0[k] = a0 * t + a1 * u + a2 * v + a3 * w
                    y1[k] = d0 * t + d1 * u + d2 * v + d3 * w
                    y2[k] = e0 * t + e1 * u + e2 * v + e3 * w
                    y3[k] = f0 * t + f1 * u + f2 * v + f3 * w
            else:
                for k in range(n):
                    t, u, v, w = c0[k], c1[k], c2[k], c3[k]
                    y0[k] += a0 * t + a1 * u + a2 * v + a3 * w
                    y1[k] += d0 * t + d1 * u + d2 * v + d3 * w
                    y2[k] += e0 * t + e1 * u + e2 * v + e3 * w
                    y3[k] += f0 * t + f1 * u + f2 * v + f3 * w
        if rank % 4:
            r = rank - 2
            c0, c1 = c[r], c[r + 1]
            a0, d0, e0, f0 = p[b, r], p[b + 1, r], p[b + 2, r], p[b + 3, r]
            a1, d1, e1, f1 = p[b, r + 1], p[b + 1, r + 1], p[b + 2, r + 1], p[b + 3, r + 1]
            if r == 0:
                for k in range(n):
                    t, u = c0[k], c1[k]
                    y0[k] = a0 * t + a1 * u
                    y1[k] = d0 * t + d1 * u
                    y2[k] = e0 * t + e1 * u
                    y3[k] = f0 * t + f1 * u
            else:
                for k in range(n):
                    t, u = c0[k], c1[k]
                    y0[k] += a0 * t + a1 * u
                    y1[k] += d0 * t + d1 * u
                    y2[k] += e0 * t + e1 * u
                    y3[k] += f0 * t + f1 * u


@jit(fastmath=FASTMATH)
def add_row_sums(y, c, s):  # type: ignore[no-untyped-def]
    """Add y @ c.T to s (n, R)."""
    n = y.shape[1] & -32
    zero = y.dtype.type(0)
    for b in range(0, y.shape[0], 4):
        y0, y1, y2, y3 = y[b], y[b + 1], y[b + 2], y[b + 3]
        for r in range(0, s.shape[1], 2):
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
            s[b, r] += a0
            s[b, r + 1] += a1
            s[b + 1, r] += d0
            s[b + 1, r + 1] += d1
            s[b + 2, r] += e0
            s[b + 2, r + 1] += e1
            s[b + 3, r] += f0
            s[b + 3, r + 1] += f1


@jit(fastmath=FASTMATH)
def add_column_sums(y, p, g):  # type: ignore[no-untyped-def]
    """Add p.T @ y to g (R, k)."""
    rows = y.shape[0]
    for b in range(0, rows - 7, 8):
        _add_columns_of_eight(y[b : b + 8], p[b : b + 8], g)
    if rows % 8:
        _add_columns_of_four(y[rows - 4 :], p[rows - 4 :], g)


# Of their own, these two keep in registers what one function for both would spill.


@jit_part(fastmath=FASTMATH)
def _add_columns_of_eight(y, p, g):  # type: ignore[no-untyped-def]
    n = y.shape[1] & -32
    y0, y1, y2, y3, y4, y5, y6, y7 = y[0], y[1], y[2], y[3], y[4], y[5], y[6], y[7]
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


@jit_part(fastmath=FASTMATH)
def _add_columns_of_four(y, p, g):  # type: ignore[no-untyped-def]
    n = y.shape[1] & -32
    y0, y1, y2, y3 = y[0], y[1], y[2], y[3]
    for r in range(p.shape[1]):
        p0, p1, p2, p3 = p[0, r], p[1, r], p[2, r], p[3, r]
        g0 = g[r]
        for k in range(n):
            g0[k] += p0 * y0[k] + p1 * y1[k] + p2 * y2[k] + p3 * y3[k]


@jit_part(fastmath=FASTMATH)
def total(v):  # type: ignore[no-untyped-def]
    """Return the sum in float64 of a row of `blank`."""
    s = 0.0
    for k in range(v.size & -32):
        s += v[k]
    return s


@jit_part
def copied(source, target):  # type: ignore[no-untyped-def]
    """Return `target`, with `source` in its first places; shapes (n,) and (n or more,)."""
    for k in range(source.size):
        target[k] = source[k]
    return target


@jit_part
def add(source, target):  # type: ignore[no-untyped-def]
    """Add source, shape (n,), to target, shape (n or more,)."""
    for k in range(source.size):
        target[k] += source[k]


@jit_part
def shift(number, source, target):  # type: ignore[no-untyped-def]
    """Add a number and source, shape (n,), to target, shape (n or more,)."""
    for k in range(source.size):
        target[k] += number + source[k]


@jit_part
def multiply(source, target):  # type: ignore[no-untyped-def]
    """Multiply target, shape (n or more,), by source, shape (n,)."""
    for k in range(source.size):
        target[k] *= source[k]


@jit_part(fastmath=FASTMATH)
def scale(source, factor, target):  # type: ignore[no-untyped-def]
    """Set target to factor * source, shapes (n,)."""
    for k in range(source.size):
        target[k] = factor * source[k]


@jit_part(fastmath=FASTMATH)
def add_scaled(source, factor, target):  # type: ignore[no-untyped-def]
    """Add factor * source to target, shapes (n,)."""
    for k in range(source.size):
        target[k] += factor * source[k]


@jit_part(fastmath=FASTMATH)
def dot(a, b):  # type: ignore[no-untyped-def]
    """Return the sum of products of vectors (n,)."""
    s = a.dtype.type(0)
    for k in range(a.size):
        s += a[k] * b[k]
    return s
