"""The compiled elementary functions against NumPy's, over the whole range."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose

from gcp import elementary
from gcp.elementary import exp, expm1, log, log1mexp, log1p, maximum, minimum, power, sigmoid, softplus, where

FUNCTIONS = {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2e-308, -2.2e-308, 1.0, -1.0])


def compiled(function):
    @njit(error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def run(x):
        out = np.empty(x.shape)
        loop(x, out)
        return out

    return run


@pytest.fixture(scope="module")
def compiled_functions():
    pairs = (*FUNCTIONS.items(), ("softplus", softplus), ("sigmoid", sigmoid), ("log1mexp", log1mexp))
    return {name: compiled(function) for name, function in pairs}


def ulps(got, expected):
    """Distance in units of the last place of `expected`."""
    with np.errstate(invalid="ignore"):
        distance = np.abs(got - expected) / np.spacing(np.abs(expected))
    return np.where((got == expected) | (np.isnan(got) & np.isnan(expected)), 0.0, distance)


def magnitudes(low, high, n=20_000, seed=0):
    return 10.0 ** np.random.default_rng(seed).uniform(low, high, n)


RANGES = {
    "exp": [np.linspace(-745, 709.7, 50_001), magnitudes(-320, 2), -magnitudes(-320, 2)],
    "expm1": [np.linspace(-60, 709.7, 50_001), magnitudes(-320, 2), -magnitudes(-320, 2)],
    "log": [magnitudes(-323, 308), np.linspace(0.5, 2, 50_001), 1 + np.array([-1, 1]) * 2.0**-52],
    "log1p": [magnitudes(-320, 308), -magnitudes(-320, -1e-9), np.linspace(-0.999, 3, 50_001)],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled_is_within_4_ulp_of_numpy(name, compiled_functions):
    for x in RANGES[name]:
        x = np.append(x, SPECIAL)
        with np.errstate(all="ignore"):
            expected = FUNCTIONS[name](x)
        error = ulps(compiled_functions[name](x), expected)
        worst = int(np.argmax(error))
        assert error[worst] <= 4, f"{name}({x[worst]!r}) is off by {error[worst]} ulp"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signed_zeros_and_special_values(name, compiled_functions):
    with np.errstate(all="ignore"):
        expected = FUNCTIONS[name](SPECIAL)
    assert ulps(compiled_functions[name](SPECIAL), expected).max() <= 1


def test_overflow_and_underflow_points(compiled_functions):
    x = np.array([709.782712893384, 709.7827128933841, 710.0, 1e300, -745.1332191019411, -745.2, -1e300])
    with np.errstate(all="ignore"):
        expected = np.exp(x)
    assert ulps(compiled_functions["exp"](x), expected).max() <= 4
    assert compiled_functions["exp"](np.array([1e5]))[0] == np.inf
    assert compiled_functions["expm1"](np.array([-1e5]))[0] == -1


def test_expm1_just_below_overflow(compiled_functions):
    x = np.nextafter(709.782712893384, 0, dtype=float)
    assert ulps(compiled_functions["expm1"](np.array([x])), np.expm1(np.array([x]))).max() <= 4


def test_softplus_by_hand(compiled_functions):
    x = np.array([-800.0, -40.0, 0.0, 40.0, 800.0, np.inf])
    expected = [0.0, np.exp(-40.0), np.log(2.0), 40 + np.exp(-40.0), 800.0, np.inf]
    for run in (softplus, compiled_functions["softplus"]):
        assert_allclose(run(x), expected, rtol=1e-14)


def test_sigmoid_by_hand(compiled_functions):
    x = np.array([-800.0, -np.log(3.0), 0.0, np.log(3.0), 800.0])
    for run in (sigmoid, compiled_functions["sigmoid"]):
        assert_allclose(run(x), [0, 0.25, 0.5, 0.75, 1], rtol=1e-14, atol=1e-300)
        assert_allclose(run(np.array([-700.0])), np.exp(-700.0), rtol=1e-12)


def test_log1mexp_keeps_digits_at_both_ends(compiled_functions):
    # small x: log(x - x**2/2 + ...) ; large x: -exp(-x)
    x = np.array([1e-300, 1e-10, np.log(2), 40.0, 700.0])
    expected = np.array([np.log(1e-300), np.log(1e-10) - 5e-11, -np.log(2), -np.exp(-40.0), -np.exp(-700.0)])
    assert_allclose(compiled_functions["log1mexp"](x), expected, rtol=1e-12)
    with np.errstate(divide="ignore"):  # both branches are evaluated
        assert_allclose(log1mexp(x), expected, rtol=1e-12)


def test_power_is_accurate_where_losses_use_it():
    @njit(error_model="numpy")
    def loop(x, p, out):
        for i in range(x.size):
            out[i] = power(x[i], p)

    x = magnitudes(-12, 9, 5000)
    for p in (-2.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0):
        out = np.empty_like(x)
        loop(x, p, out)
        assert_allclose(out, x**p, rtol=3e-14)


def test_selections_compile_and_nan_wins_as_in_numpy():
    @njit(error_model="numpy")
    def choose(a, b):
        return maximum(a, b), minimum(a, b), where(a < b, a, b)

    for a, b in ((1.0, 2.0), (2.0, 1.0), (np.nan, 1.0), (1.0, np.nan), (-np.inf, np.inf)):
        expected = np.array([np.maximum(a, b), np.minimum(a, b), a if a < b else b])
        assert np.array_equal(np.array(choose(a, b)), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_arguments_of_other_types_are_promoted(dtype, compiled_functions):
    x = np.array([1, 2, 3], dtype)
    for name, function in FUNCTIONS.items():
        assert_allclose(compiled_functions[name](x), function(x.astype(float)), rtol=1e-15)


def test_on_arrays_they_are_numpy():
    x = np.linspace(0.1, 3, 7)
    for name in ("exp", "expm1", "log", "log1p"):
        assert np.array_equal(getattr(elementary, name)(x), getattr(np, name)(x))
