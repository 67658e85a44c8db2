"""Evaluations over listed entries: the loss and the gradients of all modes from one pass.

A run of entries at a time: their model values, then the loss over all of them, then their share of every gradient,
while the rows of the factors that they need are still in the first-level caches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit, jit_part
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed.entry_runs import N_RUNS, SCALE, contiguous, read_run
from gcp.kernels.shared import linked, per_entry, uncompiled, vector
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.columns_by_address import addressed
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH, multiply
from gcp.losses.formula import Formula

THREAD_ENTRIES = 1 << 13
"""Fewer entries than this are not worth a thread."""

_UNEVEN = 1.25
"""Threads get whole slices of the first mode, unless one of them then gets so many times its share of entries."""

_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Listing:
    """Listed entries, sorted by their subscripts.

    Attributes
    ----------
    shape : tuple of int
        Sizes of the modes.
    order : tuple of int
        The modes, as the columns of `subs` have them: the first is slowest.
    subs : ndarray of uint32 or uint64, shape (entries, N)
    columns : EntryColumns of ndarray, shape (entries,)
        Data in float32 or float64, the others but groups in float64.
    z : ndarray of float64, shape (entries,), or None
        Weights of the zero part (see `per_entry.address`); None means all 1.
    """

    shape: tuple[int, ...]
    order: tuple[int, ...]
    subs: Array
    columns: EntryColumns
    z: FloatArray | None = None

    @property
    def x(self) -> FloatArray:
        """The data, shape (entries,)."""
        return self.columns.x

    @property
    def w(self) -> FloatArray | None:
        """The entry weights, shape (entries,); None means all 1."""
        return self.columns.weight

    @property
    def offsets(self) -> tuple[int, ...]:
        """The rows at which the modes begin in `head` and `tail` (see `vector`)."""
        sizes = [self.shape[n] for n in self.order]
        return (0, *(sum(sizes[1:n]) for n in range(1, len(sizes))))

    def at(self, index: Any) -> Listing:
        """Return some of the entries, or all in another order."""
        z = None if self.z is None else self.z[index]
        return replace(self, subs=self.subs[index], columns=self.columns.at(index), z=z)


class Stack(NamedTuple):
    """Factors, or their gradients, as the passes take them: padded rows, and main effects beside them.

    Attributes
    ----------
    head, tail : ndarray, shapes (I_first, width), (sum of the other sizes, width)
    effects : ndarray, shape (sum of the sizes,) or (0,)
        One number for each row of both, added to the model; empty if there are none.
    """

    head: FloatArray
    tail: FloatArray
    effects: FloatArray

    def flat(self) -> tuple[FloatArray, ...]:
        """Return head, tail and effects as flat arrays, shapes (n,)."""
        return self.head.reshape(-1), self.tail.reshape(-1), self.effects


def stacked(listing: Listing, factors: Factors, effects: Factors, dtype: np.dtype[Any]) -> Stack:
    """Return factors (I_n, R) and main effects (I_n,), or none, side by side in the listing's order of modes."""
    rank = factors[0].shape[1]
    first, *others = listing.order
    stack = _blank(listing, vector.padded(rank, dtype), bool(effects), dtype)
    stack.head[:, :rank] = factors[first]
    if others:
        np.concatenate([factors[n] for n in others], out=stack.tail[:, :rank], casting="same_kind")
    if effects:
        stack.effects[:] = np.concatenate([effects[n] for n in listing.order])
    return stack


def _blank(listing: Listing, width: int, has_effects: bool, dtype: np.dtype[Any]) -> Stack:
    sizes = [listing.shape[n] for n in listing.order]
    rows = sizes[0], sum(sizes[1:])
    head, tail = (vector.zeros(n, width, dtype) for n in rows)
    return Stack(head, tail, np.zeros(sum(rows) if has_effects else 0, dtype))


def _unstacked(listing: Listing, stack: Stack, rank: int) -> tuple[list[FloatArray], list[FloatArray]]:
    """Return matrices (I_n, R) and effects (I_n,) mode by mode, in the tensor's own order."""
    matrices, effects = {}, {}
    for position, mode in enumerate(listing.order):
        size, first = listing.shape[mode], listing.offsets[position]
        matrix = stack.tail if position else stack.head
        matrices[mode] = matrix[first : first + size, :rank].copy()
        first += len(stack.head) if position else 0
        effects[mode] = stack.effects[first : first + size].copy()
    modes = range(len(listing.shape))
    return [matrices[n] for n in modes], [effects[n] for n in modes] if stack.effects.size else []


