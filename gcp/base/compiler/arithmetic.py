"""Arithmetic as NumPy does it, and Python with its integers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from gcp.base.compiler.values import (
    BOOL,
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT,
    LLVM,
    UINT,
    Either,
    Number,
    TranslationError,
    Vector,
    constant,
    flat,
    form,
    is_number,
    rebuilt,
    settled,
)
from gcp.base.compiler.writer import Writer

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


class Arithmetic(Writer):
    """A function that is being written, and what is done with its numbers."""

    def integer(self, value: Any) -> str:
        """Return what LLVM calls an integer."""
        return self.number(value, INT)

    def number(self, value: Any, kind: str) -> str:
        """Return what LLVM calls a number as one of some kind."""
        return self.converted(value, kind).text

    def converted(self, value: Any, kind: str) -> Number:
        """Return a number as one of some kind."""
        if isinstance(value, Either):
            value = Number(FLOAT32, value.single) if kind == FLOAT32 else settled(value)
        if not isinstance(value, Number):
            if is_number(value):
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
        change = "zext i1" if has == BOOL else f"{'fptoui' if kind == UINT else 'fptosi'} {LLVM[has]}"
        return Number(kind, self.get(f"{change} {text} to i64"))

    def truth(self, value: Any) -> Number:
        """Return whether a number is not 0."""
        value = settled(value) if isinstance(value, Either) else value
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
        if any(isinstance(v, float | Either) for v in loose):
            return FLOAT64
        if UINT in kinds:
            return UINT if kinds == {UINT} else INT
        return BOOL if kinds == {BOOL} and all(isinstance(v, bool) for v in loose) else INT

    def arithmetic(self, op: str, a: Any, b: Any) -> Any:
        """Return the result of an operator between two numbers."""
        if isinstance(a, Vector) or isinstance(b, Vector):
            raise TranslationError("vectors have functions of their own")
        if not isinstance(a, Number) and not isinstance(b, Number):
            if not isinstance(a, Either) and not isinstance(b, Either):
                return _folded(op, a, b)
            a, b = settled(a), settled(b)
        kind = self.common(a, b)
        if op == "/" and kind not in FLOATS:
            kind = FLOAT64
        if op == "**":
            return self._power(a, b, kind)
        if kind == BOOL and op not in ("&", "|", "^"):
            kind = INT
        if op in ("//", "%", ">>") and UINT in _kinds(a, b) and kind == INT:
            if op != ">>":
                raise TranslationError("numbers without a sign are not divided by others")
            kind = settled(a).kind
        x, y, llvm = self.number(a, kind), self.number(b, kind), LLVM[kind]
        if kind in FLOATS and op in _FLOAT:
            return Number(kind, self.get(f"{_FLOAT[op]} {self.flags}{llvm} {x}, {y}"))
        if kind not in FLOATS and op in _INTEGER:
            no_overflow = "nsw " if kind == INT and op in "+-*" else ""
            return Number(kind, self.get(f"{_INTEGER[op]} {no_overflow}{llvm} {x}, {y}"))
        if kind not in FLOATS and op == ">>":
            return Number(kind, self.get(f"{'ashr' if kind == INT else 'lshr'} {llvm} {x}, {y}"))
        if kind in (INT, UINT) and op in ("//", "%"):
            if isinstance(b, Number):  # by 0 gives 0, as in NumPy, and not the end of the process
                zero = self.get(f"icmp eq i64 {y}, 0")
                found = self._divided(op, kind, x, self.get(f"select i1 {zero}, i64 1, i64 {y}"))
                return Number(kind, self.get(f"select i1 {zero}, i64 0, i64 {found.text}"))
            return self._divided(op, kind, x, y)
        raise TranslationError(f"no {op} for numbers of kind {kind}")

    def _divided(self, op: str, kind: str, x: str, y: str) -> Number:
        if kind == UINT:
            return Number(kind, self.get(f"{'udiv' if op == '//' else 'urem'} i64 {x}, {y}"))
        rest = self.get(f"srem i64 {x}, {y}")
        is_off = self.get(f"icmp slt i64 {self.get(f'xor i64 {rest}, {y}')}, 0")
        is_off = self.get(f"and i1 {is_off}, {self.get(f'icmp ne i64 {rest}, 0')}")
        if op == "%":
            return Number(
                kind, self.get(f"add i64 {rest}, {self.get(f'select i1 {is_off}, i64 {y}, i64 0')}")
            )
        return Number(
            kind,
            self.get(f"sub i64 {self.get(f'sdiv i64 {x}, {y}')}, {self.get(f'zext i1 {is_off} to i64')}"),
        )

    def _power(self, a: Any, b: Any, kind: str) -> Any:
        if isinstance(b, int):
            found = self._whole_power(a, abs(b))
            return found if b >= 0 else self.arithmetic("/", 1.0, found)
        if kind not in FLOATS:
            raise TranslationError("an integer's power must be known")
        return self.intrinsic("pow", kind, a, b)

    def _whole_power(self, a: Any, n: int) -> Any:
        """Return a**n by squares."""
        found = None
        while n:
            if n & 1:
                found = a if found is None else self.arithmetic("*", found, a)
            n >>= 1
            a = self.arithmetic("*", a, a) if n else a
        return (1.0 if _kinds(a) & set(FLOATS) else 1) if found is None else found

    def compare(self, op: str, a: Any, b: Any) -> Any:
        """Return whether a comparison holds."""
        if not isinstance(a, Number) and not isinstance(b, Number):
            if not isinstance(a, Either) and not isinstance(b, Either):
                return _folded(op, a, b)
            a, b = settled(a), settled(b)
        kind, name = self.common(a, b), _COMPARE[op]
        if UINT in _kinds(a, b) and (kind == INT or any(not isinstance(v, Number) and v < 0 for v in (a, b))):
            raise TranslationError("numbers without a sign are not compared with others")
        if kind in FLOATS:
            how = f"fcmp {'u' if name == 'ne' else 'o'}{name}"
        else:
            how = f"icmp {name if name in ('eq', 'ne') else ('s' if kind == INT else 'u') + name}"
        text = self.get(f"{how} {LLVM[kind]} {self.number(a, kind)}, {self.number(b, kind)}")
        return Number(BOOL, text)

    def negative(self, a: Any) -> Any:
        """Return -a."""
        a = settled(a) if isinstance(a, Either) else a
        if not isinstance(a, Number):
            return -a
        if a.kind in FLOATS:
            return Number(a.kind, self.get(f"fneg {self.flags}{LLVM[a.kind]} {a.text}"))
        return self.arithmetic("-", 0, a)

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        """Return one of two values of the same form."""
        if not isinstance(condition, Number):
            return a if condition else b
        if all(isinstance(v, int | float) and _fits_single(v) for v in (a, b)) and float in (
            type(a),
            type(b),
        ):
            return self._either(self.truth(condition).text, a, b)
        if is_number(a) and is_number(b):
            kind = self.common(a, b)
            a, b = self.converted(a, kind), self.converted(b, kind)
        a, b, which = settled(a), settled(b), self.truth(condition).text
        if form(a) != form(b):
            raise TranslationError(f"a choice between {form(a)} and {form(b)}")
        pairs = zip(flat(a), flat(b), strict=True)
        chosen = [self.get(f"select i1 {which}, {llvm} {x}, {llvm} {y}") for (llvm, x), (_, y) in pairs]
        return rebuilt(a, iter(chosen))

    def _either(self, which: str, a: float, b: float) -> Either:
        texts = []
        for kind in (FLOAT64, FLOAT32):
            x, y = (f"{LLVM[kind]} {constant(value, kind)}" for value in (a, b))
            texts.append(self.get(f"select i1 {which}, {x}, {y}"))
        return Either(*texts)

    def intrinsic(self, name: str, kind: str, *values: Any) -> Number:
        """Return an LLVM function of numbers of one kind."""
        llvm, suffix = LLVM[kind], "f32" if kind == FLOAT32 else "f64"
        function = f"@llvm.{name}.{suffix}"
        self.module.declare(f"{llvm} {function}({', '.join([llvm] * len(values))})")
        given = ", ".join(f"{llvm} {self.number(value, kind)}" for value in values)
        return Number(kind, self.get(f"call {self.flags}{llvm} {function}({given})"))


def _folded(op: str, a: Any, b: Any) -> Any:
    """Return what an operator makes of what is known now."""
    if (flat(settled(a)) and not is_number(a)) or (flat(settled(b)) and not is_number(b)):
        raise TranslationError("arrays and tuples of computed numbers are not computed with as a whole")
    return _FOLD[op](a, b)


def _kinds(*values: Any) -> set[str]:
    return {value.kind for value in map(settled, values) if isinstance(value, Number)}


def _fits_single(value: Any) -> bool:
    if not isinstance(value, float) or value == 0 or not np.isfinite(value):
        return True
    single = np.finfo(np.float32)
    return bool(single.tiny <= abs(value) <= single.max)
