"""Penalties on components as wholes. Truths: soft thresholds, Laplace smoothing, sums by hand, differences."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import xarray
from helpers import full, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import ObservedTensor, ParameterError, SparseTensor, build_objective, fit_gcp
from gcp.base.alignment import Alignment
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.terms.main_effects import MainEffects

SHAPE = (6, 5, 4)


def orthogonal(sizes, weights, rng):
    """A tensor of components that are orthogonal in every mode."""
    factors = [np.linalg.qr(rng.normal(size=(n, len(weights))))[0] for n in sizes]
    return full([factors[0] * weights, *factors[1:]])


@pytest.mark.parametrize("shape", [(6,), (6, 5), (6, 5, 4), (4, 3, 2, 5)])
def test_the_least_price_of_a_model_is_its_weights(shape, rng):
    factors = random_factors(shape, 3, rng)
    weights = np.prod([np.linalg.norm(a, axis=0) for a in factors], axis=0)
    even = [a / np.linalg.norm(a, axis=0) * weights ** (1 / len(shape)) for a in factors]
    penalty = as_penalties(0.0, 0.7, 0.0)
    assert_allclose(penalty.value(even), 0.7 * weights.sum())
    assert penalty.value(factors) >= 0.7 * weights.sum() * (1 - 1e-12)


@pytest.mark.parametrize("effects", [None, MainEffects((0, 2), 2)])
def test_the_gradient_of_a_sum_is_its_difference(effects, rng):
    """Of all penalties together, with main effects; each alone is for `check_penalty`."""
    penalty = replace(as_penalties({"factors": 0.3, "main_effects": 0.2}, 0.7, 0.4), effects=effects)
    width = 2 if effects is None else 4
    factors = [rng.uniform(0.1, 2.0, (size, width)) for size in SHAPE]
    factors[1][:, 1] = 0.0  # a component that is switched off
    grad = [np.zeros_like(a) for a in factors]
    assert_allclose(penalty.add_to(2.0, grad, factors), 2.0 + penalty.value(factors))
    for n, a in enumerate(factors):
        for i, r in np.ndindex(*a.shape):
            if n == 1 and r == 1:
                continue  # the prior has no value next to a column of zeros
            ends = []
            for step in (1e-5, -1e-5):
                moved = [b.copy() for b in factors]
                moved[n][i, r] += step
                ends.append(penalty.value(moved))
            assert_allclose(grad[n][i, r], (ends[0] - ends[1]) / 2e-5, atol=1e-7, rtol=1e-6)
    assert np.isfinite(grad[1]).all()


@pytest.mark.parametrize("solver", ["lbfgsb", "plbfgs", "auto"])
def test_a_lasso_is_a_soft_threshold(solver, rng):
    """Of orthogonal components under squares: each is smaller by half the strength, or gone."""
    x = orthogonal((8, 7, 6), np.array([10.0, 6.0, 1.5]), rng)
    result = fit_gcp(x, 3, weight_reg=4.0, solver=solver, random_state=1, n_starts=3, tol=1e-12)
    assert_allclose(result.weights, [8.0, 4.0, 0.0], atol=3e-3)
    assert result.weights[2] == 0
    assert_allclose(
        result.objective, np.sum((result.model_values() - x) ** 2) + 4.0 * result.weights.sum(), rtol=1e-6
    )
    assert result.settings["weight_reg"] == 4.0


def test_a_dirichlet_prior_is_laplace_smoothing(rng):
    """Counts in one mode: (x + alpha), scaled to the mean of x; but for the floor, a thousandth."""
    x = rng.poisson(8.0, 9).astype(float) + 1
    result = fit_gcp(x, 1, loss="poisson", dirichlet_reg=2.0, random_state=0, tol=1e-13)
    assert_allclose(result.model_values(), (x + 2.0) * x.mean() / (x.mean() + 2.0), rtol=3e-3)


def test_smoothing_of_a_table_keeps_its_total(rng):
    """Independence with a prior on rows and columns, the products of smoothed margins; nothing is impossible."""
    x = rng.poisson(2.0, (7, 5)).astype(float)
    x[2] = 0
    rows, columns = x.sum(axis=1), x.sum(axis=0)
    expected = np.outer(rows + 1.5, columns + 1.5)
    expected *= x.sum() / expected.sum()
    result = fit_gcp(x, 1, loss="poisson", dirichlet_reg=1.5, random_state=0, tol=1e-13)
    assert_allclose(result.model_values(), expected, rtol=0.02)
    plain = fit_gcp(x, 1, loss="poisson", random_state=0)
    assert_allclose(plain.model_values()[2], 0, atol=1e-12)


@pytest.mark.parametrize("loss", ["bernoulli-odds", "poisson"])
def test_no_entry_is_zero_under_a_dirichlet_prior(loss, rng):
    x = gcp.simulate((9, 8, 7), 2, loss, random_state=0)[0]
    result = fit_gcp(x, 4, loss=loss, dirichlet_reg=0.5, random_state=0, max_seconds=60)
    assert all((a[:, result.weights > 0] > 0).all() for a in result.factors)
    assert result.settings["dirichlet_reg"] == 0.5
    assert result.settings["solver"]["method"] == "PreconditionedLBFGS"  # which ends by Newton steps


def test_dense_and_listed_data_have_the_same_minimum(rng):
    x = rng.poisson(0.7, SHAPE).astype(float)
    start = random_factors(SHAPE, 2, rng, positive=True)
    options = {"loss": "poisson", "init": start, "dirichlet_reg": 0.5, "weight_reg": 0.3, "tol": 1e-12}
    dense = fit_gcp(x, 2, solver="lbfgsb", **options)
    sparse = fit_gcp(SparseTensor(np.argwhere(x), x[x > 0], SHAPE), 2, **options)
    observed = fit_gcp(ObservedTensor(np.argwhere(x >= 0), x.ravel(), SHAPE), 2, **options)
    assert_allclose([sparse.objective, observed.objective], dense.objective, rtol=1e-6)
    assert sparse.settings["solver"]["method"] == "LBFGSB"
    assert fit_gcp(x, 2, **options).objective <= dense.objective * (1 + 1e-9)


def test_single_precision(rng):
    x = orthogonal((8, 7, 6), np.array([10.0, 6.0]), rng)
    half = fit_gcp(x.astype(np.float32), 2, weight_reg=4.0, random_state=1)
    assert half.factors[0].dtype == np.float32
    assert_allclose(half.weights, [8.0, 4.0], rtol=1e-3)


def test_bounds_make_a_dirichlet_prior_possible_for_any_loss(rng):
    x = full(random_factors(SHAPE, 1, rng, positive=True))
    with pytest.raises(ParameterError, match=r"nonnegative factors: use bounds=\(0, None\)"):
        fit_gcp(x, 1, dirichlet_reg=1.0)
    result = fit_gcp(x, 1, dirichlet_reg=1.0, bounds=(0, None), random_state=0)
    assert result.converged


@pytest.mark.parametrize("solver", ["als", "rows"])
def test_solvers_for_ridges_say_so(solver, rng):
    x = rng.normal(size=SHAPE)
    data = x if solver == "als" else ObservedTensor(np.argwhere(x < 9), x.ravel(), SHAPE)
    with pytest.raises(ParameterError, match="a penalty other than a ridge"):
        fit_gcp(data, 2, weight_reg=1.0, solver=solver)


@pytest.mark.parametrize("name", ["weight_reg", "dirichlet_reg"])
@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "x", None])
def test_bad_strengths(name, value, rng):
    with pytest.raises(ParameterError, match=rf"{name} must be a finite number from 0 to less than 1e\+100"):
        build_objective(rng.random(SHAPE) + 0.1, "gamma", **{name: value})


def test_rows_are_refitted_under_the_lasso(rng):
    """The rows of the fit itself, from its own data: the price of the columns is the same."""
    x = (full(random_factors((30, 8, 7), 2, rng)) + rng.logistic(size=(30, 8, 7)) > 0).astype(float)
    result = fit_gcp(x, 2, loss="bernoulli-logit", weight_reg=2.0, random_state=0, tol=1e-13, n_iter_max=5000)
    again = result.transform(x, mode=0)
    assert_allclose(again.rows, result.factors[0], atol=2e-4)


def test_a_class_of_a_users_own_does_not_take_the_place_of_one_of_the_same_name(tmp_path, rng):
    """Files name classes; a result with gcp's ridge must come back with it whatever else is defined."""
    result = fit_gcp(rng.normal(size=SHAPE), 1, l2_reg=0.5, random_state=0)
    result.save(tmp_path / "a.npz")

    class Ridge(gcp.penalties.Penalty):
        def __init__(self, strength):
            raise AssertionError("the wrong class")

        def value(self, factors):
            return 0.0

        def add_grad(self, factors, grad):
            pass

    assert Ridge.name.endswith("Ridge")
    again = gcp.FitResult.load(tmp_path / "a.npz").problem.penalties.of_components
    assert again == (gcp.penalties.Ridge(None, 0.5),)


