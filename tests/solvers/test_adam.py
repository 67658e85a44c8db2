"""Rung 5: Adam against a trace by plain NumPy, within bounds, on planted models, and what happens at its ends."""

import re

import numpy as np
import pytest
from helpers import falls, full, match_score, random_factors
from numpy.testing import assert_allclose

from gcp import (
    Adam,
    ConvergenceWarning,
    DenseTensor,
    FitError,
    ObservedTensor,
    ParameterError,
    RowNewton,
    SparseTensor,
    build_objective,
    fit_gcp,
    get_loss,
)
from gcp.base.interval import REAL
from gcp.objectives.bounds import resolve
from gcp.objectives.free import FreeFactors
from gcp.objectives.parametrisation import Parametrisation
from gcp.objectives.views.sampled import Sampling

QUICK = {"epoch_iters": 100, "polish": False}


def sparse(x):
    return SparseTensor(np.argwhere(x), x[x != 0], x.shape)


def planted(rng, shape=(25, 20, 15), rank=2, mean=0.3):
    """Nonnegative factors of a sparse model, and Poisson counts."""
    factors = [rng.gamma(0.5, 1.0, (size, rank)) for size in shape]
    m = full(factors)
    factors[0] *= mean / m.mean()
    return factors, rng.poisson(full(factors))


@pytest.fixture
def out_of_reach(monkeypatch):
    """As if small sparse tensors had too many cells."""
    monkeypatch.setattr("gcp.objectives.zero_policy._MOST_CELLS", 100)


# --- the method --------------------------------------------------------------------------------------------


def by_numpy(objective, start, options, scale, n_epochs):
    """Algorithm 5.1 of Kolda and Hong, from its text: values after each epoch, and the factors at the end."""
    sampled = objective.sampled(options.sampling)
    value, grad = sampled.value_and_grad(start)
    slope = np.sqrt(np.mean(np.concatenate([(g * s).ravel() for g, s in zip(grad, scale, strict=True)]) ** 2))
    a = [f.copy() for f in start]
    first, second = ([np.zeros_like(f) for f in a] for _ in range(2))
    values, rate, t = [value], options.rate, 0
    for _ in range(n_epochs):
        saved = [f.copy() for f in a], [b.copy() for b in first], [c.copy() for c in second]
        for _ in range(options.epoch_iters):
            t += 1
            grad = sampled.gradient(a)
            for n, g in enumerate(grad):
                g = g * scale[n] / slope
                first[n] = options.beta_1 * first[n] + (1 - options.beta_1) * g
                second[n] = options.beta_2 * second[n] + (1 - options.beta_2) * g**2
                mean = first[n] / (1 - options.beta_1**t)
                square = second[n] / (1 - options.beta_2**t)
                a[n] = np.maximum(0.0, a[n] - rate * scale[n] * mean / (np.sqrt(square) + options.eps))
        new = sampled.value_and_grad(a)[0]
        if new < value:
            value = new
        else:
            a, first, second = saved
            t -= options.epoch_iters
            rate *= options.decay
        values.append(value)
    return values, a


@pytest.mark.parametrize(("rate", "n_failed"), [(0.02, 0), (0.7, 2)])
def test_epochs_are_those_of_the_paper(rate, n_failed, rng):
    """Bias corrections with the true number of steps, and the epoch's start after a failure."""
    _, x = planted(rng)
    objective = build_objective(sparse(x), "poisson", n_threads=1)
    start = random_factors(x.shape, 3, rng, positive=True)
    scale = [np.sqrt(np.mean(a**2)) for a in start]
    options = Adam(
        rate=rate,
        epoch_iters=7,
        max_fails=9,
        samples=60,
        tol=0,
        n_iter_max=8,
        polish=False,
        decay=0.3,
        eps=1e-3,
    )
    values, factors = by_numpy(objective, start, options, scale, 8)
    bounds = resolve(None, [a.shape for a in start], objective.loss.model_domain, "poisson")
    found = options.solve(objective, start, bounds)
    assert_allclose(found.trace.objective, values, rtol=1e-9)
    for a, b in zip(found.factors, factors, strict=True):
        assert_allclose(a, b, rtol=1e-6, atol=1e-9)
    assert np.count_nonzero(np.diff(values) == 0) >= n_failed
    assert np.count_nonzero(np.diff(values)) >= 3
    assert_allclose(found.objective, objective.value_and_grad(found.factors)[0])


