"""Positions of which nothing is known have no say: a fit with them is the fit of the data without them."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tensorly.cp_tensor import cp_norm

import gcp
from gcp import FitResult, ObservedTensor, SparseTensor, fit_gcp
from gcp.analysis import factor_match_score
from gcp.analysis.plots import plot_components
from gcp.analysis.report import write_report

GONE = 3
SHAPE = (8, 7, 6)


def planted(rng):
    """Counts of rank 2, planted far from ties between components."""
    factors = [rng.gamma(2.0, 1.0, (size, 2)) for size in SHAPE]
    return rng.poisson(np.einsum("ir,jr,kr->ijk", *factors)).astype(float)


@pytest.fixture
def counts(rng):
    return planted(rng)


@pytest.fixture(scope="module")
def fit_without():
    """Fits of the data without a position, each made once; parts of options are given as items."""
    data = planted(np.random.default_rng(20261122))

    @functools.cache
    def fit(mode, rank, **options):
        options = {
            name: dict(value) if isinstance(value, tuple) else value for name, value in options.items()
        }
        return fit_gcp(without(data, mode), rank, **options)

    return fit


def without(x, mode=0):
    return np.delete(x, GONE, axis=mode)


def _observed(x, mode):
    known = np.ones(x.shape, bool)
    known[(slice(None),) * mode + (GONE,)] = False
    return known


def nan(x, mode):
    return {"data": np.where(_observed(x, mode), x, np.nan)}


def masked(x, mode):
    return {"data": x, "mask": _observed(x, mode)}


def weighted(x, mode):
    return {"data": x, "entry_weights": _observed(x, mode).astype(float)}


def listed(x, mode):
    known = _observed(x, mode)
    return {"data": ObservedTensor(np.argwhere(known), x[known], x.shape)}


def sparse(x, mode):
    weights = [None] * x.ndim
    weights[mode] = np.arange(x.shape[mode]) != GONE
    return {"data": SparseTensor(np.argwhere(x >= 0), x[x >= 0], x.shape, mode_weights=weights)}


def sparse_missing(x, mode):
    return {
        "data": SparseTensor(np.argwhere(x > 0), x[x > 0], x.shape, missing=np.argwhere(~_observed(x, mode)))
    }


def parts(x, mode):
    return {"data": gcp.partition(gcp.DenseTensor(x, _observed(x, mode)), 3)}


KINDS = (nan, masked, weighted, listed, sparse, sparse_missing, parts)


def same_model(found, part, mode, rtol=2e-4):
    """Weights and factors are those of the fit without the position."""
    assert_allclose(found.weights, part.weights, rtol=rtol)
    for n, (a, b) in enumerate(zip(found.factors, part.factors, strict=True)):
        assert_allclose(np.delete(a, GONE, axis=0) if n == mode else a, b, atol=rtol)
        assert_allclose(np.linalg.norm(a, axis=0), 1.0, rtol=1e-6)


@pytest.mark.parametrize("mode", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_the_fit_is_that_of_the_data_without_the_position(kind, mode, counts, fit_without):
    part = fit_without(mode, 2, loss="poisson", random_state=5, tol=1e-13)
    for seed in (0, 1):
        found = fit_gcp(**kind(counts, mode), rank=2, loss="poisson", random_state=seed, tol=1e-13)
        same_model(found, part, mode)
        assert_allclose(found.objective, part.objective, rtol=1e-10)
        assert_array_equal(found.unknown[f"mode_{mode}"], [GONE])
        expected = part.predict().mean(axis=mode)
        assert_allclose(np.take(found.predict(), GONE, axis=mode), expected, rtol=1e-3)
        assert factor_match_score(found, found).score == pytest.approx(1.0)


@pytest.mark.parametrize(
    "solver",
    ["plbfgs", "lbfgsb", "rows", "sampled-rows", gcp.Adam(n_iter_max=2, epoch_iters=50), "auto"],
    ids=str,
)
@pytest.mark.parametrize("loss", ["gaussian", "poisson", "poisson-log", "negative-binomial"])
def test_no_solver_moves_the_row(solver, loss, counts):
    kind = listed if solver == "rows" else sparse if solver == "sampled-rows" else nan
    if solver == "sampled-rows" and loss in ("gaussian", "poisson"):
        pytest.skip("their zeros have a closed form")
    found = fit_gcp(**kind(counts, 0), rank=2, loss=loss, solver=solver, random_state=0)
    assert not found.factors[0][GONE].any()
    assert_allclose([np.linalg.norm(a, axis=0) for a in found.factors], 1.0, rtol=1e-6)
    assert_array_equal(found.unknown["mode_0"], [GONE])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("penalty", [{"l2_reg": 0.5}, {"weight_reg": 0.5}], ids=str)
def test_a_ridge_or_lasso_wants_it_at_0(kind, penalty, counts, fit_without):
    found = fit_gcp(**kind(counts, 0), rank=2, loss="poisson", random_state=0, **penalty)
    part = fit_without(0, 2, loss="poisson", random_state=0, **penalty)
    assert not found.factors[0][GONE].any()
    assert not found.unknown
    assert not found.to_frames()["mode_0"].isna().any(axis=None)
    assert_allclose(found.objective, part.objective, rtol=1e-7)
    assert_array_equal(found.predict()[GONE], 0.0)


def test_a_dirichlet_prior_wants_it_at_the_mean(counts):
    found = fit_gcp(**listed(counts, 0), rank=2, loss="poisson", random_state=0, dirichlet_reg=1.0)
    part = fit_gcp(without(counts), 2, loss="poisson", random_state=0, dirichlet_reg=1.0)
    assert_allclose(found.objective, part.objective, rtol=1e-6)
    same_model(found, part, 0, 1e-2)
    assert_allclose(found.predict()[GONE], np.delete(found.predict(), GONE, axis=0).mean(axis=0))


def test_bounds_that_exclude_0(counts):
    found = fit_gcp(**nan(counts, 0), rank=1, loss="poisson", random_state=0, bounds=(0.1, None), l2_reg=0.1)
    part = fit_gcp(without(counts), 1, loss="poisson", random_state=0, bounds=(0.1, None), l2_reg=0.1)
    same_model(found, part, 0)
    assert_array_equal(found.unknown["mode_0"], [GONE])


@pytest.mark.parametrize("loss", ["gaussian", "poisson", "poisson-log"])
@pytest.mark.parametrize("kind", [nan, listed, sparse])
@pytest.mark.parametrize("l2_reg", [0.0, {"main_effects": 0.3}], ids=str)
def test_main_effects(kind, loss, l2_reg, counts, fit_without):
    options = {"loss": loss, "random_state": 0, "main_effects": True, "tol": 1e-13}
    part = fit_without(0, 0, l2_reg=tuple(l2_reg.items()) if l2_reg else 0.0, **options)
    found = fit_gcp(**kind(counts, 0), rank=0, l2_reg=l2_reg, **options)
    assert_allclose(found.objective, part.objective, rtol=1e-7)
    if loss != "poisson":  # nonnegative effects can share their mean among themselves in many ways
        assert_allclose(found.intercept, part.intercept, rtol=1e-3)
    assert found.main_effects["mode_0"][GONE] == 0
    assert_allclose(np.delete(found.main_effects["mode_0"], GONE), part.main_effects["mode_0"], atol=5e-3)


def test_tied_modes_know_what_either_knows(rng):
    a, c = rng.gamma(2.0, 1.0, (7, 2)), rng.gamma(2.0, 1.0, (5, 2))
    x = rng.poisson(np.einsum("ir,jr,kr->ijk", a, a, c)).astype(float)
    x[GONE] = np.nan  # nothing as a sender, but as a receiver
    found = fit_gcp(x, 2, loss="poisson", tied_modes=[(0, 1)], random_state=0)
    assert not found.unknown
    assert found.factors[0][GONE].any()
    x[:, GONE] = np.nan
    found = fit_gcp(x, 2, loss="poisson", tied_modes=[(0, 1)], random_state=0)
    assert set(found.unknown) == {"mode_0", "mode_1"}
    assert_array_equal(found.factors[0], found.factors[1])
    part = fit_gcp(
        np.delete(without(x), GONE, axis=1), 2, loss="poisson", tied_modes=[(0, 1)], random_state=0
    )
    assert_allclose(found.weights, part.weights, rtol=1e-3)


def test_a_fixed_factor_is_known(counts, rng):
    init = [rng.uniform(0.5, 1.5, (size, 2)) for size in SHAPE]
    found = fit_gcp(**nan(counts, 0), rank=2, loss="poisson", init=init, fixed_modes=[0])
    assert not found.unknown
    assert_allclose(found.factors[0], init[0] / np.linalg.norm(init[0], axis=0))


def test_a_position_that_becomes_known_starts_from_the_mean_row(counts):
    before = fit_gcp(**nan(counts, 0), rank=2, loss="poisson", random_state=0)
    after = fit_gcp(counts, 2, loss="poisson", init=before)
    best = fit_gcp(counts, 2, loss="poisson", random_state=0, n_starts=3)
    assert_allclose(after.objective, best.objective, rtol=1e-7)


def test_what_is_shown_saved_and_asked(counts, tmp_path, monkeypatch):
    result = fit_gcp(**listed(counts, 0), rank=2, loss="poisson", random_state=0)
    frame = result.to_frames()["mode_0"]
    assert frame.loc[GONE].isna().all()
    assert frame.drop(GONE).notna().all(axis=None)
    assert bool(result.to_xarray()["mode_0"][GONE].isnull().all())
    result.save(tmp_path / "r.npz")
    assert FitResult.load(tmp_path / "r.npz") == result
    assert "Nothing is known of 1 of mode_0 (3)" in str(result)
    ax = plot_components(result)[0, 0]
    heights = [bar.get_height() for bar in ax.patches] or ax.lines[0].get_ydata()
    assert np.isnan(heights[GONE])
    assert np.isfinite(np.delete(heights, GONE)).all()
    page = tmp_path / "r.html"
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda *_, **__: None
    )  # pixels tell a test nothing
    write_report(result, listed(counts, 0)["data"], page)
    assert "Nothing is known of 1 of mode_0 (3)" in page.read_text()
    assert np.isfinite(cp_norm(result.cp))
    assert np.isfinite(result.score(counts))
    assert np.isfinite(result.deviance_explained(counts))
    subs = np.argwhere(counts >= 0)
    assert_allclose(result.model_values(subs).reshape(SHAPE), result.model_values())
    rows = result.transform(counts[:, :, :2], 2).rows
    assert np.isfinite(rows).all()
