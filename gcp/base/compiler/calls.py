"""Calls of machine code from Python.

Arguments go there by the address of one block: numbers as they are, of an array the addresses of NumPy's own record
of it, and of the type that it should have. The function that takes them out again, the entry, is compiled with the
function itself. A program looks first whether arguments have the structure and the types that it is for; whether
arrays have, its entry looks.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gcp.base.compiler import machine
from gcp.base.compiler.values import (
    BOOL,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT,
    LLVM,
    UINT,
    Array,
    Number,
    Pointer,
    flat,
    is_tuple,
)

_HEAD = object.__basicsize__
_DATA, _NDIM, _SIZES, _STRIDES, _TYPE, _FLAGS = (_HEAD + 8 * k for k in (0, 1, 2, 3, 5, 6))
"""Where NumPy's record of an array (its C interface) has the address of the numbers, and so on."""

_IN_C_ORDER = 1

_TYPES = {
    BOOL: (bool,),
    INT: (int, np.int64),
    UINT: (np.uint64,),
    FLOAT32: (np.float32,),
    FLOAT64: (float, np.float64),
}
"""The types of numbers that are handed over without a closer look."""

_C = {FLOAT64: ctypes.c_double, INT: ctypes.c_int64, UINT: ctypes.c_uint64, BOOL: ctypes.c_bool}

OTHER = object()
"""What a program gives back for arguments that it is not for."""


class Program:
    """Machine code for arguments of known types.

    Parameters
    ----------
    values : tuple
        What the arguments are while the function is translated.
    name : str
        Of the function.
    results : sequence of str
        Kinds of its results.
    is_tuple : bool
        Whether it gives back a tuple.
    code : bytes

    Attributes
    ----------
    address : int
        Of the function itself.
    has_results : bool

    Raises
    ------
    ValueError
        If the function is not in the code.
    """

    def __init__(
        self, values: tuple[Any, ...], name: str, results: Sequence[str], is_tuple: bool, code: bytes
    ) -> None:
        machine.load(code)
        self.address, place = machine.address(name), machine.address(entry_name(name))
        if not self.address or not (place or _has_addresses(values)):
            raise ValueError(f"{name} is not in this code")
        self._is_tuple, self.has_results = is_tuple, bool(results)
        self._packed = struct.Struct("q" + "".join(_formats(values))).pack
        self._taken = _taker(values, self._packed)
        self._results = [_C[kind] for kind in results]
        pointers = [ctypes.c_void_p] * len(results)
        self._function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p, *pointers)(place)

    def of_likely(self, arguments: tuple[Any, ...]) -> Any:
        """Return the result for arguments, or `OTHER` if they are not of its types."""
        block = self._taken(arguments)
        return OTHER if block is None else self._run(block)

    def of_known(self, numbers: Sequence[Any]) -> Any:
        """Return the result for arguments of its types, as they are in the block."""
        return self._run(self._packed(0, *numbers))

    def _run(self, block: bytes) -> Any:
        if not self._results:
            return OTHER if self._function(block) else None
        places: list[Any] = [kind() for kind in self._results]
        if self._function(block, *[ctypes.byref(place) for place in places]):
            return OTHER
        return tuple(place.value for place in places) if self._is_tuple else places[0].value


def take(values: tuple[Any, ...], key: list[Any], numbers: list[Any]) -> None:
    """Add the types of arguments to a key, and what they become in a block to a list.

    Raises
    ------
    TypeError
        For arguments that compiled functions do not take.
    """
    for value in values:
        if isinstance(value, np.ndarray):
            key += value.dtype, value.ndim, value.flags.c_contiguous
            numbers += id(value), 0
        elif isinstance(value, tuple):
            key += type(value), len(value)
            take(value, key, numbers)
        elif isinstance(value, np.generic):
            key.append(value.dtype)
            numbers.append(value.item())
        elif isinstance(value, int | float):
            key.append(type(value))
            numbers.append(value)
        elif value is None:
            key.append(None)
        else:
            raise TypeError(f"compiled functions take no {type(value).__name__}")


