"""The loss over all cells of a sparse tensor, one by one, where that of zeros has no closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.dense import dense_pass
from gcp.kernels.dense.layout import Layout
from gcp.kernels.listed import listed_pass, power_sums
from gcp.kernels.listed.listed_pass import Listing
from gcp.kernels.shared.columns import CellColumns
from gcp.losses.formula import Formula

_LIGHT = 1e-3
"""Cells of less than this part of a zero's weight are light."""

Evaluated = tuple[float, list[FloatArray], list[FloatArray]]
"""A value, and its gradients in factors and main effects."""


@dataclass(frozen=True, eq=False)
class EveryCell:
    """The cells of a sparse tensor as zeros, corrected at the listed ones.

    Light cells (missing ones first of all) are left out of all: nothing keeps their model small, and their loss as a
    zero, added and subtracted, could be larger than all others together.

    Attributes
    ----------
    rows : list of ndarray of int, shapes (counted positions,)
        The positions of each mode that count.
    layout : Layout
        All their cells, as zeros.
    listings : tuple of Listing
        The listed entries, and what takes zeros away where one is listed.
    cells : CellColumns
        What cells carry.
    """

    rows: list[Array]
    layout: Layout
    listings: tuple[Listing, Listing]
    cells: CellColumns

    @classmethod
    def of(cls, listing: Listing, cells: CellColumns, dtype: np.dtype[Any]) -> EveryCell:
        """Make the cells of the tensor that lists these.

        Raises
        ------
        ParameterError
            Weights of positions other than 0 and 1.
        """
        rows = _counted_rows(listing.shape, cells.weight)
        layout = Layout.of_zeros(tuple(len(i) for i in rows), dtype)
        z = np.ones(len(listing.x)) if listing.z is None else listing.z
        heavy = np.ones(len(z), bool) if listing.w is None else listing.w >= _LIGHT * z
        if not heavy.all():
            light = listing.subs[~heavy]
            columns = [np.searchsorted(rows[n], light[:, listing.order.index(n)]) for n in layout.order]
            counted = np.ones([len(rows[n]) for n in layout.order], bool)
            counted[tuple(columns)] = False
            own = layout.columns._replace(weight=counted.reshape(layout.matrix.shape))
            layout = replace(layout, columns=own)
        as_zeros = listing.columns._replace(x=np.zeros_like(listing.x), weight=-z)
        return cls(rows, layout, (listing, replace(listing, columns=as_zeros).at(heavy)), cells)

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, dtype: np.dtype[Any], n_threads: int, effects: Factors
    ) -> Evaluated:
        """Return the weighted loss over all cells and its gradient in factors (I_n, R) and effects (I_n,)."""
        inside, shifts = (
            [a[i] for a, i in zip(arrays, self.rows, strict=False)] for arrays in (factors, effects)
        )
        value, *parts = self._zeros(formula, inside, dtype, n_threads, shifts)
        whole: list[list[FloatArray]] = []
        for arrays, part in zip((factors, effects), parts, strict=True):
            whole.append([np.zeros(np.shape(a), dtype) for a in arrays])
            for g, i, h in zip(whole[-1], self.rows, part, strict=False):
                g[i] = h
        found = value, whole[0], whole[1]
        for listing in self.listings:
            more = listed_pass.loss_and_mttkrps(listing, formula, factors, dtype, n_threads, effects=effects)
            found = added(found, more)
        return found

    def _zeros(
        self, formula: Formula, factors: Factors, dtype: np.dtype[Any], n_threads: int, effects: Factors
    ) -> Evaluated:
        """Return what `loss_and_mttkrps` does of all cells as zeros, shapes (counted positions, R).

        With scales and offsets, their model has factors of its own.
        """
        if not self.cells.is_affine:
            return dense_pass.loss_and_mttkrps(self.layout, formula, factors, dtype, n_threads, effects)
        cells = self.cells.at(list(enumerate(self.rows)))
        wide = power_sums.augmented(factors, effects, cells)
        value, grad, _ = dense_pass.loss_and_mttkrps(self.layout, formula, wide, dtype, n_threads)
        return value, *power_sums.narrowed(grad, factors, effects, cells)


def added(found: Evaluated, more: Evaluated) -> Evaluated:
    """Return values and gradients of two parts of an objective together; the first one's arrays are reused."""
    for arrays, addends in zip(found[1:], more[1:], strict=True):
        for g, h in zip(arrays, addends, strict=True):
            g += h
    return found[0] + more[0], found[1], found[2]


def _counted_rows(shape: tuple[int, ...], mode_weights: Sequence[FloatArray] | None) -> list[Array]:
    """Return the positions (k,) of each mode whose cells count."""
    if mode_weights is None:
        return [np.arange(size) for size in shape]
    if not all(np.isin(u, (0.0, 1.0)).all() for u in mode_weights):
        raise ParameterError(
            "mode_weights other than 0 and 1 need a loss of zeros that is a polynomial in the model: "
            'gaussian, poisson, bernoulli-poisson, beta-divergence with beta 1 or 2; or solver="adam".'
        )
    return [np.flatnonzero(u) for u in mode_weights]
