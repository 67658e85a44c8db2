"""Rungs 6 and 8: closed forms, planted models, masks, options, and every kind of bad argument."""

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import tensorly as tl
from helpers import full, match_score, product_of_margins, random_factors
from numpy.testing import assert_allclose

import gcp
from gcp import (
    LBFGSB,
    BetaDivergence,
    ConvergenceWarning,
    DataError,
    DenseTensor,
    DomainError,
    Gamma,
    GcpError,
    Huber,
    ModeLabels,
    NegativeBinomial,
    NegativeBinomialLogit,
    ParameterError,
    build_objective,
    datasets,
    fit_gcp,
    simulate,
)

TIGHT = LBFGSB(tol=1e-13, gradient_tol=1e-10, n_iter_max=5000)


# --- closed forms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "rank"), [((12, 9), 1), ((12, 9), 3), ((5, 20), 4)])
def test_gaussian_on_a_matrix_is_the_truncated_svd(shape, rank, rng):
    data = rng.normal(size=shape)
    best = np.sum(np.linalg.svd(data, compute_uv=False)[rank:] ** 2)
    result = fit_gcp(data, rank, solver=TIGHT, random_state=0)
    assert_allclose(result.objective, best, rtol=1e-8)
    u, s, vt = np.linalg.svd(data)
    assert_allclose(result.model_values(), (u[:, :rank] * s[:rank]) @ vt[:rank], atol=1e-3)


def test_rank_of_the_whole_matrix_fits_exactly(rng):
    data = rng.normal(size=(5, 4))
    assert fit_gcp(data, 4, random_state=0).objective < 1e-3 * np.sum(data**2)
    assert fit_gcp(data, 7, random_state=0).objective < 1e-3 * np.sum(data**2)


def test_rank_one_poisson_is_independence():
    table = datasets.load_ucb_admissions()
    result = fit_gcp(table, 1, loss="poisson", solver=TIGHT, random_state=0)
    margins = product_of_margins(np.asarray(table.values, dtype=float))
    assert_allclose(result.model_values(), margins, rtol=1e-4, atol=1e-3)


def test_rank_one_gamma_of_one_mode_ignores_nothing():
    x = np.array([0.5, 2.0, 7.0])
    assert_allclose(fit_gcp(x, 1, loss="gamma", solver=TIGHT, random_state=0).model_values(), x, rtol=1e-4)


def test_best_constant_under_fixed_ones_is_the_mean(rng):
    data = rng.gamma(2.0, 1.0, (6, 5))
    init = [np.ones((6, 1)), np.full((5, 1), 0.3)]
    result = fit_gcp(data, 1, loss="gamma", init=init, fixed_modes=[0], solver=TIGHT)
    assert_allclose(result.model_values(), np.tile(data.mean(axis=0), (6, 1)), rtol=1e-4)


# --- planted models ----------------------------------------------------------------------------------------

PLANTED = [
    ("gaussian", 3.0),
    ("huber", 3.0),
    ("bernoulli-logit", 6.0),
    ("bernoulli-odds", 3.0),
    ("bernoulli-poisson", 1.0),
    ("poisson", 5.0),
    ("poisson-log", 0.7),
    ("gamma", 3.0),
    ("rayleigh", 3.0),
    (NegativeBinomial(r=4.5), 2.0),
    (NegativeBinomialLogit(r=4.5), 1.0),
    (BetaDivergence(beta=0.5), 3.0),
    (BetaDivergence(beta=1), 5.0),
    (BetaDivergence(beta=1.5), 5.0),
]


@pytest.mark.parametrize(("loss", "scale"), PLANTED, ids=[str(loss) for loss, _ in PLANTED])
def test_planted_models_are_recovered(loss, scale):
    data, truth = simulate((40, 30, 20), 3, loss, scale=scale, random_state=7)
    result = fit_gcp(data, 3, loss=loss, n_starts=3, random_state=0)
    assert match_score(result.factors, truth.factors) > 0.95


def test_planted_model_is_recovered_with_30_percent_missing():
    data, truth = simulate((40, 30, 20), 3, "poisson", scale=5.0, missing=0.3, random_state=7)
    result = fit_gcp(data, 3, loss="poisson", n_starts=3, random_state=0)
    assert match_score(result.factors, truth.factors) > 0.95
    hidden = data.entry_weights == 0
    expected = full(truth.factors, truth.weights)[hidden]
    assert np.corrcoef(result.predict()[hidden], expected)[0, 1] > 0.95


def test_four_modes_are_recovered():
    data, truth = simulate((15, 12, 10, 8), 3, "poisson", scale=5.0, random_state=1)
    result = fit_gcp(data, 3, loss="poisson", n_starts=3, random_state=0)
    assert match_score(result.factors, truth.factors) > 0.95


