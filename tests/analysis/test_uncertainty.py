"""Standard errors against the spread of many fits, closed forms, and the bootstrap against both."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from pandas import DataFrame
from scipy import optimize, special, stats
from xarray import DataArray

from gcp import (
    BetaDivergence,
    Huber,
    ModeLabels,
    NegativeBinomial,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    UndeterminedWarning,
    fit_gcp,
    get_loss,
)
from gcp.analysis import Bootstrap, align, bootstrap, standard_errors
from gcp.datasets import load_titanic

SHAPE = (7, 6, 5)


def truth_of(loss, rng, scale=1.0, shape=SHAPE, rank=2):
    loss = get_loss(loss)
    factors = random_factors(shape, rank, rng, positive=loss.model_domain.low == 0)
    return loss, [scale * factors[0], *factors[1:]]


@pytest.mark.parametrize(
    ("loss", "scale", "options"),
    [
        ("gaussian", 4.0, {}),
        pytest.param("poisson", 30.0, {}, marks=pytest.mark.slow),
        pytest.param("gaussian", 4.0, {"main_effects": True}, marks=pytest.mark.slow),
        pytest.param("gamma", 3.0, {"rank": 1}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_they_are_the_spread_of_many_fits(loss, scale, options, rng):
    """300 tensors from one model: each standard error within a quarter of the spread, the mean ratio within 6 %."""
    rank, options = options.get("rank", 2), {k: v for k, v in options.items() if k != "rank"}
    loss, factors = truth_of(loss, rng, scale, SHAPE if rank == 2 else (14, 12, 10), rank)
    m = full(factors) + (rng.normal(size=(7, 1, 1)) if options else 0.0)
    fits = []
    for _ in range(300):
        x = loss.sample(m, rng).astype(float)
        found = fit_gcp(x, rank, loss=loss, init=factors, tol=1e-11, n_iter_max=3000, **options)
        fits.append(align(found, fits[0]) if fits else found)
    exact = align(fit_gcp(np.asarray(m), rank, init=factors, tol=1e-13, **options), fits[0])
    at_truth = fit_gcp(x, rank, loss=loss, init=exact, n_iter_max=0, **options)
    dispersion = {"gaussian": 0.5, "gamma": 1.0}.get(loss.name)
    found = standard_errors(at_truth, x, dispersion=dispersion, bias_correction=False)
    ratios = []
    for n in range(3):
        spread = np.std([f.factors[n] for f in fits], axis=0, ddof=1)
        ratios.append((found.factors[n] / spread).ravel())
    spread = np.std([f.weights for f in fits], axis=0, ddof=1)
    ratios.append(found.weights / spread)
    if options:
        for name, error in found.main_effects.items():
            ratios.append(error / np.std([f.main_effects[name] for f in fits], axis=0, ddof=1))
        ratios.append([found.intercept / np.std([f.intercept for f in fits], ddof=1)])
    ratios = np.concatenate(ratios)
    assert abs(np.nanmean(ratios) - 1) < 0.06
    assert np.nanmin(ratios) > 0.75
    assert np.nanmax(ratios) < 1.25


def test_the_mean_of_gaussian_data(rng):
    """A rank-1 model of a vector is its entries; of unit columns, the weight is their root of squares."""
    x = 5.0 + rng.normal(size=(1, 400))
    result = fit_gcp(x.T @ np.ones((1, 3)) + rng.normal(size=(400, 3)), 1, random_state=0)
    found = standard_errors(result, x.T @ np.ones((1, 3)) + rng.normal(size=(400, 3)))
    assert_allclose(found.weights, np.sqrt(found.dispersion), rtol=1e-6)


def test_kinds_of_data_agree(rng):
    loss, factors = truth_of("poisson", rng, 30.0)
    x = loss.sample(full(factors), rng).astype(float)
    result = fit_gcp(x, 2, loss=loss, random_state=0)
    dense = standard_errors(result, x)
    assert np.isfinite(dense.weights).all()
    sparse = standard_errors(result, SparseTensor(np.argwhere(x), x[x > 0], SHAPE))
    listed = standard_errors(result, ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE))
    plain = standard_errors(result, x, bias_correction=False)  # the bias falls faster than the errors
    doubled = standard_errors(result, x, entry_weights=2 * np.ones(SHAPE), bias_correction=False)
    for other in (sparse, listed):
        assert_allclose(other.weights, dense.weights, rtol=1e-6)
        assert_allclose(other.factors[1], dense.factors[1], rtol=1e-5)
    assert_allclose(doubled.weights, plain.weights / np.sqrt(2), rtol=1e-6)


def matrices(rng):
    mixed = rng.normal(size=(30, 2)) @ rng.normal(size=(2, 20)) + 0.3 * rng.normal(size=(30, 20))
    counts = rng.poisson(rng.gamma(2, 1, (30, 2)) @ rng.gamma(2, 1, (2, 20))).astype(float)
    return {
        "gaussian": (mixed, 2, {}),
        "poisson": (counts, 2, {"loss": "poisson"}),
        "poisson-log": (counts + 5, 2, {"loss": "poisson-log"}),
        "main effects": (mixed, 1, {"main_effects": True}),
    }


@pytest.mark.parametrize("case", ["gaussian", "poisson", "poisson-log", "main effects"])
def test_components_that_mix_have_none(case, rng):
    """Two models of equal entries, components of one mixed: where they differ, no standard error is given."""
    x, rank, options = matrices(rng)[case]
    result = fit_gcp(x, rank, random_state=0, tol=1e-12, n_iter_max=3000, **options)
    a, b = (np.asarray(f, dtype=float) for f in result.factors)
    a = a * result.weights
    if case == "main effects":
        name = result.labels.names[1]
        effects = {**result.main_effects, name: result.main_effects[name] - 0.05 * b[:, 0]}
        other = replace(result, factors=[a + 0.05, b], weights=np.ones(1), main_effects=effects)
    else:
        turn = np.array([[1.0, 0.02], [-0.01, 1.0]])
        other = replace(result, factors=[a @ turn, b @ np.linalg.inv(turn).T], weights=np.ones(2))
    assert_allclose(other.model_values(), result.model_values(), rtol=1e-6, atol=1e-6)
    with pytest.warns(UndeterminedWarning, match="Not determined by the data"):
        found = standard_errors(result, x)
    assert np.isnan(found.weights).all()
    assert all(np.isnan(e).mean() > 0.4 for e in found.factors)
    assert "component 0" in found.message
    (low, _), _ = found.interval()
    assert np.isnan(low).all()


def test_determined_components_are_not_called_mixed(rng):
    x = rng.normal(size=(8, 7)) + 20 * np.outer(rng.normal(size=8), rng.normal(size=7))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UndeterminedWarning)
        found = standard_errors(fit_gcp(x, 1, random_state=0), x)
    assert found.message == ""
    assert np.isfinite(found.weights).all()


def test_more_parameters_than_cells_have_none(rng):
    x = rng.normal(size=(3, 3, 2))
    with pytest.warns(UndeterminedWarning, match="too few"):
        found = standard_errors(fit_gcp(x, 4, random_state=0, n_iter_max=50), x)
    assert np.isnan(found.weights).all()


def test_noise_has_none(rng):
    x = rng.normal(size=(9, 8, 7))
    with pytest.warns(UndeterminedWarning, match="Too uncertain"):
        found = standard_errors(fit_gcp(x, 2, random_state=0), x)
    assert np.isnan(found.weights).any()


def test_a_fixed_mode_makes_it_linear_regression(rng):
    """Of one row, the weights are coefficients times the norms of the regressors."""
    z, x = rng.normal(size=(50, 2)), rng.normal(size=(1, 50)) + 4
    result = fit_gcp(x, 2, init=[np.ones((1, 2)), z], fixed_modes=[1], tol=1e-13)
    found = standard_errors(result, x, dispersion=0.5, bias_correction=False)
    expected = np.sqrt(0.5 * np.diag(np.linalg.inv(z.T @ z))) * np.linalg.norm(z, axis=0)
    assert_allclose(found.weights, expected, rtol=1e-6)
    assert_allclose(found.factors[1], 0.0)
    assert_allclose(found.factors[0], 0.0, atol=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_a_fixed_mode_makes_it_a_generalized_linear_model(loss, rng):
    """Of an identity link, with the inverse variances of the fitted means as weights."""
    z, truth = rng.gamma(1.0, 1.0, (400, 2)) + 0.1, np.array([40.0, 70.0])
    x = get_loss(loss).sample(z @ truth, rng).astype(float)[None]
    result = fit_gcp(x, 2, loss=loss, init=[truth[None], z], fixed_modes=[1], tol=1e-14, n_iter_max=2000)
    found = standard_errors(result, x, dispersion={"gamma": 1.0}.get(loss), bias_correction=False)
    m = result.model_values()[0]
    w = 1 / (m if loss == "poisson" else m**2)
    expected = np.sqrt(np.diag(np.linalg.inv(z.T @ (z * w[:, None])))) * np.linalg.norm(z, axis=0)
    assert_allclose(found.weights, expected, rtol=1e-5)


def test_main_effects_beside_a_fixed_mode_are_a_regression(rng):
    """Every row has an intercept and a slope of its own; effects are about the mean of the intercepts."""
    z, n = rng.normal(size=(40, 1)), 6
    rows, slopes = rng.normal(size=(n, 1)), 3 + rng.normal(size=(n, 1))
    x = rows + slopes @ z.T + 0.5 * rng.normal(size=(n, 40))
    result = fit_gcp(x, 1, init=[slopes, z], fixed_modes=[1], main_effects=[0], tol=1e-14, n_iter_max=2000)
    found = standard_errors(result, x, dispersion=0.25, bias_correction=False)
    design = np.column_stack([np.ones(40), z])
    of_intercept, of_slope = 0.5 * np.sqrt(np.diag(np.linalg.inv(design.T @ design)))
    assert_allclose(found.weights, of_slope * np.linalg.norm(z), rtol=1e-5)
    assert_allclose(found.intercept, of_intercept / np.sqrt(n), rtol=1e-5)
    (effects,) = found.main_effects.values()
    assert_allclose(effects, of_intercept * np.sqrt(1 - 1 / n), rtol=1e-5)


def test_tied_modes_count_once(rng):
    """Of X = w u u', the weight varies by sigma, and u by sigma / (sqrt(2) w) in every direction but its own."""
    u = rng.uniform(0.5, 1.5, 9)
    x = np.outer(u, u) * 5 + 0.1 * rng.normal(size=(9, 9))
    result = fit_gcp((x + x.T) / 2, 1, tied_modes=[(0, 1)], random_state=0, tol=1e-13)
    found = standard_errors(result, (x + x.T) / 2, dispersion=0.01, bias_correction=False)
    assert_allclose(found.weights, 0.1, rtol=1e-6)
    expected = 0.1 / np.sqrt(2) / result.weights[0] * np.sqrt(1 - result.factors[0] ** 2)
    assert_allclose(found.factors[0], expected, rtol=1e-5)
    np.testing.assert_array_equal(found.factors[0], found.factors[1])


