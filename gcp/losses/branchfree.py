"""Branch-free elementary functions for compiled loops, in float64 and in float32 from one text.

Each is accurate to a few units in the last place over the whole range, right at 0, infinity, NaN and among subnormal
numbers, and made of arithmetic and selects alone, so that LLVM vectorises the loop around it.

Polynomials: in float64 the logarithm has the reduction and coefficients of fdlibm's `e_log.c` (Sun Microsystems,
1993, freely usable with this notice), and the exponential is Cody and Waite's reduction with a Taylor polynomial; in
float32 both are minimax fits of the relative error (0.05 and 0.11 ulp) with rounded coefficients.
"""

# The functions are typed by the compiler, not by annotations.
from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from gcp.base.compiler.code import Code
from gcp.base.compiler.jit import instruction
from gcp.base.compiler.values import FLOAT32, LLVM, Number, constant

_LN2 = math.log(2.0)
_INF, _NAN = math.inf, math.nan


class Functions(NamedTuple):
    """The functions for one type."""

    exp: Any
    expm1: Any
    log: Any
    log1p: Any
    power: Any
    sigmoid: Any
    softplus: Any
    log1mexp: Any
    digamma: Any
    trigamma: Any


# --- the bits of a number ----------------------------------------------------------------------------------


def _parts(x: Number) -> tuple[str, str, int, int, int]:
    """Return LLVM's types for a number and its bits, mantissa's length, exponent's bias, and bits of sqrt(1/2)."""
    if x.kind == FLOAT32:
        return "float", "i32", 23, 127, 0x3F3504F3
    return "double", "i64", 52, 1023, 0x3FE6A09E667F3BCD


@instruction(np.rint)
def _nearest(code: Code, x: Number) -> Number:
    """Return the nearest integer, as a float: one instruction, which no reordering of sums can spoil."""
    return code.intrinsic("rint", x.kind, x)


@instruction(np.exp2)
def _two_to(code: Code, n: Number) -> Number:
    """Return 2**n for integral n, if it is a normal number."""
    real, integer, mantissa, bias, _ = _parts(n)
    magic = constant(1.5 * 2.0**mantissa + bias, n.kind)
    lifted = code.get(f"fadd {real} {n.text}, {magic}")  # n + bias in its last bits
    bits = code.get(f"shl {integer} {code.get(f'bitcast {real} {lifted} to {integer}')}, {mantissa}")
    return Number(n.kind, code.get(f"bitcast {integer} {bits} to {real}"))


def _split_python(x: Any) -> Any:
    one_plus, k = np.frexp(x)
    low = one_plus < math.sqrt(0.5)
    k, one_plus = k - low, one_plus * (1 + low)
    return x.dtype.type(k), one_plus - 1, np.ldexp(x.dtype.type(1), -k)


@instruction(_split_python)
def _split(code: Code, x: Number) -> tuple[Number, Number, Number]:
    """Return k, f and 2**-k of a normal x > 0: x = 2**k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)."""
    real, integer, mantissa, bias, root = _parts(x)
    bits = code.get(f"bitcast {real} {x.text} to {integer}")
    k = code.get(f"ashr {integer} {code.get(f'sub {integer} {bits}, {root}')}, {mantissa}")
    rest = code.get(f"sub {integer} {bits}, {code.get(f'shl {integer} {k}, {mantissa}')}")
    near_one = code.get(f"bitcast {integer} {rest} to {real}")
    inverse = code.get(f"sub {integer} {bias}, {k}")
    is_positive = code.get(f"icmp sgt {integer} {inverse}, 0")
    inverse = code.get(f"select i1 {is_positive}, {integer} {inverse}, {integer} 0")
    scale = code.get(f"shl {integer} {inverse}, {mantissa}")
    texts = (
        code.get(f"sitofp {integer} {k} to {real}"),
        code.get(f"fsub {real} {near_one}, {constant(1.0, x.kind)}"),
        code.get(f"bitcast {integer} {scale} to {real}"),
    )
    return Number(x.kind, texts[0]), Number(x.kind, texts[1]), Number(x.kind, texts[2])


@instruction(lambda x: (np.asarray(x, np.float32).view(np.int32) & -4096).view(np.float32)[()])
def _upper_half(code: Code, x: Number) -> Number:
    """Return a float32 without the last 12 bits of its mantissa: the product of two such numbers is exact."""
    bits = code.get(f"and i32 {code.get(f'bitcast float {x.text} to i32')}, -4096")
    return Number(FLOAT32, code.get(f"bitcast i32 {bits} to {LLVM[FLOAT32]}"))


# --- polynomials -------------------------------------------------------------------------------------------


