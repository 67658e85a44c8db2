"""Names and expressions.

A name stands for a value. Where a loop or a branch gives names new values, these live in memory, with the type of
what they had first.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from gcp.base.compiler import known
from gcp.base.compiler.code import Code
from gcp.base.compiler.values import (
    BOOL,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT,
    UINT,
    Array,
    Either,
    Number,
    Pointer,
    TranslationError,
    Vector,
    flat,
    form,
    is_number,
    is_tuple,
    settled,
)

OPERATORS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}


_WIDTH = {BOOL: 0, INT: 1, UINT: 1, FLOAT32: 2, FLOAT64: 3}
"""Kinds of numbers, each with room for those before it."""


class Slot(NamedTuple):
    """A name's place in memory."""

    value: Any
    places: list[str]


class Expressions:
    """The names and expressions of one function that is written out once.

    Parameters
    ----------
    code : Code
    function : callable
    call : callable
        call(code, function, values, named) writes a call.
    """

    def __init__(self, code: Code, function: Any, call: Callable[..., Any]) -> None:
        self.code, self.function, self.call = code, function, call
        self.names: dict[str, Any] = {}
        self.depth = 0
        self.loops: list[tuple[str, str]] = []
        self.end = ""
        self.result: Slot | None = None
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.around = dict(cells)

    def fitted(self, value: Any, like: Any) -> Any:
        """Return a settled value in the form of another."""
        if isinstance(like, Number) and is_number(value):
            kind = settled(value).kind
            if _WIDTH[kind] > _WIDTH[like.kind] and isinstance(value, Number | Either):
                raise TranslationError(
                    f"a name that holds a number of kind {like.kind} is given one of kind {kind}"
                )
            if _WIDTH[kind] > _WIDTH[like.kind] and not (kind == FLOAT64 and like.kind == FLOAT32):
                raise TranslationError(f"a name that holds a number of kind {like.kind} is given {value!r}")
            return self.code.converted(value, like.kind)
        if is_tuple(like) and is_tuple(value) and len(like) == len(value):
            parts = [self.fitted(a, b) for a, b in zip(value, like, strict=True)]
            return type(like)(*parts) if hasattr(like, "_fields") else tuple(parts)
        if form(value) != form(like):
            raise TranslationError(f"a name changes from {form(like)} to {form(value)}")
        return value

    # --- names -------------------------------------------------------------------------------------------------

    def bind(self, name: str, value: Any) -> None:
        """Give a name a value."""
        has = self.names.get(name)
        if isinstance(has, Slot):
            value = self.fitted(settled(value), has.value)
            self.code.keep(has.places, value)
        elif self.depth and flat(settled(value)):
            self.to_memory(name, value)
        elif self.depth and name in self.names and form(has) != form(value):
            raise TranslationError(f"{name} is given another value in a loop or branch")
        else:
            self.names[name] = value

    def to_memory(self, name: str, value: Any) -> None:
        """Let a name's value live in memory from now on."""
        value = settled(value)
        slot = Slot(value, self.code.places(value))
        self.code.keep(slot.places, value)
        self.names[name] = slot

    def settle(self, statements: list[ast.stmt]) -> None:
        """Let what statements change, and has a value already, live in memory."""
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in self.names:
                    value = self.names[node.id]
                    if not isinstance(value, Slot) and flat(settled(value)):
                        self.to_memory(node.id, value)

    def name(self, node: ast.Name) -> Any:
        """Return what a name stands for."""
        if node.id in self.names:
            value = self.names[node.id]
            return self.code.kept(value.places, value.value) if isinstance(value, Slot) else value
        if node.id in self.around:
            return self.around[node.id].cell_contents
        for scope in (self.function.__globals__, vars(builtins)):
            if node.id in scope:
                return scope[node.id]
        raise TranslationError(f"{node.id} is not known")

    # --- expressions -------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.name(node)
        method = getattr(self, f"_get_{type(node).__name__.lower()}", None)
        if method is None:
            raise TranslationError(f"no {type(node).__name__} expressions")
        return method(node)

    def _get_tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.starred(node.elts))

    def starred(self, nodes: list[ast.expr]) -> list[Any]:
        """Return the values of expressions, of which some may be tuples with a star."""
        values: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                value = self.value(node.value)
                if not is_tuple(value):
                    raise TranslationError(f"only tuples can have a star, not {form(value)}")
                values += value
            else:
                values.append(self.value(node))
        return values

    def _get_slice(self, node: ast.Slice) -> Any:
        if node.step is not None:
            raise TranslationError("slices have no steps")
        return slice(*(None if part is None else self.value(part) for part in (node.lower, node.upper)))

    def _get_binop(self, node: ast.BinOp) -> Any:
        a, b = self.value(node.left), self.value(node.right)
        return self.code.arithmetic(OPERATORS[type(node.op)], a, b)

    def _get_unaryop(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return self.test(node)
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub):
            return self.code.negative(value)
        raise TranslationError("no such sign")

    def _get_compare(self, node: ast.Compare) -> Any:
        if not all(map(_is_harmless, node.comparators[1:])):
            raise TranslationError("of a chain of comparisons, what may not be looked at is for `and`")
        left, found = self.value(node.left), None
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if isinstance(op, ast.Is | ast.IsNot):
                if right is not None:
                    raise TranslationError("`is` is for None")
                one: Any = (left is None) == isinstance(op, ast.Is)
            else:
                one = self.code.compare(OPERATORS[type(op)], left, right)
            found = one if found is None else self.code.arithmetic("&", found, one)
            left = right
        return found

    def test(self, node: ast.expr, is_value: bool = False) -> Number | bool:
        """Return whether an expression counts as true: a computed truth value, or what is known now.

        One whose value is wanted must be a truth value: in Python, `a and b` is one of the two.
        """
        if isinstance(node, ast.BoolOp):
            return self.joined(node, is_value)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            value = self.test(node.operand)
            return (
                Number(BOOL, self.code.get(f"xor i1 {value.text}, true")) if _computed(value) else not value
            )
        value = self.value(node)
        if is_value and not (isinstance(value, bool) or (_computed(value) and value.kind == BOOL)):
            raise TranslationError("`and` and `or` join truth values")
        if isinstance(value, Number | Either):
            return self.code.truth(value)
        if isinstance(value, Array | Vector | Pointer):
            raise TranslationError("an array is neither true nor false")
        return bool(value)

    def joined(self, node: ast.BoolOp, is_value: bool = False) -> Number | bool:
        """Return whether all or any of some expressions count as true; those behind the one that decides are not
        looked at.
        """
        is_and = isinstance(node.op, ast.And)
        found = self.test(node.values[0], is_value)
        for right in node.values[1:]:
            if not _computed(found):
                if found != is_and:
                    return found
                found = self.test(right, is_value)
            elif _is_harmless(right):
                other = self.code.truth(self.test(right, is_value))
                found = self.code.arithmetic("&" if is_and else "|", found, other)
            else:
                found = self.short(found, right, is_and, is_value)
        return found

    def _get_boolop(self, node: ast.BoolOp) -> Number | bool:
        return self.joined(node, is_value=True)

    def short(self, found: Number, right: ast.expr, is_and: bool, is_value: bool) -> Number:
        """Return `found and right`, or `or`, where the right side may only be looked at if it counts."""
        code, place = self.code, self.code.room("i1")
        more, after = code.new("more"), code.new("after")
        found = code.truth(found)
        code.do(f"store i1 {found.text}, ptr {place}")
        code.branch(found, *((more, after) if is_and else (after, more)))
        code.label(more)
        code.do(f"store i1 {code.truth(self.test(right, is_value)).text}, ptr {place}")
        code.go(after)
        code.label(after)
        return Number(BOOL, code.get(f"load i1, ptr {place}"))

    def _get_ifexp(self, node: ast.IfExp) -> Any:
        condition = self.test(node.test)
        if not _computed(condition):
            return self.value(node.body if condition else node.orelse)
        if _is_harmless(node.body) and _is_harmless(node.orelse):
            return self.code.select(condition, self.value(node.body), self.value(node.orelse))
        return self.either(condition, node)

    def either(self, condition: Number, node: ast.IfExp) -> Any:
        """Return one of two values, of which the other is not computed."""
        code = self.code
        yes, no, after = code.new("yes"), code.new("no"), code.new("after")
        code.branch(code.truth(condition), yes, no)
        code.label(yes)
        a = settled(self.value(node.body))
        slot = Slot(a, code.places(a))
        code.keep(slot.places, a)
        code.go(after)
        code.label(no)
        code.keep(slot.places, self.fitted(settled(self.value(node.orelse)), a))
        code.go(after)
        code.label(after)
        return code.kept(slot.places, a)

    def _get_attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Array | Vector | Pointer):
            return known.attribute(self.code, owner, node.attr)
        if isinstance(owner, Number):
            raise TranslationError(f"numbers have no {node.attr}")
        return getattr(owner, node.attr)

    def _get_subscript(self, node: ast.Subscript) -> Any:
        owner, index = self.value(node.value), self.value(node.slice)
        if is_tuple(owner):
            if isinstance(index, Number):
                raise TranslationError("which element of a tuple must be known")
            return owner[index]
        if isinstance(owner, Pointer):
            return self.code.load(owner.element, self.place(owner, index))
        if not isinstance(owner, Array):
            raise TranslationError(f"no elements of {form(owner)}")
        indices = index if is_tuple(index) else (index,)
        if len(indices) == len(owner.sizes) and all(map(is_number, indices)):
            return self.code.load(owner.element, self.place(owner, index))
        return self.part(owner, index)

    def place(self, array: Any, index: Any) -> str:
        """Return the address of an element."""
        if isinstance(array, Pointer):
            return self.code.at(array.element, array.text, index)
        indices = index if is_tuple(index) else (index,)
        at: Any = 0
        if array.strides:
            for stride, size, one in zip(array.strides, array.sizes, indices, strict=True):
                skip = self.code.arithmetic("*", self.counted(one, size), stride)
                at = self.code.arithmetic("+", at, skip)
            return self.code.get(f"getelementptr i8, ptr {array.data}, i64 {self.code.integer(at)}")
        for size, one in zip(array.sizes, indices, strict=True):
            at = self.code.arithmetic("+", self.code.arithmetic("*", at, size), self.counted(one, size))
        return self.code.at(array.element, array.data, at)

    def counted(self, index: Any, size: Any) -> Any:
        """Return an index from the beginning; only known ones may count from the end."""
        if isinstance(index, int | np.integer) and index < 0:
            return self.code.arithmetic("+", size, int(index))
        if not is_number(index) or settled(index).kind in FLOATS:
            raise TranslationError(f"an index was expected, not {index!r}")
        return Number(INT, self.code.integer(index)) if isinstance(index, Number) else index

    def part(self, array: Array, index: Any) -> Array:
        """Return a view of an array: leading indices, then at most one slice, then all."""
        indices = index if is_tuple(index) else (index,)
        sizes, at = list(array.sizes), 0
        while indices and is_number(indices[0]):
            rest: Any = 1
            for size in sizes[1:]:
                rest = self.code.arithmetic("*", rest, size)
            skip = self.code.arithmetic("*", self.counted(indices[0], sizes[0]), rest)
            at = self.code.arithmetic("+", at, skip)
            sizes, indices = sizes[1:], indices[1:]
        if indices:
            cut, *others = indices
            if not isinstance(cut, slice) or any(other != slice(None) for other in others):
                raise TranslationError(
                    "an array is cut along its first mode, or along the first that is left"
                )
            low = 0 if cut.start is None else self.counted(cut.start, sizes[0])
            high = sizes[0] if cut.stop is None else self.counted(cut.stop, sizes[0])
            rest = 1
            for size in sizes[1:]:
                rest = self.code.arithmetic("*", rest, size)
            at = self.code.arithmetic("+", at, self.code.arithmetic("*", low, rest))
            sizes[0] = high if isinstance(low, int) and low == 0 else self.code.arithmetic("-", high, low)
        data = self.code.apart(self.code.at(array.element, self.code.data(array), at))
        return Array(array.element, data, tuple(sizes))

    def _get_call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            owner = self.value(node.func.value)
            if isinstance(owner, Array | Vector):
                values = self.starred(node.args)
                return known.method(self.code, owner, node.func.attr, *values)
            function = getattr(owner, node.func.attr)
        else:
            function = self.value(node.func)
        values = self.starred(node.args)
        named = {keyword.arg: self.value(keyword.value) for keyword in node.keywords if keyword.arg}
        return self.call(self.code, function, values, named)


def _computed(value: Any) -> TypeGuard[Number]:
    return isinstance(value, Number)


def _is_harmless(node: ast.expr) -> bool:
    """Return whether an expression may be computed though it does not count: it neither reads memory nor calls."""
    return not any(
        isinstance(n, ast.Subscript | ast.Call | ast.Div | ast.FloorDiv | ast.Mod) for n in ast.walk(node)
    )
