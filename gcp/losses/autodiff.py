"""Exact derivatives of a user's formula, by running it once on symbols.

The formula is called with `Node`s in place of arrays. Arithmetic, comparisons and NumPy functions build an
expression graph (equal subexpressions once); the graph is differentiated by the chain rule and written out as
plain Python functions on `gcp.losses.elementary`, which run on arrays and compile like those of the built-in losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gcp.losses import elementary
from gcp.losses.expression_graph import (
    BINARY,
    CALLS,
    COMPARE,
    Node,
    UntraceableError,
    constant,
    is_number,
    make,
)

Function = Callable[..., Any]


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
    if node.op in COMPARE:
        return 0.0
    args = node.args
    d = [_derivative(arg, wrt, memo) for arg in args]
    if all(is_number(v, 0.0) for v in d):
        return 0.0
    a, b = args[0], args[-1]
    match node.op:
        case "add" | "subtract":
            return make(node.op, *d)
        case "multiply":
            return make("add", make("multiply", d[0], b), make("multiply", a, d[1]))
        case "divide":
            return make("divide", make("subtract", d[0], make("multiply", node, d[1])), b)
        case "power":
            return _power_derivative(node, d)
        case "where":
            return make("where", a, d[1], d[2])
        case "maximum" | "minimum":
            # Where both sides are equal the mean of the two slopes: right for smooth functions written by cases.
            first = "greater" if node.op == "maximum" else "less"
            tie = make("multiply", 0.5, make("add", d[0], d[1]))
            other = make("where", make("equal", a, b), tie, d[1])
            return make("where", make(first, a, b), d[0], other)
    return make("multiply", _outer_derivative(node), d[0])


def _power_derivative(node: Node, d: list[Any]) -> Any:
    a, p = node.args
    base = make("multiply", make("multiply", p, make("power", a, make("subtract", p, 1.0))), d[0])
    if is_number(d[1], 0.0):
        return base
    return make("add", base, make("multiply", make("multiply", node, make("log", a)), d[1]))


def _outer_derivative(node: Node) -> Any:
    a = node.args[0]
    match node.op:
        case "exp":
            return node
        case "expm1":
            return make("exp", a)
        case "log":
            return make("divide", 1.0, a)
        case "log1p":
            return make("divide", 1.0, make("add", 1.0, a))
        case "sqrt":
            return make("divide", 0.5, node)
        case "sin":
            return make("cos", a)
        case "cos":
            return make("subtract", 0.0, make("sin", a))
        case "sinh":
            return make("cosh", a)
        case "cosh":
            return make("sinh", a)
        case "tanh":
            return make("subtract", 1.0, make("multiply", node, node))
        case "softplus":
            return make("sigmoid", a)
        case "sigmoid":
            return make("multiply", node, make("sigmoid", make("subtract", 0.0, a)))
        case "erf":
            bell = make("exp", make("subtract", 0.0, make("multiply", a, a)))
            return make("multiply", 2.0 / math.sqrt(math.pi), bell)
        case "gammaln":
            return make("psi", a)
        case "psi":
            return make("trigamma", a)
        case "trigamma":
            raise UntraceableError("the third derivative of 'gammaln', which is not known")
        case "arctan":
            return make("divide", 1.0, make("add", 1.0, make("multiply", a, a)))
    sign = make("where", make("less", a, 0.0), -1.0, 0.0)  # absolute value: 0 at the kink
    return make("where", make("greater", a, 0.0), 1.0, sign)


_SELECTIONS = {"where": elementary.where, "both": elementary.both, "either": elementary.either}


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
    scope: dict[str, Any] = {**CALLS, **_SELECTIONS, "inf": np.inf, "nan": np.nan}
    exec(compile(source, "<formula>", "exec"), scope)
    function: Function = scope["formula"]
    function.__doc__ = source  # from which it is compiled
    return function


def _expression(op: str, args: tuple[Any, ...], names: list[str]) -> str:
    if op == "power" and not isinstance(args[1], Node) and float(args[1]).is_integer() and abs(args[1]) < 64:
        return f"{names[0]} ** {int(args[1])}"  # exact, and defined for negative bases
    if op in BINARY:
        return f"{names[0]} {BINARY[op]} {names[1]}"
    if op in ("logical_and", "logical_or"):
        return f"{'both' if op == 'logical_and' else 'either'}({names[0]}, {names[1]})"
    if op in COMPARE:
        return f"{names[0]} {COMPARE[op]} {names[1]}"
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
        outputs = [constant(f(x, m))]
    except UntraceableError:
        raise
    except Exception as error:  # whatever a user's function does with a symbol
        raise UntraceableError(f"{type(error).__name__}: {error}") from error
    for _ in range(orders):
        outputs.append(_derivative(outputs[-1], m, {}))
    return [_write(output) for output in outputs]