def test_answers_without_their_bias(rng):
    """Rows of equal logits have closed forms: log((k + 1/2) / (n - k + 1/2)), less the bias of a norm."""
    n, k = 24, np.array([20, 6, 16])
    x = (np.arange(n) < k[:, None]).astype(float)
    ones = np.ones((n, 1))
    result = fit_gcp(
        x,
        1,
        loss="bernoulli-logit",
        init=[np.ones((3, 1)), ones],
        fixed_modes=[1],
        tol=1e-14,
        n_iter_max=2000,
    )
    found = standard_errors(result, x)
    a = np.log((k + 0.5) / (n - k + 0.5))
    p = special.expit(a)
    c = np.diag(1 / (n * p * (1 - p)))
    unit, norm = a / np.linalg.norm(a), np.linalg.norm(a)
    turn = np.eye(3) - np.outer(unit, unit)
    assert_allclose(found.corrected_weights, np.sqrt(n) * (norm - np.trace(turn @ c) / (2 * norm)), rtol=1e-2)
    assert_allclose(found.weights, np.sqrt(n * (unit @ c @ unit)), rtol=1e-2)
    unbiased = unit + (turn @ c @ unit + np.trace(turn @ c) / 2 * unit) / norm**2
    sign = np.sign(result.factors[1][0, 0])
    assert_allclose(sign * found.corrected_factors[0][:, 0], unbiased / np.linalg.norm(unbiased), atol=5e-3)
    plain = standard_errors(result, x, bias_correction=False)
    assert_allclose(plain.corrected_weights, result.weights)
    assert found.corrected_weights[0] < plain.corrected_weights[0]