@dataclass(frozen=True, eq=False)
class RidgeOfMode(gcp.penalties.Penalty):
    """(strength / 2) * sum of squared entries of one mode's factor."""

    mode: int
    strength: float

    is_row_wise = True

    def value(self, factors):
        return 0.5 * self.strength * float(np.sum(factors[self.mode] ** 2, dtype=float))

    def add_grad(self, factors, grad):
        grad[self.mode] += self.strength * factors[self.mode]

    def quadratic(self, mode, factors):
        strength = self.strength if mode == self.mode else 0.0
        return gcp.penalties.FactorQuadratic(np.full(factors[mode].shape[1], strength))


def test_a_penalty_of_one_mode_goes_with_its_mode(rng):
    """New rows of data in another order, and of the model read in that order, beside those of the fit's own order."""
    x = full(random_factors(SHAPE, 2, rng)) + 0.1 * rng.normal(size=SHAPE)
    data = xarray.DataArray(x, dims=("time", "site", "species"))
    own = fit_gcp(data, 2, penalties=[RidgeOfMode(0, 3.0)], l2_reg=0.1, random_state=0)
    moved = Alignment((2, 0, 1), (None,) * 3).of_model(own)
    assert moved.labels.names == ("species", "time", "site")
    assert moved.problem.penalties.of_components[1].mode == 1
    assert RidgeOfMode(-1, 3.0).rearranged((2, 0, 1)).mode == 0
    new = data[:3]
    rows = own.transform(new, "time").rows
    assert_allclose(own.transform(new.transpose("species", "time", "site"), "time").rows, rows, rtol=1e-6)
    assert_allclose(moved.transform(new, "time").rows, rows, rtol=1e-6)
    free = replace(own, problem=replace(own.problem, penalties=as_penalties(0.1)))
    assert np.abs(free.transform(new, "time").rows - rows).max() > 1e-3


def test_an_unknown_argument_of_many_fits_is_named(rng):
    with pytest.raises(TypeError, match=r"fit_gcp\(\) got an unexpected keyword argument 'ridge'"):
        gcp.select_rank(rng.normal(size=SHAPE), [1], ridge=1.0)
