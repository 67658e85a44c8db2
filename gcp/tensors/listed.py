"""The base of tensors given by a list of entries, whatever the other entries mean."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed import row_steps
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import CellColumns, EntryColumns
from gcp.losses.formula import Formula
from gcp.tensors.base import Block, Cells, InOnePiece
from gcp.tensors.dense import arithmetic
from gcp.tensors.entries import Entries, SortedEntries, sorted_entries

_BLOCK = 1 << 16

_DENSE_ONLY = (
    'The solvers "plbfgs" and "als" are for dense tensors: found a tensor of listed entries. '
    'Use solver="auto" or "lbfgsb".'
)


class ListedTensor(InOnePiece):
    """A tensor with listed entries, sorted; base of `ObservedTensor` and `SparseTensor`."""

    entries: SortedEntries
    listing: Listing
    labels: ModeLabels | None
    kind: str
    zeros: CellColumns | None = None
    """The columns of all cells, if those that are not listed are zeros; None if nothing is known of these."""
    _state: ClassVar[tuple[str, ...]] = ("entries", "listing", "labels")
    """The attributes that make a tensor what it is."""

    def __sizeof__(self) -> int:
        """Return bytes, of the lists too: what moves tensors between processes should know."""
        listing = self.listing
        of_zeros = 0 if listing.z is None else listing.z.nbytes
        lists = listing.subs.nbytes + listing.columns.n_bytes + of_zeros
        return object.__sizeof__(self) + self.values.nbytes + lists

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what was made from the entries since, whoever made it."""
        return {name: getattr(self, name) for name in self._state}

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the modes."""
        return self.entries.shape

    @property
    def ndim(self) -> int:
        """Number of modes."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 for float32 and float16 data, else float64."""
        return arithmetic(self.values.dtype)

    def in_double(self) -> Self:
        """Return the same data for arithmetic in float64."""
        made = self._copy()
        made.entries = self.entries.having(x=self.values.astype(np.float64))
        return made

    def _copy(self) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update(self.__getstate__())
        return made

    @property
    def columns(self) -> EntryColumns:
        """The columns of the listed entries."""
        return self.entries.columns

    @property
    def is_affine(self) -> bool:
        """True if entries have scales or offsets."""
        return self.columns.is_affine

    def remapped(
        self,
        places: Sequence[tuple[int, Any]],
        moved: Callable[[Array], tuple[Array, Array]],
        labels: ModeLabels | None = None,
    ) -> Self:
        """Return a part of the tensor, or the same with its modes and positions in another order.

        Parameters
        ----------
        places : sequence of (int, index)
            A mode for each of the new ones, and which of its positions are taken.
        moved : callable
            ``moved(subs)`` of cells (n, N): the subscripts of those that stay, and which do, as booleans (n,).
        labels : ModeLabels, optional
            Of what is made.
        """
        raise NotImplementedError

    def slab(self, mode: int, first: int, end: int) -> Self:
        """Return the part of some positions of a mode, without labels."""

        def moved(subs: Array) -> tuple[Array, Array]:
            inside = (subs[:, mode] >= first) & (subs[:, mode] < end)
            found = subs[inside]
            found[:, mode] -= np.asarray(first, subs.dtype)
            return found, inside

        return self.remapped(
            [(n, slice(first, end) if n == mode else slice(None)) for n in range(self.ndim)], moved
        )

    def slice_costs(self, mode: int) -> FloatArray:
        """Return the work (I_mode,) that an evaluation has with each slice of a mode, relative to the others."""
        return np.bincount(self.subs[:, mode], minlength=self.shape[mode]).astype(float)

    def _moved_entries(
        self, places: Sequence[tuple[int, Any]], moved: Callable[[Array], tuple[Array, Array]]
    ) -> SortedEntries:
        """Return entries whose subscripts (n, N) are moved, and which keep what they carry."""
        subs, keep = moved(self.subs)
        sizes = [(range(self.shape[mode]), index) for mode, index in places]
        shape = tuple(len(every[i] if isinstance(i, slice) else i) for every, i in sizes)
        found = sorted_entries(Entries(subs, self.columns.at(keep), shape, "entry {}".format))
        return replace(found, is_reordered=self.entries.is_reordered)

    @property
    def values(self) -> Array:
        """Values of the listed entries, shape (entries,)."""
        return self.entries.values

    @property
    def entry_weights(self) -> FloatArray | None:
        """Weights of the listed entries, shape (entries,); None means all 1."""
        return self.entries.weights

    @cached_property
    def subs(self) -> Array:
        """Subscripts of the listed entries, shape (entries, N)."""
        return self.entries.subs[:, np.argsort(self.entries.order)]

    def blocks(self) -> Iterator[Block]:
        """Yield all listed entries once, in runs of bounded size."""
        x, w = self.listing.x, self.listing.w
        for first in range(0, len(x), _BLOCK):
            part = slice(first, first + _BLOCK)
            weights = None if w is None else w[part]
            numbers = x[part].astype(np.float64)
            if weights is not None:
                numbers[weights == 0] = 1.0  # inside every built-in loss's domain
            yield Block(numbers, weights, first)

    def subscript(self, position: int) -> tuple[int, ...]:
        """Return the subscript of an entry that `blocks` numbered."""
        row = self.listing.subs[position].tolist()
        return tuple(row[self.listing.order.index(n)] for n in range(self.ndim))

    def known_cells(self, most: int) -> Iterator[Cells]:
        """Yield all listed entries, up to so many at a time."""
        return cells_in_runs(self.subs, self.columns, most)

    def known_positions(self) -> list[Array]:
        """Return for each mode a mask (I_n,) of positions with a listed entry."""
        return self.listed_positions()

    def listed_positions(self) -> list[Array]:
        """Return for each mode a mask (I_n,) of positions with a listed entry."""
        found = [np.zeros(size, bool) for size in self.shape]
        for column, mode in enumerate(self.listing.order):
            found[mode][self.listing.subs[:, column]] = True
        return found

    def contract(self, side: tuple[int, ...], factors: Factors, out: FloatArray, n_threads: int) -> None:
        """Raise `ParameterError`, whatever the factors (I_n, R); see `sides`."""
        raise ParameterError(_DENSE_ONLY)

    def loss_mttkrps_and_marginals(
        self, formula: Formula, factors: Factors, n_threads: int, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Raise `ParameterError`, whatever the factors (I_n, R): listed data have none."""
        raise ParameterError(_DENSE_ONLY)

    @property
    def has_groups(self) -> bool:
        """True: `groups` can be had."""
        return True

    def groups(self, mode: int) -> list[tuple[int, row_steps.Group]]:
        """Return all listed entries in the order of a mode, with the first slice's position; made at first use."""
        return [(0, self._grouped[mode])]

    @cached_property
    def _grouped(self) -> list[row_steps.Group]:
        return [row_steps.grouped(self.listing, mode) for mode in range(self.ndim)]


def cells_in_runs(subs: Array, columns: EntryColumns, most: int) -> Iterator[Cells]:
    """Yield cells with subscripts (n, N) and columns (n,), up to so many at a time."""
    for first in range(0, len(subs), most):
        own = columns.at(run := slice(first, first + most))
        weights = np.ones(len(own.x)) if own.weight is None else own.weight
        yield Cells(subs[run].astype(np.int64), own.x, weights, own)
