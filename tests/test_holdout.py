"""Held-out cells. Truths: the cells themselves, counts by hand, scikit-style definitions written out."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import DenseTensor, ObservedTensor, ParameterError, SparseTensor, build_objective, fit_gcp, hold_out
from gcp.analysis import prediction_scores

SHAPE = (20, 15, 10)


def cells(tensor):
    """What is known of every cell: a value, or NaN."""
    dense = tensor if isinstance(tensor, DenseTensor) else tensor.to_dense()
    values = dense.values.astype(float)
    return values if dense.entry_weights is None else np.where(dense.entry_weights > 0, values, np.nan)


def data_of(kind, rng):
    counts = rng.poisson(0.3, SHAPE).astype(float)
    known = rng.random(SHAPE) < 0.8
    if kind == "dense":
        return DenseTensor(counts)
    if kind == "masked":
        return DenseTensor(counts, mask=known)
    if kind == "observed":
        return ObservedTensor(np.argwhere(known), counts[known], SHAPE)
    options = {}
    if kind == "sparse with missing":
        options = {"missing": np.argwhere(~known), "mode_weights": [None, rng.random(15) < 0.7, None]}
    return SparseTensor(np.argwhere(counts), counts[counts > 0], SHAPE, **options)


@pytest.mark.parametrize("kind", ["dense", "masked", "observed", "sparse", "sparse with missing"])
def test_both_parts_hold_different_known_cells_of_the_data(kind, rng):
    data = data_of(kind, rng)
    train, test = hold_out(data, 0.25, random_state=1)
    assert type(train) is type(data)
    whole, seen, held = cells(data), cells(train), cells(test)
    assert not (~np.isnan(seen) & ~np.isnan(held)).any()
    known = ~np.isnan(held)
    assert_allclose(held[known], whole[known])
    if "sparse" not in kind:  # every known cell is in one of the parts
        assert np.array_equal(~np.isnan(whole), ~np.isnan(seen) | known)
        assert np.count_nonzero(known) / np.count_nonzero(~np.isnan(whole)) == pytest.approx(0.25, abs=0.05)
    else:
        nonzeros = np.count_nonzero(np.nan_to_num(whole))
        assert np.count_nonzero(held[known]) / nonzeros == pytest.approx(0.25, abs=0.07)
        assert np.count_nonzero(held[known] == 0) == pytest.approx(np.count_nonzero(held[known]), rel=0.1)
        assert np.array_equal(np.isnan(seen), np.isnan(whole) | known)


@pytest.mark.parametrize("kind", ["dense", "masked", "observed", "sparse", "sparse with missing"])
def test_sums_over_the_held_out_cells_estimate_those_over_all(kind, rng):
    data = data_of(kind, rng)
    factors = [rng.uniform(0.2, 1.0, (n, 2)) for n in SHAPE]
    objective = build_objective(data, "poisson")
    truth = objective.value_and_grad(factors)[0]
    found = [
        build_objective(hold_out(data, 0.3, random_state=k).test, objective.loss).value_and_grad(factors)[0]
        for k in range(60)
    ]
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - truth) < 4 * error
    assert error < 0.05 * abs(truth)


def test_the_same_seed_holds_out_the_same_cells(rng):
    data = data_of("sparse", rng)
    one, two = (hold_out(data, 0.2, random_state=3).test for _ in range(2))
    assert np.array_equal(one.subs, two.subs)
    assert not np.array_equal(one.subs, hold_out(data, 0.2, random_state=4).test.subs)


def test_shapes_of_more_cells_than_numbers_have_bits():
    subs = np.array([[2**40, 5, 7], [3, 2**39, 2], [4, 4, 2**41]])
    data = SparseTensor(np.repeat(subs, 50, axis=0) + np.arange(150)[:, None] % 50, np.ones(150))
    train, test = hold_out(data, 0.5, random_state=0)
    assert data.n_cells > 2**63
    result = fit_gcp(
        SparseTensor(train.subs % 64, train.values, (64,) * 3, aggregate="sum"),
        2,
        loss="poisson",
        random_state=0,
    )
    assert np.isfinite(result.objective)
    assert len(test.values) == 2 * np.count_nonzero(test.values)


def test_judgement_by_hand(rng):
    train = rng.random((12, 9)) < 0.5
    data = (rng.random((12, 9)) < 0.4).astype(float)
    result = fit_gcp(data, 1, loss="bernoulli-odds", mask=train, bounds=(0.3, None), random_state=0)
    subs = np.argwhere(~train)
    x = (rng.random(len(subs)) < 0.5).astype(float)
    weights = rng.random(len(subs)) + 0.5
    found = prediction_scores(result, ObservedTensor(subs, x, (12, 9), entry_weights=weights))
    order = np.lexsort(subs.T[::-1])
    subs, x, weights = subs[order], x[order], weights[order]
    m = result.model_values(subs)
    p = m / (1 + m)
    assert found.cells == len(x)
    assert_allclose(
        found.mean_loss, np.average(-np.log(np.where(x == 1, p, 1 - p)), weights=weights), rtol=1e-7
    )
    assert_allclose(found.rmse, np.sqrt(np.average((x - p) ** 2, weights=weights)))
    pairs = [(a > b) + 0.5 * (a == b) for a in m[x == 1] for b in m[x == 0]]
    times = [
        v * w for v in weights[x == 1] for w in weights[x == 0]
    ]  # like the other numbers, of all known cells
    assert_allclose(found.auc, np.average(pairs, weights=times))
    constant = np.average(x, weights=weights)
    null = np.average(-np.log(np.where(x == 1, constant, 1 - constant)), weights=weights)
    assert_allclose(found.deviance_explained, 1 - found.mean_loss / null, rtol=1e-6)


def test_data_of_one_kind_have_no_auc(rng):
    result = fit_gcp(rng.normal(size=(6, 5)), 1, random_state=0)
    assert prediction_scores(result, ObservedTensor([[0, 0]], [1.0], (6, 5))).auc is None
    binary = fit_gcp((rng.random((6, 5)) < 0.5) * 1.0, 1, loss="bernoulli-logit", l2_reg=1.0, random_state=0)
    assert prediction_scores(binary, ObservedTensor([[0, 0], [1, 1]], [1.0, 1.0], (6, 5))).auc is None


@pytest.mark.parametrize("fraction", [0, 1, -0.1, np.nan, "a", True, 1e-12])
def test_bad_fractions(fraction, rng):
    with pytest.raises(ParameterError, match="held-out fraction"):
        hold_out(rng.normal(size=(4, 3)), fraction, random_state=0)


def test_command_line(capsys, tmp_path):
    from gcp.cli import main

    command = "fit nations --loss bernoulli-logit --rank 2 --l2-reg 1 --seed 0 --quiet --test-fraction 0.1"
    assert main([*command.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    train, test = hold_out(gcp.datasets.load_nations(), 0.1, 0)
    again = gcp.fit_gcp(train, 2, loss="bernoulli-logit", l2_reg=1.0, random_state=0)
    p, x = again.predict(test.subs), test.values
    area = stats.mannwhitneyu(p[x == 1], p[x == 0]).statistic / (np.sum(x == 1) * np.sum(x == 0))
    assert_allclose(found["held_out"]["auc"], area, rtol=1e-9)
    assert main([*command.replace("--quiet ", "").split()]) == 0
    assert "held-out cells" in capsys.readouterr().out
    assert main(command.replace("0.1", "2").split()) == 2
    assert "held-out fraction must be a finite number between 0 and 1" in capsys.readouterr().err
    assert gcp.datasets.load_nations().shape == (14, 14, 55)


def test_entries_that_stay_keep_their_values_and_full_tensors_have_no_zeros_to_hold_out():
    weights = np.random.default_rng(0).uniform(0.1, 2, 400)
    subs = np.column_stack([np.arange(400), np.zeros(400, int)])
    data = SparseTensor(subs, np.arange(1, 401), (400, 4), entry_weights=weights)
    less = data.without(np.array([[0, 0]]))
    assert np.array_equal(less.values, np.arange(2, 401))
    assert np.array_equal(less.entry_weights, weights[1:])
    full = SparseTensor(np.argwhere(np.ones((3, 3))), np.ones(9), (3, 3))
    train, test = hold_out(full, 0.3, random_state=0)
    assert len(train.values) + len(test.values) == 9


def test_zeros_stand_for_the_weight_of_their_positions():
    rng = np.random.default_rng(1)
    subs = np.unique(rng.integers(0, 1000, (4000, 2)), axis=0)
    u = np.where(np.arange(1000) < 500, 1.0, 3.0)
    test = hold_out(SparseTensor(subs, np.ones(len(subs)), (1000, 1000), mode_weights=[u, None]), 0.5, 0).test
    zeros = test.values == 0
    heavy = zeros & (test.subs[:, 0] >= 500)
    assert test.entry_weights[heavy].sum() / test.entry_weights[zeros].sum() == pytest.approx(0.75, abs=0.05)


def test_data_drawn_by_the_same_seed_do_not_tell_what_is_held_out():
    x = np.random.default_rng(0).random((40, 30, 20))
    held = gcp.hold_out(x, 0.1, random_state=0).test
    assert abs(held.values.mean() - x.mean()) < 4 * x.std() / np.sqrt(len(held.values))
    sequence = np.random.SeedSequence(0)
    held = gcp.hold_out(np.random.default_rng(sequence).random((40, 30, 20)), 0.1, random_state=sequence).test
    assert abs(held.values.mean() - x.mean()) < 4 * x.std() / np.sqrt(len(held.values))
