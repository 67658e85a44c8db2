"""Rung 5 and 6: row-wise Newton. Truths: L-BFGS-B's minimum, the SVD, products of margins, the objective itself."""

import numpy as np
import pytest
from helpers import LOSSES, falls, interior_points, match_score, product_of_margins, random_factors, short
from numpy.testing import assert_allclose

from gcp import (
    LBFGSB,
    ConvergenceWarning,
    Huber,
    NegativeBinomial,
    ObservedTensor,
    ParameterError,
    RowNewton,
    SparseTensor,
    build_objective,
    fit_gcp,
)
from gcp.solvers import row_newton


def planted_counts(shape, rank, events, rng):
    """A sparse tensor of events drawn from a nonnegative model, and its factors."""
    factors = [rng.gamma(0.3, 1.0, (n, rank)) + 1e-3 for n in shape]
    sums = [a.sum(axis=0) for a in factors]
    component = rng.choice(rank, events)
    subs = np.empty((events, len(shape)), np.int64)
    for r in range(rank):
        for n, a in enumerate(factors):
            of_r = component == r
            subs[of_r, n] = rng.choice(len(a), of_r.sum(), p=a[:, r] / sums[n][r])
    return SparseTensor(subs, np.ones(events), shape, aggregate="sum"), factors


def some_known(data, share, rng):
    known = rng.random(data.shape) < share
    return ObservedTensor(np.argwhere(known), data[known], data.shape)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_ends_where_no_other_solver_goes_further(loss, rng):
    data = interior_points(loss, 8 * 7 * 6, rng)[0].reshape(8, 7, 6)
    tensor = some_known(data, 0.9, rng)
    found = fit_gcp(tensor, 2, loss=loss, l2_reg=0.05, solver="rows", random_state=0)
    onwards = fit_gcp(tensor, 2, loss=loss, l2_reg=0.05, solver="lbfgsb", init=found)
    scale = found.null_objective - found.saturated_objective
    assert found.objective - onwards.objective < 1e-6 * scale
    assert found.projected_gradient_norm < 2e-3
    assert falls(found.trace["objective"])
    assert found.trace["objective"][-1] == found.objective
    model = found.model_values(tensor.subs)
    total = np.sum(found.loss.value(tensor.values, model)) + found.penalty
    assert_allclose(found.objective, total, rtol=1e-9)


def test_rank_one_poisson_is_the_product_of_margins(rng):
    data = rng.poisson(0.3, (9, 8, 7)).astype(float)
    tensor = SparseTensor(np.argwhere(data), data[data > 0], data.shape)
    result = fit_gcp(tensor, 1, loss="poisson", solver=RowNewton(tol=1e-14), random_state=0)
    assert_allclose(result.model_values(), product_of_margins(data), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["sparse", "observed"])
def test_gaussian_matrices_reach_the_truncated_svd(kind, rng):
    data = rng.normal(size=(30, 20)) * (rng.random((30, 20)) < 0.3)
    u, s, vt = np.linalg.svd(data)
    if kind == "sparse":
        tensor = SparseTensor(np.argwhere(data), data[data != 0], data.shape)
    else:
        tensor = ObservedTensor(np.argwhere(np.ones(data.shape)), data.ravel(), data.shape)
    result = fit_gcp(tensor, 3, solver=RowNewton(tol=1e-13), random_state=0)
    assert_allclose(result.objective, np.sum(s[3:] ** 2), rtol=1e-7)
    assert_allclose(result.model_values(), (u[:, :3] * s[:3]) @ vt[:3], atol=1e-3)


def test_planted_counts_are_recovered(rng):
    tensor, truth = planted_counts((60, 50, 40), 3, 60_000, rng)
    result = fit_gcp(tensor, 3, loss="poisson", random_state=0, n_starts=2)
    assert result.settings["solver"]["method"] == "RowNewton"
    assert match_score(result.factors, truth) > 0.98


@pytest.mark.parametrize("shape", [(30, 25), (9, 8, 7, 6), (6, 5, 4, 5, 4), (1, 8, 9)])
def test_any_number_of_modes(shape, rng):
    tensor, _ = planted_counts(shape, 2, 3000, rng)
    by_rows, by_lbfgsb = (
        fit_gcp(tensor, 2, loss="poisson", solver=solver, random_state=0, n_starts=3)
        for solver in ("rows", "lbfgsb")
    )
    assert_allclose(by_rows.objective, by_lbfgsb.objective, rtol=1e-4)


