"""The base of samplers: they give mini-batches, which are lists of weighted entries like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed import listed_pass, radix
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import EntryColumns, joined
from gcp.losses.formula import Formula


class SampledEntries(NamedTuple):
    """Some entries of a batch: subscripts (n, N) in the batch's order of modes, and columns (n,).

    A weight is the entry's own times how many entries it stands for; it may be negative.
    """

    subs: Array
    columns: EntryColumns

    @classmethod
    def of(cls, listing: Listing, at: Array, times: float) -> SampledEntries:
        """Make the columns of listed entries at positions (n,), each of which stands for so many."""
        columns = listing.columns.at(at)
        weight = np.full(len(at), times) if columns.weight is None else times * columns.weight
        return cls(listing.subs[at], columns._replace(weight=weight))


@dataclass(frozen=True, eq=False)
class Batch:
    """Weighted entries, some perhaps more than once, whose sum of losses has the whole tensor's as its expectation.

    Attributes
    ----------
    listing : Listing
    dtype : dtype
        Of the arithmetic.
    is_sorted : bool
        Whether the entries are sorted by their subscripts.
    """

    listing: Listing
    dtype: np.dtype[Any]
    is_sorted: bool = False

    @classmethod
    def of(
        cls,
        shape: tuple[int, ...],
        order: tuple[int, ...],
        dtype: np.dtype[Any],
        parts: Sequence[SampledEntries],
    ) -> Batch:
        """Make the batch of entries in one or more parts."""
        columns = joined([part.columns for part in parts])
        return cls(Listing(shape, order, np.concatenate([part.subs for part in parts]), columns), dtype)

    def sorted(self) -> Batch:
        """Return the same entries, sorted: for a batch that is evaluated often, and by several threads."""
        return replace(self, listing=sorted_listing(self.listing), is_sorted=True)

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted loss of the entries and its gradient in factors (I_n, R) and effects (I_n,).

        One thread works unless the entries are sorted.
        """
        useful = n_threads if self.is_sorted else 1
        return listed_pass.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, useful, effects=effects
        )


def sorted_listing(listing: Listing) -> Listing:
    """Return the same entries, sorted by their subscripts."""
    sizes = [listing.shape[n] for n in listing.order]
    subs, permutation = radix.sorted_rows(listing.subs, sizes, range(len(sizes)), 1)
    if permutation is None:
        return listing
    z = None if listing.z is None else listing.z[permutation]
    return replace(listing, subs=subs, columns=listing.columns.at(permutation), z=z)


class Sampler(Protocol):
    """Draws mini-batches of the tensor that it was made for.

    Whatever the tensor's weights and missing cells, the expectation of a batch's weighted sum is the tensor's, for
    every function of the entries that is finite at all of them.
    """

    @property
    def samples(self) -> int:
        """Entries of a batch for a gradient, by default."""

    @property
    def value_samples(self) -> int:
        """Entries of the sample that estimates the objective, by default."""

    def draw(self, n: int, rng: np.random.Generator) -> Batch:
        """Draw a batch of about n entries; all that there are, once each, if they are fewer."""


def subs_dtype(shape: Sequence[int]) -> np.dtype[Any]:
    """Return the type of subscripts that listings have."""
    return np.dtype(np.uint32 if max(shape) <= 2**32 else np.uint64)


def default_samples(size: int) -> int:
    """Return the number of entries of a batch that is to represent so many: 3 in 1000, 1000 at least."""
    return max(1000, math.ceil(3 * size / 1000))


def chosen(n: int, size: int, rng: np.random.Generator) -> tuple[Array, float]:
    """Draw n positions (n,) of so many with replacement, and how many each stands for; if n suffices, all once."""
    if n >= size:
        return np.arange(size), 1.0
    return rng.integers(size, size=n), size / n
