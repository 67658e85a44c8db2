"""A function that is being written: its arrays, and calls of other functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from gcp.base.compiler.arithmetic import Arithmetic
from gcp.base.compiler.values import (
    BOOL,
    FLOATS,
    INT,
    Array,
    Either,
    Element,
    Number,
    TranslationError,
    flat,
    settled,
)
from gcp.base.compiler.writer import Module

_HEADER = 64
"""Bytes before an array that a function makes: a line of the cache, where the next one's address is kept."""


class Code(Arithmetic):
    """A function that is being written."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self._arrays = ""

    @property
    def makes_arrays(self) -> bool:
        """Whether it makes arrays."""
        return bool(self._arrays)

    def body(self, result: str) -> str:
        """Return the text of the function's body, which ends by giving back a result."""
        if self._arrays:
            self._free()
        self.do(f"ret {result}")
        return "\n".join(["entry:", *self.first_lines, *self.lines])

    def at(self, element: Element, data: str, index: Any) -> str:
        """Return the address of the number at an index."""
        if isinstance(index, int) and index == 0:
            return data
        return self.get(f"getelementptr inbounds {element.storage}, ptr {data}, i64 {self.integer(index)}")

    def apart(self, address: str) -> str:
        """Return an address of which LLVM does not know how it changes from one turn of an outer loop to the next.

        Else it would ask once, before that loop, whether rows overlap in any two of its turns, and for rows of one
        matrix leave the vector code alone.
        """
        self.module.declare("ptr @llvm.strip.invariant.group.p0(ptr)")
        return self.get(f"call ptr @llvm.strip.invariant.group.p0(ptr {address})")

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
            self.first_lines.append(f"  store ptr null, ptr {self._arrays}")
        array = Array(element, "", sizes)
        n_bytes = self.arithmetic("*", self.size(array), element.size)
        block = self.get(f"call ptr @malloc(i64 {self.integer(self.arithmetic('+', n_bytes, 2 * _HEADER))})")
        self.do(f"store ptr {self.get(f'load ptr, ptr {self._arrays}')}, ptr {block}")
        self.do(f"store ptr {block}, ptr {self._arrays}")
        behind = self.get(f"add i64 {self.get(f'ptrtoint ptr {block} to i64')}, {2 * _HEADER - 1}")
        return array._replace(
            data=self.get(f"inttoptr i64 {self.get(f'and i64 {behind}, {-_HEADER}')} to ptr")
        )

    def clear(self, array: Array) -> None:
        """Make an array all zeros."""
        self.module.declare("void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        n_bytes = self.integer(self.arithmetic("*", self.size(array), array.element.size))
        self.do(f"call void @llvm.memset.p0.i64(ptr {self.data(array)}, i8 0, i64 {n_bytes}, i1 false)")

    def fill(self, array: Array, value: Any) -> None:
        """Give all numbers of an array one value."""
        if not isinstance(value, Number | Either) and value == 0 and math.copysign(1.0, value) > 0:
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

    def call_address(self, address: Any, arguments: Sequence[Any]) -> None:
        """Call a function without a result at an address."""
        given = ", ".join(f"{llvm} {text}" for llvm, text in flat(settled(tuple(arguments))))
        self.do(f"call void {self.get(f'inttoptr i64 {self.integer(address)} to ptr')}({given})")

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
