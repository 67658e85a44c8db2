"""A quadratic model of an objective, from the curvature of its entries summed over the slices of every mode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gcp._typing import Array, Factors, FloatArray

_LEAST_ROW = 1e-6
"""Least curvature of a slice, relative to the mean over the slices of its mode."""


class GaussNewton:
    """The Gauss-Newton matrix of a CP model whose entries have curvatures that are an outer product.

    With these curvatures its products take a few small matrix products, and no pass over the data. The diagonal
    block of a factor is the Kronecker product of its rows' curvatures and an R x R matrix.

    Parameters
    ----------
    factors : sequence of ndarray, shapes (I_n, R)
    marginals : sequence of ndarray, shapes (I_n,)
        Curvatures of the entries, summed over each slice of each mode.
    ridge : float
        Added to the diagonal.
    """

    def __init__(self, factors: Factors, marginals: Sequence[Array], ridge: float = 0.0) -> None:
        self._factors = [np.asarray(a, dtype=float) for a in factors]
        self._rows = _outer_product(marginals)
        self._weighted = [d * a for a, d in zip(self._factors, self._rows, strict=True)]
        self._grams = [a.T @ b for a, b in zip(self._factors, self._weighted, strict=True)]
        self._ridge = ridge

    def _gram(self, *without: int) -> FloatArray:
        """Elementwise product of the weighted Gram matrices of all modes but some."""
        product = np.ones_like(self._grams[0])
        for mode, gram in enumerate(self._grams):
            if mode not in without:
                product *= gram
        return product

    @cached_property
    def blocks(self) -> list[tuple[FloatArray, FloatArray]]:
        """Of each factor the curvatures of its rows, (I_n, 1), and the R x R matrix that they multiply."""
        identity = np.eye(len(self._grams[0]))
        return [
            (d, gram + self._ridge / float(d.mean()) * identity)
            for d, gram in zip(self._rows, self._within, strict=True)
        ]

    @cached_property
    def _within(self) -> list[FloatArray]:
        return [self._gram(mode) for mode in range(len(self._grams))]

    @cached_property
    def _across(self) -> dict[tuple[int, int], FloatArray]:
        modes = range(len(self._grams))
        return {(k, l): self._gram(k, l) for k in modes for l in modes if k != l}

    def product(self, vectors: Sequence[Array]) -> list[FloatArray]:
        """The matrix times a vector, both given factor by factor; leading axes hold several vectors."""
        inner = [a.T @ v for a, v in zip(self._weighted, vectors, strict=True)]
        result = []
        for k, v in enumerate(vectors):
            part = v @ self._within[k]
            others = [self._across[k, l] * inner[l] for l in range(len(inner)) if l != k]
            if others:
                part = part + self._factors[k] @ np.swapaxes(sum(others[1:], others[0]), -1, -2)
            part = self._rows[k] * part
            result.append(part + self._ridge * v if self._ridge else part)
        return result


def _outer_product(marginals: Sequence[Array]) -> list[FloatArray]:
    """One column per mode; their outer product has the given sums, or is 1 where the sums are unusable."""
    total = float(np.mean([np.sum(m) for m in marginals]))
    if not (np.isfinite(total) and total > 0):
        return [np.ones((len(m), 1)) for m in marginals]
    mean = total / float(np.prod([float(len(m)) for m in marginals]))
    level = mean ** (1 / len(marginals))
    return [level * np.maximum(m * (len(m) / total), _LEAST_ROW)[:, None] for m in marginals]
