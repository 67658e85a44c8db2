"""Statements and expressions, one after the other.

A name stands for a value. Where a loop or a branch gives names new values, these live in memory, with the type of
what they had first. A function that is called becomes a function of the module; one with `inline` is written out
where it is called.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gcp.compiler import known
from gcp.compiler.code import Code, Module
from gcp.compiler.source import tree_of
from gcp.compiler.values import (
    BOOL,
    FLOAT64,
    INT,
    Array,
    Number,
    Pointer,
    TranslationError,
    Vector,
    flat,
    form,
    is_number,
    is_tuple,
    rebuilt,
    settled,
)

_OPERATORS: dict[type, str] = {
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


class Part:
    """A function that compiled functions call.

    Parameters
    ----------
    python : callable
    flags : str
        LLVM's liberties with floating-point arithmetic, in its text.
    inline : bool
        Write it out where it is called; so must be what makes arrays for its caller.
    """

    def __init__(self, python: Callable[..., Any], flags: str = "", inline: bool = False) -> None:
        self.python, self.flags, self.inline = python, flags, inline
        self.__name__, self.__qualname__ = python.__name__, python.__qualname__
        self.__module__, self.__doc__, self.__wrapped__ = python.__module__, python.__doc__, python

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Run it as Python."""
        return self.python(*arguments, **named)


class Instruction:
    """What translated functions may call that is written for LLVM by hand.

    `build(code, *values)` returns the value; as Python it is `python`.
    """

    def __init__(self, python: Callable[..., Any], build: Callable[..., Any]) -> None:
        self.python, self.build = python, build
        self.__module__, self.__name__, self.__doc__ = build.__module__, build.__name__, build.__doc__

    def __call__(self, *arguments: Any) -> Any:
        """Run it as Python."""
        return self.python(*arguments)


class _Slot(NamedTuple):
    """A name's place in memory."""

    value: Any
    places: list[str]


def translated(function: Part, values: tuple[Any, ...], name: str, is_internal: bool) -> tuple[str, Any]:
    """Return a module's text, in which `name` is the function of such values, and the form of its result.

    An internal function can be called in the module alone.
    """
    module = Module()
    code, result = _define(module, function, values, name, is_internal)
    return module.text, result


@lru_cache(maxsize=512)
def can_translate(function: Callable[..., Any], n_numbers: int) -> bool:
    """Return whether a function of so many floats, which gives one, can be compiled."""
    try:
        values = (Number(FLOAT64, ""),) * n_numbers
        return is_number(translated(Part(function), values, "f", is_internal=False)[1])
    except TranslationError:
        return False


def _define(
    module: Module, function: Part, values: tuple[Any, ...], name: str, is_internal: bool
) -> tuple[Code, Any]:
    """Add a function to a module; return its text's maker, and the form of its result."""
    code = Code(module)
    parameters = [(llvm, f"%a{k}") for k, (llvm, _) in enumerate(flat(values))]
    given = rebuilt(values, iter([text for _, text in parameters]))
    result = settled(_run(code, function.python, given, {}, function.flags))
    results = flat(result)
    if not results:
        kind, body = "void", code.body("void")
    else:
        kind, text = f"{{{', '.join(llvm for llvm, _ in results)}}}", "poison"
        for k, (llvm, part) in enumerate(results):
            text = code.get(f"insertvalue {kind} {text}, {llvm} {part}, {k}")
        body = code.body(f"{kind} {text}")
    linkage = "internal " if is_internal else ""
    listed = ", ".join(f"{llvm} {text}" for llvm, text in parameters)
    module.add(f"define {linkage}{kind} @{name}({listed}) nounwind {{\n{body}\n}}")
    return code, result