def test_the_estimate_of_a_fit_is_a_fixed_function_and_batches_are_not(rng):
    _, x = planted(rng)
    objective = build_objective(sparse(x), "poisson", l2_reg=0.3)
    factors = random_factors(x.shape, 2, rng, positive=True)
    sampled = objective.sampled(Sampling(samples=50, value_samples=300))
    assert sampled.value_and_grad(factors)[0] == sampled.value_and_grad(factors)[0]
    first, second = sampled.gradient(factors), sampled.gradient(factors)
    assert not np.array_equal(first[0], second[0])
    again = objective.sampled(Sampling(samples=50, value_samples=300))
    assert np.array_equal(again.gradient(factors)[0], first[0])
    assert sampled.null_value == objective.null_value


def test_the_ridge_is_exact(rng):
    """Enough samples are all entries, so that nothing is left to chance."""
    x = rng.normal(size=(5, 4, 3))
    factors = random_factors(x.shape, 2, rng)
    objective = build_objective(x, "gaussian", l2_reg=0.7)
    sampled = objective.sampled(Sampling(samples=1000))
    value, grad = objective.value_and_grad(factors)
    for found_value, found in (sampled.value_and_grad(factors), (value, sampled.gradient(factors))):
        assert_allclose(found_value, value)
        for g, h in zip(found, grad, strict=True):
            assert_allclose(g, h)


def test_free_factors_pass_samples_on(rng):
    x = rng.normal(size=(4, 4, 3))
    template = random_factors(x.shape, 2, rng)
    template[1] = template[0]
    free = FreeFactors(build_objective(x, "gaussian"), Parametrisation(len(template), ((0, 1),)), template)
    sampled = free.sampled(Sampling())
    value, grad = free.value_and_grad([template[0]])
    for found_value, (found,) in (
        sampled.value_and_grad([template[0]]),
        (value, sampled.gradient([template[0]])),
    ):
        assert_allclose(found_value, value)
        assert_allclose(found, grad[0])


# --- fits --------------------------------------------------------------------------------------------------


def test_a_planted_poisson_model_is_found(rng):
    factors, x = planted(rng, (24, 18, 14), 2, 0.5)
    for sampler in ("stratified", "semi-stratified"):
        result = fit_gcp(
            sparse(x),
            2,
            loss="poisson",
            solver=Adam(sampler=sampler, polish=False, epoch_iters=60, n_iter_max=60),
            random_state=1,
        )
        assert match_score(result.factors, factors) > 0.95
        assert result.objective < build_objective(sparse(x), "poisson").value_and_grad(factors)[0]


def test_the_polish_reaches_the_exact_optimum(rng):
    """Of rank 1 under the Poisson loss there is one optimum only."""
    _, x = planted(rng)
    exact = fit_gcp(
        sparse(x), 1, loss="poisson", solver=RowNewton(tol=1e-13, gradient_tol=1e-9), random_state=0
    )
    result = fit_gcp(sparse(x), 1, loss="poisson", solver=Adam(epoch_iters=100, tol=1e-4), random_state=5)
    assert_allclose(result.objective, exact.objective, rtol=1e-7)
    assert result.settings["solver"]["method"] == "Adam, then RowNewton"
    assert result.converged
    assert len(result.trace["objective"]) == result.n_iter + 1
    assert (np.diff(result.trace["seconds"]) >= 0).all()


