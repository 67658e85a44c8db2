"""Variances, shapes and dispersions that are one for each position of a mode: weighted fits."""

import numpy as np
import pandas as pd
import pytest
from helpers import random_factors
from scipy import optimize, stats

import gcp
from gcp import (
    Gamma,
    Gaussian,
    InverseGaussian,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    Tweedie,
    fit_gcp,
)
from gcp.analysis import (
    anomalies,
    bootstrap,
    deviance,
    information_criteria,
    log_likelihood,
    n_parameters,
    residuals,
)

VARIANCES = np.array([0.04, 0.25, 1.0, 4.0, 9.0])


@pytest.fixture
def planted(rng):
    """Normal data of 5 sensors x 14 times x 30 trials, each sensor with its variance, and their means."""
    mu = np.einsum("ar,br,cr->abc", *random_factors((5, 14, 30), 2, rng))
    return mu + np.sqrt(VARIANCES)[:, None, None] * rng.standard_normal(mu.shape), mu


def reweighted(x, z):
    """Coefficients and variances of columns (n, K) about one mean Z b, by iteratively reweighted least squares."""
    variances = np.ones(x.shape[1])
    for _ in range(500):
        w = 1 / variances
        b = np.linalg.lstsq(z, x @ w / w.sum(), rcond=None)[0]
        variances = np.mean((x - (z @ b)[:, None]) ** 2, axis=0)
    return b, variances


def of_columns(x, z, loss, **options):
    """The fit of one mean for all columns, made of a design of the rows."""
    init = [z @ np.ones((z.shape[1], 1)), np.ones((x.shape[1], 1))]
    return fit_gcp(
        x,
        1,
        loss=loss,
        init=init,
        fixed_modes=[1],
        design={0: z},
        n_threads=1,
        random_state=0,
        tol=1e-13,
        **options,
    )


def test_variances_are_those_of_iteratively_reweighted_least_squares(rng):
    z = np.column_stack([np.ones(60), np.linspace(-1, 1, 60), rng.standard_normal(60)])
    sd = np.array([0.2, 1.0, 3.0, 0.5])
    x = (z @ [2.0, -1.0, 0.5])[:, None] + sd * rng.standard_normal((60, 4))
    found = of_columns(x, z, Gaussian(variance="estimate", by=1))
    b, variances = reweighted(x, z)
    own = (
        found.coefficients["mode_0"]
        if "mode_0" in found.coefficients
        else next(iter(found.coefficients.values()))
    )
    scale = found.weights[0] * found.factors[1][0, 0]
    np.testing.assert_allclose(own[:, 0] * scale, b, rtol=1e-4)
    np.testing.assert_allclose(found.loss.variance, variances, rtol=5e-4)
    truth = stats.norm.logpdf(x, (z @ b)[:, None], np.sqrt(variances)).sum()
    assert log_likelihood(found, x) == pytest.approx(truth, rel=1e-7)
    assert n_parameters(found) == 3 + 4
    assert information_criteria(found, x).n_parameters == 7  # no further dispersion


def test_statsmodels_weighted_least_squares_agrees(rng):
    linear = pytest.importorskip("statsmodels.regression.linear_model")
    z = np.column_stack([np.ones(40), np.linspace(-1, 1, 40)])
    variances = np.array([0.1, 2.0, 5.0])
    x = (z @ [2.0, -1.0])[:, None] + np.sqrt(variances) * rng.standard_normal((40, 3))
    found = of_columns(x, z, Gaussian(variance=tuple(variances), by=1))
    truth = linear.WLS(x.ravel(), np.repeat(z, 3, axis=0), weights=np.tile(1 / variances, 40)).fit()
    np.testing.assert_allclose(found.predict()[:, 0], z @ truth.params, rtol=1e-6)


def test_planted_variances_are_recovered(planted):
    x, mu = planted
    by = fit_gcp(x, 2, loss=Gaussian(variance="estimate", by=0), random_state=0)
    plain = fit_gcp(x, 2, random_state=0)
    np.testing.assert_allclose(by.loss.variance, VARIANCES, rtol=0.2)
    assert by.converged
    assert log_likelihood(by, x) > log_likelihood(plain, x) + 200
    assert np.sum((by.predict() - mu) ** 2 / VARIANCES[:, None, None]) < 0.5 * np.sum(
        (plain.predict() - mu) ** 2 / VARIANCES[:, None, None]
    )