def test_overflowing_trial_points_are_rejected_silently():
    # exp(m) overflows at some of this fit's trial points; pyproject.toml makes a RuntimeWarning an error
    data, _ = simulate((40, 30, 20), 3, "poisson-log", scale=1.5, random_state=7)
    result = fit_gcp(data, 3, loss="poisson-log", n_starts=3, random_state=0, n_iter_max=60)
    assert np.isfinite(result.trace["objective"]).all()
    assert np.isfinite(result.model_values()).all()


# --- masks and weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma", "bernoulli-logit"])
@pytest.mark.parametrize("init", ["random", "svd"])
def test_held_out_cells_do_not_reach_the_model(loss, init, rng):
    data = simulate((8, 7, 6), 2, loss, scale=2.0, random_state=3)[0].values.astype(float)
    mask = rng.random(data.shape) > 0.3
    options = {"loss": loss, "mask": mask, "init": init, "random_state": 0, "n_iter_max": 30}
    one = fit_gcp(data, 2, **options)
    for hidden in (np.nan, -1e5, 12345.0, np.inf):
        other = fit_gcp(np.where(mask, data, hidden), 2, **options)
        assert one.objective == other.objective
        assert all(np.array_equal(a, b) for a, b in zip(one.factors, other.factors, strict=True))


def test_objective_is_the_weighted_sum_over_observed_cells(rng):
    data = rng.poisson(3.0, (6, 5, 4)).astype(float)
    weights = rng.uniform(0, 2, data.shape)
    data[0, 0] = np.nan
    result = fit_gcp(data, 2, loss="poisson", entry_weights=weights, random_state=0)
    seen = ~np.isnan(data)
    m = result.model_values()[seen]
    by_hand = np.sum(weights[seen] * (m - data[seen] * np.log(np.maximum(m, 1e-300))))
    assert_allclose(result.objective, by_hand, rtol=1e-6)


def test_a_wholly_missing_slice_keeps_finite_factors(rng):
    data = rng.poisson(3.0, (6, 5, 4)).astype(float)
    data[2] = np.nan
    result = fit_gcp(data, 2, loss="poisson", random_state=0)
    assert np.isfinite(result.model_values()).all()


# --- fixed and tied modes, ridge, bounds -------------------------------------------------------------------


def test_fixed_modes_stay_up_to_their_norms(rng):
    factors = random_factors((8, 7, 6), 2, rng)
    data = full(random_factors((8, 7, 6), 2, rng))
    result = fit_gcp(data, 2, init=factors, fixed_modes=[1], random_state=0)
    assert_allclose(result.factors[1], factors[1] / np.linalg.norm(factors[1], axis=0), atol=1e-12)
    # the free modes did move, and -1 is the last mode
    assert abs(result.factors[0] - factors[0] / np.linalg.norm(factors[0], axis=0)).max() > 1e-3
    last = fit_gcp(data, 2, init=factors, fixed_modes=[-1], random_state=0)
    assert_allclose(last.factors[2], factors[2] / np.linalg.norm(factors[2], axis=0), atol=1e-12)


def test_one_free_mode_under_squared_error_is_linear_regression(rng):
    a, b, c = random_factors((8, 7, 6), 2, rng)
    data = rng.normal(size=(8, 7, 6))
    result = fit_gcp(data, 2, init=[a, b, c], fixed_modes=[1, 2], solver=TIGHT)
    design = np.einsum("jr,kr->jkr", b, c).reshape(-1, 2)
    best = np.linalg.lstsq(design, data.reshape(8, -1).T, rcond=None)
    assert_allclose(result.objective, best[1].sum(), rtol=1e-8)


def test_all_modes_fixed_evaluates_the_model(rng):
    factors = random_factors((5, 4), 2, rng)
    data = rng.normal(size=(5, 4))
    result = fit_gcp(data, 2, init=factors, fixed_modes=[0, 1])
    assert_allclose(result.objective, np.sum((data - full(factors)) ** 2))
    assert result.converged


def test_fixed_modes_are_common_to_all_starts(rng):
    factors = random_factors((6, 5, 4), 2, rng, positive=True)
    data = rng.poisson(3.0, (6, 5, 4))
    result = fit_gcp(data, 2, loss="poisson", init=factors, fixed_modes=[0], n_starts=3, random_state=0)
    assert_allclose(result.factors[0], factors[0] / np.linalg.norm(factors[0], axis=0), atol=1e-12)


def test_tied_modes_share_one_factor_and_recover_symmetric_data(rng):
    a, c = rng.normal(size=(12, 2)), rng.uniform(0.5, 2, (7, 2))
    data = full([a, a, c])
    result = fit_gcp(data, 2, tied_modes=[(0, 1)], n_starts=4, random_state=0, solver=TIGHT)
    assert np.array_equal(result.factors[0], result.factors[1])
    assert result.objective < 1e-6 * np.sum(data**2)
    assert match_score(result.factors, [a, a, c]) > 0.999


