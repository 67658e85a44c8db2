"""Random cells of a tensor, and random cells among those that a list leaves out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import lookup
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import of_positions
from gcp.tensors.base import SparseData
from gcp.tensors.entries import cells_of
from gcp.tensors.samplers.base import chosen, subs_dtype

_LEAST_RATE = 0.5
"""Cells are drawn until enough are wanted only where this share of them is."""

_SMALL = 1 << 17
"""Number of cells that may always be listed."""


class RandomCells:
    """Random cells of a tensor, with probabilities that are products of those of their positions.

    Each mode's position is drawn by itself, so that no cell needs a number of its own: there may be more than 2**63.

    Parameters
    ----------
    shape : tuple of int
    order : tuple of int
        The modes in the order of the columns that `draw` returns.
    mode_weights : sequence of ndarray, shapes (I_n,), optional
        Weights of the positions of each mode; a cell is as likely as its product of them. By default all alike.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        order: tuple[int, ...],
        mode_weights: Sequence[FloatArray] | None = None,
    ) -> None:
        self.dtype = subs_dtype(shape)
        if mode_weights is None:
            self.modes = [_Positions(shape[n], None) for n in order]
        else:
            self.modes = [_Positions(shape[n], mode_weights[n]) for n in order]

    @property
    def total(self) -> float:
        """Sum of the weights of all cells."""
        return float(np.prod([mode.total for mode in self.modes]))

    @property
    def count(self) -> int:
        """Number of cells of positive weight, exactly."""
        return cells_of([mode.count for mode in self.modes])

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw subscripts of n independent cells, shape (n, N)."""
        subs = np.empty((n, len(self.modes)), self.dtype)
        for column, mode in enumerate(self.modes):
            subs[:, column] = mode.draw(n, rng)
        return subs

    def every(self) -> Array:
        """Return subscripts of all cells of positive weight, in order, shape (cells, N)."""
        grids = np.meshgrid(*(mode.all() for mode in self.modes), indexing="ij")
        return np.stack([grid.ravel() for grid in grids], axis=1).astype(self.dtype)


class _Positions:
    """Random positions of one mode."""

    def __init__(self, size: int, weights: FloatArray | None) -> None:
        self.count, self.total = size, float(size)
        self.support: Array | None = None
        self.cumulative: FloatArray | None = None
        if weights is None:
            return
        self.total = float(weights.sum())
        if not weights.all():
            self.support = np.flatnonzero(weights)
            self.count, weights = len(self.support), weights[self.support]
        if (weights != weights[0]).any():  # else whole numbers do, exactly
            self.cumulative = np.cumsum(weights)

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """Draw n positions, shape (n,)."""
        if self.cumulative is None:
            found = rng.integers(self.count, size=n)
        else:
            at = rng.random(n) * self.cumulative[-1]
            found = np.searchsorted(self.cumulative[:-1], at, side="right")
        return found if self.support is None else self.support[found]

    def all(self) -> Array:
        """Return all positions of positive weight, shape (count,)."""
        return np.arange(self.count) if self.support is None else self.support


class Finder:
    """Tells where cells stand in a sorted list."""

    def __init__(self, listing: Listing) -> None:
        self.subs = listing.subs
        self.first = lookup.first_of_slices(self.subs, listing.shape[listing.order[0]])

    def positions(self, cells: Array) -> Array:
        """Return the positions (n,) of cells (n, N); -1 for those that are not listed."""
        return lookup.positions(self.subs, self.first, cells)


class Zeros:
    """Random cells among those that a sparse tensor does not list.

    Cells are drawn from all, and the listed ones thrown away. Where those would be most of the cells, the others are
    at most as many as the listed ones, and are put in a list: drawing neither runs dry nor takes forever.

    A position's chance is the root of its weight: a heavy one is drawn more often than others, yet does not crowd
    them out, and every cell has its weight over its chance.
    """

    def __init__(self, tensor: SparseData) -> None:
        listing, weights = tensor.listing, tensor.mode_weights
        self.order = listing.order
        self.weight = tensor.unlisted_weight()
        self.finder = Finder(listing)
        self.beside: Sequence[FloatArray] | None = None if weights is None else [np.sqrt(u) for u in weights]
        self.cells = RandomCells(tensor.shape, self.order, self.beside)
        self.count = self.cells.count - len(listing.x)
        self.chance = self.cells.total - self._products(listing.subs).sum()
        if weights is not None and self.chance < _LEAST_RATE * self.cells.total:
            # The listed cells have most of the chance, which need not mean that they are most of the cells.
            self.beside = weights
            self.cells = RandomCells(tensor.shape, self.order, [(u > 0).astype(np.float64) for u in weights])
            self.chance = float(self.count)
        self.rate = self.chance / self.cells.total
        self.list: Array | None = None
        if self.weight and (self.rate < _LEAST_RATE or self.cells.count <= _SMALL):
            every = self.cells.every()
            self.list, self.beside = every[self.finder.positions(every) < 0], weights

    def draw(self, n: int, rng: np.random.Generator) -> tuple[Array, FloatArray]:
        """Draw subscripts (n, N) of cells, or of all if these are listed and at most n, and their weights (n,)."""
        if self.list is not None:
            taken, times = chosen(n, len(self.list), rng)
            subs = self.list[taken]
            return subs, times * self._products(subs)
        subs = accepted(
            n, lambda k: self.cells.draw(k, rng), lambda s: self.finder.positions(s) < 0, self.rate
        )
        return subs, self.chance / n * self._products(subs)

    def _products(self, subs: Array) -> FloatArray:
        """Return the products (n,) of what the positions of cells (n, N) have beside their chances."""
        found = of_positions(self.beside, subs, self.order)
        return np.ones(len(subs)) if found is None else found


def accepted(n: int, draw: Callable[[int], Array], is_wanted: Callable[[Array], Array], rate: float) -> Array:
    """Draw random cells until n are wanted, shape (n, N), of which about a share `rate` is."""
    found: list[Array] = []
    left = n
    while left > 0:
        subs = draw(int(1.1 * left / rate) + 8)
        found.append(subs[is_wanted(subs)][:left])
        left -= len(found[-1])
    return np.concatenate(found) if found else draw(0)
