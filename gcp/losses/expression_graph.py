"""Graphs of a user's formula: what arithmetic, comparisons and functions of NumPy and SciPy make of symbols."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gcp.losses import elementary

Function = Callable[..., Any]

BINARY = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
COMPARE = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "logical_and": "and",
    "logical_or": "or",
}
CALLS: dict[str, Function] = {
    "exp": elementary.exp,
    "expm1": elementary.expm1,
    "log": elementary.log,
    "log1p": elementary.log1p,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "arctan": np.arctan,
    "absolute": abs,
    "maximum": elementary.maximum,
    "minimum": elementary.minimum,
    "sigmoid": elementary.sigmoid,
    "softplus": elementary.softplus,
    "erf": elementary.erf,
    "gammaln": elementary.gammaln,
    "psi": elementary.digamma,
    "trigamma": elementary.trigamma,
}
"""Operations that are written as calls, by the name that NumPy and SciPy have for them, if any."""

_OF_CONDITIONS = {"add": "logical_or", "multiply": "logical_and"}
"""What sums and products of conditions are."""

_REWRITTEN: dict[str, Function] = {
    "negative": lambda a: make("subtract", 0.0, a),
    "positive": lambda a: a,
    "fabs": lambda a: make("absolute", a),
    "square": lambda a: make("multiply", a, a),
    "reciprocal": lambda a: make("divide", 1.0, a),
    "float_power": lambda a, p: make("power", a, p),
    "log2": lambda a: make("multiply", 1.0 / math.log(2.0), make("log", a)),
    "log10": lambda a: make("multiply", 1.0 / math.log(10.0), make("log", a)),
    "logaddexp": lambda a, b: _logaddexp(a, b),
    "bitwise_and": lambda a, b: make("logical_and", a, b),
    "bitwise_or": lambda a, b: make("logical_or", a, b),
    "expit": lambda a: make("sigmoid", a),
    "xlogy": lambda a, b: _xlogy(a, b),
}
"""Functions that are made of others."""

KNOWN = (
    "exp, expm1, log, log1p, log2, log10, logaddexp, sqrt, square, power, float_power, reciprocal, sin, cos, sinh, "
    "cosh, tanh, arctan, abs, maximum, minimum, clip and where of NumPy, expit, erf, gammaln, psi and xlogy of "
    "scipy.special"
)
"""The functions that a formula may call, in words."""


class UntraceableError(Exception):
    """The formula does something that symbols cannot follow."""


class Node:
    """An operation of an expression graph."""

    __slots__ = ("args", "op")
    __array_priority__ = 1000

    def __init__(self, op: str, args: tuple[Any, ...]) -> None:
        self.op = op
        self.args = args

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy functions build nodes."""
        if method != "__call__" or kwargs:
            raise UntraceableError(f"numpy.{ufunc.__name__} with {method} or keyword arguments")
        return apply(ufunc.__name__, inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """numpy.where and numpy.clip."""
        if func is np.where and len(args) == 3:
            return make("where", *args)
        if func is np.clip:
            names = {"a_min": "min", "a_max": "max"}
            return _clip(*args, **{names.get(name, name): value for name, value in kwargs.items()})
        raise UntraceableError(f"numpy.{func.__name__}")

    def clip(self, min: Any = None, max: Any = None) -> Any:
        """Return the nearest number in an interval; None is no end."""
        return _clip(self, min, max)

    def __bool__(self) -> bool:
        raise UntraceableError("a Python `if`, `and` or `max` on x or m; use numpy.where, numpy.maximum")

    def __float__(self) -> float:
        raise UntraceableError("a function of the math module; use numpy's")

    def __eq__(self, other: object) -> Any:
        return apply("equal", (self, other))

    def __ne__(self, other: object) -> Any:
        return apply("not_equal", (self, other))

    __hash__ = object.__hash__

    def __pow__(self, other: Any) -> Any:
        return apply("power", (self, other))

    def __rpow__(self, other: Any) -> Any:
        return apply("power", (other, self))

    def __neg__(self) -> Any:
        return apply("negative", (self,))

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Any:
        return apply("absolute", (self,))


def _operator(name: str, reflected: bool = False) -> Function:
    if reflected:
        return lambda self, other: apply(name, (other, self))
    return lambda self, other: apply(name, (self, other))


for _dunder, _name in {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide"}.items():
    setattr(Node, f"__{_dunder}__", _operator(_name))
    setattr(Node, f"__r{_dunder}__", _operator(_name, reflected=True))
for _dunder, _name in {
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "and": "logical_and",
    "or": "logical_or",
}.items():
    setattr(Node, f"__{_dunder}__", _operator(_name))


def apply(name: str, inputs: Sequence[Any]) -> Any:
    """Return a node for a NumPy function, in terms of the few operations that are differentiated."""
    if name in BINARY or name in COMPARE or name in CALLS:
        return make(name, *inputs)
    if name in _REWRITTEN:
        return _REWRITTEN[name](*inputs)
    raise UntraceableError(f"the function {name!r}")


def _xlogy(a: Any, b: Any) -> Any:
    zero = make("equal", a, 0.0)
    return make("where", zero, 0.0, make("multiply", a, make("log", make("where", zero, 1.0, b))))


def _logaddexp(a: Any, b: Any) -> Any:
    a, b = (a, b) if isinstance(a, Node) else (b, a)  # log(e**m + 1) is softplus(m), to its last digit
    return make("add", b, make("softplus", make("subtract", a, b)))


def _clip(a: Any, min: Any = None, max: Any = None) -> Any:
    a = a if min is None else make("maximum", a, min)
    return a if max is None else make("minimum", a, max)


def make(op: str, *args: Any) -> Any:
    """Return a node, or a number where all arguments are numbers, with the trivial identities of 0 and 1 applied."""
    args = tuple(constant(a) for a in args)
    if op in _OF_CONDITIONS and all(map(_is_condition, args)):  # as NumPy has it
        op = _OF_CONDITIONS[op]
    elif op in ("logical_and", "logical_or"):
        args = tuple(a if _is_condition(a) else make("not_equal", a, 0.0) for a in args)
    a, b = args[0], args[-1]
    if op == "where" and args[1] is args[2]:
        return b
    if not any(isinstance(arg, Node) for arg in args):
        return _fold(op, args)
    return _identity(op, a, b) if op in BINARY else Node(op, args)


def _is_condition(value: Any) -> bool:
    """Return whether this is true or false."""
    return value.op in COMPARE if isinstance(value, Node) else isinstance(value, bool | np.bool_)


def _identity(op: str, a: Any, b: Any) -> Any:
    """Return a binary operation, simplified where one side is 0 or 1."""
    if op == "add" and (is_number(a, 0.0) or is_number(b, 0.0)):
        return b if is_number(a, 0.0) else a
    if op == "subtract" and is_number(b, 0.0):
        return a
    if op == "multiply" and (is_number(a, 0.0) or is_number(b, 0.0)):
        return 0.0
    if op == "multiply" and (is_number(a, 1.0) or is_number(b, 1.0)):
        return b if is_number(a, 1.0) else a
    if op == "divide" and (is_number(a, 0.0) or is_number(b, 1.0)):
        return a
    if op == "power" and is_number(b, 1.0):
        return a
    if op == "power" and is_number(b, 0.0):
        return 1.0
    return Node(op, (a, b))


def is_number(value: Any, number: float) -> bool:
    """Return whether a value is no node, but this number."""
    return not isinstance(value, Node) and value == number


def constant(value: Any) -> Any:
    """Return a node as it is, a number as a float."""
    if isinstance(value, Node | bool | np.bool_):
        return value
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "buif":
        raise UntraceableError(f"a constant that is no real number: {value!r}")
    return float(array)


def _fold(op: str, args: tuple[Any, ...]) -> Any:
    if op == "where":
        return args[1] if args[0] else args[2]
    with np.errstate(all="ignore"):
        value = (CALLS.get(op) or getattr(np, op))(*args)
    return bool(value) if op in COMPARE else float(value)
