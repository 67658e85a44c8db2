"""Whole positions of a mode that are held out: random ones, or the last."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.analysis import coordinate_order
from gcp.analysis.held_cells import of_sparse
from gcp.analysis.split import Split, seen_elsewhere
from gcp.base.alignment import Side
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.tensors.base import WholeData
from gcp.tensors.kinds import as_listed, stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.rearranged import aligned, at_positions, rearranged
from gcp.tensors.sparse import SparseTensor

_JUDGED = 0.5
"""Share of the known cells of a held-out row that is predicted; its row is fitted to the others."""


def whole_rows(tensor: WholeData, fraction: float, mode: int, rng: np.random.Generator) -> Split:
    """Return a split that holds out random positions of a mode, each with the same probability; see `hold_out`."""
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    known = np.flatnonzero(tensor.known_positions()[mode])
    place = coordinate_order.ranks(coordinate_order.by_label(labels, tensor.shape), tensor.shape)[mode]
    n = _number_of(fraction, known, labels.names[mode])
    held = np.sort(rng.permutation(known[np.argsort(place[known])])[:n])
    train = _without(tensor, mode, held)
    part = seen_elsewhere(at_positions(stored(tensor), mode, held), train, mode)
    given, test = _halves(part, mode, rng)
    test = seen_elsewhere(test, train, mode)
    own = np.ones(len(test.values)) if test.entry_weights is None else test.entry_weights
    test = test.with_weights(own * (len(known) / n))
    return _split(tensor, train, test, "rows", labels.names[mode], given)


def future(tensor: WholeData, fraction: float, mode: int, gap: int, period: int = 0) -> Split:
    """Return a split that holds out the last share of the positions of a mode; see `hold_out`.

    Parameters
    ----------
    tensor : WholeData
    fraction : float
    mode : int
    gap : int
        Positions before them that are in no part.
    period : int
        0 is the last share, 1 the one before, and so on; what lies after it is in no part.

    Raises
    ------
    ParameterError
        Periods or gaps that leave nothing to fit.
    """
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    is_known, name = tensor.known_positions()[mode], labels.names[mode]
    order = coordinate_order.along(labels, mode, tensor.shape[mode])
    known = order[is_known[order]]
    n = _number_of(fraction, known, name)
    first = len(known) - (period + 1) * n
    held = known[first : first + n] if first > 0 else known[:0]
    place = int(np.flatnonzero(order == held[0])[0]) if len(held) else 0
    past = order[: max(place - gap, 0)]
    if not is_known[past].any():
        which = f"the last {n}" if not period else f"{n}, after {period} times as many,"
        raise ParameterError(
            f"hold_out: a gap of {gap} before {which} of the {len(known)} positions of {name!r} with data leaves "
            "nothing to fit: hold out less, or take fewer splits."
        )
    train = _without(tensor, mode, np.setdiff1d(order, past))
    part = at_positions(stored(tensor), mode, held)
    return _split(tensor, train, seen_elsewhere(part, train, mode), "future", name)


def _number_of(fraction: float, known: Array, name: str) -> int:
    """Return how many of the known positions (k,) are held out: one at least, and not all."""
    if len(known) < 2:
        raise ParameterError(
            f"hold_out: {len(known)} position of {name!r} has data, and each part needs one."
        )
    return min(max(round(fraction * len(known)), 1), len(known) - 1)


def _split(tensor: WholeData, train: Any, test: Any, scheme: str, name: str, given: Any = None) -> Split:
    parts = [part for part in (train, test, given) if part is not None]
    left_out = int(stored(tensor).n_known) - sum(int(stored(part).n_known) for part in parts)
    return Split(train, test, given, scheme, name, left_out)


def _without(tensor: WholeData, mode: int, positions: Array) -> Any:
    """Return the data with some positions (k,) of a mode wholly missing."""
    if tensor.subs is None:
        w = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights.copy()
        w[(slice(None),) * mode + (positions,)] = 0
        return tensor.with_weights(w)
    listed = as_listed(tensor)
    if isinstance(listed, SparseTensor):
        own = [np.ones(size) for size in listed.shape] if listed.mode_weights is None else listed.mode_weights
        inside = [u.copy() for u in own]
        inside[mode][positions] = 0.0
        return listed.weighted(listed.entry_weights, inside)
    keep = ~np.isin(listed.subs[:, mode], positions)
    return ObservedTensor.of(listed.entries.select(keep), listed.labels)


def _halves(
    part: ObservedTensor | SparseTensor, mode: int, rng: np.random.Generator
) -> tuple[ObservedTensor | SparseTensor, ObservedTensor]:
    """Return cells of rows to fit them to, and others to predict: half of each row's, but never its only one."""
    if isinstance(part, SparseTensor):
        return _halves_of_sparse(part, rng)
    assert part.labels is not None  # for the type checker
    subs, n = part.subs, len(part.values)
    places = coordinate_order.ranks(coordinate_order.by_label(part.labels, part.shape), part.shape)
    order = np.lexsort([place[subs[:, k]] for k, place in reversed(places.items())])
    draws = np.empty(n)
    draws[order] = rng.random(n)
    rows = subs[:, mode].astype(np.int64)
    counts = np.bincount(rows, minlength=part.shape[mode])
    judged = np.floor(_JUDGED * counts).astype(np.int64)
    by_row = np.lexsort((draws, rows))
    first = np.cumsum(counts) - counts
    is_test = np.zeros(n, bool)
    is_test[by_row] = np.arange(n) - first[rows[by_row]] < judged[rows[by_row]]
    given = ObservedTensor.of(part.entries.select(~is_test), part.labels)
    test = part.entries.select(is_test)
    own = np.ones(len(test.values)) if test.weights is None else test.weights
    times = (counts / np.maximum(judged, 1))[rows[is_test]]
    return given, ObservedTensor.of(test.having(weight=own * times), part.labels)


def _halves_of_sparse(part: SparseTensor, rng: np.random.Generator) -> tuple[SparseTensor, ObservedTensor]:
    """Return the same of rows of a tensor of which the entries that are not zero are listed."""
    assert part.labels is not None  # for the type checker
    order = coordinate_order.by_label(part.labels, part.shape)
    base = Side("the data", part.labels, part.shape)
    moved: Any = rearranged(part, order)
    given, test = (aligned(one, base) for one in of_sparse(moved, _JUDGED, rng))
    assert isinstance(given, SparseTensor)
    assert isinstance(test, ObservedTensor)
    return given, test
