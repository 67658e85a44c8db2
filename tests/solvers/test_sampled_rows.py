"""Rung 5: rows from samples of zeros: exact with all of them drawn, unbiased with fewer, and what it ends with."""

import numpy as np
import pytest
from helpers import falls, full, random_factors
from numpy.testing import assert_allclose

from gcp import (
    LBFGSB,
    ObservedTensor,
    ParameterError,
    SampledRowNewton,
    SparseTensor,
    build_objective,
    fit_gcp,
    get_loss,
)
from gcp.objectives.views import sampled_rows
from gcp.tensors.samplers import Controlled

SHAPE = (12, 9, 7)


@pytest.fixture
def out_of_reach(monkeypatch):
    """As if small sparse tensors had too many cells."""
    monkeypatch.setattr("gcp.objectives.zero_policy._MOST_CELLS", 100)


def sparse(x, **options):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape, **options)


def weighted(rng):
    """Entry weights, a missing cell, and masked and weighted positions."""
    x = (rng.random(SHAPE) < 0.2).astype(float)
    subs = np.argwhere(x)
    modes = [rng.integers(0, 3, size).astype(float) for size in SHAPE]
    return SparseTensor(
        subs, np.ones(len(subs)), SHAPE, rng.uniform(0.5, 2, len(subs)), modes, missing=[[0, 0, 0], [3, 2, 1]]
    )


def links(rng, shape=(40, 30, 20), rank=3, density=0.03):
    """Cells drawn under the odds of a planted model, and that model."""
    factors = [rng.gamma(0.5, 1.0, (size, rank)) for size in shape]
    factors[0] *= density / full(factors).mean()
    m = full(factors)
    return (rng.random(shape) < m / (1 + m)).astype(float), m


def by_hand(tensor, loss, factors):
    """The weighted sum over all cells, from whole arrays."""
    dense = tensor.to_dense()
    weights = np.ones(dense.values.shape) if dense.entry_weights is None else dense.entry_weights
    values = np.where(weights > 0, dense.values, 0.0)
    return float(np.sum(weights * loss.value(values, full(factors))))


# --- the samples -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["bernoulli-odds", "negative-binomial", "huber", "bernoulli-logit"])
def test_with_all_zeros_drawn_the_problem_is_exact(loss, rng):
    """Whatever the polynomial: the value after an update is the objective of the updated factors."""
    tensor = weighted(rng)
    objective = build_objective(tensor, loss, l2_reg=0.3)
    sampled = objective.sampled_rows()
    factors = [0.5 * a for a in random_factors(SHAPE, 2, rng, positive=True)]
    problem = sampled.draw(factors, sampled.n_zeros)
    assert problem.zero != (0.0, 0.0) or loss == "bernoulli-logit"
    start = by_hand(tensor, objective.loss, factors)
    low, high = np.full((1, 2), objective.loss.model_domain.low), np.full((1, 2), np.inf)
    for mode in range(3):
        value, _ = problem.update(mode, factors, low, high, 1.0)
        ridge = 0.15 * sum(np.sum(a**2) for a in factors)
        assert_allclose(value, by_hand(tensor, objective.loss, factors) + ridge, rtol=1e-10)
    assert by_hand(tensor, objective.loss, factors) < start


@pytest.mark.parametrize("zero", [(0.0, 0.0), (0.9, 0.0), (0.9, -0.3)])
def test_controlled_sums_are_unbiased(zero, rng):
    """Means of 400 draws against the sum over all cells, within five standard errors."""
    tensor, loss = weighted(rng), get_loss("bernoulli-odds")
    factors = random_factors(SHAPE, 2, rng, positive=True)
    controlled = Controlled(tensor, is_nonnegative=True)
    u = np.einsum("i,j,k->ijk", *tensor.mode_weights)
    a, b = zero
    m = full(factors)
    everywhere = np.sum(u * (a * m + b * m**2))
    sums = []
    for _ in range(400):
        listing = controlled.draw(50, rng)
        at = full(factors)[tuple(listing.subs[:, listing.order.index(n)] for n in range(3))]
        sums.append(
            everywhere + np.sum(listing.w * loss.value(listing.x, at) - listing.z * (a * at + b * at**2))
        )
    assert abs(np.mean(sums) - by_hand(tensor, loss, factors)) < 5 * np.std(sums) / 20
    assert np.std(sums) > 0


def test_the_polynomial_takes_the_variance_away(rng):
    x, m = links(rng)
    objective = build_objective(sparse(x), "bernoulli-odds")
    controlled = Controlled(objective.tensor, is_nonnegative=True)
    factors = [np.cbrt(m.mean() / 2) * np.exp(0.3 * rng.normal(size=(size, 2))) for size in x.shape]
    a, b = controlled.polynomial(objective.loss.formula, factors, (), rng)
    assert 0.9 < a < 1
    assert b == 0
    at = full(factors)[x == 0]
    plain = np.log1p(at)
    assert np.std(plain - a * at) < 0.1 * np.std(plain)