def _expm1_double(r):
    """Return expm1 on [-log(2)/2, log(2)/2]: Taylor to degree 13."""
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 0.0001984126984126984
    p = p * r + 0.001388888888888889
    p = p * r + 0.008333333333333333
    p = p * r + 0.041666666666666664
    p = p * r + 0.16666666666666666
    p = p * r + 0.5
    return p * r * r + r


def _expm1_single(r):
    p = 0.0013869674876332283
    p = p * r + 0.008366248570382595
    p = p * r + 0.04166744649410248
    p = p * r + 0.1666654646396637
    p = p * r + 0.4999999701976776
    return p * r * r + r


def _log_double(f, low):
    """Return log(1 + f) - f + low."""
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    t2 = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01))
    )
    h = 0.5 * f * f
    return (s * (h + t2 + t1) + low) - h


def _log_single(f, low):
    """Return log(1 + f) - f + low without a division, which would cost more than the longer polynomial."""
    p = -0.07636399567127228
    p = p * f + 0.12762199342250824
    p = p * f - 0.1315961331129074
    p = p * f + 0.14201581478118896
    p = p * f - 0.166234090924263
    p = p * f + 0.2000124156475067
    p = p * f - 0.2500081956386566
    p = p * f + 0.3333333134651184
    z = f * f
    return (p * f * z + low) - 0.5 * z


# --- the functions -----------------------------------------------------------------------------------------


class _Precision(NamedTuple):
    """A type's own numbers, of its range, and polynomials.

    Attributes
    ----------
    ln2_high, ln2_low : float
        Their sum is log(2); products of the first with exponents are exact.
    lowest, highest : float
        exp is 0 below, inf above; a little farther out than that.
    exact : float
        expm1 is exp where exp exceeds 2**exact.
    tiny, lift : float
        The least normal number; 2**lift times a subnormal one is normal.
    """

    expm1: Any
    log: Any
    ln2_high: float
    ln2_low: float
    lowest: float
    highest: float
    exact: float
    tiny: float
    lift: float


_DOUBLE = _Precision(
    expm1=_expm1_double,
    log=_log_double,
    ln2_high=6.93147180369123816490e-01,
    ln2_low=1.90821492927058770002e-10,
    lowest=-760.0,
    highest=720.0,
    exact=64.0,
    tiny=2.0**-1022,
    lift=54.0,
)
_SINGLE = _Precision(
    expm1=_expm1_single,
    log=_log_single,
    ln2_high=0.693359375,
    ln2_low=-2.12194440e-4,
    lowest=-110.0,
    highest=90.0,
    exact=32.0,
    tiny=2.0**-126,
    lift=25.0,
)


def _exponentials(precision):
    """Return for a type: (exp(x), expm1(x)); x pulled into their range; exp(x + rest) for small `rest`."""
    ln2_high, ln2_low, exact = precision.ln2_high, precision.ln2_low, precision.exact
    lowest, highest, polynomial = precision.lowest, precision.highest, precision.expm1

    def reduced(x, rest):
        """Return an integral n, and expm1(r) where x + rest = n log 2 + r, |r| <= log(2) / 2."""
        n = _nearest(x * 1.4426950408889634)
        return n, polynomial(((x - n * ln2_high) - n * ln2_low) + rest)

    def powers(n):
        """Return two factors of 2**n, which cover gradual underflow and the last binade before overflow."""
        half = _nearest(n * 0.5)
        return _two_to(half), _two_to(n - half)

    def clamped(x):
        x = lowest if x < lowest else x  # so written, NaN stays
        return highest if x > highest else x

    def pair(x):
        n, p = reduced(clamped(x), 0.0)
        a, b = powers(n)
        full = ((1.0 + p) * a) * b
        less = p * (a * b) + (a * b - 1.0)
        return full, full if n > exact else less

    def exp_of_sum(x, rest):
        n, p = reduced(x, rest)
        a, b = powers(n)
        return ((1.0 + p) * a) * b

    return pair, clamped, exp_of_sum


