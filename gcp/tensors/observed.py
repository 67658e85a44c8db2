"""Tensors of which some entries are known, and nothing is known of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, check_labels
from gcp.base.types import Factors, FloatArray
from gcp.kernels.listed import listed_pass
from gcp.losses.formula import Formula
from gcp.tensors import dense_form, entries
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listed import ListedTensor


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
    aggregate : {"error", "sum", "mean"}
        What to do with several entries for one cell.

    Attributes
    ----------
    subs, values, entry_weights : ndarray
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
        """From entries that are sorted already."""
        tensor = cls.__new__(cls)
        tensor._set(found, labels)
        return tensor

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

    @property
    def n_known(self) -> int:
        """Number of entries."""
        return len(self.values)

    def __repr__(self) -> str:
        """Shape, type and number of entries."""
        shape = " x ".join(map(str, self.shape))
        return f"ObservedTensor({shape}, {self.values.dtype}, {self.n_known:,} known)"

    def to_dense(self) -> DenseTensor:
        """Every cell stored, with the unknown ones missing (NaN among floats).

        Raises
        ------
        DataError
            For more than 2**31 cells.
        """
        listing = self.listing
        cells = dense_form.positions(self.shape, listing.order, listing.subs)
        values = np.zeros(self.shape, self.values.dtype)
        values.reshape(-1)[cells] = self.values
        weights = np.zeros(self.shape, bool if listing.w is None else np.float64)
        weights.reshape(-1)[cells] = True if listing.w is None else listing.w
        return dense_form.tensor(
            values, None if weights.all() and listing.w is None else weights, self.labels
        )

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Weighted loss and its gradient in every factor and main effect, from one pass over the known entries."""
        return listed_pass.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, n_threads, effects=effects
        )
