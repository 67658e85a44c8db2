"""Listed entries, and zeros from all cells: those that are none are accounted for."""

from __future__ import annotations

import numpy as np

from gcp.tensors.base import SparseData
from gcp.tensors.samplers.base import Batch, SampledEntries, chosen
from gcp.tensors.samplers.random_cells import RandomCells
from gcp.tensors.samplers.stratified import defaults, split


class SemiStratified:
    """Draws half of a batch from the listed entries of a `SparseTensor`, and half from all its cells, taken as zeros.

    No cell needs to be looked up: each listed entry of the batch also stands there as a zero with the opposite
    weight, which makes up on average for the listed cells among the others. So a batch has a half more entries than
    asked for.
    """

    def __init__(self, tensor: SparseData) -> None:
        self.tensor = tensor
        self.cells = RandomCells(tensor.shape, tensor.listing.order, tensor.mode_weights)
        self.has_zeros = tensor.unlisted_weight() > 0
        self.samples, self.value_samples = defaults(len(tensor.listing.x))

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of n cells, at least one of each kind."""
        listing = self.tensor.listing
        n_listed, n_cells = split(n, len(listing.x), self.has_zeros)
        parts = []
        if n_listed:
            taken, times = chosen(n_listed, len(listing.x), rng)
            listed = SampledEntries.of(listing, taken, times)
            parts.append(listed)
            if n_cells:
                less = -times * (np.ones(len(taken)) if listing.z is None else listing.z[taken])
                as_zeros = listed.columns._replace(x=np.zeros_like(listed.columns.x), weight=less)
                parts.append(SampledEntries(listed.subs, as_zeros))
        if n_cells:
            w = np.full(n_cells, self.cells.total / n_cells)
            subs, x = self.cells.draw(n_cells, rng), np.zeros(n_cells, listing.x.dtype)
            parts.append(SampledEntries(subs, self.tensor.zeros.entries(x, w, subs, listing.order)))
        return Batch.of(listing.shape, listing.order, self.tensor.dtype, parts)