def test_models_of_any_sign_take_no_slope_alone(rng):
    x, _ = links(rng)
    controlled = Controlled(sparse(x), is_nonnegative=False)
    factors = random_factors(x.shape, 2, rng)
    wide = [2 * a for a in factors]
    assert controlled.polynomial(get_loss("bernoulli-logit").formula, wide, (), rng) == (0.0, 0.0)
    small = [0.5 * a for a in factors]
    a, b = controlled.polynomial(get_loss("huber").formula, small, (), rng)
    assert b == 1.0  # (m)**2 as long as |m| is below delta
    assert abs(a) < 0.2


# --- the method --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["bernoulli-odds", "negative-binomial", "huber", "bernoulli-logit"])
def test_it_ends_where_the_exact_method_ends(loss, rng):
    x, _ = links(rng)
    start = random_factors(x.shape, 2, rng, positive=True)
    start = [0.4 * a for a in start]
    options = {"loss": loss, "init": start, "l2_reg": 0.05, "tol": 1e-12, "n_iter_max": 3000}
    found = fit_gcp(sparse(x), 2, solver="sampled-rows", **options)
    assert found.settings["solver"]["method"] == "SampledRowNewton, then LBFGSB"
    again = fit_gcp(sparse(x), 2, solver=LBFGSB(tol=1e-13), **{**options, "init": found, "tol": None})
    assert found.converged
    assert falls(found.trace["objective"])
    assert found.objective <= again.objective * (1 + 1e-6)


def test_samples_alone_come_close(rng):
    x, m = links(rng, (60, 50, 40))
    solver = SampledRowNewton(polish=False, zeros=4000, max_zeros=16000)
    found = fit_gcp(sparse(x), 3, loss="bernoulli-odds", solver=solver, random_state=0)
    exact = fit_gcp(sparse(x), 3, loss="bernoulli-odds", solver="lbfgsb", init=found)
    assert found.converged
    assert found.settings["solver"]["method"] == "SampledRowNewton"
    span = found.null_objective - exact.objective
    assert found.objective - exact.objective < 0.02 * span
    assert found.objective < get_loss("bernoulli-odds").value(x, m).sum()


@pytest.mark.parametrize("loss", ["bernoulli-odds", "negative-binomial"])
def test_out_of_reach(loss, rng, out_of_reach):
    """What counts is the objective over all cells, here by whole arrays."""
    x, m = links(rng)
    result = fit_gcp(sparse(x), 3, loss=loss, random_state=0)
    assert result.settings["solver"]["method"] == "SampledRowNewton"
    assert result.message.endswith("estimates from a sample")
    assert falls(result.trace["objective"])
    value = result.loss.value(x, result.model_values()).sum()
    assert value < result.loss.value(x, m).sum()
    assert_allclose(result.objective, value, rtol=1e-3)


def test_estimates_follow_from_the_seed(rng, monkeypatch, out_of_reach):
    monkeypatch.setattr(sampled_rows, "ZERO_SAMPLES", 500)
    x, _ = links(rng)
    options = {"loss": "bernoulli-odds", "n_iter_max": 6, "solver": SampledRowNewton(zeros=300)}
    one, same, other = (fit_gcp(sparse(x), 2, random_state=seed, **options) for seed in (1, 1, 2))
    assert list(one.trace["objective"]) == list(same.trace["objective"])
    assert_allclose(one.factors[0], same.factors[0], rtol=0)
    assert list(one.trace["objective"]) != list(other.trace["objective"])


def test_bounds_fixed_modes_and_main_effects(rng):
    x, _ = links(rng)
    start = [0.3 * a for a in random_factors(x.shape, 2, rng, positive=True)]
    options = {"loss": "bernoulli-odds", "solver": SampledRowNewton(polish=False), "init": start}
    found = fit_gcp(sparse(x), 2, bounds=(0.01, 0.5), **options)
    entries = np.concatenate([(a * found.weights ** (n == 0)).ravel() for n, a in enumerate(found.factors)])
    assert found.n_iter > 1
    assert entries.min() > 0
    fixed = fit_gcp(sparse(x), 2, fixed_modes=[1], **options)
    ratio = fixed.factors[1] / start[1]
    assert_allclose(ratio, np.broadcast_to(ratio[:1], ratio.shape), rtol=1e-12)
    with_effects = fit_gcp(sparse(x), 2, main_effects=True, **options)
    additive = fit_gcp(sparse(x), 0, loss="bernoulli-odds", main_effects=True)
    assert with_effects.objective <= additive.objective * (1 + 1e-9)


