"""The fused pass, compiled from a loss's formula: model, loss, derivative and all sums, one small block at a time.

The data are a matrix of `n_rows` slow and many fast positions. For one tile of columns the fast side's Khatri-Rao
columns and their gradient stay in the second-level cache while all rows go by, a few at a time: a block of the model
is made, turned into the derivative in place, and folded into both sides before it leaves the first-level cache.

Compiled code is kept on disk beside this file (or in Numba's user-wide cache), so that a loss is compiled once on a
machine and not once in a process. Numba would recompile functions made at run time, because it tells them apart by
their addresses; here a formula is known by its code.
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
from gcp.formula import Formula
from gcp.kernels import khatri_rao, products

Function = Callable[..., Any]

ROWS = 16
"""Rows in a block."""

COLUMNS = 512
"""Columns in a tile, at most; a multiple of 32."""

# Fused multiply-add and ignoring the sign of zero are safe everywhere; reordering sums is not (elementary.py).
_FASTMATH = {"contract", "nsz"}


def compiled_pass(formula: Formula, *, weighted: bool, curved: bool, direct: bool) -> Function:
    """The compiled pass of a formula: it holds no lock of the interpreter, so that threads run side by side.

    Its arguments: (data, distance between rows, weights, distance between rows), both as flat arrays; the slow side's
    Khatri-Rao rows (padded) and their true number; (transposed stack of the fast factors, their sizes, first and last
    column, width of a tile); the formula's parameters; and the outputs to which it adds: (sums for the slow side,
    gradient of the fast factors, sums of curvature weights of rows, and of columns). It returns the value.

    Parameters
    ----------
    formula : Formula
    weighted, curved : bool
        Whether there are entry weights; whether the curvature weights are summed.
    direct : bool
        Whether the data and weights have the type of the arithmetic, so that whole tiles need no copy.
    """
    third = (formula.weight or formula.d2f) if curved else None
    return _compiled(formula.f, formula.df, third, weighted, direct)


@lru_cache(maxsize=256)
def _compiled(f: Function, df: Function, weight: Function | None, weighted: bool, direct: bool) -> Function:
    try:
        identity = " ".join(_fingerprint(part) for part in (f, df, weight) if part is not None)
        identity += f" weighted={weighted} direct={direct}"
    except _UnknownCodeError:
        identity = ""
    row = _cached(_row_function(f, df, weight, weighted), identity, inline=True)
    return _cached(_pass_function(row, weight is not None, weighted, direct), identity)


def _row_function(f: Function, df: Function, weight: Function | None, weighted: bool) -> Function:
    """The loop over one row: y becomes the weighted derivative, v the loss, u the curvature weight."""
    value, deriv = njit(forceinline=True)(f), njit(forceinline=True)(df)

    def plain(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(x.size):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)

    def with_weights(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(x.size):
            m = y[k]
            a = w[k] * value(x[k], m, *params)
            b = w[k] * deriv(x[k], m, *params)
            v[k] = a if w[k] != 0.0 else 0.0  # a select, so that NaN under weight 0 does not spread
            y[k] = b if w[k] != 0.0 else 0.0

    if weight is None:
        return with_weights if weighted else plain
    curvature = njit(forceinline=True)(weight)

    def curved(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(x.size):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)
            u[k] = max(curvature(x[k], m, *params), 0.0)

    def curved_with_weights(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(x.size):
            m = y[k]
            a = w[k] * value(x[k], m, *params)
            b = w[k] * deriv(x[k], m, *params)
            c = w[k] * max(curvature(x[k], m, *params), 0.0)
            v[k] = a if w[k] != 0.0 else 0.0
            y[k] = b if w[k] != 0.0 else 0.0
            u[k] = c if w[k] != 0.0 else 0.0

    return curved_with_weights if weighted else curved


def _pass_function(row_function: Function, curved: bool, weighted: bool, direct: bool) -> Function:
    """The loops over tiles of columns and blocks of rows around the loop over a row."""
    columns, add_columns_adjoint = khatri_rao.columns, khatri_rao.add_columns_adjoint
    model, add_row_sums = products.model, products.add_row_sums
    add_column_sums, total = products.add_column_sums, products.total
    copied, add = products.copied, products.add

    def run(data, slow, n_rows, fast, params, outputs):  # type: ignore[no-untyped-def]
        x, x_step, w, w_step = data
        turned, sizes, first, last, tile = fast
        s, grad, row_sums, column_sums = outputs
        rank, n_padded = slow.shape[1], slow.shape[0]
        value = 0.0
        for c0 in range(first, last, tile):
            n = min(tile, last - c0)
            width = (n + 31) // 32 * 32  # no remainder for the vector loops
            c, g = np.empty((rank, width), slow.dtype), np.zeros((rank, width), slow.dtype)
            y = np.empty((ROWS, width), slow.dtype)
            x_row, w_row = np.ones(width, slow.dtype), np.zeros(width, slow.dtype)
            v, u = np.empty(width, slow.dtype), np.empty(width, slow.dtype)
            columns(turned, sizes, c0, n, c)
            for r0 in range(0, n_padded, ROWS):
                r1 = min(r0 + ROWS, n_padded)
                block = y[: r1 - r0]
                model(slow[r0:r1], c, block)
                if r1 > n_rows:
                    y[n_rows - r0 : r1 - r0] = 0.0  # padding; not even where 0 * inf is NaN
                for row in range(r0, min(r1, n_rows)):
                    x_here, w_here = x[row * x_step + c0 : row * x_step + c0 + n], w_row
                    if not direct or n < width:
                        x_here = copied(x_here, x_row)
                    if weighted:
                        w_here = w[row * w_step + c0 : row * w_step + c0 + n]
                        if not direct or n < width:
                            w_here = copied(w_here, w_row)
                    y_row = y[row - r0]
                    row_function(x_here, w_here, y_row, v, u, params)
                    y_row[n:] = 0.0
                    v[n:] = 0.0
                    value += total(v)
                    if curved:
                        u[n:] = 0.0
                        row_sums[row] += total(u)
                        add(u[:n], column_sums[c0 : c0 + n])
                add_row_sums(block, c, s[r0:r1])
                add_column_sums(block, slow[r0:r1], g)
            add_columns_adjoint(turned, sizes, c0, n, g, grad)
        return value

    return run


def _cached(function: Function, identity: str, inline: bool = False) -> Function:
    dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH, forceinline=inline)(function)
    if identity and not inline:
        with suppress(RuntimeError):  # no folder to write to: compile anew in each process
            dispatcher._cache = _FormulaCache(function, identity)
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
            if value.__code__.co_filename.startswith("<"):
                raise _UnknownCodeError  # made at run time: there is no end of such formulas
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
    sources = (elementary.__file__, khatri_rao.__file__, products.__file__, __file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()
