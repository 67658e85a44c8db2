"""Runs of consecutive positions of a mode that are held out, a run of its own of each fibre or group of fibres."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gcp.analysis import coordinate_order
from gcp.analysis.split import Split, known_mask
from gcp.base.alignment import Alignment
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.tensors.base import WholeData
from gcp.tensors.entries import cells_of
from gcp.tensors.kinds import as_listed, stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.samplers.random_cells import Finder
from gcp.tensors.sparse import SparseTensor

_MOST_CELLS = 2**26
"""Cells, at most, of a sparse tensor, whose zeros in a run are made missing one by one."""


@dataclass(frozen=True)
class _Runs:
    """Random runs along one mode.

    Attributes
    ----------
    labels : ModeLabels
    shape : tuple of int
    mode : int
    by : collection of int
        The modes whose positions have runs of their own.
    length, gap : int
        Positions of a run, and on either side of it.
    rng : numpy.random.Generator
    """

    labels: ModeLabels
    shape: tuple[int, ...]
    mode: int
    by: Collection[int]
    length: int
    gap: int
    rng: np.random.Generator

    @cached_property
    def order(self) -> Alignment:
        """The modes by name and the positions by label, in which numbers are drawn."""
        return coordinate_order.by_label(self.labels, self.shape)

    def of(self, columns: list[Array], *, is_grid: bool) -> tuple[Array, Array]:
        """Return which cells are held out and which are in a gap.

        Parameters
        ----------
        columns : list of ndarray of int
            Positions in each mode, shapes (n,); of a grid of all cells, shapes that broadcast to (I_0, ..., I_{N-1}).
        is_grid : bool
        """
        size = self.shape[self.mode]
        places = coordinate_order.ranks(self.order, self.shape)
        groups = [place[columns[n]] for n, place in places.items() if n in self.by]
        if is_grid:
            sizes = tuple(self.shape[n] for n in places if n in self.by)
            first = self._starts(math.prod(sizes)).reshape(sizes)[tuple(groups)]
        else:
            unique, group = np.unique(np.column_stack(groups), axis=0, return_inverse=True)
            first = self._starts(len(unique))[group.reshape(-1)]
        order = coordinate_order.along(self.labels, self.mode, size)
        at = np.argsort(order).astype(first.dtype)[columns[self.mode]]
        held = (at - first) % size < self.length
        end = np.where(first + self.length > size, first + self.length - size, first + self.length)
        near = ((at >= end) & (at < end + self.gap)) | ((at >= first - self.gap) & (at < first))
        return held, near & ~held

    def _starts(self, n_groups: int) -> Array:
        """Return first places (n,) of runs, evenly spread, so that every place is in about as many runs.

        One that reaches the end goes on at the beginning: each place is in a run with the same probability.
        """
        size = self.shape[self.mode]
        spread = self.rng.random() + self.rng.permutation(n_groups) / n_groups
        dtype = np.int32 if size < 2**30 else np.int64  # all cells of a grid may have one
        return np.floor(size * (spread % 1.0)).astype(dtype) % size


def blocks(
    tensor: WholeData, fraction: float, mode: int, gap: int, by: Collection[int], rng: np.random.Generator
) -> Split:
    """Return a split that holds out runs of positions of a mode, other ones of each group; see `hold_out`.

    Raises
    ------
    ParameterError
        Runs that leave nothing of a position, and sparse tensors of too many cells.
    """
    labels, shape = tensor.labels or ModeLabels.default(tensor.shape), tensor.shape
    length = min(max(round(fraction * shape[mode]), 1), shape[mode] - 1)
    runs, times = _Runs(labels, shape, mode, by, length, gap, rng), shape[mode] / max(length, 1)
    if length < 1:
        raise ParameterError(
            f'scheme="blocks": {labels.names[mode]!r} has one position, and no runs of them.'
        )
    whole: Any = stored(tensor) if tensor.subs is None else as_listed(tensor)
    if whole.zeros is not None:
        return _of_sparse(whole, runs, times)
    if whole.subs is not None:
        held, gaps = runs.of(list(whole.subs.T.astype(np.int64)), is_grid=False)
        columns = list(whole.subs.T)
        held, gaps = _with_something_left(
            np.ones(len(whole.values), bool),
            (held, gaps),
            runs,
            lambda mask, n: np.bincount(columns[n], mask, shape[n]) > 0,
            lambda lost, n: lost[columns[n]],
        )
        train: Any = ObservedTensor.of(whole.entries.select(~(held | gaps)), tensor.labels)
        test = ObservedTensor.of(whole.entries.select(held), tensor.labels)
    else:
        known = known_mask(whole)
        held, gaps = _of_grid(known, runs)
        w = known if tensor.entry_weights is None else tensor.entry_weights
        train = tensor.with_weights(np.where(held | gaps, np.zeros((), w.dtype), w))
        test = ObservedTensor.of_dense(whole, held)
    own = np.ones(len(test.values)) if test.entry_weights is None else test.entry_weights
    return Split(train, test.with_weights(own * times), None, "blocks", None, int(np.count_nonzero(gaps)))


def _of_grid(known: Array, runs: _Runs) -> tuple[Array, Array]:
    """Return known cells that are held out and in gaps, booleans (I_0, ..., I_{N-1})."""
    ndim = known.ndim
    held, gaps = runs.of(list(np.ogrid[tuple(map(slice, known.shape))]), is_grid=True)
    return _with_something_left(
        known,
        (held & known, gaps & known),
        runs,
        lambda mask, n: np.asarray(mask.any(axis=tuple(k for k in range(ndim) if k != n))),
        lambda lost, n: lost.reshape([-1 if k == n else 1 for k in range(ndim)]),
    )


def _with_something_left(
    known: Array,
    found: tuple[Array, Array],
    runs: _Runs,
    any_at: Callable[[Array, int], Array],
    cells_at: Callable[[Array, int], Array],
) -> tuple[Array, Array]:
    """Return held-out cells and gaps without those at positions of which nothing else would be known.

    Parameters
    ----------
    known : ndarray of bool
        Shaped like the cells.
    found : (ndarray of bool, ndarray of bool)
        Held-out cells and gaps.
    runs : _Runs
    any_at : callable
        ``any_at(mask, n)``: which positions (I_n,) of a mode have a cell of a mask.
    cells_at : callable
        ``cells_at(positions, n)``: which cells are at positions, booleans (I_n,), of a mode.

    Raises
    ------
    ParameterError
        A position of the runs' mode of which nothing else would be known.
    """
    held, gaps = found
    for n in (*(n for n in range(len(runs.shape)) if n != runs.mode), runs.mode):
        lost = any_at(known, n) & ~any_at(known & ~held & ~gaps, n)
        if not lost.any():
            continue
        if n == runs.mode:
            name = runs.labels.names[n]
            label = runs.labels.values(n, runs.shape[n])[np.flatnonzero(lost)[0]]
            raise ParameterError(
                f"hold_out: runs of {runs.length} positions of {name!r} and gaps of {runs.gap} leave nothing of "
                f"{str(label)!r}: hold out less, or take a smaller gap."
            )
        stays = ~cells_at(lost, n)
        held, gaps = held & stays, gaps & stays
    return held, gaps


def _of_sparse(tensor: SparseTensor, runs: _Runs, times: float) -> Split:
    """Return the split of a tensor whose zeros are not listed: all cells of a run are made missing, zeros too."""
    if cells_of(tensor.shape) > _MOST_CELLS:
        raise ParameterError(
            f'scheme="blocks" makes each zero of a run missing, of sparse tensors of at most {_MOST_CELLS:,} cells: '
            f'found {cells_of(tensor.shape):,}. Use scheme="rows", scheme="future" or scheme="cells".'
        )
    known = np.ones(tensor.shape, bool)
    for n, u in enumerate(tensor.mode_weights or ()):
        known &= (u > 0).reshape([-1 if k == n else 1 for k in range(tensor.ndim)])
    known[tuple(tensor.missing.T.astype(np.int64))] = False
    if tensor.entry_weights is not None:
        known[tuple(tensor.subs[tensor.entry_weights == 0].T.astype(np.int64))] = False
    held, gaps = _of_grid(known, runs)
    listing, cells = tensor.listing, np.argwhere(held)
    place = Finder(listing).positions(cells[:, list(listing.order)].astype(listing.subs.dtype))
    is_listed, there = place >= 0, np.maximum(place, 0)
    w = np.ones(len(cells))
    for n, u in enumerate(tensor.mode_weights or ()):
        w *= u[cells[:, n]]
    x = np.zeros(len(cells), tensor.values.dtype)
    if len(listing.x):
        x[is_listed] = listing.x[there[is_listed]]
        if listing.w is not None:
            w[is_listed] = listing.w[there[is_listed]]
    columns = tensor.zeros.entries(x, w * times, cells, range(tensor.ndim))
    test = ObservedTensor.of_rows(cells, columns, tensor.shape, tensor.labels)
    train = as_listed(tensor.without(np.argwhere(held | gaps)))
    return Split(train, test, None, "blocks", None, int(np.count_nonzero(gaps)))