def test_failed_sweeps_take_more_zeros(rng):
    x, _ = links(rng)
    objective = build_objective(sparse(x), "bernoulli-odds")
    drawn, whole = [], objective.sampled_rows()

    class Recorded:
        def sampled_rows(self):
            from dataclasses import replace

            def draw(factors, n):
                drawn.append(n)
                return whole.draw(factors, n)

            return replace(whole, draw=draw)

    from gcp.objectives.bounds import resolve

    start = [0.4 * a for a in random_factors(x.shape, 2, rng, positive=True)]
    bounds = resolve(None, [a.shape for a in start], objective.loss.model_domain, "bernoulli-odds")
    solver = SampledRowNewton(polish=False, zeros=200, max_zeros=10_000, max_fails=1, tol=0)
    found = solver.solve(Recorded(), start, bounds)
    assert found.converged
    assert drawn[0] == 200
    assert drawn[-1] == 10_000
    assert set(np.diff(drawn)) <= {0, 600, 2400, 6800}
    values = found.trace.objective
    failed = [k for k in range(len(drawn)) if values[k + 1] == values[k]]
    assert len(failed) >= 4


# --- its ends ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "loss", "part"),
    [
        (lambda x: x, "bernoulli-odds", "data without unlisted zeros"),
        (
            lambda x: ObservedTensor(np.argwhere(x), x[x > 0], x.shape),
            "bernoulli-odds",
            "without unlisted zeros",
        ),
        (sparse, "poisson", "closed form"),
        (lambda x: sparse(x[:, 0, 0]), "bernoulli-odds", "one mode"),
    ],
    ids=["dense", "observed", "closed form", "one mode"],
)
def test_refusals(make, loss, part, rng):
    x, _ = links(rng)
    x[0] = 1
    with pytest.raises(ParameterError, match=part):
        fit_gcp(make(x), 2, loss=loss, solver="sampled-rows")


def test_tied_modes_are_refused_and_auto_does_without(rng):
    x = (rng.random((8, 8, 5)) < 0.2).astype(float)
    with pytest.raises(ParameterError, match="tied"):
        fit_gcp(sparse(x), 2, loss="bernoulli-odds", solver="sampled-rows", tied_modes=[(0, 1)])
    found = fit_gcp(sparse(x), 2, loss="bernoulli-odds", tied_modes=[(0, 1)], random_state=0)
    assert found.settings["solver"]["method"] == "LBFGSB"


@pytest.mark.parametrize(
    "options", [{"zeros": 0}, {"zeros": 1.5}, {"max_zeros": True}, {"max_fails": -1}, {"max_fails": None}]
)
def test_bad_options(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        SampledRowNewton(**options)


def test_no_iterations_and_a_full_tensor(rng):
    x, _ = links(rng)
    none = fit_gcp(sparse(x), 2, loss="bernoulli-odds", solver="sampled-rows", n_iter_max=0, random_state=0)
    assert none.status == "n_iter_max"
    full_of_ones = sparse(np.ones((6, 5, 4)))
    found = fit_gcp(full_of_ones, 1, loss="bernoulli-odds", solver="sampled-rows", l2_reg=0.1, random_state=0)
    dense = fit_gcp(np.ones((6, 5, 4)), 1, loss="bernoulli-odds", l2_reg=0.1, random_state=0)
    assert_allclose(found.objective, dense.objective, rtol=1e-6)


def test_the_limit_is_told(rng, capsys, out_of_reach):
    x, _ = links(rng)
    fit_gcp(sparse(x), 2, loss="bernoulli-odds", verbose=True, n_iter_max=1)
    assert "24,000 cells" in capsys.readouterr().err.replace("2.4e+04", "24,000")
    fit_gcp(sparse(x), 2, loss="poisson", verbose=True, n_iter_max=1)
    assert "closed form" not in capsys.readouterr().err


def test_no_ones_at_all_and_single_precision(rng):
    nothing = SparseTensor(np.empty((0, 3)), [], (20, 15, 10))
    found = fit_gcp(nothing, 1, loss="bernoulli-odds", solver="sampled-rows", random_state=0)
    assert found.objective < 1e-3
    x, _ = links(rng)
    single = fit_gcp(sparse(x.astype(np.float32)), 2, loss="bernoulli-odds", random_state=0)
    double = fit_gcp(sparse(x), 2, loss="bernoulli-odds", init=single, random_state=0)
    assert single.factors[0].dtype == np.float32
    assert single.objective <= double.objective * (1 + 1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_ones_alone_end_finite(seed):
    """The null model is perfect in the limit, and sampled rows hand over a model whose loss is 0 to the last bit."""
    cells = np.argwhere(np.ones((6, 5, 4)))
    data = SparseTensor(cells, np.ones(len(cells)), (6, 5, 4))
    result = fit_gcp(data, 2, loss="bernoulli-logit", solver="sampled-rows", random_state=seed)
    assert all(np.isfinite(a).all() for a in [result.weights, *result.factors])
    assert abs(result.objective) < 1e-8