@pytest.mark.parametrize("name", ["bernoulli-odds", "negative-binomial"])
def test_losses_without_a_closed_form_for_zeros(name, rng, out_of_reach):
    """What counts is the objective over all cells, here by whole arrays."""
    loss = get_loss(name)
    factors = [rng.gamma(0.5, 1.0, (size, 2)) for size in (16, 13, 10)]
    factors[0] *= 0.2 / full(factors).mean()
    m = full(factors)
    x = loss.sample(m, rng)
    result = fit_gcp(sparse(x), 2, loss=loss, solver=Adam(epoch_iters=300, tol=1e-4), random_state=0)
    assert result.settings["solver"]["method"] == "Adam"
    assert result.converged
    assert result.message.endswith("estimates from a sample")
    assert falls(result.trace["objective"])
    value = result.loss.value(x, result.model_values()).sum()
    assert value < result.loss.value(x, m).sum()
    assert_allclose(result.objective, value, rtol=0.02)
    null = np.full(x.shape, loss.link(x.mean()))
    assert_allclose(result.null_objective, result.loss.value(x, null).sum(), rtol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "masked", "observed", "float32"])
def test_other_kinds_of_data(kind, rng):
    truth = random_factors((15, 12, 10), 2, rng)
    x = full(truth) + 0.01 * rng.normal(size=(15, 12, 10))
    known = rng.random(x.shape) < 0.5
    data = {
        "dense": x,
        "masked": DenseTensor(x, mask=known),
        "observed": ObservedTensor(np.argwhere(known), x[known], x.shape),
        "float32": x.astype(np.float32),
    }[kind]
    result = fit_gcp(
        data, 2, solver=Adam(samples=200, polish=False, epoch_iters=100, tol=1e-4), random_state=0
    )
    assert match_score(result.factors, truth) > 0.95
    assert result.factors[0].dtype == (np.float32 if kind == "float32" else np.float64)
    assert_allclose(result.objective, result.trace["objective"][-1], rtol=1e-3)  # the sample is all there is


def test_bounds_hold_at_every_epoch(rng):
    _, x = planted(rng)
    seen = []
    fit_gcp(
        sparse(x),
        2,
        loss="poisson",
        bounds=(0.1, [0.7, None, 0.9]),
        solver=Adam(**QUICK, n_iter_max=6, rate=0.2),
        random_state=0,
        callback=lambda state: seen.append(state),
    )
    assert len(seen) == 6
    for state in seen:
        assert state.is_estimate
        assert all((a >= 0.1).all() for a in state.factors)
        assert (state.factors[0] <= 0.7).all()
        assert (state.factors[2] <= 0.9).all()
    assert any((state.factors[0] == 0.7).any() for state in seen)


def test_fixed_and_tied_modes(rng):
    a, c = rng.gamma(0.5, 1.0, (20, 2)), rng.gamma(0.5, 1.0, (15, 2))
    x = rng.poisson(full([a, a, c]))
    init = [*random_factors((20, 20), 2, rng, positive=True), c]
    init[1] = init[0]
    result = fit_gcp(
        sparse(x),
        2,
        loss="poisson",
        init=init,
        fixed_modes=[2],
        tied_modes=[(0, 1)],
        solver=Adam(polish=False, epoch_iters=300, tol=1e-4),
        random_state=0,
    )
    assert np.array_equal(result.factors[0], result.factors[1])
    assert_allclose(result.factors[2], c / np.linalg.norm(c, axis=0))
    assert match_score(result.factors, [a, a, c]) > 0.98


def test_the_seed_decides(rng):
    _, x = planted(rng)
    options = {"loss": "poisson", "solver": Adam(**QUICK, n_iter_max=3)}
    first, second, other = (fit_gcp(sparse(x), 2, random_state=seed, **options) for seed in (3, 3, 4))
    assert np.array_equal(first.factors[0], second.factors[0])
    assert np.array_equal(first.trace["objective"], second.trace["objective"])
    assert not np.array_equal(first.factors[0], other.factors[0])


