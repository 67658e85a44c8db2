"""Models that a search begins from: finite, and those of the search as far as that goes."""

import numpy as np
import pytest

from gcp import fit_gcp
from gcp.analysis.selection.warm_starts import grown, reduced


@pytest.fixture(scope="module")
def model():
    """A Poisson model with log link: terms of 3000 that cancel but for log 2; exp of one alone is infinite."""
    x = np.random.default_rng(0).poisson(2.0, (5, 4, 3)).astype(float)
    first = np.array([[3000.0 + np.log(2.0), -3000.0]] * 5)
    factors = [first, np.ones((4, 2)), np.ones((3, 2))]
    return x, fit_gcp(x, 2, loss="poisson-log", init=factors, fixed_modes=[0, 1, 2])


def test_added_components_are_shrunk_until_the_objective_is_finite(model):
    x, small = model
    start = grown(small, 3, x)(np.random.default_rng(1))
    np.testing.assert_array_equal(start.weights[:2], small.weights)
    assert 0 < start.weights[2] < 0.1 * small.weights.mean()
    m = np.einsum("r,ir,jr,kr->ijk", start.weights, *start.factors)
    assert np.isfinite(np.exp(m)).all()
    assert fit_gcp(x, 3, loss="poisson-log", init=start, n_iter_max=3).objective < np.inf


def test_a_model_that_is_infinite_without_a_component_is_shrunk(model):
    x, large = model
    start = reduced(large, 1, x)(np.random.default_rng(1))
    m = np.einsum("r,ir,jr,kr->ijk", start.weights, *start.factors)
    assert start.rank == 1
    assert np.isfinite(np.exp(m)).all()


def test_a_model_that_can_grow_as_it_is_does_so():
    x = np.random.default_rng(0).poisson(2.0, (5, 4, 3)).astype(float)
    small = fit_gcp(x, 1, loss="poisson", random_state=0)
    start = grown(small, 3, x)(np.random.default_rng(1))
    np.testing.assert_allclose(start.weights, small.weights[0] * np.array([1.0, 0.1, 0.1]))
