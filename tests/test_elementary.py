"""The compiled elementary functions against NumPy's, over the whole range."""

import functools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from gcp import available_losses
from gcp.base.compiler import machine, translate
from gcp.base.compiler.jit import jit, jit_part
from gcp.base.compiler.values import FLOAT32, INT, Array, Element, Number
from gcp.losses import elementary
from gcp.losses.elementary import (
    exp,
    expm1,
    log,
    log1mexp,
    log1p,
    maximum,
    minimum,
    power,
    sigmoid,
    softplus,
    where,
)
from gcp.losses.registry import example_loss

FUNCTIONS = {"exp": exp, "expm1": expm1, "log": log, "log1p": log1p}
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2e-308, -2.2e-308, 1.0, -1.0])


def compiled(function):
    @jit
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


POLYGAMMA = {
    "erf": special.erf,
    "gammaln": special.gammaln,
    "digamma": special.psi,
    "trigamma": lambda x: special.polygamma(1, x),
}


@pytest.mark.parametrize("name", POLYGAMMA)
def test_error_and_gamma_functions_are_those_of_scipy(name):
    """Near their zeros (gammaln at 1 and 2, digamma at 1.46 and between poles) digits are lost in any arithmetic."""
    function = getattr(elementary, name)
    x = np.concatenate(
        [
            magnitudes(-300, 14, 4000),
            np.linspace(1e-3, 30, 3001),
            -magnitudes(-200, -1, 500),
            np.linspace(-9.71, -0.31, 95),
        ]
    )
    x = x[np.abs(x - np.rint(x)) > 1e-300] if name != "erf" else x
    with np.errstate(all="ignore"):
        expected = POLYGAMMA[name](x)
        for got in (compiled(function)(x), function(x)):
            assert_allclose(got, expected, rtol=2e-14, atol=2e-14 if name in ("gammaln", "digamma") else 0)


@pytest.mark.parametrize("name", POLYGAMMA)
def test_error_and_gamma_functions_at_their_ends(name):
    x = np.array([0.0, -1.0, -4.0, np.inf, np.nan, 1e-300, 1e300])
    with np.errstate(all="ignore"):
        expected = POLYGAMMA[name](x)
        assert_allclose(getattr(elementary, name)(x), expected, rtol=1e-14)
    assert_allclose(compiled(getattr(elementary, name))(x), expected, rtol=1e-14)


def test_trigamma_far_below_0_is_quick():
    """SciPy's sum begins there: it would take a minute."""
    assert_allclose(elementary.trigamma(np.array([-1e9 + 0.5])), np.pi**2, rtol=1e-6)


def test_power_is_accurate_where_losses_use_it():
    @jit
    def loop(x, p, out):
        for i in range(x.size):
            out[i] = power(x[i], p)

    x = magnitudes(-12, 9, 5000)
    for p in (-2.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0):
        out = np.empty_like(x)
        loop(x, p, out)
        assert_allclose(out, x**p, rtol=3e-14)