@pytest.mark.parametrize("tied", [[(0, 2)], [(1, 2)], [(0, 1, 2)], [(-1, 0)]])
def test_any_modes_can_be_tied(tied, rng):
    result = fit_gcp(rng.normal(size=(5, 5, 5)), 2, tied_modes=tied, random_state=0, n_iter_max=5)
    for group in tied:
        for mode in group[1:]:
            assert np.array_equal(result.factors[group[0]], result.factors[mode])


@pytest.mark.parametrize("l2_reg", [0.7, {"factors": 0.7}])
def test_ridge_reaches_its_stationary_point(l2_reg, rng):
    # At a minimum the modes of a component have equal norms, and for rank 1 on a matrix the best weight is
    # the soft-thresholded singular value: minimise (s - w)**2 + 0.7 w over w = |a| |b|
    data = rng.normal(size=(9, 6))
    u, s, _ = np.linalg.svd(data)
    result = fit_gcp(data, 1, l2_reg=l2_reg, solver=TIGHT, random_state=0)
    assert_allclose(result.weights, s[0] - 0.35, rtol=1e-6)
    expected = np.sum(s[1:] ** 2) + 0.35**2 + 0.7 * (s[0] - 0.35)
    assert_allclose(result.objective, expected, rtol=1e-8)
    assert abs(abs(result.factors[0][:, 0] @ u[:, 0]) - 1) < 1e-6


def test_strong_ridge_switches_components_off_without_nan(rng):
    result = fit_gcp(rng.normal(size=(5, 4)), 3, l2_reg=1e4, random_state=0)
    assert_allclose(result.weights, 0, atol=1e-3)
    assert all(np.isfinite(a).all() for a in result.factors)


def test_nonnegative_gaussian_fits_by_bounds(rng):
    data = full(random_factors((8, 7, 6), 2, rng, positive=True))
    result = fit_gcp(data, 2, bounds=(0, None), n_starts=2, random_state=0)
    assert min(a.min() for a in result.factors) >= 0
    assert result.objective < 1e-3 * np.sum(data**2)


def test_symmetric_bounds_give_the_best_constant_box():
    # one entry, one component, both factors at most 0.5: the model cannot exceed 0.25
    result = fit_gcp(np.array([[4.0]]), 1, bounds=(0, 0.5), random_state=0)
    assert_allclose(result.model_values(), 0.25)
    assert_allclose(result.objective, 3.75**2)


# --- data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(7,), (1,), (6, 5), (1, 5, 1), (3, 4, 2, 3), (2, 2, 2, 2, 2, 2)])
@pytest.mark.parametrize("rank", [1, 5])
@pytest.mark.parametrize("loss", ["gaussian", "poisson", "bernoulli-logit"])
def test_every_number_of_modes_and_ranks_above_the_sizes(shape, rank, loss, rng):
    data = rng.integers(0, 2, shape)
    result = fit_gcp(data, rank, loss=loss, random_state=0, n_iter_max=40)
    assert result.shape == shape
    assert result.rank == rank
    assert np.isfinite(result.objective)
    assert result.objective <= result.trace["objective"][0]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int64, np.float32, np.float16])
def test_other_dtypes_give_the_model_of_float64(dtype, rng):
    data = rng.integers(0, 2, (8, 7, 6))
    expected = fit_gcp(data.astype(float), 2, loss="poisson", random_state=0)
    result = fit_gcp(data.astype(dtype), 2, loss="poisson", random_state=0)
    single = dtype in (np.float32, np.float16)
    assert_allclose(result.objective, expected.objective, rtol=1e-3 if single else 1e-12)
    assert {a.dtype for a in result.factors} == {np.dtype(np.float32 if single else np.float64)}


def test_memory_layout_does_not_matter(rng):
    data = rng.normal(size=(8, 7, 6))
    others = np.asfortranarray(data), data.tolist(), DenseTensor(data), np.repeat(data, 2, 0)[::2]
    options = {"random_state": 0, "solver": "plbfgs", "n_iter_max": 20}
    expected = fit_gcp(data, 2, **options).objective
    for other in others:
        assert_allclose(fit_gcp(other, 2, **options).objective, expected, rtol=1e-9)
    expected = fit_gcp(
        data, 2, random_state=0, tol=1e-12
    ).objective  # ALS updates the modes in their order in memory
    for other in others:
        assert_allclose(fit_gcp(other, 2, random_state=0, tol=1e-12).objective, expected, rtol=1e-6)


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "gamma", "rayleigh", "huber", "beta-divergence"])
def test_large_units_do_not_change_what_is_explained(loss):
    data = np.maximum(np.round(simulate((10, 9, 8), 2, "gamma", scale=30.0, random_state=2)[0].values), 1)
    one, other = (
        fit_gcp(data * unit, 2, loss=Huber(delta=20 * unit) if loss == "huber" else loss, random_state=0)
        for unit in (1.0, 1e12)
    )
    assert_allclose(other.training_deviance_explained, one.training_deviance_explained, rtol=1e-4)


