"""The training part of a list of nonzero entries stands for all data. Truths: the data, fits of all data."""

import functools
import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import ParameterError, SparseTensor, build_objective, fit_gcp, get_loss, hold_out, select_rank
from gcp.analysis import calibration
from gcp.analysis.selection.validation_splits import Splitting, make_split

SHAPE = (20, 15, 10)
COUNTS = (
    "gaussian",
    "huber",
    "poisson",
    "poisson-log",
    "negative-binomial",
    "negative-binomial-logit",
    "beta-divergence",
)
BINARY = ("bernoulli-odds", "bernoulli-logit", "bernoulli-poisson")
OPTIONS = {"beta-divergence": {"beta": 0.5}, "huber": {"delta": 2.0}}


def loss_of(name):
    return get_loss(name, **OPTIONS.get(name, {}))


def listed(x, **options):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape, **options)


def counts(rng, mean=0.4):
    factors = [rng.gamma(3.0, 1.0, n) for n in SHAPE]
    m = np.einsum("a,b,c->abc", *factors)
    return rng.poisson(m * mean / m.mean()).astype(float)


def data_of(name, rng):
    x = counts(rng)
    return (x > 0).astype(float) if name in BINARY else x


def kinds(x, rng):
    """Lists with all that can be beside the entries."""
    some = np.argwhere(np.ones(x.shape))[:: x.size // 100]
    w = rng.uniform(0.5, 2.0, np.count_nonzero(x))
    return {
        "plain": listed(x),
        "missing": listed(x, missing=some),
        "entry weights": listed(x, entry_weights=w),
        "masked modes": listed(x, mode_weights=[None, np.arange(15) > 1, None]),
    }


@functools.cache
def splits(name, fraction, kind):
    """A list of data that suit a loss of the name, 40 training parts of it, and factors."""
    rng = np.random.default_rng(20261122)
    tensor = kinds(data_of(name, rng), rng)[kind]
    factors = [rng.uniform(0.3, 1.0, (n, 2)) for n in SHAPE]
    return tensor, [hold_out(tensor, fraction, k).train for k in range(40)], factors


@pytest.mark.parametrize("kind", ["plain", "missing", "entry weights", "masked modes"])
@pytest.mark.parametrize(
    ("name", "fraction"),
    # The parts are the same for all losses; a small one is for losses with a closed form of zeros, and without.
    [(name, 0.5) for name in COUNTS + BINARY]
    + [(name, 0.1) for name in ("gaussian", "poisson", "poisson-log", "bernoulli-odds")],
)
def test_the_objective_of_the_training_part_is_that_of_all_data(name, fraction, kind):
    """In expectation, up to one factor for all cells: at any model, and so at the one that is fitted."""
    loss = loss_of(name)
    tensor, training_parts, factors = splits(BINARY[0] if name in BINARY else COUNTS[0], fraction, kind)

    def mean(data):
        objective = build_objective(data, loss, n_threads=1)
        return objective.value_and_grad(factors)[0] / objective.survey.total_weight

    found = [mean(part) for part in training_parts]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    truth = mean(tensor)
    assert abs(np.mean(found) - truth) < 4 * error
    assert error < 0.02 * abs(truth)


@pytest.mark.parametrize("name", COUNTS + BINARY)
def test_what_is_fitted_to_the_training_part_expects_as_much_as_the_data_have(name, rng):
    x, loss = data_of(name, rng), loss_of(name)
    options = {"loss": loss, "random_state": 0, "n_threads": 1, "n_iter_max": 200}
    if loss.model_domain.low < 0:
        options |= {"main_effects": True, "rank": 0, "l2_reg": {"factors": 0.0, "main_effects": 0.1}}
    else:
        options |= {"rank": 1}
    whole = fit_gcp(listed(x), **options).predict().sum()
    if name not in ("huber", "beta-divergence"):  # maxima of likelihoods have the data's own total
        assert_allclose(whole, x.sum(), rtol=5e-3)
    options |= {"solver": "lbfgsb", "tol": 1e-6}  # the solvers are looked at below; this one is quick
    found, ratios = [], []
    for k in range(12):
        train, test = hold_out(listed(x), 0.3, k)
        result = fit_gcp(train, **options)
        found.append(result.predict().sum() / whole)
        w = test.entry_weights
        ratios.append(w @ test.values / (w @ result.predict(test.subs)))
    assert abs(np.mean(found) - 1) < 0.01
    assert_allclose(np.mean(ratios), x.sum() / whole, rtol=0.05)


ADAM = gcp.Adam(
    n_iter_max=20, epoch_iters=50, value_samples=5000, polish=False
)  # an exact method would polish


@pytest.mark.parametrize(
    "solver", ["rows", "lbfgsb", "sampled-rows", ADAM], ids=["rows", "lbfgsb", "sampled", "adam"]
)
def test_solvers_of_lists_weigh_the_entries_that_stay(solver, rng):
    """At the minimum a factor on the whole model brings nothing: the weighted sums of data and means are equal."""
    x = (counts(rng) > 0).astype(float)
    train = hold_out(listed(x), 0.5, 0).train
    loss = "bernoulli-odds" if solver == "sampled-rows" else "poisson"
    result = fit_gcp(train, 1, loss=loss, solver=solver, random_state=0, n_threads=1)
    dense = train.to_dense()
    known = dense.entry_weights > 0
    w = dense.entry_weights[known]
    assert_allclose(w @ result.predict()[known], w @ dense.values[known], rtol=0.01)
    assert_allclose(w @ dense.values[known] / w.sum(), x.mean())


def test_shares_of_both_parts(rng):
    x = counts(rng)
    tensor = listed(x)
    n, zeros = len(tensor.values), x.size - len(tensor.values)
    for fraction in (0.1, 0.5, 0.9):
        train, test = hold_out(tensor, fraction, 3)
        p, q = np.count_nonzero(test.values), np.count_nonzero(test.values == 0)
        assert p == round(fraction * n)
        # Listed entries have the same share of the training part's weight as of the data.
        assert_allclose(train.entry_weights.sum() / train.total_weight(), n / x.size)
        assert_allclose(train.unlisted_weight(), zeros - q)
        assert_allclose(test.entry_weights[test.values > 0].sum(), n)
        assert_allclose(test.entry_weights[test.values == 0].sum(), zeros)


def test_a_training_part_is_held_out_from_again(rng):
    x = counts(rng)
    found = [hold_out(hold_out(listed(x), 0.3, k).train, 0.3, k + 100) for k in range(20)]
    constants = [build_objective(part.train, "poisson").null_constant for part in found]
    assert_allclose(np.mean(constants), x.mean(), rtol=0.01)
    shares = [w @ p.test.values / w.sum() for p in found for w in [p.test.entry_weights]]
    assert_allclose(np.mean(shares), x.mean(), rtol=0.02)


def test_ranks_are_judged_against_the_right_constant(rng):
    x = (counts(rng) > 0).astype(float)
    loss = get_loss("poisson")
    split = make_split(listed(x), loss, Splitting("cells", 0.5), 0)
    assert_allclose(build_objective(split.train, loss).null_constant, x.mean())
    choice = select_rank(
        listed(x),
        [1],
        loss,
        fraction=0.5,
        n_splits=3,
        n_starts=1,
        random_state=0,
        n_threads=1,
        dirichlet_reg=0.0,
    )
    constant = x.mean() - x.mean() * np.log(x.mean())  # mean loss of the best constant
    assert_allclose(choice.table[0].loss, constant, rtol=0.05)
    assert choice.rank == 1


def test_calibration_of_a_sparse_training_part(rng):
    x = counts(rng)
    train, test = hold_out(listed(x), 0.5, 0)
    result = fit_gcp(train, 1, loss="poisson", random_state=0, n_threads=1)
    found = calibration(result, listed(x), groups=1)
    assert_allclose(found.observed, x.mean())
    assert_allclose(found.expected, found.observed, rtol=0.01)
    held = calibration(result, test, groups=1)
    assert abs(held.expected - held.observed) < 4 * held.standard_error


def test_lists_too_short_for_two_parts():
    with pytest.raises(ParameterError, match="leaves one part empty"):
        hold_out(SparseTensor([[0, 0]], [1.0], (5, 5)), 0.5, 0)
    train, test = hold_out(SparseTensor([[0, 0], [3, 4]], [1.0, 2.0], (5, 5)), 0.01, 0)
    assert len(train.values) == 1
    assert np.count_nonzero(test.values) == 1


def test_command_line(capsys, tmp_path, rng):
    from gcp.cli import main

    x = (counts(rng) > 0).astype(float)
    gcp.write_tensor(tmp_path / "x.tns", listed(x))
    out = tmp_path / "model.npz"
    command = f"fit {tmp_path / 'x.tns'} --loss poisson --rank 1 --seed 0 --quiet --json --test-fraction 0.5"
    assert main([*command.split(), "--out", str(out)]) == 0
    assert json.loads(capsys.readouterr().out)["held_out"]["cells"] > 0
    assert_allclose(gcp.FitResult.load(out).predict().sum(), x.sum(), rtol=0.03)
