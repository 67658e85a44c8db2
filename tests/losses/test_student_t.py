"""Student-t losses among outliers of any size."""

import numpy as np
import pytest
from helpers import full
from numpy.testing import assert_allclose
from scipy import optimize, stats

import gcp
from gcp import ObservedTensor, StudentT
from gcp.objectives.build import build_objective

SHAPE = (18, 15, 12)


def spoilt(rng, size):
    truth = 3 * full([rng.normal(size=(n, 2)) for n in SHAPE])
    x = truth + rng.standard_t(3, SHAPE)
    hit = rng.random(SHAPE) < 0.02
    return np.where(hit, x + size * rng.choice([-1.0, 1.0], SHAPE), x), truth


@pytest.mark.parametrize("size", [50.0, 1e4, 1e8])
@pytest.mark.parametrize("solver", ["auto", "lbfgsb", "plbfgs"])
def test_outliers_of_any_size_do_not_hide_the_rest(size, solver, rng):
    """From a start in the outliers' scale most data would be too far off to pull."""
    x, truth = spoilt(rng, size)
    result = gcp.fit_gcp(x, 2, loss=StudentT(dof=3.0), solver=solver, random_state=0)
    assert result.converged
    assert np.sqrt(np.mean((result.predict() - truth) ** 2)) < 0.1 * truth.std()


def test_lists_of_entries(rng):
    x, truth = spoilt(rng, 1e4)
    subs = np.argwhere(rng.random(SHAPE) < 0.6)
    listed = ObservedTensor(subs, x[tuple(subs.T)], SHAPE)
    result = gcp.fit_gcp(listed, 2, loss=StudentT(dof=3.0), random_state=0)
    assert np.sqrt(np.mean((result.predict() - truth) ** 2)) < 0.15 * truth.std()


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_best_constant_is_scipys(share, rng):
    x = 5 + rng.standard_t(4, 2000)
    x[: int(share * 2000)] = 1e7 * (1 + rng.random(int(share * 2000)))
    own = build_objective(x, StudentT()).null_constant
    minus = lambda m: -float(stats.t.logpdf(x, 4, m).sum())  # noqa: E731
    assert_allclose(own, optimize.minimize_scalar(minus, bounds=(2, 8), method="bounded").x, rtol=1e-4)


def test_far_data_pull_less_and_less():
    """By the redescending weight of the EM algorithm, (dof + 1) / (dof + r**2)."""
    loss, r = StudentT(dof=4.0), np.array([0.5, 5.0, 500.0])
    assert_allclose(-loss.deriv(r, 0.0) / r, 5 / (4 + r**2))
    assert_allclose(loss.formula.weight(r, 0.0, *loss.params), 5 / (4 + r**2))


def test_many_degrees_of_freedom_are_normal(rng):
    x, m = rng.normal(size=(2, 30))
    assert_allclose(
        StudentT(scale=2.0, dof=1e7).log_likelihood(x, m), stats.norm.logpdf(x, m, 2.0), rtol=1e-5
    )


def test_a_given_model_is_where_the_fit_begins(rng):
    x, _ = spoilt(rng, 50.0)
    first = gcp.fit_gcp(x, 2, loss=StudentT(), random_state=0)
    again = gcp.fit_gcp(x, 2, loss=StudentT(), init=first, random_state=0)
    assert again.n_iter <= 3
    assert_allclose(again.objective, first.objective, rtol=1e-8)


def test_lists_of_very_many_zeros_are_sampled_as_under_huber(rng):
    subs = np.unique(rng.integers(0, 900, (500, 3)), axis=0)
    big = gcp.SparseTensor(subs, rng.normal(size=len(subs)), (900, 900, 900))
    result = gcp.fit_gcp(big, 1, loss=StudentT(), random_state=0, n_iter_max=2)
    assert result.settings["solver"]["method"] == "Adam"
