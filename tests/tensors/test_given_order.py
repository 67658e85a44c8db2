"""One number for each listed entry, in the caller's order: the same as an array of all cells, or refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp

SHAPE = (6, 5, 15)


@pytest.fixture
def cells():
    """Subscripts in the order of NumPy, counts, and numbers that belong to them."""
    rng = np.random.default_rng(0)
    numbers = rng.uniform(0.5, 2.0, SHAPE)
    return np.argwhere(np.ones(SHAPE)), rng.poisson(3 * numbers).astype(float), numbers


def fit(data, **options):
    return gcp.fit_gcp(data, 1, loss="poisson", random_state=0, tol=1e-10, **options).objective


def test_weights_listed_with_the_entries_are_theirs(cells):
    subs, x, weights = cells
    listed = gcp.ObservedTensor(subs, x.ravel(), SHAPE, entry_weights=weights.ravel())
    assert_allclose(fit(listed), fit(x, entry_weights=weights), rtol=1e-9)


def test_listed_exposures_are_matched_by_cell(cells):
    subs, x, exposure = cells
    other = np.random.default_rng(1).permutation(len(subs))
    given = gcp.ObservedTensor(subs[other], exposure.ravel()[other], SHAPE)
    listed = gcp.ObservedTensor(subs, x.ravel(), SHAPE)
    assert_allclose(fit(listed, exposure=given), fit(x, exposure=exposure), rtol=1e-9)


@pytest.mark.parametrize("name", ["entry_weights", "exposure"])
@pytest.mark.parametrize("made", ["listed", "file", "held out"])
def test_numbers_in_an_order_that_was_left_are_refused(name, made, cells, tmp_path):
    subs, x, numbers = cells
    if made == "listed":
        data = gcp.ObservedTensor(subs, x.ravel(), SHAPE)
    elif made == "file":
        far = (subs[::17] + 1) * [1, 1, 10**6]  # of few cells an array is made
        lines = (" ".join(map(str, [*cell, value])) for cell, value in zip(far, x.ravel()[::17], strict=True))
        (tmp_path / "x.tns").write_text("\n".join(lines))
        data = gcp.read_tensor(tmp_path / "x.tns", unlisted="missing")
        numbers = numbers.ravel()[::17]
    else:
        data = gcp.hold_out(gcp.ObservedTensor(subs, x.ravel(), SHAPE), 0.01, 0).train
        numbers = np.arange(1.0, len(data.values) + 1)
    with pytest.raises(
        gcp.DataError, match=f"{name} has one number for each entry, but the tensor has sorted"
    ):
        gcp.fit_gcp(data, 1, loss="poisson", **{name: numbers.ravel()})


@pytest.mark.parametrize("name", ["entry_weights", "exposure"])
def test_numbers_in_the_order_of_sorted_entries_are_taken(name, cells):
    subs, x, numbers = cells
    own = gcp.ObservedTensor(subs, x.ravel(), SHAPE)
    again = gcp.ObservedTensor(own.subs, own.values, SHAPE)
    in_order = {name: numbers[tuple(own.subs.T)]}
    assert_allclose(fit(again, **in_order), fit(x, **{name: numbers}), rtol=1e-9)


def test_weights_of_a_sparse_tensor_in_an_order_that_was_left_are_refused(cells):
    subs, x, weights = cells
    keep = x.ravel() > 0
    data = gcp.SparseTensor(subs[keep], x.ravel()[keep], SHAPE)
    with pytest.raises(gcp.DataError, match="give them where these are listed"):
        gcp.fit_gcp(data, 1, loss="poisson", entry_weights=weights.ravel()[keep])


@pytest.mark.parametrize("name", ["exposure", "trials"])
def test_rows_of_a_table_are_matched_by_their_labels(name, cells):
    """An exposure, or trials, for each row: where there is no row, there is neither."""
    pd = pytest.importorskip("pandas")
    subs, x, numbers = cells
    if name == "trials":
        numbers = x + np.round(2 * numbers)
    known = np.random.default_rng(1).random(SHAPE) < 0.5
    frame = pd.DataFrame(subs, columns=list("abc")).assign(n=x.ravel(), e=numbers.ravel())[known.ravel()]
    frame = frame.sample(frac=1, random_state=0)
    data = gcp.from_frame(frame, ["a", "b", "c"], "n", unlisted="missing")
    loss = {"loss": "bernoulli-logit", "l2_reg": 0.1} if name == "trials" else {"loss": "poisson"}
    options = loss | {"random_state": 0, "tol": 1e-10}
    one = gcp.fit_gcp(data, 1, **options, **{name: frame.set_index(["a", "b", "c"])["e"]})
    other = gcp.fit_gcp(x, 1, mask=known, **options, **{name: numbers})
    assert_allclose(one.objective, other.objective, rtol=1e-9)


def test_the_same_weight_for_all_entries_needs_no_order(cells):
    subs, x, _ = cells
    listed, twice = gcp.ObservedTensor(subs, x.ravel(), SHAPE), np.full(x.size, 2.0)
    assert_allclose(fit(listed, entry_weights=twice), 2 * fit(x), rtol=1e-9)


def test_merged_rows_have_no_order():
    data = gcp.ObservedTensor([[0, 0], [0, 0], [1, 1]], [1.0, 2.0, 3.0], (2, 2), aggregate="sum")
    with pytest.raises(gcp.DataError, match="sorted its entries"):
        gcp.fit_gcp(data, 1, loss="poisson", entry_weights=[1.0, 2.0])
