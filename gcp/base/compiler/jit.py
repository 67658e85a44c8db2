"""The decorators, and calls from Python.

A call looks for machine code for the types of its arguments: in this process, on disk, else it is compiled. Arguments
go there by the address of one block: numbers as they are, of arrays the address of NumPy's own record of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from gcp.base.compiler import machine
from gcp.base.compiler.code_files import CodeFiles, digest
from gcp.base.compiler.functions import Callee, Instruction
from gcp.base.compiler.translate import translated
from gcp.base.compiler.values import (
    BOOL,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT,
    LLVM,
    UINT,
    Array,
    Element,
    Number,
    Pointer,
    TranslationError,
    flat,
    is_tuple,
)

Function = Callable[..., Any]

DISABLED = bool(int(os.environ.get("GCP_DISABLE_JIT", "0") or "0"))
"""True if GCP_DISABLE_JIT is set to 1: functions then run as Python, for debuggers."""

_DATA = object.__basicsize__
"""Where NumPy's record of an array has the address of its numbers; 16 bytes on, of its sizes; then of its strides."""


class Compiled(Callee):
    """A function that can be called from Python, and by its address."""

    def __init__(self, python: Function, flags: str, files: CodeFiles | None) -> None:
        super().__init__(python, flags)
        self._files = files
        self._programs: dict[Any, _Program] = {}
        self._by_key: dict[Any, _Program] = {}
        self.n_compiled = 0
        """How many times this process has compiled it; what came from disk does not count."""

    @property
    def signatures(self) -> list[Any]:
        """The types that it is compiled for in this process."""
        return list(self._programs)

    def __call__(self, *arguments: Any) -> Any:
        """Run it; the lock of the interpreter is not held meanwhile."""
        if DISABLED:
            return self.python(*arguments)
        key: list[Any] = []
        packed: list[Any] = []
        _take(arguments, key, packed)
        found = self._by_key.get(tuple(key))
        if found is None:
            found = self._by_key[tuple(key)] = self._program(tuple(map(_value, arguments)))
        return found(packed)

    def address(self, values: tuple[Any, ...]) -> int:
        """Return the address of the function of values of these forms, which has no result."""
        return self._program(values).address

    def _program(self, values: tuple[Any, ...]) -> _Program:
        with machine.LOCK:
            if values not in self._programs:
                self._programs[values] = self._made(values)
            return self._programs[values]

    def _made(self, values: tuple[Any, ...]) -> _Program:
        signature, processor = _text(values), machine.processor()
        for payload in self._files.read(signature, processor) if self._files else ():
            try:
                return _Program(values, payload)
            except (ValueError, RuntimeError, KeyError):  # whatever is wrong with a file: compile again
                continue
        for begin, _ in _WATCHERS:
            begin(self)
        self.n_compiled += 1
        made: bytes | None = None
        try:
            made = _compiled(self, f"{self.__module__}.{self.__qualname__} {signature}", values)
        finally:
            if self._files:
                self._files.write(signature, processor, made)
            for _, end in _WATCHERS:
                end(self)
        return _Program(values, made)


class _Program:
    """Machine code for arguments of known types.

    Attributes
    ----------
    address : int
        Of the function itself, if it has no result.
    """

    def __init__(self, values: tuple[Any, ...], payload: bytes) -> None:
        head, _, code = payload.partition(b"\n")
        found = json.loads(head)
        machine.load(code)
        self.address = machine.address(found["name"])
        self._results: list[str] = found["results"]
        self._is_tuple = found["is_tuple"]
        self._format = struct.Struct("".join(_formats(values)))
        self._made = struct.Struct("".join("d" if kind == FLOAT64 else "q" for kind in self._results))
        if _can_be_packed(values):
            kinds = {FLOAT64: ctypes.c_double, INT: ctypes.c_int64, BOOL: ctypes.c_bool}
            result: Any = kinds[self._results[0]] if self._results and not self._is_tuple else None
            arguments = [ctypes.c_char_p] * (1 + self._is_tuple)
            place = machine.address(_entry_of(found["name"]))
            self._function = ctypes.CFUNCTYPE(result, *arguments)(place)

    def __call__(self, packed: list[Any]) -> Any:
        given = self._format.pack(*packed)
        if not self._is_tuple:
            return self._function(given)
        room = ctypes.create_string_buffer(self._made.size)
        self._function(given, room)
        found = self._made.unpack(room.raw)
        return tuple(bool(v) if k == BOOL else v for v, k in zip(found, self._results, strict=True))


