"""Parts of a Newton step for one row of a factor: sums over runs of entries, and a small system of equations.

Entries have rows z of padded width, one behind the other in a flat array. The two functions that others call by
address (`addresses`) are compiled by themselves: they take a third of the time that row steps take to compile.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gcp.base.compiler.jit import jit, jit_part
from gcp.kernels.listed.listed_pass import vector_lanes
from gcp.kernels.shared import linked, vector
from gcp.kernels.shared.products import FASTMATH


@lru_cache(maxsize=1)
def addresses() -> tuple[Any, Any]:
    """Return the addresses of `add_gram` and `newton_direction` in this process."""
    double = np.dtype(float)
    gram = linked.address(add_gram, linked.GRAM, double)
    return gram, linked.address(newton_direction, linked.NEWTON, double)


@jit_part(fastmath=FASTMATH)
def products(subs, start, n, stack, offsets, width, products):  # type: ignore[no-untyped-def]
    """Compute the product of the other modes' rows, for each entry of a run, into a flat array (n * width,)."""
    for k in range(n):
        rows = vector.rows_of(subs, start + k, offsets, width)
        for r in range(0, width, vector_lanes(stack)):
            vector.store(vector.product(stack, rows, r), products, k * width + r)


@jit_part
def add_effects(subs, start, n, offsets, effects, m):  # type: ignore[no-untyped-def]
    """Add the other modes' main effects to the model of a run."""
    for k in range(n):
        rows = vector.rows_of(subs, start + k, offsets, 1)
        for row in rows:
            m[k] += effects[row]


@jit_part(fastmath=FASTMATH)
def models(products, n, width, a, m):  # type: ignore[no-untyped-def]
    """Compute m = products @ a, shape (n,)."""
    for k in range(n):
        sums = vector.zero(a)
        for r in range(0, width, vector_lanes(a)):
            sums = vector.multiply_add(vector.load(products, k * width + r), vector.load(a, r), sums)
        m[k] = vector.total(sums)


@jit_part(fastmath=FASTMATH)
def add_gradient(products, n, width, y, g):  # type: ignore[no-untyped-def]
    """Add products' y to g (width,)."""
    for r in range(0, width, vector_lanes(g)):
        sums = vector.load(g, r)
        for k in range(n):
            sums = vector.multiply_add(vector.load(products, k * width + r), vector.fill(y[k]), sums)
        vector.store(sums, g, r)


@jit(fastmath=FASTMATH)
def add_gram(products, scaled, n, width, u, h):  # type: ignore[no-untyped-def]
    """Add products' diag(u) products to h, at least its lower triangle, in tiles of 4 x 8 that stay in registers."""
    for k in range(n):
        here = vector.fill(u[k])
        for r in range(0, width, 4):
            at = k * width + r
            vector.store(vector.multiply_add(vector.load(products, at), here, vector.zero(h)), scaled, at)
    for r in range(0, width, 4):
        for c in range(0, r + 4, 8):
            if c + 8 <= width:
                _wide_tile(products, scaled, n, width, r, c, h)
            else:
                _narrow_tile(products, scaled, n, width, r, c, h)


@jit_part(fastmath=FASTMATH)
def _wide_tile(products, scaled, n, width, r, c, h):  # type: ignore[no-untyped-def]
    h0 = r * width + c
    h1, h2, h3 = h0 + width, h0 + 2 * width, h0 + 3 * width
    a0, b0 = vector.load(h, h0), vector.load(h, h0 + 4)
    a1, b1 = vector.load(h, h1), vector.load(h, h1 + 4)
    a2, b2 = vector.load(h, h2), vector.load(h, h2 + 4)
    a3, b3 = vector.load(h, h3), vector.load(h, h3 + 4)
    for k in range(0, n * width, width):
        p, q = vector.load(products, k + c), vector.load(products, k + c + 4)
        s = vector.fill(scaled[k + r])
        a0, b0 = vector.multiply_add(s, p, a0), vector.multiply_add(s, q, b0)
        s = vector.fill(scaled[k + r + 1])
        a1, b1 = vector.multiply_add(s, p, a1), vector.multiply_add(s, q, b1)
        s = vector.fill(scaled[k + r + 2])
        a2, b2 = vector.multiply_add(s, p, a2), vector.multiply_add(s, q, b2)
        s = vector.fill(scaled[k + r + 3])
        a3, b3 = vector.multiply_add(s, p, a3), vector.multiply_add(s, q, b3)
    vector.store(a0, h, h0)
    vector.store(b0, h, h0 + 4)
    vector.store(a1, h, h1)
    vector.store(b1, h, h1 + 4)
    vector.store(a2, h, h2)
    vector.store(b2, h, h2 + 4)
    vector.store(a3, h, h3)
    vector.store(b3, h, h3 + 4)