def test_starts_are_judged_by_one_sample_and_walk_by_their_own(rng, out_of_reach):
    _, x = planted(rng)
    init = random_factors(x.shape, 2, rng, positive=True)
    objective, groups = build_objective(sparse(x), "negative-binomial"), ((0,), (1,), (2,))
    found = []

    class Spy(Adam):
        def solve(self, objective, start, bounds, callback=None):
            sampled = objective.sampled(Sampling(samples=40, value_samples=300))
            found.append((sampled.value_and_grad(init)[0], sampled.gradient(init)[0]))
            return super().solve(objective, start, bounds, callback)

    fit_gcp(sparse(x), 2, loss="negative-binomial", n_starts=2, solver=Spy(n_iter_max=0), random_state=0)
    assert found[0][0] == found[1][0]
    assert not np.array_equal(found[0][1], found[1][1])
    alone = FreeFactors(objective, Parametrisation(len(init), groups), init).sampled(
        Sampling(samples=40, value_samples=300)
    )
    assert alone.value_and_grad(init)[0] != found[0][0]  # the fit's seed decides


# --- out of reach ------------------------------------------------------------------------------------------


def huge(rng):
    """More cells than 64 bits count, few of them ones."""
    shape = (2000, 1500, 2**50)
    subs = np.stack([rng.integers(2000, size=300), rng.integers(1500, size=300), np.arange(300)], axis=1)
    return SparseTensor(subs, np.ones(300), shape)


def test_an_exact_value_that_is_out_of_reach_is_refused(rng):
    tensor = huge(rng)
    objective = build_objective(tensor, "bernoulli-odds")
    assert not objective.is_exact_affordable
    assert build_objective(tensor, "bernoulli-poisson").is_exact_affordable
    with pytest.raises(ParameterError, match=re.escape('Use solver="auto"')):
        objective.value_and_grad([np.ones((1, 1))] * 3)
    p = 300 / (2000 * 1500 * 2.0**50)  # the null model's odds, and its deviance from log(1 + p) of every cell
    assert_allclose(objective.null_value, 300 - 300 * np.log(p + objective.loss.eps), rtol=1e-9)
    assert_allclose(objective.saturated_value, 0, atol=1e-6)


def test_weights_of_positions_beside_masks_are_out_of_reach(rng):
    _, x = planted(rng)
    subs = np.argwhere(x)
    u = [rng.uniform(0.5, 2.0, 25), None, None]
    tensor = SparseTensor(subs, x[x != 0], x.shape, mode_weights=u)
    assert not build_objective(tensor, "negative-binomial").is_exact_affordable
    assert build_objective(tensor, "poisson").is_exact_affordable
    result = fit_gcp(tensor, 2, loss="negative-binomial", random_state=0)
    w = u[0][:, None, None] * np.ones(x.shape)
    value = (w * result.loss.value(x, result.model_values())).sum()
    assert_allclose(result.objective, value, rtol=0.02)
    assert value < result.null_objective
    masks = SparseTensor(subs, x[x != 0], x.shape, mode_weights=[np.arange(25) > 3, None, None])
    assert build_objective(masks, "negative-binomial").is_exact_affordable


def test_the_null_model_of_sparse_data_needs_no_pass_over_zeros(rng):
    """Searched by value where the moments do not give it, as for Huber's loss."""
    x = np.where(rng.random((8, 7, 6)) < 0.4, rng.normal(3.0, 1.0, (8, 7, 6)), 0.0)
    for name in ("huber", "gaussian"):
        loss = get_loss(name, **({"delta": 0.5} if name == "huber" else {}))
        listed, dense = (build_objective(data, loss) for data in (sparse(x), x))
        assert_allclose(listed.null_value, dense.null_value, rtol=1e-8)


# --- ends --------------------------------------------------------------------------------------------------


