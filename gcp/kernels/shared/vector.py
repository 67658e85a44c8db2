"""Short vectors of numbers in compiled code: a row of a factor is a run of them.

LLVM vectorises loops, but not loops as short as a rank: at R = 10 they would run one number at a time. Here a row
is padded to whole vectors, and each operation on one becomes one instruction. LLVM splits vectors that a processor
lacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.compiler.code import Code
from gcp.base.compiler.jit import instruction
from gcp.base.compiler.values import LLVM, Element, Number, Vector, constant
from gcp.base.types import FloatArray

_BYTES = 32
_FUSED = "contract "


def first_numbers(n: int) -> Any:
    """Return an instruction that makes a tuple of the n numbers at a pointer."""

    @instruction(lambda pointer: tuple(pointer[:n]))
    def take(code: Code, pointer: Any) -> tuple[Number, ...]:
        element, data = pointer.element, pointer.text
        return tuple(code.load(element, code.at(element, data, k)) for k in range(n))

    return take


def lanes(dtype: np.dtype[Any]) -> int:
    """Return the number of numbers in a vector."""
    return _BYTES // dtype.itemsize


def padded(width: int, dtype: np.dtype[Any]) -> int:
    """Return the least number of numbers in whole vectors, at least one, that holds so many."""
    return -(-max(width, 1) // lanes(dtype)) * lanes(dtype)


def zeros(rows: int, width: int, dtype: np.dtype[Any]) -> FloatArray:
    """Return zeros (rows, width) that begin at a vector's boundary; so does each row of padded width."""
    flat = np.zeros(rows * width + lanes(dtype), dtype)
    first = -flat.ctypes.data % _BYTES // dtype.itemsize
    return flat[first : first + rows * width].reshape(rows, width)


def _same(code: Code, kind: str, value: Any) -> Vector:
    """Return a vector of a known number."""
    n = _BYTES // Element.of(np.dtype(kind)).size
    number = f"{LLVM[kind]} {constant(value, kind)}"
    return Vector(kind, n, f"<{', '.join([number] * n)}>")


def _load(code: Code, array: Any, index: Any) -> Vector:
    element = array.element
    n = _BYTES // element.size
    address = code.at(element, code.data(array), index)
    found = Vector(element.kind, n, "")
    text = code.get(
        f"load {found.llvm}, ptr {address}, align {element.size}"
    )  # it need not begin at a boundary
    return found._replace(text=text)


def _store(code: Code, vector: Vector, array: Any, index: Any) -> None:
    address = code.at(array.element, code.data(array), index)
    code.do(f"store {vector.llvm} {vector.text}, ptr {address}, align {array.element.size}")


def _made(code: Code, op: str, a: Vector, b: Vector, flags: str | None = None) -> Vector:
    text = code.get(f"{op} {code.flags if flags is None else flags}{a.llvm} {a.text}, {b.text}")
    return a._replace(text=text)


def _multiply_add(code: Code, a: Vector, b: Vector, c: Vector) -> Vector:
    return _made(code, "fadd", _made(code, "fmul", a, b, _FUSED), c, _FUSED)


@instruction(lambda like: np.zeros(lanes(like.dtype), like.dtype))
def zero(code: Code, like: Any) -> Vector:
    """Return a vector of zeros, of the type of an array."""
    return _same(code, like.element.kind, 0.0)


@instruction(lambda number: np.full(lanes(number.dtype), number))
def fill(code: Code, number: Number) -> Vector:
    """Return a vector whose numbers are all the same."""
    empty = _same(code, number.kind, 0.0)
    n, kind = empty.lanes, empty.llvm
    first = code.get(f"insertelement {kind} poison, {LLVM[number.kind]} {number.text}, i32 0")
    mask = f"<{n} x i32> zeroinitializer"
    return empty._replace(text=code.get(f"shufflevector {kind} {first}, {kind} poison, {mask}"))


@instruction(lambda array, index: array[index : index + lanes(array.dtype)].copy())
def load(code: Code, array: Any, index: Any) -> Vector:
    """Return the vector at a place of a flat array."""
    return _load(code, array, index)


@instruction(lambda vector, array, index: array.__setitem__(slice(index, index + vector.size), vector))
def store(code: Code, vector: Vector, array: Any, index: Any) -> None:
    """Write a vector to a place of a flat array."""
    _store(code, vector, array, index)


@instruction(lambda a, b, c: a * b + c)
def multiply_add(code: Code, a: Vector, b: Vector, c: Vector) -> Vector:
    """Return a * b + c."""
    return _multiply_add(code, a, b, c)


