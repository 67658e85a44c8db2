"""Elementary functions for loss formulas: one text, two executions.

On arrays (and Python numbers) they are NumPy's. Called from code that Numba compiles they become branch-free
arithmetic in the type of their arguments (`gcp.losses.branchfree`), that LLVM can vectorise; a library call inside a
compiled loop would run one entry at a time.
"""

# The compiled versions are typed by Numba, not by annotations.
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable
from scipy.special import expit

from gcp.losses import branchfree

_LN2 = math.log(2.0)
_INLINE = {"forceinline": True}  # a call that LLVM leaves in a loop keeps the loop scalar


def exp(x: Any) -> Any:
    """Return e**x; inf above 709.78, 0 far below."""
    return np.exp(x)


def expm1(x: Any) -> Any:
    """Return exp(x) - 1 without cancellation near 0."""
    return np.expm1(x)


def log(x: Any) -> Any:
    """Return the natural logarithm; -inf at 0, NaN below."""
    return np.log(x)


def log1p(x: Any) -> Any:
    """Return log(1 + x) without cancellation near 0."""
    return np.log1p(x)


def power(x: Any, p: Any) -> Any:
    """Return x**p for x > 0 and real p."""
    return np.power(x, p)


def where(condition: Any, a: Any, b: Any) -> Any:
    """Return `a` where the condition holds, else `b`; both are evaluated."""
    return np.where(condition, a, b)


def maximum(a: Any, b: Any) -> Any:
    """Return the larger of the two."""
    return np.maximum(a, b)


def minimum(a: Any, b: Any) -> Any:
    """Return the smaller of the two."""
    return np.minimum(a, b)


def both(a: Any, b: Any) -> Any:
    """Return True where both conditions hold."""
    return np.logical_and(a, b)


def either(a: Any, b: Any) -> Any:
    """Return True where at least one condition holds."""
    return np.logical_or(a, b)


def softplus(x: Any) -> Any:
    """Return log(1 + e**x), overflow-free."""
    return np.logaddexp(x, 0.0)


def sigmoid(x: Any) -> Any:
    """Return 1 / (1 + e**-x), overflow-free."""
    return expit(x)


def log1mexp(x: Any) -> Any:
    """Return log(1 - e**-x) for x > 0, by cases.

    No digits are lost near 0 or far from it (Maechler, 2012).
    """
    return where(x < _LN2, log(-expm1(-minimum(x, _LN2))), log1p(-exp(-x)))


# --- the compiled versions -------------------------------------------------------------------------------


def _one(single, double):
    """Return an overload for one argument: float32 stays so, all else is computed in float64."""

    def choose(x):
        if x == types.float32:
            return lambda x: single(x)
        return (lambda x: double(np.float64(x))) if isinstance(x, types.Number) else None

    return choose


for _public in (exp, expm1, log, log1p, sigmoid, softplus, log1mexp):
    _versions = (getattr(found, _public.__name__) for found in (branchfree.SINGLE, branchfree.DOUBLE))
    overload(_public, jit_options=_INLINE)(_one(*_versions))


@overload(power, jit_options=_INLINE)
def _power_overload(x, p):
    single, double = branchfree.SINGLE.power, branchfree.DOUBLE.power
    if x == p == types.float32:
        return lambda x, p: single(x, p)
    return lambda x, p: double(np.float64(x), np.float64(p))


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
