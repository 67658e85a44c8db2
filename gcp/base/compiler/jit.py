"""The decorators, and what is compiled for which types.

A call looks for machine code for the types of its arguments: in this process, on disk, else it is compiled.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gcp.base.compiler import machine
from gcp.base.compiler.calls import OTHER, Program, entry, take
from gcp.base.compiler.code_files import CodeFiles, digest
from gcp.base.compiler.functions import Callee, Instruction
from gcp.base.compiler.translate import translated
from gcp.base.compiler.values import (
    BOOL,
    FLOAT32,
    FLOAT64,
    INT,
    UINT,
    Array,
    Element,
    Number,
    Pointer,
    TranslationError,
    form,
    is_tuple,
)

Function = Callable[..., Any]

DISABLED = bool(int(os.environ.get("GCP_DISABLE_JIT", "0") or "0"))
"""True if GCP_DISABLE_JIT is set to 1: functions then run as Python, for debuggers."""


_NUMBERS = itertools.count()


class Compiled(Callee):
    """A function that can be called from Python, and by its address."""

    def __init__(self, python: Function, flags: str, files: CodeFiles | None) -> None:
        super().__init__(python, flags)
        self._files = files
        self._programs: dict[Any, Program] = {}
        self._by_key: dict[Any, Program] = {}
        self._last: Program | None = None
        self.n_compiled = 0  # in this process; what came from disk does not count

    @property
    def signatures(self) -> list[Any]:
        """The types that it is compiled for in this process."""
        return list(self._programs)

    def __call__(self, *arguments: Any) -> Any:
        """Run it; the lock of the interpreter is not held meanwhile."""
        if DISABLED:
            return self.python(*arguments)
        if self._last is not None and (found := self._last.of_likely(arguments)) is not OTHER:
            return found
        key: list[Any] = []
        numbers: list[Any] = []
        take(arguments, key, numbers)
        program = self._by_key.get(tuple(key))
        if program is None:
            program = self._by_key[tuple(key)] = self._program(tuple(map(_value, arguments)))
        self._last = program
        return program.of_known(numbers)

    def address(self, values: tuple[Any, ...]) -> int:
        """Return the address of the function of values of these forms.

        Raises
        ------
        TranslationError
            If it has a result, for which calls by address have no place.
        """
        program = self._program(values)
        if program.has_results:
            raise TranslationError(f"{self.__qualname__} has a result, and cannot be called by its address")
        return program.address

    def _program(self, values: tuple[Any, ...]) -> Program:
        with machine.LOCK:
            key = form(values)
            if key not in self._programs:
                self._programs[key] = self._made(values)
            return self._programs[key]

    def _made(self, values: tuple[Any, ...]) -> Program:
        signature, processor = _text(values), machine.processor()
        for payload in self._files.read(signature, processor) if self._files else ():
            try:
                return _loaded(values, payload)
            except (ValueError, RuntimeError, KeyError):  # whatever is wrong with a file: compile again
                continue
        what = f"{self.__module__}.{self.__qualname__} {signature}"
        if not self._files:
            what += f" {next(_NUMBERS)}"  # nothing else may tell it from another function of this name
        self.n_compiled += 1
        watchers, made = list(_WATCHERS), None
        try:
            for begin, _ in watchers:
                begin(self)
            made = _compiled(self, what, values)
        finally:
            if self._files:
                self._files.write(signature, processor, made)
            for _, end in watchers:
                end(self)
        return _loaded(values, made)


def _value(argument: Any) -> Any:
    """Return what an argument is while its function is translated."""
    if isinstance(argument, np.ndarray):
        sizes = (Number(INT, ""),) * argument.ndim
        return Array(Element.of(argument.dtype), "", sizes, () if argument.flags.c_contiguous else sizes)
    if isinstance(argument, tuple):
        parts = [_value(part) for part in argument]
        return type(argument)(*parts) if hasattr(argument, "_fields") else tuple(parts)
    if isinstance(argument, bool | np.bool_):
        return Number(BOOL, "")
    if isinstance(argument, np.unsignedinteger):
        return Number(UINT, "")
    if isinstance(argument, int | np.integer):
        return Number(INT, "")
    if isinstance(argument, np.float32):
        return Number(FLOAT32, "")
    if isinstance(argument, float | np.floating):
        return Number(FLOAT64, "")
    return argument


def _text(value: Any) -> str:
    """Return a text that is equal for arguments of equal types, in any process."""
    if isinstance(value, Number):
        return value.kind
    if isinstance(value, Array | Pointer):
        sizes = len(getattr(value, "sizes", ())), bool(getattr(value, "strides", ()))
        return f"{type(value).__name__}({value.element.dtype}, {sizes})"
    if is_tuple(value):
        kind = type(value)
        names = f"{kind.__module__}.{kind.__qualname__}{getattr(kind, '_fields', '')}"
        return f"{names}({', '.join(map(_text, value))})"
    return repr(value)


def _compiled(function: Callee, what: str, values: tuple[Any, ...]) -> bytes:
    """Return machine code for arguments of known types, after a line that says how it is called."""
    name = "".join(c for c in function.__name__ if c.isalnum()) + f"_{digest(what)}"
    text, result = translated(function, values, name)
    results = result if is_tuple(result) else () if result is None else (result,)
    if not all(isinstance(one, Number) for one in results):
        raise TranslationError(f"{function.__qualname__} gives back what is not a number")
    kinds = [FLOAT64 if one.kind == FLOAT32 else one.kind for one in results]
    text += entry(name, values, results, kinds)
    head = {"name": name, "results": kinds, "is_tuple": is_tuple(result)}
    return json.dumps(head).encode() + b"\n" + machine.object_code(text)


def _loaded(values: tuple[Any, ...], payload: bytes) -> Program:
    """Return a program of what `_compiled` gave."""
    head, _, code = payload.partition(b"\n")
    return Program(values, **json.loads(head), code=code)


# --- decorators ------------------------------------------------------------------------------------------------


def _flags(fastmath: Iterable[str]) -> str:
    return "".join(f"{flag} " for flag in sorted(fastmath))


def jit(function: Function | None = None, *, fastmath: Iterable[str] = ()) -> Any:
    """Compile a function, or take it from disk where this very text was compiled before.

    Of a function within another one, the text does not tell all: it is not kept on disk.

    Parameters
    ----------
    function : callable
        Of the part of Python that this package knows. Arrays in C order can be cut, of others it can take and set
        elements. It holds no lock while it runs.
    fastmath : set of str
        Liberties with floating-point arithmetic, as LLVM names them.
    """
    if function is None:
        return lambda function: jit(function, fastmath=fastmath)
    flags = _flags(fastmath)
    is_known_by_text = "<" not in function.__qualname__
    files = CodeFiles(function, flags, waits=True) if is_known_by_text else None
    return Compiled(function, flags, files)


def jit_part(function: Function | None = None, *, fastmath: Iterable[str] = (), inline: bool = False) -> Any:
    """Let compiled functions call a function.

    Parameters
    ----------
    function : callable
        As for `jit`.
    fastmath : set of str
        As for `jit`.
    inline : bool
        Write it out where it is called. What makes arrays for its caller must be inline.
    """
    if function is None:
        return lambda function: jit_part(function, fastmath=fastmath, inline=inline)
    return Callee(function, _flags(fastmath), inline)


def jit_closure(
    function: Any, identity: str, *, fastmath: Iterable[str], is_custom: bool = False
) -> Compiled:
    """Compile a function made at run time, as `jit` does.

    Parameters
    ----------
    function : callable
    identity : str
        A text that differs between any two functions of this source, in any process; "" where there is none: then
        the function is compiled anew in each process.
    fastmath : set of str
    is_custom : bool
        It is of a user's formula: a bounded number of such functions is kept on disk.
    """
    flags = _flags(fastmath)
    function.__qualname__ = function.__name__ = f"{function.__name__}_{digest(identity or str(id(function)))}"
    files = CodeFiles(function, f"{identity} {flags}", is_custom=is_custom) if identity else None
    return Compiled(function, flags, files)


def instruction(python: Function) -> Callable[[Function], Instruction]:
    """Make what translated functions may call of a function that writes LLVM's text.

    That takes the code and values; `python` is what it does, where compiling is disabled.
    """
    return lambda build: Instruction(python, build)


_Watcher = tuple[Callable[[Callee], None], Callable[[Callee], None]]
_WATCHERS: list[_Watcher] = []


@contextmanager
def compilations_seen(begin: Callable[[Callee], None], end: Callable[[Callee], None]) -> Iterator[None]:
    """Call functions when a compilation begins and ends."""
    watcher = begin, end
    _WATCHERS.append(watcher)
    try:
        yield
    finally:
        _WATCHERS.remove(watcher)
