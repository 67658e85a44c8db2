"""The part of Python that is compiled: what a function gives as Python is the truth."""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp.base.compiler.jit import Compiled, jit_part
from gcp.base.compiler.values import TranslationError


@functools.cache
def fresh(function):
    """Compiled in this process, not kept."""
    return Compiled(function, "", None)


ANY_TIME = settings(deadline=None)  # a first example compiles


def agree(function, *arguments):
    """Whatever a function gives, and writes to its arrays, is what Python makes of it."""
    own = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    other = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    with np.errstate(all="ignore"):
        expected = function(*other)
    found = fresh(function)(*own)
    np.testing.assert_equal(found, expected)
    for a, b in zip(own, other, strict=True):
        np.testing.assert_equal(a, b)


# --- numbers ---------------------------------------------------------------------------------------------------


def integers(a, b):
    return a + b, a - b, a * b, a // b, a % b, a / b, -a, a & b, a | b, a ^ b, a << 3, a >> 2, abs(a)


def floats(a, b):
    return a + b, a - b, a * b, a / b, -a, abs(a), min(a, b), max(a, b), a**3, a**-2, a**0


def comparisons(a, b):
    return a < b, a <= b, a > b, a >= b, a == b, a != b, not a < b, a < b < 3, a < 1 or b < 1, a < 1 and b < 1


def mixed(i, x, flag):
    return i + x, x * i, i / 3, x + flag, flag + flag, i + flag, float(i), int(x), bool(i), 2 * i + 0.5


small = st.integers(-50, 50)
ordinary = st.floats(-1e6, 1e6)


@ANY_TIME
@given(a=small, b=small.filter(bool))
def test_integers_floor_as_python_does(a, b):
    agree(integers, a, b)


@ANY_TIME
@given(a=ordinary.filter(lambda a: abs(a) > 1e-3), b=ordinary.filter(lambda b: abs(b) > 1e-3))
def test_floats(a, b):
    compiled, python = fresh(floats)(a, b), floats(a, b)
    np.testing.assert_allclose(compiled, python, rtol=1e-15)


@pytest.mark.parametrize(
    "pair", list(itertools.product([0.0, -0.0, 1.0, math.inf, -math.inf, math.nan], repeat=2))
)
def test_comparisons_minima_and_maxima_of_special_numbers(pair):
    agree(comparisons, *pair)
    agree(lambda a, b: (min(a, b), max(a, b), a != a, np.isfinite(a), np.isnan(b)), *pair)


@ANY_TIME
@given(i=small, x=st.floats(-100, 100), flag=st.booleans())
def test_numbers_of_several_kinds(i, x, flag):
    agree(mixed, i, x, flag)


def test_known_numbers_take_the_type_of_the_other_operand():
    def f(x, out):
        third = 1.0 / 3.0
        out[0] = x * third + 0.1

    for kind in (np.float32, np.float64):
        out = np.zeros(1, kind)
        fresh(f)(kind(0.3), out)
        assert out[0] == kind(0.3) * kind(1.0 / 3.0) + kind(0.1)


def test_a_choice_between_known_numbers_takes_the_type_of_the_other_operand():
    def f(x, out):
        out[0] = x * abs(0.1 if x > 0 else -0.3)
        out[1] = (0.1 if x > 0 else 0.3) + (1.5 if x < 0 else 2.5)

    for kind in (np.float32, np.float64):
        for x in (kind(0.7), kind(-0.7)):
            out = np.zeros(2, kind)
            fresh(f)(x, out)
            assert out[0] == x * kind(0.1 if x > 0 else 0.3)
            assert out[1] == kind((0.1 if x > 0 else 0.3) + (1.5 if x < 0 else 2.5))


def test_unsigned_numbers_of_64_bits():
    def f(keys, shift, out):
        for k in range(keys.size):
            out[k] = (keys[k] >> shift) & np.uint64(2047)

    keys = np.array([2**64 - 1, 2**63, 12345678901234567890, 0], np.uint64)
    out = np.zeros(4, np.int64)
    fresh(f)(keys, np.uint64(55), out)
    assert out.tolist() == [(int(key) >> 55) & 2047 for key in keys]
    agree(lambda keys: (keys[0] > keys[1], keys[1] > keys[3]), keys)


