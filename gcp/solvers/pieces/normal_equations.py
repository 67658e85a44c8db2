"""Normal equations of one mode after the other, compiled.

All factors lie side by side in one array (R, sum of the sizes), so that runs along a mode are contiguous; mode n has
the columns starts[n] ... starts[n + 1] - 1, and grams[n] is its (R, R) matrix of inner products.
"""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared.products import FASTMATH, add_scaled, dot, scale

_TILE = 512
"""Columns that stay in a cache."""


def all_grams(factors: FloatArray, starts: Array) -> FloatArray:
    """Return every mode's Gram matrix, (N, R, R)."""
    grams = np.empty((len(starts) - 1, len(factors), len(factors)))
    _write_grams(factors, starts, grams)
    return grams


@jit
def _write_grams(factors, starts, grams):  # type: ignore[no-untyped-def]
    for n in range(starts.size - 1):
        _write_gram(factors, starts[n], starts[n + 1], grams[n])


@jit
def update(products, group, free, factors, starts, grams, ridges, pulls, nearness):  # type: ignore[no-untyped-def]
    """Minimise over the factor of each free mode of a group in turn, in place.

    Parameters
    ----------
    products : ndarray, shape (R, product of the group's sizes)
        The data times the factors of the modes outside the group.
    group : ndarray of int, shape (modes of the group,)
        Its modes, the last one fastest in `products`.
    free : ndarray of bool, shape (N,)
    factors, starts, grams : ndarray, shapes (R, sum of the sizes), (N + 1,), (N, R, R)
        See above; `grams` is kept up to date.
    ridges : ndarray, shape (N, R)
        Added to the diagonal of each mode's equations.
    pulls : ndarray, shape (R, sum of the sizes) or (R, 0)
        Added to their right-hand sides; without columns for none.
    nearness : float
        Added to the diagonal as well, relative to its entries, in favour of the factor as it was: rank-deficient
        equations then change nothing in the directions that they leave open.

    Returns
    -------
    slope : float
        Largest, over the modes, norm of half the gradient in a factor before its update, times the factor's norm.
    fit : float
        Sum of squares of the residuals less that of the data, after the last update.
    """
    slope, fit = 0.0, 0.0
    for position in range(group.size):
        n = group[position]
        if not free[n]:
            continue
        h = _product_of_others(grams, n)
        m = _contracted(products, group, position, factors, starts)
        first, last, rest = starts[n], starts[n + 1], np.zeros(m.shape)
        _add_product(h, factors, first, rest, 0, last - first)
        squares = trace = 0.0
        for r in range(m.shape[0]):
            add_scaled(factors[r, first:last], ridges[n, r], rest[r])
            for i in range(m.shape[1]):
                rest[r, i] = m[r, i] - rest[r, i]
            if pulls.shape[1]:
                add_scaled(pulls[r, first:last], 1.0, rest[r])
            squares += dot(rest[r], rest[r])
            trace += grams[n, r, r]
        slope = max(slope, np.sqrt(squares * trace))
        _add_product(_inverse(h, ridges[n], nearness), rest, 0, factors, first, last - first)
        _write_gram(factors, first, last, grams[n])
        fit = 0.0
        for r in range(m.shape[0]):
            fit += dot(h[r], grams[n, r]) - 2.0 * dot(m[r], factors[r, first:last])
    return slope, fit


@jit
def balance(factors, starts, free, grams):  # type: ignore[no-untyped-def]
    """Give each component the same norm in all free modes: of all models that are equal, ridge prefers this one."""
    for r in range(factors.shape[0]):
        total, count = 0.0, 0
        for n in range(free.size):
            if free[n]:
                total += np.log(grams[n, r, r])
                count += 1
        for n in range(free.size):
            if free[n] and np.isfinite(total):
                by = np.exp(0.5 * (total / count - np.log(grams[n, r, r])))
                a = factors[r, starts[n] : starts[n + 1]]
                scale(a, by, a)
                for s in range(factors.shape[0]):
                    grams[n, r, s] *= by
                    grams[n, s, r] *= by


