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

from gcp import branchfree, elementary
from gcp.formula import Formula
from gcp.kernels import linked, prefetch, products

Function = Callable[..., Any]

ROWS = 16
"""Rows in a block."""

AHEAD = 8
"""Rows between what is computed and what is fetched from memory."""

ROW_BYTES = 2048
"""Size of a tile's row, at most; a multiple of 32 numbers."""

# Fused multiply-add and ignoring the sign of zero are safe everywhere; reordering sums is not (branchfree.py).
_FASTMATH = {"contract", "nsz"}


def compiled_pass(
    formula: Formula, dtype: np.dtype[Any], *, weighted: bool, curved: bool, direct: bool
) -> Function:
    """The compiled pass of a formula: it holds no lock of the interpreter, so that threads run side by side.

    Its arguments: `linked.addresses`; (data, distance between rows, weights, distance between rows), both as flat
    arrays; the slow side's Khatri-Rao rows (padded) and their true number; (transposed stack of the fast factors,
    their sizes, first and last column, width of a tile); the formula's parameters; and the outputs to which it adds:
    (sums for the slow side, gradient of the fast factors, sums of curvature weights of rows, and of columns). It
    returns the value.

    Parameters
    ----------
    formula : Formula
    dtype : dtype
        float32 or float64: the type of the arithmetic, and of the slow side, the fast side and the parameters.
    weighted, curved : bool
        Whether there are entry weights; whether the curvature weights are summed.
    direct : bool
        Whether the data and weights have the type of the arithmetic, so that whole tiles need no copy.
    """
    third = (formula.weight or formula.d2f) if curved else None
    return _compiled(formula.f, formula.df, third, dtype == np.float32, weighted, direct)


@lru_cache(maxsize=256)
def _compiled(
    f: Function, df: Function, weight: Function | None, single: bool, weighted: bool, direct: bool
) -> Function:
    try:
        identity = " ".join(_fingerprint(part) for part in (f, df, weight) if part is not None)
        identity += f" single={single} weighted={weighted} direct={direct}"
    except _UnknownCodeError:
        identity = ""
    value, deriv = _inlined(f, single), _inlined(df, single)
    curvature = None if weight is None else _inlined(weight, single)
    row = _inlined(_row_function(value, deriv, curvature, weighted), single)
    return _cached(_pass_function(row, weight is not None, weighted, direct), identity)


def _inlined(function: Function, single: bool) -> Function:
    """Compiled into whatever calls it, with float32 numbers if all is computed in float32."""
    inlined: Function = njit(error_model="numpy", fastmath=_FASTMATH, forceinline=True)(
        branchfree.in_single(function) if single else function
    )
    return inlined


def _row_function(value: Function, deriv: Function, curvature: Function | None, weighted: bool) -> Function:
    """The loop over one row: y becomes the weighted derivative, v the loss, u the curvature weight.

    Rows are arrays of `products.blank`.
    """

    def plain(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)

    def with_weights(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            a = w[k] * value(x[k], m, *params)
            b = w[k] * deriv(x[k], m, *params)
            v[k] = a if w[k] != 0.0 else 0.0  # a select, so that NaN under weight 0 does not spread
            y[k] = b if w[k] != 0.0 else 0.0

    if curvature is None:
        return with_weights if weighted else plain

    def curved(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)
            u[k] = max(curvature(x[k], m, *params), 0.0)

    def curved_with_weights(x, w, y, v, u, params):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
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
    call, prefetch_run = linked.call, prefetch.run_of
    blank, copied, add, total = products.blank, products.copied, products.add, products.total

    def run(functions, data, slow, n_rows, fast, params, outputs):  # type: ignore[no-untyped-def]
        model, add_row_sums, add_column_sums, columns, add_columns_adjoint = functions
        x, x_step, w, w_step = data
        turned, sizes, first, last, tile = fast
        s, grad, row_sums, column_sums = outputs
        rank, n_padded = slow.shape[1], slow.shape[0]
        value = 0.0
        for c0 in range(first, last, tile):
            n = min(tile, last - c0)
            width = (n + 31) // 32 * 32  # no remainder for the vector loops
            c, g, y = blank(rank, width, slow), blank(rank, width, slow), blank(ROWS, width, slow)
            rows = blank(4, width, slow)
            x_row, w_row, v, u = rows[0], rows[1], rows[2], rows[3]
            g[:] = 0.0
            x_row[:] = 1.0
            w_row[:] = 0.0
            call(columns, turned, sizes, c0, n, c)
            for r0 in range(0, n_padded, ROWS):
                r1 = min(r0 + ROWS, n_padded)
                block = y[: r1 - r0]
                call(model, slow[r0:r1], c, block)
                if r1 > n_rows:
                    y[n_rows - r0 : r1 - r0] = 0.0  # padding; not even where 0 * inf is NaN
                for row in range(r0, min(r1, n_rows)):
                    prefetch_run(x, (row + AHEAD) * x_step + c0, n)
                    x_here, w_here = x[row * x_step + c0 : row * x_step + c0 + n], w_row
                    if not direct or n < width:
                        x_here = copied(x_here, x_row)
                    if weighted:
                        prefetch_run(w, (row + AHEAD) * w_step + c0, n)
                        w_here = w[row * w_step + c0 : row * w_step + c0 + n]
                        if not direct or n < width:
                            w_here = copied(w_here, w_row)
                    y_row = y[row - r0]
                    row_function(x_here, w_here, y_row, v, u, params)
                    for k in range(n, width):
                        y_row[k] = v[k] = u[k] = 0.0
                    value += total(v)
                    if curved:
                        row_sums[row] += total(u)
                        add(u[:n], column_sums[c0 : c0 + n])
                call(add_row_sums, block, c, s[r0:r1])
                call(add_column_sums, block, slow[r0:r1], g)
            call(add_columns_adjoint, turned, sizes, c0, n, g, grad)
        return value

    return run


def _cached(function: Function, identity: str) -> Function:
    dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH)(function)
    if identity:
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
    # Not khatri_rao's: a pass has none of its code. Numba keeps that of compiled functions by the date of their file,
    # so after a change in products.py alone, khatri_rao.py must be touched.
    modules = (branchfree, elementary, linked, prefetch, products)
    sources = (*(str(module.__file__) for module in modules), __file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()
