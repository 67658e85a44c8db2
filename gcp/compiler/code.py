"""The text that LLVM reads: modules of functions, their arithmetic, memory and jumps.

Every name that a function assigns more than once is a place in memory; LLVM turns these into registers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gcp.compiler.values import (
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
    TranslationError,
    Vector,
    constant,
    flat,
    rebuilt,
    settled,
)

_FOLD: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_FLOAT = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv"}
_INTEGER = {"+": "add", "-": "sub", "*": "mul", "&": "and", "|": "or", "^": "xor", "<<": "shl"}
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}

_HEADER = 64
"""Bytes before an array that a function makes: a line of the cache, where the next one's address is kept."""


class Module:
    """Functions that are compiled together."""

    def __init__(self) -> None:
        self.functions: dict[Any, tuple[str, Any]] = {}
        self._texts: list[str] = []
        self._declared: set[str] = set()

    def declare(self, declaration: str) -> None:
        """Let functions call one that is elsewhere."""
        self._declared.add(f"declare {declaration}")

    def add(self, text: str) -> None:
        """Add a function's text."""
        self._texts.append(text)

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join([*self._texts, *sorted(self._declared), ""])


class Code:
    """A function that is being written.

    Attributes
    ----------
    flags : str
        LLVM's liberties with floating-point arithmetic, at this moment.
    is_open : bool
        Whether what is written next can be reached.
    """

    def __init__(self, module: Module) -> None:
        self.module, self.flags, self.is_open = module, "", True
        self._first: list[str] = []
        self._lines: list[str] = []
        self._n = 0
        self._arrays = ""

    @property
    def makes_arrays(self) -> bool:
        """Whether it makes arrays."""
        return bool(self._arrays)

    # --- writing -----------------------------------------------------------------------------------------------

    def new(self, prefix: str = "v") -> str:
        """Return a name that nothing has."""
        self._n += 1
        return f"{prefix}{self._n}"

    def do(self, text: str) -> None:
        """Write an instruction without a result."""
        if self.is_open:
            self._lines.append(f"  {text}")

    def get(self, text: str) -> str:
        """Write an instruction, and return the name of its result."""
        name = f"%{self.new()}"
        self.do(f"{name} = {text}")
        return name

    def label(self, name: str) -> None:
        """Begin a block."""
        if self.is_open:
            self.do(f"br label %{name}")
        self._lines.append(f"{name}:")
        self.is_open = True

    def go(self, name: str) -> None:
        """Go on at another block."""
        self.do(f"br label %{name}")
        self.is_open = False

    def branch(self, condition: Number, yes: str, no: str) -> None:
        """Go on at one of two blocks."""
        self.do(f"br i1 {condition.text}, label %{yes}, label %{no}")
        self.is_open = False

    def body(self, result: str) -> str:
        """Return the text of the function's body, which ends by giving back a result."""
        if self._arrays:
            self._free()
        self.do(f"ret {result}")
        return "\n".join(["entry:", *self._first, *self._lines])

    # --- memory ------------------------------------------------------------------------------------------------

    def room(self, llvm: str) -> str:
        """Return the address of a place for something of LLVM's type."""
        name = f"%{self.new('p')}"
        self._first.append(f"  {name} = alloca {llvm}")
        return name

    def places(self, value: Any) -> list[str]:
        """Return places for all that a settled value holds."""
        return [self.room(llvm) for llvm, _ in flat(value)]

    def keep(self, places: Sequence[str], value: Any) -> None:
        """Write a settled value to its places."""
        for place, (llvm, text) in zip(places, flat(value), strict=True):
            self.do(f"store {llvm} {text}, ptr {place}")

    def kept(self, places: Sequence[str], value: Any) -> Any:
        """Return what is at the places of a value of this form."""
        pairs = zip(places, flat(value), strict=True)
        return rebuilt(value, iter([self.get(f"load {llvm}, ptr {place}") for place, (llvm, _) in pairs]))

    def at(self, element: Element, data: str, index: Any) -> str:
        """Return the address of the number at an index."""
        if isinstance(index, int) and index == 0:
            return data
        return self.get(f"getelementptr inbounds {element.storage}, ptr {data}, i64 {self.integer(index)}")

    @staticmethod
    def data(array: Array) -> str:
        """Return the address of the first number of an array in C order."""
        if array.strides:
            raise TranslationError("of an array that is not in C order, only elements can be taken")
        return array.data

    def load(self, element: Element, address: str, align: int | None = None) -> Number:
        """Return the number at an address."""
        text = self.get(f"load {element.storage}, ptr {address}, align {align or element.size}")
        if element.kind in FLOATS or element.size == 8:
            return Number(element.kind, text)
        if element.kind == BOOL:
            return Number(BOOL, self.get(f"icmp ne i8 {text}, 0"))
        extend = "sext" if element.is_signed else "zext"
        return Number(INT, self.get(f"{extend} {element.storage} {text} to i64"))

    def store(self, element: Element, address: str, value: Any) -> None:
        """Write a number to an address, as an assignment in NumPy does."""
        if element.kind in FLOATS or element.size == 8:
            text = self.number(value, element.kind)
        elif element.kind == BOOL:
            text = self.get(f"zext i1 {self.truth(value).text} to i8")
        else:
            text = self.get(f"trunc i64 {self.number(value, INT)} to {element.storage}")
        self.do(f"store {element.storage} {text}, ptr {address}, align {element.size}")

    def size(self, array: Array) -> Any:
        """Return the number of an array's numbers."""
        total: Any = 1
        for size in array.sizes:
            total = self.arithmetic("*", total, size)
        return total

    def empty(self, element: Element, sizes: tuple[Any, ...]) -> Array:
        """Make an array, which begins at a line of the cache and is there to the end of this function."""
        self.module.declare("ptr @malloc(i64)")
        self.module.declare("void @free(ptr)")
        if not self._arrays:
            self._arrays = self.room("ptr")
            self._first.append(f"  store ptr null, ptr {self._arrays}")
        array = Array(element, "", sizes)
        n_bytes = self.arithmetic("*", self.size(array), element.size)
        block = self.get(f"call ptr @malloc(i64 {self.integer(self.arithmetic('+', n_bytes, 2 * _HEADER))})")
        self.do(f"store ptr {self.get(f'load ptr, ptr {self._arrays}')}, ptr {block}")
        self.do(f"store ptr {block}, ptr {self._arrays}")
        behind = self.get(f"add i64 {self.get(f'ptrtoint ptr {block} to i64')}, {2 * _HEADER - 1}")
        return array._replace(data=self.get(f"inttoptr i64 {self.get(f'and i64 {behind}, {-_HEADER}')} to ptr"))

    def clear(self, array: Array) -> None:
        """Make an array all zeros."""
        self.module.declare("void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        n_bytes = self.integer(self.arithmetic("*", self.size(array), array.element.size))
        self.do(f"call void @llvm.memset.p0.i64(ptr {self.data(array)}, i8 0, i64 {n_bytes}, i1 false)")

    def fill(self, array: Array, value: Any) -> None:
        """Give all numbers of an array one value."""
        if not isinstance(value, Number) and value == 0:
            self.clear(array)
        else:
            number, element, data = self.converted(value, array.element.kind), array.element, self.data(array)
            self.count(0, self.size(array), lambda k: self.store(element, self.at(element, data, k), number))

    def count(self, first: Any, last: Any, body: Callable[[Number], None]) -> None:
        """Write a loop over the integers from `first` up to `last`."""
        place, head, inner, after = self.room("i64"), self.new("head"), self.new("body"), self.new("after")
        self.do(f"store i64 {self.integer(first)}, ptr {place}")
        end = self.integer(last)
        self.label(head)
        k = Number(INT, self.get(f"load i64, ptr {place}"))
        self.branch(Number(BOOL, self.get(f"icmp slt i64 {k.text}, {end}")), inner, after)
        self.label(inner)
        body(k)
        self.do(f"store i64 {self.get(f'add nsw i64 {k.text}, 1')}, ptr {place}")
        self.go(head)
        self.label(after)

    def _free(self) -> None:
        head, inner, after = self.new("head"), self.new("body"), self.new("after")
        self.label(head)
        block = self.get(f"load ptr, ptr {self._arrays}")
        self.branch(Number(BOOL, self.get(f"icmp eq ptr {block}, null")), after, inner)
        self.label(inner)
        self.do(f"store ptr {self.get(f'load ptr, ptr {block}')}, ptr {self._arrays}")
        self.do(f"call void @free(ptr {block})")
        self.go(head)
        self.label(after)

    # --- arithmetic --------------------------------------------------------------------------------------------

    def integer(self, value: Any) -> str:
        """Return what LLVM calls an integer."""
        return self.number(value, INT)

    def number(self, value: Any, kind: str) -> str:
        """Return what LLVM calls a number as one of some kind."""
        return self.converted(value, kind).text

    def converted(self, value: Any, kind: str) -> Number:
        """Return a number as one of some kind."""
        if not isinstance(value, Number):
            if isinstance(value, int | float | np.number | np.bool_):
                return Number(kind, constant(value, kind))
            raise TranslationError(f"a number was expected, not {value!r}")
        has, text = value.kind, value.text
        if has == kind or {has, kind} == {INT, UINT}:
            return Number(kind, text)
        if kind == BOOL:
            return self.truth(value)
        if kind in FLOATS:
            if has in FLOATS:
                change = "fpext float" if has == FLOAT32 else "fptrunc double"
            else:
                change = f"{'sitofp' if has == INT else 'uitofp'} {LLVM[has]}"
            return Number(kind, self.get(f"{change} {text} to {LLVM[kind]}"))
        change = "zext i1" if has == BOOL else f"fptosi {LLVM[has]}"
        return Number(kind, self.get(f"{change} {text} to i64"))

    def truth(self, value: Any) -> Number:
        """Return whether a number is not 0."""
        if not isinstance(value, Number):
            return Number(BOOL, constant(bool(value), BOOL))
        if value.kind == BOOL:
            return value
        compare = "fcmp une" if value.kind in FLOATS else "icmp ne"
        zero = constant(0, value.kind)
        return Number(BOOL, self.get(f"{compare} {LLVM[value.kind]} {value.text}, {zero}"))

    def common(self, *values: Any) -> str:
        """Return the kind that numbers are computed in together."""
        known = [settled(v) if isinstance(v, np.number | np.bool_) else v for v in values]
        kinds = {v.kind for v in known if isinstance(v, Number)}
        loose = [v for v in known if not isinstance(v, Number)]
        if FLOAT64 in kinds or (kinds & {INT, UINT, BOOL} and FLOAT32 in kinds):
            return FLOAT64
        if FLOAT32 in kinds:
            return FLOAT32 if all(map(_fits_single, loose)) else FLOAT64
        if any(isinstance(v, float) for v in loose):
            return FLOAT64
        if UINT in kinds:
            return UINT if kinds == {UINT} else INT
        return BOOL if kinds == {BOOL} and all(isinstance(v, bool) for v in loose) else INT

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        """Return the result of an operator between two numbers."""
        if isinstance(a, Vector) or isinstance(b, Vector):
            raise TranslationError("vectors have functions of their own")
        if not isinstance(a, Number) and not isinstance(b, Number):
            return _FOLD[op](a, b)
        kind = self.common(a, b)
        if op == "/" and kind not in FLOATS:
            kind = FLOAT64
        if op == "**":
            return self._power(a, b, kind)
        if kind == BOOL and op not in ("&", "|", "^"):
            kind = INT
        x, y, llvm = self.number(a, kind), self.number(b, kind), LLVM[kind]
        if kind in FLOATS and op in _FLOAT:
            return Number(kind, self.get(f"{_FLOAT[op]} {self.flags}{llvm} {x}, {y}"))
        if kind not in FLOATS and op in _INTEGER:
            no_overflow = "nsw " if kind == INT and op in "+-*" else ""
            return Number(kind, self.get(f"{_INTEGER[op]} {no_overflow}{llvm} {x}, {y}"))
        if kind not in FLOATS and op == ">>":
            return Number(kind, self.get(f"{'ashr' if kind == INT else 'lshr'} {llvm} {x}, {y}"))
        if kind in (INT, UINT) and op in ("//", "%"):
            return self._divided(op, kind, x, y)
        raise TranslationError(f"no {op} for numbers of kind {kind}")

    def _divided(self, op: str, kind: str, x: str, y: str) -> Number:
        if kind == UINT:
            return Number(kind, self.get(f"{'udiv' if op == '//' else 'urem'} i64 {x}, {y}"))
        rest = self.get(f"srem i64 {x}, {y}")
        is_off = self.get(f"icmp slt i64 {self.get(f'xor i64 {rest}, {y}')}, 0")
        is_off = self.get(f"and i1 {is_off}, {self.get(f'icmp ne i64 {rest}, 0')}")
        if op == "%":
            return Number(kind, self.get(f"add i64 {rest}, {self.get(f'select i1 {is_off}, i64 {y}, i64 0')}"))
        return Number(kind, self.get(f"sub i64 {self.get(f'sdiv i64 {x}, {y}')}, {self.get(f'zext i1 {is_off} to i64')}"))

    def _power(self, a: Any, b: Any, kind: str) -> Any:
        if isinstance(b, int):
            found = self._whole_power(a, abs(b))
            return found if b >= 0 else self.arithmetic("/", 1.0, found)
        return self.intrinsic("pow", kind if kind in FLOATS else FLOAT64, a, b)

    def _whole_power(self, a: Any, n: int) -> Any:
        """Return a**n by squares."""
        found = None
        while n:
            if n & 1:
                found = a if found is None else self.arithmetic("*", found, a)
            n >>= 1
            a = self.arithmetic("*", a, a) if n else a
        return 1.0 if found is None else found

    def compare(self, op: str, a: Any, b: Any) -> Any:
        """Return whether a comparison holds."""
        if not isinstance(a, Number) and not isinstance(b, Number):
            return _FOLD[op](a, b)
        kind, name = self.common(a, b), _COMPARE[op]
        if kind in FLOATS:
            how = f"fcmp {'u' if name == 'ne' else 'o'}{name}"
        else:
            how = f"icmp {name if name in ('eq', 'ne') else ('s' if kind == INT else 'u') + name}"
        text = self.get(f"{how} {LLVM[kind]} {self.number(a, kind)}, {self.number(b, kind)}")
        return Number(BOOL, text)

    def negative(self, a: Any) -> Any:
        """Return -a."""
        if not isinstance(a, Number):
            return -a
        if a.kind in FLOATS:
            return Number(a.kind, self.get(f"fneg {self.flags}{LLVM[a.kind]} {a.text}"))
        return self.arithmetic("-", 0, a)

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """Return one of two values of the same form."""
        if not isinstance(condition, Number):
            return a if condition else b
        if all(isinstance(v, Number | int | float | np.number | np.bool_) for v in (a, b)):
            kind = self.common(a, b)
            a, b = self.converted(a, kind), self.converted(b, kind)
        a, b, which = settled(a), settled(b), self.truth(condition).text
        pairs = zip(flat(a), flat(b), strict=True)
        chosen = [self.get(f"select i1 {which}, {llvm} {x}, {llvm} {y}") for (llvm, x), (_, y) in pairs]
        return rebuilt(a, iter(chosen))

    def intrinsic(self, name: str, kind: str, *values: Any) -> Number:
        """Return an LLVM function of numbers of one kind."""
        llvm, suffix = LLVM[kind], "f32" if kind == FLOAT32 else "f64"
        function = f"@llvm.{name}.{suffix}"
        self.module.declare(f"{llvm} {function}({', '.join([llvm] * len(values))})")
        given = ", ".join(f"{llvm} {self.number(value, kind)}" for value in values)
        return Number(kind, self.get(f"call {self.flags}{llvm} {function}({given})"))

    def call_address(self, address: Any, arguments: Sequence[Any]) -> None:
        """Call a function without a result at an address."""
        given = ", ".join(f"{llvm} {text}" for llvm, text in flat(settled(tuple(arguments))))
        self.do(f"call void {self.get(f'inttoptr i64 {self.integer(address)} to ptr')}({given})")


def _fits_single(value: Any) -> bool:
    if not isinstance(value, float) or value == 0 or not np.isfinite(value):
        return True
    single = np.finfo(np.float32)
    return bool(single.tiny <= abs(value) <= single.max)