def functions(x):
    return np.sqrt(x), np.sin(x), np.cos(x), np.tanh(x), np.exp(x), np.log(x), math.erf(x), math.lgamma(x)


@ANY_TIME
@given(st.floats(0.1, 20))
def test_functions_of_numpy_and_math(x):
    np.testing.assert_allclose(fresh(functions)(x), functions(x), rtol=1e-13, atol=1e-15)


# --- statements ------------------------------------------------------------------------------------------------


def loops(n, m):
    total, last = 0, -1
    for i in range(n):
        if i == 3:
            continue
        for j in range(m, 0, -2):
            if j * i > 20:
                break
            total += i * 10 + j
        last = i
    k = 0
    while k < n and total % 7 != 0:
        total += 1
        k += 1
    return total, last, k


@ANY_TIME
@given(n=st.integers(0, 9), m=st.integers(-2, 9))
def test_loops_with_breaks_and_continues(n, m):
    agree(loops, n, m)


def early(x, n):
    for k in range(n):
        if x[k] > 2.0:
            return k, True
        elif x[k] < -2.0:
            return -k, False
    if n > 5:
        return n, True
    return -1, False


@ANY_TIME
@given(st.lists(st.floats(-3, 3), max_size=8))
def test_returns_from_anywhere(values):
    agree(early, np.array(values), len(values))


def branches(a, b):
    if a > b:
        small, big = b, a
    else:
        small, big = a, b
    value = 0.0
    if small > 0:
        value = big / small if small != 0 else 0.0
    elif big > 0:
        value -= 1.5
    return value, small, big


@ANY_TIME
@given(a=small, b=small)
def test_branches(a, b):
    agree(branches, a, b)


def short(x, k):
    return (k < x.size and x[k] > 0.0) or k < 0


@ANY_TIME
@given(st.integers(-3, 9))
def test_the_right_side_is_not_looked_at_if_it_does_not_count(k):
    if k >= 0:
        agree(short, np.array([1.0, -1.0, 2.0]), k)


# --- arrays ----------------------------------------------------------------------------------------------------


def views(a, b, rows):
    for i in range(rows):
        row = a[i]
        part = b[i, 1 : row.size - 1]
        for k in range(part.size):
            part[k] += row[k + 1] * a[i, -1]
    b[rows:] = 7.0
    middle = b[1:3]
    middle[0, 0] = a.shape[0] + 10 * a.shape[1] + 100 * len(a) + a.ndim
    flat = middle.reshape(-1)
    flat[1] = flat.size
    square = flat[:4].reshape(2, -1)
    square[1, 1] = 0.5
    return a[0, 0] + b[-1, -1]


@ANY_TIME
@given(rows=st.integers(1, 4), width=st.integers(3, 8))
def test_views_slices_and_shapes(rows, width):
    rng = np.random.default_rng(rows + width)
    agree(views, rng.normal(size=(4, width)), rng.normal(size=(4, width)), rows)


@pytest.mark.parametrize("kind", [bool, "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"])
def test_arrays_of_every_type(kind):
    def f(x, out):
        for k in range(x.size):
            out[k] = x[k]
            x[k] = x[k] + 1 if k > 0 else 0

    x = np.array([0, 1, 1, 100, 120]).astype(kind)
    own = x.copy()
    out = np.zeros(5)
    fresh(f)(own, out)
    assert out.tolist() == x.astype(float).tolist()
    assert own.tolist() == [0, *(x[1:] + x.dtype.type(1)).tolist()]


def test_arrays_with_strides():
    def f(x, out):
        for i in range(x.shape[0]):
            for k in range(x.shape[1]):
                out[i, k] = 2 * x[i, k] + x[0, -1]
        for i in range(x.shape[0]):
            x[i, 0] = 0

    whole = np.arange(24.0).reshape(4, 6)
    for view in (lambda a: a.T, lambda a: a[::2, ::-3], lambda a: a[1:, 2:4], lambda a: a[:0]):
        a, b = whole.copy(), whole.copy()
        out = np.zeros(view(a).shape)
        expected = 2 * view(a) + (view(a)[0, -1] if view(a).size else 0)
        fresh(f)(view(a), out)
        assert np.array_equal(out, expected)
        view(b)[:, :1] = 0
        assert np.array_equal(a, b)
    with pytest.raises(TranslationError, match="C order"):
        fresh(lambda x: x[0].size)(whole.T)