def _take(values: tuple[Any, ...], key: list[Any], packed: list[Any]) -> None:
    """Add the types of arguments to a key, and what they become to a block."""
    for value in values:
        kind = type(value)
        if kind is np.ndarray:
            key += value.dtype, value.ndim, value.flags.c_contiguous
            packed.append(id(value))
        elif kind is int or kind is bool or kind is float:
            key.append(kind)
            packed.append(value)
        elif isinstance(value, tuple):
            key += kind, len(value)
            _take(value, key, packed)
        elif value is None:
            key.append(None)
        elif isinstance(value, np.generic):
            key.append(value.dtype)
            packed.append(value.item())
        else:
            raise TypeError(f"compiled functions take no {kind.__name__}")


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


def _formats(values: Any) -> Iterator[str]:
    """Yield how arguments lie in their block: 8 bytes each."""
    for value in values:
        if is_tuple(value):
            yield from _formats(value)
        elif isinstance(value, Number):
            yield "d" if value.kind in FLOATS else "Q" if value.kind == UINT else "q"
        elif isinstance(value, Array):
            yield "q"


def _text(value: Any) -> str:
    """Return a text that is equal for arguments of equal types, in any process."""
    if isinstance(value, Number):
        return value.kind
    if isinstance(value, Array | Pointer):
        sizes = len(getattr(value, "sizes", ())), bool(getattr(value, "strides", ()))
        return f"{type(value).__name__}({value.element.dtype}, {sizes})"
    if is_tuple(value):
        return f"{type(value).__qualname__}({', '.join(map(_text, value))})"
    return repr(value)


def _entry_of(name: str) -> str:
    """Return the name of what Python calls in the place of a function."""
    return f"{name}.entry"


def _can_be_packed(values: Any) -> bool:
    """Return whether Python can hand over arguments: no bare addresses."""
    return not any(isinstance(value, Pointer) for value in values)


def _compiled(function: Callee, what: str, values: tuple[Any, ...]) -> bytes:
    """Return machine code for arguments of known types, after a line that says how it is called."""
    name = "".join(c for c in function.__name__ if c.isalnum()) + f"_{digest(what)}"
    text, result = translated(function, values, name)
    results = result if is_tuple(result) else () if result is None else (result,)
    if not all(isinstance(one, Number) for one in results):
        raise TranslationError(f"{function.__qualname__} gives back what is not a number")
    kinds = [{FLOAT32: FLOAT64, UINT: INT}.get(one.kind, one.kind) for one in results]
    if _can_be_packed(values):
        text += _entry(name, values, results, kinds, is_tuple(result))
    head = {"name": name, "results": kinds, "is_tuple": is_tuple(result)}
    return json.dumps(head).encode() + b"\n" + machine.object_code(text)


