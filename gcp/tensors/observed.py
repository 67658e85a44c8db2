"""Tensors of which some entries are known, and nothing is known of the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, check_labels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed import listed_pass
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.formula import Formula
from gcp.tensors import dense_form, entries
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listed import ListedTensor
from gcp.tensors.weights import checked_columns


class ObservedTensor(ListedTensor):
    """A tensor given by the list of its known entries; nothing is known of the others (ratings, test answers).

    For counts and links, where an entry that no one listed is 0, use `SparseTensor`.

    Parameters
    ----------
    subs : array_like of int, shape (entries, N)
        0-based subscripts of the known entries, in any order.
    values : array_like, shape (entries,)
        Their real, integer or boolean values; a NaN is not known either, so its entry is left out.
    shape : sequence of int, optional
        Sizes of the modes; their product may exceed 2**63. Default: the largest subscripts.
    entry_weights : array_like, shape (entries,), optional
        Nonnegative reals; 2 counts an entry twice, 0 leaves it out.
    labels : ModeLabels, optional
        Names and coordinates of the modes.
    aggregate : {"error", "sum", "mean", "first", "last", "min", "max"}
        What to do with several entries for one cell.

    Attributes
    ----------
    subs, values, entry_weights : ndarray, shapes (entries, N), (entries,), (entries,)
        Of the entries, sorted.

    Raises
    ------
    DataError
        Subscripts that are negative, too large, not whole, or repeated; values that are not numbers; no entry at all.

    Notes
    -----
    Keeps a sorted copy: 4 bytes for each subscript (8 in modes of more than 2**32 positions), and 4 for each value
    that float32 holds exactly, else 8.
    """

    kind = "observed"
    zeros: None = None

    def __init__(
        self,
        subs: ArrayLike,
        values: ArrayLike,
        shape: Sequence[int] | None = None,
        entry_weights: ArrayLike | None = None,
        labels: ModeLabels | None = None,
        aggregate: str = "error",
    ) -> None:
        check_labels(labels)
        given = entries.checked(subs, values, shape, entry_weights)
        self._set(entries.sorted_entries(given, aggregate), labels)

    @classmethod
    def of(cls, found: entries.SortedEntries, labels: ModeLabels | None = None) -> ObservedTensor:
        """Make the tensor of entries that are sorted already."""
        tensor = cls.__new__(cls)
        tensor._set(found, labels)
        return tensor

    @classmethod
    def of_rows(
        cls, subs: Array, columns: EntryColumns, shape: Sequence[int], labels: ModeLabels | None = None
    ) -> ObservedTensor:
        """Make the tensor of checked entries in any order: subscripts (entries, N) and columns (entries,)."""
        given = entries.Entries(subs, columns, tuple(shape), "entry {}".format)
        return cls.of(replace(entries.sorted_entries(given), is_reordered=False), labels)

    @classmethod
    def of_dense(cls, tensor: DenseTensor, where: Array) -> ObservedTensor:
        """Make the tensor of some entries of a dense one: those where `where`, of its shape, is true."""
        columns = tensor.columns.at(where)
        if columns.weight is not None:
            columns = columns._replace(weight=columns.weight.astype(np.float64))
        return cls.of_rows(np.argwhere(where), columns, tensor.shape, tensor.labels)

    def _set(self, found: entries.SortedEntries, labels: ModeLabels | None) -> None:
        if labels is not None:
            labels.check(found.shape)
        keep = ~entries.is_nan(found.values)
        if found.weights is not None:
            keep &= found.weights > 0
        found = found if keep.all() else found.select(keep)
        if len(found.values) == 0:
            raise DataError("The data have no observed entry: the list is empty, or all NaN or of weight 0.")
        self.entries, self.labels = found, labels
        self.listing = found.listing(found.values, found.weights, None)

    def with_values(self, values: Array) -> ObservedTensor:
        """Return a tensor of other data (entries,) at the same entries, which carry what they do; NaN is left out."""
        return ObservedTensor.of(self.entries.having(x=values), self.labels)

    def with_weights(self, weights: Array) -> ObservedTensor:
        """Return the tensor under other entry weights (entries,); entries of weight 0 are left out."""
        return ObservedTensor.of(self.entries.having(weight=weights), self.labels)

    def with_columns(
        self,
        *,
        scale: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        group: ArrayLike | None = None,
    ) -> ObservedTensor:
        """Return the tensor with scales, offsets and groups of the entries (see `EntryColumns`).

        Each is an array (entries,), in the order of `subs`, or one number for all. None leaves what there was.
        """
        found = checked_columns({"scale": scale, "offset": offset, "group": group}, self.values.shape)
        return ObservedTensor.of(self.entries.having(**found), self.labels)

    def remapped(
        self,
        places: Sequence[tuple[int, Any]],
        moved: Callable[[Array], tuple[Array, Array]],
        labels: ModeLabels | None = None,
    ) -> ObservedTensor:
        """Return a part of the tensor, or the same in another order of subs (n, N); see `ListedTensor`."""
        return ObservedTensor.of(self._moved_entries(places, moved), labels)

    @property
    def n_known(self) -> int:
        """Number of entries."""
        return len(self.values)

    def __repr__(self) -> str:
        """Return shape, type and number of entries."""
        shape = " x ".join(map(str, self.shape))
        return f"ObservedTensor({shape}, {self.values.dtype}, {self.n_known:,} known)"

    def to_dense(self) -> DenseTensor:
        """Return the tensor with every cell stored, the unknown ones missing (NaN among floats).

        Raises
        ------
        DataError
            For more than 2**31 cells.
        """
        found = self.entries
        cells = dense_form.positions(self.shape, found.order, found.subs)
        weight = np.ones(len(cells), bool) if found.weights is None else found.weights

        def spread(column: Array) -> Array:
            whole = np.zeros(self.shape, column.dtype)
            whole.reshape(-1)[cells] = column
            return whole

        columns = found.columns._replace(weight=weight).map(spread)
        is_complete = found.weights is None and columns.weight is not None and columns.weight.all()
        return dense_form.tensor(columns._replace(weight=None) if is_complete else columns, self.labels)

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted loss and its gradient in factors (I_n, R) and effects (I_n,), from one pass."""
        return listed_pass.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, n_threads, effects=effects
        )