def test_swapped_bytes_are_refused():
    with pytest.raises(TranslationError, match="no arrays of >f8"):
        fresh(lambda x: x[0])(np.arange(3, dtype=">f8"))


def scratch(n):
    ones, zeros, total = np.ones(n), np.zeros((n, 3), np.float32), 0.0
    for k in range(n):
        own = np.empty(k + 1)
        own[:] = 2.5
        total += own[k] + ones[k] + zeros[k, 2]
    return total


@pytest.mark.parametrize("n", [0, 1, 100])
def test_arrays_of_its_own(n):
    agree(scratch, n)


def test_arrays_of_its_own_are_freed():
    import resource

    def big(n):
        own = np.ones(n)
        return own[n - 1]

    function = fresh(big)
    function(10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        function(1_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # of 1,600,000 KiB


# --- calls -----------------------------------------------------------------------------------------------------


class Pair(NamedTuple):
    first: np.ndarray
    rest: tuple


@jit_part
def part(pair, k):
    if pair.rest[1] is None:
        return pair.first[k], k
    return pair.first[k] * pair.rest[1], k + 1


@jit_part(inline=True)
def made(n, value):
    new = np.empty(n)
    new[:] = value
    return new


def whole(pair, n):
    total, steps = 0.0, 0
    for k in range(n):
        value, step = part(pair, k)
        total += value + made(3, 0.5)[k % 3]
        steps += step
    for scale, extra in enumerate(pair.rest[0]):
        total += scale * extra
    return total, steps, len(pair.rest)


@pytest.mark.parametrize("last", [None, 2.0])
def test_parts_named_tuples_and_none(last):
    agree(whole, Pair(np.arange(4.0), ((1, 2.5), last)), 4)


def test_what_makes_arrays_for_its_caller_must_be_inline():
    outside = jit_part(lambda n: np.empty(n))
    with pytest.raises(TranslationError, match="must be inline"):
        fresh(lambda n: outside(n).size)(3)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: [x], "no List expressions"),
        (lambda x: x.real, "numbers have no real"),
        (lambda x: unknown(x), "unknown is not known"),  # noqa: F821
        (lambda x: print(x), "cannot compile a call of <built-in function print>"),
        (lambda x: x @ x, "MatMult"),
        (lambda x: x or 1.0, "join truth values"),
        (lambda x: len(x), "a tuple was expected"),
        (lambda x: min(*x), "only tuples can have a star"),
    ],
)
def test_what_is_not_known_is_named(function, message):
    with pytest.raises((TranslationError, KeyError), match=message):
        fresh(function)(1.0)


def changes(n):
    value = 0
    for k in range(n):
        value = 0.5 * k
    return value


def jumps_out(n):
    total = 0
    for _ in range(n):
        for v in (1, 2, 3):
            if v == 2:
                break
            total += v
    return total


def ends_with_else(n):
    for k in range(n):
        if k > 3:
            break
    else:
        return 7
    return 0


def keywords(x, *, n=5):
    return x + n


@jit_part
def recursive(n):
    return recursive(n - 1) + 1


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (jumps_out, (3,), "a loop that is written out has no break"),
        (ends_with_else, (3,), "no else after a loop"),
        (keywords, (3,), "arguments have places"),
        (lambda n: recursive(n), (3,), "calls itself"),
        (lambda c, x, y: (x if c else y).size, (True, np.ones(2), np.ones(2, int)), "a choice between"),
        (lambda x, y: x.shape == y.shape, (np.ones(2), np.ones(2)), "not computed with as a whole"),
        (lambda x, y: len(x + y), (np.ones(2), np.ones(2)), "not computed with as a whole"),
        (lambda c: c is True, (True,), "`is` is for None"),
        (lambda x, n: x[n / 2], (np.ones(3), 2), "an index was expected"),
        (lambda x, k: 0 <= k < x.size > x[k], (np.ones(3), 1), "for `and`"),
        (lambda u, i: u > i, (np.uint64(2**63), 1), "without a sign"),
        (lambda u: u > -1, (np.uint64(3),), "without a sign"),
        (lambda u, i: u // i, (np.uint64(2**63), 2), "without a sign"),
    ],
)
def test_what_would_mean_something_else_is_refused(function, arguments, message):
    with pytest.raises(TranslationError, match=message):
        fresh(function)(*arguments)