@functools.cache
def fitted_tightly(loss):
    """Data, and a fit of them that both types are compared with."""
    data = simulate((15, 12, 10), 2, loss, scale=0.7 if "log" in loss else 3.0, random_state=3)[0].values
    return data, fit_gcp(data, 2, loss=loss, random_state=0, solver=TIGHT)


@pytest.mark.parametrize(
    "loss", ["gaussian", "poisson", "gamma", "rayleigh", "negative-binomial", "poisson-log", "bernoulli-odds"]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_default_tolerances_end_near_the_optimum(loss, dtype):
    data, tight = fitted_tightly(loss)
    default = fit_gcp(data.astype(dtype), 2, loss=loss, random_state=0)
    whole = tight.null_objective - tight.saturated_objective
    assert default.converged
    assert abs(default.objective - tight.objective) < (1e-6 if dtype == np.float64 else 1e-4) * whole


@pytest.mark.parametrize("loss", ["gaussian", "gamma", "huber", "poisson", "bernoulli-odds", "poisson-log"])
def test_constant_data_are_fitted(loss):
    result = fit_gcp(np.ones((4, 3, 2)), 2, loss=loss, random_state=0)
    assert np.isfinite(result.objective)
    if not loss.startswith("bernoulli"):
        assert_allclose(result.predict(), 1, rtol=1e-2)


@pytest.mark.parametrize(
    "loss", ["gaussian", "poisson", "poisson-log", "bernoulli-logit", "negative-binomial"]
)
def test_all_zero_data_are_fitted(loss):
    result = fit_gcp(np.zeros((4, 3, 2)), 2, loss=loss, random_state=0)
    assert_allclose(result.predict(), 0, atol=0.05)


def test_separable_binary_data_end_without_nan():
    result = fit_gcp(np.eye(4), 4, loss="bernoulli-logit", random_state=0)
    assert np.isfinite(result.objective)
    assert np.isfinite(result.model_values()).all()


# --- reproducibility ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("init", ["random", "svd"])
def test_same_seed_and_threads_give_the_same_bits(n_threads, init, rng):
    data = rng.poisson(2.0, (30, 29, 40))
    options = {"loss": "poisson", "init": init, "random_state": 3, "n_threads": n_threads, "n_iter_max": 10}
    one, two = fit_gcp(data, 3, **options), fit_gcp(data, 3, **options)
    assert one.objective == two.objective
    assert all(np.array_equal(a, b) for a, b in zip(one.factors, two.factors, strict=True))


def test_a_generator_is_a_seed_and_moves_on(rng):
    data = rng.normal(size=(5, 4, 3))
    fits = []
    for _ in range(2):
        generator = np.random.default_rng(11)
        fits.append([fit_gcp(data, 2, random_state=generator, n_iter_max=3).objective for _ in range(2)])
    assert fits[0] == fits[1]
    assert fits[0][0] != fits[0][1]


def test_the_recorded_seed_repeats_an_unseeded_fit(rng):
    data = rng.normal(size=(5, 4, 3))
    one = fit_gcp(data, 2, n_iter_max=3)
    assert fit_gcp(data, 2, n_iter_max=3, random_state=one.settings["seed"]).objective == one.objective
    assert fit_gcp(data, 2, n_iter_max=3).objective != one.objective


@pytest.mark.parametrize("init", ["random", "svd"])
def test_numpy_global_random_state_is_neither_read_nor_moved(init, rng):
    data = rng.poisson(2.0, (6, 5, 4))
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(fit_gcp(data, 7, loss="poisson", init=init, random_state=0, n_iter_max=3).objective)
        assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002
    assert results[0] == results[1]


def test_nothing_given_is_modified(rng):
    data = rng.poisson(2.0, (6, 5, 4)).astype(float)
    data[0, 0, 0] = np.nan
    mask, weights = rng.random(data.shape) > 0.2, rng.uniform(0, 2, data.shape)
    factors = random_factors(data.shape, 2, rng)  # partly negative: they have to be moved
    init = tl.cp_tensor.CPTensor((np.array([2.0, 0.5]), factors))
    lower = [np.zeros(a.shape) for a in factors]
    given = [data, mask, weights, *factors, init.weights, *lower]
    before = [a.copy() for a in given]
    options = {"mask": mask, "entry_weights": weights, "init": init, "bounds": (lower, None), "l2_reg": 0.1}
    fit_gcp(data, 2, loss="poisson", **options)
    for now, then in zip(given, before, strict=True):
        assert np.array_equal(now, then, equal_nan=True)


# --- warm start, several starts, stopping ------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["poisson", "gaussian", "bernoulli-logit"])
def test_warm_start_goes_on_where_the_fit_stopped(loss, rng):
    data, options = rng.integers(0, 2, (8, 7, 6)), {"loss": loss, "l2_reg": 0.1}
    first = fit_gcp(data, 3, **options, random_state=0, n_iter_max=10)
    second = fit_gcp(data, 3, **options, init=first)
    assert_allclose(second.trace["objective"][0], first.objective, rtol=1e-10)
    assert second.objective < first.objective
    again = fit_gcp(data, 3, **options, init=first.cp)
    assert_allclose(again.objective, second.objective, rtol=1e-12)  # the same start, but for its rounding


def test_the_best_start_is_kept(rng):
    result = fit_gcp(rng.normal(size=(6, 5, 4)), 3, n_starts=5, tol=1e-6, random_state=0)
    objectives = [s["objective"] for s in result.starts]
    assert result.objective == min(objectives)
    best = result.starts[int(np.argmin(objectives))]
    assert (result.n_iter, result.n_eval, result.status) == (best["n_iter"], best["n_eval"], best["status"])
    assert [s["start"] for s in result.starts] == list(range(5))


def test_not_converging_warns_and_is_reported(rng):
    with pytest.warns(ConvergenceWarning, match="n_iter_max"):
        result = fit_gcp(rng.normal(size=(6, 5, 4)), 2, n_iter_max=2, random_state=0)
    assert (result.converged, result.status, result.n_iter) == (False, "n_iter_max", 2)
    assert "n_iter_max" in result.message


def test_converging_does_not_warn(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = fit_gcp(rng.normal(size=(6, 5)), 1, random_state=0)
    assert result.converged
    assert result.status == "converged"


def test_trace_tells_every_iteration(rng):
    states = []
    result = fit_gcp(rng.normal(size=(6, 5, 4)), 2, random_state=0, callback=states.append)
    trace = result.trace
    assert {len(column) for column in trace.values()} == {result.n_iter + 1}
    assert_allclose(trace["objective"][1:], [s.objective for s in states], rtol=1e-12)
    assert trace["objective"][-1] == result.objective
    assert (np.diff(trace["seconds"]) >= 0).all()
    assert all([a.shape for a in s.factors] == [(6, 2), (5, 2), (4, 2)] for s in states)


def test_callback_sees_all_factors_also_fixed_and_tied_ones(rng):
    init = random_factors((5, 5, 4), 2, rng)
    seen = []
    fit_gcp(
        rng.normal(size=(5, 5, 4)),
        2,
        init=init,
        fixed_modes=[2],
        tied_modes=[(0, 1)],
        n_iter_max=2,
        callback=lambda s: seen.append(s.factors),
    )
    assert all(np.array_equal(f[2], init[2]) and np.array_equal(f[0], f[1]) for f in seen)


def test_callback_cannot_reach_into_the_fit(rng):
    data, init = rng.normal(size=(5, 5, 4)), random_factors((5, 5, 4), 2, rng)
    options = {"init": init, "fixed_modes": [2], "n_iter_max": 5}

    def scribble(state):
        for a in state.factors:
            a[:] = 7.0

    expected = fit_gcp(data, 2, **options)
    assert fit_gcp(data, 2, **options, callback=scribble).objective == expected.objective


def test_callback_stops_all_starts(rng):
    result = fit_gcp(
        rng.normal(size=(6, 5, 4)), 2, n_starts=3, random_state=0, callback=lambda s: s.iteration == 2
    )
    assert result.status == "callback"
    assert len(result.starts) == 1


def test_interrupt_keeps_the_best_model_so_far(rng):
    data = rng.normal(size=(6, 5, 4))

    def interrupt(state):
        if state.start == 1 and state.iteration == 2:
            raise KeyboardInterrupt

    with pytest.warns(ConvergenceWarning, match="interrupted"):
        result = fit_gcp(data, 2, n_starts=3, random_state=0, callback=interrupt)
    assert (result.status, result.converged) == ("interrupted", False)
    assert len(result.starts) == 2
    assert result.objective == min(s["objective"] for s in result.starts)
    assert_allclose(np.sum((data - result.model_values()) ** 2), result.objective)


def test_interrupt_of_the_first_start_keeps_its_latest_model(rng):
    data = rng.normal(size=(6, 5, 4))

    def interrupt(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    result = fit_gcp(data, 2, random_state=0, callback=interrupt, solver="plbfgs")
    assert (result.status, result.n_iter) == ("interrupted", 3)
    assert result.n_eval == fit_gcp(data, 2, random_state=0, n_iter_max=3, solver="plbfgs").n_eval
    assert_allclose(np.sum((data - result.model_values()) ** 2), result.objective)


def test_interrupt_before_the_first_iteration_of_a_later_start_is_reported(rng):
    calls = []

    @dataclass(frozen=True)
    class Interrupted:
        n_iter_max: int = 50

        def solve(self, *args):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return LBFGSB(n_iter_max=self.n_iter_max).solve(*args)

    result = fit_gcp(rng.normal(size=(6, 5, 4)), 1, n_starts=3, solver=Interrupted(), random_state=0)
    assert (result.status, result.converged) == ("interrupted", False)


def test_errors_of_a_callback_are_not_swallowed(rng):
    def fail(state):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit_gcp(rng.normal(size=(6, 5)), 2, callback=fail, random_state=0)


def test_max_seconds_is_for_all_starts_together(rng):
    result = fit_gcp(rng.normal(size=(6, 5, 4)), 2, n_starts=50, max_seconds=0.0, random_state=0)
    assert len(result.starts) == 1
    assert result.status == "max_seconds"


def test_verbose_writes_lines_on_stderr_only(rng, capsys):
    fit_gcp(rng.normal(size=(6, 5, 4)), 2, n_starts=2, random_state=0, verbose=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "start 2/2" in err
    assert "objective" in err
    fit_gcp(rng.normal(size=(6, 5, 4)), 2, random_state=0)
    assert capsys.readouterr() == ("", "")


def test_labels_come_back(rng):
    table = datasets.load_titanic()
    result = fit_gcp(table, 1, loss="poisson", random_state=0)
    assert result.labels == table.labels
    assert fit_gcp(rng.normal(size=(2, 3)), 1, random_state=0).labels.names == ("mode_0", "mode_1")


# --- bad arguments -----------------------------------------------------------------------------------------

X = np.arange(24.0).reshape(4, 3, 2)
SQUARE = np.ones((3, 3, 2))
CP = [np.ones((4, 2)), np.ones((3, 2)), np.ones((2, 2))]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": -1}, "rank"),
        ({"rank": 2.0}, "rank"),
        ({"rank": "2"}, "rank"),
        ({"rank": True}, "rank"),
        ({"rank": None}, "rank"),
        ({"rank": 10**9}, r"rank 1000000000 for the shape \(4, 3, 2\) would take 72 GB, and 4 times"),
        ({"rank": 2**70}, "rank must be an integer from 1 to"),
        ({"n_starts": 0}, "n_starts"),
        ({"n_starts": 1.5}, "n_starts"),
        ({"loss": "gausian"}, "'gaussian'"),
        ({"loss": None}, "loss"),
        ({"loss": Gamma}, "loss"),
        ({"loss": lambda x, m: x - m}, "loss"),
        ({"solver": "newton"}, "solver"),
        ({"solver": None}, "solver"),
        ({"solver": 3}, "solver"),
        ({"solver": LBFGSB}, "solver"),
        ({"n_iter_max": -1}, "n_iter_max"),
        ({"n_iter_max": 2.5}, "n_iter_max"),
        ({"tol": -1e-8}, "tol"),
        ({"tol": "tight"}, "tol"),
        ({"tol": np.nan}, "tol"),
        ({"max_seconds": -1}, "max_seconds"),
        ({"max_seconds": "long"}, "max_seconds"),
        ({"init": "hosvd"}, "init"),
        ({"init": 5}, "init"),
        ({"init": CP[:2]}, "init"),
        ({"init": [a[:, :1] for a in CP]}, "init"),
        ({"bounds": (1, 0)}, "bounds"),
        ({"bounds": 0}, "bounds"),
        ({"bounds": (0, 1, 2, 3)}, "bounds"),
        ({"bounds": (np.nan, None)}, "bounds"),
        ({"bounds": (-1, None), "loss": "poisson"}, "poisson loss needs"),
        ({"fixed_modes": [0]}, "fixed_modes needs init"),
        ({"fixed_modes": [3], "init": CP}, "fixed_modes"),
        ({"fixed_modes": [0, 0], "init": CP}, "fixed_modes"),
        ({"fixed_modes": [0, -3], "init": CP}, "fixed_modes"),
        ({"fixed_modes": 1, "init": CP}, "fixed_modes"),
        ({"fixed_modes": ["a"], "init": CP}, "fixed_modes"),
        ({"fixed_modes": [0.5], "init": CP}, "fixed_modes"),
        ({"fixed_modes": None, "init": CP}, "fixed_modes"),
        ({"fixed_modes": [0], "init": [-a for a in CP], "loss": "poisson"}, "fixed factor of mode 0"),
        ({"tied_modes": [(0, 1)]}, "tied_modes.*sizes"),
        ({"tied_modes": [(0,)]}, "tied_modes"),
        ({"tied_modes": (0, 1)}, "tied_modes"),
        ({"tied_modes": [(0, 5)]}, "tied_modes"),
        ({"data": SQUARE, "tied_modes": [(0, 1), (1, 0)]}, "tied_modes"),
        ({"data": SQUARE, "tied_modes": [(0, 1)], "bounds": [(0, 1), (2, 3), None]}, "tied modes"),
        ({"l2_reg": -0.1}, "l2_reg"),
        ({"l2_reg": np.inf}, "l2_reg"),
        ({"l2_reg": "a"}, "l2_reg"),
        ({"l2_reg": None}, "l2_reg"),
        ({"l2_reg": {"factor": 1}}, "l2_reg"),
        ({"random_state": -1}, "random_state"),
        ({"random_state": 1.5}, "random_state"),
        ({"random_state": "seed"}, "random_state"),
        ({"random_state": True}, "random_state"),
        ({"n_threads": 0}, "n_threads"),
        ({"n_threads": "all"}, "n_threads"),
        ({"callback": 3}, "callback"),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else "",
)
def test_bad_arguments_are_named(options, message):
    arguments = {"data": X, "rank": 2, "n_iter_max": 2} | options
    with pytest.raises(ParameterError, match=message):
        fit_gcp(arguments.pop("data"), arguments.pop("rank"), **arguments)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (np.float64(2.0), {}, "single number"),
        (np.zeros((0, 3)), {}, "empty"),
        (np.full((2, 2), np.nan), {}, "no observed"),
        (np.array([["a", "b"]]), {}, "dtype"),
        (np.ones((2, 2), complex), {}, "complex"),
        ([[1, 2], [3]], {}, "array"),
        ("data.npy", {}, "read_tensor"),
        (None, {}, "object of class NoneType"),
        ({"a": 1}, {}, "two or more are coupled"),
        (X, {"mask": np.ones((2, 2), bool)}, "mask"),
        (X, {"mask": np.ones(X.shape, int)}, r"mask has dtype int64: .*mask\.astype\(bool\)"),
        (X, {"mask": np.ones(X.shape)}, r"mask has dtype float64: .*mask\.astype\(bool\)"),
        (X, {"mask": np.zeros(X.shape, bool)}, "no observed"),
        (X, {"entry_weights": -1.0}, r"entry_weights .*found -1\.0\.$"),
        (X, {"entry_weights": np.nan}, "entry_weights"),
        (X, {"entry_weights": np.ones((5, 5))}, "entry_weights"),
        (X, {"entry_weights": "heavy"}, "entry_weights"),
    ],
)
def test_bad_data_are_named(data, options, message):
    with pytest.raises(DataError, match=message):
        fit_gcp(data, 2, **options)


@pytest.mark.parametrize(
    ("loss", "bad"), [("poisson", -1), ("bernoulli-logit", 3), ("gamma", 0), ("gaussian", np.inf)]
)
def test_data_outside_the_domain_are_named(loss, bad):
    data = np.ones((3, 2))
    data[2, 1] = bad
    with pytest.raises(DomainError, match=r"subscript \(2, 1\)") as caught:
        fit_gcp(data, 1, loss=loss)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, GcpError)