@pytest.mark.parametrize("kind", ["missing", "observed", "weighted", "float32", "labelled", "sparse"])
def test_every_kind_of_data(kind, planted, rng):
    """At the same variances, by the normal density."""
    x, _ = planted
    known = np.ones(x.shape, bool) if kind in ("float32", "labelled") else rng.random(x.shape) < 0.8
    w, options, data = known.astype(float), {}, x
    if kind == "missing":
        data = np.where(known, x, np.nan)
    elif kind == "observed":
        data = ObservedTensor(np.argwhere(known), x[known], x.shape)
    elif kind == "weighted":
        w = known * rng.uniform(0.5, 2.0, x.shape)
        options = {"entry_weights": w}
    elif kind == "float32":
        data = x = x.astype(np.float32)
    elif kind == "sparse":
        x, w = np.where(known, x, 0.0), np.ones(x.shape)
        data = SparseTensor(np.argwhere(known), x[known], x.shape)
    by = 0
    if kind == "labelled":
        index = pd.MultiIndex.from_product([list("abcde"), range(14), range(30)], names=["s", "t", "c"])
        data, by = pd.Series(x.ravel(), index).sample(frac=1.0, random_state=1), "s"
    found = fit_gcp(data, 2, loss=Gaussian(variance="estimate", by=by), random_state=0, **options)
    error = np.where(w > 0, x - found.predict(), 0.0) ** 2
    likeliest = np.sum(w * error, axis=(1, 2)) / np.sum(w, axis=(1, 2))
    np.testing.assert_allclose(found.loss.variance, likeliest, rtol=5e-3)
    truth = w * stats.norm.logpdf(x, found.predict(), np.sqrt(found.loss.variance)[:, None, None])
    assert log_likelihood(found, data, **options) == pytest.approx(truth.sum(), rel=1e-5)
    own = np.sum(w * error / np.array(found.loss.variance)[:, None, None])
    judged = deviance(found, data, **options)
    assert judged.deviance == pytest.approx(own, rel=1e-4)
    assert judged.total_weight == pytest.approx(w.sum())
    if kind == "labelled":
        assert log_likelihood(found, data.sort_index()) == pytest.approx(truth.sum(), rel=1e-9)


@pytest.mark.parametrize(
    ("loss", "draw", "density"),
    [
        (
            Gamma(shape="estimate", by=0),
            lambda mu, k, rng: rng.gamma(k, mu / k),
            lambda x, mu, k: stats.gamma.logpdf(x, k, scale=mu / k),
        ),
        (
            InverseGaussian(shape="estimate", by=0),
            lambda mu, k, rng: rng.wald(mu, k),
            lambda x, mu, k: stats.invgauss.logpdf(x, mu / k, scale=k),
        ),
    ],
    ids=["gamma", "inverse-gaussian"],
)
def test_shapes_weigh_the_cells(loss, draw, density, rng):
    """One mean for all columns of rows with shapes of their own, by SciPy's maximum."""
    shapes, mean = np.array([0.5, 2.0, 30.0]), np.array([1.0, 3.0, 2.0, 0.5])
    x = draw(np.tile(mean, (3, 60, 1)), shapes[:, None, None], rng)
    ones = [np.ones((3, 1)), np.ones((60, 1)), np.ones((4, 1))]
    found = fit_gcp(x, 1, loss=loss, init=ones, fixed_modes=[0, 1], n_threads=1, random_state=0, tol=1e-13)

    def minus(free):
        own = np.exp(free)
        return -np.sum(density(x, own[:4], own[4:, None, None]))

    best = optimize.minimize(minus, np.zeros(7), method="BFGS", options={"gtol": 1e-6})
    np.testing.assert_allclose(found.predict()[0, 0], np.exp(best.x[:4]), rtol=1e-4)
    np.testing.assert_allclose(found.loss.shape, np.exp(best.x[4:]), rtol=1e-3)
    assert log_likelihood(found, x) == pytest.approx(-best.fun, rel=1e-8)