@instruction(np.sum)
def total(code: Code, vector: Vector) -> Number:
    """Return the sum of a vector's numbers."""
    parts = [
        Number(vector.kind, code.get(f"extractelement {vector.llvm} {vector.text}, i32 {k}"))
        for k in range(vector.lanes)
    ]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [code.arithmetic("+", a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]


# --- rows of all modes at once -----------------------------------------------------------------------------
#
# The factors of the modes lie in two flat arrays: the first mode's in `head`, the others', one behind the other, in
# `tail`. An entry's rows are a tuple of places: the first in `head`, the others in `tail`.


@instruction(
    lambda subs, entry, offsets, width: tuple(
        (offset + int(sub)) * width for offset, sub in zip(offsets, subs[entry], strict=True)
    )
)
def rows_of(code: Code, subs: Any, entry: Any, offsets: Any, width: Any) -> tuple[Any, ...]:
    """Return where the rows of an entry begin: (offset + subscript) * width for every column of the subscripts."""
    first, found = code.arithmetic("*", entry, len(offsets)), []
    for n, offset in enumerate(offsets):
        address = code.at(subs.element, code.data(subs), code.arithmetic("+", first, n))
        sub = code.converted(code.load(subs.element, address), "int")
        found.append(code.arithmetic("*", code.arithmetic("+", sub, offset), width))
    return tuple(found)


def _at(head: FloatArray, tail: FloatArray, rows: tuple[int, ...], column: int) -> list[FloatArray]:
    """Return, in Python, the vectors (lanes,) at `rows`, the first in the flat array `head`, the others in `tail`."""
    places = [(tail if n else head, row + column) for n, row in enumerate(rows)]
    return [array[place : place + lanes(array.dtype)] for array, place in places]


@instruction(lambda sums, *place: sums + np.prod(_at(*place), axis=0))
def add_product(code: Code, sums: Vector, head: Any, tail: Any, rows: Any, column: Any) -> Vector:
    """Return sums + the product of all modes' vectors."""
    at = [code.arithmetic("+", row, column) for row in rows]
    first, *others = [_load(code, tail if n else head, row) for n, row in enumerate(at)]
    if not others:
        return _made(code, "fadd", sums, first, "")
    for other in others[:-1]:
        first = _made(code, "fmul", first, other, "")
    return _multiply_add(code, first, others[-1], sums)


@instruction(
    lambda stack, rows, column: (
        np.prod([load(stack, row + column) for row in rows], axis=0) if rows else zero(stack) + 1
    )
)
def product(code: Code, stack: Any, rows: Any, column: Any) -> Vector:
    """Return the product of the vectors at all rows of one flat array; ones if there are none."""
    found = None
    for row in rows:
        value = _load(code, stack, code.arithmetic("+", row, column))
        found = value if found is None else _made(code, "fmul", found, value, "")
    return _same(code, stack.element.kind, 1.0) if found is None else found


def _spread(y: FloatArray, factors: Any, gradients: Any, rows: tuple[int, ...], column: int) -> None:
    """Do in Python what `spread` does, with a vector y (lanes,)."""
    (head, tail), (head_sums, tail_sums) = factors, gradients
    values, sums = _at(head, tail, rows, column), _at(head_sums, tail_sums, rows, column)
    for n, total_ in enumerate(sums):
        total_ += np.prod([y, *values[:n], *values[n + 1 :]], axis=0)


@instruction(_spread)
def spread(code: Code, y: Vector, factors: Any, gradients: Any, rows: Any, column: Any) -> None:
    """Add to every mode's gradient y times the product of the other modes' vectors.

    `factors` and `gradients` are pairs (head, tail).
    """
    at = [code.arithmetic("+", row, column) for row in rows]
    values = [_load(code, factors[int(n > 0)], row) for n, row in enumerate(at)]
    behind = [y]  # y times the product of all modes from n on, from the last to the first
    for value in reversed(values[1:]):
        behind.append(_made(code, "fmul", behind[-1], value, ""))
    before = None
    for n, (row, rest) in enumerate(zip(at, reversed(behind), strict=True)):
        gradient = gradients[int(n > 0)]
        sum_ = _load(code, gradient, row)
        sum_ = (
            _made(code, "fadd", sum_, rest, "") if before is None else _multiply_add(code, before, rest, sum_)
        )
        _store(code, sum_, gradient, row)
        before = values[n] if before is None else _made(code, "fmul", before, values[n], "")
