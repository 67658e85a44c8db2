"""Proper scores: closed forms, direct sums, and scores of forecasts by the samples that they are of."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats

import gcp
from gcp import DataError, DenseTensor, DomainError, ModeLabels, ParameterError
from gcp.analysis import proper_scores

# --- the scores of losses -------------------------------------------------------------------------------------


def test_of_normal_distributions():
    """Gneiting and Raftery (2007), equation 21."""
    x, m = np.array([-3.0, -1, 0, 0.2, 2, 9, 1e3]), np.array([0, 0.5, -0.3, 0.1, 2, 0, 3.0])
    for sd in (1e-3, 2.3, 1e4):
        z = (x - m) / sd
        truth = sd * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
        assert_allclose(gcp.Gaussian().ranked_probability_score(x, m, sd**2), truth, rtol=1e-6)


@pytest.mark.parametrize("shape", [0.1, 1.0, 5.0, 200.0])
def test_of_gamma_distributions(shape):
    """Scheuerer and Moeller (2015)."""
    x, m = np.array([1e-8, 0.01, 1, 3, 0.5, 20, 1e4]), np.array([2.0, 1, 1, 5, 0.1, 30, 3])
    scale = m / shape
    truth = (
        x * (2 * stats.gamma.cdf(x, shape, scale=scale) - 1)
        - m * (2 * stats.gamma.cdf(x, shape + 1, scale=scale) - 1)
        - scale * shape * special.beta(0.5, shape + 0.5) / np.pi
    )
    assert_allclose(gcp.Gamma().ranked_probability_score(x, m, 1 / shape), truth, rtol=1e-6)


def test_of_student_t_distributions():
    """Jordan, Krueger and Lerch (2019)."""
    z, nu = np.array([0.0, 2, -51, 1e4]), 3.0
    truth = z * (2 * stats.t.cdf(z, nu) - 1) + 2 * stats.t.pdf(z, nu) * (nu + z**2) / (nu - 1)
    truth -= 2 * np.sqrt(nu) / (nu - 1) * special.beta(0.5, nu - 0.5) / special.beta(0.5, nu / 2) ** 2
    found = gcp.StudentT(scale=2.0, dof=nu).ranked_probability_score(2 * z + 1, np.ones(4))
    assert_allclose(found, 2 * truth, rtol=1e-6)


def test_of_poisson_distributions():
    """Wei and Held (2014), by Bessel functions; large ones are summed by steps."""
    m = np.array([0.001, 0.5, 3, 50, 1000, 2.0, 3e5, 1e7])
    x = np.array([0, 2, 3, 0, 1100, 5000, 3.01e5, 1e7 + 2000])
    cdf, pmf = stats.poisson.cdf(x, m), stats.poisson.pmf(x, m)
    truth = (x - m) * (2 * cdf - 1) + 2 * m * pmf - m * (special.ive(0, 2 * m) + special.ive(1, 2 * m))
    found = gcp.Poisson().ranked_probability_score(x, m)
    assert_allclose(found[:6], truth[:6], rtol=1e-10)
    assert_allclose(found, truth, rtol=2e-6)


@pytest.mark.parametrize("r", [0.05, 3.0])
def test_of_negative_binomial_distributions(r):
    k = np.arange(60_000)
    x, m = np.array([0, 4, 50, 300]), np.array([1.0, 2, 0.1, 40])
    truth = [np.sum((stats.nbinom.cdf(k, r, 1 / (1 + b)) - (k >= a)) ** 2) for a, b in zip(x, m, strict=True)]
    assert_allclose(gcp.NegativeBinomial(r=r).ranked_probability_score(x, m), truth, rtol=1e-9)


def test_of_answers_it_is_the_brier_score_and_of_grades_a_sum_over_them():
    p = special.expit(np.array([0.3, 0.2, -4]))
    x = np.array([0, 1, 1])
    found = gcp.BernoulliLogit().ranked_probability_score(x, [0.3, 0.2, -4])
    assert_allclose(found, (p - x) ** 2, rtol=1e-12)
    loss = gcp.Ordinal(n_levels=4, thresholds=(-1.0, 0.0, 2.0))
    levels = np.arange(loss.data_domain.low, loss.data_domain.high + 1)
    for x in levels:
        below = np.array([loss.cdf(level, 0.3) for level in levels])
        truth = np.sum((below - (levels >= x)) ** 2)
        assert_allclose(loss.ranked_probability_score(x, 0.3), truth, rtol=1e-9)


def test_of_amounts_with_zeros_it_is_a_difference_of_expectations(rng):
    """E|X - x| - E|X - X'| / 2, of many draws."""
    loss = gcp.Tweedie(power=1.5)
    drawn = np.sort(loss.sample_dispersed(np.full(400_000, 1.2), rng, 0.8))
    n = len(drawn)
    spread = (2 * np.arange(1, n + 1) - n - 1) @ drawn / (n * (n - 1.0))
    for x in (0.0, 0.4, 7.0):
        truth = np.abs(drawn - x).mean() - spread
        assert_allclose(loss.ranked_probability_score(x, 1.2, 0.8), truth, rtol=0.01)