def test_bounds_hold_at_every_callback(rng):
    tensor, _ = planted_counts((12, 11, 10), 2, 3000, rng)
    lower, upper = 0.1, 0.9
    seen = []

    def callback(state):
        assert all((a >= lower).all() and (a <= upper).all() for a in state.factors)
        seen.append(state.iteration)

    options = {"loss": "poisson", "bounds": [(lower, upper)] * 3, "random_state": 0}
    result = fit_gcp(tensor, 2, solver="rows", callback=callback, **options)
    assert seen == list(range(1, result.n_iter + 1))
    other = fit_gcp(tensor, 2, solver="lbfgsb", **options)
    assert_allclose(result.objective, other.objective, rtol=1e-5)


def test_bounds_of_single_entries(rng):
    data = rng.normal(size=(6, 5))
    tensor = some_known(data, 0.9, rng)
    low = [np.full((6, 2), -np.inf), np.full((5, 2), -np.inf)]
    low[0][3, 1] = 2.5
    seen = []

    def callback(state):
        seen.append(state.factors[0][3, 1])

    options = {"random_state": 0, "l2_reg": 0.1}
    result = fit_gcp(tensor, 2, bounds=(low, None), solver="rows", callback=callback, **options)
    assert min(seen) >= 2.5
    assert result.objective > fit_gcp(tensor, 2, solver="rows", **options).objective
    assert_allclose(
        result.objective,
        fit_gcp(tensor, 2, bounds=(low, None), solver="lbfgsb", **options).objective,
        rtol=1e-4,
    )


def test_fixed_modes_stay(rng):
    tensor, truth = planted_counts((20, 15, 10), 2, 5000, rng)
    result = fit_gcp(tensor, 2, loss="poisson", init=truth, fixed_modes=[1], solver="rows")
    assert_allclose(result.factors[1], truth[1] / np.linalg.norm(truth[1], axis=0), rtol=1e-12)
    other = fit_gcp(tensor, 2, loss="poisson", init=truth, fixed_modes=[1], solver="lbfgsb")
    assert_allclose(result.objective, other.objective, rtol=1e-6)


def test_the_same_bits_on_every_run(rng):
    tensor, _ = planted_counts((200, 30, 20), 3, 40_000, rng)
    options = {"loss": "poisson", "solver": RowNewton(n_iter_max=8), "random_state": 0}
    one, two = (fit_gcp(tensor, 3, n_threads=2, **options) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one.factors, two.factors, strict=True))
    assert one.objective == two.objective
    alone = fit_gcp(tensor, 3, n_threads=1, **options)
    assert_allclose(alone.objective, one.objective, rtol=1e-12)


def test_a_warm_start_at_the_minimum_is_not_spoiled(rng):
    tensor, _ = planted_counts((20, 15, 10), 2, 5000, rng)
    first = fit_gcp(tensor, 2, loss="poisson", solver="rows", random_state=0)
    again = fit_gcp(tensor, 2, loss="poisson", solver="rows", init=first)
    assert again.objective <= first.objective + 1e-9 * abs(first.objective)


def test_float32_values_and_limits_of_effort(rng):
    data = rng.normal(size=(8, 7, 6)).astype(np.float32)
    tensor = some_known(data, 0.8, rng)
    assert tensor.dtype == np.float32
    result = fit_gcp(tensor, 2, solver="rows", random_state=0)
    assert result.factors[0].dtype == np.float32
    assert result.converged
    with pytest.warns(ConvergenceWarning):
        short_fit = fit_gcp(tensor, 2, solver=RowNewton(n_iter_max=2), random_state=0)
    assert (short_fit.n_iter, short_fit.status) == (2, "n_iter_max")
    none = fit_gcp(tensor, 2, solver=RowNewton(n_iter_max=0), random_state=0)
    assert none.n_iter == 0
    stopped = fit_gcp(tensor, 2, solver="rows", random_state=0, callback=lambda state: state.iteration == 3)
    assert (stopped.n_iter, stopped.status) == (3, "callback")


