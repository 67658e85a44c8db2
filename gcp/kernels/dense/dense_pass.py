"""Evaluations over a dense tensor: the loss and the gradients of all modes from one pass.

The tensor is read as a matrix (slow modes x fast modes, in the order of its memory), so that the gradients of all
modes follow from three products with the two sides' Khatri-Rao products, whatever the number of modes. Neither the
model nor the derivative is ever stored whole.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import fused, loss_of_row
from gcp.kernels.dense.layout import CHUNK_ENTRIES, Layout
from gcp.kernels.shared import khatri_rao, linked, uncompiled
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.columns_by_address import column
from gcp.losses.formula import Formula

THREAD_ENTRIES = 1 << 15
"""Fewer entries than this are not worth a thread."""


Part = tuple[tuple[int, int], tuple[int, int]]
"""A range of rows and one of columns: what one thread works on."""


class Sums(NamedTuple):
    """Sums over the entries that passes add up, beside the value.

    Attributes
    ----------
    slow : ndarray, shape (n_slow, R)
        Derivative tensor times the fast side's Khatri-Rao product.
    fast : ndarray, shape (R, sum of sizes)
        Gradient of the stacked fast factors, transposed.
    row_weights, column_weights : ndarray, shapes (n_slow,), (n_fast,)
        Sums of the curvature weights in m; zero unless asked for.
    row_derivs, column_derivs : ndarray, shapes (n_slow,), (n_fast,), or empty without main effects
        Sums of the derivatives in m.
    """

    slow: FloatArray
    fast: FloatArray
    row_weights: FloatArray
    column_weights: FloatArray
    row_derivs: FloatArray
    column_derivs: FloatArray


def loss_and_mttkrps(
    layout: Layout,
    formula: Formula,
    factors: Factors,
    dtype: np.dtype[Any],
    n_threads: int,
    effects: Factors = (),
) -> tuple[float, list[FloatArray], list[FloatArray]]:
    """Return the weighted sum of the loss over all entries, and its gradient in every factor and main effect.

    Parameters
    ----------
    layout : Layout
        The tensor.
    formula : Formula
        Value and derivative of the loss.
    factors : sequence of ndarray, shapes (I_n, R)
        The model.
    dtype : dtype
        float32 or float64 arithmetic; the value is summed in float64 either way.
    n_threads : int
        Each gets a fixed part, and the parts are added in a fixed order, so that the result depends on
        `n_threads` but never on timing.
    effects : sequence of ndarray, shapes (I_n,)
        Added to the model; none by default.

    Returns
    -------
    value : float
    gradients : list of ndarray, shapes (I_n, R)
    effect_gradients : list of ndarray, shapes (I_n,)

    Notes
    -----
    Costs 3 multiply-adds an entry and component beside the loss itself, and about 2 n_slow R numbers beside one
    tile for each thread.
    """
    return _evaluate(layout, formula, factors, dtype, n_threads, effects, curved=False)[:3]


def loss_mttkrps_and_marginals(
    layout: Layout,
    formula: Formula,
    factors: Factors,
    dtype: np.dtype[Any],
    n_threads: int,
    effects: Factors = (),
) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
    """Return what `loss_and_mttkrps` does, and sums (I_n,) over slices of the entries' curvature weights.

    That is w s**2 times the formula's curvature weight.
    """
    return _evaluate(layout, formula, factors, dtype, n_threads, effects, curved=True)


def _evaluate(
    layout: Layout,
    formula: Formula,
    factors: Factors,
    dtype: np.dtype[Any],
    n_threads: int,
    effects: Factors,
    curved: bool,
) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
    """Return the value, gradients (I_n, R) and (I_n,), and if `curved` sums (I_n,) of the curvature weights."""
    rank = factors[0].shape[1]
    even = max(2, rank + rank % 2)  # for the products' loops
    slow = khatri_rao.stack([factors[n] for n in layout.order[: layout.split]], even, dtype)
    fast = khatri_rao.stack([factors[n] for n in layout.order[layout.split :]], even, dtype)
    n_slow = layout.matrix.shape[0]
    turned = np.ascontiguousarray(fast[0].T)
    k_slow = np.zeros((-(-n_slow // 4) * 4, even), dtype)
    khatri_rao.rows(*slow, 0, k_slow[:n_slow])

    parts = thread_parts(layout.matrix.shape, n_threads, fused.ROW_BYTES // k_slow.itemsize)
    shifts = _shifts(layout, effects, dtype)
    sums = Sums(
        np.zeros_like(k_slow),
        np.zeros_like(turned),
        *map(np.zeros, layout.matrix.shape),
        *(np.zeros(len(shift)) for shift in shifts),
    )
    own = [sums, *(_sums_beside(sums, part, layout, formula.compiled) for part in parts[1:])]

    def work(k: int) -> float:
        run = _fused_pass if formula.compiled else _plain_pass
        with np.errstate(all="ignore"):  # a trial point may overflow; the solver sees it in the result
            return run(layout, formula, k_slow, (turned, fast[1]), shifts, parts[k], curved, own[k])

    with nullcontext() if formula.compiled else threads.single_threaded_blas():
        values = threads.run_all(work, range(len(parts)))
    for others in own[1:]:
        for total, other in zip(sums, others, strict=True):
            if other is not total:
                total += other
    slow_grad = np.zeros_like(slow[0])
    khatri_rao.add_adjoint(*slow, 0, sums.slow[:n_slow], slow_grad)
    gradients = _unstack(layout, slow_grad[:, :rank], sums.fast[:rank].T)
    marginals = _marginals(layout, sums.row_weights, sums.column_weights) if curved else []
    derivs = _marginals(layout, sums.row_derivs, sums.column_derivs) if effects else []
    return sum(values), gradients, [g.astype(dtype) for g in derivs], marginals


def _shifts(layout: Layout, effects: Factors, dtype: np.dtype[Any]) -> tuple[FloatArray, FloatArray]:
    """Return what main effects (I_n,) of slow modes add to each row (n_slow,), and of fast ones to each column."""
    if not effects:
        return np.empty(0, dtype), np.empty(0, dtype)
    sides = []
    for modes in (layout.order[: layout.split], layout.order[layout.split :]):
        total = np.zeros((1,) * len(modes))
        for position, n in enumerate(modes):
            total = total + effects[n].reshape([-1 if k == position else 1 for k in range(len(modes))])
        sides.append(np.ascontiguousarray(total, dtype).reshape(-1))
    return sides[0], sides[1]


def _sums_beside(sums: Sums, part: Part, layout: Layout, compiled: bool) -> Sums:
    """Return sums for a part while another uses `sums`: the same arrays where it only touches places of its own."""
    has_own_rows = part[0] != (0, layout.matrix.shape[0])
    # The plain pass adds to the whole array, also where it adds nothing.
    has_own_fast = compiled and not has_own_rows and len(layout.order) - layout.split == 1
    return Sums(
        sums.slow if has_own_rows else np.zeros_like(sums.slow),
        sums.fast if has_own_fast else np.zeros_like(sums.fast),
        sums.row_weights if has_own_rows else np.zeros_like(sums.row_weights),
        np.zeros_like(sums.column_weights) if has_own_rows else sums.column_weights,
        sums.row_derivs if has_own_rows else np.zeros_like(sums.row_derivs),
        np.zeros_like(sums.column_derivs) if has_own_rows else sums.column_derivs,
    )


def thread_parts(shape: tuple[int, ...], n_threads: int, tile: int) -> list[Part]:
    """Return ranges of rows and of columns, one for each thread: columns are cut where there are tiles enough."""
    n_rows, n_columns = shape
    useful = max(1, min(n_threads, n_rows * n_columns // THREAD_ENTRIES))
    if n_columns >= 2 * useful * tile or n_rows < 4 * useful:
        whole, step = (0, n_rows), 32
        cuts = threads.split_range(-(-n_columns // step), useful)
        return [(whole, (a * step, min(b * step, n_columns))) for a, b in cuts if a < b]
    cuts = threads.split_range(-(-n_rows // 4), useful)
    return [((4 * a, min(4 * b, n_rows)), (0, n_columns)) for a, b in cuts if a < b]


def _fused_pass(
    layout: Layout,
    formula: Formula,
    k_slow: FloatArray,
    fast: tuple[FloatArray, Array],
    shifts: tuple[FloatArray, FloatArray],
    part: Part,
    curved: bool,
    sums: Sums,
) -> float:
    """Return the value of a part, by the compiled pass, which adds to `sums`.

    The slow side has its Khatri-Rao rows (padded n_slow, R), the fast one its transposed stack (R, sum of sizes).
    """
    (r0, r1), (c0, c1) = part
    dtype = k_slow.dtype
    rows = slice(r0, -(-r1 // 4) * 4)
    columns = layout.columns
    value: float = fused.run(
        linked.addresses(dtype),
        loss_of_row.address(formula, dtype, weighted=columns.weight is not None, curved=curved),
        np.array(formula.params, dtype),
        tuple(column(own, r0, dtype) for own in columns[:4]),
        (shifts[0][r0:r1], shifts[1]),
        k_slow[rows],
        r1 - r0,
        (*fast, c0, c1, fused.ROW_BYTES // dtype.itemsize),
        (
            sums.slow[rows],
            sums.fast,
            sums.row_weights[r0:r1],
            sums.column_weights,
            sums.row_derivs[r0:r1],
            sums.column_derivs,
        ),
        curved,
    )
    return value


def _plain_pass(
    layout: Layout,
    formula: Formula,
    k_slow: FloatArray,
    fast: tuple[FloatArray, Array],
    shifts: tuple[FloatArray, FloatArray],
    part: Part,
    curved: bool,
    sums: Sums,
) -> float:
    """Return what `_fused_pass` does, by NumPy, for formulas that do not compile.

    The arguments have the same shapes.
    """
    (r0, r1), (c0, c1) = part
    rows, rank = k_slow[r0:r1], k_slow.shape[1]
    stacked, sizes = np.ascontiguousarray(fast[0].T), fast[1]
    value, grad = 0.0, np.zeros_like(stacked)
    width = max(1, CHUNK_ENTRIES // max(r1 - r0, 1))
    for a in range(c0, c1, width):
        b = min(a + width, c1)
        k_fast = np.empty((b - a, rank), k_slow.dtype)
        khatri_rao.rows(stacked, sizes, a, k_fast)
        m = rows @ k_fast.T
        if shifts[1].size:
            m += shifts[0][r0:r1, None] + shifts[1][a:b]
        v, y, u = uncompiled.evaluate(formula, layout.columns.at(np.s_[r0:r1, a:b]), m, curved)
        value += float(v.sum(dtype=np.float64))
        sums.slow[r0:r1] += y @ k_fast
        khatri_rao.add_adjoint(stacked, sizes, a, y.T @ rows, grad)
        if u is not None:
            sums.row_weights[r0:r1] += u.sum(axis=1)
            sums.column_weights[a:b] += u.sum(axis=0)
        if shifts[1].size:
            sums.row_derivs[r0:r1] += y.sum(axis=1)
            sums.column_derivs[a:b] += y.sum(axis=0)
    sums.fast[:] += grad.T
    return value


def _marginals(layout: Layout, row_weights: FloatArray, column_weights: FloatArray) -> list[FloatArray]:
    """Return sums (I_n,) over the slices of each mode, from those over rows (n_slow,) and columns (n_fast,)."""
    found = {}
    for modes, sums in (
        (layout.order[: layout.split], row_weights),
        (layout.order[layout.split :], column_weights),
    ):
        array = sums.reshape([layout.shape[n] for n in modes])
        for position, mode in enumerate(modes):
            found[mode] = array.sum(axis=tuple(k for k in range(len(modes)) if k != position))
    return [found[n] for n in range(len(layout.shape))]


def model_values(factors: Factors, shape: tuple[int, ...]) -> FloatArray:
    """Return the whole model tensor (I_0, ...), C-ordered: the outer products of factors' columns, summed."""
    rank, dtype = factors[0].shape[1], np.result_type(*factors)
    split = max(1, len(shape) - 1)
    left = khatri_rao.stack(factors[:split], rank, dtype)
    right = khatri_rao.stack(factors[split:], rank, dtype)
    k_left = np.empty((int(np.prod(shape[:split])), rank), dtype)
    khatri_rao.rows(*left, 0, k_left)
    return np.asarray(k_left @ right[0].T).reshape(shape)


