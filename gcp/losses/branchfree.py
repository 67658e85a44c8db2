"""Branch-free elementary functions for compiled loops, in float64 and in float32 from one text.

Each is accurate to a few units in the last place over the whole range, right at 0, infinity, NaN and among subnormal
numbers, and made of arithmetic and selects alone, so that LLVM vectorises the loop around it.

Polynomials: in float64 the logarithm has the reduction and coefficients of fdlibm's `e_log.c` (Sun Microsystems,
1993, freely usable with this notice), and the exponential is Cody and Waite's reduction with a Taylor polynomial; in
float32 both are minimax fits of the relative error (0.05 and 0.11 ulp) with rounded coefficients.
"""

# The functions are typed by Numba, not by annotations.
from __future__ import annotations

import math
from collections.abc import Callable
from types import CellType, FunctionType
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, register_jitable

_RANGE = np.finfo(np.float32)
_LN2 = math.log(2.0)
_INF, _NAN = math.inf, math.nan  # as attributes of a module they would stay float64


def in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with its numbers in float32, for compiling: to Numba, float32 * 2.0 is a float64.

    Literals, global numbers, defaults and numbers of a closure change, but for those outside float32's range.
    """
    code, convert = function.__code__, _single
    return FunctionType(
        code.replace(co_consts=tuple(map(convert, code.co_consts))),
        {name: convert(value) for name, value in function.__globals__.items()},
        function.__name__,
        tuple(map(convert, function.__defaults__ or ())) or None,
        tuple(CellType(convert(cell.cell_contents)) for cell in function.__closure__ or ()),
    )


def _single(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    is_in_range = value == 0 or not math.isfinite(value) or _RANGE.tiny <= abs(value) <= _RANGE.max
    return np.float32(value) if is_in_range else value


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


# --- the bits of a number ----------------------------------------------------------------------------------


def _parts(x):
    """Return LLVM's types for a number and its bits, mantissa's length, exponent's bias, and bits of sqrt(1/2)."""
    if x == types.float32:
        return ir.FloatType(), ir.IntType(32), 23, 127, 0x3F3504F3
    return ir.DoubleType(), ir.IntType(64), 52, 1023, 0x3FE6A09E667F3BCD


@intrinsic
def _nearest(ctx, x):
    """Return the nearest integer, as a float: one instruction, which no reordering of sums can spoil."""

    def build(context, builder, signature, args):
        return builder.call(builder.module.declare_intrinsic("llvm.rint", [args[0].type]), args)

    return x(x), build


@intrinsic
def _two_to(ctx, n):
    """Return 2**n for integral n, if it is a normal number."""

    def build(context, builder, signature, args):
        real, integer, mantissa, bias, _ = _parts(n)
        lifted = builder.fadd(
            args[0], ir.Constant(real, 1.5 * 2.0**mantissa + bias)
        )  # n + bias in its last bits
        bits = builder.shl(builder.bitcast(lifted, integer), ir.Constant(integer, mantissa))
        return builder.bitcast(bits, real)

    return n(n), build


@intrinsic
def _split(ctx, x):
    """Return k, f and 2**-k of a normal x > 0: x = 2**k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2)."""

    def build(context, builder, signature, args):
        real, integer, mantissa, bias, root = _parts(x)
        shift, zero = ir.Constant(integer, mantissa), ir.Constant(integer, 0)
        bits = builder.bitcast(args[0], integer)
        k = builder.ashr(builder.sub(bits, ir.Constant(integer, root)), shift)
        near_one = builder.bitcast(builder.sub(bits, builder.shl(k, shift)), real)
        inverse = builder.sub(ir.Constant(integer, bias), k)
        inverse = builder.select(builder.icmp_signed(">", inverse, zero), inverse, zero)
        parts = [
            builder.sitofp(k, real),
            builder.fsub(near_one, ir.Constant(real, 1.0)),
            builder.bitcast(builder.shl(inverse, shift), real),
        ]
        return context.make_tuple(builder, signature.return_type, parts)

    return types.UniTuple(x, 3)(x), build


@intrinsic
def _upper_half(ctx, x):
    """Return a float32 without the last 12 bits of its mantissa: the product of two such numbers is exact."""

    def build(context, builder, signature, args):
        integer = ir.IntType(32)
        bits = builder.and_(builder.bitcast(args[0], integer), ir.Constant(integer, 0xFFFFF000))
        return builder.bitcast(bits, ir.FloatType())

    return types.float32(types.float32), build


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

    convert: Callable[[Any], Any]
    expm1: Any
    log: Any
    ln2_high: float
    ln2_low: float
    lowest: float
    highest: float
    exact: float
    tiny: float
    lift: float

    def compiled(self, function):
        """Return the function with numbers of this type, inlined wherever it is called."""
        return register_jitable(forceinline=True)(self.convert(function))


