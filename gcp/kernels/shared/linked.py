"""Calls by address: what a pass calls is compiled once, and not anew into the pass of every loss.

Numba would link these functions into each pass and optimise them there again, which takes as long as all the rest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import TypingError, from_dtype, types

from gcp.base.types import Array
from gcp.kernels.shared import khatri_rao, products
from gcp.kernels.shared.jit import DISABLED, instruction
from gcp.kernels.shared.vector import elements

_M, _V, _I, _N, _R, _P = "matrix", "vector", "indices", "number", "real", "pointer"
FUNCTIONS = {
    products.model: (_M, _M, _M),
    products.add_row_sums: (_M, _M, _M),
    products.add_column_sums: (_M, _M, _M),
    khatri_rao.columns: (_M, _I, _N, _N, _M),
    khatri_rao.add_columns_adjoint: (_M, _I, _N, _N, _M, _M),
}
"""The functions of matrices that passes over dense data call, and their arguments, in the order of `addresses`."""
ENTRYWISE = (*(_P,) * 8, _N)
"""The arguments of the functions of `per_entry`; arrays, with their references, would cost more than a cheap loss."""
ROW = (*(_P,) * 6, _N)
"""The arguments of the functions of `loss_of_row`."""
COPY = (_N, _N, _N, _P)
"""The arguments of the functions of `columns_by_address`."""
GRAM, NEWTON = (_V, _V, _N, _N, _V, _V), (*(_V,) * 7, _N, _R)
"""The arguments of `row_algebra.add_gram` and `newton_direction`."""


@lru_cache(maxsize=2)
def addresses(dtype: np.dtype[Any]) -> tuple[Any, ...]:
    """Return the addresses of `FUNCTIONS` in this process, compiled for matrices of one type."""
    return tuple(address_among(function, dtype) for function in FUNCTIONS)


def address_among(function: Any, dtype: np.dtype[Any]) -> Any:
    """Return the address of one of `FUNCTIONS`."""
    return address(function, FUNCTIONS[function], dtype)


def _types(kinds: tuple[str, ...], number: types.Type) -> tuple[types.Type, ...]:
    of = {
        _M: types.Array(number, 2, "C"),
        _V: types.Array(number, 1, "C"),
        _I: types.Array(types.int64, 1, "C"),
        _N: types.int64,
        _R: number,
        _P: types.CPointer(number),
    }
    return tuple(of[kind] for kind in kinds)


def address(function: Any, kinds: tuple[str, ...], dtype: np.dtype[Any]) -> Any:
    """Return a function's address in this process, compiled for arguments of these kinds and one type of numbers.

    The function itself where compiling is disabled.
    """
    if DISABLED:
        return function
    compiled = function.get_compile_result(types.none(*_types(kinds, from_dtype(dtype))))
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


@instruction(lambda function, *arguments: function(*arguments))
def call(context, address, *arguments):  # type: ignore[no-untyped-def]
    """Call the function at an address, which must have been made for the type of these arrays."""
    known = (*FUNCTIONS.values(), ENTRYWISE, ROW, COPY, GRAM, NEWTON)
    number = next(kind.dtype for kind in arguments if isinstance(kind, types.Array | types.CPointer))
    if not any(tuple(arguments) == _types(kinds, number) for kinds in known):
        raise TypingError(f"no function is compiled for {arguments}")

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        convention, expected = context.call_conv, tuple(signature.args[1])
        pointer = ir.PointerType(convention.get_function_type(types.none, expected))
        function = builder.inttoptr(values[0], pointer)
        given = elements(builder, values[1])
        status, _ = convention.call_function(builder, function, types.none, expected, given)
        with builder.if_then(status.is_error, likely=False):
            convention.return_status_propagate(builder, status)
        return context.get_dummy_value()

    return types.none(address, types.StarArgTuple(arguments)), generate


@instruction(lambda vector, index: vector[index:])
def pointer(context, vector, index):  # type: ignore[no-untyped-def]
    """Return a pointer to an element of a contiguous vector, which must outlive it."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, values[0]).data
        return builder.gep(data, [values[1]])

    return types.CPointer(vector.dtype)(vector, types.intp), generate


@instruction(lambda vectors: vectors)
def pointers(context, vectors):  # type: ignore[no-untyped-def]
    """Return pointers to the first elements of contiguous vectors of one type, which must outlive them."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        arrays = zip(signature.args[0], elements(builder, values[0]), strict=True)
        places = [context.make_array(kind)(context, builder, value).data for kind, value in arrays]
        return context.make_tuple(builder, signature.return_type, places)

    return types.UniTuple(types.CPointer(vectors[0].dtype), len(vectors))(vectors), generate


def address_of(array: Array) -> int:
    """Return the address of an array's first number."""
    return int(array.__array_interface__["data"][0])


def number_at(kind: types.Type) -> Any:
    """Return an instruction that gives a number of one type, behind an address of such numbers."""

    @instruction(lambda numbers, index: numbers[index])
    def read(context, numbers, index):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
            place = context.get_value_type(kind)
            data = builder.inttoptr(values[0], place.as_pointer())
            found = builder.load(builder.gep(data, [values[1]]))
            found.align = 1  # it need not begin at a boundary
            return found

        return kind(types.int64, types.int64), generate

    return read


@instruction(lambda numbers, index, like: numbers[index:])
def pointer_into(context, numbers, index, like):  # type: ignore[no-untyped-def]
    """Return a pointer to a number behind an address, of numbers of the type of an array."""

    def generate(context, builder, signature, values):  # type: ignore[no-untyped-def]
        place = context.get_value_type(like.dtype).as_pointer()
        return builder.gep(builder.inttoptr(values[0], place), [values[1]])

    return types.CPointer(like.dtype)(types.int64, types.int64, like), generate