def _taker(values: tuple[Any, ...], packed: Callable[..., bytes]) -> Callable[[Any], bytes | None]:
    """Return a function that makes a block of arguments, or None of those with another structure or other types.

    Its text is made for this structure: a loop over the arguments takes three times as long.
    """
    lines: list[str] = []
    given: list[str] = []
    scope: dict[str, Any] = {kind.__name__: kind for kinds in _TYPES.values() for kind in kinds}
    scope |= {"ndarray": np.ndarray, "packed": packed, "tuple": tuple}
    n = 0

    def look(name: str, value: Any) -> None:
        """Write what tells whether an argument is such a value, and takes it apart."""
        nonlocal n
        if is_tuple(value):
            kind = f"t{n}"
            scope[kind] = type(value)
            lines.append(f"    if type({name}) is not {kind} or len({name}) != {len(value)}: return None")
            inner = [f"a{n + k}" for k in range(1, 1 + len(value))]
            n += 1 + len(value)
            if inner:
                lines.append(f"    {', '.join(inner)}, = {name}")
            for one, part in zip(inner, value, strict=True):
                look(one, part)
        elif isinstance(value, Array):
            lines.append(f"    if type({name}) is not ndarray: return None")
            given.append(f"id({name}), {id(value.element.dtype)}")
        elif isinstance(value, Number):
            kinds = [f"type({name}) is not {kind.__name__}" for kind in _TYPES[value.kind]]
            lines.append(f"    if {' and '.join(kinds)}: return None")
            given.append(name)
        else:
            lines.append(f"    if {name} is not None: return None")

    look("arguments", values)
    text = ["def taken(arguments):", *lines, f"    return packed({', '.join(['1', *given])})"]
    exec("\n".join(text), scope)
    taken: Callable[[Any], bytes | None] = scope["taken"]
    return taken


def _formats(values: Any) -> Iterator[str]:
    """Yield how arguments lie in their block."""
    for value in values:
        if is_tuple(value):
            yield from _formats(value)
        elif isinstance(value, Number):
            yield "d" if value.kind in FLOATS else "Q" if value.kind == UINT else "q"
        elif isinstance(value, Array):
            yield "qq"


def _has_addresses(values: Any) -> bool:
    """Return whether some arguments are bare addresses, which Python cannot hand over."""
    return any(isinstance(value, Pointer) for value in values)


# --- the entry's text ------------------------------------------------------------------------------------------


def entry_name(name: str) -> str:
    """Return the name of the entry of a function."""
    return f"{name}.entry"


def entry(name: str, values: tuple[Any, ...], results: Sequence[Number], kinds: Sequence[str]) -> str:
    """Return the text of the entry of a function; "" if Python cannot call it.

    It gives back 0, or 1 if asked to look at arrays and one is not of the type that the function is for.

    Parameters
    ----------
    name : str
        Of the function.
    values, results
        The forms of its arguments and results.
    kinds : sequence of str
        What the results are handed over as.
    """
    if _has_addresses(values):
        return ""
    lines, looks = ["%asked = load i64, ptr %block"], list[str]()
    given = [f"{llvm} {text}" for llvm, text in _unpacked(values, lines, looks, [0])]
    yes = "true"
    for k, look in enumerate(looks):
        lines.append(f"%sound{k} = and i1 {yes}, {look}")
        yes = f"%sound{k}"
    lines += [
        "%unasked = icmp eq i64 %asked, 0",
        f"%goes = or i1 %unasked, {yes}",
        "br i1 %goes, label %go, label %other",
        "other:",
        "ret i64 1",
        "go:",
    ]
    struct_type = f"{{{', '.join(LLVM[one.kind] for one in results)}}}" if results else "void"
    call = f"call {struct_type} @{name}({', '.join(given)}) noinline"
    lines.append(f"%found = {call}" if results else call)
    for k, (one, kind) in enumerate(zip(results, kinds, strict=True)):
        lines.append(f"%out{k} = extractvalue {struct_type} %found, {k}")
        text, llvm = f"%out{k}", LLVM[kind]
        if one.kind == FLOAT32:
            lines.append(f"%wide{k} = fpext float %out{k} to double")
            text = f"%wide{k}"
        elif kind == BOOL:
            lines.append(f"%wide{k} = zext i1 %out{k} to i8")
            text, llvm = f"%wide{k}", "i8"
        lines.append(f"store {llvm} {text}, ptr %result{k}")
    places = "".join(f", ptr %result{k}" for k in range(len(results)))
    body = "\n  ".join([*lines, "ret i64 0"])
    return f"\ndefine i64 @{entry_name(name)}(ptr %block{places}) nounwind {{\n  {body}\n}}\n"