def _call_part(code: Code, part: Part, values: tuple[Any, ...]) -> Any:
    """Call a part as a function of the same module."""
    given = settled(values)
    key = (part, form(given))
    if key not in code.module.functions:
        name = f"{part.__name__.strip('_')}.{len(code.module.functions)}"
        code.module.functions[key] = name, None  # so that the next gets another name
        inner, result = _define(code.module, part, given, name, is_internal=True)
        if inner.makes_arrays and any(llvm == "ptr" for llvm, _ in flat(result)):
            raise TranslationError(f"{part.__name__} makes arrays, and perhaps returns them: it must be inline")
        code.module.functions[key] = name, result
    name, result = code.module.functions[key]
    kinds = flat(result)
    kind = f"{{{', '.join(llvm for llvm, _ in kinds)}}}" if kinds else "void"
    listed = ", ".join(f"{llvm} {text}" for llvm, text in flat(given))
    if not kinds:
        code.do(f"call void @{name}({listed})")
        return result
    found = code.get(f"call {kind} @{name}({listed})")
    return rebuilt(result, iter([code.get(f"extractvalue {kind} {found}, {k}") for k in range(len(kinds))]))


def call(code: Code, function: Any, values: Iterable[Any], named: dict[str, Any] | None = None) -> Any:
    """Return the result of whatever can be called in a translated function."""
    values, named = tuple(values), named or {}
    if isinstance(function, Instruction):
        return function.build(code, *values, **named)
    handler = known.handler(function)
    if handler is not None:
        return handler(code, *values, **named)
    if isinstance(function, Part):
        if not function.inline and not named:
            return _call_part(code, function, values)
        return _run(code, function.python, values, named, function.flags)
    function = getattr(function, "py_func", function)
    if isinstance(function, type) and hasattr(function, "_fields"):
        return function(*values, **named)
    if hasattr(function, "__code__"):
        return _run(code, function, values, named, code.flags)
    raise TranslationError(f"cannot compile a call of {function!r}")


known.call = call


def _run(code: Code, function: Any, values: tuple[Any, ...], named: dict[str, Any], flags: str) -> Any:
    """Write a function's text at this place; return its result."""
    before, code.flags = code.flags, flags
    try:
        return _Translator(code, function).run(values, named)
    finally:
        code.flags = before


