"""A data kind that a user writes: it gives what it must, and `InOnePiece` answers the rest."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

import gcp
from gcp.objectives.build import objective_of
from gcp.objectives.features import Feature
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.tensors.base import Block, InOnePiece


class Plain(InOnePiece):
    """Every cell of an array of three modes, evaluated by einsum."""

    kind, labels, entry_weights, zeros, subs, is_affine = "dense", None, None, None, None, False

    def __init__(self, values):
        self.values, self.shape, self.dtype = values, values.shape, np.dtype(float)

    def blocks(self):
        yield Block(self.values.reshape(-1), None, 0)

    def subscript(self, position):
        return tuple(int(i) for i in np.unravel_index(position, self.shape))

    def known_positions(self):
        return [np.ones(size, bool) for size in self.shape]

    def loss_and_mttkrps(self, formula, factors, n_threads, effects=()):
        a, b, c = factors
        m = np.einsum("ir,jr,kr->ijk", a, b, c)
        d = formula.df(self.values, m, *formula.params)
        grad = [
            np.einsum("ijk,jr,kr->ir", d, b, c),
            np.einsum("ijk,ir,kr->jr", d, a, c),
            np.einsum("ijk,ir,jr->kr", d, a, b),
        ]
        return float(formula.f(self.values, m, *formula.params).sum()), grad, []


@pytest.fixture
def array():
    rng = np.random.default_rng(0)
    return np.einsum("ir,jr,kr->ijk", *(rng.random((size, 2)) for size in (5, 4, 3)))


def objective(tensor):
    return objective_of(tensor, gcp.Gaussian(), as_penalties(0.0, 0.0, 0.0, ()), 1)


def test_its_objective_is_minimised_where_the_data_are(array):
    tensor = Plain(array)
    found = objective(tensor)
    assert_allclose(found.survey.mean, array.mean())
    assert_allclose(found.null_value, ((array - array.mean()) ** 2).sum())
    sizes = np.cumsum([2 * size for size in array.shape])

    def split(x):
        return [part.reshape(-1, 2) for part in np.split(x, sizes[:-1])]

    def value_and_grad(x):
        value, grad = found.value_and_grad(split(x))
        return value, np.concatenate([g.ravel() for g in grad])

    start = np.random.default_rng(1).random(sizes[-1])
    end = minimize(
        value_and_grad, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "ftol": 1e-15}
    )
    assert_allclose(np.einsum("ir,jr,kr->ijk", *split(end.x)), array, atol=1e-3)


@pytest.mark.parametrize(
    "feature", [Feature.ROWS, Feature.CURVATURE, Feature.LEAST_SQUARES, Feature.SAMPLED_ROWS]
)
def test_what_it_does_not_offer_is_lacking_and_not_an_error(array, feature):
    assert objective(Plain(array)).lacks(feature)


def test_what_needs_no_more_is_there(array):
    found = objective(Plain(array))
    assert found.is_exact_affordable
    assert found.zeros.note == ""
    assert found.bulk.mean == pytest.approx(array.mean())