def test_dispersions_of_tweedie(rng):
    """By the probability of 0 and the variance of the draws, and by a maximum of each row's likelihood."""
    phi, mu = np.array([0.3, 1.0, 3.0]), 2.0
    loss = Tweedie(power=1.5, dispersion=tuple(phi), by=0)
    x = loss.at(np.arange(3)[:, None]).sample(np.full((3, 4000), mu), rng)
    np.testing.assert_allclose(x.var(axis=1), phi * mu**1.5, rtol=0.15)
    np.testing.assert_allclose((x == 0).mean(axis=1), np.exp(-(mu**0.5) / (0.5 * phi)), atol=0.03)
    x = x[:, :300]
    ones = [np.ones((3, 1)), np.ones((300, 1))]
    found = fit_gcp(
        x, 1, loss=Tweedie(power=1.5, dispersion="estimate", by=0), init=ones, fixed_modes=[1], random_state=0
    )
    plain = Tweedie(power=1.5)
    own = [plain.estimate_dispersion(row, np.full(300, row.mean())) for row in x]
    np.testing.assert_allclose(found.loss.dispersion, own, rtol=1e-3)
    truth = sum(plain.log_likelihood(row, row.mean(), one).sum() for row, one in zip(x, own, strict=True))
    assert log_likelihood(found, x) == pytest.approx(truth, rel=1e-6)


def test_judgements_know_each_position(planted):
    """By SciPy's normal distribution."""
    x, _ = planted
    found = fit_gcp(x, 2, loss=Gaussian(variance=tuple(VARIANCES), by=0), random_state=0)
    truth = stats.norm(found.predict(), np.sqrt(VARIANCES)[:, None, None])
    np.testing.assert_allclose(stats.norm.cdf(residuals(found, x)), truth.cdf(x), atol=1e-9)
    far = anomalies(found, x, n=3)
    assert far.p_value[0] == pytest.approx(2 * np.minimum(truth.cdf(x), truth.sf(x)).min(), rel=1e-6)
    standard = (x - found.predict()) / np.sqrt(VARIANCES)[:, None, None]
    np.testing.assert_allclose(residuals(found, x, "deviance"), standard, rtol=1e-8, atol=1e-10)
    assert bootstrap(found, x, 2, random_state=0).objectives.shape == (2,)


def test_a_position_that_the_model_repeats_stops_at_the_limit(rng):
    x = 3.0 + rng.standard_normal((5, 40))
    x[2] = np.linspace(1, 2, 40)
    found = fit_gcp(x, 1, loss=Gaussian(variance="estimate", by=0), modes=["sensor", "time"], random_state=0)
    assert np.isfinite(log_likelihood(found, x))
    assert found.loss.variance[2] == pytest.approx(1e-6 * x[2].var(), rel=1e-3)
    assert "variance of sensor 2" in found.message
    assert "Heywood" in found.message
    assert "Heywood" in repr(found)


def test_a_position_without_data_has_the_median_of_the_others(planted):
    x, _ = planted
    x = x.copy()
    x[1] = np.nan
    found = fit_gcp(x, 1, loss=Gaussian(variance="estimate", by=0), random_state=0)
    assert found.loss.variance[1] == pytest.approx(
        np.exp(np.median(np.log(np.delete(found.loss.variance, 1))))
    )
    assert "no data, and the median of the others" in found.message


def test_saved_and_loaded(planted, tmp_path):
    x, _ = planted
    found = fit_gcp(x, 1, loss=Gaussian(variance="estimate", by=0), random_state=0)
    found.save(tmp_path / "a.npz")
    again = gcp.load(tmp_path / "a.npz")
    assert again == found
    assert again.loss == found.loss
    with pytest.raises(ParameterError, match="transform another mode"):
        again.transform(x, mode=0)
    np.testing.assert_allclose(again.transform(x, mode=2).rows, found.factors[2], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Gaussian(variance=2.0), "without a mode"),
        (lambda: Gamma(shape="estimate"), "without a mode"),
        (lambda: Gaussian(by=0), "found None"),
        (lambda: Gaussian(variance=[1.0, -1.0], by=0), "> 0: found -1.0"),
        (lambda: Gaussian(variance=[1.0, 2.0], by=0).log_likelihood(1.0, 1.0), "loss.at"),
        (lambda: Gaussian(variance=[1.0, 2.0], by=0).cdf(1.0, 1.0), "loss.at"),
        (lambda: Gamma(shape=[1.0, 2.0], by=0).sample(1.0, np.random.default_rng(0)), "loss.at"),
    ],
)
def test_what_cannot_be_is_refused(make, match):
    with pytest.raises(ParameterError, match=match):
        make()


