"""Columns that cells carry: how trials are read, what an exposure is called, and lists that may mean two things."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import gcp
from gcp import DataError, SparseTensor, analysis, fit_gcp
from gcp.tensors.intake.coerce import as_tensor

SHAPE = (6, 5, 4)


def binomial(k, n, p):
    """Minus the logarithm of the likelihood without orders of trials."""
    return -np.sum(k * np.log(p) + (n - k) * np.log1p(-p))


def test_whole_numbers_are_counts_by_their_type(rng):
    """All 0 or 1 of nine trials: as counts rare events, as proportions all or none."""
    k = rng.integers(0, 2, SHAPE)
    factors = [np.full((size, 1), 0.7) for size in SHAPE]
    p = 1 / (1 + np.exp(-(0.7**3)))
    counted = gcp.build_objective(k, "bernoulli-logit", trials=9)
    assert_allclose(counted.value_and_grad(factors)[0], binomial(k, 9, p), rtol=1e-9)
    shares = gcp.build_objective(9 * k, "bernoulli-logit", trials=9)
    assert_allclose(shares.value_and_grad(factors)[0], binomial(9 * k, 9, p), rtol=1e-9)
    booleans = gcp.build_objective(k.astype(bool), "bernoulli-logit", trials=9)
    assert booleans.value_and_grad(factors)[0] == counted.value_and_grad(factors)[0]


def test_floats_that_are_0_or_1_are_refused_where_it_matters(rng):
    x = rng.integers(0, 2, SHAPE).astype(float)
    for data in (x, gcp.DenseTensor(x), SparseTensor(np.argwhere(x), x[x > 0], SHAPE)):
        with pytest.raises(
            DataError, match=r"count successes or be proportions\. Give counts in an integer type"
        ):
            fit_gcp(data, 1, loss="bernoulli-logit", trials=9)
    fit_gcp(x, 1, loss="bernoulli-logit", trials=1, random_state=0, n_iter_max=500)
    fit_gcp(0 * x, 1, loss="bernoulli-odds", trials=9, random_state=0)
    n = np.where(x == 1, 1, 9)  # a success of one trial is all of them
    assert np.isfinite(gcp.build_objective(x, "bernoulli-logit", trials=n).null_value)
    with_nan = np.where(rng.random(SHAPE) < 0.2, np.nan, x)
    fit_gcp(
        np.nan_to_num(with_nan).astype(int), 1, loss="bernoulli-logit", trials=9, mask=~np.isnan(with_nan)
    )


def test_new_data_are_read_by_the_same_rule(rng):
    n = np.full(SHAPE, 4)
    k = rng.binomial(n, 0.5)
    fit = fit_gcp(k / n, 1, loss="bernoulli-logit", trials=n, random_state=0)
    some = np.where(k > 2, 1.0, 0.0)
    for judge in (fit.score, fit.deviance_explained, lambda x, **o: fit.transform(x, 0, **o)):
        with pytest.raises(DataError, match="count successes or be proportions"):
            judge(some, trials=n)
    counted = fit.score((4 * some).astype(int), trials=n)
    p = fit.predict()
    assert_allclose(counted, -binomial(4 * some, n, p) / n.sum(), rtol=1e-6)


def test_trials_that_data_carry_are_not_taken_twice(rng):
    n, o = rng.integers(2, 9, SHAPE), rng.normal(size=SHAPE)
    k = rng.binomial(n, 0.4)
    at_once = gcp.build_objective(k, "bernoulli-logit", trials=n, offset=o)
    later = gcp.build_objective(as_tensor(k, trials=n), "bernoulli-logit", offset=o)
    factors = [rng.normal(size=(size, 2)) for size in SHAPE]
    eta = o + np.einsum("ir,jr,kr->ijk", *factors)
    truth = -np.sum(k * eta - n * np.log1p(np.exp(eta)))
    assert_allclose(at_once.value_and_grad(factors)[0], truth, rtol=1e-9)
    assert_allclose(later.value_and_grad(factors)[0], truth, rtol=1e-9)


# --- names ----------------------------------------------------------------------------------------------------------


def named_exposure(rng):
    return xr.DataArray(rng.uniform(1, 2, SHAPE), dims=("a", "b", "c"), name="hours", attrs={"units": "h"})


def test_an_exposure_keeps_its_name_in_splits_and_files(rng, tmp_path):
    x = xr.DataArray(rng.poisson(3.0, SHAPE), dims=("a", "b", "c"))
    data = as_tensor(x, exposure=named_exposure(rng))
    gcp.write_tensor(tmp_path / "x.npz", data)
    split = gcp.hold_out(data, 0.3, random_state=0)
    rows = gcp.hold_out(data, 0.3, random_state=0, scheme="rows", mode="a")
    offset = as_tensor(data, offset=rng.normal(size=SHAPE))
    in_parts = gcp.partition(data, 2)
    plain = gcp.DenseTensor(x.to_numpy())
    unnamed = as_tensor(plain, exposure=pd.Series(np.ones(4), name="hours in h"))
    for tensor in (
        data,
        gcp.read_tensor(tmp_path / "x.npz"),
        *split,
        *rows,
        rows.given,
        offset,
        in_parts,
        unnamed,
    ):
        assert tensor.labels.exposure == "hours in h"
    fit = fit_gcp(split.train, 1, loss="poisson", random_state=0)
    assert fit.problem.exposure_name == "hours in h"
    assert "hours in h" in str(fit)
    fit.save(tmp_path / "fit.npz")
    assert gcp.load(tmp_path / "fit.npz") == fit


def test_a_population_is_of_people():
    crimes, people = gcp.datasets.load_us_crimes(), gcp.datasets.load_us_population()
    fit = fit_gcp(crimes, 1, loss="poisson", exposure=people, random_state=0, n_iter_max=3, tol=1.0)
    assert fit.problem.exposure_name == "people"


# --- what may mean two things ---------------------------------------------------------------------------------------


def test_lists_beside_a_square_sparse_tensor(rng):
    x = np.array([[3, 0], [1, 2]])
    data = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    lists = [[1.0, 2.0], [3.0, 5.0]]
    with pytest.raises(DataError, match="may be an array, or a vector for each mode"):
        fit_gcp(data, 1, loss="poisson", exposure=lists)
    factors = [np.ones((2, 1)), np.ones((2, 1))]
    array = gcp.build_objective(data, "poisson", exposure=np.array(lists)).value_and_grad(factors)[0]
    vectors = gcp.build_objective(data, "poisson", exposure=list(map(np.array, lists))).value_and_grad(
        factors
    )[0]
    for found, e in ((array, np.array(lists)), (vectors, np.outer(*lists))):
        assert_allclose(found, np.sum(e - x * np.log(e)), rtol=1e-8)
    tall = np.array([[3, 0, 1], [1, 2, 0]])  # two lists of two are no array of this shape
    other = SparseTensor(np.argwhere(tall), tall[tall > 0], tall.shape)
    fit_gcp(other, 1, loss="poisson", exposure=[[1.0, 2.0], [1.0, 2.0, 3.0]], random_state=0)


def test_pictures_of_means_take_it(rng):
    e = rng.uniform(1, 9, SHAPE)
    x = rng.poisson(3 * e)
    fit = fit_gcp(x, 1, loss="poisson", exposure=e, random_state=0)
    ax = gcp.plots.plot_observed(fit, x, [0], exposure=e)[0]
    expected, observed = ax.lines[-1].get_data()
    assert_allclose(np.sort(observed), np.sort(x.mean(axis=(1, 2))), rtol=1e-9)
    assert_allclose(np.sort(expected), np.sort((e * fit.predict()).mean(axis=(1, 2))), rtol=1e-6)
    assert analysis.deviance(fit, x, exposure=e).deviance > 0
