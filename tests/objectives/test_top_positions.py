"""The best positions against pandas' sorting of the whole prediction."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gcp


@pytest.fixture(scope="module")
def ratings():
    rng = np.random.default_rng(0)
    cells = pd.DataFrame({"user": rng.choice([3, 1, 2], 40), "film": rng.choice(list("ABCDEFGH"), 40)})
    cells = cells.drop_duplicates().assign(stars=lambda t: rng.integers(1, 6, len(t)))
    return cells


@pytest.fixture(scope="module")
def tensor(ratings):
    return gcp.from_frame(ratings, ["user", "film"], "stars", unlisted="missing")


@pytest.fixture(scope="module")
def model(tensor):
    return gcp.fit_gcp(tensor, 1, main_effects=True, l2_reg=1.0, random_state=0)


@pytest.fixture(scope="module")
def expected(model):
    users, films = model.labels.coords
    return pd.DataFrame(model.predict(), index=users, columns=films)


def test_the_largest_predictions_come_first(model, expected):
    found = model.top("film", {"user": 1}, 4)
    truth = expected.loc[1].sort_values(ascending=False)[:4]
    assert list(found.labels) == list(truth.index)
    np.testing.assert_allclose(found.predicted, truth)
    np.testing.assert_allclose(model.predict({"user": 1, "film": found.labels}), truth)
    assert len(model.top("film", {"user": 1}, 100).labels) == 8
    by_user = model.top(0, {1: "C"}, 1)
    assert by_user.labels[0] == expected["C"].idxmax()


@pytest.mark.parametrize("kind", ["dense", "observed", "labels", "a Series of labels"])
def test_what_was_seen_is_left_out(model, expected, ratings, tensor, kind):
    seen = ratings.film[ratings.user == 2]
    exclude = {"labels": list(seen), "a Series of labels": seen, "dense": tensor}.get(kind)
    if exclude is None:
        known = np.argwhere(tensor.entry_weights)
        exclude = gcp.ObservedTensor(known, tensor.values[tuple(known.T)], tensor.shape, labels=tensor.labels)
    found = model.top("film", {"user": 2}, exclude=exclude)
    assert list(found.labels) == list(expected.loc[2].drop(seen).sort_values(ascending=False).index)
    assert 0 < len(found.labels) < 8


def test_of_counts_it_is_those_that_are_not_zero(rng):
    x = rng.poisson(1.0, (5, 9)).astype(float)
    model = gcp.fit_gcp(x, 1, loss="poisson", random_state=0)
    sparse = gcp.SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    for exclude in (x, sparse, x > 0):
        assert set(model.top(1, {0: 2}, exclude=exclude).labels) == set(np.flatnonzero(x[2] == 0))
    with pytest.raises(gcp.DataError, match="missing cells and zeros"):
        model.top(1, {0: 2}, exclude=np.where(rng.random(x.shape) < 0.1, np.nan, x))


def test_data_to_exclude_are_matched_by_label(model, tensor):
    users, films = tensor.labels.coords
    values = np.where(tensor.entry_weights, tensor.values, np.nan)
    turned = xr.DataArray(values, coords={"user": users, "film": films}).T[::-1]
    np.testing.assert_array_equal(
        model.top("film", {"user": 3}, exclude=turned).labels,
        model.top("film", {"user": 3}, exclude=tensor).labels,
    )


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mode": "film"}, "'user' is lacking"),
        ({"mode": "film", "at": {"user": 1, 0: 2}}, "twice"),
        ({"mode": "film", "at": {"user": 9}}, "label 9 of mode 'user' is in at"),
        ({"mode": "film", "at": {"user": [1, 2]}}, "one label of 'user'"),
        ({"mode": "film", "at": {"user": 1, "film": "A"}}, "whose positions are looked for"),
        ({"mode": "film", "at": {"user": 1}, "exclude": ["Z"]}, "label 'Z' of mode 'film' is in exclude"),
        ({"mode": "movie", "at": {"user": 1}}, "Unknown mode 'movie'"),
        ({"mode": "film", "at": {"user": 1}, "n": 0}, "n must be"),
    ],
)
def test_what_cannot_be_answered_is_said(model, arguments, match):
    with pytest.raises(gcp.ParameterError, match=match):
        model.top(**arguments)