def test_an_estimated_r_makes_odds_less_sure(rng):
    """Of one mean, by the inverse of the 2 x 2 information from SciPy's probabilities."""
    n, x = 400, rng.negative_binomial(2.0, 0.4, size=(1, 400)).astype(float)
    known = fit_gcp(
        x, 1, loss=NegativeBinomial(2.0), init=[np.ones((1, 1)), np.ones((n, 1))], fixed_modes=[1]
    )
    result = replace(known, problem=replace(known.problem, estimated=("r",)))
    m, counts = float(known.model_values()[0, 0]), np.arange(600.0)
    p = stats.nbinom(2.0, 1 / (1 + m)).pmf(counts)
    by_m = counts / m - (2.0 + counts) / (1 + m)
    by_r = special.digamma(counts + 2.0) - special.digamma(2.0) - np.log1p(m)
    information = n * np.array([[p @ (a * b) for a in (by_m, by_r)] for b in (by_m, by_r)])
    found = standard_errors(result, x, bias_correction=False)
    assert_allclose(found.weights, np.sqrt(n * np.linalg.inv(information)[0, 0]), rtol=1e-5)
    without = standard_errors(known, x, bias_correction=False)
    assert_allclose(without.weights, np.sqrt(n / information[0, 0]), rtol=1e-6)
    calm = replace(result, loss=NegativeBinomial(1e8), weights=result.weights * 2e-8)
    with pytest.warns(UndeterminedWarning, match="without standard errors|too few for standard errors"):
        assert np.isnan(standard_errors(calm, x).weights).all()


