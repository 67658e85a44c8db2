"""Residuals, calibration, scores and tests against what is known of them, on data from known models."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy import stats

from gcp import (
    BetaDivergence,
    NegativeBinomial,
    ObservedTensor,
    ParameterError,
    Poisson,
    SparseTensor,
    fit_gcp,
    get_loss,
)
from gcp.analysis import (
    anomalies,
    binary_scores,
    calibration,
    deviance,
    dispersion_test,
    residuals,
)
from gcp.objectives.known_cells import known_cells

SHAPE = (20, 15, 12)


def truth(data, factors, loss, **options):
    """The model that the data are from, as a result."""
    rank = factors[0].shape[1]
    return fit_gcp(data, rank, loss=loss, init=factors, fixed_modes=[0, 1, 2], **options)


def from_model(loss, rng, shape=SHAPE):
    """Data, and the factors of the model that they are from."""
    loss = get_loss(loss) if isinstance(loss, str) else loss
    factors = random_factors(shape, 2, rng, positive=loss.model_domain.low == 0)
    return loss.sample(full(factors), rng).astype(float), factors


def sparse(x, **options):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape, **options)


# --- residuals ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss",
    [
        "gaussian",
        "poisson",
        "bernoulli-odds",
        "bernoulli-logit",
        "gamma",
        "rayleigh",
        "negative-binomial",
        "huber",
    ],
)
def test_quantile_residuals_of_the_true_model_are_normal(loss, rng):
    x, factors = from_model(loss, rng)
    found = residuals(truth(x, factors, loss), x, random_state=0)
    assert found.shape == x.shape
    assert stats.kstest(found.ravel(), "norm").pvalue > 1e-3
    wrong = residuals(truth(x, [1.6 * factors[0], *factors[1:]], loss), x, random_state=0, dispersion=None)
    assert stats.kstest(wrong.ravel(), "norm").pvalue < 1e-6 or loss in ("gaussian", "bernoulli-logit")


def test_far_residuals_keep_their_digits():
    factors = [np.ones((2, 1)), np.ones((1, 1))]
    result = fit_gcp(np.array([[1.0], [1.0]]), 1, init=factors, fixed_modes=[0, 1])
    found = residuals(result, np.array([[1.0 - 20.0], [1.0 + 20.0]]), dispersion=1.0)
    assert_allclose(found.ravel(), [-20.0, 20.0], rtol=1e-10)
    beyond = residuals(result, np.array([[-1e3], [1e3]]), dispersion=1.0)
    assert np.isfinite(beyond).all()
    assert beyond[0, 0] < -37 < 37 < beyond[1, 0]


@pytest.mark.parametrize("loss", ["poisson", "gamma", "bernoulli-poisson"])
def test_squares_of_deviance_residuals_add_up(loss, rng):
    x, factors = from_model(loss, rng)
    result = truth(x, factors, loss)
    found = residuals(result, x, "deviance")
    assert_allclose(np.sum(found**2), deviance(result, x).deviance, rtol=1e-8)
    response = residuals(result, x, "response")
    assert_allclose(response, x - result.predict())
    assert (np.sign(found) == np.sign(response)).all()


def test_unknown_cells_have_none(rng):
    x, factors = from_model("poisson", rng)
    known = rng.random(SHAPE) < 0.6
    result = truth(x, factors, "poisson", mask=known)
    found = residuals(result, x, "response", mask=known)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    listed = ObservedTensor(np.argwhere(known), x[known], SHAPE)
    assert_allclose(residuals(result, listed, "response"), found[tuple(listed.subs.T)])
    of_sparse = residuals(result, sparse(x), "response")
    assert_allclose(of_sparse, (x - result.predict())[tuple(sparse(x).subs.T)])


@pytest.mark.parametrize("loss", ["gaussian", BetaDivergence(2.0)], ids=str)
def test_the_dispersion_of_sparse_data_is_that_of_all_their_cells(loss, rng):
    x = rng.gamma(3.0, 1.0, SHAPE) * (rng.random(SHAPE) < 0.1)
    result = fit_gcp(x, 2, loss=loss, random_state=0, n_iter_max=20)
    scale = np.sqrt(np.mean((x - result.predict()) ** 2))
    expected = ((x - result.predict()) / scale)[tuple(sparse(x).subs.T)]
    assert_allclose(residuals(result, sparse(x)), expected, rtol=1e-6, atol=1e-9)
    p = 2 * stats.norm.sf(np.abs(x - result.predict()) / scale)
    assert_allclose(anomalies(result, sparse(x), 9).p_value, np.sort(p.ravel())[:9], rtol=1e-5)


def test_the_seed_decides(rng):
    x, factors = from_model("poisson", rng)
    result = truth(x, factors, "poisson")
    one, same, other = (residuals(result, x, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_residuals_of_a_vector(rng):
    x = rng.normal(size=5)
    result = fit_gcp(x, 1, random_state=0, n_iter_max=0)
    assert_allclose(residuals(result, x, "response"), x - result.model_values())
    listed = ObservedTensor(np.arange(5)[:, None], x, (5,))
    assert_allclose(residuals(result, listed, "response"), x - result.model_values())


# --- 0/1 data ----------------------------------------------------------------------------------------------


def test_scores_by_hand():
    """Five cells, one tie: probabilities 0.8, 0.6, 0.6, 0.4, 0.2 of 1, 0, 1, 1, 0."""
    p, x = np.array([0.8, 0.6, 0.6, 0.4, 0.2]), np.array([1.0, 0, 1, 1, 0])
    result = fit_gcp(
        x[:, None], 1, loss="bernoulli-odds", init=[(p / (1 - p))[:, None], np.ones((1, 1))], n_iter_max=0
    )
    found = binary_scores(result, x[:, None])
    assert_allclose(found.auc, (1 + 1 + 0.5 + 1 + 0 + 1) / 6)
    assert_allclose(found.average_precision, (1 / 3) * 1 + (1 / 3) * (2 / 3) + (1 / 3) * (3 / 4))
    assert_allclose(found.brier, np.mean((x - p) ** 2))
    assert_allclose(found.log_loss, -np.mean(np.log([0.8, 0.4, 0.6, 0.4, 0.8])), rtol=1e-6)
    assert found.base_rate == 0.6
    assert_allclose(found.true_positive_rate, [0, 1 / 3, 2 / 3, 1, 1])
    assert_allclose(found.false_positive_rate, [0, 0, 0.5, 0.5, 1])
    assert_allclose(found.thresholds, [np.inf, 0.8, 0.6, 0.4, 0.2])


def test_weights_count_as_copies(rng):
    x, factors = from_model("bernoulli-logit", rng, (5, 4, 3))
    times = rng.integers(0, 4, x.shape)
    subs = np.argwhere(np.ones(x.shape))
    result = truth(x, factors, "bernoulli-logit")
    weighted = binary_scores(result, x, entry_weights=times.astype(float))
    p, y = result.predict().ravel(), x.ravel()
    copies, outcomes = np.repeat(p, times.ravel()), np.repeat(y, times.ravel())
    ones, zeros = copies[outcomes == 1], copies[outcomes == 0]
    pairs = np.mean((ones[:, None] > zeros) + 0.5 * (ones[:, None] == zeros))
    assert_allclose(weighted.auc, pairs)
    some = [np.mean(outcomes[copies >= t]) * np.sum(ones == t) for t in np.unique(ones)]
    assert_allclose(weighted.average_precision, np.sum(some) / len(ones))
    listed = ObservedTensor(subs, y, x.shape, times.ravel().astype(float))
    assert_allclose(binary_scores(result, listed).auc, weighted.auc)


def test_zeros_of_sparse_data_count(rng, monkeypatch):
    x, factors = from_model("bernoulli-odds", rng)
    x *= rng.random(SHAPE) < 0.3
    result = truth(x, factors, "bernoulli-odds")
    whole = binary_scores(result, x)
    assert_allclose(binary_scores(result, sparse(x)).auc, whole.auc)
    monkeypatch.setattr("gcp.objectives.known_cells._ZEROS", 1500)
    part = binary_scores(result, sparse(x), random_state=3)
    assert part.auc != whole.auc
    assert_allclose(part.auc, whole.auc, atol=0.04)
    assert_allclose(part.base_rate, whole.base_rate)


# --- calibration -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["poisson", "bernoulli-odds", "gaussian"])
def test_the_true_model_is_calibrated(loss, rng):
    x, factors = from_model(loss, rng)
    result = truth(x, factors, loss)
    found = calibration(result, x, groups=8)
    assert 6 <= len(found.weight) <= 8
    assert (np.diff(found.expected) > 0).all()
    assert np.abs((found.observed - found.expected) / found.standard_error).max() < 4.5
    assert_allclose(found.weight.sum(), x.size)
    assert_allclose(found.weight @ found.observed, x.sum())
    assert_allclose(found.weight @ found.expected, result.predict().sum())
    worse = truth(x, [2.5 * factors[0], *factors[1:]], loss)
    wrong = calibration(worse, x)
    assert np.abs((wrong.observed - wrong.expected) / wrong.standard_error).max() > 6


def test_equal_expectations_are_one_group():
    x = np.array([[1.0, 2], [3, 4]])
    result = fit_gcp(x, 1, loss="poisson", init=[np.ones((2, 1)), 2 * np.ones((2, 1))], fixed_modes=[0, 1])
    found = calibration(result, x)
    assert_allclose(found.expected, [2.0])
    assert_allclose(found.observed, [2.5])


# --- dispersion --------------------------------------------------------------------------------------------


def test_the_statistic_is_standard_normal_for_poisson_counts(rng):
    """Over 300 tensors: mean and spread within four standard errors of 0 and 1."""
    factors = [a[:6] for a in random_factors(SHAPE, 2, rng, positive=True)]
    mu, found = full(factors), []
    for _ in range(300):
        x = rng.poisson(mu).astype(float)
        squares = (x - mu) ** 2 - x
        found.append(np.sum(squares) / np.sqrt(2 * np.sum(mu**2)))
    assert abs(np.mean(found)) < 4 / np.sqrt(300)
    result = truth(x, factors, "poisson")
    assert_allclose(dispersion_test(result, x).statistic, found[-1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
def test_extra_variation_is_found_and_measured(kind, rng):
    factors = random_factors(SHAPE, 2, rng, positive=True)
    mu, r = full(factors), 2.0
    tensors = {
        "dense": lambda x: x,
        "sparse": sparse,
        "observed": lambda x: ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE),
    }
    x = NegativeBinomial(r=r).sample(mu / r, rng).astype(float)
    data = tensors[kind](x)
    found = dispersion_test(truth(data, factors, "poisson"), data)
    assert found.p_value < 1e-10
    assert 0.6 * r < found.r < 1.6 * r
    assert "negative-binomial" in found.advice
    y = rng.poisson(mu).astype(float)
    fitted = fit_gcp(tensors[kind](y), 2, loss="poisson", random_state=0)
    calm = dispersion_test(fitted, tensors[kind](y))
    assert calm.p_value > 1e-4
    assert "no more" in calm.advice


# --- surprises ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
def test_planted_surprises_come_first(kind, rng):
    factors = [1.5 * a for a in random_factors(SHAPE, 2, rng, positive=True)]
    mu = full(factors)
    x = rng.poisson(mu).astype(float)
    high, low = np.unravel_index([7, int(np.argmax(mu))], SHAPE), np.unravel_index(np.argmax(mu), SHAPE)
    x[tuple(i[0] for i in high)] = 200
    x[low] = 0
    data = {
        "dense": x,
        "sparse": sparse(x),
        "observed": ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE),
    }[kind]
    result = truth(data, factors, "poisson")
    found = anomalies(result, data, 5)
    assert found.subs[0].tolist() == [i[0] for i in high]
    assert found.observed[0] == 200
    assert (np.diff(found.p_value) >= 0).all()
    for sub, observed, expected, p in zip(
        found.subs, found.observed, found.expected, found.p_value, strict=True
    ):
        at = mu[tuple(sub)]
        tails = stats.poisson.cdf(observed, at), stats.poisson.sf(observed - 1, at)
        assert_allclose(expected, at, rtol=1e-9)
        assert_allclose(p, min(1, 2 * min(tails)), rtol=1e-6)
    lowest = anomalies(result, data, 1, "low")
    assert lowest.subs[0].tolist() == [int(i) for i in low]
    assert_allclose(lowest.p_value, stats.poisson.cdf(0, mu.max()), rtol=1e-9)
    assert anomalies(result, data, 1, "high").observed[0] == 200
    assert [label[0] for label in found.labels] == found.subs[0].tolist()


@pytest.mark.parametrize("side", ["both", "high", "low"])
def test_zeros_are_not_overlooked(side, rng, monkeypatch):
    """Among many zeros in small blocks, against a look at every cell."""
    factors = [2 * a for a in random_factors(SHAPE, 2, rng, positive=True)]
    x = rng.poisson(full(factors)) * (rng.random(SHAPE) < 0.3).astype(float)
    result = truth(x, factors, "poisson")
    monkeypatch.setattr("gcp.objectives.known_cells._CHUNK", 500)
    found = anomalies(result, sparse(x), 30, side)
    mu = full(factors)
    low, high = stats.poisson.cdf(x, mu), stats.poisson.sf(x - 1, mu)
    p = {"both": np.minimum(1, 2 * np.minimum(low, high)), "high": high, "low": low}[side]
    assert_allclose(found.p_value, np.sort(p.ravel())[:30], rtol=1e-8)
    assert side == "high" or (found.observed == 0).sum() > 5


def test_probabilities_too_small_for_numbers_are_ordered_by_deviance(rng):
    x = np.ones((4, 3))
    x[1, 1], x[2, 0] = 5000, 9000
    factors = [np.ones((4, 1)), np.ones((3, 1))]
    result = fit_gcp(x, 1, loss="poisson", init=factors, fixed_modes=[0, 1])
    found = anomalies(result, x, 3)
    assert found.p_value[0] == found.p_value[1] == 0
    assert found.observed[:2].tolist() == [9000, 5000]


# --- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda r, x: residuals(r, x, "pearson"),
            "kind must be one of .*, response: found 'pearson'",
        ),
        (lambda r, x: binary_scores(r, x), "Bernoulli"),
        (lambda r, x: calibration(r, x, 0), "groups"),
        (lambda r, x: anomalies(r, x, 0), "n must be"),
        (lambda r, x: anomalies(r, x, 3, "up"), "side must be one of both, high, low: found 'up'"),
        (lambda r, x: anomalies(r, x, 3, dispersion=2.0), "dispersion"),
    ],
)
def test_refusals(call, message, rng):
    x = rng.poisson(2.0, (4, 3, 2)).astype(float)
    result = fit_gcp(x, 1, loss=Poisson(), random_state=0)
    with pytest.raises(ParameterError, match=message):
        call(result, x)


def test_more_refusals(rng):
    x = np.ones((4, 3))
    result = fit_gcp(x, 1, loss="bernoulli-logit", random_state=0, l2_reg=0.1)
    with pytest.raises(ParameterError, match="only ones"):
        binary_scores(result, x)
    with pytest.raises(ParameterError, match="Poisson models"):
        dispersion_test(result, x)
    beta = fit_gcp(x, 1, loss=get_loss("beta-divergence", beta=1.5), random_state=0)
    for call in (residuals, anomalies):
        with pytest.raises(ParameterError, match="distribution"):
            call(beta, x)


@pytest.mark.parametrize("missing", [None, [[0, 0], [3, 3]]])
def test_cells_of_large_sparse_data_of_which_no_listed_one_is_known(missing):
    shape = (1500, 1500)
    some = SparseTensor([[0, 0], [3, 3], [700, 9]], [1.0, 2.0, 3.0], shape)
    result = fit_gcp(some, 1, loss="poisson", random_state=0, n_iter_max=2)
    subs = np.array(missing or np.empty((0, 2), int))
    cells = known_cells(result, SparseTensor(subs, np.ones(len(subs)), shape, missing=missing))
    assert cells.w.sum() == pytest.approx(1500**2 - len(subs))
    assert not cells.x.any()
