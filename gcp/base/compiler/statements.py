"""Statements, one after the other."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import numpy as np

from gcp.base.compiler.expressions import OPERATORS, Expressions, Slot
from gcp.base.compiler.source import tree_of
from gcp.base.compiler.values import (
    BOOL,
    INT,
    Number,
    Pointer,
    TranslationError,
    form,
    is_number,
    is_tuple,
    settled,
)


class Statements(Expressions):
    """The text of one function, written out once."""

    def run(self, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Return the result for arguments."""
        tree = tree_of(self.function)
        if tree.args.kwonlyargs or tree.args.kwarg or tree.args.posonlyargs:
            raise TranslationError("arguments have places and names")
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
            if not self.code.is_open:
                return None
            if isinstance(statement, ast.Return):
                found = None if statement.value is None else self.value(statement.value)
                if self.depth:
                    self.leave(found)
                return found
            method = getattr(self, f"_do_{type(statement).__name__.lower()}", None)
            if method is None:
                raise TranslationError(f"no {type(statement).__name__.lower()} statements")
            method(statement)
        return None

    def leave(self, value: Any) -> None:
        """Write a `return`."""
        value = settled(value)
        if self.result is None:
            self.end = self.code.new("end")
            self.result = Slot(value, self.code.places(value))
        self.code.keep(self.result.places, self.fitted(value, self.result.value))
        self.code.go(self.end)

    # --- statements --------------------------------------------------------------------------------------------

    def _do_expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):
            self.value(node.value)

    def _do_pass(self, node: ast.Pass) -> None:
        pass

    def _do_assign(self, node: ast.Assign) -> None:
        value = self.value(node.value)
        for target in node.targets:
            self.assign(target, value)

    def _do_augassign(self, node: ast.AugAssign) -> None:
        op = OPERATORS[type(node.op)]
        if isinstance(node.target, ast.Subscript):  # the index counts once
            array, index = self.value(node.target.value), self.value(node.target.slice)
            address = self.place(array, index)
            new = self.code.arithmetic(op, self.code.load(array.element, address), self.value(node.value))
            self.code.store(array.element, address, new)
            return
        assert isinstance(node.target, ast.Name)
        self.bind(node.target.id, self.code.arithmetic(op, self.name(node.target), self.value(node.value)))

    def assign(self, target: ast.expr, value: Any) -> None:
        """Give a value to a name, an element, a part of an array, or a tuple of these."""
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

    def _do_if(self, node: ast.If) -> None:
        condition = self.test(node.test)
        if not isinstance(condition, Number):
            chosen = node.body if condition else node.orelse
            self.taken(chosen)
            return
        self.settle([*node.body, *node.orelse])
        yes, no, after = self.code.new("yes"), self.code.new("no"), self.code.new("after")
        self.code.branch(condition, yes, no if node.orelse else after)
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

    def taken(self, statements: list[ast.stmt]) -> None:
        """Write the statements of a branch that is known to be taken."""
        if any(isinstance(node, ast.Return) for statement in statements for node in ast.walk(statement)):
            self.inside(statements)  # what follows is written, too, and not reached
        else:
            self.block(statements)

    def inside(self, statements: list[ast.stmt]) -> None:
        """Write the statements of a loop or a branch."""
        self.depth += 1
        self.block(statements)
        self.depth -= 1

    def _do_while(self, node: ast.While) -> None:
        if node.orelse:
            raise TranslationError("no else after a loop")
        self.settle(node.body)
        head, inner, after = self.code.new("head"), self.code.new("body"), self.code.new("after")
        self.code.label(head)
        self.depth += 1
        condition = self.code.truth(self.test(node.test))
        self.depth -= 1
        self.code.branch(condition, inner, after)
        self.code.label(inner)
        self.loop(node.body, head, after)
        if self.code.is_open:
            self.code.go(head)
        self.code.label(after)

    def loop(self, statements: list[ast.stmt], next_one: str, after: str) -> None:
        """Write the statements of a loop, which know where `continue` and `break` go."""
        self.loops.append((next_one, after))
        self.inside(statements)
        self.loops.pop()

    def _do_continue(self, node: ast.Continue) -> None:
        self.code.go(self.loops[-1][0])

    def _do_break(self, node: ast.Break) -> None:
        self.code.go(self.loops[-1][1])

    def _do_for(self, node: ast.For) -> None:
        if node.orelse:
            raise TranslationError("no else after a loop")
        called = node.iter
        if not (isinstance(called, ast.Call) and self.value(called.func) is range):
            jumps = ast.Break | ast.Continue | ast.Return
            if any(isinstance(inner, jumps) for statement in node.body for inner in ast.walk(statement)):
                raise TranslationError("a loop that is written out has no break, continue or return")
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
        is_downward = isinstance(step, int | np.integer) and step < 0  # a step that is not known is positive
        compare = "sgt" if is_downward else "slt"
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
        """Return what a loop that is written out goes over."""
        if isinstance(values, enumerate | zip) or is_tuple(values):
            return values
        raise TranslationError("a loop goes over a range, or over a tuple, and is then written out")


def _at_line(error: TranslationError, function: Any, line: int) -> TranslationError:
    found = TranslationError(f"{function.__module__}.{function.__qualname__}, line {line}: {error}")
    found.line = line  # type: ignore[attr-defined]
    return found