def test_intervals_lie_about_the_corrected_estimates(rng):
    loss, factors = truth_of("poisson", rng, 30.0)
    x = loss.sample(full(factors), rng).astype(float)
    found = standard_errors(fit_gcp(x, 2, loss=loss, init=factors), x)
    (low, high), columns = found.interval(0.9)
    assert_allclose((high - low) / 2, stats.norm.ppf(0.95) * found.weights)
    assert_allclose((high + low) / 2, found.corrected_weights)
    assert_allclose(columns[1][1] - found.corrected_factors[1], stats.norm.ppf(0.95) * found.factors[1])
    with pytest.raises(ParameterError, match="level"):
        found.interval(0.0)
    with pytest.raises(ParameterError, match="bias_correction"):
        standard_errors(fit_gcp(x, 2, loss=loss, init=factors), x, bias_correction="yes")


def answers(rng, shape, scale):
    """A logit model of rank 2, and tensors of answers with fits that begin at the truth."""
    loss = get_loss("bernoulli-logit")
    factors = [rng.normal(size=(size, 2)) for size in shape]
    factors[0] *= scale / full(factors).std()
    norms = [np.linalg.norm(a, axis=0) for a in factors]
    truth = np.prod(norms, axis=0), [a / norm for a, norm in zip(factors, norms, strict=True)]
    while True:
        x = loss.sample(full(factors), rng).astype(float)
        yield x, truth, align(fit_gcp(x, 2, loss=loss, init=factors, tol=1e-10, n_threads=1), truth)


def test_weights_of_answers_are_not_too_large(rng):
    ratios = []
    for (x, truth, result), _ in zip(answers(rng, (20, 16, 12), 1.5), range(8), strict=False):
        found = standard_errors(result, x)
        ratios.append([result.weights / truth[0], found.corrected_weights / truth[0]])
    before, after = np.mean(ratios, axis=(0, 2))
    assert before > 1.1
    assert abs(after - 1) < 0.4 * (before - 1)


