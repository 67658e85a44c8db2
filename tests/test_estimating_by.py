"""Parameters of a loss that are one for each position of a mode."""

import numpy as np
import pandas as pd
import pytest
from helpers import random_factors
from scipy import optimize, stats

import gcp
from gcp import NegativeBinomial, NegativeBinomialLogit, ObservedTensor, ParameterError, SparseTensor, fit_gcp
from gcp.analysis import (
    anomalies,
    bootstrap,
    component_shares,
    deviance,
    information_criteria,
    log_likelihood,
    n_parameters,
    residuals,
    slice_deviance,
)
from gcp.penalties import Smooth

R = np.array([0.5, 1.0, 3.0, 6.0])
MEANS = np.array([2.0, 5.0, 8.0, 3.0])


@pytest.fixture
def rows(rng):
    """Counts of four neurons, each with a mean and an r of its own."""
    return np.stack(
        [rng.negative_binomial(r, r / (r + mu), 300) for r, mu in zip(R, MEANS, strict=True)]
    ).astype(float)


def likeliest(x, w):
    """The maximum-likelihood mean, r and log-likelihood of counts, by SciPy alone."""

    def minus(free):
        mu, r = np.exp(free)
        return -float(w @ stats.nbinom.logpmf(x, r, r / (r + mu)))

    found = optimize.minimize(
        minus,
        [np.log(np.average(x, weights=w)), 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-11},
    )
    return *np.exp(found.x), -found.fun


def fitted(data, loss, n_columns, **options):
    ones = [np.ones((4, 1)), np.ones((n_columns, 1))]
    return fit_gcp(data, 1, loss=loss, init=ones, fixed_modes=[1], n_threads=1, random_state=0, **options)


@pytest.mark.parametrize("loss", [NegativeBinomial, NegativeBinomialLogit])
@pytest.mark.parametrize("kind", ["dense", "missing", "observed", "weighted", "sparse", "sparse, missing"])
def test_each_row_is_a_fit_of_its_own(loss, kind, rows, rng):
    known = np.ones(rows.shape, bool) if kind == "dense" else rng.random(rows.shape) < 0.8
    if kind == "sparse":
        known[:] = True
    w = known * (rng.uniform(0.5, 2.0, rows.shape) if kind == "weighted" else 1.0)
    data, options = rows, {"entry_weights": w} if kind != "dense" else {}
    if kind == "observed":
        data, options = ObservedTensor(np.argwhere(known), rows[known], rows.shape), {}
    if kind.startswith("sparse"):
        counts = np.where(known, rows, 0.0)
        data, options = (
            SparseTensor(np.argwhere(counts), counts[counts > 0], rows.shape, missing=np.argwhere(~known)),
            {},
        )
    found = fitted(data, loss(r="estimate", by=0), rows.shape[1], **options)
    truth = [likeliest(x, own) for x, own in zip(rows, w, strict=True)]
    np.testing.assert_allclose(found.predict()[:, 0], [one[0] for one in truth], rtol=1e-4)
    np.testing.assert_allclose(found.loss.r, [one[1] for one in truth], rtol=3e-4)
    assert log_likelihood(found, data, **options) == pytest.approx(sum(one[2] for one in truth), rel=1e-8)
    assert n_parameters(found) == 8


def test_statsmodels_agrees(rows):
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    found = fitted(rows, NegativeBinomial(r="estimate", by=0), rows.shape[1])
    total = 0.0
    for x, mean, r in zip(rows, found.predict()[:, 0], found.loss.r, strict=True):
        fit = discrete.NegativeBinomial(x, np.ones((len(x), 1))).fit(
            disp=0, maxiter=500, method="bfgs", gtol=1e-8
        )
        assert np.exp(fit.params[0]) == pytest.approx(mean, rel=1e-4)
        assert 1 / fit.params[1] == pytest.approx(r, rel=1e-4)
        total += fit.llf
    criteria = information_criteria(found, rows)
    assert criteria.log_likelihood == pytest.approx(total, rel=1e-6)
    assert criteria.bic == pytest.approx(8 * np.log(rows.size) - 2 * total, rel=1e-6)


@pytest.fixture
def planted(rng):
    """Counts of 5 neurons x 14 times x 30 trials, each neuron with its r, and their expectations."""
    factors = random_factors((5, 14, 30), 2, rng, positive=True)
    mu, r = 4 * np.einsum("ar,br,cr->abc", *factors), np.array([0.6, 1.2, 2.5, 5.0, 10.0])
    p = r[:, None, None] / (r[:, None, None] + mu)
    return rng.negative_binomial(np.broadcast_to(r[:, None, None], mu.shape), p).astype(float), mu, r


def test_planted_r_are_recovered(planted):
    x, mu, r = planted
    names = ["neuron", "time", "trial"]
    by = fit_gcp(x, 2, loss=NegativeBinomial(r="estimate", by="neuron"), modes=names, random_state=0)
    one = fit_gcp(x, 2, loss=NegativeBinomial(r="estimate"), random_state=0)
    np.testing.assert_allclose(np.log(by.loss.r), np.log(r), atol=0.4)
    assert log_likelihood(by, x) > log_likelihood(one, x) + 50
    assert np.sum((by.predict() - mu) ** 2 / mu) < np.sum((one.predict() - mu) ** 2 / mu)


