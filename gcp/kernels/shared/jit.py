"""Compiling by Numba; `code_files` keeps the outcome on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit
from numba.extending import intrinsic

from gcp.kernels.shared.code_files import CodeFiles, digest
from gcp.kernels.shared.numba_private import guard_part, keep_in_files, part_options

Function = Callable[..., Any]

DISABLED = bool(config.DISABLE_JIT)
"""True if NUMBA_DISABLE_JIT is set: functions then run as Python, for debuggers."""

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def jit(function: Function | None = None, *, fastmath: Any = False, forceinline: bool = False) -> Any:
    """Compile a function of a module, or take it from disk where this very text was compiled before.

    Parameters
    ----------
    function : callable
        Holds no lock of the interpreter while it runs.
    fastmath : bool or set of str
        Liberties with floating-point arithmetic, as Numba takes them.
    forceinline : bool
        Compile it into whatever calls it.
    """
    if function is None:
        return lambda function: jit(function, fastmath=fastmath, forceinline=forceinline)
    options = {"fastmath": fastmath, "forceinline": forceinline}
    dispatcher = njit(**_OPTIONS, **options)(function)
    if not DISABLED:
        keep_in_files(dispatcher, CodeFiles(function, f"{fastmath and sorted(fastmath)}", waits=True))
    return dispatcher


def jit_part(function: Function | None = None, *, fastmath: Any = False, forceinline: bool = False) -> Any:
    """Compile a function that compiled functions call, as a part of each: alone it is neither optimised nor kept.

    That takes half the time of `jit` or less. A call from Python, as of tests, compiles a function around it.

    Parameters
    ----------
    function : callable
    fastmath, forceinline
        As for `jit`.
    """
    if function is None:
        return lambda function: jit_part(function, fastmath=fastmath, forceinline=forceinline)
    if DISABLED:
        return function
    options = {"fastmath": fastmath, "forceinline": forceinline}
    dispatcher = njit(**part_options({**_OPTIONS, **options}))(function)
    around = njit(**_OPTIONS)(lambda *arguments: dispatcher(*arguments))
    guard_part(dispatcher, around)
    return dispatcher


def jit_closure(function: Any, identity: str, *, fastmath: Any, is_custom: bool = False) -> Any:
    """Compile a function made at run time, as `jit` does.

    Parameters
    ----------
    function : callable
        Gets a name of its own: LLVM finds compiled code by its name, which otherwise holds no more than the name in
        the source and a number that another process may have given to another function.
    identity : str
        A text that differs between any two functions of this source, in any process; "" where there is none: then
        the function is compiled anew in each process.
    fastmath : set of str
    is_custom : bool
        It is of a user's formula: a bounded number of such functions is kept on disk.
    """
    if identity:
        function.__qualname__ = function.__name__ = f"{function.__name__}_{digest(identity)}"
    dispatcher = njit(**_OPTIONS, fastmath=fastmath)(function)
    if identity and not DISABLED:
        keep_in_files(dispatcher, CodeFiles(function, f"{identity} {sorted(fastmath)}", is_custom=is_custom))
    return dispatcher


def instruction(python: Function) -> Callable[[Any], Any]:
    """Make an instruction of compiled code, as Numba's `intrinsic`, of which `python` is what it does.

    `python` runs in its place where compiling is disabled.
    """
    return lambda build: python if DISABLED else intrinsic(build)