def test_huber_is_not_moved_by_outliers():
    rng = np.random.default_rng(4)
    truth = full(random_factors((20, 15), 1, rng, positive=True))
    data = truth + 0.01 * rng.normal(size=truth.shape)
    data[rng.random(truth.shape) < 0.05] += 30
    errors = {
        loss: np.abs(fit_gcp(data, 1, loss=loss, random_state=0, n_starts=2).model_values() - truth).max()
        for loss in ("gaussian", Huber(delta=0.05))
    }
    assert errors["gaussian"] > 1
    assert errors[Huber(delta=0.05)] < 0.1


def test_objective_agrees_with_build_objective(rng):
    data = rng.poisson(2.0, (5, 4, 3))
    result = fit_gcp(data, 2, loss="poisson", random_state=0)
    model = [result.factors[0] * result.weights, *result.factors[1:]]
    assert_allclose(build_objective(data, "poisson").value_and_grad(model)[0], result.objective, rtol=1e-12)


# --- simulate ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["poisson", "gamma", "gaussian", "bernoulli-logit"])
def test_simulated_models_have_the_asked_scale(loss):
    data, truth = simulate((40, 30, 20), 3, loss, scale=2.5, random_state=1)
    m = full(truth.factors, truth.weights)
    measured = m.mean() if loss in ("poisson", "gamma") else np.sqrt(np.mean(m**2))
    assert_allclose(measured, 2.5, rtol=0.15)
    assert data.shape == (40, 30, 20)
    if loss in ("poisson", "gamma"):
        assert_allclose(data.values.mean(), m.mean(), rtol=0.1)