def test_one_r_given_for_each_position_equally_is_one_r(planted):
    x, *_ = planted
    plain = fit_gcp(x, 2, loss=NegativeBinomial(r=2.0), random_state=0, n_threads=1, tol=1e-12)
    by = fit_gcp(
        x, 2, loss=NegativeBinomial(r=[2.0] * 5, by=0), random_state=0, n_threads=1, tol=1e-12, init=plain
    )
    assert by.objective == pytest.approx(plain.objective, rel=1e-9)
    np.testing.assert_allclose(by.predict(), plain.predict(), rtol=1e-4, atol=1e-6)
    for judge in (
        log_likelihood,
        lambda f, d: deviance(f, d).deviance,
        lambda f, d: deviance(f, d).total_weight,
    ):
        assert judge(by, x) == pytest.approx(judge(plain, x), rel=1e-6)


def test_judgements_know_each_position(planted):
    """By the distributions of SciPy."""
    x, _, r = planted
    names = ["neuron", "time", "trial"]
    found = fit_gcp(x, 2, loss=NegativeBinomial(r=tuple(r), by="neuron"), modes=names, random_state=0)
    mean, own = found.predict(), r[:, None, None]
    truth = stats.nbinom(np.broadcast_to(own, x.shape), own / (own + mean))
    assert log_likelihood(found, x) == pytest.approx(truth.logpmf(x).sum(), rel=1e-7)
    drawn = residuals(found, x, random_state=0)
    u = stats.norm.cdf(drawn)
    assert np.all((u > truth.cdf(x - 1) - 1e-9) & (u < truth.cdf(x) + 1e-9))
    np.testing.assert_allclose(residuals(found, x, "response"), x - mean, rtol=1e-8, atol=1e-8)
    listed = ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape)
    np.testing.assert_allclose(
        residuals(found, listed, "deviance"), residuals(found, x, "deviance")[tuple(listed.subs.T)], rtol=1e-6
    )
    assert slice_deviance(found, x, "trial").deviance.sum() == pytest.approx(deviance(found, x).deviance)
    far = anomalies(found, x, n=3)
    low, high = truth.cdf(x), truth.sf(x - 1)
    assert far.p_value[0] == pytest.approx(np.minimum(1, 2 * np.minimum(low, high)).min(), rel=1e-6)
    at = np.array([[0, 1, 2], [4, 3, 1]])
    np.testing.assert_allclose(found.predict(at), mean[tuple(at.T)])
    np.testing.assert_allclose(found.predict({"neuron": 4, "time": 3, "trial": 1}), mean[4, 3, 1])
    top = found.top("neuron", at={"time": 1, "trial": 2}, n=5)
    np.testing.assert_allclose(top.predicted, np.sort(mean[:, 1, 2])[::-1])


@pytest.mark.parametrize("options", [{}, {"main_effects": True}, {"penalties": [Smooth("time", 0.1)]}])
def test_the_best_constant_is_one_expected_datum(planted, options):
    """By the distributions of SciPy, from every door."""
    x, _, r = planted
    names = ["neuron", "time", "trial"]
    loss = NegativeBinomial(r=tuple(r), by="neuron")
    found = fit_gcp(x, 1, loss=loss, modes=names, random_state=0, **options)
    own = r[:, None, None]
    free, constant = (stats.nbinom(own, own / (own + m)) for m in (np.maximum(x, 1e-300), x.mean()))
    null = 2 * (free.logpmf(x) - constant.logpmf(x)).sum()
    judged = deviance(found, x)
    assert judged.null_deviance == pytest.approx(null, rel=1e-6)
    assert slice_deviance(found, x, "time").null_deviance.sum() == pytest.approx(null, rel=1e-6)
    assert found.deviance_explained(x) == pytest.approx(found.training_deviance_explained, rel=1e-6)


def test_a_position_without_overdispersion_stops(planted, rng):
    x, mu, _ = planted
    x = x.copy()
    x[3] = rng.binomial(20, np.minimum(mu[3] / 20, 1.0))
    found = fit_gcp(
        x, 1, loss=NegativeBinomial(r="estimate", by=0), modes=["neuron", "time", "trial"], random_state=0
    )
    assert found.converged
    assert "r of neuron 3: no overdispersion" in found.message
    assert found.loss.r[3] > 1e3
    assert max(np.delete(found.loss.r, 3)) < 100


def test_a_position_without_data_has_the_median_of_the_others(planted):
    x, *_ = planted
    x = x.copy()
    x[1] = np.nan
    found = fit_gcp(x, 1, loss=NegativeBinomial(r="estimate", by=0), random_state=0)
    assert found.loss.r[1] == pytest.approx(np.exp(np.median(np.log(np.delete(found.loss.r, 1)))))
    assert "no data, and the median of the others" in found.message


