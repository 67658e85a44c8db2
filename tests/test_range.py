"""Data in units whose squares leave the range of numbers, and starts that are one model with other signs."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import DataError, fit_gcp

LOSSES = ["gaussian", "huber", "gamma", "rayleigh", "beta-divergence"]


def numbers():
    return np.abs(np.random.default_rng(0).normal(size=(5, 4, 3))) + 0.1


@pytest.fixture
def data():
    return numbers()


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (1e-300, float),
        (1e-170, float),
        (1e-100, float),
        (1e160, float),
        (1e200, float),
        (1e307, float),
    ],
)
def test_units_out_of_range_are_refused_in_a_sentence(loss, scale, dtype, data):
    x = (data * scale).astype(dtype)
    x = np.minimum(x, np.finfo(dtype).max)
    for kind in (x, gcp.ObservedTensor(np.argwhere(x > 0), x.ravel(), x.shape)):
        with pytest.raises(DataError, match=r"root mean square .* Choose another unit"):
            fit_gcp(kind, 1, loss=loss, random_state=0)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("beta", [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 10.0])
def test_powers_of_the_data_stay_in_range_or_are_refused(beta, data):
    """Data of 1e-90 under beta = 3 ended at once as "converged", 3 times worse than the best constant."""
    loss = gcp.BetaDivergence(beta)
    one = fit_gcp(data, 1, loss=loss, random_state=0)
    refused = []
    for power in (-300, -280, -100, -60, -20, 20, 60, 100, 300, 430):
        x = data * 2.0**power
        try:
            other = fit_gcp(x, 1, loss=loss, random_state=0)
        except DataError:
            refused.append(power)
            continue
        assert_allclose(other.training_deviance_explained, one.training_deviance_explained, rtol=1e-6)
        assert_allclose(other.predict() / 2.0**power, one.predict(), atol=1e-4 * one.predict().max())
    assert set(refused) <= {-300, -280, -100, 100, 300, 430}
    assert beta not in (0.0, 0.5, 1.0, 1.5, 2.0) or refused == []


def in_unit(unit, kind, loss):
    """A fit of data in this unit, which float32 holds as well as float64; its type is that of the data."""
    x = numbers().astype(np.float32).astype(unit.dtype) * unit
    if kind == "missing":
        x[0, 1, 2] = np.nan
    elif kind != "dense":
        maker = gcp.ObservedTensor if kind == "observed" else gcp.SparseTensor
        known = np.random.default_rng(1).random(x.shape) < (0.8 if kind == "observed" else 0.4)
        x = maker(np.argwhere(known), x[known], x.shape)
    own = gcp.Huber(float(0.3 * unit)) if loss == "huber" else loss
    return fit_gcp(x, 1, loss=own, random_state=0, n_starts=2 if kind == "dense" else 1)


@functools.cache
def in_unit_1(dtype, kind, loss):
    return in_unit(dtype(1), kind, loss)


@pytest.mark.parametrize("kind", ["dense", "missing", "observed", "sparse"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("scale", "dtype"),
    [
        (2.0**-300, np.float64),
        (2.0**450, np.float64),
        (2.0**45, np.float32),
        (2.0**-83, np.float32),  # 1e-25: squares of these have no numbers in float32
        (2.0**100, np.float32),
    ],
)
def test_the_unit_does_not_matter(loss, scale, dtype, kind):
    if kind == "sparse" and loss in ("gamma", "rayleigh"):
        pytest.skip("no zeros under this loss")
    is_beyond = dtype is np.float32 and not 1e-15 < scale < 1e15
    one = in_unit_1(np.float64 if is_beyond else dtype, kind, loss)
    other = in_unit(dtype(scale), kind, loss)
    rtol = 1e-5 if dtype is np.float64 or is_beyond else 3e-3
    assert_allclose(np.asarray(other.predict(), float) / scale, one.predict(), rtol=rtol)
    assert_allclose(other.training_deviance_explained, one.training_deviance_explained, rtol=rtol)


def test_float32_data_out_of_its_range_are_the_same_in_float64(data):
    x = (data * 1e-25).astype(np.float32)
    for loss in LOSSES:
        single, double = (fit_gcp(a, 1, loss=loss, random_state=0) for a in (x, x.astype(float)))
        assert single.factors[0].dtype == np.float64
        assert_allclose(single.objective, double.objective, rtol=1e-12)
        assert_allclose(single.score(x), double.score(x.astype(float)), rtol=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "gaussian"])
def test_a_start_with_two_signs_turned_is_the_same_start(loss, data, rng):
    x = np.round(10 * data)
    init = [rng.uniform(0.5, 1.5, (n, 2)) for n in x.shape]
    turned = [-init[0], init[1].copy(), init[2] * np.array([-1.0, 1.0])]
    turned[1][:, 1] *= -1
    fits = [fit_gcp(x, 2, loss=loss, init=given, bounds=(0, None)) for given in (init, turned)]
    assert_allclose(fits[1].weights, fits[0].weights, rtol=1e-12)
    for a, b in zip(fits[0].factors, fits[1].factors, strict=True):
        assert_allclose(b, a, atol=1e-12)
