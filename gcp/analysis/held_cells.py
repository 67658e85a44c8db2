"""Cells that are held out one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.analysis.split import Split
from gcp.base.errors import DataError
from gcp.base.types import Array, FloatArray
from gcp.tensors.base import WholeData
from gcp.tensors.kinds import as_listed, stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.samplers.random_cells import Zeros
from gcp.tensors.sparse import SparseTensor


def random_cells(tensor: WholeData, fraction: float, keep: float, rng: np.random.Generator) -> Split:
    """Return a split of the known cells, each held out with the same probability; see `hold_out`."""
    if tensor.subs is None:
        return _of_dense(tensor, fraction, keep, rng)
    listed = as_listed(tensor)
    if listed.zeros is not None:
        return of_sparse(listed, fraction, rng)
    return _of_observed(listed, fraction, keep, rng)


def _of_dense(tensor: WholeData, fraction: float, keep: float, rng: np.random.Generator) -> Split:
    weights = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights
    held, known = np.zeros(tensor.shape, bool), weights != 0
    held[known] = rng.random(int(known.sum())) < fraction  # a second split, by the same seed, draws others
    if keep:
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


def of_sparse(tensor: SparseTensor, fraction: float, rng: np.random.Generator) -> Split:
    """Return a split of that share of the listed entries, and as many zeros; see `hold_out`."""
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
