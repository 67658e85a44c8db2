"""Rung 3: second derivatives of small problems. Truths: differences of gradients, a model without a second term."""

from dataclasses import dataclass

import numpy as np
import pytest
from helpers import random_factors
from numpy.testing import assert_allclose
from scipy import sparse

import gcp
from gcp import DenseTensor, ParameterError, available_losses, build_objective, get_loss, simulate
from gcp.losses.registry import example_loss
from gcp.objectives.features import Feature
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.penalties import FactorQuadratic, Penalty

SHAPES = [(4, 3), (4, 3, 5), (3, 2, 4, 2)]


def differences(value_and_grad, factors, step=1e-5):
    """The matrix of second derivatives, column by column, from gradients on both sides."""
    columns = []
    for n, a in enumerate(factors):
        for at in np.ndindex(*a.shape):
            ends = []
            for length in (step, -step):
                moved = [b.copy() for b in factors]
                moved[n][at] += length
                ends.append(np.concatenate([g.ravel() for g in value_and_grad(moved)[1]]))
            columns.append((ends[0] - ends[1]) / (2 * step))
    return np.array(columns).T


def positive(shape, rank, rng):
    """Factors far from the edge of every domain."""
    return [np.abs(a) + 0.5 for a in random_factors(shape, rank, rng)]


def check(objective, factors):
    truth = differences(objective.value_and_grad, factors)
    assert_allclose(objective.hessian(factors), truth, rtol=1e-5, atol=1e-6 * np.abs(truth).max())


@pytest.mark.parametrize("name", [name for name in available_losses() if name != "huber"])
def test_they_are_differences_of_gradients(name, rng):
    loss = example_loss(name)
    drawn = "gaussian" if name == "quantile" else loss  # which is no distribution
    data, _ = simulate((4, 3, 5), 2, drawn, random_state=0)
    factors = positive((4, 3, 5), 2, rng)
    check(build_objective(data, loss, l2_reg=0.3), factors)


@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_for_any_number_of_modes(shape, rng):
    check(build_objective(rng.poisson(2.0, shape), "poisson"), positive(shape, 3, rng))


def test_of_linear_parts_of_huber_there_is_the_second_term_alone(rng):
    """All residuals are far in the linear part, where f'' is 0: rows of one factor do not see each other."""
    x, factors = 100.0 * rng.choice([-1.0, 1.0], (4, 3, 5)), random_factors((4, 3, 5), 2, rng)
    objective = build_objective(x, gcp.Huber(0.5))
    check(objective, factors)
    assert np.count_nonzero(objective.hessian(factors)[:8, :8]) == 0


def test_weights_scales_and_offsets_count(rng):
    shape = (4, 3, 5)
    weights = rng.uniform(0.5, 2.0, shape) * (rng.random(shape) > 0.3)
    x = np.where(weights > 0, rng.poisson(2.0, shape).astype(float), np.nan)
    tensor = DenseTensor(x, entry_weights=weights).with_columns(
        scale=rng.uniform(0.5, 2.0, shape), offset=rng.uniform(0.0, 0.5, shape)
    )
    check(build_objective(tensor, "poisson"), positive(shape, 2, rng))


@pytest.mark.parametrize("kind", ["ties", "fixed", "design", "sparse design", "tied design"])
def test_in_variables(kind, rng):
    z = rng.normal(size=(5, 2))
    parametrisation = {
        "ties": Parametrisation(3, ((0, 2), (1,))),
        "fixed": Parametrisation(3, ((0,), (2,))),
        "design": Parametrisation(3, ((0,), (1,), (2,)), ((2, z),)),
        "sparse design": Parametrisation(3, ((0,), (1,), (2,)), ((2, sparse.csr_array(z)),)),
        "tied design": Parametrisation(3, ((0, 2), (1,)), ((0, z), (2, z))),
    }[kind]
    factors = random_factors((5, 4, 5), 2, rng)
    x = rng.integers(0, 2, (5, 4, 5)).astype(float)
    free = FreeFactors(build_objective(x, "bernoulli-logit", l2_reg=0.3), parametrisation, factors)
    check(free, [rng.normal(size=a.shape) for a in parametrisation.reduce(factors)])


@dataclass(frozen=True, eq=False)
class Smooth(Penalty):
    """Squared differences along mode 1."""

    has_fixed_strengths = True

    def value(self, factors):
        return 0.5 * float(np.sum(np.diff(factors[1], axis=0) ** 2))

    def add_grad(self, factors, grad):
        grad[1][:] += self.matrix(len(factors[1])) @ factors[1]

    def matrix(self, n):
        d = np.diff(np.eye(n), axis=0)
        return d.T @ d

    def quadratic(self, mode, factors):
        if mode != 1:
            return FactorQuadratic(np.zeros(factors[mode].shape[1]))
        return FactorQuadratic(
            np.ones(factors[1].shape[1]), matrix=sparse.csr_array(self.matrix(len(factors[1])))
        )


def test_penalties_with_a_matrix_count(rng):
    x = rng.poisson(2.0, (4, 5, 3)).astype(float)
    check(build_objective(x, "poisson", penalties=[Smooth()]), positive((4, 5, 3), 2, rng))


@pytest.mark.parametrize("name", ["dirichlet_reg", "weight_reg", "l2_reg"])
@pytest.mark.parametrize("shape", SHAPES, ids=len)
def test_penalties_count(name, shape, rng):
    factors = positive(shape, 2, rng)
    factors[1][0] = 0.05
    check(build_objective(rng.poisson(2.0, shape), "poisson", **{name: 1.7}), factors)


@dataclass(frozen=True, eq=False)
class Cubic(Penalty):
    """The sum of |entries| ** 3 / 3, of which nothing more is said."""

    def value(self, factors):
        return sum(float(np.sum(np.abs(a) ** 3)) for a in factors) / 3

    def add_grad(self, factors, grad):
        for a, g in zip(factors, grad, strict=True):
            g += a * np.abs(a)


@pytest.mark.parametrize(
    ("data", "options", "what"),
    [
        (np.ones(5), {}, "one mode"),
        (np.ones((60, 60, 60)), {}, "216000 cells"),
        (np.ones((4, 3), np.float32), {}, "float32"),
        (np.ones((4, 3)), {"penalties": [Cubic()]}, "a penalty without second derivatives"),
    ],
    ids=["vector", "large", "float32", "penalty"],
)
def test_what_lacks_them_says_why(data, options, what):
    objective = build_objective(data, "poisson", **options)
    assert what in objective.lacks(Feature.HESSIAN)
    with pytest.raises(ParameterError, match=what):
        objective.hessian([np.ones((n, 2)) for n in data.shape])


def test_many_entries_of_factors_lack_them():
    factors = [np.ones((n, 5)) for n in (150, 30, 2)]
    free = FreeFactors(
        build_objective(np.ones((150, 30, 2)), "poisson"), Parametrisation(3, ((0,), (1,), (2,))), factors
    )
    assert "at most" in free.lacks(Feature.HESSIAN)


def test_the_end_of_a_small_fit_is_exact():
    """At the end the gradient is that of rounding, not that of a slow approach: second order is in use."""
    loss = get_loss("gamma")
    data, _ = simulate((12, 10, 8), 2, loss, random_state=0)
    result = gcp.fit_gcp(data, 2, loss=loss, random_state=0)
    assert result.n_iter < 60
    assert result.projected_gradient_norm < 1e-7