def test_simulation_is_decided_by_its_seed():
    one, two, other = (simulate((6, 5), 2, "poisson", missing=0.2, random_state=k)[0] for k in (1, 1, 2))
    assert np.array_equal(one.values, two.values)
    assert np.array_equal(one.entry_weights, two.entry_weights)
    assert not np.array_equal(one.values, other.values)


def test_simulated_share_of_missing_entries():
    data, _ = simulate((40, 30, 20), 2, missing=0.3, random_state=0)
    assert_allclose(np.mean(data.entry_weights == 0), 0.3, atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank"),
        ({"shape": (3, 0)}, "shape"),
        ({"shape": (3, 2.5)}, "shape"),
        ({"missing": 1.0}, "missing"),
        ({"missing": -0.1}, "missing"),
        ({"scale": 0.0}, "scale"),
        ({"scale": np.nan}, "scale"),
        ({"loss": "cauchy"}, "loss"),
    ],
)
def test_bad_simulations_are_named(options, message):
    with pytest.raises(ParameterError, match=message):
        simulate(**({"shape": (4, 3), "rank": 2} | options))


def test_modes_go_by_their_names_too(rng):
    x = rng.poisson(2.0, (6, 6, 4)).astype(float)
    labels = ModeLabels(["from", "to", "day"], [None, None, None])
    tensor, options = DenseTensor(x, labels=labels), {"loss": "poisson", "random_state": 0, "n_iter_max": 20}
    init = fit_gcp(tensor, 2, **options)
    for name, by_name, by_number in (
        ("tied_modes", [("from", "to")], [(0, 1)]),
        ("fixed_modes", ["day"], [2]),
        ("fixed_modes", "day", [2]),
        ("main_effects", ["day", 0], [0, 2]),
    ):
        given = {"init": init} if name == "fixed_modes" else {}
        found = fit_gcp(tensor, 2, **options, **given, **{name: by_name})
        truth = fit_gcp(tensor, 2, **options, **given, **{name: by_number})
        assert found.objective == truth.objective
        assert found.problem == truth.problem
    with pytest.raises(ParameterError, match="no mode 'week'; the modes are from, to, day"):
        fit_gcp(tensor, 2, tied_modes=[("week", "to")])
    with pytest.raises(ParameterError, match="different modes"):
        fit_gcp(tensor, 2, fixed_modes=["day", 2], init=init)


