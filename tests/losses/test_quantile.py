"""Quantile losses: shares of the data below the model, and how far smoothing moves it."""

import numpy as np
import pytest
from helpers import full
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import ParameterError, Quantile
from gcp.objectives.build import build_objective

SHAPE = (15, 12, 10)


def noisy(rng, spread=1.0):
    factors = [rng.normal(size=(size, 2)) for size in SHAPE]
    return 30 + full(factors) + spread * rng.standard_normal(SHAPE)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("solver", ["auto", "lbfgsb"])
def test_a_share_tau_of_the_data_lies_below_the_model(tau, solver, rng):
    x = noisy(rng)
    result = gcp.fit_gcp(x, 2, loss=Quantile(tau), main_effects=True, solver=solver, random_state=0)
    assert_allclose(np.mean(x < result.predict()), tau, atol=0.005)


def test_each_position_has_its_quantile(rng):
    """Of a matrix under a main effect, a position's quantile is that of its row."""
    x = rng.gamma(2.0, 1.0, (4, 801)) * np.array([[1.0], [2.0], [5.0], [9.0]])
    result = gcp.fit_gcp(x, 0, loss=Quantile(0.9, width=1e-3), main_effects=["mode_0"], random_state=0)
    assert_allclose(result.predict()[:, 0], np.quantile(x, 0.9, axis=1), rtol=0.02)


def test_smoothing_moves_the_quantile_as_is_said(rng):
    """0.01 s at h = 0.07 s and 0.17 s at h = 0.3 s, of the quantile 0.9 of normal data."""
    x = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    for h, off in ((0.07, 0.0103), (0.3, 0.17)):
        m = build_objective(x, Quantile(0.9, width=h, scale=1.0)).null_constant
        assert_allclose(m - stats.norm.ppf(0.9), off, rtol=0.1)
    density = stats.norm.pdf(stats.norm.ppf(0.9))
    formula = 1.64 * 0.07**2 * stats.norm.ppf(0.9) * density / density  # g' = -z g
    assert_allclose(formula, 0.0103, rtol=0.02)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_scale_is_that_of_the_data_whatever_their_unit_and_outliers(unit, rng):
    x = noisy(rng)
    x[0, 0, 0] = 1e9
    low, high = np.quantile(x, [0.25, 0.75])
    one, other = (gcp.fit_gcp(by * x, 1, loss="quantile", random_state=0) for by in (1.0, unit))
    assert_allclose(one.loss.scale, high - low, rtol=0.01)
    assert_allclose(other.loss.scale, unit * one.loss.scale, rtol=1e-9)
    assert_allclose(other.objective, unit * one.objective, rtol=1e-3)


def test_weights_and_missing_cells_count_in_the_scale(rng):
    x = noisy(rng)
    x[:8] *= 1000
    weights = np.ones(SHAPE)
    weights[:8] = 0.0
    own = build_objective(x, "quantile", entry_weights=weights).loss.scale
    assert_allclose(own, np.subtract(*np.quantile(x[8:], [0.75, 0.25])), rtol=0.01)


@pytest.mark.parametrize("x", [np.zeros((3, 4)), np.full((3, 4), 5.0), np.eye(5)])
def test_data_of_few_values_have_a_scale(x):
    assert build_objective(x, "quantile").loss.scale > 0


def test_there_is_no_distribution(rng):
    result = gcp.fit_gcp(noisy(rng), 1, loss="quantile", random_state=0)
    for ask in (
        lambda: result.loss.log_likelihood(1.0, 1.0),
        lambda: result.loss.cdf(1.0, 1.0),
        lambda: result.loss.sample(np.ones(3), rng),
        lambda: gcp.analysis.standard_errors(result, noisy(rng)),
        lambda: gcp.analysis.information_criteria(result, noisy(rng)),
    ):
        with pytest.raises(ParameterError, match="quantile loss"):
            ask()


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.5, np.nan, "half", None])
def test_bad_orders_are_named(bad):
    with pytest.raises(ParameterError, match="tau between 0 and 1"):
        Quantile(tau=bad)
