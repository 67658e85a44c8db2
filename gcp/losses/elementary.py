"""Elementary functions for loss formulas: one text, two executions.

On arrays (and Python numbers) they are NumPy's. Called from compiled code they become branch-free
arithmetic in the type of their arguments (`gcp.losses.branchfree`), that LLVM can vectorise; a library call inside a
compiled loop would run one entry at a time.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from gcp.base.compiler.code import Code
from gcp.base.compiler.known import Handler, becomes
from gcp.base.compiler.translate import call
from gcp.base.compiler.values import FLOAT32, FLOAT64, Either, Number
from gcp.losses import branchfree

_LN2 = math.log(2.0)


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
    return special.expit(x)


def log1mexp(x: Any) -> Any:
    """Return log(1 - e**-x) for x > 0, by cases.

    No digits are lost near 0 or far from it (Maechler, 2012).
    """
    return where(x < _LN2, log(-expm1(-minimum(x, _LN2))), log1p(-exp(-x)))


def erf(x: Any) -> Any:
    """Return the error function, 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x."""
    return special.erf(x)


def gammaln(x: Any) -> Any:
    """Return log |Gamma(x)|; inf at 0 and the negative integers."""
    return special.gammaln(x)


def digamma(x: Any) -> Any:
    """Return the derivative of log Gamma; NaN at the negative integers."""
    return special.psi(x)


def trigamma(x: Any) -> Any:
    """Return the second derivative of log Gamma; inf at 0 and the negative integers."""
    x = np.asarray(x)  # zeta counts up from below 0
    with np.errstate(divide="ignore"):
        reflected = (np.pi / np.sin(np.pi * (x - np.rint(x)))) ** 2 - special.zeta(
            2.0, np.maximum(1.0 - x, 1.0)
        )
    return where(x < 0.0, reflected, special.zeta(2.0, np.abs(x)))[()]


# --- the compiled versions -------------------------------------------------------------------------------


def _written(public: Any) -> Handler:
    """Return what a function becomes: in float32 if all its arguments are, else in float64."""
    name = public.__name__

    def write(code: Code, *values: Any) -> Any:
        if not any(isinstance(value, Number | Either) for value in values):
            return float(public(*values))
        is_single = code.common(*values) == FLOAT32
        functions, kind = (branchfree.SINGLE, FLOAT32) if is_single else (branchfree.DOUBLE, FLOAT64)
        return call(code, getattr(functions, name), [code.converted(value, kind) for value in values])

    return write


for _public in (exp, expm1, log, log1p, power, sigmoid, softplus, log1mexp, digamma, trigamma):
    becomes(_public)(_written(_public))


@becomes(erf)
def _erf(code: Code, x: Any) -> Any:
    return call(code, math.erf, [x])


@becomes(gammaln)
def _gammaln(code: Code, x: Any) -> Any:
    return call(code, math.lgamma, [x])


@becomes(where)
def _where(code: Code, condition: Any, a: Any, b: Any) -> Any:
    return code.select(condition, a, b)


@becomes(maximum)
def _maximum(code: Code, a: Any, b: Any) -> Any:
    larger = code.select(code.compare(">", b, a), b, a)  # selects: a branch would keep LLVM from vectorising
    return code.select(code.compare("==", b, b), larger, b)  # NaN wins, as in NumPy


@becomes(minimum)
def _minimum(code: Code, a: Any, b: Any) -> Any:
    smaller = code.select(code.compare("<", b, a), b, a)
    return code.select(code.compare("==", b, b), smaller, b)


@becomes(both)
def _both(code: Code, a: Any, b: Any) -> Any:
    return code.arithmetic("&", a, b)


@becomes(either)
def _either(code: Code, a: Any, b: Any) -> Any:
    return code.arithmetic("|", a, b)
