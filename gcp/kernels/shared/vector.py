"""Short vectors of numbers in compiled code: a row of a factor is a run of them.

Numba vectorises loops, but not loops as short as a rank: at R = 10 they would run one number at a time. Here a row
is padded to whole vectors, and each operation on one becomes one instruction. LLVM splits vectors that a processor
lacks.
"""

# The functions are typed by Numba, not by annotations.
from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from gcp.base.types import FloatArray
from gcp.kernels.shared.jit import instruction

_BYTES = 32
_FUSED = ("contract",)


def elements(builder: Any, aggregate: Any) -> list[Any]:
    """Return the values in a tuple, for the body of an instruction."""
    return [builder.extract_value(aggregate, k) for k in range(len(aggregate.type.elements))]


def first_numbers(n: int) -> Any:
    """Return an instruction that makes a tuple of the n numbers at a pointer."""

    @instruction(lambda pointer: tuple(pointer[:n]))
    def take(context, pointer):
        def build(context, builder, signature, args):
            places = [builder.gep(args[0], [ir.Constant(ir.IntType(64), k)]) for k in range(n)]
            return context.make_tuple(builder, signature.return_type, [builder.load(at) for at in places])

        return types.UniTuple(pointer.dtype, n)(pointer), build

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


class _Vector(types.Type):  # type: ignore[misc]
    def __init__(self, dtype: types.Type) -> None:
        self.dtype = dtype
        self.lanes = _BYTES * 8 // dtype.bitwidth
        super().__init__(name=f"Vector({dtype} x {self.lanes})")


@register_model(_Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: _Vector) -> None:
        real = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
        super().__init__(manager, kind, ir.VectorType(real, kind.lanes))


def _pointer(context, builder, kind, array, index, vector):
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _load(context, builder, kind, array, index, vector):
    found = builder.load(_pointer(context, builder, kind, array, index, vector))
    found.align = kind.dtype.bitwidth // 8  # a row need not begin at a boundary
    return found


def _store(builder, value, pointer, number):
    builder.store(value, pointer).align = number.bitwidth // 8


def _multiply_add(builder, a, b, c):
    return builder.fadd(builder.fmul(a, b, flags=_FUSED), c, flags=_FUSED)


@instruction(lambda like: np.zeros(lanes(like.dtype), like.dtype))
def zero(context, like):
    """Return a vector of zeros, of the type of an array."""

    def build(context, builder, signature, args):
        return ir.Constant(context.get_value_type(signature.return_type), None)

    return _Vector(like.dtype)(like), build


@instruction(lambda number: np.full(lanes(number.dtype), number))
def fill(context, number):
    """Return a vector whose numbers are all the same."""

    def build(context, builder, signature, args):
        vector, index = context.get_value_type(signature.return_type), ir.IntType(32)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], ir.Constant(index, 0))
        everywhere = ir.Constant(ir.VectorType(index, vector.count), None)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), everywhere)

    return _Vector(number)(number), build


@instruction(lambda array, index: array[index : index + lanes(array.dtype)].copy())
def load(context, array, index):
    """Return the vector at a place of a flat array."""

    def build(context, builder, signature, args):
        vector = context.get_value_type(signature.return_type)
        return _load(context, builder, signature.args[0], args[0], args[1], vector)

    return _Vector(array.dtype)(array, types.intp), build


@instruction(lambda vector, array, index: array.__setitem__(slice(index, index + vector.size), vector))
def store(context, vector, array, index):
    """Write a vector to a place of a flat array."""

    def build(context, builder, signature, args):
        kind = signature.args[1]
        pointer = _pointer(context, builder, kind, args[1], args[2], args[0].type)
        _store(builder, args[0], pointer, kind.dtype)
        return context.get_dummy_value()

    return types.void(vector, array, types.intp), build


@instruction(lambda a, b, c: a * b + c)
def multiply_add(context, a, b, c):
    """Return a * b + c."""

    def build(context, builder, signature, args):
        return _multiply_add(builder, *args)

    return a(a, a, a), build


