"""Ranking scores against scikit-learn's NDCG and counting over all orders of equal predictions."""

import dataclasses
from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import ObservedTensor, SparseTensor
from gcp.analysis import ranking_scores


def model_of(values):
    """A model whose predictions are these: a matrix is the sum of its columns times unit vectors."""
    values = np.asarray(values, dtype=float)
    init = (np.ones(values.shape[1]), [values, np.eye(values.shape[1])])
    return gcp.fit_gcp(values, values.shape[1], init=init, fixed_modes=[0, 1])


def by_counting(predictions, gains, candidates, k, relevant):
    """Precision, recall and NDCG of one user, averaged over the orders of equal predictions."""
    places = np.flatnonzero(candidates)
    gains = np.where(relevant, gains, 0.0)
    n_relevant, discount = relevant[places].sum(), 1 / np.log2(np.arange(k) + 2)
    best = np.sort(gains[places])[::-1][:k]
    found = [
        (
            relevant[list(order[:k])].sum() / k,
            relevant[list(order[:k])].sum() / n_relevant,
            gains[list(order[:k])] @ discount[: len(order)] / (best @ discount[: len(best)]),
        )
        for order in permutations(places)
        if (np.diff(predictions[list(order)]) <= 0).all()
    ]
    return np.mean(found, axis=0)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
@pytest.mark.parametrize("relevant", [None, 3.0])
def test_against_all_orders_of_equal_predictions(rng, k, relevant):
    predictions = rng.integers(0, 3, (5, 6)).astype(float)
    gains = rng.integers(0, 6, (5, 6)).astype(float)
    gains[4] = 0.0  # a user of whom nothing is relevant
    seen = rng.random((5, 6)) < 0.2
    is_relevant = ~seen & (gains > 0 if relevant is None else gains >= relevant)
    found = ranking_scores(model_of(predictions), gains, 1, k, train=seen, relevant=relevant)
    users = np.flatnonzero(is_relevant.any(axis=1))
    truth = [by_counting(predictions[u], gains[u], ~seen[u], k, is_relevant[u]) for u in users]
    assert_allclose((found.precision, found.recall, found.ndcg), np.mean(truth, axis=0))
    assert (found.queries, found.without_relevant) == (len(users), 5 - len(users))


@pytest.mark.parametrize("k", [1, 4, 10, 30])
def test_ndcg_is_scikit_learns(rng, k):
    ndcg_score = pytest.importorskip("sklearn.metrics").ndcg_score
    gains = rng.poisson(0.5, (40, 20)).astype(float)
    gains[:, 0] = 1.0
    predictions = np.round(rng.normal(size=gains.shape), 1)
    model = model_of(predictions)
    found = ranking_scores(model, gains, 1, k)
    assert_allclose(found.ndcg, ndcg_score(gains, model.predict(), k=k))


def test_three_modes_main_effects_and_every_kind_of_data(rng):
    """A query is a user in a month; what was seen there alone is no candidate."""
    x = rng.poisson(0.7, (6, 8, 3)).astype(float)
    model = gcp.fit_gcp(x, 2, loss="poisson-log", main_effects=True, l2_reg=1.0, random_state=0)
    test = rng.random(x.shape) < 0.3
    seen = np.where(test, 0.0, x)
    m, k, rows = model.predict(), 3, []
    for user in range(6):
        for month in range(3):
            relevant = (test & (x > 0))[user, :, month]
            if relevant.any():
                left = np.flatnonzero(seen[user, :, month] == 0)
                first = left[np.argsort(-m[user, left, month])][:k]
                rows.append((relevant[first].sum() / k, relevant[first].sum() / relevant.sum()))
    cells = np.argwhere(test)
    held = ObservedTensor(cells, x[test], x.shape)
    listed = SparseTensor(np.argwhere(seen), seen[seen > 0], x.shape)
    for given, train in ((held, listed), (np.where(test, x, np.nan), seen), (held, seen > 0)):
        found = ranking_scores(model, given, 1, k, train=train)
        assert_allclose((found.precision, found.recall), np.mean(rows, axis=0))
        assert found.queries == len(rows)


def test_a_perfect_and_a_useless_order(rng):
    gains = np.eye(4)
    assert ranking_scores(model_of(gains), gains, 1, 1)[1:4] == (1.0, 1.0, 1.0)
    assert_allclose(ranking_scores(model_of(np.ones((4, 4))), gains, 1, 1)[1:4], 0.25)


def test_what_cannot_be_scored_is_said(rng):
    model = model_of(np.eye(3))
    with pytest.raises(gcp.DataError, match="No test cell is relevant"):
        ranking_scores(model, np.zeros((3, 3)), 1)
    with pytest.raises(gcp.DataError, match="found a relevant cell of -1"):
        ranking_scores(model, -np.eye(3), 1, relevant=-2.0)
    with pytest.raises(gcp.ParameterError, match="k must be"):
        ranking_scores(model, np.eye(3), 1, 0)
    with pytest.raises(gcp.DataError, match="shapes"):
        ranking_scores(model, np.eye(4), 1)


@pytest.mark.parametrize("size", [5, 13, 100, 1003])
def test_positions_with_equal_rows_are_tied_wherever_they_stand(size):
    rng = np.random.default_rng(size)
    row, users = rng.random(17), rng.random((7, 17))
    model = dataclasses.replace(
        model_of(np.ones((7, 1))), weights=np.ones(17), factors=[users, np.tile(row, (size, 1))]
    )
    test = np.zeros((7, size))
    test[:, -2:] = 1.0  # two of all are relevant, and any order is as likely
    assert ranking_scores(model, test, 1, k=1).precision == pytest.approx(2 / size)
