"""Rows of Khatri-Rao products, and the map back, for any number of modes.

The factors of several modes are stacked into one matrix, so that one compiled function serves every number of
modes. Rows run with the last mode fastest.
"""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.shared import products

_CHUNK = 1 << 12
"""Rows that are transposed at a time."""


def stack(factors: Factors, width: int, dtype: np.dtype) -> tuple[FloatArray, Array]:
    """Return factors (I_n, R) under each other, (sum of sizes, width) with zero columns behind, and the modes' sizes.

    No modes at all make one row of ones: the empty product.
    """
    if not factors:
        return np.ones((1, width), dtype), np.ones(1, np.int64)
    sizes = np.array([len(a) for a in factors], np.int64)
    stacked = np.zeros((int(sizes.sum()), width), dtype)
    first = 0
    for a in factors:
        stacked[first : first + len(a), : a.shape[1]] = a
        first += len(a)
    return stacked, sizes


def rows(stacked: FloatArray, sizes: Array, first: int, out: FloatArray) -> None:
    """Write rows first, first + 1, ... of the Khatri-Rao product into `out` (n, R)."""
    if len(sizes) == 1:
        out[:] = stacked[first : first + len(out)]
        return
    turned = np.ascontiguousarray(stacked.T)
    for at in range(0, len(out), _CHUNK):
        part = out[at : at + _CHUNK]
        found = np.empty(part.shape[::-1], out.dtype)
        columns(turned, sizes, first + at, len(part), found)
        part[:] = found.T


def add_adjoint(stacked: FloatArray, sizes: Array, first: int, t: FloatArray, grad: FloatArray) -> None:
    """Add to `grad` (shaped like `stacked`) the derivative of sum(t * rows) in every stacked factor; t (n, R)."""
    if len(sizes) == 1:
        grad[first : first + len(t)] += t
        return
    turned, found = np.ascontiguousarray(stacked.T), np.zeros(stacked.shape[::-1], grad.dtype)
    for at in range(0, len(t), _CHUNK):
        part = np.ascontiguousarray(t[at : at + _CHUNK].T)
        add_columns_adjoint(turned, sizes, first + at, part.shape[1], part, found)
    grad += found.T


@jit
def columns(turned, sizes, first, count, out):  # type: ignore[no-untyped-def]
    """Write rows first ... first + count - 1 of the product as columns of `out` (R, >= count); zero the others.

    `turned` is the transposed stack, so that runs of the last mode are contiguous.
    """
    rank, last = out.shape[0], sizes.size - 1
    index, offset, at = _start(sizes, first)
    prefix = _full(sizes.size, out, 1.0)
    changed, done = 0, 0
    while done < count:
        _move(at, offset, index)
        _update_prefix(prefix, turned, at, changed)
        run = min(sizes[last] - index[last], count - done)
        for r in range(rank):
            products.scale(turned[r, at[last] : at[last] + run], prefix[last, r], out[r, done : done + run])
        done += run
        index[last] += run - 1
        changed = _next_change(index, sizes)
        _advance(index, changed)
    for r in range(rank):
        for k in range(count, out.shape[1]):
            out[r, k] = 0.0


@jit
def add_columns_adjoint(turned, sizes, first, count, g, grad):  # type: ignore[no-untyped-def]
    """Add to `grad` (shaped like `turned`) the derivative of sum(g * columns), for the first `count` columns."""
    rank, last = g.shape[0], sizes.size - 1
    index, offset, at = _start(sizes, first)
    prefix, partial = _full(sizes.size, g, 1.0), _full(sizes.size, g, 0.0)
    changed, done = 0, 0
    while done < count:
        _move(at, offset, index)
        _update_prefix(prefix, turned, at, changed)
        run = min(sizes[last] - index[last], count - done)
        a, b = at[last], at[last] + run
        for r in range(rank):
            row = g[r, done : done + run]
            products.add_scaled(row, prefix[last, r], grad[r, a:b])
            if last > 0:
                partial[last - 1, r] += products.dot(row, turned[r, a:b])
        done += run
        index[last] += run - 1
        changed = 0 if done == count else _next_change(index, sizes)
        _move_up(partial, prefix, turned, grad, at, changed)
        _advance(index, changed)


@jit_part(inline=True)
def _start(sizes, first):  # type: ignore[no-untyped-def]
    """Return the multi-index of a row, where each mode starts in the stack, and room for their sum."""
    places = np.empty((3, sizes.size), np.int64)
    index, offset = places[0], places[1]
    offset[0] = 0
    for k in range(1, sizes.size):
        offset[k] = offset[k - 1] + sizes[k - 1]
    for k in range(sizes.size - 1, -1, -1):
        index[k] = first % sizes[k]
        first //= sizes[k]
    return index, offset, places[2]


@jit_part(inline=True)
def _full(ndim, like, number):  # type: ignore[no-untyped-def]
    """Return an array (ndim, R) of a number, of the type of an array (R, k)."""
    full = np.empty((ndim, like.shape[0]), like.dtype)
    for k in range(ndim):
        for r in range(like.shape[0]):
            full[k, r] = number
    return full


@jit_part
def _move(at, offset, index):  # type: ignore[no-untyped-def]
    """Set `at` to the places of a multi-index in the stack."""
    for k in range(at.size):
        at[k] = offset[k] + index[k]


@jit_part
def _update_prefix(prefix, turned, at, changed):  # type: ignore[no-untyped-def]
    """Set prefix[k] to the product of the entries of modes 0 ... k - 1; modes before `changed` are as they were."""
    for k in range(changed, at.size - 1):
        for r in range(prefix.shape[1]):
            prefix[k + 1, r] = prefix[k, r] * turned[r, at[k]]


@jit_part
def _move_up(partial, prefix, turned, grad, at, changed):  # type: ignore[no-untyped-def]
    """Give partial sums to the modes whose index is about to change, and on to the next slower one.

    So the adjoints take about two multiply-adds for each element of what they are given.
    """
    for k in range(at.size - 2, changed - 1, -1):
        for r in range(prefix.shape[1]):
            grad[r, at[k]] += partial[k, r] * prefix[k, r]
            if k > 0:
                partial[k - 1, r] += partial[k, r] * turned[r, at[k]]
            partial[k, r] = 0.0


@jit_part
def _next_change(index, sizes):  # type: ignore[no-untyped-def]
    """Return the slowest mode whose index changes on the way to the next row."""
    k = sizes.size - 1
    while k > 0 and index[k] + 1 == sizes[k]:
        k -= 1
    return k


@jit_part
def _advance(index, changed):  # type: ignore[no-untyped-def]
    """Go to the next row."""
    index[changed] += 1
    for k in range(changed + 1, index.size):
        index[k] = 0
