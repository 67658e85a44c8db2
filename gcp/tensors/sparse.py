"""Tensors of which the nonzero entries are listed, and all others are zero."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from gcp._typing import Array, Factors, FloatArray
from gcp.errors import DataError, ParameterError
from gcp.formula import Formula
from gcp.kernels import dense, listed, moments
from gcp.kernels.layout import Layout
from gcp.labels import ModeLabels
from gcp.tensors import entries
from gcp.tensors.base import Block
from gcp.tensors.listed import ListedTensor


class SparseTensor(ListedTensor):
    """A tensor given by the list of its nonzero entries; all others are 0 (counts, links).

    For ratings and answers, where nothing is known of an entry that no one listed, use `ObservedTensor`.

    Parameters
    ----------
    subs : array_like of int, shape (entries, N)
        0-based subscripts of the listed entries, in any order.
    values : array_like, shape (entries,)
        Their real, integer or boolean values; a NaN makes its cell a missing one.
    shape : sequence of int, optional
        Sizes of the modes; their product may exceed 2**63. Default: the largest subscripts.
    entry_weights : array_like, shape (entries,), optional
        Nonnegative reals; 2 counts a listed entry twice, 0 leaves it out. Zeros have weight 1.
    mode_weights : sequence of (array_like of shape (I_n,) or None), optional
        Nonnegative reals for the positions of each mode: the weight of every cell, zero or not, is multiplied by the
        product of those of its positions. With 0 and 1 they are a mask: the product of masks of the modes.
    missing : array_like of int, shape (cells, N), optional
        Subscripts of cells of which nothing is known, listed or not.
    labels : ModeLabels, optional
        Names and coordinates of the modes.
    aggregate : {"error", "sum", "mean"}
        What to do with several entries for one cell.

    Attributes
    ----------
    subs, values, entry_weights : ndarray
        Of the nonzero entries, sorted.

    Raises
    ------
    DataError
        Subscripts that are negative, too large, not whole, or repeated; values that are not numbers; weights of the
        wrong shape or range.

    Notes
    -----
    Keeps a sorted copy: 4 bytes for each subscript (8 in modes of more than 2**32 positions), and 4 for each value
    that float32 holds exactly, else 8.
    """

    def __init__(
        self,
        subs: ArrayLike,
        values: ArrayLike,
        shape: Sequence[int] | None = None,
        entry_weights: ArrayLike | None = None,
        mode_weights: Sequence[ArrayLike | None] | None = None,
        missing: ArrayLike | None = None,
        labels: ModeLabels | None = None,
        aggregate: str = "error",
    ) -> None:
        given = entries.checked(subs, values, shape, entry_weights)
        unknown = None
        if missing is not None and len(np.asarray(missing)):
            cells = np.asarray(missing)
            unknown = entries.checked(
                cells, np.zeros(len(cells)), given.shape, None, "missing cell {}".format
            )
        found = entries.sorted_entries(given, aggregate)
        self._set(found, unknown, _mode_weights(mode_weights, given.shape), labels)

    @classmethod
    def of(cls, found: entries.SortedEntries, labels: ModeLabels | None = None) -> SparseTensor:
        """From entries that are sorted already."""
        tensor = cls.__new__(cls)
        tensor._set(found, None, None, labels)
        return tensor

    def _set(
        self,
        found: entries.SortedEntries,
        unknown: entries.Entries | None,
        mode_weights: list[FloatArray] | None,
        labels: ModeLabels | None,
    ) -> None:
        if labels is not None:
            labels.check(found.shape)
        every = found if unknown is None else entries.with_missing(found, unknown)
        hidden = entries.is_nan(every.values)
        z = None if mode_weights is None else _product_of_rows(every, mode_weights)
        unit = every.weights is None and not hidden.any()
        w = z if unit else np.where(hidden, 0.0, 1.0 if every.weights is None else every.weights)
        if not unit and z is not None:
            w = w * z
        # A zero that counts like any other needs no place in the list, nor does a cell without weight.
        keep = every.values != 0
        if w is not None:
            beside = np.ones(len(w)) if z is None else z
            keep = np.where(beside > 0, keep | (w != beside), w > 0)
        if not keep.all():
            every, hidden = every.select(keep), hidden[keep]
            w, z = (None if weights is None else weights[keep] for weights in (w, z))
        self.labels, self.mode_weights = labels, mode_weights
        self.entries = every.select(~hidden) if hidden.any() else every
        self.n_missing = int(np.count_nonzero(hidden))
        self.listing = every.listing(
            np.where(hidden, 0, every.values) if self.n_missing else every.values, w, z
        )
        if not self.total_weight() > 0:
            raise DataError("The data have no observed entry: every cell is missing or of weight 0.")

    def __repr__(self) -> str:
        """Shape, type and number of entries."""
        shape = " x ".join(map(str, self.shape))
        missing = f", {self.n_missing:,} missing" if self.n_missing else ""
        masked = ", weighted modes" if self.mode_weights else ""
        return f"SparseTensor({shape}, {self.values.dtype}, {len(self.values):,} listed{missing}{masked})"

    @property
    def n_cells(self) -> int:
        """Number of cells, listed or not."""
        return entries.cells_of(self.shape)

    @property
    def n_counted_cells(self) -> float:
        """Number of cells of weight 1, if modes are weighted by 0 and 1 only; else infinite."""
        if self.mode_weights is None:
            return float(self.n_cells)
        if not all(np.isin(u, (0.0, 1.0)).all() for u in self.mode_weights):
            return np.inf
        return float(np.prod([u.sum() for u in self.mode_weights]))

    def unlisted_weight(self) -> float:
        """Sum of the weights of all cells that are not listed: of the zeros, that is."""
        z = self.listing.z
        if self.mode_weights is None:
            return float(self.n_cells - len(self.listing.x))
        assert z is not None
        everything = float(np.prod([u.sum() for u in self.mode_weights]))
        left = everything - float(z.sum())
        return left if left > 1e-12 * everything else 0.0

    def total_weight(self) -> float:
        """Sum of the weights of all known cells."""
        w = self.listing.w
        return self.unlisted_weight() + (len(self.listing.x) if w is None else float(w.sum()))

    def blocks(self) -> Iterator[Block]:
        """All listed entries in runs of bounded size, then all zeros as one entry of their weight."""
        yield from super().blocks()
        if (weight := self.unlisted_weight()) > 0:
            times = self.n_cells - len(self.listing.x)
            yield Block(np.zeros(1), np.array([weight]), len(self.listing.x), times)

    def subscript(self, position: int) -> tuple[int, ...]:
        """The subscript of an entry that `blocks` numbered; of the zeros, the first."""
        if position < len(self.listing.x):
            return super().subscript(position)
        order, subs = self.listing.order, self.listing.subs
        cells = product(*(range(self.shape[n]) for n in order))
        listed_cells = (tuple(row) for row in subs.tolist())
        first = next(cell for cell in cells if cell != next(listed_cells, None))
        return tuple(first[order.index(n)] for n in range(self.ndim))

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1
    ) -> tuple[float, list[FloatArray]]:
        """Weighted loss over all cells and its gradient in every factor, exactly.

        Where the loss of a zero is a polynomial in m (`formula.zero`), from one pass over the listed entries; else
        from a pass over all cells as well, which costs as much as that over a dense tensor, but no memory for it.
        """
        if formula.zero is None:
            return self._all_cells(formula, factors, n_threads)
        value, grad, _ = listed.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, n_threads, zero=formula.zero
        )
        zeros, zero_grad = moments.polynomial(formula.zero, factors, self.mode_weights)
        for g, h in zip(grad, zero_grad, strict=True):
            g += h
        return value + zeros, grad

    def _all_cells(
        self, formula: Formula, factors: Factors, n_threads: int
    ) -> tuple[float, list[FloatArray]]:
        """The loss of zeros everywhere, corrected at the listed entries."""
        rows = self._counted_rows()
        inside = factors if rows is None else [a[i] for a, i in zip(factors, rows, strict=True)]
        layout = Layout.of_zeros(tuple(len(a) for a in inside), self.dtype)
        value, part = dense.loss_and_mttkrps(layout, formula, inside, self.dtype, n_threads)
        grad = part
        if rows is not None:
            grad = [np.zeros(a.shape, self.dtype) for a in factors]
            for g, i, h in zip(grad, rows, part, strict=True):
                g[i] = h
        zeros = replace(
            self.listing,
            x=np.zeros_like(self.listing.x),
            w=-np.ones(len(self.listing.x)) if self.listing.z is None else -self.listing.z,
        )
        for listing in (self.listing, zeros):
            more, addend, _ = listed.loss_and_mttkrps(listing, formula, factors, self.dtype, n_threads)
            value += more
            for g, h in zip(grad, addend, strict=True):
                g += h
        return value, grad

    def _counted_rows(self) -> list[Array] | None:
        """The positions of each mode whose cells count; None if all do."""
        if self.mode_weights is None:
            return None
        if not all(np.isin(u, (0.0, 1.0)).all() for u in self.mode_weights):
            raise ParameterError(
                "mode_weights other than 0 and 1 need a loss of zeros that is a polynomial in the model: "
                'gaussian, poisson, bernoulli-poisson, beta-divergence with beta 1 or 2; or solver="adam".'
            )
        return [np.flatnonzero(u) for u in self.mode_weights]


def _mode_weights(
    given: Sequence[ArrayLike | None] | None, shape: tuple[int, ...]
) -> list[FloatArray] | None:
    if given is None:
        return None
    if len(given) != len(shape):
        raise DataError(f"mode_weights has {len(given)} items: expected one per mode, {len(shape)}.")
    found = []
    for mode, (weights, size) in enumerate(zip(given, shape, strict=True)):
        vector = np.ones(size) if weights is None else np.asarray(weights)
        if vector.shape != (size,) or vector.dtype.kind not in "buif":
            raise DataError(
                f"mode_weights of mode {mode} has shape {vector.shape} and dtype {vector.dtype}: "
                f"expected {size} numbers."
            )
        vector = vector.astype(np.float64)
        if not (np.isfinite(vector).all() and vector.min() >= 0):
            raise DataError(f"mode_weights of mode {mode} must be finite and nonnegative.")
        found.append(vector)
    return found


def _product_of_rows(found: entries.SortedEntries, mode_weights: list[FloatArray]) -> FloatArray:
    total = np.ones(len(found.values))
    for column, mode in enumerate(found.order):
        total *= mode_weights[mode][found.subs[:, column]]
    return total
