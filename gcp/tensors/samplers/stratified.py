"""Listed entries and zeros apart, so many of each."""

from __future__ import annotations

import math

import numpy as np

from gcp.tensors.base import SparseData
from gcp.tensors.samplers.base import Batch, SampledEntries, chosen, default_samples
from gcp.tensors.samplers.random_cells import Zeros

_VALUE_SAMPLES = 100_000


class Stratified:
    """Draws half of a batch from the listed entries of a `SparseTensor`, and half from its other cells, the zeros.

    If half of a batch is more than all listed entries, these are taken once each, and the rest are zeros.
    """

    def __init__(self, tensor: SparseData) -> None:
        self.tensor, self.zeros = tensor, Zeros(tensor)
        listing = tensor.listing
        self.known = None if listing.w is None or listing.w.all() else np.flatnonzero(listing.w)
        self.count = len(listing.x) if self.known is None else len(self.known)
        self.samples, self.value_samples = defaults(len(listing.x))

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of n cells, at least one of each kind."""
        listing = self.tensor.listing
        n_listed, n_zeros = split(n, self.count, self.zeros.weight > 0)
        parts = []
        if n_listed:
            taken, times = chosen(n_listed, self.count, rng)
            if self.known is not None:
                taken = self.known[taken]
            parts.append(SampledEntries.of(listing, taken, times))
        if n_zeros:
            subs, w = self.zeros.draw(n_zeros, rng)
            x = np.zeros(len(subs), listing.x.dtype)
            parts.append(SampledEntries(subs, self.tensor.zeros.entries(x, w, subs, listing.order)))
        return Batch.of(listing.shape, listing.order, self.tensor.dtype, parts)


def split(n: int, n_listed: int, has_zeros: bool) -> tuple[int, int]:
    """Return how many listed entries and how many zeros make a batch of n, or of 2 if there must be one of each."""
    if not has_zeros:
        return min(n, n_listed), 0
    first = min(max(n // 2, 1), n_listed)
    return first, max(n - first, 1)


def defaults(n_listed: int) -> tuple[int, int]:
    """Return how many entries make a gradient, and the estimate of the objective, of so many listed ones."""
    return 2 * default_samples(n_listed), 2 * max(_VALUE_SAMPLES, math.ceil(n_listed / 100))