class _Translator:
    """One function, written out once."""

    def __init__(self, code: Code, function: Any) -> None:
        self.code, self.function = code, function
        self.names: dict[str, Any] = {}
        self.depth = 0
        self.loops: list[tuple[str, str]] = []
        self.end = ""
        self.result: _Slot | None = None
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.around = {name: cell for name, cell in cells}

    def run(self, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the result for arguments."""
        tree = tree_of(self.function)
        names = [argument.arg for argument in tree.args.args]
        defaults = self.function.__defaults__ or ()
        self.names = dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
        if tree.args.vararg:
            self.names[tree.args.vararg.arg] = tuple(values[len(names) :])
            values = values[: len(names)]
        self.names |= dict(zip(names, values, strict=False)) | named
        if len(values) > len(names) or any(name not in self.names for name in names):
            raise TranslationError(f"{self.function.__qualname__} does not take {len(values)} arguments")
        if isinstance(tree, ast.Lambda):
            return self.value(tree.body)
        try:
            found = self.block(tree.body)
        except TranslationError as error:
            if hasattr(error, "line"):
                raise
            raise _at_line(error, self.function, getattr(self, "line", 0)) from error
        if self.result is None:
            return found
        if self.code.is_open:
            self.leave(found)
        self.code.label(self.end)
        return self.code.kept(self.result.places, self.result.value)

    def block(self, statements: list[ast.stmt]) -> Any:
        """Write statements; return what a `return` at the outermost level gives."""
        for statement in statements:
            self.line = statement.lineno
            if isinstance(statement, ast.Return):
                found = None if statement.value is None else self.value(statement.value)
                if self.depth:
                    self.leave(found)
                return found
            if not self.code.is_open:
                return None
            method = getattr(self, f"do_{type(statement).__name__.lower()}", None)
            if method is None:
                raise TranslationError(f"no {type(statement).__name__.lower()} statements")
            method(statement)
        return None

    def leave(self, value: Any) -> None:
        """Write a `return`."""
        value = settled(value)
        if self.result is None:
            self.end = self.code.new("end")
            self.result = _Slot(value, self.code.places(value))
        self.code.keep(self.result.places, self.fitted(value, self.result.value))
        self.code.go(self.end)

    def fitted(self, value: Any, like: Any) -> Any:
        """Return a settled value in the form of another."""
        if isinstance(like, Number) and is_number(value):
            if like.kind in ("int", "uint", "bool") and settled(value).kind.startswith("float"):
                raise TranslationError("a name that holds an integer is given a float; begin with a float")
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
        if isinstance(has, _Slot):
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
        slot = _Slot(value, self.code.places(value))
        self.code.keep(slot.places, value)
        self.names[name] = slot

    def settle(self, statements: list[ast.stmt]) -> None:
        """Let what statements change, and has a value already, live in memory."""
        for statement in statements:
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in self.names:
                    value = self.names[node.id]
                    if not isinstance(value, _Slot) and flat(settled(value)):
                        self.to_memory(node.id, value)

    def name(self, node: ast.Name) -> Any:
        if node.id in self.names:
            value = self.names[node.id]
            return self.code.kept(value.places, value.value) if isinstance(value, _Slot) else value
        if node.id in self.around:
            return self.around[node.id].cell_contents
        for scope in (self.function.__globals__, vars(builtins)):
            if node.id in scope:
                return scope[node.id]
        raise TranslationError(f"{node.id} is not known")

    # --- statements --------------------------------------------------------------------------------------------

    def do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def do_pass(self, node: ast.Pass) -> None:
        pass

    def do_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def do_augassign(self, node: ast.AugAssign) -> None:
        op = _OPERATORS[type(node.op)]
        if isinstance(node.target, ast.Subscript):  # the index counts once
            array, index = self.value(node.target.value), self.value(node.target.slice)
            address = self.place(array, index)
            new = self.code.arithmetic(op, self.code.load(array.element, address), self.value(node.value))
            self.code.store(array.element, address, new)
            return
        assert isinstance(node.target, ast.Name)
        self.bind(node.target.id, self.code.arithmetic(op, self.name(node.target), self.value(node.value)))

    def assign(self, target: ast.expr, value: Any) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, value)
        elif isinstance(target, ast.Tuple):
            if not is_tuple(value) or len(value) != len(target.elts):
                raise TranslationError(f"{len(target.elts)} values are to be unpacked from {form(value)}")
            for part, one in zip(target.elts, value, strict=True):
                self.assign(part, one)
        elif isinstance(target, ast.Subscript):
            array, index = self.value(target.value), self.value(target.slice)
            indices = index if is_tuple(index) else (index,)
            if isinstance(array, Pointer) or (
                len(indices) == len(array.sizes) and all(map(is_number, indices))
            ):
                self.code.store(array.element, self.place(array, index), value)
            else:
                self.code.fill(self.part(array, index), value)
        else:
            raise TranslationError("names, elements and tuples of these can be assigned")

    def do_if(self, node: ast.If) -> None:
        condition = self.value(node.test)
        if not isinstance(condition, Number):
            chosen = node.body if condition else node.orelse
            inner = self.block_inside(chosen)
            assert inner is None
            return
        self.settle([*node.body, *node.orelse])
        yes, no, after = self.code.new("yes"), self.code.new("no"), self.code.new("after")
        self.code.branch(self.code.truth(condition), yes, no if node.orelse else after)
        is_open = not node.orelse
        for label, statements in ((yes, node.body), (no, node.orelse)):
            if statements:
                self.code.label(label)
                self.inside(statements)
                if self.code.is_open:
                    is_open = True
                    self.code.go(after)
        self.code.is_open = False
        if is_open:
            self.code.label(after)

    def block_inside(self, statements: list[ast.stmt]) -> Any:
        """Write the statements of a branch that is known to be taken."""
        returns = any(isinstance(n, ast.Return) for s in statements for n in ast.walk(s))
        if returns:
            self.depth += 1
        found = self.block(statements)
        if returns:
            self.depth -= 1
            found = None
        return found

    def inside(self, statements: list[ast.stmt]) -> None:
        self.depth += 1
        self.block(statements)
        self.depth -= 1

    def do_while(self, node: ast.While) -> None:
        self.settle(node.body)
        head, inner, after = self.code.new("head"), self.code.new("body"), self.code.new("after")
        self.code.label(head)
        self.depth += 1
        condition = self.code.truth(self.value(node.test))
        self.depth -= 1
        self.code.branch(condition, inner, after)
        self.code.label(inner)
        self.loop(node.body, head, after)
        if self.code.is_open:
            self.code.go(head)
        self.code.label(after)

    def loop(self, statements: list[ast.stmt], next_one: str, after: str) -> None:
        self.loops.append((next_one, after))
        self.inside(statements)
        self.loops.pop()

    def do_continue(self, node: ast.Continue) -> None:
        self.code.go(self.loops[-1][0])

    def do_break(self, node: ast.Break) -> None:
        self.code.go(self.loops[-1][1])

    def do_for(self, node: ast.For) -> None:
        called = node.iter
        if not (isinstance(called, ast.Call) and self.value(called.func) is range):
            for one in self.known_elements(self.value(node.iter)):
                self.assign(node.target, one)
                self.block(node.body)
            return
        limits = [self.value(argument) for argument in called.args]
        first, last, step = ((0, *limits, 1) if len(limits) == 1 else (*limits, 1))[:3]
        self.settle([node])
        code, place = self.code, self.code.room("i64")
        head, inner, following, after = (code.new(k) for k in ("head", "body", "next", "after"))
        code.do(f"store i64 {code.integer(first)}, ptr {place}")
        end, by = code.integer(last), code.integer(step)
        code.label(head)
        k = Number(INT, code.get(f"load i64, ptr {place}"))
        compare = "sgt" if isinstance(step, int) and step < 0 else "slt"
        code.branch(Number(BOOL, code.get(f"icmp {compare} i64 {k.text}, {end}")), inner, after)
        code.label(inner)
        self.depth += 1
        self.assign(node.target, k)
        self.depth -= 1
        self.loop(node.body, following, after)
        code.label(following)
        code.do(f"store i64 {code.get(f'add nsw i64 {k.text}, {by}')}, ptr {place}")
        code.go(head)
        code.label(after)

    @staticmethod
    def known_elements(values: Any) -> Iterable[Any]:
        if isinstance(values, enumerate | zip) or is_tuple(values):
            return values
        raise TranslationError("a loop goes over a range, or over a tuple, and is then written out")

    # --- expressions -------------------------------------------------------------------------------------------

    def value(self, node: ast.expr) -> Any:
        """Return the value of an expression."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.name(node)
        method = getattr(self, f"get_{type(node).__name__.lower()}", None)
        if method is None:
            raise TranslationError(f"no {type(node).__name__} expressions")
        return method(node)

    def get_tuple(self, node: ast.Tuple) -> Any:
        return tuple(self.starred(node.elts))

    def starred(self, nodes: list[ast.expr]) -> list[Any]:
        values: list[Any] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                values += self.value(node.value)
            else:
                values.append(self.value(node))
        return values

    def get_slice(self, node: ast.Slice) -> Any:
        if node.step is not None:
            raise TranslationError("slices have no steps")
        return slice(*(None if part is None else self.value(part) for part in (node.lower, node.upper)))

    def get_binop(self, node: ast.BinOp) -> Any:
        a, b = self.value(node.left), self.value(node.right)
        return self.code.arithmetic(_OPERATORS[type(node.op)], a, b)

    def get_unaryop(self, node: ast.UnaryOp) -> Any:
        value = self.value(node.operand)
        if isinstance(node.op, ast.USub):
            return self.code.negative(value)
        if isinstance(node.op, ast.Not):
            if not isinstance(value, Number):
                return not value
            return Number(BOOL, self.code.get(f"xor i1 {self.code.truth(value).text}, true"))
        raise TranslationError("no such sign")

    def get_compare(self, node: ast.Compare) -> Any:
        left, found = self.value(node.left), None
        for op, right_node in zip(node.ops, node.comparators, strict=True):
            right = self.value(right_node)
            if isinstance(op, ast.Is | ast.IsNot):
                one: Any = (left is right) == isinstance(op, ast.Is)
            else:
                one = self.code.compare(_OPERATORS[type(op)], left, right)
            found = one if found is None else self.code.arithmetic("&", found, one)
            left = right
        return found

    def get_boolop(self, node: ast.BoolOp) -> Any:
        is_and = isinstance(node.op, ast.And)
        found = self.value(node.values[0])
        for right in node.values[1:]:
            if not isinstance(found, Number):  # known: one side alone counts
                if bool(found) != is_and:
                    return found
                found = self.value(right)
            elif _is_harmless(right):
                other = self.code.truth(self.value(right))
                found = self.code.arithmetic("&" if is_and else "|", self.code.truth(found), other)
            else:
                found = self.short(found, right, is_and)
        return found

    def short(self, found: Number, right: ast.expr, is_and: bool) -> Number:
        """Return `found and right`, or `or`, where the right side may only be looked at if it counts."""
        code, place = self.code, self.code.room("i1")
        more, after = code.new("more"), code.new("after")
        found = code.truth(found)
        code.do(f"store i1 {found.text}, ptr {place}")
        code.branch(found, *((more, after) if is_and else (after, more)))
        code.label(more)
        code.do(f"store i1 {code.truth(self.value(right)).text}, ptr {place}")
        code.go(after)
        code.label(after)
        return Number(BOOL, code.get(f"load i1, ptr {place}"))

    def get_ifexp(self, node: ast.IfExp) -> Any:
        condition = self.value(node.test)
        if not isinstance(condition, Number):
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
        slot = _Slot(a, code.places(a))
        code.keep(slot.places, a)
        code.go(after)
        code.label(no)
        code.keep(slot.places, self.fitted(settled(self.value(node.orelse)), a))
        code.go(after)
        code.label(after)
        return code.kept(slot.places, a)

    def get_attribute(self, node: ast.Attribute) -> Any:
        owner = self.value(node.value)
        if isinstance(owner, Array | Vector | Pointer):
            return known.attribute(self.code, owner, node.attr)
        if isinstance(owner, Number):
            raise TranslationError(f"numbers have no {node.attr}")
        return getattr(owner, node.attr)

    def get_subscript(self, node: ast.Subscript) -> Any:
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
        if not is_number(index):
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
                raise TranslationError("an array is cut along its first mode, or along the first that is left")
            low = 0 if cut.start is None else self.counted(cut.start, sizes[0])
            high = sizes[0] if cut.stop is None else self.counted(cut.stop, sizes[0])
            rest = 1
            for size in sizes[1:]:
                rest = self.code.arithmetic("*", rest, size)
            at = self.code.arithmetic("+", at, self.code.arithmetic("*", low, rest))
            sizes[0] = high if isinstance(low, int) and low == 0 else self.code.arithmetic("-", high, low)
        return Array(array.element, self.code.at(array.element, self.code.data(array), at), tuple(sizes))

    def get_call(self, node: ast.Call) -> Any:
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
        return call(self.code, function, values, named)


def _is_harmless(node: ast.expr) -> bool:
    """Return whether an expression can be computed though it does not count: it reads no memory, and calls nothing."""
    return not any(isinstance(n, ast.Subscript | ast.Call | ast.Div | ast.FloorDiv | ast.Mod) for n in ast.walk(node))


def _at_line(error: TranslationError, function: Any, line: int) -> TranslationError:
    found = TranslationError(f"{function.__module__}.{function.__qualname__}, line {line}: {error}")
    found.line = line  # type: ignore[attr-defined]
    return found

