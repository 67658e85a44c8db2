"""Rung 5: which method "auto" runs, and that two methods in turn count as one fit."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import fit_gcp, simulate
from gcp.solvers import Auto


def collinear(seed=0):
    """Data on which alternating least squares is slow."""
    rng = np.random.default_rng(seed)
    common = [rng.normal(size=(n, 1)) for n in (12, 11, 10)]
    factors = [c + 0.3 * rng.normal(size=(len(c), 3)) for c in common]
    return np.einsum("ar,br,cr->abc", *factors) + 0.01 * rng.normal(size=(12, 11, 10))


def method_of(result):
    return result.settings["solver"]["method"]


def test_easy_gaussian_data_need_only_als():
    data, _ = simulate((12, 11, 10), 2, "gaussian", random_state=0)
    result = fit_gcp(data, 2, random_state=0)
    assert method_of(result) == "ALS"
    assert result.settings["solver"]["name"] == "Auto"
    assert "ALS" in repr(result.summary())


@pytest.mark.parametrize(
    "options",
    [
        {"bounds": (0, None)},
        {"mask": np.arange(1320).reshape(12, 11, 10) % 7 > 0},
        {"entry_weights": 2.0 * np.ones((12, 11, 10)) + np.arange(10)},
        {"loss": "huber"},
    ],
    ids=["bounds", "mask", "weights", "loss"],
)
def test_als_runs_only_where_it_applies(options):
    result = fit_gcp(collinear(), 2, random_state=0, **options)
    assert method_of(result) == "PreconditionedLBFGS"


def test_long_tables_go_by_rows(rng):
    x = rng.poisson(rng.gamma(1.0, 1.0, (900, 6)) @ rng.gamma(1.0, 1.0, (10, 6)).T)
    result = fit_gcp(x, 6, loss="poisson", random_state=0)
    assert method_of(result) == "RowNewton"
    other = fit_gcp(x, 6, loss="poisson", random_state=0, solver="plbfgs")
    assert result.objective <= other.objective + 1e-4 * abs(other.objective)
    assert method_of(fit_gcp(x[:800], 6, loss="poisson", random_state=0)) != "RowNewton"  # fewer unknowns
    wide = rng.poisson(2.0, (900, 90))
    assert method_of(fit_gcp(wide, 6, loss="poisson", random_state=0, n_iter_max=3)) == "PreconditionedLBFGS"


def test_two_methods_in_turn_are_one_fit():
    seen = []
    result = fit_gcp(collinear(), 3, random_state=0, callback=seen.append, tol=1e-12)
    assert method_of(result) == "ALS, then PreconditionedLBFGS"
    assert result.n_iter == len(seen) == len(result.trace["objective"]) - 1
    assert [state.iteration for state in seen] == list(range(1, len(seen) + 1))
    assert (np.diff([state.n_eval for state in seen]) > 0).all()
    assert (np.diff(result.trace["seconds"]) >= 0).all()
    assert_allclose(result.trace["objective"][-1], result.objective)
    other = fit_gcp(collinear(), 3, random_state=0, solver="lbfgsb", tol=1e-12)
    assert result.objective <= other.objective * (1 + 1e-6)


def test_als_runs_with_fixed_modes_but_not_with_tied_ones(rng):
    a, b = rng.normal(size=(8, 2)), rng.normal(size=(6, 2))
    data = np.einsum("ar,br,cr->abc", a, a, b)
    fixed = fit_gcp(data, 2, init=[a, a, b + 1.0], fixed_modes=[0], random_state=0)
    assert method_of(fixed) == "ALS"
    assert fixed.objective < 1e-6 * np.sum(data**2)
    tied = fit_gcp(data, 2, tied_modes=[(0, 1)], n_starts=3, random_state=0)
    assert method_of(tied) == "PreconditionedLBFGS"
    assert tied.objective < 1e-6 * np.sum(data**2)


def test_the_seconds_of_both_methods_count(monkeypatch):
    """A clock that advances by a second at every look."""
    ticks = iter(range(10**9))
    monkeypatch.setattr("gcp.solvers.run.time.perf_counter", lambda: float(next(ticks)))
    options = {"tol": 0, "gradient_tol": 0}
    alone = fit_gcp(collinear(), 3, random_state=0, solver=Auto(n_iter_max=40, max_seconds=1e6, **options))
    spent = alone.trace["seconds"][-1]
    limited = fit_gcp(collinear(), 3, random_state=0, solver=Auto(max_seconds=spent + 10, **options))
    assert limited.status == "max_seconds"
    assert method_of(limited) == "ALS, then PreconditionedLBFGS"
    assert 40 < limited.n_iter < 46  # not as many again


@pytest.mark.parametrize("limit", [0, 10, 45])
def test_the_iterations_of_both_methods_count(limit):
    result = fit_gcp(collinear(), 3, random_state=0, solver=Auto(n_iter_max=limit, tol=0, gradient_tol=0))
    assert result.n_iter == limit
    assert result.status == "n_iter_max"


def test_a_callback_stops_either_method():
    for after in (5, 43):
        result = fit_gcp(collinear(), 3, random_state=0, tol=0, callback=lambda s, n=after: s.iteration == n)
        assert result.n_iter == after
        assert result.status == "callback"


@pytest.mark.parametrize(("loss", "method"), [("poisson", "LBFGSB"), ("gaussian", "ALS")])
@pytest.mark.parametrize("rank", [20, 300])
def test_more_unknowns_than_cells_are_no_matter_for_second_order(loss, method, rank, rng):
    # 8 x 6 x 5 counts at rank 500 took over nine minutes
    x = rng.poisson(2.0, (8, 6, 5)).astype(float)
    found = fit_gcp(x, rank, loss=loss, random_state=0, n_iter_max=60)
    assert found.settings["solver"]["method"].split(",")[0] == method
    assert "PreconditionedLBFGS" not in found.settings["solver"]["method"]
    assert f"rank {rank} is above 14, the most that the shape 8 x 6 x 5 can identify" in found.message


def test_ranks_that_the_shape_can_identify_get_no_word(rng):
    x = rng.poisson(2.0, (8, 6, 5)).astype(float)
    found = fit_gcp(x, 14, loss="poisson", random_state=0, n_iter_max=5)  # 14 * (8 + 6 + 5 - 2) = 238 of 240
    assert "identify" not in found.message
    init = [rng.random((n, 20)) for n in x.shape]
    found = fit_gcp(x, 20, loss="poisson", init=init, fixed_modes=[0], n_iter_max=5)  # 20 * (6 + 5 - 1) = 200
    assert "identify" not in found.message