@pytest.mark.slow
def test_intervals_of_answers_hold_the_truth(rng):
    """Nominal 95 %: binomial limits of 120 intervals of weights, and 4500 of factors that depend on each other."""
    weights, factors = [], []
    for (x, truth, result), _ in zip(answers(rng, (30, 25, 20), 2.0), range(60), strict=False):
        (low, high), columns = standard_errors(result, x).interval()
        weights.append((low <= truth[0]) & (truth[0] <= high))
        for (a, b), t in zip(columns, truth[1], strict=True):
            factors.append(((a <= t) & (t <= b)).ravel())
    assert 0.89 < np.mean(weights) < 0.99
    assert 0.93 < np.mean(np.concatenate(factors)) < 0.97


def test_entries_at_a_bound_have_none(rng):
    loss, factors = truth_of("poisson", rng, 20.0)
    factors[0][2, 0] = factors[1][3, 1] = 0.0
    x = loss.sample(full(factors), rng).astype(float)
    result = fit_gcp(x, 2, loss=loss, init=factors, tol=1e-12)
    found = standard_errors(result, x)
    zero = result.factors[0] < 1e-9
    np.testing.assert_array_equal(np.isnan(found.factors[0]), zero)


@pytest.mark.parametrize("corrects", [True, False])
@pytest.mark.parametrize("bounds", [(0.0, None), (-0.2, 0.9), (None, 0.5)])
def test_entries_at_a_bound_of_the_fit_have_none(bounds, corrects, rng):
    x = full([rng.normal(size=(n, 2)) for n in (9, 8, 7)]) + 0.1 * rng.normal(size=(9, 8, 7))
    result = fit_gcp(x, 2, bounds=bounds, random_state=0, tol=1e-12)
    found = standard_errors(result, x, bias_correction=corrects)
    low, high = (np.inf if b is None else b for b in (bounds[0], bounds[1]))
    n_at = 0
    for a, unit, corrected, error in zip(
        result.fitted_factors, result.factors, found.corrected_factors, found.factors, strict=True
    ):
        at = (np.abs(a - low) < 1e-9) | (np.abs(a - high) < 1e-9)
        n_at += at.sum()
        assert np.isnan(error[at]).all()
        assert np.isfinite(error[~at]).all() or found.message
        assert_allclose(corrected[at & (unit == 0)], 0.0)
    assert n_at > 3


def test_a_bound_does_not_hold_the_other_entries(rng):
    """Regression with a coefficient at 0 that would be negative: the others are as without the bound."""
    z = rng.uniform(0.5, 1.5, (40, 2))
    x = np.round(np.array([[3e3, 4e3], [-200.0, 5e3]]) @ z.T)
    given = {"loss": "poisson", "init": [np.abs([[3e3, 4e3], [1.0, 5e3]]), z], "fixed_modes": [1]}
    result = fit_gcp(x, 2, **given, tol=1e-14, n_iter_max=3000)
    assert result.factors[0][1, 0] == 0
    b, c = [], []
    for row in x:
        found = optimize.root(lambda a, row=row: z.T @ (row / (z @ a) - 1), np.linalg.lstsq(z, row)[0])
        b.append(found.x[1])
        c.append(np.linalg.inv(z.T @ (z / (z @ found.x)[:, None]))[1, 1])
    norm, length = np.linalg.norm(b), np.linalg.norm(z[:, 1])
    error = np.sqrt(np.square(b) @ c) / norm * length
    found = standard_errors(result, x)
    assert_allclose(found.weights[1], error, rtol=1e-2)
    assert abs(found.corrected_weights[1] - norm * length) < 0.1 * error
    assert abs(result.weights[1] - norm * length) > 4 * error
    assert np.isnan(found.factors[0][1, 0])
    assert found.corrected_factors[0][1, 0] == 0