def test_labels_in_another_order(planted):
    """r goes with the label, not with the place."""
    x, *_ = planted
    labelled = pd.Series(
        x.ravel(),
        pd.MultiIndex.from_product([list("abcde"), range(14), range(30)], names=["neuron", "time", "trial"]),
    )
    found = fit_gcp(labelled, 2, loss=NegativeBinomial(r="estimate", by="neuron"), random_state=0)
    turned = labelled.sort_index(level="neuron", ascending=False, kind="stable")
    assert log_likelihood(found, turned) == pytest.approx(log_likelihood(found, labelled), rel=1e-12)
    assert found.score(turned) == pytest.approx(found.score(labelled), rel=1e-12)
    moved = labelled.reorder_levels(["trial", "neuron", "time"])
    assert log_likelihood(found, moved) == pytest.approx(log_likelihood(found, labelled), rel=1e-12)


def test_saved_and_loaded(planted, tmp_path):
    x, *_ = planted
    found = fit_gcp(x, 1, loss=NegativeBinomial(r="estimate", by=0), random_state=0)
    found.save(tmp_path / "a.npz")
    again = gcp.load(tmp_path / "a.npz")
    assert again == found
    assert again.loss == found.loss
    np.testing.assert_array_equal(again.predict(), found.predict())
    assert "..." in repr(fit_gcp(np.tile(x[:1], (20, 1, 1)), 1, loss=NegativeBinomial(r=[2.0] * 20, by=0)))


def test_transform_of_other_modes(planted):
    x, _, r = planted
    found = fit_gcp(x, 1, loss=NegativeBinomial(r=tuple(r), by=0), random_state=0, tol=1e-12)
    again = found.transform(x, mode=2)
    np.testing.assert_allclose(again.rows, found.factors[2], rtol=1e-3, atol=1e-6)
    with pytest.raises(ParameterError, match="transform another mode"):
        found.transform(x, mode=0)


def test_a_bootstrap_estimates_them_again(planted):
    x, *_ = planted
    found = fit_gcp(x, 1, loss=NegativeBinomial(r="estimate", by=0), random_state=0)
    assert bootstrap(found, x, 2, random_state=0).objectives.shape == (2,)
    with pytest.raises(ParameterError, match="component_shares compares"):
        component_shares(found, x)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: NegativeBinomial(r=[1.0, 2.0]), "say by="),
        (lambda: NegativeBinomial(r=2.0, by="neuron"), "one number for each position"),
        (lambda: NegativeBinomial(r=[1.0, -2.0], by="neuron"), "> 0: found -2.0"),
        (
            lambda: fit_gcp(np.ones((3, 4)), 1, loss=NegativeBinomial(r=[1.0, 2.0], by=0)),
            "a mode of 3 positions",
        ),
        (lambda: fit_gcp(np.ones((3, 4)), 1, loss=NegativeBinomial(r="estimate", by="neuron")), "neuron"),
        (lambda: NegativeBinomial(r=[1.0, 2.0], by=0).value(1.0, 1.0), "loss.at"),
        (
            lambda: fit_gcp(
                SparseTensor([[0, 0], [1, 1]], [1.0, 2.0], (3, 10**8)),
                1,
                loss=NegativeBinomial(r="estimate", by=0),
            ),
            "too many to look at one by one",
        ),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises((ParameterError, gcp.GcpError), match=match):
        make()


def test_data_outside_the_domain_are_refused():
    with pytest.raises(gcp.DomainError, match=r"found 0\.5"):
        fit_gcp(np.full((3, 4), 0.5), 1, loss=NegativeBinomial(r=[1.0, 2.0, 3.0], by=0))


def test_simulated_by_position():
    r = [0.5, 50.0]
    x, truth = gcp.simulate((2, 20000), 1, NegativeBinomial(r=r, by=0), random_state=0)
    m = np.einsum("r,ar,br->ab", *(truth.weights, *truth.factors))
    variance = np.mean(
        (x.values - np.array(r)[:, None] * m) ** 2 / (np.array(r)[:, None] * m * (1 + m)), axis=1
    )
    np.testing.assert_allclose(variance, 1.0, atol=0.15)


def test_labels_asked_for_keep_their_own_parameters():
    x = np.random.default_rng(0).negative_binomial(2, 0.4, (5, 4))
    loss = NegativeBinomial(r=(0.5, 2.0, 8.0, 30.0), by=1)
    fit = fit_gcp(x, 1, loss=loss, random_state=0)
    np.testing.assert_allclose(fit.predict_at({1: [3, 1]}), fit.predict()[:, [3, 1]], rtol=1e-12)
    np.testing.assert_allclose(fit.predict_at({0: [2, 4]}), fit.predict()[[2, 4]], rtol=1e-12)
    with_design = fit_gcp(x, 1, loss=loss, random_state=0, design={1: np.ones((4, 1))})
    with pytest.raises(ParameterError, match="one r for each position"):
        with_design.predict_at({1: np.ones((2, 1))})
