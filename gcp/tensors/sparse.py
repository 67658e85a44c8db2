"""Tensors of which the nonzero entries are listed, and all others are zero."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.checks import array
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, check_labels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed import listed_pass, lookup, ordering, power_sums
from gcp.kernels.shared.columns import CellColumns, EntryColumns, of_positions
from gcp.losses.formula import Formula
from gcp.tensors import dense_form, entries
from gcp.tensors.base import Block, Cells, SparseData
from gcp.tensors.dense import DenseTensor, every_cell
from gcp.tensors.every_cell import EveryCell, added
from gcp.tensors.listed import ListedTensor, cells_in_runs
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.weights import checked_mode_weights, checked_vectors


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
    aggregate : {"error", "sum", "mean", "first", "last", "min", "max"}
        What to do with several entries for one cell.

    Attributes
    ----------
    subs, values, entry_weights : ndarray, shapes (entries, N), (entries,), (entries,)
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

    kind = "sparse"
    zeros: CellColumns
    n_missing: int
    _hidden: Array
    _state: ClassVar[tuple[str, ...]] = ("entries", "listing", "labels", "zeros", "n_missing", "_hidden")

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
        check_labels(labels)
        if missing is not None and (cells := array("missing", missing, DataError)).size:
            zeros = np.zeros(len(cells) if cells.ndim else 0)
            unknown = entries.checked(cells, zeros, given.shape, None, "missing cell {}".format)
        found = entries.sorted_entries(given, aggregate)
        self._set(
            found, unknown, CellColumns(checked_mode_weights(mode_weights, given.shape, labels)), labels
        )

    @classmethod
    def of(cls, found: entries.SortedEntries, labels: ModeLabels | None = None) -> SparseTensor:
        """Make the tensor of entries that are sorted already."""
        tensor = cls.__new__(cls)
        tensor._set(found, None, CellColumns(), labels)
        return tensor

    def with_values(self, values: Array) -> SparseTensor:
        """Return a tensor of other data (entries,) at the listed entries; NaN makes a cell a missing one.

        All cells carry what they do.
        """
        return self._again(self.entries.having(x=values), self.missing, self.zeros, self.labels)

    def with_weights(self, weights: Array) -> SparseTensor:
        """Return the tensor under other weights of the listed entries (entries,), beside those of its positions."""
        return self.weighted(weights, self.mode_weights)

    def weighted(
        self, entry_weights: FloatArray | None, mode_weights: Sequence[FloatArray] | None
    ) -> SparseTensor:
        """Return the tensor with other weights of listed entries (entries,) and of each mode's positions (I_n,)."""
        modes = checked_mode_weights(mode_weights, self.shape, None)
        found = self.entries.having(weight=entry_weights)
        return self._again(found, self.missing, self.zeros._replace(weight=modes), self.labels)

    def with_columns(
        self,
        *,
        scale: Sequence[ArrayLike | None] | None = None,
        offset: Sequence[ArrayLike | None] | None = None,
        exposure: Sequence[ArrayLike | None] | None = None,
    ) -> SparseTensor:
        """Return the tensor with scales, offsets and exposures of the cells, listed or not.

        Each is a list of vectors (I_n,), None for ones: what a cell has is the product of the numbers of its
        positions. None leaves what there was.
        """
        given = {"scale": scale, "offset": offset, "exposure": exposure}
        found = {name: checked_vectors(name, v, self.shape) for name, v in given.items() if v is not None}
        return self.with_cells(self.zeros._replace(**found))

    def with_cells(self, cells: CellColumns) -> SparseTensor:
        """Return the tensor with other columns of all cells."""
        return self._again(self.entries, self.missing, cells, self.labels)

    def remapped(
        self,
        places: Sequence[tuple[int, Any]],
        moved: Callable[[Array], tuple[Array, Array]],
        labels: ModeLabels | None = None,
    ) -> SparseTensor:
        """Return a part of the tensor, or the same in another order of subs (n, N); see `ListedTensor`."""
        hidden, _ = moved(self.missing)
        return self._again(self._moved_entries(places, moved), hidden, self.zeros.at(places), labels)

    def _again(
        self, found: entries.SortedEntries, missing: Array, cells: CellColumns, labels: ModeLabels | None
    ) -> SparseTensor:
        """Return the tensor of other entries, missing cells (n, N), columns of cells and labels."""
        unknown = None
        if len(missing):
            values = EntryColumns(np.zeros(len(missing)))
            unknown = entries.Entries(missing, values, found.shape, "missing cell {}".format)
        tensor = type(self).__new__(type(self))
        tensor._set(found, unknown, cells, labels)
        return tensor

    def _set(
        self,
        found: entries.SortedEntries,
        unknown: entries.Entries | None,
        cells: CellColumns,
        labels: ModeLabels | None,
    ) -> None:
        if labels is not None:
            labels.check(found.shape)
        every = found if unknown is None else entries.with_missing(found, unknown)
        hidden = entries.is_nan(every.values)
        every = replace(every, columns=cells.entries(every.values, every.weights, every.subs, every.order))
        z = of_positions(cells.weight, every.subs, every.order)
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
        self.labels, self.zeros = labels, cells
        visible = every.select(~hidden) if hidden.any() else every
        self.entries = visible.having(x=visible.values.astype(found.values.dtype, copy=False))
        self.n_missing = int(np.count_nonzero(hidden))
        self._hidden = hidden
        self.listing = every.listing(
            np.where(hidden, 0, every.values) if self.n_missing else every.values, w, z
        )
        if not self.total_weight() > 0:
            raise DataError("The data have no observed entry: every cell is missing or of weight 0.")

    def without(self, cells: Array, times: float = 1.0) -> SparseTensor:
        """Return the tensor with further cells missing, subscripts of shape (cells, N), listed or not.

        The listed entries that stay weigh so many times as much beside zeros.
        """
        subs = np.concatenate([self.missing.astype(np.int64), np.asarray(cells, dtype=np.int64)])
        found = self.entries
        if times != 1:
            own = np.ones(len(found.values)) if found.weights is None else found.weights
            found = found.having(weight=times * own)
        return self._again(found, subs, self.zeros, self.labels)

    def __repr__(self) -> str:
        """Return shape, type and number of entries."""
        shape = " x ".join(map(str, self.shape))
        missing = f", {self.n_missing:,} missing" if self.n_missing else ""
        masked = ", weighted modes" if self.mode_weights else ""
        return f"SparseTensor({shape}, {self.values.dtype}, {len(self.values):,} listed{missing}{masked})"

    @property
    def sparse(self) -> SparseData:
        """The tensor itself: cells that are not listed are zeros."""
        return self

    @property
    def mode_weights(self) -> Sequence[FloatArray] | None:
        """Weights of the positions of each mode, shapes (I_n,); None means all 1."""
        return self.zeros.weight

    @property
    def is_affine(self) -> bool:
        """True if cells have scales or offsets."""
        return self.zeros.is_affine

    @property
    def missing(self) -> Array:
        """Subscripts of the cells of which nothing is known, shape (cells, N), sorted."""
        listing = self.listing
        return listing.subs[self._hidden][:, np.argsort(listing.order)]

    def to_dense(self) -> DenseTensor:
        """Return the tensor with every cell stored, weighted as here; missing cells are NaN among floats.

        Raises
        ------
        DataError
            For more than 2**31 cells.
        """
        listing = self.listing
        cells = dense_form.positions(self.shape, listing.order, listing.subs)
        values = np.zeros(self.shape, self.values.dtype)
        values.reshape(-1)[cells[~self._hidden]] = self.values
        weights, scales, offsets, exposures = self.zeros.everywhere(self.shape)
        if listing.w is not None:
            weights = np.ones(self.shape) if weights is None else weights.copy()
            weights.reshape(-1)[cells] = listing.w
        columns = EntryColumns(values, weights, scales, offsets, exposure=exposures)
        return dense_form.tensor(columns, self.labels)

    def nonzeros(self) -> ObservedTensor:
        """Return the nonzero entries alone, with their weights: nothing is known of any other."""
        found, w = self.entries, self.listing.w
        weights = None if w is None else w[~self._hidden]
        return ObservedTensor.of(found.having(weight=weights).select(found.values != 0), self.labels)

    def weights_at(self, cells: entries.SortedEntries) -> FloatArray:
        """Return weights (n,) of some cells, listed or not; 0 where nothing is known."""
        of_modes = of_positions(self.zeros.weight, cells.subs, cells.order)
        weights = np.ones(len(cells.subs)) if of_modes is None else of_modes
        if self.listing.w is not None:
            place = ordering.places(self.listing.subs, cells.subs)
            weights[place >= 0] = self.listing.w[place[place >= 0]]
        return weights

    def known_weights(self) -> FloatArray:
        """Return weights of the listed entries, those of their positions included, shape (entries,)."""
        return self.weights_at(self.entries)

    def known_cells(self, most: int) -> Iterator[Cells]:
        """Yield all zeros, then the listed entries, missing cells with weight 0, up to so many at a time."""
        listing, order = self.listing, list(self.listing.order)
        first = lookup.first_of_slices(listing.subs, self.shape[order[0]])
        for subs, _ in every_cell(self.shape, most):
            place = lookup.positions(listing.subs, first, subs[:, order].astype(listing.subs.dtype))
            unlisted = subs[place < 0]
            w = np.ones(len(unlisted))
            for n, u in enumerate(self.mode_weights or ()):
                w *= u[unlisted[:, n]]
            own = self.zeros.entries(np.zeros(len(w)), w, unlisted, range(self.ndim))
            yield Cells(unlisted, own.x, w, own)
        yield from cells_in_runs(listing.subs[:, np.argsort(order)], listing.columns, most)

    @property
    def n_cells(self) -> int:
        """Number of cells, listed or not."""
        return entries.cells_of(self.shape)

    def slice_costs(self, mode: int) -> FloatArray:
        """Return costs (I_mode,) as of listed entries; a slice of zeros costs little, yet not nothing."""
        listed = super().slice_costs(mode)
        return listed + 0.01 * (listed.mean() + 1.0)

    @property
    def n_counted_cells(self) -> float:  # type: ignore[override]
        """Number of cells of weight 1; infinite where other weights, or scales that are no products, part them."""
        weights = self.mode_weights or ()
        if not self.zeros.are_products or not all(np.isin(u, (0.0, 1.0)).all() for u in weights):
            return np.inf
        return float(np.prod([u.sum() for u in weights])) if weights else float(self.n_cells)

    @property
    def n_known(self) -> int:
        """Number of cells with a weight, listed or not."""
        inside = self.shape
        if self.mode_weights is not None:
            inside = tuple(int(np.count_nonzero(u)) for u in self.mode_weights)
        w = self.listing.w
        return entries.cells_of(inside) - (0 if w is None else int(np.count_nonzero(w == 0)))

    def unlisted_weight(self) -> float:
        """Return the sum of the weights of all cells that are not listed: of the zeros, that is."""
        z = self.listing.z
        if self.mode_weights is None:
            return float(self.n_cells - len(self.listing.x))
        assert z is not None
        everything = float(np.prod([u.sum() for u in self.mode_weights]))
        left = everything - float(z.sum())
        return left if left > 1e-12 * everything else 0.0

    def total_weight(self) -> float:
        """Return the sum of the weights of all known cells."""
        w = self.listing.w
        return self.unlisted_weight() + (len(self.listing.x) if w is None else float(w.sum()))

    def known_positions(self) -> list[Array]:
        """Return for each mode a mask (I_n,) of positions with a cell of positive weight.

        These are slices of which not all is missing.
        """
        inside = [np.ones(size, bool) for size in self.shape]
        if self.mode_weights is not None:
            inside = [u > 0 for u in self.mode_weights]
        if self.listing.w is None:
            return inside
        counts = [int(np.count_nonzero(mask)) for mask in inside]
        without = self.listing.subs[self.listing.w == 0]
        for column, mode in enumerate(self.listing.order):
            cells = entries.cells_of(tuple(counts[:mode] + counts[mode + 1 :]))
            gone = np.bincount(without[:, column].astype(np.int64), minlength=self.shape[mode])
            inside[mode] &= gone < cells
        return inside

    def blocks(self) -> Iterator[Block]:
        """Yield all listed entries in runs of bounded size, then all zeros as one entry of their weight."""
        yield from super().blocks()
        if (weight := self.unlisted_weight()) > 0:
            w = self.listing.w
            times = self.n_known - (len(self.listing.x) if w is None else int(np.count_nonzero(w)))
            yield Block(np.zeros(1), np.array([weight]), len(self.listing.x), times)

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript of an entry that `blocks` numbered; of the zeros, the first."""
        if position < len(self.listing.x):
            return super().subscript(position)
        # In a full list, entry k would be cell k; at the first that is not, a cell is missing from the list.
        order, subs = self.listing.order, self.listing.subs
        counted = None if self.mode_weights is None else [np.flatnonzero(u) for u in self.mode_weights]
        sizes = [self.shape[n] if counted is None else len(counted[n]) for n in order]
        rest, differs = np.arange(len(subs) + 1), np.zeros(len(subs), bool)
        cells = {}
        for k in reversed(range(self.ndim)):
            rest, digit = np.divmod(rest, sizes[k])
            cells[order[k]] = digit if counted is None else counted[order[k]][digit]
            differs |= cells[order[k]][:-1] != subs[:, k].astype(np.int64)
        first = int(np.argmax(differs)) if differs.any() else len(subs)
        return tuple(int(cells[n][first]) for n in range(self.ndim))

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted loss over all cells and its gradient in factors (I_n, R) and effects (I_n,), exactly.

        Where the loss of a zero is a polynomial in m (`formula.zero`), from one pass over the listed entries; else
        from a pass over all cells as well, which costs as much as that over a dense tensor, but no memory for it (a
        byte for each cell where some are missing or light).
        """
        if formula.zero is None:
            return self._every_cell.loss_and_mttkrps(formula, factors, self.dtype, n_threads, effects)
        found = listed_pass.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, n_threads, effects=effects, zero=formula.zero
        )
        return added(found, power_sums.polynomial(formula.zero, factors, effects, self.zeros))

    @cached_property
    def _every_cell(self) -> EveryCell:
        return EveryCell.of(self.listing, self.zeros, self.dtype)