def test_weights_that_reach_zero_have_none():
    """A total of n counts has the relative error 1 / sqrt(n)."""
    z = np.kron(np.eye(2), np.ones((10, 1)))
    x = np.zeros((1, 20))
    x[0, 3], x[0, 10:] = 3.0, 10.0
    result = fit_gcp(x, 2, loss="poisson", init=[np.ones((1, 2)), z], fixed_modes=[1])
    with pytest.warns(UndeterminedWarning, match="that of its weight beside the weight"):
        found = standard_errors(result, x)
    order = np.argsort(result.weights)
    assert_allclose((found.weights / result.weights)[order], [np.nan, 0.1], rtol=1e-3)
    with pytest.warns(
        UndeterminedWarning, match="component 0, component 1"
    ):  # running off, it takes all along
        assert np.isnan(standard_errors(replace(result, converged=False), x).weights).all()


def test_bootstrap_agrees_with_the_standard_errors(rng):
    loss, factors = truth_of("gaussian", rng, 4.0)
    x = loss.sample(full(factors), rng)
    result = fit_gcp(x, 2, init=factors, tol=1e-12)
    errors = standard_errors(result, x, bias_correction=False)  # at the fitted model, as the draws
    draws = bootstrap(result, x, 150, random_state=0)
    assert draws.factors[0].shape == (150, 7, 2)
    ratio = np.concatenate(
        [(a.std(axis=0) / b).ravel() for a, b in zip(draws.factors, errors.factors, strict=True)]
    )
    assert abs(ratio.mean() - 1) < 0.08
    weights, others = draws.interval()
    assert (weights[0] < result.weights).all()
    assert (result.weights < weights[1]).all()
    assert (others[2][0] < others[2][1]).all()
    again = bootstrap(result, x, 3, random_state=0)
    np.testing.assert_array_equal(again.weights, draws.weights[:3])


def test_bootstrap_intervals_hold_the_truth(rng):
    """Estimates and draws off by b +- s, of logarithms of weights: 95 %; of percentiles P(|N(3, 1)| < z) = 15 %."""
    n, b, s = 1000, 0.3, 0.2
    estimates = b + s * rng.normal(size=n)
    draws = estimates + b + s * rng.normal(size=(400, n))
    found = Bootstrap(
        np.exp(draws),
        [draws[:, None]],
        np.zeros(400),
        np.exp(estimates),
        [estimates[None]],
        ModeLabels(["row"], [None]),
    )
    (low, high), [(a, c)] = found.interval()
    for held in ((low < 1) & (high > 1), (a < 0) & (c > 0)):
        assert 0.93 < held.mean() < 0.965
    ends = np.quantile(draws, [0.025, 0.975], axis=0)
    assert np.mean((ends[0] < 0) & (ends[1] > 0)) < 0.2


def test_bootstrap_intervals_of_lognormal_weights():
    """Draws of log w about log w + b, with the spread s: w exp(-b +- z s); none where a draw is off."""
    normal = special.ndtri((np.arange(99) + 0.5) / 99)
    w = 3 * np.exp(0.2 + 0.1 * normal / normal.std(ddof=1))
    draws = np.stack([w, np.where(w > w.min(), w, 0.0)], axis=1)
    found = Bootstrap(draws, [], np.zeros(99), np.full(2, 3.0), [], ModeLabels([], []))
    (low, high), _ = found.interval(0.9)
    z = stats.norm.ppf(0.95)
    assert_allclose(low, [3 * np.exp(-0.2 - 0.1 * z), np.nan])
    assert_allclose(high, [3 * np.exp(-0.2 + 0.1 * z), np.nan])


@pytest.mark.parametrize("loss", ["poisson", "gamma", "bernoulli-odds"])
def test_bootstrap_draws_from_the_loss(loss, rng):
    loss, factors = truth_of(loss, rng, 2.0)
    x = loss.sample(full(factors), rng).astype(float)
    known = rng.random(SHAPE) < 0.8
    result = fit_gcp(x, 2, loss=loss, mask=known, init=factors, n_iter_max=50)
    draws = bootstrap(result, x, 4, random_state=0, mask=known, n_iter_max=20)
    assert np.isfinite(draws.objectives).all()
    assert (draws.weights.std(axis=0) > 0).all()