# --- the default loss --------------------------------------------------------------------------------------------

COUNTS = np.random.default_rng(3).poisson(2.0, (6, 5, 4))


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (COUNTS, "poisson"),
        (COUNTS.astype(float), "poisson"),
        (np.where(COUNTS > 3, np.nan, COUNTS), "poisson"),
        (COUNTS > 1, "bernoulli-logit"),
        (gcp.SparseTensor([[0, 1], [3, 3]], [1.0, 1.0], (9, 9)), "bernoulli-logit"),
        (gcp.SparseTensor([[0, 1], [3, 3]], [1.0, 7.0], (9, 9)), "poisson"),
        (COUNTS + 20, "poisson"),
    ],
    ids=["counts", "as floats", "with gaps", "truths", "listed ones", "listed counts", "large counts"],
)
def test_counts_and_answers_under_the_default_loss_are_doubted_once(data, word):
    with pytest.warns(gcp.DefaultLossWarning, match=rf"suggest_loss.*'{word}'.*loss='gaussian'") as found:
        result = fit_gcp(data, 1, n_starts=2, random_state=0)
    assert len(found) == 1
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error", gcp.DefaultLossWarning)
        assert fit_gcp(data, 1, loss="gaussian", n_starts=2, random_state=0).objective == result.objective
        fit_gcp(data, 1, loss=gcp.Gaussian(), random_state=0)
        fit_gcp(data, 1, loss=word, random_state=0)


