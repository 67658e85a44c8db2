"""Listed entries, and zeros from all cells: those that are none are accounted for."""

from __future__ import annotations

import numpy as np

from gcp.tensors.samplers.base import Batch, SampledEntries, chosen
from gcp.tensors.samplers.random_cells import RandomCells
from gcp.tensors.samplers.stratified import defaults, split
from gcp.tensors.sparse import SparseTensor


class SemiStratified:
    """Draws half of a batch from the listed entries of a `SparseTensor`, and half from all its cells, taken as zeros.

    No cell needs to be looked up: each listed entry of the batch also stands there as a zero with the opposite
    weight, which makes up on average for the listed cells among the others. So a batch has a half more entries than
    asked for.
    """

    def __init__(self, tensor: SparseTensor) -> None:
        self.tensor = tensor
        self.cells = RandomCells(tensor.shape, tensor.listing.order, tensor.mode_weights)
        self.has_zeros = tensor.unlisted_weight() > 0
        self.samples, self.value_samples = defaults(len(tensor.listing.x))

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """A batch of n cells, at least one of each kind."""
        listing = self.tensor.listing
        n_listed, n_cells = split(n, len(listing.x), self.has_zeros)
        ones = np.ones(n_listed)
        parts = []
        if n_listed:
            taken, times = chosen(n_listed, len(listing.x), rng)
            subs, x = listing.subs[taken], listing.x[taken]
            parts.append(SampledEntries(subs, x, times * (ones if listing.w is None else listing.w[taken])))
            if n_cells:
                as_zero = ones if listing.z is None else listing.z[taken]
                parts.append(SampledEntries(subs, np.zeros_like(x), -times * as_zero))
        if n_cells:
            w = np.full(n_cells, self.cells.total / n_cells)
            parts.append(SampledEntries(self.cells.draw(n_cells, rng), np.zeros(n_cells, listing.x.dtype), w))
        return Batch.of(listing.shape, listing.order, self.tensor.dtype, parts)