def mttkrps(y: FloatArray, factors: Factors) -> list[FloatArray]:
    """Return the matricised y (I_0, ...) times Khatri-Rao product in every mode, shapes (I_n, R).

    That is by the two-sided split of the fused pass.
    """
    rank, dtype = factors[0].shape[1], np.result_type(y, *factors)
    layout = Layout.of(EntryColumns(y))
    slow = khatri_rao.stack([factors[n] for n in layout.order[: layout.split]], rank, dtype)
    fast = khatri_rao.stack([factors[n] for n in layout.order[layout.split :]], rank, dtype)
    k_slow, k_fast = (np.empty((n, rank), dtype) for n in layout.matrix.shape)
    khatri_rao.rows(*slow, 0, k_slow)
    khatri_rao.rows(*fast, 0, k_fast)
    matrix = layout.matrix.astype(dtype, copy=False)
    grad_slow, grad_fast = np.zeros_like(slow[0]), np.zeros_like(fast[0])
    khatri_rao.add_adjoint(*slow, 0, matrix @ k_fast, grad_slow)
    khatri_rao.add_adjoint(*fast, 0, matrix.T @ k_slow, grad_fast)
    return _unstack(layout, grad_slow, grad_fast)


def _unstack(layout: Layout, grad_slow: FloatArray, grad_fast: FloatArray) -> list[FloatArray]:
    """Return gradients (I_n, R) mode by mode, in the tensor's own order, from both sides' stacks."""
    found = {}
    for modes, grad in ((layout.order[: layout.split], grad_slow), (layout.order[layout.split :], grad_fast)):
        first = 0
        for mode in modes:
            found[mode] = grad[first : first + layout.shape[mode]].copy()
            first += layout.shape[mode]
    return [found[n] for n in range(len(layout.order))]