def test_refusals(rng):
    x = rng.normal(size=(4, 4, 3))
    beta = fit_gcp(np.abs(x), 1, loss=get_loss("beta-divergence", beta=0.5), random_state=0)
    with pytest.raises(ParameterError, match="likelihood"):
        standard_errors(beta, np.abs(x))
    result = fit_gcp(x, 1, random_state=0, loss=Huber())
    with pytest.raises(ParameterError, match="n must be"):
        bootstrap(result, x, 1)
    with pytest.raises(ParameterError, match="level"):
        bootstrap(result, x, 2, random_state=0).interval(1.0)
    long = fit_gcp(rng.normal(size=(7000, 2)), 1, random_state=0)
    with pytest.raises(ParameterError, match="6000 parameters"):
        standard_errors(long, rng.normal(size=(7000, 2)))


def test_bootstrap_of_weighted_sparse_data_keeps_the_weights(rng):
    loss, factors = truth_of("poisson", rng, 3.0)
    x = loss.sample(full(factors), rng).astype(float)
    subs = np.argwhere(x)
    heavy = SparseTensor(subs, x[x > 0], SHAPE, np.full(len(subs), 3.0))
    result = fit_gcp(heavy, 2, loss=loss, init=factors, n_iter_max=20)
    plain = bootstrap(result, SparseTensor(subs, x[x > 0], SHAPE), 2, random_state=0, n_iter_max=5)
    weighted = bootstrap(result, heavy, 2, random_state=0, n_iter_max=5)
    assert abs(weighted.objectives[0]) > 1.5 * abs(plain.objectives[0])


def test_draws_do_not_depend_on_the_processes(capsys):
    data = load_titanic()
    result = fit_gcp(data, 2, loss="poisson", random_state=0)
    options = {"random_state": 4, "n_threads": 1}
    alone = bootstrap(result, data, 6, **options, verbose=True)
    assert capsys.readouterr().err.count("objective") == 6
    beside = bootstrap(result, data, 6, **options, n_jobs=2)
    np.testing.assert_array_equal(alone.weights, beside.weights)
    np.testing.assert_array_equal(alone.factors[0], beside.factors[0])
    assert len(np.unique(alone.objectives)) == 6
    drawn = [bootstrap(result, data, 2, random_state=np.random.default_rng(1)).weights for _ in range(2)]
    np.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    "options",
    [
        {"main_effects": True},
        {"tied_modes": [(0, 1)], "l2_reg": 0.5},
        {"fixed_modes": [2], "dirichlet_reg": 0.3},
        {"bounds": ([0.1, None, None], [None, 2.0, None])},
    ],
    ids=str,
)
def test_bootstrap_fits_as_the_model_was_fitted(options, rng):
    """What is left out is what the fit had; of arrays a result keeps the shape alone."""
    factors = [rng.uniform(0.2, 1.5, (size, 2)) for size in (6, 6, 5)]
    x = rng.poisson(3 * full([factors[0], factors[0], factors[2]])).astype(float)
    result = fit_gcp(x, 2, loss="poisson", init=[factors[0], factors[0], factors[2]], **options)
    own, asked = bootstrap(result, x, 2, random_state=0), bootstrap(result, x, 2, random_state=0, **options)
    np.testing.assert_array_equal(own.weights, asked.weights)
    plain = {"main_effects": False, "tied_modes": (), "fixed_modes": (), "bounds": None}
    other = bootstrap(result, x, 2, random_state=0, **plain, l2_reg=0.0, dirichlet_reg=0.0)
    assert not np.array_equal(own.weights, other.weights)


def test_bounds_of_a_fit_by_the_labels_of_its_data(rng):
    x = DataArray(rng.poisson(3.0, (4, 6, 5)), dims=("a", "b", "c"), coords={"a": list("pqrs")})
    x[0] = 0
    caps = DataFrame(np.repeat([[np.inf], [np.inf], [np.inf], [0.0]], 2, axis=1), index=list("srqp"))
    options = {"bounds": (0, [caps, None, None])}
    result = fit_gcp(x, 2, loss="poisson", random_state=0, **options)
    draws = bootstrap(result, x, 3, random_state=0, **options)
    assert (draws.factors[0][:, 0] == 0).all()  # p
    assert (draws.factors[0][:, 3].max(axis=1) > 0.1).all()  # s
    with pytest.raises(ParameterError, match="arrays as bounds, which its result does not keep"):
        bootstrap(result, x, 3)