def test_softer_first_sweeps_do_not_raise_the_objective(rng):
    tensor, _ = planted_counts((30, 20, 10), 3, 3000, rng)
    result = fit_gcp(tensor, 3, loss="poisson", solver="rows", random_state=1)
    objective = build_objective(tensor, "poisson")
    seen = []
    fit_gcp(
        tensor,
        3,
        loss="poisson",
        solver="rows",
        random_state=1,
        callback=lambda s: (
            seen.append((s.objective, objective.value_and_grad(s.factors)[0])) or s.iteration > 9
        ),
    )
    assert falls([value for value, _ in seen])
    assert_allclose(*zip(*seen, strict=True), rtol=1e-10)
    assert result.objective <= seen[-1][0]


def test_auto_takes_what_applies(rng):
    data = rng.poisson(1.0, (6, 6, 5)).astype(float)
    sparse = SparseTensor(np.argwhere(data), data[data > 0], data.shape)
    methods = {
        "closed form": fit_gcp(sparse, 2, loss="poisson", random_state=0),
        "no closed form": fit_gcp(sparse, 2, loss=NegativeBinomial(r=2), random_state=0),
        "tied": fit_gcp(sparse, 2, loss="poisson", tied_modes=[(0, 1)], random_state=0),
    }
    found = {name: result.settings["solver"]["method"] for name, result in methods.items()}
    assert found == {
        "closed form": "RowNewton",
        "no closed form": "SampledRowNewton, then LBFGSB",
        "tied": "LBFGSB",
    }


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda x: {"data": ObservedTensor([[0], [1]], [1.0, 2.0], (3,))}, "found a tensor of one mode"),
        (
            lambda x: {"data": SparseTensor([[0, 1]], [1], (3, 3)), "loss": NegativeBinomial(r=1)},
            "which has none",
        ),
        (
            lambda x: {"data": SparseTensor([[0, 1]], [1], (3, 3)), "tied_modes": [(0, 1)]},
            "found tied modes",
        ),
    ],
)
def test_what_does_not_fall_into_rows_is_refused(make, part, rng):
    options = make(rng.normal(size=(3, 3)))
    with pytest.raises(ParameterError, match=part):
        fit_gcp(options.pop("data"), 1, solver="rows", random_state=0, **options)


@pytest.mark.parametrize("solver", ["als", "plbfgs"])
def test_solvers_of_dense_data_refuse_lists(solver):
    with pytest.raises(ParameterError, match="list"):
        fit_gcp(ObservedTensor([[0, 1]], [1.0], (2, 2)), 1, solver=solver, random_state=0)


def test_lbfgsb_takes_lists_as_they_are(rng):
    data = rng.normal(size=(7, 6, 5))
    known = rng.random(data.shape) < 0.7
    start = random_factors(data.shape, 2, rng)
    dense = fit_gcp(data, 2, mask=known, init=start, solver=LBFGSB(n_iter_max=5))
    listed = fit_gcp(
        ObservedTensor(np.argwhere(known), data[known], data.shape),
        2,
        init=start,
        solver=LBFGSB(n_iter_max=5),
    )
    assert_allclose(listed.objective, dense.objective, rtol=1e-8)


def test_svd_starts_are_for_dense_data():
    with pytest.raises(ParameterError, match=r"to_dense\(\)"):
        fit_gcp(ObservedTensor([[0, 1]], [1.0], (2, 2)), 1, init="svd", random_state=0)


def test_rows_without_positive_curvature_move(rng):
    # far from the data, Huber's loss is linear at every entry: no second derivative, but its weight
    shape = (12, 10, 8)
    factors = random_factors(shape, 2, rng)
    data = 1e4 * np.einsum("ir,jr,kr->ijk", *factors) + rng.normal(size=shape)
    tensor = some_known(data, 0.5, rng)
    by_rows, by_lbfgsb = (
        fit_gcp(tensor, 2, loss=Huber(delta=1.0), solver=solver, random_state=1)
        for solver in ("rows", "lbfgsb")
    )
    assert by_rows.objective < 1e-3 * by_rows.null_objective
    assert by_rows.objective < 1.5 * by_lbfgsb.objective