def test_without_a_distribution():
    with pytest.raises(ParameterError, match="has no distribution"):
        gcp.Quantile(tau=0.5).ranked_probability_score(1.0, 1.0)


# --- models ---------------------------------------------------------------------------------------------------


@pytest.fixture
def counts(rng):
    m = np.einsum("ir,jr,kr->ijk", *(rng.gamma(1.0, 1.3, (size, 2)) for size in (9, 8, 7)))
    return rng.poisson(m).astype(float)


def fit(data, rank=2, **options):
    return gcp.fit_gcp(data, rank, **{"random_state": 0, "n_threads": 1} | options)


def test_of_models_by_cell_and_in_the_mean(counts, rng):
    result = fit(counts, loss="poisson")
    mask, weights = rng.random(counts.shape) < 0.5, rng.uniform(0.5, 2, counts.shape)
    found = proper_scores(result, counts, mask=mask, entry_weights=weights)
    m, w = result.predict()[mask], weights[mask]
    assert found.cells == mask.sum()
    assert found.dispersion is None
    truth = -stats.poisson.logpmf(counts[mask], m)
    assert_allclose(found.logarithmic, np.average(truth, weights=w), rtol=1e-7)
    ranked = result.loss.ranked_probability_score(counts[mask], m)
    assert_allclose(found.ranked_probability, np.average(ranked, weights=w), rtol=1e-7)
    frame = found.to_frame()
    assert_allclose(frame["logarithmic"], truth, rtol=1e-7)
    assert_allclose(frame["observed"], counts[mask])
    assert frame.index[0] == tuple(np.argwhere(mask)[0])


def test_labels_in_another_order_and_zeros_of_sparse_data(counts):
    labels = ModeLabels(["a", "b", "c"], [list("abcdefghi"), None, None])
    result = fit(DenseTensor(counts, labels=labels), loss="poisson")
    whole = proper_scores(result, DenseTensor(counts, labels=labels))
    order = np.arange(9)[::-1]
    mixed = DenseTensor(counts[order], labels=ModeLabels(["a", "b", "c"], [list("ihgfedcba"), None, None]))
    subs = np.argwhere(counts)
    sparse = gcp.SparseTensor(subs, counts[tuple(subs.T)], counts.shape, labels=labels)
    for data in (mixed, sparse):
        found = proper_scores(result, data)
        assert found.cells == counts.size
        assert_allclose(found[1:3], whole[1:3], rtol=1e-9)
        assert_allclose(found.to_frame()["logarithmic"], whole.to_frame()["logarithmic"], rtol=1e-9)


def test_of_held_out_cells_with_the_dispersion_of_the_fit(rng):
    m = np.einsum("ir,jr,kr->ijk", *(rng.normal(size=(size, 2)) for size in (20, 15, 12)))
    split = gcp.hold_out(m + 0.5 * rng.normal(size=m.shape), 0.3, random_state=0)
    result = fit(split.train)
    found = proper_scores(result, split.test)
    assert_allclose(found.dispersion, 0.25, rtol=0.1)
    assert_allclose(found.logarithmic, 0.5 * np.log(2 * np.pi * 0.25) + 0.5, atol=0.15)
    log = gcp.analysis.log_likelihood(result, split.test, dispersion=found.dispersion)
    assert_allclose(found.logarithmic, -log / found.to_frame()["weight"].sum(), rtol=1e-6)
    assert proper_scores(result, split.test, dispersion=9.0).logarithmic > found.logarithmic


