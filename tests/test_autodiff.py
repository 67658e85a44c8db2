"""Derivatives of traced formulas against closed forms and finite differences."""

import re

import numpy as np
import pytest
from helpers import central_difference
from numpy.testing import assert_allclose
from scipy import special

from gcp import custom_loss
from gcp.base.compiler.jit import jit_closure
from gcp.losses import elementary
from gcp.losses.autodiff import trace
from gcp.losses.expression_graph import KNOWN, UntraceableError

X = np.array([-2.3, -0.4, 0.7, 1.9, 3.1])
M = np.array([0.35, 0.8, 1.4, 2.2, 4.6])

FORMULAS = {
    "square": lambda x, m: (x - m) ** 2,
    "polynomial": lambda x, m: 3 * m**3 - x * m**2 + m / 7 - 5,
    "negative powers": lambda x, m: m**-2 + x * m**-1.5,
    "power of x": lambda x, m: np.abs(x) ** m,
    "number to the m": lambda x, m: 2.0**m,
    "m to the m": lambda x, m: m**m,
    "quotient": lambda x, m: (x + m) / (1 + m * m),
    "reflected": lambda x, m: 1 - (2 / (3 - (-m))),
    "log": lambda x, m: np.log(m) - x * np.log1p(m),
    "exp": lambda x, m: np.exp(-m) + np.expm1(m / 3) * x,
    "sqrt": lambda x, m: np.sqrt(m + x * x),
    "trigonometric": lambda x, m: np.sin(m) * np.cos(x * m) + np.arctan(m),
    "tanh": lambda x, m: np.tanh(x - m),
    "nested": lambda x, m: np.log1p(np.exp(np.sin(np.sqrt(1 + m * m)))),
    "abs": lambda x, m: np.abs(x - m) + abs(m - 1.1) * x,
    "maximum": lambda x, m: np.maximum(x - m, 0.3) * np.minimum(m, 2.0),
    "where": lambda x, m: np.where(m > 1, m * m, 2 * m - 1),
    "nested where": lambda x, m: np.where((x > 0) & (m < 2), np.where(m <= 1, m, m**3), x * m),
    "or": lambda x, m: np.where((x < 0) | (m >= 2), np.exp(m), m),
    "clip": lambda x, m: np.clip(m, 0.5, 2.0) ** 2,
    "logaddexp": lambda x, m: np.logaddexp(0.0, m) - x * m,
    "expit": lambda x, m: special.expit(m) * x,
    "xlogy": lambda x, m: m - special.xlogy(abs(x), m),
    "square function": lambda x, m: np.square(m) + np.reciprocal(m) + np.negative(m) + np.positive(m),
    "float_power": lambda x, m: np.float_power(m, 1.5),
    "softplus": lambda x, m: elementary.softplus(x * m),
    "sigmoid": lambda x, m: elementary.sigmoid(x - m),
    "log1mexp": lambda x, m: elementary.log1mexp(m),
    "hyperbolic": lambda x, m: np.log(np.cosh(x - m)) + np.sinh(m) / 7,
    "logarithms": lambda x, m: np.log2(1 + m * m) * x + np.log10(m),
    "erf": lambda x, m: special.erf(x - m) ** 2,
    "gammaln": lambda x, m: special.gammaln(m + abs(x)) - x * special.gammaln(m),
    "gammaln below 0": lambda x, m: special.gammaln(-m),
    "psi in x": lambda x, m: m * special.psi(abs(x)),
    "sum of conditions": lambda x, m: ((m > 1) + (x > 0)) * m**2,  # is true, not 2, in NumPy
    "product of conditions": lambda x, m: ((m > 1) * (x > 0) + (x < 3)) * m**2,
    "numbers as conditions": lambda x, m: np.where(np.logical_and(x > 0, m) | np.logical_or(m, x), m * m, m),
    "fabs": lambda x, m: np.fabs(x - m),
    "clip by keywords": lambda x, m: np.clip(m, a_min=None, a_max=2.0) * np.clip(x * m, 0.5, None),
    "clip, the method": lambda x, m: (
        np.asarray(m).clip(0.5, max=2.0) ** 3 if isinstance(m, np.ndarray) else m.clip(0.5, 2.0) ** 3
    ),
    "shared": lambda x, m: (lambda t: t * t + t / (1 + t))(np.exp(m - x)),
}
every_formula = pytest.mark.parametrize("f", FORMULAS.values(), ids=FORMULAS.keys())


@every_formula
def test_traced_value_is_the_formula(f):
    assert_allclose(trace(f, 0)[0](X, M), f(X, M), rtol=1e-13, atol=1e-14)


@every_formula
def test_first_and_second_derivative_match_central_differences(f):
    _, first, second = trace(f, 2)
    numeric = central_difference(lambda m: f(X, m), M)
    assert_allclose(first(X, M) + 0 * M, numeric, rtol=2e-7, atol=1e-8)
    numeric = central_difference(lambda m: first(X, m) + 0 * m, M)
    assert_allclose(second(X, M) + 0 * M, numeric, rtol=2e-7, atol=1e-8)


