"""Sampled zeros of sparse data beside exposures: the truth is the exact sum over all cells, stored densely."""

import numpy as np
import pytest
from helpers import random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import ParameterError, SparseTensor, fit_gcp
from gcp.objectives.views.sampled import Sampling
from gcp.tensors.samplers import Controlled

SHAPE = (6, 5, 4)
LOSSES = [gcp.NegativeBinomial(r=2.0), gcp.PoissonLog(), gcp.NegativeBinomialLogit(r=2.0)]


@pytest.fixture
def beyond(monkeypatch):
    """No cell is looked at one by one, as of large data."""
    monkeypatch.setattr("gcp.objectives.exposed.MOST_SEEN", 0)


@pytest.fixture
def counts(rng):
    return np.where(rng.random(SHAPE) < 0.3, rng.poisson(2.0, SHAPE), 0)


def sparse(x):
    return SparseTensor(np.argwhere(x), x[x > 0], SHAPE)


def plane(rng):
    """Exposures of two modes that are no product, with none at two of their cells."""
    found = rng.uniform(0.3, 3.0, (6, 5, 1))
    found[1, 2] = found[4, 0] = 0.0
    return found


def seeds(k):
    return np.random.SeedSequence(k, spawn_key=(0,)), np.random.SeedSequence(k, spawn_key=(1,))


def assert_unbiased(draws, value, gradients):
    values = np.array([draw[0] for draw in draws])
    assert abs(values.mean() - value) < 5 * values.std() / np.sqrt(len(draws)) + 1e-9 * abs(value)
    for n, truth in enumerate(gradients):
        own = np.array([draw[1][n] for draw in draws])
        assert (np.abs(own.mean(axis=0) - truth) <= 6 * own.std(axis=0) / np.sqrt(len(draws)) + 1e-9).all()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
@pytest.mark.parametrize("parts", [None, 3])
def test_samples_are_unbiased(loss, parts, counts, rng, beyond):
    given = plane(rng)
    exact = gcp.build_objective(counts, loss, exposure=given)
    data = sparse(counts) if parts is None else gcp.partition(sparse(counts), parts)
    objective = gcp.build_objective(data, exact.loss, exposure=given)
    assert objective.tensor.kind == "sparse"  # nothing was stored densely
    factors = random_factors(SHAPE, 2, rng, positive=True)
    with pytest.raises(ParameterError, match="exposure that is no product over modes"):
        objective.value_and_grad(factors)
    draws = [
        objective.sampled(Sampling(value_samples=40), seeds(k)).value_and_grad(factors) for k in range(300)
    ]
    assert_unbiased(draws, *exact.value_and_grad(factors))
    assert_allclose(objective.null_constant, exact.null_constant, rtol=1e-6)  # a sample of all cells
    assert_allclose(objective.null_value, exact.null_value, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_a_control_variate_is_unbiased(loss, counts, rng, beyond):
    given = plane(rng)
    exact = gcp.build_objective(counts, loss, exposure=given)
    objective = gcp.build_objective(sparse(counts), exact.loss, exposure=given)
    factors, is_nonnegative = random_factors(SHAPE, 2, rng, positive=True), loss.model_domain.low >= 0
    controlled = Controlled(objective.tensor, is_nonnegative)
    generator = np.random.default_rng(0)
    slope = 0.4 if is_nonnegative else 0.0
    draws = [
        controlled.sample(10, slope, generator).loss_and_mttkrps(objective.formula, factors)
        for _ in range(300)
    ]
    assert_unbiased(draws, *exact.value_and_grad(factors))
    assert controlled.polynomial(objective.formula, factors, (), generator)[1] == 0.0


@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda loss: loss.name)
def test_a_fit_from_samples_is_near_the_exact_one_and_says_so(loss, counts, rng, beyond):
    given, options = plane(rng) + 0.2, {"loss": loss, "random_state": 0, "l2_reg": 0.1}
    fit = fit_gcp(sparse(counts), 1, exposure=given, **options)
    exact = fit_gcp(counts, 1, exposure=given, **options)
    assert "estimates from a sample" in fit.message
    assert "no product over modes" in fit.settings["zeros"]
    assert "zeros" not in exact.settings
    factors = [np.asarray(fit.factors[0] * fit.weights), *fit.factors[1:]]
    own = gcp.build_objective(counts, exact.loss, exposure=given).value_and_grad(factors)[0]
    truth = gcp.build_objective(counts, exact.loss, exposure=given).value_and_grad(
        [np.asarray(exact.factors[0] * exact.weights), *exact.factors[1:]]
    )[0]
    assert own < truth + 0.02 * abs(exact.null_objective - truth)


def test_products_of_many_cells_are_sampled(rng):
    """2000**3 cells: expectations r m have the sum of the data."""
    subs = rng.integers(0, 2000, (500, 3))
    data = SparseTensor(subs, np.ones(500), (2000, 2000, 2000), aggregate="sum")
    depth = rng.uniform(1, 2, (2000, 1, 1))
    fit = fit_gcp(data, 1, loss=gcp.NegativeBinomial(r=1e6), exposure=depth, random_state=0, n_iter_max=30)
    assert "estimates from a sample" in fit.message
    totals = [fit.weights[0], *(a[:, 0].sum() for a in fit.factors[1:]), (depth.ravel() @ fit.factors[0])[0]]
    assert_allclose(
        1e6 * np.prod(totals), 500, rtol=0.05
    )  # of a Poisson model, which that is nearly, exactly


def test_an_offset_beside_it_is_refused(counts, rng, beyond):
    with pytest.raises(ParameterError, match="as one exposure"):
        fit_gcp(sparse(counts), 1, loss="poisson-log", exposure=plane(rng), offset=rng.normal(size=(6, 1, 1)))
