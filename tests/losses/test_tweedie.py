"""Tweedie densities and tails against sums over SciPy's Poisson and gamma distributions, and judgements by them."""

from itertools import pairwise

import numpy as np
import pytest
from helpers import full, match_score
from numpy.testing import assert_allclose
from scipy import integrate, special, stats

import gcp
from gcp import ParameterError, SparseTensor, Tweedie, analysis
from gcp.analysis.anomalies import tail_probability

POWERS = (1.02, 1.2, 1.5, 1.8, 1.95)
DISPERSIONS = (0.002, 0.1, 1.0, 20.0)


def compound(m, p, phi, x=0.0):
    """Numbers of amounts (n,), their probabilities' logarithms, and the gamma distribution of the sum of each."""
    rate, shape, scale = m ** (2 - p) / (phi * (2 - p)), (2 - p) / (p - 1), phi * (p - 1) * m ** (p - 1)
    most = max(rate, x ** (2 - p) / (phi * (2 - p)))
    n = np.arange(1, int(most + 40 * np.sqrt(most) + 60))
    return n, stats.poisson.logpmf(n, rate), stats.gamma(n * shape, scale=scale), rate


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("phi", DISPERSIONS)
def test_density_is_that_of_a_poisson_number_of_gamma_amounts(power, phi):
    loss = Tweedie(power, eps=1e-300)
    for x, m in ((1e-5, 0.7), (0.4, 2.0), (3.0, 1.0), (25.0, 4.0), (300.0, 200.0)):
        _, log_p, amounts, rate = compound(m, power, phi, x)
        if len(log_p) > 100_000:
            continue
        expected = special.logsumexp(log_p + amounts.logpdf(x))
        assert_allclose(loss.log_likelihood(x, m, phi), expected, rtol=1e-9, atol=1e-9)
        assert_allclose(loss.log_likelihood(0.0, m, phi), -rate, rtol=1e-12)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("phi", [0.1, 20.0])
def test_of_many_data_each_has_its_density(power, phi):
    """Between some thousand data the series is interpolated."""
    loss, m = Tweedie(power), 3.0
    x = np.append(np.geomspace(0.1, 50.0, 30_000), np.full(3, 7.0))
    found = loss.log_likelihood(x, m, phi)
    for k in (0, 1, 777, 14_999, 20_003, 29_999, 30_002):
        _, log_p, amounts, _ = compound(m, power, phi, x[k])
        assert_allclose(found[k], special.logsumexp(log_p + amounts.logpdf(x[k])), rtol=2e-9, atol=2e-9)
    assert_allclose(loss.log_likelihood(np.full(100, 7.0), m, phi), found[-1], rtol=2e-9, atol=2e-9)


def test_default_dispersion_is_one_and_the_rest_is_log_normalizer(rng):
    loss, x, m = Tweedie(1.4), np.append(rng.gamma(1.0, 2.0, 20), 0.0), rng.gamma(2.0, 1.0, 21)
    assert_allclose(loss.log_likelihood(x, m), loss.log_likelihood(x, m, 1.0))
    assert_allclose(loss.log_likelihood(x, m), -(loss.value(x, m) + loss.log_normalizer(x)), rtol=1e-12)


@pytest.mark.parametrize("power", [1.3, 1.7])
def test_probabilities_sum_to_one(power):
    loss = Tweedie(power)
    density = lambda x: float(np.exp(loss.log_likelihood(x, 1.5, 0.8)))  # noqa: E731
    pieces = sum(integrate.quad(density, *ends)[0] for ends in pairwise((1e-9, 1e-3, 0.1, 1.0, 5.0, 60.0)))
    assert_allclose(np.exp(loss.log_likelihood(0.0, 1.5, 0.8)) + pieces, 1.0, rtol=1e-5)


@pytest.mark.parametrize("power", POWERS)
@pytest.mark.parametrize("phi", DISPERSIONS)
def test_tails(power, phi):
    loss = Tweedie(power)
    for x, m in ((0.0, 1.0), (0.4, 2.0), (3.0, 1.0), (9.0, 10.0), (40.0, 4.0)):
        _, log_p, amounts, rate = compound(m, power, phi, x)
        if len(log_p) > 20_000:
            continue
        below = np.exp(-rate) + np.exp(special.logsumexp(log_p + amounts.logcdf(x)))
        above = np.exp(special.logsumexp(log_p + amounts.logsf(x)))
        assert_allclose(loss.cdf(x, m, phi), below, rtol=1e-8, atol=1e-300)
        assert_allclose(loss.sf(x, m, phi), above, rtol=1e-8, atol=1e-290)


def test_zero_has_a_probability():
    loss, none = Tweedie(1.5), np.exp(-2 * np.sqrt(0.3))
    assert_allclose(loss.cdf([-1.0, 0.0], 0.3), [0.0, none])
    assert_allclose(loss.sf([-1.0, 0.0], 0.3), [1.0, 1 - none])
    assert_allclose(loss.strict_tails([0.0, 1.0], 0.3)[1], [1.0, float(loss.sf(1.0, 0.3))])
    assert_allclose(loss.cdf([0.0, 2.0], 0.0), 1.0)
    assert tail_probability(loss, np.zeros(1), np.ones(1), "high", 1.0) == 1.0