def test_limits_and_callback(rng, out_of_reach):
    _, x = planted(rng)
    options = {"loss": "negative-binomial", "random_state": 0}
    stopped = fit_gcp(sparse(x), 2, solver=Adam(**QUICK), callback=lambda s: s.iteration == 2, **options)
    assert (stopped.status, stopped.n_iter, stopped.converged) == ("callback", 2, False)
    with pytest.warns(ConvergenceWarning, match="estimates from a sample"):
        limited = fit_gcp(sparse(x), 2, solver=Adam(**QUICK), n_iter_max=3, **options)
    assert (limited.status, limited.n_iter) == ("n_iter_max", 3)
    none = fit_gcp(sparse(x), 2, solver=Adam(**QUICK), n_iter_max=0, **options)
    assert none.n_iter == 0
    short = fit_gcp(sparse(x), 2, solver=Adam(epoch_iters=10**9), max_seconds=0.2, **options)
    assert short.status == "max_seconds"
    assert short.seconds < 20
    assert falls(short.trace["objective"])


def test_no_polish_after_a_limit(rng):
    _, x = planted(rng)
    limited = fit_gcp(sparse(x), 2, loss="poisson", solver=Adam(epoch_iters=50), n_iter_max=2, random_state=0)
    assert limited.status == "n_iter_max"
    assert limited.settings["solver"]["method"] == "Adam"
    value, _ = build_objective(sparse(x), "poisson").value_and_grad(
        [limited.factors[0] * limited.weights, *limited.factors[1:]]
    )
    assert_allclose(limited.objective, value, rtol=1e-9)


def test_an_interrupt_keeps_the_best_model(rng, out_of_reach):
    _, x = planted(rng)

    def interrupt(state):
        if state.iteration == 2:
            raise KeyboardInterrupt

    result = fit_gcp(
        sparse(x), 2, loss="negative-binomial", solver=Adam(**QUICK), callback=interrupt, random_state=0
    )
    assert result.status == "interrupted"
    assert "estimate" in result.message
    assert result.n_iter == 2


def test_a_start_that_is_not_finite_is_refused(rng):
    _, x = planted(rng)
    objective = build_objective(sparse(x), "poisson-log")
    start = [np.full((size, 1), 1e3) for size in x.shape]
    bounds = resolve(None, [a.shape for a in start], REAL, "poisson-log")
    with pytest.raises(FitError, match="not finite at the start"):
        Adam().solve(objective, start, bounds)


def test_an_epoch_that_runs_away_is_taken_back(rng, out_of_reach):
    """Steps so long that the loss overflows: the outcome is finite, and no worse than the start."""
    _, x = planted(rng)
    result = fit_gcp(
        sparse(x), 2, loss="poisson-log", solver=Adam(**QUICK, rate=300.0, max_fails=6), random_state=0
    )
    assert np.isfinite(result.objective)
    assert falls(result.trace["objective"])
    assert result.trace["objective"][1] == result.trace["objective"][0]
    assert result.trace["objective"][-1] < result.trace["objective"][0]


def test_progress_says_that_the_objective_is_sampled(rng, capsys, out_of_reach):
    _, x = planted(rng)
    options = {"loss": "negative-binomial", "random_state": 0, "verbose": True, "n_iter_max": 2}
    fit_gcp(sparse(x), 2, solver=Adam(**QUICK), **options)
    assert "objective (sampled)" in capsys.readouterr().err
    fit_gcp(x, 2, **options)
    assert "sampled" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "rate must be a finite number > 0"),
        ({"eps": np.nan}, "eps must be"),
        ({"decay": 1.0}, "decay must be a finite number from 0 to less than 1"),
        ({"beta_1": -0.1}, "beta_1 must be"),
        ({"max_fails": -1}, "max_fails must be an integer >= 0"),
        ({"epoch_iters": 0}, "epoch_iters must be an integer >= 1"),
        ({"samples": 0}, "samples must be an integer >= 1"),
        ({"value_samples": 2.5}, "value_samples must be"),
        ({"n_iter_max": -1}, "n_iter_max must be"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ParameterError, match=message):
        Adam(**options)


def test_a_sampler_that_does_not_suit_the_data(rng):
    with pytest.raises(ParameterError, match="needs a SparseTensor"):
        fit_gcp(rng.normal(size=(4, 3)), 1, solver=Adam(sampler="stratified"))
