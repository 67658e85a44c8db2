"""Cells that a fit does not see, to judge it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError, ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray, RandomSource
from gcp.tensors.base import WholeData
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import as_listed, stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.samplers.random_cells import Zeros
from gcp.tensors.sparse import SparseTensor


@dataclass(frozen=True, eq=False, repr=False)
class Split(TableResult):
    """A tensor in two parts.

    Attributes
    ----------
    train : DenseTensor, ObservedTensor, SparseTensor or a kind of the user's
        Of the kind of the data; held-out cells are missing. Of a `SparseTensor`, the listed entries that stay have
        larger entry weights, in place of those that were held out.
    test : ObservedTensor
        The held-out cells. Their weights make its sums estimates of those over all known cells of the data.
    """

    train: DenseTensor | ObservedTensor | SparseTensor
    test: ObservedTensor

    def _table(self) -> Table:
        parts = (self.train, self.test)
        columns = {
            "kind": np.array([type(part).__name__ for part in parts]),
            "shape": np.array([" x ".join(map(str, part.shape)) for part in parts]),
            "known_cells": np.array([stored(part).n_known for part in parts]),
        }
        return Table(columns, {"part": np.array(["train", "test"])})


def hold_out(
    data: Any,
    fraction: float,
    random_state: RandomSource | None = None,
    *,
    mask: Any = None,
    entry_weights: Any = None,
    keep: float = 0.0,
    **carried: Unpack[Carried],
) -> Split:
    """Hold out a random part of the known cells.

    Parameters
    ----------
    data : as for `fit_gcp`
        Of dense data and an `ObservedTensor`, known cells are held out one by one, all with the same probability. Of
        a `SparseTensor`, that share of the listed entries (one at least), and as many zeros (at most the same share
        of them): zeros are so many that few of them say what all would. So the training part loses a larger share of
        its listed entries than of its zeros; those that stay are weighted by 1 / (1 - fraction), times the share of
        the zeros that stay, and what is fitted expects as much as the data have.
    fraction : float
        Between 0 and 1.
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
    mask, entry_weights
        As for `fit_gcp`; the parts have them.
    keep : float
        Least share of the known cells of every position of every mode that is not held out; from 0 to less than 1.
        Not for a `SparseTensor`, of which nearly all zeros stay.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    Split

    Raises
    ------
    ParameterError
        A fraction out of range, or that leaves nothing in one of the parts.
    """
    fraction = checks.real("The held-out fraction", fraction, above=0, below=1)
    keep, rng = checks.real("keep", keep, least=0, below=1), checks.generator(random_state, "hold_out")
    tensor = in_one_piece(data, mask, entry_weights, **carried)
    try:
        if tensor.subs is None:
            return _of_dense(tensor, fraction, keep, rng)
        listed = as_listed(tensor)
        if listed.zeros is not None:
            return _of_sparse(listed, fraction, rng)
        return _of_observed(listed, fraction, keep, rng)
    except DataError as error:
        raise ParameterError(f"The held-out fraction {fraction:g} leaves one part empty: {error}") from None


def _of_dense(tensor: WholeData, fraction: float, keep: float, rng: np.random.Generator) -> Split:
    weights = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights
    held = (rng.random(tensor.shape) < fraction) & (weights != 0)
    if keep:
        known = weights != 0
        held[known] = _spared(np.argwhere(known), held[known], tensor.shape, keep, rng)
    train: Any = tensor.with_weights(np.where(held, np.zeros((), weights.dtype), weights))
    test = ObservedTensor.of_dense(stored(tensor).to_dense(), held)
    own = np.ones(len(test.values)) if test.entry_weights is None else test.entry_weights
    return Split(train, ObservedTensor.of(test.entries.having(weight=own / fraction), tensor.labels))


def _of_observed(tensor: ObservedTensor, fraction: float, keep: float, rng: np.random.Generator) -> Split:
    held = rng.random(len(tensor.values)) < fraction
    if keep:
        held = _spared(tensor.subs, held, tensor.shape, keep, rng)
    train = ObservedTensor.of(tensor.entries.select(~held), tensor.labels)
    test = tensor.entries.select(held)
    weights = np.ones(len(test.values)) if test.weights is None else test.weights
    return Split(train, ObservedTensor.of(test.having(weight=weights / fraction), tensor.labels))


def _spared(subs: Array, held: Array, shape: tuple[int, ...], keep: float, rng: np.random.Generator) -> Array:
    """Return a mask (nnz,) of held-out cells, fewer where a position would lose too many; which stay is random."""
    held = held.copy()
    for n, size in enumerate(shape):
        most = np.floor((1 - keep) * np.bincount(subs[:, n], minlength=size)).astype(int)
        cells = rng.permutation(np.flatnonzero(held))
        cells = cells[np.argsort(subs[cells, n], kind="stable")]
        rows = subs[cells, n]
        place = np.arange(len(cells)) - np.searchsorted(rows, rows)  # within the position
        held[cells[place >= most[rows]]] = False
    return held


def _of_sparse(tensor: SparseTensor, fraction: float, rng: np.random.Generator) -> Split:
    n = len(tensor.values)
    p = min(max(round(fraction * n), 1), n - 1)
    if p < 1:
        raise DataError(f"of {n} listed entries, each part needs one.")
    chosen = np.zeros(n, bool)
    chosen[rng.permutation(n)[:p]] = True
    zeros = Zeros(tensor)
    q = min(p, int(fraction * zeros.count))
    drawn, stands_for = zeros.draw(q, rng) if q else (tensor.listing.subs[:0], np.empty(0))
    subs, place = np.unique(drawn, axis=0, return_inverse=True)
    subs = subs[:, np.argsort(tensor.listing.order)]
    weights = np.ones(n) if tensor.entry_weights is None else tensor.entry_weights
    own = weights[chosen] * _positions_weight(tensor, tensor.subs[chosen]) * (n / p)
    of_zeros = np.bincount(place.reshape(-1), stands_for, minlength=len(subs))
    # Weights of listed entries beside those of zeros: the shares that stay differ.
    left = 1.0 if not q else 1 - float(_positions_weight(tensor, subs).sum()) / zeros.weight
    missing = np.concatenate([tensor.subs[chosen], subs.astype(tensor.subs.dtype)])
    train = tensor.without(missing, times=left * n / (n - p))
    values = np.concatenate([tensor.values[chosen], np.zeros(len(subs), tensor.values.dtype)])
    both = np.concatenate([own, of_zeros])
    columns = tensor.zeros.entries(values, both, missing, range(tensor.ndim))
    return Split(train, ObservedTensor.of_rows(missing, columns, tensor.shape, tensor.labels))


def _positions_weight(tensor: SparseTensor, subs: FloatArray) -> FloatArray:
    """Return the products (n,) of the positions' weights at subs (n, N)."""
    total = np.ones(len(subs))
    for mode, weights in enumerate(tensor.mode_weights or ()):
        total *= weights[subs[:, mode]]
    return total
