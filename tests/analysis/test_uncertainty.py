"""Standard errors against the spread of many fits, closed forms, and the bootstrap against both."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

from gcp import Huber, ObservedTensor, ParameterError, SparseTensor, fit_gcp, get_loss
from gcp.analysis import align, bootstrap, standard_errors
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
        ("poisson", 30.0, {}),
        ("gaussian", 4.0, {"main_effects": True}),
        ("gamma", 3.0, {"rank": 1}),
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
    found = standard_errors(at_truth, x, dispersion={"gaussian": 0.5, "gamma": 1.0}.get(loss.name))
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
    loss, factors = truth_of("poisson", rng, 3.0)
    x = loss.sample(full(factors), rng).astype(float)
    result = fit_gcp(x, 2, loss=loss, random_state=0)
    dense = standard_errors(result, x)
    sparse = standard_errors(result, SparseTensor(np.argwhere(x), x[x > 0], SHAPE))
    listed = standard_errors(result, ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE))
    doubled = standard_errors(result, x, entry_weights=2 * np.ones(SHAPE))
    for other in (sparse, listed):
        assert_allclose(other.weights, dense.weights, rtol=1e-6)
        assert_allclose(other.factors[1], dense.factors[1], rtol=1e-5)
    assert_allclose(doubled.weights, dense.weights / np.sqrt(2), rtol=1e-6)


def test_entries_at_a_bound_have_none(rng):
    loss, factors = truth_of("poisson", rng, 20.0)
    factors[0][2, 0] = factors[1][3, 1] = 0.0
    x = loss.sample(full(factors), rng).astype(float)
    result = fit_gcp(x, 2, loss=loss, init=factors, tol=1e-12)
    found = standard_errors(result, x)
    zero = result.factors[0] < 1e-9
    np.testing.assert_array_equal(np.isnan(found.factors[0]), zero)


def test_bootstrap_agrees_with_the_standard_errors(rng):
    loss, factors = truth_of("gaussian", rng, 4.0)
    x = loss.sample(full(factors), rng)
    result = fit_gcp(x, 2, init=factors, tol=1e-12)
    errors = standard_errors(result, x)
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
    tied = fit_gcp(x, 1, tied_modes=[(0, 1)], random_state=0)
    with pytest.raises(ParameterError, match="untied"):
        standard_errors(tied, x)
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
