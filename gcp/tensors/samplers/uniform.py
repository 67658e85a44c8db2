"""Every entry alike."""

from __future__ import annotations

import math

import numpy as np

from gcp.base.types import Array
from gcp.tensors.base import SparseData
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.samplers.base import Batch, SampledEntries, chosen, default_samples, subs_dtype
from gcp.tensors.samplers.random_cells import Finder, RandomCells, accepted

_VALUE_SAMPLES = 1_000_000

_LEAST_RATE = 0.125
"""Known cells of a dense tensor are found by chance where they are at least this share, else they are listed."""


class UniformKnown:
    """Draws from the entries of an `ObservedTensor`."""

    def __init__(self, tensor: ObservedTensor) -> None:
        self.tensor = tensor
        self.samples, self.value_samples = _defaults(len(tensor.listing.x))

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of n entries."""
        listing = self.tensor.listing
        taken, times = chosen(n, len(listing.x), rng)
        entries = SampledEntries.of(listing, taken, times)
        return Batch.of(listing.shape, listing.order, self.tensor.dtype, [entries])


class UniformDense:
    """Draws from the cells of a `DenseTensor` that are not missing."""

    def __init__(self, tensor: DenseTensor) -> None:
        self.tensor, self.weights = tensor, tensor.entry_weights
        self.order = tuple(sorted(range(tensor.ndim), key=lambda n: (-tensor.shape[n], n)))
        self.cells = RandomCells(tensor.shape, self.order)
        cells = tensor.values.size
        self.count = cells if self.weights is None else int(np.count_nonzero(self.weights))
        self.rate = self.count / cells
        self.list = self._known() if self.rate < _LEAST_RATE else None
        self.samples, self.value_samples = _defaults(self.count)

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of n cells."""
        times = 1.0 if n >= self.count else self.count / n
        if n >= self.count or self.list is not None:
            known = self._known() if self.list is None else self.list
            subs = self._subs(known[chosen(n, self.count, rng)[0]])
        elif self.weights is None:
            subs = self.cells.draw(n, rng)
        else:
            subs = accepted(n, lambda k: self.cells.draw(k, rng), self._is_known, self.rate)
        cells = self._cells(subs)
        columns = self.tensor.columns.at(cells)
        x = columns.x.astype(np.float32 if columns.x.dtype == np.float32 else np.float64, copy=False)
        w = np.full(len(x), times) if columns.weight is None else np.float64(times) * columns.weight
        entries = SampledEntries(subs, columns._replace(x=x, weight=w))
        return Batch.of(self.tensor.shape, self.order, self.tensor.dtype, [entries])

    def _known(self) -> Array:
        """Return the numbers (n,) of the cells that are not missing, counted in C order."""
        if self.weights is None:
            return np.arange(self.count)
        return np.flatnonzero(self.weights)

    def _subs(self, numbers: Array) -> Array:
        """Return subscripts (n, N) of numbers (n,), in the order of the modes."""
        columns = np.unravel_index(numbers, self.tensor.shape)
        return np.stack([columns[n] for n in self.order], axis=1).astype(subs_dtype(self.tensor.shape))

    def _cells(self, subs: Array) -> tuple[Array, ...]:
        """Return subscripts as an index of arrays of the tensor's shape."""
        return tuple(subs[:, self.order.index(n)] for n in range(self.tensor.ndim))

    def _is_known(self, subs: Array) -> Array:
        """Return a mask (n,) of cells (n, N) that are not missing."""
        assert self.weights is not None
        return self.weights[self._cells(subs)] != 0


class UniformCells:
    """Draws from all cells of a `SparseTensor`, listed or not, as likely as their positions' weights say."""

    def __init__(self, tensor: SparseData) -> None:
        self.tensor = tensor
        self.cells = RandomCells(tensor.shape, tensor.listing.order, tensor.mode_weights)
        self.finder = Finder(tensor.listing)
        self.samples, self.value_samples = _defaults(2 * len(tensor.listing.x))

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of n cells."""
        listing = self.tensor.listing
        subs = self.cells.draw(n, rng)
        at = self.finder.positions(subs)
        is_listed = at >= 0
        at = at[is_listed]
        x, w = np.zeros(n, listing.x.dtype), np.ones(n)
        x[is_listed] = listing.x[at]
        if listing.w is not None:  # beside the weights of the positions, which the probabilities have already
            w[is_listed] = listing.w[at] if listing.z is None else listing.w[at] / listing.z[at]
        w *= self.cells.total / n
        entries = SampledEntries(subs, self.tensor.zeros.entries(x, w, subs, listing.order))
        return Batch.of(listing.shape, listing.order, self.tensor.dtype, [entries])


def _defaults(size: int) -> tuple[int, int]:
    return default_samples(size), max(_VALUE_SAMPLES, math.ceil(size / 100))
