"""Exact derivatives of a user's formula, by running it once on symbols.

The formula is called with `Node`s in place of arrays. Arithmetic, comparisons and NumPy functions build an
expression graph (equal subexpressions once); the graph is differentiated by the chain rule and written out as
plain Python functions on `gcp.losses.elementary`, which run on arrays and compile like those of the built-in losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gcp.losses import elementary

Function = Callable[..., Any]

_BINARY = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**"}
_COMPARE = {
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "logical_and": "and",
    "logical_or": "or",
}
_CALLS = (
    *("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "arctan", "absolute"),
    *("sigmoid", "softplus", "maximum", "minimum"),
)
_NAMESPACE = {
    "exp": elementary.exp,
    "expm1": elementary.expm1,
    "log": elementary.log,
    "log1p": elementary.log1p,
    "where": elementary.where,
    "both": elementary.both,
    "either": elementary.either,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tanh": np.tanh,
    "arctan": np.arctan,
    "absolute": abs,
    "sigmoid": elementary.sigmoid,
    "softplus": elementary.softplus,
    "maximum": elementary.maximum,
    "minimum": elementary.minimum,
}


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
        return _apply(ufunc.__name__, inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """numpy.where and numpy.clip."""
        if func is np.where and len(args) == 3:
            return _make("where", *args)
        if func is np.clip and len(args) == 3:
            return _apply("minimum", (_apply("maximum", args[:2]), args[2]))
        raise UntraceableError(f"numpy.{func.__name__}")

    def __bool__(self) -> bool:
        raise UntraceableError("a Python `if`, `and` or `max` on x or m; use numpy.where, numpy.maximum")

    def __float__(self) -> float:
        raise UntraceableError("a function of the math module; use numpy's")

    def __eq__(self, other: object) -> Any:
        return _apply("equal", (self, other))

    def __ne__(self, other: object) -> Any:
        return _apply("not_equal", (self, other))

    __hash__ = object.__hash__

    def __pow__(self, other: Any) -> Any:
        return _apply("power", (self, other))

    def __rpow__(self, other: Any) -> Any:
        return _apply("power", (other, self))

    def __neg__(self) -> Any:
        return _apply("negative", (self,))

    def __pos__(self) -> Node:
        return self

    def __abs__(self) -> Any:
        return _apply("absolute", (self,))


def _operator(name: str, reflected: bool = False) -> Function:
    if reflected:
        return lambda self, other: _apply(name, (other, self))
    return lambda self, other: _apply(name, (self, other))


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


def _apply(name: str, inputs: Sequence[Any]) -> Any:
    """Return a node for a NumPy function, in terms of the few operations that are differentiated."""
    a = inputs[0]
    if name in _BINARY or name in _COMPARE or name in _CALLS:
        return _make(name, *inputs)
    if name == "negative":
        return _make("subtract", 0.0, a)
    if name == "positive":
        return a
    if name == "square":
        return _make("multiply", a, a)
    if name == "reciprocal":
        return _make("divide", 1.0, a)
    if name == "float_power":
        return _make("power", *inputs)
    if name in ("bitwise_and", "bitwise_or"):
        return _make("logical" + name.removeprefix("bitwise"), *inputs)
    if name == "logaddexp":
        return inputs[1] + _make("softplus", _make("subtract", a, inputs[1]))
    if name == "expit":
        return _make("sigmoid", a)
    if name == "xlogy":
        zero = _make("equal", a, 0.0)
        return _make("where", zero, 0.0, a * _make("log", _make("where", zero, 1.0, inputs[1])))
    raise UntraceableError(f"numpy or scipy function {name!r}")


def _make(op: str, *args: Any) -> Any:
    """Return a node, or a number where all arguments are numbers, with the trivial identities of 0 and 1 applied."""
    args = tuple(_constant(a) for a in args)
    a, b = args[0], args[-1]
    if op == "where" and args[1] is args[2]:
        return b
    if not any(isinstance(arg, Node) for arg in args):
        return _fold(op, args)
    return _identity(op, a, b) if op in _BINARY else Node(op, args)


def _identity(op: str, a: Any, b: Any) -> Any:
    """Return a binary operation, simplified where one side is 0 or 1."""
    if op == "add" and (_is(a, 0.0) or _is(b, 0.0)):
        return b if _is(a, 0.0) else a
    if op == "subtract" and _is(b, 0.0):
        return a
    if op == "multiply" and (_is(a, 0.0) or _is(b, 0.0)):
        return 0.0
    if op == "multiply" and (_is(a, 1.0) or _is(b, 1.0)):
        return b if _is(a, 1.0) else a
    if op == "divide" and (_is(a, 0.0) or _is(b, 1.0)):
        return a
    if op == "power" and _is(b, 1.0):
        return a
    if op == "power" and _is(b, 0.0):
        return 1.0
    return Node(op, (a, b))


def _is(value: Any, number: float) -> bool:
    return not isinstance(value, Node) and value == number


def _constant(value: Any) -> Any:
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
        value = getattr(np, op)(*args)
    return bool(value) if op in _COMPARE else float(value)


def _derivative(node: Any, wrt: Node, memo: dict[int, Any]) -> Any:
    """Return d node / d wrt by the chain rule."""
    if not isinstance(node, Node):
        return 0.0
    if id(node) not in memo:
        memo[id(node)] = _differentiate(node, wrt, memo)
    return memo[id(node)]


def _differentiate(node: Node, wrt: Node, memo: dict[int, Any]) -> Any:
    if node.op == "variable":
        return 1.0 if node is wrt else 0.0
    if node.op in _COMPARE:
        return 0.0
    args = node.args
    d = [_derivative(arg, wrt, memo) for arg in args]
    if all(_is(v, 0.0) for v in d):
        return 0.0
    a, b = args[0], args[-1]
    match node.op:
        case "add" | "subtract":
            return _make(node.op, *d)
        case "multiply":
            return _make("add", _make("multiply", d[0], b), _make("multiply", a, d[1]))
        case "divide":
            return _make("divide", _make("subtract", d[0], _make("multiply", node, d[1])), b)
        case "power":
            return _power_derivative(node, d)
        case "where":
            return _make("where", a, d[1], d[2])
        case "maximum" | "minimum":
            # Where both sides are equal the mean of the two slopes: right for smooth functions written by cases.
            first = "greater" if node.op == "maximum" else "less"
            tie = _make("multiply", 0.5, _make("add", d[0], d[1]))
            other = _make("where", _make("equal", a, b), tie, d[1])
            return _make("where", _make(first, a, b), d[0], other)
    return _make("multiply", _outer_derivative(node), d[0])


def _power_derivative(node: Node, d: list[Any]) -> Any:
    a, p = node.args
    base = _make("multiply", _make("multiply", p, _make("power", a, _make("subtract", p, 1.0))), d[0])
    if _is(d[1], 0.0):
        return base
    return _make("add", base, _make("multiply", _make("multiply", node, _make("log", a)), d[1]))


def _outer_derivative(node: Node) -> Any:
    a = node.args[0]
    match node.op:
        case "exp":
            return node
        case "expm1":
            return _make("exp", a)
        case "log":
            return _make("divide", 1.0, a)
        case "log1p":
            return _make("divide", 1.0, _make("add", 1.0, a))
        case "sqrt":
            return _make("divide", 0.5, node)
        case "sin":
            return _make("cos", a)
        case "cos":
            return _make("subtract", 0.0, _make("sin", a))
        case "tanh":
            return _make("subtract", 1.0, _make("multiply", node, node))
        case "softplus":
            return _make("sigmoid", a)
        case "sigmoid":
            return _make("multiply", node, _make("sigmoid", _make("subtract", 0.0, a)))
        case "arctan":
            return _make("divide", 1.0, _make("add", 1.0, _make("multiply", a, a)))
    sign = _make("where", _make("less", a, 0.0), -1.0, 0.0)  # absolute value: 0 at the kink
    return _make("where", _make("greater", a, 0.0), 1.0, sign)


def _write(output: Any) -> Function:
    """Return a Python function of (x, m) that evaluates the graph, one line an operation."""
    lines: list[str] = []
    names: dict[int, str] = {}
    seen: dict[str, str] = {}

    def name_of(arg: Any) -> str:
        return names[id(arg)] if isinstance(arg, Node) else repr(arg)

    def visit(node: Any) -> None:
        if not isinstance(node, Node) or id(node) in names:
            return
        if node.op == "variable":
            names[id(node)] = node.args[0]
            return
        for arg in node.args:
            visit(arg)
        text = _expression(node.op, node.args, [name_of(arg) for arg in node.args])
        if text not in seen:
            seen[text] = f"t{len(seen)}"
            lines.append(f"    {seen[text]} = {text}")
        names[id(node)] = seen[text]

    visit(output)
    result = name_of(output) if isinstance(output, Node) else f"{output!r} + 0.0 * m"
    source = "\n".join(["def formula(x, m):", *lines, f"    return {result}"])
    scope: dict[str, Any] = {**_NAMESPACE, "inf": np.inf, "nan": np.nan}
    exec(compile(source, "<formula>", "exec"), scope)
    function: Function = scope["formula"]
    function.__doc__ = source  # from which it is compiled
    return function


def _expression(op: str, args: tuple[Any, ...], names: list[str]) -> str:
    if op == "power" and not isinstance(args[1], Node) and float(args[1]).is_integer() and abs(args[1]) < 64:
        return f"{names[0]} ** {int(args[1])}"  # exact, and defined for negative bases
    if op in _BINARY:
        return f"{names[0]} {_BINARY[op]} {names[1]}"
    if op in ("logical_and", "logical_or"):
        return f"{'both' if op == 'logical_and' else 'either'}({names[0]}, {names[1]})"
    if op in _COMPARE:
        return f"{names[0]} {_COMPARE[op]} {names[1]}"
    return f"{op}({', '.join(names)})"


def trace(f: Function, orders: int) -> list[Function]:
    """Rewrite f(x, m) and its first derivatives in m as functions that also compile.

    Parameters
    ----------
    f : callable
        A formula of (x, m) in arithmetic, comparisons and NumPy or `gcp.losses.elementary` functions.
    orders : int
        Highest derivative wanted.

    Returns
    -------
    list of callable
        f, df/dm, ..., `orders` derivatives; exact up to rounding.

    Raises
    ------
    UntraceableError
        If the formula uses something else (Python `if`, the math module, other libraries).
    """
    x, m = Node("variable", ("x",)), Node("variable", ("m",))
    try:
        outputs = [_constant(f(x, m))]
    except UntraceableError:
        raise
    except Exception as error:  # whatever a user's function does with a symbol
        raise UntraceableError(f"{type(error).__name__}: {error}") from error
    for _ in range(orders):
        outputs.append(_derivative(outputs[-1], m, {}))
    return [_write(output) for output in outputs]
