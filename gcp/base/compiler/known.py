"""What `range`, `min`, `np.empty` and the like become in a translated function."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gcp.base.compiler.code import Code
from gcp.base.compiler.values import (
    FLOAT32,
    FLOAT64,
    FLOATS,
    INT,
    LLVM,
    UINT,
    Array,
    Either,
    Element,
    Number,
    TranslationError,
    Vector,
    is_number,
    is_tuple,
)

Handler = Callable[..., Any]
_HANDLERS: dict[Any, Handler] = {}


def handler(function: Any) -> Handler | None:
    """Return what a function becomes, if that is known: a function of the code and the values."""
    try:
        return _HANDLERS.get(function)
    except TypeError:  # it cannot be a key
        return None


def becomes(*functions: Any) -> Callable[[Handler], Handler]:
    """Let functions become what a handler of (code, *values) writes."""

    def register(handler: Handler) -> Handler:
        for function in functions:
            _HANDLERS[function] = handler
        return handler

    return register


# --- Python's own ----------------------------------------------------------------------------------------------


@becomes(len)
def _len(code: Code, value: Any) -> Any:
    if isinstance(value, Array):
        return value.sizes[0]
    return len(_known_tuple(value))


def _known_tuple(value: Any) -> tuple[Any, ...]:
    if not is_tuple(value):
        raise TranslationError(f"a tuple was expected, not a {type(value).__name__.lower()}")
    return tuple(value)


@becomes(enumerate)
def _enumerate(code: Code, values: Any) -> Any:
    return tuple(enumerate(_known_tuple(values)))


@becomes(tuple)
def _tuple(code: Code, values: Any = ()) -> Any:
    return _known_tuple(values)


def _of_several(op: str) -> Handler:
    def write(code: Code, first: Any, second: Any, *others: Any) -> Any:
        found = first
        for other in (second, *others):
            found = code.select(code.compare(op, other, found), other, found)
        return found

    return write


becomes(min)(_of_several("<"))
becomes(max)(_of_several(">"))


@becomes(abs, np.abs, np.absolute, np.fabs, math.fabs)
def _abs(code: Code, x: Any) -> Any:
    if isinstance(x, Either):
        kinds = (FLOAT64, x.double), (FLOAT32, x.single)
        return Either(*(code.intrinsic("fabs", kind, Number(kind, text)).text for kind, text in kinds))
    if not isinstance(x, Number):
        return abs(x)
    if x.kind in FLOATS:
        return code.intrinsic("fabs", x.kind, x)
    return code.select(code.compare("<", x, 0), code.negative(x), x)


@becomes(int, np.int64, np.intp)
def _int(code: Code, x: Any) -> Any:
    return Number(INT, code.integer(x))


@becomes(np.uint64)
def _uint(code: Code, x: Any) -> Any:
    return Number(UINT, code.integer(x))


@becomes(float, np.float64)
def _float(code: Code, x: Any) -> Any:
    return code.converted(x, FLOAT64)


@becomes(np.float32)
def _single(code: Code, x: Any) -> Any:
    return code.converted(x, FLOAT32)


@becomes(bool, np.bool_)
def _bool(code: Code, x: Any) -> Any:
    return code.truth(x)


# --- NumPy's and math's ----------------------------------------------------------------------------------------


def _kind(code: Code, *values: Any) -> str:
    """Return the kind that a function of floats is computed in."""
    kind = code.common(*values)
    return kind if kind in FLOATS else FLOAT64


def _of_llvm(name: str) -> Handler:
    def write(code: Code, *values: Any) -> Any:
        return code.intrinsic(name, _kind(code, *values), *values)

    return write


def _of_libm(name: str) -> Handler:
    def write(code: Code, *values: Any) -> Any:
        kind = _kind(code, *values)
        llvm, function = LLVM[kind], f"@{name}{'f' if kind == FLOAT32 else ''}"
        code.module.declare(f"{llvm} {function}({', '.join([llvm] * len(values))})")
        given = ", ".join(f"{llvm} {code.number(value, kind)}" for value in values)
        return Number(kind, code.get(f"call {llvm} {function}({given})"))

    return write


for _functions, _name in (
    ((np.sqrt, math.sqrt), "sqrt"),
    ((np.floor,), "floor"),
    ((np.ceil,), "ceil"),
    ((np.rint,), "rint"),
    ((np.power, math.pow), "pow"),
):
    becomes(*_functions)(_of_llvm(_name))
for _name in (
    "sin",
    "cos",
    "tan",
    "sinh",
    "cosh",
    "tanh",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "exp2",
):
    becomes(getattr(np, _name), *([getattr(math, _name)] if hasattr(math, _name) else []))(_of_libm(_name))
for _public, _name in (("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan")):
    becomes(getattr(np, _public), getattr(math, _name))(_of_libm(_name))
for _function, _name in (
    (math.erf, "erf"),
    (math.erfc, "erfc"),
    (math.lgamma, "lgamma"),
    (math.gamma, "tgamma"),
):
    becomes(_function)(_of_libm(_name))


@becomes(np.isfinite, math.isfinite)
def _isfinite(code: Code, x: Any) -> Any:
    kind = _kind(code, x)
    return code.compare("<", code.intrinsic("fabs", kind, x), Number(kind, "0x7FF0000000000000"))


@becomes(np.isnan, math.isnan)
def _isnan(code: Code, x: Any) -> Any:
    return code.compare("!=", x, x)


# --- arrays ----------------------------------------------------------------------------------------------------


def _element(dtype: Any) -> Element:
    return Element.of(np.dtype(float if dtype is None else dtype))


def _sizes(shape: Any) -> tuple[Any, ...]:
    return tuple(shape) if is_tuple(shape) else (shape,)


@becomes(np.empty)
def _empty(code: Code, shape: Any, dtype: Any = None) -> Array:
    return code.empty(_element(dtype), _sizes(shape))


@becomes(np.zeros)
def _zeros(code: Code, shape: Any, dtype: Any = None) -> Array:
    array = code.empty(_element(dtype), _sizes(shape))
    code.clear(array)
    return array


@becomes(np.ones)
def _ones(code: Code, shape: Any, dtype: Any = None) -> Array:
    array = code.empty(_element(dtype), _sizes(shape))
    code.fill(array, 1)
    return array


def attribute(code: Code, owner: Any, name: str) -> Any:
    """Return an attribute of an array or a vector."""
    if isinstance(owner, Array):
        if name == "shape":
            return owner.sizes
        if name == "size":
            return code.size(owner)
        if name == "ndim":
            return len(owner.sizes)
        if name == "dtype":
            return owner.element.dtype
        if name == "itemsize":
            return owner.element.size
    if isinstance(owner, Vector) and name == "size":
        return owner.lanes
    raise TranslationError(f"{type(owner).__name__.lower()}s have no {name}")


def method(code: Code, owner: Any, name: str, *values: Any) -> Any:
    """Return the result of a method of an array."""
    if name == "reshape" and isinstance(owner, Array) and not owner.strides:
        sizes = list(_sizes(values[0]) if len(values) == 1 else values)
        if -1 in [size for size in sizes if is_number(size) and not isinstance(size, Number)]:
            others: Any = 1
            for size in sizes:
                others = others if size == -1 else code.arithmetic("*", others, size)
            sizes[sizes.index(-1)] = code.arithmetic("//", code.size(owner), others)
        return owner._replace(sizes=tuple(sizes))
    raise TranslationError(f"{type(owner).__name__.lower()}s have no {name}")
