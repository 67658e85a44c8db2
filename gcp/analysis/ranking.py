"""Scores of rankings: whether what was held out is among the first that a model recommends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.errors import DataError, ParameterError
from gcp.base.table_result import TableResult
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import check_result, tensor_of
from gcp.objectives.top_positions import seen_cells
from gcp.result import FitResult

_AT_ONCE = 1 << 22
"""Predictions, about, that are held at once."""


@dataclass(frozen=True, eq=False, repr=False)
class RankingScores(TableResult):
    """Means over queries, the labels of the other modes (users) that have a relevant cell.

    Attributes
    ----------
    k : int
        How many of the first positions count.
    precision : float
        Share of the first k that are relevant.
    recall : float
        Share of the relevant ones that are among the first k.
    ndcg : float
        Normalised discounted cumulative gain: the sum over the first k of the datum divided by log2(1 + place), in
        that of the best order.
    queries : int
        Number of queries.
    without_relevant : int
        Number of queries with test cells of which none is relevant; they are left out.
    """

    k: int
    precision: float
    recall: float
    ndcg: float
    queries: int
    without_relevant: int


def ranking_scores(
    result: FitResult,
    test: Any,
    mode: int | str,
    k: int = 10,
    *,
    train: Any = None,
    relevant: float | None = None,
    mask: ArrayLike | None = None,
) -> RankingScores:
    """Return precision, recall and NDCG of the first k positions of a mode by prediction, averaged over users.

    Parameters
    ----------
    result : FitResult
    test, mask
        Data of the model's shape, as for `fit_gcp`: held-out cells.
    mode : int or str
        Number or name of the mode that is ranked (films). For every query, one position of all other modes (users),
        all of its positions are candidates, but those that `train` has seen.
    k : int
    train : data as for `fit_gcp`, optional
        What was seen, as ``result.top(exclude=train)`` has it; such cells are neither candidates nor relevant.
    relevant : float, optional
        The least value of a relevant cell, of which precision and recall count; None is any above 0. NDCG takes the
        values of relevant cells as they are.

    Returns
    -------
    RankingScores

    Raises
    ------
    DataError
        Relevant cells with negative values, or none at all.

    Notes
    -----
    Cells that are not in `test` count as not relevant: scores are low where few of the relevant ones are known, and
    serve to compare models on the same data. Equal predictions count as in random order: the scores are means over
    these orders, as in scikit-learn's `ndcg_score`. Weights of cells do not count. Costs queries x positions.

    References
    ----------
    K. Jarvelin, J. Kekalainen: Cumulated gain-based evaluation of IR techniques, ACM Transactions on Information
    Systems 20 (2002) 422-446. F. McSherry, M. Najork: Computing information retrieval performance measures
    efficiently in the presence of tied scores, ECIR 2008, 414-421.
    """
    check_result(result)
    if len(result.shape) < 2:
        raise ParameterError(
            "ranking_scores needs another mode than the ranked one: found a model of one mode."
        )
    number, k = result.labels.number(mode), checks.whole("k", k)
    if relevant is not None:
        relevant = checks.real("relevant", relevant)
    subs, gains = _relevant_cells(result, test, mask, relevant)
    seen = np.empty((0, len(result.shape)), np.int64)
    if train is not None:
        seen = seen_cells(tensor_of(result, train))
    others = [n for n in range(len(result.shape)) if n != number]
    every, place = np.unique(np.concatenate([subs, seen])[:, others], axis=0, return_inverse=True)
    query, seen_query = np.split(place.reshape(-1), [len(subs)])
    is_relevant = gains > 0 if relevant is None else gains >= relevant
    is_relevant &= ~_among(query, subs[:, number], seen_query, seen[:, number], result.shape[number])
    asked, of_query = np.unique(query[is_relevant], return_inverse=True)
    if not len(asked):
        raise DataError("No test cell is relevant: nothing could be ranked first.")
    if (worst := gains[is_relevant].min()) < 0:
        raise DataError(f"NDCG needs gains >= 0: found a relevant cell of {worst:g}. Shift the data.")
    chosen, values = subs[is_relevant, number], gains[is_relevant]
    totals = np.zeros(3)
    for first, scores in _predictions(result, every[asked], others, number):
        here = np.flatnonzero((of_query >= first) & (of_query < first + len(scores)))
        row = of_query[here] - first
        known = np.full(len(every), -1)
        known[asked[first : first + len(scores)]] = np.arange(len(scores))
        hidden = known[seen_query] >= 0
        candidates = scores.copy()
        candidates[known[seen_query[hidden]], seen[hidden, number]] = -np.inf
        own = scores[row, chosen[here]]
        totals += _sums(np.sort(candidates, axis=1), row, own, values[here], k)
    precision, recall, ndcg = totals / len(asked)
    without = len(np.unique(query)) - len(asked)
    return RankingScores(k, float(precision), float(recall), float(ndcg), len(asked), without)


def _relevant_cells(
    result: FitResult, test: Any, mask: ArrayLike | None, relevant: float | None
) -> tuple[Array, FloatArray]:
    """Return subscripts (n, N) and values (n,) of the test cells that may be relevant, or have a query at least."""
    tensor = tensor_of(result, test, mask)
    if tensor.zeros is not None and relevant is not None and relevant <= 0:
        raise ParameterError("relevant must be above 0 for sparse data, whose zeros would all be relevant.")
    weights = tensor.entry_weights
    known = np.ones(tensor.values.shape, bool) if weights is None else np.asarray(weights) > 0
    subs = np.argwhere(known) if tensor.subs is None else tensor.subs[known].astype(np.int64)
    return subs, tensor.values[known].astype(float)


def _among(query: Array, position: Array, seen_query: Array, seen_position: Array, size: int) -> Array:
    """Return whether pairs (n,) of a query and a position were seen."""
    return np.isin(
        query.astype(np.int64) * size + position, seen_query.astype(np.int64) * size + seen_position
    )


def _predictions(
    result: FitResult, queries: Array, others: list[int], mode: int
) -> Iterator[tuple[int, FloatArray]]:
    """Yield the first of some queries (q, N - 1), and model values (some, I_mode) of all positions of the mode."""
    model = result.with_mean_rows()
    step = max(1, _AT_ONCE // model.shape[mode])
    for first in range(0, len(queries), step):
        part = queries[first : first + step]
        rows = np.broadcast_to(model.weights, (len(part), model.rank)).astype(float)
        added = np.full(len(part), model.intercept)
        for column, n in enumerate(others):
            rows = rows * model.factors[n][part[:, column]]
            if (name := model.labels.names[n]) in model.main_effects:
                added = added + model.main_effects[name][part[:, column]]
        own = model.main_effects.get(model.labels.names[mode], np.zeros(model.shape[mode]))
        scores = added[:, None] + own
        for r in range(model.rank):  # not by BLAS, which may round equal ones differently and so break ties
            scores += np.multiply.outer(rows[:, r], model.factors[mode][:, r])
        yield first, scores


def _sums(ordered: FloatArray, row: Array, own: FloatArray, gains: FloatArray, k: int) -> FloatArray:
    """Return sums over queries of precision, recall and NDCG.

    Parameters
    ----------
    ordered : ndarray, shape (queries, I)
        Model values of all candidates, rising; -inf of others.
    row : ndarray of int, shape (n,)
        The query of a relevant cell.
    own, gains : ndarray, shape (n,)
        Its model value and its gain.
    k : int
    """
    n_queries, size = ordered.shape
    order = np.argsort(row, kind="stable")
    ends = np.searchsorted(row[order], np.arange(n_queries + 1))
    above, equal = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
    for q in range(n_queries):
        cells = order[ends[q] : ends[q + 1]]
        right = np.searchsorted(ordered[q], own[cells], "right")
        above[cells], equal[cells] = size - right, right - np.searchsorted(ordered[q], own[cells], "left")
    discount = 1 / np.log2(np.arange(min(k, size)) + 2)
    cumulated = np.append(0.0, np.cumsum(discount))
    low, high = np.minimum(above, len(discount)), np.minimum(above + equal, len(discount))
    share = (high - low) / equal  # of the orders of equal ones, in which it is among the first k
    gained = gains * (cumulated[high] - cumulated[low]) / equal
    hits, counts, reached = (np.bincount(row, column, n_queries) for column in (share, None, gained))
    best = np.lexsort((-gains, row))
    place = np.arange(len(row)) - ends[row[best]]
    at_best = np.append(discount, 0.0)[np.minimum(place, len(discount))]
    ideal = np.bincount(row[best], gains[best] * at_best, n_queries)
    ndcg = np.divide(reached, ideal, out=np.zeros(n_queries), where=ideal > 0)
    return np.array([(hits / k).sum(), (hits / counts).sum(), ndcg.sum()])