def test_many_small_amounts_are_normal():
    """A rate of 2e6: every few of its numbers stand for all."""
    loss, phi = Tweedie(1.5), 1e-6
    x = 1 + np.sqrt(phi) * np.array([-2.0, 0.0, 1.5])
    assert_allclose(loss.log_likelihood(x, 1.0, phi), stats.norm.logpdf(x, 1.0, np.sqrt(phi)), atol=0.01)
    assert_allclose(loss.cdf(x, 1.0, phi), stats.norm.cdf(x, 1.0, np.sqrt(phi)), atol=1e-3)


def test_statsmodels_agrees(rng):
    families = pytest.importorskip("statsmodels.genmod.families")
    x, m = Tweedie(1.6).sample_dispersed(np.full(300, 2.0), rng, 1.4), rng.gamma(2.0, 1.0, 300)
    family = families.Tweedie(var_power=1.6, eql=False)
    assert_allclose(Tweedie(1.6).deviance(x, m).sum(), family.deviance(x, m), rtol=1e-7)
    likelihood = Tweedie(1.6).log_likelihood(x, m, 1.4)
    assert_allclose(likelihood, family.loglike_obs(x, m, scale=1.4), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("power", [1.2, 1.7])
def test_samples(power, rng):
    loss, m, phi = Tweedie(power), 1.7, 0.6
    x = loss.sample_dispersed(np.full(20_000, m), rng, phi)
    none = float(np.exp(loss.log_likelihood(0.0, m, phi)))
    assert abs(np.mean(x == 0) - none) < 4 * np.sqrt(none / len(x))
    assert_allclose(x.mean(), m, rtol=0.05)
    assert_allclose(x.var(), phi * m**power, rtol=0.1)
    inside = np.sort(x[x > 0])[::20]
    grid = np.linspace(0.0, inside[-1], 400)
    at = np.interp(inside, grid, (loss.cdf(grid, m, phi) - none) / (1 - none))
    assert stats.kstest(at, "uniform").pvalue > 1e-3


def test_dispersion_is_the_maximum_of_the_likelihood(rng):
    m = rng.gamma(2.0, 1.0, 5000)
    x = Tweedie(1.4).sample_dispersed(m, rng, 2.5)
    found = Tweedie(1.4).estimate_dispersion(x, m)
    total = lambda phi: float(np.sum(Tweedie(1.4).log_likelihood(x, m, phi)))  # noqa: E731
    assert total(found) > max(total(found * 1.005), total(found / 1.005))
    assert_allclose(found, 2.5, rtol=0.1)
    twice = np.repeat(x[:400], 2), np.repeat(m[:400], 2)
    weighted = Tweedie(1.4).estimate_dispersion(x[:400], m[:400], np.full(400, 2.0))
    assert_allclose(weighted, Tweedie(1.4).estimate_dispersion(*twice), rtol=1e-5)


def planted(rng, shape=(14, 12, 10), phi=0.3):
    factors = [rng.gamma(0.7, 1.0, (size, 2)) for size in shape]
    return Tweedie(1.5).sample_dispersed(full(factors), rng, phi), factors


def test_fits_find_planted_factors_and_sparse_data_are_dense_ones(rng):
    x, factors = planted(rng)
    dense = gcp.fit_gcp(x, 2, loss="tweedie", random_state=0)
    assert match_score(dense.factors, factors) > 0.95
    sparse = SparseTensor(np.argwhere(x), x[x != 0], x.shape)
    again = gcp.fit_gcp(sparse, 2, loss="tweedie", random_state=0)
    assert_allclose(again.objective, dense.objective, rtol=1e-5)
    assert_allclose(analysis.log_likelihood(again, sparse), analysis.log_likelihood(again, x), rtol=1e-9)


def test_criteria_and_residuals_know_the_zeros(rng):
    x, factors = planted(rng)
    result = gcp.fit_gcp(x, 2, loss="tweedie", init=factors, random_state=0)
    criteria = analysis.information_criteria(result, x)
    assert_allclose(criteria.dispersion, 0.3, rtol=0.15)
    each = result.loss.log_likelihood(x, result.model_values(), criteria.dispersion)
    assert_allclose(criteria.log_likelihood, each.sum(), rtol=1e-9)
    residuals = analysis.residuals(result, x, kind="quantile", random_state=0)
    assert np.mean(x == 0) > 0.05
    assert stats.kstest(residuals.ravel(), "norm").statistic < 0.05


def test_what_no_power_is_is_refused():
    for bad in (1.0, 2.0, 0.5, np.nan, "high", None):
        with pytest.raises(ParameterError, match="power between 1 and 2"):
            Tweedie(bad)