_DOUBLE = _Precision(
    convert=lambda function: function,
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
    convert=in_single,
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
    lowest, highest, compiled = precision.lowest, precision.highest, precision.compiled
    polynomial = compiled(precision.expm1)

    @compiled
    def reduced(x, rest):
        """Return an integral n, and expm1(r) where x + rest = n log 2 + r, |r| <= log(2) / 2."""
        n = _nearest(x * 1.4426950408889634)
        return n, polynomial(((x - n * ln2_high) - n * ln2_low) + rest)

    @compiled
    def powers(n):
        """Return two factors of 2**n, which cover gradual underflow and the last binade before overflow."""
        half = _nearest(n * 0.5)
        return _two_to(half), _two_to(n - half)

    @compiled
    def clamped(x):
        x = lowest if x < lowest else x  # so written, NaN stays
        return highest if x > highest else x

    @compiled
    def pair(x):
        n, p = reduced(clamped(x), 0.0)
        a, b = powers(n)
        full = ((1.0 + p) * a) * b
        less = p * (a * b) + (a * b - 1.0)
        return full, full if n > exact else less

    @compiled
    def exp_of_sum(x, rest):
        n, p = reduced(x, rest)
        a, b = powers(n)
        return ((1.0 + p) * a) * b

    return pair, clamped, exp_of_sum


def _logarithms(precision, pair):
    """Return for a type: log(x), log1p(x), log(1 - exp(-x)), and log(x) in two parts."""
    ln2, ln2_high, ln2_low, tiny = _LN2, precision.ln2_high, precision.ln2_low, precision.tiny
    lift, lift_factor, compiled = precision.lift, 2.0**precision.lift, precision.compiled
    polynomial = compiled(precision.log)

    @compiled
    def split(x):
        small = x < tiny  # subnormal numbers are lifted into the normal range
        k, f, scale = _split(x * lift_factor if small else x)
        return k - lift if small else k, f, scale

    @compiled
    def whole(f, k):
        return k * ln2_high + (f + polynomial(f, k * ln2_low))

    @compiled
    def checked(x, v):
        """Return v = log(x), but for zero, infinity, and what has no logarithm."""
        v = v if x > 0.0 else (-_INF if x == 0.0 else _NAN)
        return x if x == _INF else v

    @compiled
    def log(x):
        k, f, _ = split(x)
        return checked(x, whole(f, k))

    @compiled
    def log1p(x):
        u = 1.0 + x
        k, f, scale = _split(u)
        return checked(u, whole(f + (x - (u - 1.0)) * scale, k))  # restores what the rounding of u lost

    @compiled
    def log1mexp(x):
        t, e = pair(-x)
        near = x < ln2  # there exp(-x) is close to 1 (Maechler, 2012)
        u = -e if near else 1.0 - t
        k, f, scale = split(u)
        return checked(u, whole(f + (0.0 if near else -t - (u - 1.0)) * scale, k))

    @compiled
    def log_in_parts(x):
        k, f, _ = split(x)
        first = k * ln2_high + f
        rest = ((k * ln2_high - first) + f) + polynomial(f, k * ln2_low)
        high = first + rest
        return checked(x, high), (first - high) + rest

    return log, log1p, log1mexp, log_in_parts


def _functions(precision):
    compiled = precision.compiled
    pair, clamped, exp_of_sum = _exponentials(precision)
    log, log1p, log1mexp, log_in_parts = _logarithms(precision, pair)

    @compiled
    def exp(x):
        return pair(x)[0]

    @compiled
    def expm1(x):
        return pair(x)[1]

    @compiled
    def sigmoid(x):
        t = exp(-abs(x))
        return (1.0 if x >= 0.0 else t) / (1.0 + t)

    @compiled
    def softplus(x):
        return (x if x > 0.0 else 0.0) + log1p(exp(-abs(x)))

    @compiled
    def power_double(x, p):
        return exp(p * log(x))

    @compiled
    def power_single(x, p):
        """Take the logarithm and the product in two parts each, since exp makes absolute errors relative."""
        high, low = log_in_parts(x)
        a, b = _upper_half(high), _upper_half(p)
        product = clamped(a * b)
        rest = b * (high - a) + (p - b) * high + p * low
        return exp_of_sum(product, rest if product == a * b else 0.0)

    power = power_single if precision is _SINGLE else power_double
    return Functions(exp, expm1, log, log1p, power, sigmoid, softplus, log1mexp)


DOUBLE, SINGLE = _functions(_DOUBLE), _functions(_SINGLE)