def _unpacked(values: Any, lines: list[str], looks: list[str], at: list[int]) -> Iterator[tuple[str, str]]:
    """Yield LLVM's types and names of what `flat` gives of values in a block; add what tells if arrays are sound."""
    for value in values:
        if is_tuple(value):
            yield from _unpacked(value, lines, looks, at)
        elif flat(value):
            k = at[0] + 1
            lines.append(f"%b{k} = getelementptr i8, ptr %block, i64 {8 * k}")
            at[0] += 1 + isinstance(value, Array)
            if isinstance(value, Array):
                yield from _of_array(value, f"{k}", lines, looks)
            else:
                yield _of_number(value, f"{k}", lines)


def _of_number(value: Number, k: str, lines: list[str]) -> tuple[str, str]:
    llvm = LLVM[value.kind]
    lines.append(f"%x{k} = load {'double' if value.kind in FLOATS else 'i64'}, ptr %b{k}")
    if value.kind == FLOAT32:
        lines.append(f"%y{k} = fptrunc double %x{k} to float")
    elif value.kind == BOOL:
        lines.append(f"%y{k} = icmp ne i64 %x{k}, 0")
    return llvm, f"%{'y' if value.kind in (FLOAT32, BOOL) else 'x'}{k}"


def _of_array(value: Array, k: str, lines: list[str], looks: list[str]) -> Iterator[tuple[str, str]]:
    def field(letter: str, offset: int, llvm: str) -> str:
        lines.append(f"%{letter}p{k} = getelementptr i8, ptr %c{k}, i64 {offset}")
        lines.append(f"%{letter}{k} = load {llvm}, ptr %{letter}p{k}")
        return f"%{letter}{k}"

    lines.append(f"%c{k} = load ptr, ptr %b{k}")
    data = field("d", _DATA, "ptr")
    ndim, kind, flags = field("n", _NDIM, "i32"), field("e", _TYPE, "i64"), field("g", _FLAGS, "i32")
    lines += [
        f"%ns{k} = icmp eq i32 {ndim}, {len(value.sizes)}",
        f"%tp{k} = getelementptr i8, ptr %b{k}, i64 8",
        f"%tw{k} = load i64, ptr %tp{k}",
        f"%ts{k} = icmp eq i64 {kind}, %tw{k}",
        f"%ga{k} = and i32 {flags}, {0 if value.strides else _IN_C_ORDER}",
        f"%gs{k} = icmp eq i32 %ga{k}, {0 if value.strides else _IN_C_ORDER}",
    ]
    looks += [f"%ns{k}", f"%ts{k}", f"%gs{k}"]
    yield "ptr", data
    for letter, offset, numbers in (("s", _SIZES, value.sizes), ("r", _STRIDES, value.strides)):
        first = field(letter, offset, "ptr")
        for n in range(len(numbers)):
            lines.append(f"%{letter}q{k}.{n} = getelementptr i64, ptr {first}, i64 {n}")
            lines.append(f"%{letter}v{k}.{n} = load i64, ptr %{letter}q{k}.{n}")
            yield "i64", f"%{letter}v{k}.{n}"