def _entry(name: str, values: Any, results: tuple[Number, ...], kinds: list[str], is_many: bool) -> str:
    """Return the text of a function that takes its arguments from a block, and calls the one they are for."""
    lines: list[str] = []
    given = [f"{llvm} {text}" for llvm, text in _unpacked(values, lines, [0])]
    struct_type = f"{{{', '.join(LLVM[one.kind] for one in results)}}}" if results else "void"
    call = f"call {struct_type} @{name}({', '.join(given)}) noinline"
    lines.append(f"%found = {call}" if results else call)
    texts = []
    for k, (one, kind) in enumerate(zip(results, kinds, strict=True)):
        lines.append(f"%r{k} = extractvalue {struct_type} %found, {k}")
        texts.append(f"%r{k}")
        if one.kind == FLOAT32:
            lines.append(f"%s{k} = fpext float %r{k} to double")
            texts[-1] = f"%s{k}"
        elif is_many and kind == BOOL:
            lines.append(f"%s{k} = zext i1 %r{k} to i64")
            texts[-1] = f"%s{k}"
    if is_many:
        for k, (kind, text) in enumerate(zip(kinds, texts, strict=True)):
            lines.append(f"%q{k} = getelementptr i8, ptr %results, i64 {8 * k}")
            lines.append(f"store {'double' if kind == FLOAT64 else 'i64'} {text}, ptr %q{k}")
    gives = "void" if is_many or not results else ("zeroext i1" if kinds[0] == BOOL else LLVM[kinds[0]])
    lines.append("ret void" if gives == "void" else f"ret {gives.split()[-1]} {texts[0]}")
    taken = "ptr %block, ptr %results" if is_many else "ptr %block"
    body = "\n  ".join(lines)
    return f"\ndefine {gives} @{_entry_of(name)}({taken}) nounwind {{\n  {body}\n}}\n"


def _unpacked(values: Any, lines: list[str], at: list[int]) -> Iterator[tuple[str, str]]:
    """Yield LLVM's types and names of what `flat` gives of values in a block."""
    for value in values:
        if is_tuple(value):
            yield from _unpacked(value, lines, at)
            continue
        if not flat(value):
            continue
        k = at[0]
        at[0] += 1
        lines.append(f"%b{k} = getelementptr i8, ptr %block, i64 {8 * k}")
        if isinstance(value, Array):
            lines += [
                f"%c{k} = load ptr, ptr %b{k}",
                f"%d{k} = getelementptr i8, ptr %c{k}, i64 {_DATA}",
                f"%e{k} = load ptr, ptr %d{k}",
            ]
            yield "ptr", f"%e{k}"
            for letter, skip, numbers in (("f", 16, value.sizes), ("g", 24, value.strides)):
                lines += [
                    f"%{letter}{k} = getelementptr i8, ptr %c{k}, i64 {_DATA + skip}",
                    f"%{letter}a{k} = load ptr, ptr %{letter}{k}",
                ]
                for n in range(len(numbers)):
                    lines += [
                        f"%{letter}b{k}.{n} = getelementptr i64, ptr %{letter}a{k}, i64 {n}",
                        f"%{letter}c{k}.{n} = load i64, ptr %{letter}b{k}.{n}",
                    ]
                    yield "i64", f"%{letter}c{k}.{n}"
        elif value.kind in FLOATS:
            lines.append(f"%x{k} = load double, ptr %b{k}")
            if value.kind == FLOAT32:
                lines.append(f"%y{k} = fptrunc double %x{k} to float")
            yield LLVM[value.kind], f"%{'y' if value.kind == FLOAT32 else 'x'}{k}"
        else:
            lines.append(f"%x{k} = load i64, ptr %b{k}")
            if value.kind == BOOL:
                lines.append(f"%y{k} = icmp ne i64 %x{k}, 0")
            yield LLVM[value.kind], f"%{'y' if value.kind == BOOL else 'x'}{k}"


# --- decorators ------------------------------------------------------------------------------------------------


def _flags(fastmath: Iterable[str]) -> str:
    return "".join(f"{flag} " for flag in sorted(fastmath))


def jit(function: Function | None = None, *, fastmath: Iterable[str] = ()) -> Any:
    """Compile a function, or take it from disk where this very text was compiled before.

    Of a function that has variables of one around it, the text does not tell all: it is not kept on disk.

    Parameters
    ----------
    function : callable
        Of the part of Python that `translate` knows. Arrays are in C order. It holds no lock while it runs.
    fastmath : set of str
        Liberties with floating-point arithmetic, as LLVM names them.
    """
    if function is None:
        return lambda function: jit(function, fastmath=fastmath)
    flags = _flags(fastmath)
    is_known_by_text = not function.__code__.co_freevars and function.__name__ != "<lambda>"
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