def test_exposures_trials_and_parameters_by_position(rng):
    people = rng.uniform(1, 9, 8)
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + np.outer(rng.gamma(3, 1, 30), people)))
    result = fit(x, 1, loss=gcp.NegativeBinomial(r=(2.0,) * 4 + (1.0,) * 4, by=1), exposure=people)
    found = proper_scores(result, x, exposure=people)
    r = np.array([2.0] * 4 + [1.0] * 4)
    mean = result.predict(exposure=people)
    assert_allclose(found.logarithmic, -stats.nbinom.logpmf(x, r, r / (r + mean)).mean(), rtol=1e-6)
    each = np.sum([(stats.nbinom.cdf(k, r, r / (r + mean)) - (k >= x)) ** 2 for k in range(3000)], axis=0)
    assert_allclose(found.ranked_probability, each.mean(), rtol=1e-6)
    n = rng.integers(3, 12, 8)
    y = rng.binomial(n, 0.4, (30, 8))
    result = fit(y, 1, loss="bernoulli-logit", trials=np.broadcast_to(n, y.shape))
    found = proper_scores(result, y, trials=np.broadcast_to(n, y.shape))
    p = result.predict()
    assert_allclose(found.logarithmic, -stats.binom.logpmf(y, n, p).mean(), rtol=1e-6)
    each = np.sum([(stats.binom.cdf(k, n, p) - (k >= y)) ** 2 for k in range(12)], axis=0)
    assert_allclose(found.ranked_probability, each.mean(), rtol=1e-6)


def test_better_models_score_better(counts):
    """Proper: the distribution that the data are from has the least expected score."""
    result = fit(counts, loss="poisson")
    drawn = np.random.default_rng(7).poisson(result.predict(), (40, *counts.shape))
    truth = np.mean([proper_scores(result, x)[1:3] for x in drawn], axis=0)
    others = [fit(counts, 1, loss="poisson"), fit(counts + 1, 2, loss="poisson")]
    for other in others:
        worse = np.mean([proper_scores(other, x)[1:3] for x in drawn], axis=0)
        assert (worse > truth).all()


def test_what_is_refused(counts):
    result = fit(counts, loss="poisson")
    with pytest.raises(DomainError):
        proper_scores(result, counts - 0.5)
    with pytest.raises(DataError):
        proper_scores(result, counts[1:])
    with pytest.raises(ParameterError, match="no free dispersion"):
        proper_scores(result, counts, dispersion=1.0)
    with pytest.raises(ParameterError, match="the FitResult of a fit, or a Forecast"):
        proper_scores(counts, counts)
    with pytest.raises(ParameterError, match="has no"):
        proper_scores(fit(counts, loss=gcp.Quantile(tau=0.5)), counts)


# --- forecasts ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walk():
    rng = np.random.default_rng(4)
    days = np.cumsum(rng.normal(0, 0.2, 64))
    m = np.exp(3.0 + np.outer(days, rng.normal(1, 0.3, 8)))
    x = rng.poisson(m).astype(float)
    labels = ModeLabels(["day", "place"], [np.datetime64("2026-01-01") + np.arange(60), list("abcdefgh")])
    return fit(DenseTensor(x[:60], labels=labels), 1, loss="poisson-log", main_effects=True), x[60:]


def test_of_forecasts_they_are_those_of_the_mixture(walk):
    result, came = walk
    forecast = result.forecast(4, lags=1, random_state=0, n_draws=4000)
    found = proper_scores(forecast, came)
    assert found.cells == 32
    paths = forecast.sample(40_000, 1)
    frequencies = (paths == came).mean(axis=0)
    assert_allclose(np.exp(-found.to_frame()["logarithmic"]), frequencies.ravel(), rtol=0.25, atol=2e-3)
    k = np.arange(4000)
    below = np.stack([(paths <= each).mean(axis=0) for each in k[:400]])
    ranked = np.sum((below - (k[:400, None, None] >= came)) ** 2, axis=0)
    assert_allclose(found.ranked_probability, ranked.mean(), rtol=0.05)


