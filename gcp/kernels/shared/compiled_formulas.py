"""Loss formulas in compiled code.

A function made at run time has no name that means the same in another process; a formula is known by its code, and
compiled once on a machine (see `gcp.base.compiler.jit`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from gcp.base.compiler.code_files import text_of
from gcp.base.compiler.jit import jit_closure
from gcp.losses import branchfree, elementary

Function = Callable[..., Any]

# Fused multiply-add and ignoring the sign of zero are safe everywhere; reordering sums is not (branchfree.py).
_FASTMATH = {"contract", "nsz"}

_LIBRARIES = (elementary.__name__, np.__name__, "math")
"""Modules whose functions are known by their names."""


def identity(functions: Sequence[Function | None], **options: Any) -> str:
    """Return a text that is equal for equal formulas and options, in any process; empty if there is no such text."""
    try:
        texts = [_fingerprint(part) for part in functions if part is not None]
    except _UnknownCodeError:
        return ""
    return " ".join([*texts, *(f"{name}={value}" for name, value in options.items())])


def cached(function: Function, identity: str) -> Function:
    """Compile a function, or take it from disk where one of this identity is kept."""
    return jit_closure(function, identity, fastmath=_FASTMATH, is_custom=_AT_RUN_TIME in identity)


_AT_RUN_TIME = "made at run time "
"""Begins the fingerprints of formulas that stand in no file, as those that `custom_loss` traces."""


class _UnknownCodeError(Exception):
    """A formula depends on something that has no text to compare."""


def _fingerprint(function: Function) -> str:
    """Return what is equal for equal code, helpers and numbers, in any process.

    Raises
    ------
    _UnknownCodeError
        If the formula uses anything but plain functions and numbers: then it must not be cached.
    """
    if not (library := text_of([branchfree.__name__, elementary.__name__, __name__])):  # inlined everywhere
        raise _UnknownCodeError
    parts = ["", library]
    _describe(function, parts, [])
    return parts[0] + hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _describe(value: Any, parts: list[str], seen: list[int]) -> None:
    if value is None or isinstance(value, int | float | str):
        parts.append(repr(value))
    elif isinstance(value, ModuleType) and value.__name__ not in _LIBRARIES:
        raise _UnknownCodeError  # of its numbers and functions no more is known than their names
    elif isinstance(value, np.ufunc | ModuleType | BuiltinFunctionType):
        parts.append(str(getattr(value, "__name__", value)))
    elif isinstance(value, FunctionType):
        parts.append(
            f"{value.__module__}.{value.__qualname__}" if value.__module__ in _LIBRARIES else "function"
        )
        if id(value) in seen:
            parts.append(f"{seen.index(id(value))}")
        elif value.__module__ != elementary.__name__:
            if value.__code__.co_filename.startswith("<"):
                parts[0] = _AT_RUN_TIME
            seen.append(id(value))
            _describe_code(value.__code__, value.__globals__, parts, seen)
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            named = sorted((value.__kwdefaults__ or {}).items())
            for inner in (*(value.__defaults__ or ()), *cells, *(part for pair in named for part in pair)):
                _describe(inner, parts, seen)
    else:
        raise _UnknownCodeError


def _describe_code(code: CodeType, scope: dict[str, Any], parts: list[str], seen: list[int]) -> None:
    parts += [code.co_code.hex(), repr(code.co_names), repr(code.co_varnames), repr(code.co_freevars)]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            _describe_code(constant, scope, parts, seen)
        else:
            parts.append(repr(constant))
    for name in code.co_names:
        if name in scope:  # else an attribute or a builtin, named in co_names
            _describe(scope[name], parts, seen)
