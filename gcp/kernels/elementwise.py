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
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
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

    try:
        identity = _fingerprint(f) + _fingerprint(df)
    except _UnknownCodeError:
        identity = ""
    return _cached(plain, identity), _cached(weighted, identity)


def _cached(loop: Function, identity: str) -> Function:
    dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH)(loop)
    if identity:
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


class _UnknownCodeError(Exception):
    """A formula depends on something that has no text to compare."""


def _fingerprint(function: Function) -> str:
    """Equal for equal code, helpers and numbers, in any process.

    Raises
    ------
    _UnknownCodeError
        If the formula uses anything but plain functions and numbers: then it must not be cached.
    """
    parts = [_library_digest()]
    _describe(function, parts, set())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _describe(value: Any, parts: list[str], seen: set[int]) -> None:
    if value is None or isinstance(value, int | float | str):
        parts.append(repr(value))
    elif isinstance(value, np.ufunc | ModuleType | BuiltinFunctionType):
        parts.append(str(getattr(value, "__name__", value)))
    elif isinstance(value, FunctionType):
        if id(value) not in seen and value.__module__ != elementary.__name__:
            seen.add(id(value))
            _describe_code(value.__code__, value.__globals__, parts, seen)
            for inner in (*(value.__defaults__ or ()), *(c.cell_contents for c in value.__closure__ or ())):
                _describe(inner, parts, seen)
    else:
        raise _UnknownCodeError


def _describe_code(code: CodeType, scope: dict[str, Any], parts: list[str], seen: set[int]) -> None:
    parts += [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _describe_code(constant, scope, parts, seen)
        else:
            parts.append(repr(constant))
    for name in code.co_names:
        if name in scope:  # else an attribute or a builtin, named in co_names
            _describe(scope[name], parts, seen)


@lru_cache(maxsize=1)
def _library_digest() -> str:
    return hashlib.sha256(Path(elementary.__file__).read_bytes()).hexdigest()
