"""A loss and its derivative over a run of entries, compiled from the loss's formula.

Compiled code is kept on disk beside this file (or in Numba's user-wide cache), so that a loss is compiled once
on a machine and not once in a process. Numba would recompile functions made at run time, because it tells them
apart by their addresses; here a formula is known by its code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import CodeType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache

from gcp import elementary
from gcp._typing import FloatArray
from gcp.formula import Formula

Function = Callable[..., Any]

# Fused multiply-add and ignoring the sign of zero are safe everywhere; reordering sums is not (elementary.py).
_FASTMATH = {"contract", "nsz"}


def evaluate(
    formula: Formula, x: FloatArray, m: FloatArray, weights: FloatArray | None, values: FloatArray
) -> float:
    """Weighted sum of the loss over one run of entries; `m` is overwritten by the weighted derivative.

    Parameters
    ----------
    formula : Formula
        Value and derivative.
    x, m : ndarray, shape (n,)
        Data and model, float32 or float64, contiguous.
    weights : ndarray, shape (n,), or None
        Entry weights. Under weight 0 neither x nor m matters, not even if they are NaN.
    values : ndarray, shape (n,)
        Workspace of the same type.
    """
    if not formula.compiled:
        _evaluate_numpy(formula, x, m, weights, values)
    elif weights is None:
        _compiled(formula.f, formula.df)[0](x, m, values, formula.params)
    else:
        _compiled(formula.f, formula.df)[1](x, m, weights, values, formula.params)
    return float(np.sum(values, dtype=np.float64))  # pairwise


def _evaluate_numpy(
    formula: Formula, x: FloatArray, m: FloatArray, weights: FloatArray | None, values: FloatArray
) -> None:
    with np.errstate(all="ignore"):
        values[:] = formula.f(x, m, *formula.params)
        m[:] = formula.df(x, m, *formula.params)
        if weights is not None:
            missing = weights == 0
            values[:] = np.where(missing, 0.0, weights * values)
            m[:] = np.where(missing, 0.0, weights * m)


@lru_cache(maxsize=256)
def _compiled(f: Function, df: Function) -> tuple[Function, Function]:
    """The loops without and with weights."""
    value, deriv = njit(forceinline=True)(f), njit(forceinline=True)(df)

    def plain(x, m, values, params):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            values[i] = value(x[i], m[i], *params)
            m[i] = deriv(x[i], m[i], *params)

    def weighted(x, m, weights, values, params):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            w = weights[i]
            v = w * value(x[i], m[i], *params)
            d = w * deriv(x[i], m[i], *params)
            values[i] = v if w != 0.0 else 0.0  # a select, so that NaN under weight 0 does not spread
            m[i] = d if w != 0.0 else 0.0

    identity = _fingerprint(f) + _fingerprint(df)
    return _cached(plain, identity), _cached(weighted, identity)


def _cached(loop: Function, identity: str) -> Function:
    dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH)(loop)
    with suppress(RuntimeError):  # no folder to write to: compile anew in each process
        dispatcher._cache = _FormulaCache(loop, identity)
    compiled: Function = dispatcher
    return compiled


class _FormulaCache(FunctionCache):  # type: ignore[misc]
    """Numba's function cache, keyed by the formula's code instead of its address."""

    def __init__(self, loop: Function, identity: str) -> None:
        super().__init__(loop)
        self._identity = identity

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._identity


def _fingerprint(function: Function) -> str:
    """Equal for equal code, in any process."""
    parts: list[str] = [_library_digest()]

    def collect(code: CodeType) -> None:
        parts.extend([code.co_code.hex(), repr(code.co_names), repr(code.co_varnames)])
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                collect(constant)
            else:
                parts.append(repr(constant))

    collect(function.__code__)
    for name in function.__code__.co_names:  # numbers such as pi live in the module, not in the code
        parts.append(f"{name}={_plain_value(function.__globals__.get(name))}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _plain_value(value: Any) -> str:
    return repr(value) if isinstance(value, int | float) else getattr(value, "__qualname__", "")


@lru_cache(maxsize=1)
def _library_digest() -> str:
    return hashlib.sha256(Path(elementary.__file__).read_bytes()).hexdigest()