def test_bootstrap_estimates_r_again(rng):
    """Odds are means over r, and no surer than it is."""
    factors = random_factors((12, 10, 8), 1, rng, positive=True)
    x = NegativeBinomial(r=3.0).sample(2 * full(factors), rng).astype(float)
    result = fit_gcp(x, 1, loss=NegativeBinomial(r="estimate"), init=factors)
    draws = bootstrap(result, x, 40, random_state=0)
    known = bootstrap(replace(result, problem=replace(result.problem, estimated=())), x, 40, random_state=0)
    error = standard_errors(result, x, bias_correction=False).weights
    assert 0.7 < draws.weights.std(axis=0) / error < 1.4
    assert known.weights.std(axis=0) < 0.5 * error


def test_bootstrap_draws_what_beta_2_admits(rng):
    """Of the model's mean and the data's variance, and never below 0."""
    factors = [rng.uniform(0.3, 1.2, (size, 1)) for size in (9, 8, 7)]
    mean = full(factors)
    x = rng.gamma(4 * mean**2, 1 / (4 * mean))
    result = fit_gcp(x, 1, loss=BetaDivergence(2.0), init=factors)
    draws = bootstrap(result, x, 40, random_state=0)
    (w,) = result.weights
    noise = 0.25 * (8 + 7 + 6) / (2 * w)  # across the columns, the errors of their entries lengthen these
    assert_allclose(draws.weights.mean(), w + noise, rtol=0.015)
    error = standard_errors(result, x, bias_correction=False).weights
    assert 0.7 < draws.weights.std(axis=0) / error < 1.4


@pytest.mark.parametrize("function", [standard_errors, bootstrap])
def test_beta_1_has_a_distribution_of_counts_only(function, rng):
    x = rng.gamma(2.0, 3.0, (8, 7, 6))
    result = fit_gcp(x, 1, loss=BetaDivergence(1.0), random_state=0)
    with pytest.raises(ParameterError, match="with beta = 1 has a likelihood for counts only"):
        function(result, x)


def test_no_entry_of_the_model_is_driven_to_its_bound_for_the_bias():
    """There the information is infinite: errors of 1e-99 were the outcome for these counts."""
    rng, shape = np.random.default_rng([777, 57, *b"negative-binomial, r 2", 0]), (15, 12, 10)
    factors = [rng.gamma(2.0, 1.0, (size, 2)) + 0.3 for size in shape]
    factors[0] *= 1.5 / np.einsum("ir,jr,kr->ijk", *factors).mean()
    loss = NegativeBinomial(r=2.0)
    x = loss.sample(np.einsum("ir,jr,kr->ijk", *factors), rng).astype(float)
    result = fit_gcp(x, 2, loss=loss, init=factors, tol=1e-10)
    with pytest.warns(UndeterminedWarning, match="too few"):
        found = standard_errors(result, x)
    assert np.isnan(found.weights).all()


def test_entries_wanted_far_beyond_their_bound_are_taken_as_fixed(rng):
    """Of counts so large that there is no bias, errors are those without a correction: of the entry at its bound."""
    a, b, c = (rng.uniform(0.5, 1.5, (n, 2)) for n in (6, 7, 8))
    a[0] = 1.4, -0.2
    x = rng.poisson(1e4 * np.einsum("ar,br,cr->abc", a, b, c)).astype(float)
    found = fit_gcp(x, 2, loss="poisson", random_state=0, n_starts=2)
    assert sum(int(np.count_nonzero(f == 0)) for f in found.fitted_factors) >= 1
    plain, corrected = (standard_errors(found, x, bias_correction=given) for given in (False, True))
    assert not corrected.message
    np.testing.assert_allclose(corrected.weights, plain.weights, rtol=0.05)
    for one, other in zip(corrected.factors, plain.factors, strict=True):
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
        np.testing.assert_allclose(one, other, rtol=0.05)
