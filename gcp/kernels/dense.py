"""The fused pass over a dense tensor: loss and the gradients of all modes, block by block.

The tensor is read as a matrix (slow modes x fast modes, in the order of its memory). For each block of it the
model is one product of two Khatri-Rao products, the loss turns it into the derivative in place, and two more
products carry the derivative to both sides. Neither the model nor the derivative is ever stored whole: a thread
holds one block, and the rows of the slow modes' Khatri-Rao product are made as they are needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp._typing import Array, Factors, FloatArray
from gcp.formula import Formula
from gcp.kernels import elementwise, khatri_rao, threads

BLOCK_ENTRIES = 1 << 16
"""Entries in a block: with its workspace it stays in a core's second-level cache."""


@dataclass(frozen=True)
class Layout:
    """A tensor as a matrix over its own memory.

    Attributes
    ----------
    matrix : ndarray, shape (n_slow, n_fast)
        A view of the data wherever their strides allow.
    weights : ndarray of that shape, or None
        Entry weights.
    order : tuple of int
        The modes from slow to fast; the first `split` of them are the matrix's rows.
    split : int
    shape : tuple of int
        Sizes of the modes, in the tensor's own order.
    """

    matrix: Array
    weights: Array | None
    order: tuple[int, ...]
    split: int
    shape: tuple[int, ...]

    @classmethod
    def of(cls, data: Array, weights: Array | None) -> Layout:
        """Choose the modes' order and split, and take the matrix view (a copy only if no split gives a view)."""
        order = tuple(sorted(range(data.ndim), key=lambda n: -abs(data.strides[n])))
        ordered = data.transpose(order)
        ordered_weights = None if weights is None else weights.transpose(order)
        split = _choose_split(ordered, ordered_weights)
        rows = int(np.prod(ordered.shape[:split], dtype=np.int64))
        matrix = ordered.reshape(rows, -1)  # a copy only where no split gives a view
        weights = None if ordered_weights is None else ordered_weights.reshape(rows, -1)
        return cls(matrix, weights, order, split, data.shape)

    def chunks(self) -> Iterator[tuple[int, FloatArray, FloatArray | None]]:
        """All entries in memory order: (first position, data, weights), as float64 vectors."""
        n_rows, n_columns = self.matrix.shape
        width = min(n_columns, BLOCK_ENTRIES)
        for r0, r1, c0, c1 in _blocks(n_rows, n_columns, max(1, BLOCK_ENTRIES // width), width):
            x = self.matrix[r0:r1, c0:c1].astype(np.float64).ravel()
            w = None if self.weights is None else self.weights[r0:r1, c0:c1].astype(np.float64).ravel()
            if w is not None:
                x[w == 0] = 1.0  # inside every built-in loss's domain
            yield r0 * n_columns + c0, x, w

    def subscript(self, position: int) -> tuple[int, ...]:
        """Subscript, in the tensor's own modes, of an entry of `matrix` counted row by row."""
        ordered = np.unravel_index(position, [self.shape[n] for n in self.order])
        found = dict(zip(self.order, ordered, strict=True))
        return tuple(int(found[n]) for n in range(len(self.shape)))


def loss_and_mttkrps(
    layout: Layout,
    formula: Formula,
    factors: Factors,
    dtype: np.dtype[Any],
    n_threads: int,
) -> tuple[float, list[FloatArray]]:
    """Weighted sum of the loss over all entries, and its gradient in every factor.

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
        Blocks are dealt to the threads in fixed runs and added in a fixed order, so that the result depends on
        `n_threads` but never on timing.

    Returns
    -------
    value : float
    gradients : list of ndarray, shapes (I_n, R)

    Notes
    -----
    Costs 3 multiply-adds an entry and component beside the loss itself, and (I_fast + I_slow) R numbers beside
    one block for each thread.
    """
    rank = factors[0].shape[1]
    slow = khatri_rao.stack([factors[n] for n in layout.order[: layout.split]], rank, dtype)
    fast = khatri_rao.stack([factors[n] for n in layout.order[layout.split :]], rank, dtype)
    k_fast = np.empty((layout.matrix.shape[1], rank), dtype)
    khatri_rao.rows(*fast, 0, k_fast)

    def work(run: tuple[int, int]) -> tuple[float, FloatArray, FloatArray]:
        with np.errstate(all="ignore"):  # a trial point may overflow; the solver sees it in the result
            return _pass(layout, formula, slow, k_fast, run)

    n_rows = layout.matrix.shape[0]
    useful = min(n_threads, n_rows, -(-layout.matrix.size // BLOCK_ENTRIES))
    parts = threads.run_all(work, threads.split_range(n_rows, useful))
    grad_slow, t_fast = parts[0][1], parts[0][2]
    for _, other_slow, other_fast in parts[1:]:
        grad_slow += other_slow
        t_fast += other_fast
    grad_fast = np.zeros_like(fast[0])
    khatri_rao.add_adjoint(*fast, 0, t_fast, grad_fast)
    return float(sum(part[0] for part in parts)), _unstack(layout, grad_slow, grad_fast)


def model_values(factors: Factors, shape: tuple[int, ...]) -> FloatArray:
    """The whole model tensor, C-ordered: the outer products of the columns, summed."""
    rank, dtype = factors[0].shape[1], np.result_type(*factors)
    split = max(1, len(shape) - 1)
    left = khatri_rao.stack(factors[:split], rank, dtype)
    right = khatri_rao.stack(factors[split:], rank, dtype)
    k_left = np.empty((int(np.prod(shape[:split])), rank), dtype)
    khatri_rao.rows(*left, 0, k_left)
    return np.asarray(k_left @ right[0].T).reshape(shape)


def mttkrps(y: FloatArray, factors: Factors) -> list[FloatArray]:
    """Matricised tensor times Khatri-Rao product in every mode, by the two-sided split of the fused pass."""
    rank, dtype = factors[0].shape[1], np.result_type(y, *factors)
    layout = Layout.of(y, None)
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


def _pass(
    layout: Layout,
    formula: Formula,
    slow: tuple[FloatArray, Array],
    k_fast: FloatArray,
    run: tuple[int, int],
) -> tuple[float, FloatArray, FloatArray]:
    """One thread's rows: loss, gradient in the stacked slow factors, and the sums that the fast ones need."""
    n_columns, rank = k_fast.shape
    dtype = k_fast.dtype
    height = min(run[1] - run[0], max(256, BLOCK_ENTRIES // n_columns))
    width = min(n_columns, max(256, BLOCK_ENTRIES // height))
    model, values, data, weight = (np.empty(height * width, dtype) for _ in range(4))
    k_slow = np.empty((height, rank), dtype)
    value, grad_slow, t_fast = 0.0, np.zeros_like(slow[0]), np.zeros_like(k_fast)
    for r0 in range(run[0], run[1], height):
        r1 = min(r0 + height, run[1])
        k = k_slow[: r1 - r0]
        khatri_rao.rows(*slow, r0, k)
        t_slow = np.zeros((r1 - r0, rank), dtype)
        for _, _, c0, c1 in _blocks(1, n_columns, 1, width):
            n = (r1 - r0) * (c1 - c0)
            m = model[:n].reshape(r1 - r0, c1 - c0)
            np.matmul(k, k_fast[c0:c1].T, out=m)
            x = _load(layout.matrix[r0:r1, c0:c1], data[:n])
            w = None if layout.weights is None else _load(layout.weights[r0:r1, c0:c1], weight[:n])
            value += elementwise.evaluate(formula, x, model[:n], w, values[:n])
            t_slow += m @ k_fast[c0:c1]
            t_fast[c0:c1] += m.T @ k
        khatri_rao.add_adjoint(*slow, r0, t_slow, grad_slow)
    return value, grad_slow, t_fast


def _load(block: Array, buffer: FloatArray) -> FloatArray:
    """A block as a contiguous vector of the arithmetic's type: in place where it already is one."""
    if block.dtype == buffer.dtype and block.flags.c_contiguous:
        return block.reshape(-1)
    np.copyto(buffer.reshape(block.shape), block)
    return buffer


def _blocks(n_rows: int, n_columns: int, height: int, width: int) -> Iterator[tuple[int, int, int, int]]:
    for r0 in range(0, n_rows, height):
        for c0 in range(0, n_columns, width):
            yield r0, min(r0 + height, n_rows), c0, min(c0 + width, n_columns)


def _choose_split(ordered: Array, weights: Array | None) -> int:
    """The split whose sides are closest in size, among those that give views; the longer side is slow.

    Views of the weights come second: weights that broadcast along the middle of the modes have none.
    """
    shape = ordered.shape
    if len(shape) == 1:
        return 0

    def sides(split: int) -> tuple[int, int]:
        fast = int(np.prod(shape[split:], dtype=np.int64))
        return ordered.size // fast + fast, fast

    candidates = sorted(range(1, len(shape)), key=sides)
    viewable = [split for split in candidates if _has_view(ordered, split)] or candidates
    both = [split for split in viewable if weights is None or _has_view(weights, split)]
    return (both or viewable)[0]


def _has_view(array: Array, split: int) -> bool:
    try:
        array.reshape(int(np.prod(array.shape[:split], dtype=np.int64)), -1, copy=False)
    except ValueError:
        return False
    return True


def _unstack(layout: Layout, grad_slow: FloatArray, grad_fast: FloatArray) -> list[FloatArray]:
    """Gradients mode by mode, in the tensor's own order."""
    if layout.split == 0:  # a vector: its slow side is the empty product
        return [grad_fast]
    rows = np.concatenate([grad_slow, grad_fast])
    cuts = np.cumsum([layout.shape[n] for n in layout.order])[:-1]
    found = dict(zip(layout.order, np.split(rows, cuts), strict=True))
    return [found[n] for n in range(len(layout.order))]