@instruction(np.sum)
def total(context, vector):
    """Return the sum of a vector's numbers."""

    def build(context, builder, signature, args):
        parts = [
            builder.extract_element(args[0], ir.Constant(ir.IntType(32), k)) for k in range(vector.lanes)
        ]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [builder.fadd(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
        return parts[0]

    return vector.dtype(vector), build


# --- rows of all modes at once -----------------------------------------------------------------------------
#
# The factors of the modes lie in two flat arrays: the first mode's in `head`, the others', one behind the other, in
# `tail`. An entry's rows are a tuple of places: the first in `head`, the others in `tail`.


@instruction(
    lambda subs, entry, offsets, width: tuple(
        (offset + int(sub)) * width for offset, sub in zip(offsets, subs[entry], strict=True)
    )
)
def rows_of(context, subs, entry, offsets, width):
    """Return where the rows of an entry begin: (offset + subscript) * width for every column of the subscripts."""
    n_modes = len(offsets)

    def build(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        place = ir.IntType(64)
        first, found = builder.mul(args[1], ir.Constant(place, n_modes)), []
        for n, offset in enumerate(elements(builder, args[2])):
            sub = builder.load(builder.gep(data, [builder.add(first, ir.Constant(place, n))]))
            sub = builder.zext(sub, place) if sub.type.width < 64 else sub
            found.append(builder.mul(builder.add(sub, offset), args[3]))
        return context.make_tuple(builder, signature.return_type, found)

    return types.UniTuple(types.intp, n_modes)(subs, types.intp, offsets, types.intp), build


def _vectors(context, builder, signature, args, head, rows, vector):
    """Return the vectors at `rows`, the first in the array at `head` of the arguments, the others in the next."""
    found = []
    for n, row in enumerate(rows):
        where = head + (n > 0)
        found.append(_load(context, builder, signature.args[where], args[where], row, vector))
    return found


def _at(head: FloatArray, tail: FloatArray, rows: tuple[int, ...], column: int) -> list[FloatArray]:
    """Return, in Python, the vectors (lanes,) at `rows`, the first in the flat array `head`, the others in `tail`."""
    places = [(tail if n else head, row + column) for n, row in enumerate(rows)]
    return [array[place : place + lanes(array.dtype)] for array, place in places]


@instruction(lambda sums, *place: sums + np.prod(_at(*place), axis=0))
def add_product(context, sums, head, tail, rows, column):
    """Return sums + the product of all modes' vectors."""

    def build(context, builder, signature, args):
        at = [builder.add(row, args[4]) for row in elements(builder, args[3])]
        first, *others = _vectors(context, builder, signature, args, 1, at, args[0].type)
        if not others:
            return builder.fadd(args[0], first)
        for other in others[:-1]:
            first = builder.fmul(first, other)
        return _multiply_add(builder, first, others[-1], args[0])

    return sums(sums, head, tail, rows, types.intp), build


@instruction(
    lambda stack, rows, column: (
        np.prod([load(stack, row + column) for row in rows], axis=0) if rows else zero(stack) + 1
    )
)
def product(context, stack, rows, column):
    """Return the product of the vectors at all rows of one flat array; ones if there are none."""

    def build(context, builder, signature, args):
        vector = context.get_value_type(signature.return_type)
        found = None
        for row in elements(builder, args[1]):
            value = _load(context, builder, stack, args[0], builder.add(row, args[2]), vector)
            found = value if found is None else builder.fmul(found, value)
        return ir.Constant(vector, [1.0] * vector.count) if found is None else found

    return _Vector(stack.dtype)(stack, rows, types.intp), build


def _spread(y: FloatArray, factors: Any, gradients: Any, rows: tuple[int, ...], column: int) -> None:
    """Do in Python what `spread` does, with a vector y (lanes,)."""
    (head, tail), (head_sums, tail_sums) = factors, gradients
    values, sums = _at(head, tail, rows, column), _at(head_sums, tail_sums, rows, column)
    for n, total_ in enumerate(sums):
        total_ += np.prod([y, *values[:n], *values[n + 1 :]], axis=0)


@instruction(_spread)
def spread(context, y, factors, gradients, rows, column):
    """Add to every mode's gradient y times the product of the other modes' vectors.

    `factors` and `gradients` are pairs (head, tail).
    """

    def build(context, builder, signature, args):
        y, vector = args[0], args[0].type
        kinds, arrays = signature.args[1:3], [elements(builder, pair) for pair in args[1:3]]
        at = [builder.add(row, args[4]) for row in elements(builder, args[3])]
        values = [
            _load(context, builder, kinds[0][int(n > 0)], arrays[0][int(n > 0)], row, vector)
            for n, row in enumerate(at)
        ]
        behind = [y]  # y times the product of all modes from n on, from the last to the first
        for value in reversed(values[1:]):
            behind.append(builder.fmul(behind[-1], value))
        before = None
        for n, (row, rest) in enumerate(zip(at, reversed(behind), strict=True)):
            kind = kinds[1][int(n > 0)]
            pointer = _pointer(context, builder, kind, arrays[1][int(n > 0)], row, vector)
            sum_ = builder.load(pointer)
            sum_.align = kind.dtype.bitwidth // 8
            sum_ = builder.fadd(sum_, rest) if before is None else _multiply_add(builder, before, rest, sum_)
            _store(builder, sum_, pointer, kind.dtype)
            before = values[n] if before is None else builder.fmul(before, values[n])
        return context.get_dummy_value()

    return types.void(y, factors, gradients, rows, types.intp), build