def test_what_came_is_matched_by_label_and_may_be_missing(walk):
    result, came = walk
    forecast = result.forecast(4, random_state=0)
    whole = proper_scores(forecast, came).to_frame()
    part = came.copy()
    part[3] = np.nan
    days = np.datetime64("2026-03-02") + np.arange(4)
    labels = ModeLabels(["place", "day"], [list("hgfedcba"), days[::-1]])
    found = proper_scores(forecast, DenseTensor(part[::-1, ::-1].T, labels=labels))
    assert found.cells == 24
    assert_allclose(found.to_frame()["logarithmic"], whole["logarithmic"][:24], rtol=1e-9)
    later = ModeLabels(["day", "place"], [days + 1, list("abcdefgh")])
    with pytest.raises(DataError, match="2026-03-0"):
        proper_scores(forecast, DenseTensor(came, labels=later))
    with pytest.raises(DomainError, match="poisson-log"):
        proper_scores(forecast, came + 0.5)
    with pytest.raises(DataError, match="an exposure of its own"):
        proper_scores(forecast, came, exposure=2.0)
    with pytest.raises(ParameterError, match="dispersion of its own"):
        proper_scores(forecast, came, dispersion=2.0)


def test_forecasts_by_a_design_are_exact(rng):
    x = 3 + np.outer(np.sin(np.arange(77) / 7 * 2 * np.pi), rng.normal(size=9)) + rng.normal(size=(77, 9))
    result = fit(x[:70], 2, design={0: gcp.designs.fourier(7, 1)})
    forecast = result.forecast(7, 0, random_state=0)
    found = proper_scores(forecast, x[70:])
    sd = np.sqrt(forecast.dispersion)
    assert_allclose(found.logarithmic, -stats.norm.logpdf(x[70:], forecast.mean, sd).mean(), rtol=1e-9)
    ranked = gcp.Gaussian().ranked_probability_score(x[70:], forecast.mean, sd**2)
    assert_allclose(found.ranked_probability, ranked.mean(), rtol=1e-9)


def test_of_several_losses_each_cell_by_its_own(rng):
    day = np.arange(64)
    wave = np.sin(2 * np.pi * day / 8)[:, None, None] * rng.uniform(0.5, 1, (6, 1))
    x = np.concatenate(
        [3 * wave + rng.normal(size=(64, 6, 2)), rng.poisson(np.exp(1 + wave), (64, 6, 2))], axis=2
    )
    labels = ModeLabels(["day", "site", "what"], [day[:56], None, list("abcd")])
    losses = {"what": {"c": "poisson-log", "d": "poisson-log", None: "gaussian"}}
    design = {"day": gcp.designs.fourier(8, 1)}
    result = fit(DenseTensor(x[:56], labels=labels), 2, loss=losses, design=design, l2_reg=0.1)
    forecast = result.forecast(8, "day", random_state=0)
    found = proper_scores(forecast, x[56:]).to_frame().reset_index()
    mean, came = forecast.mean.reshape(-1, 4), x[56:].reshape(-1, 4)
    for k, name in enumerate("abcd"):
        own = found[found["what"] == name]
        if name in "ab":
            variance = result.loss.parameters[k]
            log = -stats.norm.logpdf(came[:, k], mean[:, k], np.sqrt(variance))
            ranked = gcp.Gaussian().ranked_probability_score(came[:, k], mean[:, k], variance)
        else:
            log = -stats.poisson.logpmf(came[:, k], mean[:, k])
            ranked = gcp.Poisson().ranked_probability_score(came[:, k], mean[:, k])
        assert_allclose(own["logarithmic"], log, rtol=1e-6)
        assert_allclose(own["ranked_probability"], ranked, rtol=1e-6)
    low, high = forecast.interval(0.9)
    assert_allclose(low[..., 2:], np.floor(low[..., 2:]))
    assert_allclose((high - low)[..., 0].mean() / np.sqrt(result.loss.parameters[0]), 2 * 1.645, rtol=0.05)
    whole = proper_scores(result, DenseTensor(x[:56], labels=labels))
    assert np.isfinite(whole[1:3]).all()
    with pytest.raises(DomainError, match="poisson-log"):
        proper_scores(forecast, x[56:] + 0.5)
