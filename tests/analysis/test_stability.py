"""Stability on planted models that are unique, and on ones that are not."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose

from gcp import ModeLabels, ObservedTensor, ParameterError, SparseTensor
from gcp.analysis import split_half, start_stability
from gcp.analysis.stability import take
from gcp.tensors import DenseTensor


def test_planted_components_come_back_from_every_start(rng):
    x = full(random_factors((12, 10, 9), 2, rng)) + 0.05 * rng.normal(size=(12, 10, 9))
    found = start_stability(x, 2, 6, random_state=0)
    assert (np.diff(found.objectives) >= 0).all()
    assert found.share >= 0.5
    assert found.score > 0.999
    assert_allclose(np.diag(found.scores), 1.0)
    again = start_stability(x, 2, 6, random_state=0)
    np.testing.assert_array_equal(found.objectives, again.objectives)
    np.testing.assert_array_equal(found.results[3].factors[0], again.results[3].factors[0])


def test_components_of_noise_differ(rng):
    found = start_stability(rng.normal(size=(8, 8, 8)), 3, 5, random_state=0)
    assert found.scores[0, 1:].min() < 0.9


def test_rotatable_models_differ_at_the_same_minimum(rng):
    """A matrix of rank 2 has a whole family of factors."""
    x = full(random_factors((9, 8), 2, rng))
    found = start_stability(x, 2, 5, random_state=0, tol=1e-12)
    assert found.share == 1
    assert found.score < 0.99


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
def test_halves_agree_on_planted_components(kind, rng):
    factors = random_factors((40, 10, 9), 2, rng, positive=True)
    x = rng.poisson(5 * full(factors)).astype(float)
    data = {
        "dense": x,
        "sparse": SparseTensor(np.argwhere(x), x[x > 0], x.shape),
        "observed": ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape),
    }[kind]
    found = split_half(data, 2, 0, 2, loss="poisson", random_state=1, n_starts=3)
    assert found.scores.shape == (2,)
    assert found.scores.min() > 0.95
    first, second = found.results[0]
    assert first.shape == second.shape == (20, 10, 9)


def test_halves_have_starts_of_their_own(rng):
    """Factors of a matrix are free up to a rotation, in which like starts would agree (0.94 of these)."""
    x = full(random_factors((40, 12), 2, rng)) + 0.01 * rng.normal(size=(40, 12))
    found = split_half(x, 2, 1, 10, random_state=0)
    assert all(one.settings["seed"] != other.settings["seed"] for one, other in found.results)
    assert found.scores.mean() < 0.85


def test_slices_by_hand(rng):
    x = rng.poisson(1.0, (5, 4)).astype(float)
    labels = ModeLabels(["day", "item"], [list("abcde"), None])
    known = rng.random((5, 4)) < 0.8
    dense = take(DenseTensor(x, known, labels=labels), 0, [1, 3])
    np.testing.assert_array_equal(dense.values, x[[1, 3]])
    np.testing.assert_array_equal(dense.entry_weights > 0, known[[1, 3]])
    assert dense.labels.coords[0].tolist() == ["b", "d"]
    sparse = SparseTensor(
        np.argwhere(x), x[x > 0], x.shape, mode_weights=[np.arange(5.0), None], missing=np.argwhere(~known)
    )
    part = take(sparse, 0, [1, 3, 4]).to_dense()
    whole = sparse.to_dense()
    np.testing.assert_array_equal(part.entry_weights, whole.entry_weights[[1, 3, 4]])
    here = part.entry_weights > 0
    np.testing.assert_array_equal(part.values[here], whole.values[[1, 3, 4]][here])


def test_refusals(rng):
    x = rng.normal(size=(1, 4))
    with pytest.raises(ParameterError, match="two positions"):
        split_half(x, 1, 0)
    with pytest.raises(ParameterError, match="n_starts"):
        start_stability(x, 1, 1)
    with pytest.raises(ParameterError, match="Unknown mode 5"):
        split_half(x, 1, 5)
