"""A quadratic model of an objective, from the curvature of its entries summed over the slices of every mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcp._typing import Array, Factors, FloatArray

_LEAST_ROW = 1e-6
"""Least curvature of a slice, relative to the mean over the slices of its mode."""


@dataclass(frozen=True)
class GaussNewton:
    """The Gauss-Newton matrix of a CP model whose entries have curvatures that are an outer product.

    Its products need a few small matrices and no pass over the data. For vectors V_l (I_l, R), mode k's part is
    d_k * (V_k within_k + A_k (sum over l of across_kl * (d_l A_l)' V_l)') + ridge V_k, rows scaled by d_k.

    Attributes
    ----------
    factors : list of ndarray, shapes (I_n, R)
        A, of the modes that count.
    rows : list of ndarray, shapes (I_n,)
        d, whose outer product stands for the entries' curvatures.
    within : ndarray, shape (N, R, R)
        Elementwise products of all modes' weighted Gram matrices A_l' d_l A_l but mode k's.
    across : ndarray, shape (N, N, R, R)
        But modes k's and l's; 0 for k = l.
    ridge : float
        Added to the diagonal.
    variable_of : tuple of int
        The variable of each mode: tied modes share one.
    """

    factors: list[FloatArray]
    rows: list[FloatArray]
    within: FloatArray
    across: FloatArray
    ridge: float
    variable_of: tuple[int, ...]

    @classmethod
    def of(cls, factors: Factors, marginals: Sequence[Array], ridge: float = 0.0) -> GaussNewton:
        """From the factors, and the entries' curvatures summed over each slice of each mode."""
        modes = range(len(factors))
        own = [np.asarray(a, dtype=float) for a in factors]
        rows = _outer_product(marginals)
        grams = [a.T @ (d[:, None] * a) for a, d in zip(own, rows, strict=True)]
        ones = np.ones_like(grams[0])

        def product(*without: int) -> FloatArray:
            kept = [grams[n] for n in modes if n not in without]
            return np.prod(kept, axis=0) if kept else ones

        within = np.array([product(k) for k in modes])
        across = np.array([[product(k, l) if k != l else 0.0 * ones for l in modes] for k in modes])
        return cls(own, rows, within, across, ridge, tuple(modes))

    def restricted(self, groups: Sequence[tuple[int, ...]]) -> GaussNewton:
        """The matrix in one variable per group of tied modes; modes in no group are fixed."""
        modes = [n for group in groups for n in group]
        return replace(
            self,
            factors=[self.factors[n] for n in modes],
            rows=[self.rows[n] for n in modes],
            within=self.within[modes],
            across=self.across[np.ix_(modes, modes)],
            variable_of=tuple(v for v, group in enumerate(groups) for _ in group),
        )


def _outer_product(marginals: Sequence[Array]) -> list[FloatArray]:
    """One vector per mode; their outer product has the given sums, or is 1 where the sums are unusable."""
    total = float(np.mean([np.sum(m) for m in marginals]))
    if not (np.isfinite(total) and total > 0):
        return [np.ones(len(m)) for m in marginals]
    mean = total / float(np.prod([float(len(m)) for m in marginals]))
    level = mean ** (1 / len(marginals))
    return [level * np.maximum(m * (len(m) / total), _LEAST_ROW) for m in marginals]
