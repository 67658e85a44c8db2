"""Inverse Gaussian losses: dispersion, draws, and fits in any unit."""

import numpy as np
import pytest
from helpers import full, match_score
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import BetaDivergence, InverseGaussian, analysis


def planted(rng, phi=0.05, shape=(15, 12, 10)):
    factors = [rng.gamma(2.0, 0.5, (size, 2)) for size in shape]
    return InverseGaussian().sample_dispersed(full(factors), rng, phi), factors


@pytest.mark.parametrize("phi", [0.02, 1.0, 30.0])
def test_likelihood_of_a_dispersion(phi, rng):
    x, m = rng.gamma(2.0, 1.0, (2, 40))
    expected = stats.invgauss.logpdf(x, phi * m, scale=1 / phi)
    assert_allclose(InverseGaussian().log_likelihood(x, m, phi), expected, rtol=1e-8, atol=1e-8)


def test_dispersion_is_the_maximum_of_the_likelihood(rng):
    m = rng.gamma(4.0, 0.5, 3000)
    x = InverseGaussian().sample_dispersed(m, rng, 0.4)
    found = InverseGaussian().estimate_dispersion(x, m)
    total = lambda phi: float(np.sum(InverseGaussian().log_likelihood(x, m, phi)))  # noqa: E731
    assert total(found) > max(total(found * 1.001), total(found / 1.001))
    assert_allclose(found, 0.4, rtol=0.1)


@pytest.mark.parametrize("m", [1e-3, 1.0, 1e9])
def test_draws_of_any_mean_are_positive_and_follow_the_density(m, rng):
    x = InverseGaussian().sample_dispersed(np.full(3000, m), rng, 0.5)
    assert (x > 0).all()
    assert stats.kstest(x, lambda t: InverseGaussian().cdf(t, m, 0.5)).pvalue > 1e-3


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_planted_factors_are_found_in_any_unit(unit, rng):
    x, factors = planted(rng)
    result = gcp.fit_gcp(unit * x, 2, loss="inverse-gaussian", random_state=0)
    assert result.converged
    assert match_score(result.factors, factors) > 0.97


def test_f_is_that_of_a_beta_divergence(rng):
    x, m = rng.gamma(2.0, 1.0, (2, 30))
    assert_allclose(InverseGaussian().deriv(x, m), BetaDivergence(-1.0).deriv(x, m), rtol=1e-12)


def test_the_bootstrap_draws_from_this_distribution(rng):
    """Standard errors from it are those from the information: draws of another distribution would differ."""
    x, _ = planted(rng, 0.02)
    result = gcp.fit_gcp(x, 1, loss="inverse-gaussian", random_state=0)
    drawn = analysis.bootstrap(result, x, n=40, random_state=0)
    errors = analysis.standard_errors(result, x)
    spread = np.std(drawn.weights[:, 0], ddof=1)
    assert_allclose(spread, errors.weights[0], rtol=0.5)
