"""Samples of all listed entries and random zeros, with a polynomial that takes most of the zeros' variance away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.kernels.listed import listed_pass, power_sums
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import CellColumns, joined
from gcp.losses.formula import Formula
from gcp.tensors.base import SparseData
from gcp.tensors.samplers.base import sorted_listing
from gcp.tensors.samplers.random_cells import Zeros

_PROBES = 20_000
"""Cells at which the polynomial is fitted to the loss of a zero."""

_LEAST_SHARE = 0.1
"""Share of the probes whose second derivatives may lie below that of the polynomial."""

_SPREAD = 0.5
"""Share of the greatest second derivative; where that quantile is less, the loss is no parabola there."""


class Controlled:
    """Draws lists whose controlled sum has that of a `SparseTensor` as its expectation.

    With a polynomial q(m) = a m + b m**2, whose sum over all cells has a closed form, the sum of the loss is

        sum of q over all cells + sum of f(x, m) - q(m) over listed ones + sum of f(0, m) - q(m) over the zeros,

    and only the last is estimated, from random zeros. Where q is close to f(0, m) that has little variance; for every
    q the expectation is right (a control variate).

    Parameters
    ----------
    tensor : SparseTensor
    is_nonnegative : bool
        Whether the model is.
    """

    def __init__(self, tensor: SparseData, is_nonnegative: bool) -> None:
        self.tensor, self.zeros, self.is_nonnegative = tensor, Zeros(tensor), is_nonnegative

    @property
    def n_listed(self) -> int:
        """How many entries are listed, missing cells among them."""
        return len(self.tensor.listing.x)

    @property
    def n_zeros(self) -> int:
        """The number of zeros that there are to draw from."""
        return self.zeros.count

    def draw(self, n: int, rng: np.random.Generator) -> Listing:
        """Draw all listed entries, then n zeros or all there are; not sorted."""
        known, ones = self.tensor.listing, np.ones(len(self.tensor.listing.x))
        subs, weights = self.zeros.draw(n, rng) if self.zeros.weight > 0 else (known.subs[:0], ones[:0])
        zeros = np.zeros(len(subs), known.x.dtype)
        drawn = self.tensor.zeros.entries(zeros, weights, subs, known.order)
        return Listing(
            known.shape,
            known.order,
            np.concatenate([known.subs, subs]),
            joined([known.columns, drawn]),
            np.concatenate([ones if known.z is None else known.z, weights]),
        )

    def sample(self, n: int, slope: float, rng: np.random.Generator) -> ControlledSample:
        """Return a draw to be evaluated often, controlled by slope * m."""
        return ControlledSample(
            sorted_listing(self.draw(n, rng)), slope, self.tensor.zeros, self.tensor.dtype
        )

    def polynomial(
        self, formula: Formula, factors: Factors, effects: Factors, rng: np.random.Generator
    ) -> tuple[float, float]:
        """Return coefficients (a, b) close to the loss of a zero at its arguments s m + o in random cells.

        Factors have the shapes (I_n, R), effects (I_n,). 2 b is a low quantile of the second derivatives, so that the
        rest stays convex if the loss is, or 0 where they differ much; a the mean of the rest's derivatives, those of
        large model values counting most. Models of any sign take none without b: a m has no lower bound, and a sample
        may miss the cells where the loss has one. Nor has a sum of squares beside scales in an array a closed form.
        """
        if self.zeros.weight <= 0:
            return 0.0, 0.0
        known = self.tensor.listing
        subs, x = self.zeros.cells.draw(_PROBES, rng), np.zeros(_PROBES)
        columns = self.tensor.zeros.entries(x, None, subs, known.order)
        cells = Listing(known.shape, known.order, subs, columns)
        m = columns.argument(listed_pass.model_values(cells, factors, effects, np.dtype(float)))
        with np.errstate(all="ignore"):
            slopes, bends = (g(np.zeros_like(m), m, *formula.params) for g in (formula.df, formula.d2f))
            bend = float(np.quantile(np.broadcast_to(bends, m.shape), _LEAST_SHARE))
            is_even = bend > _SPREAD * np.max(bends) and self.tensor.zeros.are_products
            bend = bend if is_even else 0.0
            a = float(np.sum(np.abs(m) * (slopes - bend * m)) / np.sum(np.abs(m)))
        is_safe = self.is_nonnegative or bend > 0
        return (a, 0.5 * bend) if is_safe and np.isfinite(a) and np.isfinite(bend) else (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class ControlledSample:
    """An estimate of a sparse tensor's objective, from listed entries and some of the zeros, sorted.

    Attributes
    ----------
    listing : Listing
    slope : float
        Of the polynomial that controls it.
    cells : CellColumns
        What all cells carry.
    dtype : dtype
        Of the arithmetic.
    """

    listing: Listing
    slope: float
    cells: CellColumns
    dtype: np.dtype[Any]

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the estimate and its gradient in every factor (I_n, R) and main effect (I_n,)."""
        zero = self.slope, 0.0
        value, *grads = listed_pass.loss_and_mttkrps(
            self.listing, formula, factors, self.dtype, n_threads, effects=effects, zero=zero
        )
        more, *addends = power_sums.polynomial(zero, factors, effects, self.cells)
        for arrays, others in zip(grads, addends, strict=True):
            for g, h in zip(arrays, others, strict=True):
                g += h
        return value + more, grads[0], grads[1]