@every_formula
def test_derivatives_compile(f):
    _, first = trace(f, 1)
    compiled = jit_closure(first, "", fastmath=())
    got = [compiled(x, m) for x, m in zip(X, M, strict=True)]
    assert_allclose(got, first(X, M) + 0 * M, rtol=1e-12, atol=1e-14)


def test_third_derivative_by_hand():
    *_, third = trace(lambda x, m: m**4 + np.exp(2 * m), 3)
    assert_allclose(third(X, M), 24 * M + 8 * np.exp(2 * M), rtol=1e-12)


def test_the_functions_that_are_named_are_known():
    names = re.findall(r"\b[a-z][a-z0-9_]+", re.sub(r"\b(and|of|scipy\.special)\b", "", KNOWN))
    assert len(names) == 28
    two = {"power", "float_power", "logaddexp", "maximum", "minimum", "xlogy"}
    for name in names:
        function = getattr(np, name, None) or getattr(special, name)
        if name == "clip":
            f = lambda x, m: np.clip(m, 0.5, x)  # noqa: E731
        elif name == "where":
            f = lambda x, m: np.where(m > x, m, x)  # noqa: E731
        else:
            f = lambda x, m, g=function, n=name: g(m, 1.5) if n in two else g(m)  # noqa: E731
        value, first = trace(f, 1)
        assert_allclose(value(M, M + 0.1), f(M, M + 0.1), rtol=1e-13, err_msg=name)
        assert np.isfinite(first(M, M + 0.1) + 0 * M).all(), name
        assert re.search(rf"\b{name}\b", custom_loss.__doc__), name


def test_derivatives_are_exact_not_numeric():
    _, first = trace(lambda x, m: np.exp(m), 1)
    assert np.array_equal(first(X, M), np.exp(M))


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda x, m: np.logaddexp(0.0, m), 0.5),
        (lambda x, m: elementary.softplus(m), 0.5),
        (lambda x, m: special.expit(m), 0.25),
        (lambda x, m: elementary.sigmoid(m), 0.25),
    ],
    ids=["logaddexp", "softplus", "expit", "sigmoid"],
)
def test_smooth_functions_written_by_cases_are_smooth_at_zero(f, slope):
    _, first = trace(f, 1)
    near = first(np.zeros(3), np.array([-1e-9, 0.0, 1e-9]))
    assert_allclose(near, slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("f", "curvature"),
    [
        (lambda x, m: np.logaddexp(0.0, m), 0.25),
        (lambda x, m: elementary.softplus(m), 0.25),
        (lambda x, m: special.expit(m), 0.0),
        (lambda x, m: elementary.sigmoid(m) * m, 0.5),
    ],
    ids=["logaddexp", "softplus", "expit", "sigmoid"],
)
def test_their_second_derivatives_are_smooth_at_zero_too(f, curvature):
    second = trace(f, 2)[2]
    near = second(np.zeros(3), np.array([-1e-9, 0.0, 1e-9]))
    assert_allclose(near, curvature, rtol=1e-6, atol=1e-8)


def test_absolute_value_has_slope_zero_at_its_kink():
    _, first = trace(lambda x, m: np.abs(m), 1)
    assert_allclose(first(np.zeros(3), np.array([-1.0, 0.0, 1.0])), [-1, 0, 1])


def test_integer_powers_of_negative_models():
    _, first = trace(lambda x, m: m**3 + m**-1, 1)
    m = np.array([-2.0, -0.5])
    assert_allclose(first(m, m), 3 * m**2 - m**-2.0)


def test_small_values_keep_their_digits():
    m = np.array([-300.0, -50.0, -38.5])
    for value in trace(lambda x, m: np.logaddexp(0.0, m), 2):  # of such m e**m, and so are its derivatives
        assert_allclose(value(X[:3], m), np.exp(m), rtol=1e-13)


def test_no_overflow_where_the_formula_has_none():
    value, first, second = trace(lambda x, m: np.logaddexp(0.0, m), 2)
    m = np.array([-800.0, -700.0, 700.0, 800.0])
    assert_allclose(value(m, m), [0, 0, 700, 800], atol=1e-300)
    assert_allclose(first(m, m), [0, 0, 1, 1], atol=1e-300)
    assert_allclose(second(m, m), 0, atol=1e-300)


def branch(x, m):
    return m if m > 0 else -m


def loops(x, m):
    return max(m, 0.0)


def through_math(x, m):
    import math

    return math.exp(m)


def with_array(x, m):
    return m * np.array([1.0, 2.0])


def through_other(x, m):
    return special.ndtr(m)


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (branch, "if"),
        (loops, "max"),
        (through_math, "math module"),
        (with_array, "no real number"),
        (through_other, "ndtr"),
        (lambda x, m: np.sum(m), "sum|reduce"),
        (lambda x, m: np.arcsinh(m), "arcsinh"),
        (lambda x, m: m * 1j, "no real number"),
        (lambda x, m: m * "a", "no real number"),
        (lambda x, m: m % 2, "unsupported|%"),
        (lambda x, m: np.exp(m, where=True), "keyword"),
        (lambda x, m: 1 / 0, "ZeroDivisionError"),
        (lambda x: x, "TypeError"),
        (lambda x, m: None, "no real number"),
    ],
)
def test_refused_constructs_say_why(f, reason):
    with pytest.raises(UntraceableError, match=reason):
        trace(f, 1)