@pytest.mark.parametrize(
    "data",
    [
        *(COUNTS + 0.5, COUNTS - 2, COUNTS / 7, np.full((3, 3), 2), np.where(COUNTS > 3, 0.1, COUNTS)),
        np.minimum(COUNTS, 4) + 1,
    ],
    ids=["halves", "negative", "fractions", "constant", "one in many", "stars"],
)
def test_measurements_under_the_default_loss_are_not(data):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        fit_gcp(data, 1, random_state=0)
    assert [one for one in found if issubclass(one.category, gcp.DefaultLossWarning)] == []


# --- what decides all that is random -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.SeedSequence, np.random.default_rng])
def test_sources_of_randomness_of_numpy(kind):
    data = COUNTS + 0.5
    first, same, other = (fit_gcp(data, 2, n_iter_max=2, random_state=kind(k)) for k in (1, 1, 2))
    assert first.objective == same.objective
    assert first.objective != other.objective
    again = fit_gcp(data, 2, n_iter_max=2, random_state=first.settings["seed"])
    assert again.objective == first.objective
    simulated = [gcp.simulate((4, 3), 1, random_state=kind(k))[0].values for k in (1, 1, 2)]
    assert np.array_equal(simulated[0], simulated[1])
    assert not np.array_equal(simulated[0], simulated[2])


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_a_source_that_moves_gives_another_start_each_time(kind):
    source = kind(0)
    one, two = (
        fit_gcp(COUNTS + 0.5, 2, n_iter_max=2, random_state=source).settings["seed"] for _ in range(2)
    )
    assert one != two
