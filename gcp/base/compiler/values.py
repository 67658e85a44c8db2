"""What the names of a function stand for while it is translated.

Numbers of a known type that the program computes, arrays (an address and sizes), addresses and short vectors; and
what is known now: Python numbers, None, functions, NumPy types. Tuples, named or not, hold any of these. A Python
number has no type of its own and takes that of the other operand, as in NumPy 2.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

BOOL, INT, UINT, FLOAT32, FLOAT64 = "bool", "int", "uint", "float32", "float64"
LLVM = {BOOL: "i1", INT: "i64", UINT: "i64", FLOAT32: "float", FLOAT64: "double"}
FLOATS = (FLOAT32, FLOAT64)


class TranslationError(TypeError):
    """A function is not of the part of Python that is compiled."""


class Element(NamedTuple):
    """How an array holds its numbers: LLVM's type, bytes, and the kind that they are computed with."""

    storage: str
    size: int
    kind: str
    is_signed: bool

    @classmethod
    def of(cls, dtype: np.dtype[Any]) -> Element:
        """Return that of a NumPy type."""
        if not dtype.isnative:
            raise TranslationError(f"no arrays of {dtype.str}")
        if dtype.kind in "iu":
            kind = INT if dtype.kind == "i" or dtype.itemsize < 8 else UINT
            return cls(f"i{8 * dtype.itemsize}", dtype.itemsize, kind, dtype.kind == "i")
        if dtype.kind == "b":
            return cls("i8", 1, BOOL, False)
        if dtype.kind == "f" and dtype.itemsize in (4, 8):
            kind = FLOAT32 if dtype.itemsize == 4 else FLOAT64
            return cls(LLVM[kind], dtype.itemsize, kind, True)
        raise TranslationError(f"no arrays of {dtype.str}")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type."""
        if self.kind in FLOATS:
            return np.dtype(self.kind)
        if self.kind == BOOL:
            return np.dtype(bool)
        return np.dtype(f"{'i' if self.is_signed else 'u'}{self.size}")


class Number(NamedTuple):
    """A number that the program computes: its kind, and what LLVM calls it."""

    kind: str
    text: str


class Either(NamedTuple):
    """One of two Python floats, as LLVM calls it in float64 and in float32: it takes the other operand's type."""

    double: str
    single: str


class Array(NamedTuple):
    """An array: the address of its first number, its sizes, and its strides in bytes unless it is in C order.

    Of one with strides, elements can be read and written, and no more.
    """

    element: Element
    data: str
    sizes: tuple[Any, ...]
    strides: tuple[Any, ...] = ()


class Pointer(NamedTuple):
    """The address of some numbers."""

    element: Element
    text: str


class Vector(NamedTuple):
    """A short vector of numbers of one kind."""

    kind: str
    lanes: int
    text: str

    @property
    def llvm(self) -> str:
        """LLVM's type."""
        return f"<{self.lanes} x {LLVM[self.kind]}>"


_COMPUTED = Number | Either | Array | Pointer | Vector


def is_number(value: Any) -> bool:
    """Return whether a value is a number, known or not."""
    return isinstance(value, Number | Either | int | float | np.number | np.bool_)


def is_tuple(value: Any) -> bool:
    """Return whether a value is a tuple of values."""
    return isinstance(value, tuple) and not isinstance(value, _COMPUTED | Element)


def constant(value: Any, kind: str) -> str:
    """Return what LLVM calls a known number."""
    if kind == BOOL:
        return "true" if value else "false"
    if kind in FLOATS:
        number = float(np.float32(value)) if kind == FLOAT32 else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return str(int(value))


def settled(value: Any) -> Any:
    """Return a value with types for all of its numbers, so that a place in memory can hold it."""
    if isinstance(value, Either):
        return Number(FLOAT64, value.double)
    if isinstance(value, bool | np.bool_):
        return Number(BOOL, constant(value, BOOL))
    if isinstance(value, np.floating):
        return Number(f"float{8 * value.itemsize}", constant(value, f"float{8 * value.itemsize}"))
    if isinstance(value, np.unsignedinteger):
        return Number(UINT, str(value))
    if isinstance(value, int | np.integer):
        return Number(INT, str(value))
    if isinstance(value, float):
        return Number(FLOAT64, constant(value, FLOAT64))
    if isinstance(value, Array):
        return value._replace(sizes=settled(value.sizes), strides=settled(value.strides))
    if is_tuple(value):
        return _like(value, [settled(part) for part in value])
    return value


def flat(value: Any) -> list[tuple[str, str]]:
    """Return LLVM's types and names of all that a value holds and the program computes."""
    if isinstance(value, Number):
        return [(LLVM[value.kind], value.text)]
    if isinstance(value, Array):
        return [("ptr", value.data), *flat(value.sizes), *flat(value.strides)]
    if isinstance(value, Pointer):
        return [("ptr", value.text)]
    if isinstance(value, Vector):
        return [(value.llvm, value.text)]
    if is_tuple(value):
        return [pair for part in value for pair in flat(part)]
    return []


def rebuilt(value: Any, texts: Iterator[str]) -> Any:
    """Return a value of the same form, with other names for all that `flat` gives."""
    if isinstance(value, Number | Pointer | Vector):
        return value._replace(text=next(texts))
    if isinstance(value, Array):
        data, sizes = next(texts), rebuilt(value.sizes, texts)
        return value._replace(data=data, sizes=sizes, strides=rebuilt(value.strides, texts))
    if is_tuple(value):
        return _like(value, [rebuilt(part, texts) for part in value])
    return value


def form(value: Any) -> Any:
    """Return what two values have in common that differ only in what the program computes; can be compared."""
    if isinstance(value, Number):
        return ("number", value.kind)
    if isinstance(value, Array):
        return ("array", value.element, form(value.sizes), form(value.strides))
    if isinstance(value, Pointer):
        return ("pointer", value.element)
    if isinstance(value, Vector):
        return ("vector", value.kind, value.lanes)
    if is_tuple(value):
        return (type(value), *(form(part) for part in value))
    return ("known", type(value), value)


def _like(value: Any, parts: list[Any]) -> Any:
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