def test_selections_compile_and_nan_wins_as_in_numpy():
    @jit
    def choose(a, b):
        return maximum(a, b), minimum(a, b), where(a < b, a, b)

    for a, b in ((1.0, 2.0), (2.0, 1.0), (np.nan, 1.0), (1.0, np.nan), (-np.inf, np.inf)):
        expected = np.array([np.maximum(a, b), np.minimum(a, b), a if a < b else b])
        assert np.array_equal(np.array(choose(a, b)), expected, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_integers_are_promoted_to_float64(dtype, compiled_functions):
    x = np.array([1, 2, 3], dtype)
    for name, function in FUNCTIONS.items():
        assert_allclose(compiled_functions[name](x), function(x.astype(float)), rtol=1e-15)


def test_on_arrays_they_are_numpy():
    x = np.linspace(0.1, 3, 7)
    for name in ("exp", "expm1", "log", "log1p"):
        assert np.array_equal(getattr(elementary, name)(x), getattr(np, name)(x))


# --- float32 -----------------------------------------------------------------------------------------------

SINGLES = np.arange(0, 2**32, 1009, dtype=np.uint64).astype(np.uint32).view(np.float32)  # of every magnitude
EDGES = "0 -0 inf -inf nan 1e-45 -1e-45 1.1754942e-38 1.1754944e-38 3.4028235e38 1 -1 -0.99999994 0.6931472 16.635532"
EXP_EDGES = "88.72283 88.72284 90 -87.33655 -103.27893 -103.97208 -104 -110"
SPECIAL_SINGLES = np.array(f"{EDGES} {EXP_EDGES}".split(), np.float32)


def exact_log1mexp(x):
    near = np.log(-np.expm1(-np.minimum(x, 1.0)))
    return np.where(x < 0.7, near, np.log1p(-np.exp(-np.maximum(x, 0.0))))


def in_double(name, x):
    """The truth, in float64 by NumPy."""
    function = exact_log1mexp if name == "log1mexp" else getattr(elementary, name)
    with np.errstate(all="ignore"):
        return function(x.astype(float))


def ulps_of_single(got, expected):
    """Distance from a float64 truth in units of float32's last place; 0 where the truth rounds to what was got."""
    with np.errstate(all="ignore"):
        rounded = expected.astype(np.float32)
        spacing = np.spacing(np.maximum(np.abs(rounded), np.float32(2.0**-126))).astype(float)
        distance = np.abs(got.astype(float) - expected) / spacing
    return np.where((got == rounded) | (np.isnan(got) & np.isnan(rounded)), 0.0, distance)


SINGLE = Number(FLOAT32, "")
VECTOR = Array(Element.of(np.dtype(np.float32)), "", (Number(INT, ""),))


def assert_single(loop, *values):
    """Compiled for float32, it never widens a number to float64."""
    text, _ = translate.translated(loop, values, "loop")
    assert "float" in text
    assert "fpext" not in machine.optimised(text)


def compiled_single(function):
    @jit(fastmath={"contract", "nsz"})
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    def run(x):
        out = np.empty_like(x)
        loop(x, out)
        assert_single(loop, VECTOR, VECTOR)
        return out

    return run


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("exp", 1.1),
        ("expm1", 1.6),
        ("log", 1.0),
        ("log1p", 1.5),
        ("sigmoid", 2.5),
        ("softplus", 2.0),
        ("log1mexp", 2.1),
        ("erf", 1.5),
    ],
)
def test_single_precision_over_all_magnitudes(name, most):
    x = np.concatenate([SINGLES, np.linspace(-20, 20, 100_001).astype(np.float32), SPECIAL_SINGLES])
    error = ulps_of_single(compiled_single(getattr(elementary, name))(x), in_double(name, x))
    worst = int(np.argmax(np.nan_to_num(error, nan=np.inf)))
    assert error[worst] <= most, f"{name}({x[worst]!r}) is off by {error[worst]} ulp"


@pytest.mark.parametrize("name", ["gammaln", "digamma", "trigamma"])
def test_single_precision_of_the_gamma_functions(name):
    x = np.concatenate([magnitudes(-18, 6), np.linspace(0.01, 30, 3000)]).astype(np.float32)
    got = compiled_single(getattr(elementary, name))(x)
    assert_allclose(got, POLYGAMMA[name](x.astype(float)), rtol=2e-6, atol=2e-6)


@functools.cache
def single_power():
    @jit(fastmath={"contract", "nsz"})
    def loop(x, p, out):
        for i in range(x.size):
            out[i] = power(x[i], p)

    return loop


@pytest.mark.parametrize("p", [-3.0, -2.5, -1.0, -0.5, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_single_precision_power(p):
    loop = single_power()
    x = np.concatenate([magnitudes(-44, 38), magnitudes(-1, 1), [1, np.inf, np.nan]]).astype(np.float32)
    x, p = x[~(x == 0)], np.float32(p)
    out = np.empty_like(x)
    loop(x, p, out)
    with np.errstate(all="ignore"):
        error = ulps_of_single(out, x.astype(float) ** float(p))
    assert error.max() <= 1.6
    zero = np.zeros(1, np.float32)
    loop(zero, p, out[:1])
    assert_single(loop, VECTOR, SINGLE, VECTOR)
    assert out[0] == (0 if p > 0 else np.inf)


SCALE = 3.0


def test_numbers_of_a_formula_take_the_type_of_its_arguments():
    closure = 0.5

    @jit
    def f(x, out, more=7.0):
        out[0] = SCALE * x + closure * x + 2.0 * x + (more if x > 0.0 else 1.0)

    out = np.zeros(1, np.float32)
    f(np.float32(1), out)
    assert out[0] == 12.5
    assert_single(f, SINGLE, VECTOR)


def test_numbers_outside_the_range_of_float32_stay():
    raised = jit(lambda x: x + 1e-300)
    assert raised(np.float32(0)) == 1e-300


@pytest.mark.parametrize("name", available_losses())
def test_formulas_of_losses_never_leave_single_precision(name):
    loss = example_loss(name)
    n_params = len(loss.params)
    f, df, d2f, weight = loss.f, loss.df, loss.d2f, loss.weight

    @jit_part(fastmath={"contract", "nsz"})
    def loop(x, m, params, out):
        for i in range(x.size):
            out[0, i] = f(x[i], m[i], *params)
            out[1, i] = df(x[i], m[i], *params)
            out[2, i] = d2f(x[i], m[i], *params)
            out[3, i] = weight(x[i], m[i], *params)

    matrix = VECTOR._replace(sizes=(*VECTOR.sizes, *VECTOR.sizes))
    assert_single(loop, VECTOR, VECTOR, (SINGLE,) * n_params, matrix)
