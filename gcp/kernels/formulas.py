"""Loss formulas in compiled code, and compiled code on disk.

Compiled code is kept beside these files (or in Numba's user-wide cache), so that a loss is compiled once on a machine
and not once in a process. Numba would recompile functions made at run time, because it tells them apart by their
addresses; here a formula is known by its code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
from numba import njit
from numba.core.caching import FunctionCache

from gcp import branchfree, elementary
from gcp.kernels import linked, prefetch, products

Function = Callable[..., Any]

# Fused multiply-add and ignoring the sign of zero are safe everywhere; reordering sums is not (branchfree.py).
_FASTMATH = {"contract", "nsz"}


def inlined(function: Function, single: bool) -> Function:
    """Compiled into whatever calls it, with float32 numbers if all is computed in float32."""
    inlined: Function = njit(error_model="numpy", fastmath=_FASTMATH, forceinline=True)(
        branchfree.in_single(function) if single else function
    )
    return inlined


def identity(functions: Sequence[Function | None], **options: Any) -> str:
    """A text that is equal for equal formulas and options, in any process; empty if there is no such text."""
    try:
        texts = [_fingerprint(part) for part in functions if part is not None]
    except _UnknownCodeError:
        return ""
    return " ".join([*texts, *(f"{name}={value}" for name, value in options.items())])


def cached(function: Function, identity: str) -> Function:
    """Compile a function, or take it from disk where one of this identity is kept."""
    dispatcher: Any = njit(nogil=True, error_model="numpy", fastmath=_FASTMATH)(function)
    if identity:
        with suppress(RuntimeError):  # no folder to write to: compile anew in each process
            source = Path(function.__code__.co_filename).read_bytes()
            dispatcher._cache = _FormulaCache(function, f"{identity} {hashlib.sha256(source).hexdigest()}")
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