def loss_and_mttkrps(
    listing: Listing,
    formula: Formula,
    factors: Factors,
    dtype: np.dtype[Any],
    n_threads: int,
    *,
    effects: Factors = (),
    zero: tuple[float, float] = (0.0, 0.0),
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Return the sum over entries of w f(x, s m + o) - z q(s m + o), and its gradient in factors and effects.

    Parameters
    ----------
    listing : Listing
    formula : Formula
        Value and derivative of the loss.
    factors : sequence of ndarray, shapes (I_n, R)
    dtype : dtype
        float32 or float64 arithmetic; the value is summed in float64 either way.
    n_threads : int
        Each gets a fixed part, and the parts are added in a fixed order.
    effects : sequence of ndarray, shapes (I_n,)
        Added to the model; none by default.
    zero : (float, float)
        q(m) = zero[0] m + zero[1] m**2.

    Returns
    -------
    value : float
    gradients, effect_gradients : list of ndarray
        Shaped like the factors and the effects.

    Notes
    -----
    About 3 N multiplications and additions for each entry and component, beside the loss itself. Memory: the factors
    and their gradients in padded rows; beyond the first thread, each needs gradients of its own of all modes but the
    first of the listing's order, the longest.
    """
    if not formula.compiled:
        return _plain_pass(listing, formula, factors, effects, zero, dtype)
    rank = factors[0].shape[1]
    stack = stacked(listing, factors, effects, dtype)
    parts, shared = _parts(listing, n_threads)
    own: list[Stack] = []
    for k in range(len(parts)):
        sums = _blank(listing, stack.head.shape[1], bool(effects), dtype) if not (k and shared) else None
        if sums is None:
            sums = Stack(own[0].head, np.zeros_like(stack.tail), np.zeros_like(stack.effects))
        own.append(sums)
    columns = contiguous(listing.columns, listing.z)  # must live as long as their addresses
    places, function = addressed(columns, dtype), per_entry.address(formula, dtype)
    numbers = np.array(formula.params, dtype), np.array(zero, dtype)

    def work(k: int) -> float:
        return float(
            _pass(
                function,
                listing.subs,
                places,
                parts[k],
                stack.flat(),
                own[k].flat(),
                (listing.offsets, stack.head.shape[1]),
                numbers,
            )
        )

    values = threads.run_all(work, range(len(parts)))
    for other in own[1:]:
        for total, addend in zip(own[0], other, strict=True):
            if addend is not total:
                total += addend
    return sum(values), *_unstacked(listing, own[0], rank)


def _parts(listing: Listing, n_threads: int) -> tuple[list[tuple[int, int]], bool]:
    """Return ranges of entries, one for each thread, and whether no two share a row of the first mode."""
    n = len(listing.x)
    useful = max(1, min(n_threads, n // THREAD_ENTRIES))
    parts = threads.split_range(n, useful)
    column = listing.subs[:, 0]
    cuts = [0, *(int(np.searchsorted(column, column[first])) for first, _ in parts[1:]), n]
    sizes = np.diff(cuts)
    if useful > 1 and sizes.min() > 0 and sizes.max() <= _UNEVEN * n / useful:
        return list(pairwise(cuts)), True
    return parts, False


@jit(fastmath=FASTMATH)
def _pass(function, subs, columns, part, stack, sums, layout, numbers):  # type: ignore[no-untyped-def]
    """Return the value of a part of the entries; adds to the gradients in `sums`, flat arrays."""
    head, tail, effects = stack
    head_grad, tail_grad, effect_grad = sums
    offsets, width = layout
    params, zero = numbers
    lanes = vector_lanes(head)
    runs = np.ones(N_RUNS * RUN, head.dtype)
    y, v, u = runs[5 * RUN : 6 * RUN], runs[6 * RUN : 7 * RUN], runs[7 * RUN :]
    places = linked.pointers((y, v, u, params, zero))
    value = 0.0
    for first in range(part[0], part[1], RUN):
        n = min(RUN, part[1] - first)
        for k in range(n):
            rows = vector.rows_of(subs, first + k, offsets, width)
            sums_ = vector.zero(head)
            for r in range(0, width, lanes):
                sums_ = vector.add_product(sums_, head, tail, rows, r)
            y[k] = vector.total(sums_)
        if effects.size:
            _add_effects(subs, first, n, offsets, head.size // width, effects, y)
        m, x, w, z = read_run(columns, first, n, runs, y)
        linked.call(function, x, w, z, *places, m)
        for k in range(n):
            value += v[k]
        if columns[SCALE, 1]:
            multiply(runs[SCALE * RUN : SCALE * RUN + n], y)
        for k in range(n):
            rows = vector.rows_of(subs, first + k, offsets, width)
            here = vector.fill(y[k])
            for r in range(0, width, lanes):
                vector.spread(here, (head, tail), (head_grad, tail_grad), rows, r)
        if effects.size:
            _spread_effects(subs, first, n, offsets, head.size // width, y, effect_grad)
    return value


@jit_part(inline=True)
def vector_lanes(like):  # type: ignore[no-untyped-def]
    """Return the number of numbers in a vector."""
    return 32 // like.itemsize


@jit_part
def _add_effects(subs, first, n, offsets, head_size, effects, m):  # type: ignore[no-untyped-def]
    for k in range(n):
        rows = vector.rows_of(subs, first + k, offsets, 1)
        for mode, row in enumerate(rows):
            m[k] += effects[row + (head_size if mode else 0)]


@jit_part
def _spread_effects(subs, first, n, offsets, head_size, y, grad):  # type: ignore[no-untyped-def]
    for k in range(n):
        rows = vector.rows_of(subs, first + k, offsets, 1)
        for mode, row in enumerate(rows):
            grad[row + (head_size if mode else 0)] += y[k]


# --- the pass by NumPy, and the two maps that it is made of ------------------------------------------------------


def model_values(
    listing: Listing, factors: Factors, effects: Factors, dtype: np.dtype[Any], part: slice = slice(None)
) -> FloatArray:
    """Return the model of factors (I_n, R) and effects (I_n,) at the listed entries, shape (entries,)."""
    stack, subs = stacked(listing, factors, effects, dtype), listing.subs[part]
    found = np.zeros(len(subs), dtype)
    _models(subs, stack.flat(), (listing.offsets, stack.head.shape[1]), found)
    return found


@jit(fastmath=FASTMATH)
def _models(subs, stack, layout, found):  # type: ignore[no-untyped-def]
    head, tail, effects = stack
    offsets, width = layout
    lanes = vector_lanes(head)
    for e in range(found.size):
        rows = vector.rows_of(subs, e, offsets, width)
        sums = vector.zero(head)
        for r in range(0, width, lanes):
            sums = vector.add_product(sums, head, tail, rows, r)
        found[e] = vector.total(sums)
    if effects.size:
        _add_effects(subs, 0, found.size, offsets, head.size // width, effects, found)


def mttkrps(
    listing: Listing,
    y: FloatArray,
    factors: Factors,
    effects: Factors,
    dtype: np.dtype[Any],
    part: slice = slice(None),
) -> tuple[list[FloatArray], list[FloatArray]]:
    """Carry one number for each entry, y (entries,), back to every factor (I_n, R) and main effect (I_n,)."""
    stack, subs = stacked(listing, factors, effects, dtype), listing.subs[part]
    sums = _blank(listing, stack.head.shape[1], bool(effects), dtype)
    numbers = np.ascontiguousarray(y, dtype)
    _spread(subs, numbers, stack.flat(), sums.flat(), (listing.offsets, stack.head.shape[1]))
    return _unstacked(listing, sums, factors[0].shape[1])


@jit(fastmath=FASTMATH)
def _spread(subs, y, stack, sums, layout):  # type: ignore[no-untyped-def]
    head, tail = stack[0], stack[1]
    offsets, width = layout
    for e in range(y.size):
        rows = vector.rows_of(subs, e, offsets, width)
        here = vector.fill(y[e])
        for r in range(0, width, vector_lanes(head)):
            vector.spread(here, (head, tail), (sums[0], sums[1]), rows, r)
    if stack[2].size:
        _spread_effects(subs, 0, y.size, offsets, head.size // width, y, sums[2])


def _plain_pass(
    listing: Listing,
    formula: Formula,
    factors: Factors,
    effects: Factors,
    zero: tuple[float, float],
    dtype: np.dtype[Any],
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Return what `loss_and_mttkrps` does, by NumPy, for formulas that do not compile.

    Factors and gradients have shapes (I_n, R), effects (I_n,).
    """
    value = 0.0
    gradients = [np.zeros(a.shape, dtype) for a in factors]
    effect_gradients = [np.zeros(len(e), dtype) for e in effects]
    for first in range(0, len(listing.x), _CHUNK):
        part = slice(first, first + _CHUNK)
        m = model_values(listing, factors, effects, dtype, part)
        columns = listing.columns.at(part)
        with np.errstate(all="ignore"):
            v, y, _ = uncompiled.evaluate(formula, columns, m, False)
        if zero != (0.0, 0.0):
            z = np.ones_like(m) if listing.z is None else listing.z[part].astype(dtype)
            s = 1.0 if columns.scale is None else columns.scale.astype(dtype)
            m = columns.argument(m)
            v = v - z * (m * (zero[0] + zero[1] * m))
            y = y - z * s * (zero[0] + 2 * zero[1] * m)
        value += float(v.sum(dtype=np.float64))
        for sums, found in zip(
            (gradients, effect_gradients), mttkrps(listing, y, factors, effects, dtype, part), strict=True
        ):
            for total, addend in zip(sums, found, strict=True):
                total += addend
    return value, gradients, effect_gradients
