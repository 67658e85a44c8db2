"""Elementary functions for loss formulas: one text, two executions.

On arrays (and Python numbers) they are NumPy's. Called from code that Numba compiles they become branch-free
arithmetic, accurate to a few units in the last place over the whole range, that LLVM can vectorise; a library
call inside a compiled loop would run one entry at a time.

Polynomials: the logarithm follows the reduction and coefficients of fdlibm's `e_log.c` (Sun Microsystems, 1993,
freely usable with this notice); the exponential is Cody and Waite's reduction with a Taylor polynomial.
"""

# The compiled versions are typed by Numba, not by annotations.
from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable
from scipy.special import expit

_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LN2 = math.log(2.0)
_INLINE = {"forceinline": True}  # a call that LLVM leaves in a loop keeps the loop scalar
_TINY = 2.2250738585072014e-308


def exp(x: Any) -> Any:
    """e**x; inf above 709.78, 0 far below."""
    return np.exp(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 without cancellation near 0."""
    return np.expm1(x)


def log(x: Any) -> Any:
    """Natural logarithm; -inf at 0, NaN below."""
    return np.log(x)


def log1p(x: Any) -> Any:
    """log(1 + x) without cancellation near 0."""
    return np.log1p(x)


def power(x: Any, p: Any) -> Any:
    """x**p for x > 0 and real p."""
    return np.power(x, p)


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a` where the condition holds, else `b`; both are evaluated."""
    return np.where(condition, a, b)


def maximum(a: Any, b: Any) -> Any:
    """The larger of the two."""
    return np.maximum(a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of the two."""
    return np.minimum(a, b)


def both(a: Any, b: Any) -> Any:
    """True where both conditions hold."""
    return np.logical_and(a, b)


def either(a: Any, b: Any) -> Any:
    """True where at least one condition holds."""
    return np.logical_or(a, b)


def softplus(x: Any) -> Any:
    """log(1 + e**x), overflow-free."""
    return np.logaddexp(x, 0.0)


def sigmoid(x: Any) -> Any:
    """1 / (1 + e**-x), overflow-free."""
    return expit(x)


def log1mexp(x: Any) -> Any:
    """log(1 - e**-x) for x > 0, by cases: no digits lost near 0 or far from it (Maechler, 2012)."""
    return where(x < _LN2, log(-expm1(-minimum(x, _LN2))), log1p(-exp(-x)))


# --- the compiled versions -------------------------------------------------------------------------------


@intrinsic
def _from_bits(ctx, bits):
    return types.float64(types.int64), lambda c, b, s, a: b.bitcast(a[0], ir.DoubleType())


@intrinsic
def _to_bits(ctx, x):
    return types.int64(types.float64), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(64))


@register_jitable(forceinline=True)
def _power_of_two(n):
    return _from_bits((np.int64(n) + 1023) << 52)


@register_jitable(forceinline=True)
def _reduced(x):
    """Integer n and r with x = n log 2 + r, |r| <= log(2) / 2."""
    n = math.floor(x * 1.4426950408889634 + 0.5)
    return n, (x - n * _LN2_HIGH) - n * _LN2_LOW


@register_jitable(forceinline=True)
def _expm1_reduced(r):
    """expm1 on [-log(2)/2, log(2)/2]: Taylor to degree 13."""
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


@register_jitable(forceinline=True)
def _exp_pair(x):
    """exp(x) and expm1(x) from one reduction and one polynomial."""
    # Two factors 2**n cover gradual underflow and the last binade before overflow.
    c = min(max(x, -760.0), 720.0)
    n, r = _reduced(c)
    half = math.floor(n * 0.5)
    a, b = _power_of_two(half), _power_of_two(n - half)
    p = _expm1_reduced(r)
    full = ((1.0 + p) * a) * b
    less = p * (a * b) + (a * b - 1.0)
    return full if x == x else x, (full if n > 64.0 else less) if x == x else x


@register_jitable(forceinline=True)
def _exp_compiled(x):
    return _exp_pair(x)[0]


@register_jitable(forceinline=True)
def _expm1_compiled(x):
    return _exp_pair(x)[1]


@register_jitable(forceinline=True)
def _log1mexp_compiled(x):
    t, e = _exp_pair(-x)
    near = x < _LN2
    u = -e if near else 1.0 - t
    return _log_compiled(u) + (0.0 if near else (-t - (u - 1.0)) / u)


@register_jitable(forceinline=True)
def _log_compiled(x):
    small = x < _TINY
    y = x * 18014398509481984.0 if small else x  # 2**54 lifts subnormal numbers into the normal range
    u = _to_bits(y)
    k = (u - 0x3FE6A09E667F3BCD) >> 52
    f = _from_bits(u - (k << 52)) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    t1 = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    t2 = z * (
        6.666666666666735130e-01
        + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860510658591e-01))
    )
    h = 0.5 * f * f
    d = float(k) - (54.0 if small else 0.0)
    v = d * _LN2_HIGH - ((h - (s * (h + t2 + t1) + d * _LN2_LOW)) - f)
    v = v if x > 0.0 else (-math.inf if x == 0.0 else math.nan)
    return x if x == math.inf else v


@register_jitable(forceinline=True)
def _log1p_compiled(x):
    u = 1.0 + x
    v = _log_compiled(u) + (x - (u - 1.0)) / u  # the second term restores what the rounding of u lost
    v = v if u > 0.0 else _log_compiled(u)
    return x if x == math.inf else v


@register_jitable(forceinline=True)
def _sigmoid_compiled(x):
    t = _exp_compiled(-abs(x))
    return (1.0 if x >= 0.0 else t) / (1.0 + t)


@register_jitable(forceinline=True)
def _softplus_compiled(x):
    return _maximum_compiled(x, 0.0) + _log1p_compiled(_exp_compiled(-abs(x)))


@register_jitable(forceinline=True)
def _power_compiled(x, p):
    return _exp_compiled(p * _log_compiled(x))


@register_jitable(forceinline=True)
def _where_compiled(condition, a, b):
    return a if condition else b


@register_jitable(forceinline=True)
def _maximum_compiled(a, b):
    larger = b if b > a else a  # selects, not `or`: a branch would keep LLVM from vectorising
    return larger if b == b else b  # NaN wins, as in NumPy


@register_jitable(forceinline=True)
def _minimum_compiled(a, b):
    smaller = b if b < a else a
    return smaller if b == b else b


def _float64_args(implementation):
    """Overload that promotes one scalar argument to float64 before the bit tricks."""

    def choose(x):
        if isinstance(x, types.Number):
            return lambda x: implementation(np.float64(x))
        return None

    return choose


for _public, _compiled in (
    (exp, _exp_compiled),
    (expm1, _expm1_compiled),
    (log, _log_compiled),
    (log1p, _log1p_compiled),
    (sigmoid, _sigmoid_compiled),
    (softplus, _softplus_compiled),
    (log1mexp, _log1mexp_compiled),
):
    overload(_public, jit_options=_INLINE)(_float64_args(_compiled))


@overload(power, jit_options=_INLINE)
def _power_overload(x, p):
    return lambda x, p: _power_compiled(np.float64(x), np.float64(p))


@overload(where, jit_options=_INLINE)
def _where_overload(condition, a, b):
    return lambda condition, a, b: _where_compiled(condition, a, b)


@overload(maximum, jit_options=_INLINE)
def _maximum_overload(a, b):
    return lambda a, b: _maximum_compiled(a, b)


@overload(minimum, jit_options=_INLINE)
def _minimum_overload(a, b):
    return lambda a, b: _minimum_compiled(a, b)


@overload(both, jit_options=_INLINE)
def _both_overload(a, b):
    return lambda a, b: a & b


@overload(either, jit_options=_INLINE)
def _either_overload(a, b):
    return lambda a, b: a | b