class First(NamedTuple):
    first: float
    second: float


class Second(NamedTuple):
    second: float
    first: float


def test_tuples_are_told_apart_by_their_names():
    def f(pair):
        return pair.first - pair.second

    function = fresh(f)
    assert function(First(1.0, 2.0)) == -1.0
    assert function(Second(1.0, 2.0)) == 1.0
    assert function(First(1.0, 2.0)) == -1.0
    for other in ([1.0, 2.0], np.ones(2)):
        with pytest.raises((TypeError, AttributeError)):
            function(other)


def test_the_sign_of_zero_and_large_numbers_without_a_sign():
    def f(x, u):
        x[:] = -0.0
        return u, 1.0 / x[0]

    with np.errstate(divide="ignore"):
        assert fresh(f)(np.ones(3), np.uint64(2**63 + 5)) == (2**63 + 5, -np.inf)


def narrows(n):
    is_odd = False
    for k in range(n):
        is_odd = k
    return is_odd


def test_a_truth_value_does_not_become_a_number():
    with pytest.raises(TranslationError, match="holds a number of kind bool is given one of kind int"):
        fresh(narrows)(3)


def test_a_choice_is_no_known_condition():
    def f(x):
        if 1.0 if x > 0 else 0.0:
            return 1
        return 0

    for x in (-1.0, 2.0):
        agree(f, x)


def test_division_of_integers_by_zero_ends_no_process():
    divided = fresh(lambda a, b: (a // b, a % b))  # outside of assert, which older versions of pytest rewrite
    assert divided(7, 0) == (0, 0)


def test_a_name_keeps_its_type_and_errors_name_the_line():
    with pytest.raises(
        TranslationError, match=rf"changes, line {changes.__code__.co_firstlineno + 3}: .*float"
    ):
        fresh(changes)(3)


def test_arguments_that_are_no_numbers_are_refused():
    with pytest.raises(TypeError, match="take no str"):
        fresh(lambda x: x)("a")


def test_two_lambdas_on_a_line_are_told_apart():
    up, down = (lambda x: x + 1), (lambda x: x - 1)
    assert (fresh(up)(1), fresh(down)(1)) == (2, 0)


def test_threads_compile_once_and_run_at_once():
    from concurrent.futures import ThreadPoolExecutor

    def sum_of(x):
        s = 0.0
        for k in range(x.size):
            s += x[k]
        return s

    total = fresh(sum_of)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, [np.ones(k) for k in range(20)])) == list(range(20))
    assert total.n_compiled == 1


def test_what_is_handed_over_is_told_apart(tmp_path):
    """Each call finds the program of its types, whatever the one before was for."""

    def f(x, k, more):
        for i in range(x.size):
            x[i] += k * more[0]
        return x[0], k

    mapped = np.memmap(tmp_path / "a", np.float64, "w+", shape=(3,))
    ones = [np.ones(3), np.ones(3, np.float32), np.ones(3, int), np.ones(6)[::2], mapped]
    ones += [np.ones(3, np.longlong), np.ones(3, np.dtype("f8", metadata={"a": 1}))]
    function = fresh(f)
    for x, (k, more) in itertools.product(
        ones, [(2, (3,)), (2.0, (3.0, 1)), (True, (np.float32(3),)), (2, (3, 4))]
    ):
        own, expected = x.copy() if x is not mapped else x, x + np.asarray(k * more[0], x.dtype)
        found, same = function(own, k, more)
        assert own.tolist() == expected.tolist()
        assert (found, same) == (expected[0], k)
    with pytest.raises(TypeError):
        function([1.0], 2, (3,))