def test_with_an_exposure_and_main_effects(rng):
    """By SciPy's gamma density."""
    shapes, e = np.array([0.5, 4.0, 40.0]), rng.uniform(0.5, 3.0, (3, 20, 1))
    mean = e * np.einsum("ar,br,cr->abc", *random_factors((3, 20, 12), 1, rng, positive=True))
    x = rng.gamma(shapes[:, None, None], mean / shapes[:, None, None])
    found = fit_gcp(x, 1, loss=Gamma(shape="estimate", by=0), exposure=e, main_effects=(1,), random_state=0)
    k = np.array(found.loss.shape)[:, None, None]
    truth = stats.gamma.logpdf(x, k, scale=found.predict(exposure=e) / k).sum()
    assert log_likelihood(found, x, exposure=e) == pytest.approx(truth, rel=1e-7)
    np.testing.assert_allclose(found.loss.shape, shapes, rtol=0.4)


def test_sparse_data_are_those_of_the_array(rng):
    """Zeros by a closed form: the same weighted least squares as of the array."""
    x = rng.poisson(0.4, (4, 30, 20)).astype(float) * np.array([1.0, 2.0, 5.0, 10.0])[:, None, None]
    sparse = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    loss, own = Gaussian(variance="estimate", by=0), {"random_state": 0, "tol": 1e-12, "n_threads": 1}
    dense, listed = (fit_gcp(data, 1, loss=loss, **own) for data in (x, sparse))
    np.testing.assert_allclose(listed.loss.variance, dense.loss.variance, rtol=1e-3)
    for judge in (log_likelihood, lambda f, d: deviance(f, d).null_deviance):
        assert judge(listed, sparse) == pytest.approx(judge(listed, x), rel=1e-9)


def test_a_checkpoint_knows_the_mode(planted, tmp_path):
    x, _ = planted
    path = tmp_path / "c.npz"
    first = fit_gcp(
        x, 1, loss=Gaussian(variance="estimate", by=0), random_state=0, checkpoint=path, n_threads=1
    )
    again = fit_gcp(
        x, 1, loss=Gaussian(variance="estimate", by=0), random_state=0, checkpoint=path, n_threads=1
    )
    assert again.loss == first.loss
    with pytest.raises(gcp.DataError, match="loss"):
        fit_gcp(x, 1, loss=Gaussian(variance="estimate", by=1), random_state=0, checkpoint=path)


def test_summary_and_report_say_the_numbers_by_label(planted, tmp_path):
    x, _ = planted
    labels = gcp.ModeLabels(
        ["sensor", "time", "trial"], [["oslo", "rome", "bern", "kiel", "lima"], None, None]
    )
    found = fit_gcp(
        gcp.DenseTensor(x, labels=labels), 1, loss=Gaussian(variance=tuple(VARIANCES), by="sensor")
    )
    assert "variance by sensor: oslo 0.04, rome 0.25, bern 1, kiel 4, lima 9" in " ".join(
        str(found.summary()).split()
    )
    many = Gaussian(variance=tuple(np.arange(1.0, 15.0)), by=1)
    assert "0 1, 1 2, 2 3, ..., 11 12, 12 13, 13 14" in str(fit_gcp(x, 1, loss=many).summary())
    gcp.write_report(found, x, tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert "one variance for each position of sensor" in page


def test_components_are_compared_at_equal_expectations(planted):
    """Shares of one component: what it explains alone is what the model explains."""
    x, _ = planted
    found = fit_gcp(x, 1, loss=Gaussian(variance=tuple(VARIANCES), by=0), random_state=0)
    shares = gcp.analysis.component_shares(found, x)
    v, m = VARIANCES[:, None, None], found.predict()
    null = np.average(x, weights=np.broadcast_to(1 / v, x.shape))
    explained = 1 - np.sum((x - m) ** 2 / v) / np.sum((x - null) ** 2 / v)
    assert shares.explained == pytest.approx(explained, rel=1e-6)