def test_projected_steps_that_bounds_bend_are_shortened(rng):
    tensor, _ = planted_counts((12, 11, 10), 2, 3000, rng)
    ends = [
        fit_gcp(tensor, 2, loss="poisson", bounds=[(0.1, 0.9)] * 3, solver="rows", random_state=seed)
        for seed in range(5)
    ]
    assert all(end.converged for end in ends)
    assert_allclose([end.objective for end in ends], ends[0].objective, rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ndim", [2, 3])
def test_positions_that_meet_only_each_other_do_not_stay_at_0(ndim, seed):
    """Rank 1 under Poisson is the product of the margins, also where a few counts stand apart from all others."""
    subs = np.array([[0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [2, 2, 0], [3, 3, 1]])[:, :ndim]
    x = np.array([400.0, 300.0, 250.0, 350.0, 1.0, 1.0])
    shape = tuple(subs.max(axis=0) + 1)
    total, m = x.sum(), x.sum()
    for mode in range(ndim):
        m = m * (np.bincount(subs[:, mode], x) / total)[subs[:, mode]]
    tensor = SparseTensor(subs, x, shape)
    result = fit_gcp(tensor, 1, loss="poisson", solver="rows", random_state=seed)
    assert_allclose(result.objective, total - x @ np.log(m), rtol=1e-8)  # eps shows in the ninth digit
    assert result.converged


@pytest.mark.parametrize("case", ["all ones", "a slice of ones", "equal slices", "a mode of size 1"])
@pytest.mark.parametrize("seed", range(4))
def test_models_that_run_off_stop_before_rounding_hides_the_objective(case, seed):
    """Where a slice is all ones, its probabilities go to 1 and its model off to infinity; the objective must fall."""
    rng = np.random.default_rng(seed)
    x = (rng.random((10, 8, 6)) < 0.3).astype(float)
    if case == "all ones":
        x[:] = 1.0
    elif case == "a slice of ones":
        x[:, 2] = 1.0
    elif case == "equal slices":
        x[:] = x[:1]
    else:
        x = x[:, :1]
    data = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    result = fit_gcp(data, 2, loss="bernoulli-poisson", random_state=seed, n_iter_max=300)
    course = result.trace["objective"]
    assert result.objective <= course[0] + 1e-9
    m = np.einsum("r,ir,jr,kr->ijk", result.weights, *result.factors)
    with np.errstate(divide="ignore"):
        truth = np.where(x > 0, -np.log(-np.expm1(-m)), m).sum()
    assert_allclose(result.objective, truth, rtol=1e-6, atol=1e-6)


def test_diverging_components_do_not_hide_the_objective():
    rng = np.random.default_rng([0, 12, 5, 1])
    x = rng.standard_normal((10, 8, 6))
    known = rng.random(x.shape) < 0.01
    data = SparseTensor(np.argwhere(x), x[x != 0], x.shape, entry_weights=known[x != 0].astype(float))
    result = fit_gcp(data, 2, random_state=0, n_iter_max=300)
    assert result.objective <= result.trace["objective"][0]
    assert np.isfinite(result.factors[0]).all()


def test_mixing_gives_both_sides_one_gram_matrix(rng):
    a, b = rng.normal(size=(9, 4)) * [1, 10, 0.1, 3], rng.normal(size=(7, 4))
    there = row_newton._mixing(a, b)
    back = np.linalg.inv(there)
    assert_allclose(there, there.T)
    assert_allclose((a @ there) @ (b @ back).T, a @ b.T, atol=1e-10)
    assert_allclose((a @ there).T @ (a @ there), (b @ back).T @ (b @ back), atol=1e-9)
    assert row_newton._mixing(a, np.ones((7, 4))) is None


def test_matrices_under_a_ridge_end_soon_at_the_soft_threshold(rng):
    """Of a matrix whose every cell is known: singular values less half the ridge, under squares."""
    x = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 40)) + 0.1 * rng.normal(size=(60, 40))
    data = ObservedTensor(np.argwhere(np.ones(x.shape)), x.ravel(), x.shape)
    result = fit_gcp(data, 5, l2_reg=3.0, random_state=0, solver="rows")
    u, s, vt = np.linalg.svd(x)
    truth = (u[:, :5] * (s[:5] - 1.5)) @ vt[:5]
    assert_allclose(result.model_values(), truth, atol=1e-5)
    assert result.n_iter < 40