@jit_part(fastmath=FASTMATH)
def _narrow_tile(products, scaled, n, width, r, c, h):  # type: ignore[no-untyped-def]
    h0 = r * width + c
    h1, h2, h3 = h0 + width, h0 + 2 * width, h0 + 3 * width
    a0, a1, a2, a3 = vector.load(h, h0), vector.load(h, h1), vector.load(h, h2), vector.load(h, h3)
    for k in range(0, n * width, width):
        p = vector.load(products, k + c)
        a0 = vector.multiply_add(vector.fill(scaled[k + r]), p, a0)
        a1 = vector.multiply_add(vector.fill(scaled[k + r + 1]), p, a1)
        a2 = vector.multiply_add(vector.fill(scaled[k + r + 2]), p, a2)
        a3 = vector.multiply_add(vector.fill(scaled[k + r + 3]), p, a3)
    vector.store(a0, h, h0)
    vector.store(a1, h, h1)
    vector.store(a2, h, h2)
    vector.store(a3, h, h3)


@jit(fastmath=FASTMATH)
def newton_direction(h, system, g, d, a, low, high, size, damping):  # type: ignore[no-untyped-def]
    """Compute d, Newton's step over the unknowns that no bound holds; 0 if there is nothing to gain.

    Unknowns within a small distance of a bound that the gradient pushes them to are held, and their step is 0. h is
    kept; its lower triangle counts, and `system` is of its size. `damping` times its trace is added to its diagonal.
    """
    width, trace, any_free = a.size, 0.0, False
    for r in range(size):
        trace += max(h[r * width + r], 0.0)
    for r in range(size):
        near = 1e-12 * abs(a[r])
        is_held = (a[r] - low[r] <= near and g[r] > 0) or (high[r] - a[r] <= near and g[r] < 0)
        d[r] = 0.0 if is_held or g[r] != g[r] else g[r]
        any_free |= d[r] != 0.0
    for r in range(size):
        for q in range(r):
            system[r * width + q] = h[r * width + q] if d[r] != 0.0 and d[q] != 0.0 else 0.0
        system[r * width + r] = h[r * width + r] + damping * trace / size + 1e-300 if d[r] != 0.0 else 1.0
    if any_free and trace > 0.0:
        _solve(system, d, size, width, trace)
    elif any_free:  # no curvature at all: to the bound, or along the gradient by the length of the row
        length, steep = 0.0, 0.0
        for r in range(size):
            length, steep = length + a[r] * a[r], steep + d[r] * d[r]
        for r in range(size):
            bound = low[r] if d[r] > 0.0 else high[r]
            along = d[r] * np.sqrt(length / steep if length > 0.0 else 1.0 / steep)
            d[r] = a[r] - bound if d[r] != 0.0 and np.isfinite(bound) else along


@jit_part(fastmath=FASTMATH)
def _solve(h, d, size, width, trace):  # type: ignore[no-untyped-def]
    """Compute d = h**-1 d by Cholesky's method in the lower triangle of h."""
    least = 1e-12 * trace + 1e-300
    for r in range(size):
        for q in range(r):
            s = h[r * width + q]
            for t in range(q):
                s -= h[r * width + t] * h[q * width + t]
            h[r * width + q] = s * h[q * width + q]
        s = h[r * width + r]
        for t in range(r):
            s -= h[r * width + t] * h[r * width + t]
        h[r * width + r] = 1.0 / np.sqrt(max(s, least))
    for r in range(size):
        s = d[r]
        for t in range(r):
            s -= h[r * width + t] * d[t]
        d[r] = s * h[r * width + r]
    for r in range(size - 1, -1, -1):
        s = d[r]
        for t in range(r + 1, size):
            s -= h[t * width + r] * d[t]
        d[r] = s * h[r * width + r]