def _logarithms(precision, pair):
    """Return for a type: log(x), log1p(x), log(1 - exp(-x)), and log(x) in two parts."""
    ln2, ln2_high, ln2_low, tiny = _LN2, precision.ln2_high, precision.ln2_low, precision.tiny
    lift, lift_factor, polynomial = precision.lift, 2.0**precision.lift, precision.log

    def split(x):
        small = x < tiny  # subnormal numbers are lifted into the normal range
        k, f, scale = _split(x * lift_factor if small else x)
        return k - lift if small else k, f, scale

    def whole(f, k):
        return k * ln2_high + (f + polynomial(f, k * ln2_low))

    def checked(x, v):
        """Return v = log(x), but for zero, infinity, and what has no logarithm."""
        v = v if x != 0.0 else -_INF
        v = v if x >= 0.0 else _NAN
        return x if x == _INF else v

    def log(x):
        k, f, _ = split(x)
        return checked(x, whole(f, k))

    def log1p(x):
        u = 1.0 + x
        k, f, scale = _split(u)
        return checked(u, whole(f + (x - (u - 1.0)) * scale, k))  # restores what the rounding of u lost

    def log1mexp(x):
        t, e = pair(-x)
        near = x < ln2  # there exp(-x) is close to 1 (Maechler, 2012)
        u = -e if near else 1.0 - t
        k, f, scale = split(u)
        return checked(u, whole(f + (0.0 if near else -t - (u - 1.0)) * scale, k))

    def log_in_parts(x):
        k, f, _ = split(x)
        first = k * ln2_high + f
        rest = ((k * ln2_high - first) + f) + polynomial(f, k * ln2_low)
        high = first + rest
        return checked(x, high), (first - high) + rest

    return log, log1p, log1mexp, log_in_parts


def _polygammas(log):
    """Return for a type: digamma(x), trigamma(x), by recurrence to x + 10 and the asymptotic series there."""

    def folded(x):
        """Return x or, below 0, 1 - x; and x less the nearest integer."""
        other = 1.0 - x
        return other if x < 0.0 else x, x - _nearest(x)

    def two_reciprocals(y):
        return 1.0 / y + 1.0 / (y + 1.0)

    def digamma(x):
        y, rest = folded(x)
        less = two_reciprocals(y + 8.0) + two_reciprocals(y + 6.0)
        less = two_reciprocals(y) + (two_reciprocals(y + 2.0) + (two_reciprocals(y + 4.0) + less))
        z = y + 10.0
        w = 1.0 / (z * z)
        p = 1.0 / 132.0 - w * (691.0 / 32760.0 - w / 12.0)
        p = w * (1.0 / 12.0 - w * (1.0 / 120.0 - w * (1.0 / 252.0 - w * (1.0 / 240.0 - w * p))))
        found = (log(z) - (0.5 / z + p)) - less
        tangent = np.tan(math.pi * rest)
        reflected = found - math.pi / tangent
        reflected = reflected if tangent != 0.0 else _NAN
        return reflected if x < 0.0 else found

    def two_squares(y):
        a, b = 1.0 / y, 1.0 / (y + 1.0)
        return a * a + b * b

    def trigamma(x):
        y, rest = folded(x)
        more = two_squares(y + 8.0) + two_squares(y + 6.0)
        more = two_squares(y) + (two_squares(y + 2.0) + (two_squares(y + 4.0) + more))
        v = 1.0 / (y + 10.0)
        w = v * v
        p = 5.0 / 66.0 - w * (691.0 / 2730.0 - w * (7.0 / 6.0 - w * (3617.0 / 510.0)))
        p = w * (1.0 / 6.0 - w * (1.0 / 30.0 - w * (1.0 / 42.0 - w * (1.0 / 30.0 - w * p))))
        found = more + (v + (0.5 * w + v * p))
        a = math.pi / np.sin(math.pi * rest)
        reflected = a * a - found
        return reflected if x < 0.0 else found

    return digamma, trigamma


def _functions(precision):
    pair, clamped, exp_of_sum = _exponentials(precision)
    log, log1p, log1mexp, log_in_parts = _logarithms(precision, pair)

    def exp(x):
        return pair(x)[0]

    def expm1(x):
        return pair(x)[1]

    def sigmoid(x):
        t = exp(-abs(x))
        return (1.0 if x >= 0.0 else t) / (1.0 + t)

    def softplus(x):
        return (x if x > 0.0 else 0.0) + log1p(exp(-abs(x)))

    def power_double(x, p):
        return exp(p * log(x))

    def power_single(x, p):
        """Take the logarithm and the product in two parts each, since exp makes absolute errors relative."""
        high, low = log_in_parts(x)
        a, b = _upper_half(high), _upper_half(p)
        product = clamped(a * b)
        rest = b * (high - a) + (p - b) * high + p * low
        return exp_of_sum(product, rest if product == a * b else 0.0)

    power = power_single if precision is _SINGLE else power_double
    digamma, trigamma = _polygammas(log)
    return Functions(exp, expm1, log, log1p, power, sigmoid, softplus, log1mexp, digamma, trigamma)


DOUBLE, SINGLE = _functions(_DOUBLE), _functions(_SINGLE)