@jit_part(fastmath=FASTMATH)
def _add_product(w, a, at, out, to, n):  # type: ignore[no-untyped-def]
    """Add w times n columns of a, from `at` on, to those of out from `to` on, four rows of a at a time."""
    rank = w.shape[1]
    for k in range(0, n, _TILE):
        first, last = at + k, at + min(k + _TILE, n)
        for r in range(w.shape[0]):
            target = out[r, to + k : to + min(k + _TILE, n)]
            for s in range(0, rank - 3, 4):
                a0, a1, a2, a3 = a[s, first:], a[s + 1, first:], a[s + 2, first:], a[s + 3, first:]
                w0, w1, w2, w3 = w[r, s], w[r, s + 1], w[r, s + 2], w[r, s + 3]
                for i in range(target.size):
                    target[i] += w0 * a0[i] + w1 * a1[i] + w2 * a2[i] + w3 * a3[i]
            for s in range(rank & -4, rank):
                add_scaled(a[s, first:last], w[r, s], target)


@jit_part(fastmath=FASTMATH)
def _write_gram(a, first, last, gram):  # type: ignore[no-untyped-def]
    """Write the inner products of rows of a, over columns first ... last - 1, four at a time."""
    rank = a.shape[0]
    for r in range(rank):
        row = a[r, first:last]
        for s in range(0, r - 2, 4):
            a0, a1, a2, a3 = a[s, first:], a[s + 1, first:], a[s + 2, first:], a[s + 3, first:]
            g0 = g1 = g2 = g3 = 0.0
            for i in range(row.size):
                g0 += row[i] * a0[i]
                g1 += row[i] * a1[i]
                g2 += row[i] * a2[i]
                g3 += row[i] * a3[i]
            gram[r, s], gram[r, s + 1], gram[r, s + 2], gram[r, s + 3] = g0, g1, g2, g3
        for s in range((r + 1) & -4, r + 1):
            gram[r, s] = dot(row, a[s, first:last])
        for s in range(r):
            gram[s, r] = gram[r, s]


@jit_part(inline=True)
def _product_of_others(grams, n):  # type: ignore[no-untyped-def]
    """Return the elementwise product (R, R) of all Gram matrices but the n-th."""
    h = np.ones((grams.shape[1], grams.shape[2]))
    for other in range(grams.shape[0]):
        if other != n:
            for r in range(h.shape[0]):
                for s in range(h.shape[1]):
                    h[r, s] *= grams[other, r, s]
    return h


@jit_part(inline=True)
def _contracted(products, group, position, factors, starts):  # type: ignore[no-untyped-def]
    """Return the products times the factors of the group's other modes: (R, size of the mode at `position`)."""
    rank = products.shape[0]
    mode = group[position]
    m = np.empty((rank, starts[mode + 1] - starts[mode]))
    for r in range(rank):
        t = products[r]
        for k in range(group.size - 1, position, -1):
            b = factors[r, starts[group[k]] : starts[group[k] + 1]]
            out = np.empty(t.size // b.size)
            for i in range(out.size):
                out[i] = dot(t[i * b.size : (i + 1) * b.size], b)
            t = out
        for k in range(position):
            b = factors[r, starts[group[k]] : starts[group[k] + 1]]
            out = np.zeros(t.size // b.size)
            for i in range(b.size):
                add_scaled(t[i * out.size : (i + 1) * out.size], b[i], out)
            t = out
        for i in range(t.size):
            m[r, i] = t[i]
    return m


@jit_part(inline=True)
def _inverse(h, ridge, nearness):  # type: ignore[no-untyped-def]
    """Return the inverse (R, R) of h + diag(ridge), with its diagonal raised by `nearness`.

    It follows by Cholesky's method on the matrix scaled to a diagonal of ones, so that a component's unit is no
    matter.
    """
    rank = h.shape[0]
    unit = np.ones(rank)
    for r in range(rank):
        if h[r, r] + ridge[r] > 0.0:
            unit[r] = 1.0 / np.sqrt(h[r, r] + ridge[r])
    root, inverse = np.zeros((rank, rank)), np.zeros((rank, rank))
    for r in range(rank):
        for s in range(r):
            root[r, s] = (h[r, s] * unit[r] * unit[s] - dot(root[r, :s], root[s, :s])) / root[s, s]
        left = 1.0 + nearness - dot(root[r, :r], root[r, :r])
        root[r, r] = np.sqrt(max(left, nearness))
        inverse[r, r] = unit[r]
        for s in range(r):
            add_scaled(inverse[s, : s + 1], -root[r, s], inverse[r, : s + 1])
        scale(inverse[r], 1.0 / root[r, r], inverse[r])
    for r in range(rank):  # inverse.T @ inverse, in the place of `root`
        for s in range(r + 1):
            root[r, s] = 0.0
        for t in range(r, rank):
            add_scaled(inverse[t, : r + 1], inverse[t, r], root[r, : r + 1])
        for s in range(r):
            root[s, r] = root[r, s]
    return root
