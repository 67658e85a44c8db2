"""Calls by address: what a pass calls is compiled once, and not anew into the pass of every loss.

Compiled as parts, these functions would be optimised in each pass again, which takes as long as all the rest.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gcp.base.compiler import values
from gcp.base.compiler.code import Code
from gcp.base.compiler.jit import DISABLED, instruction
from gcp.base.compiler.values import Element, Number, Pointer
from gcp.base.types import Array
from gcp.kernels.shared import khatri_rao, products

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
"""The arguments of the functions of `per_entry`; arrays, with their sizes, would cost more than a cheap loss."""
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


def _forms(kinds: tuple[str, ...], dtype: np.dtype[Any]) -> tuple[Any, ...]:
    number, integer = Element.of(dtype), Element.of(np.dtype(np.int64))
    size = Number(values.INT, "")
    of = {
        _M: values.Array(number, "", (size, size)),
        _V: values.Array(number, "", (size,)),
        _I: values.Array(integer, "", (size,)),
        _N: size,
        _R: Number(number.kind, ""),
        _P: Pointer(number, ""),
    }
    return tuple(of[kind] for kind in kinds)


def address(function: Any, kinds: tuple[str, ...], dtype: np.dtype[Any]) -> Any:
    """Return a function's address in this process, compiled for arguments of these kinds and one type of numbers.

    The function itself where compiling is disabled.
    """
    return function if DISABLED else function.address(_forms(kinds, dtype))


@instruction(lambda function, *arguments: function(*arguments))
def call(code: Code, address: Any, *arguments: Any) -> None:
    """Call the function at an address, which must have been made for the type of these arrays."""
    known = (*FUNCTIONS.values(), ENTRYWISE, ROW, COPY, GRAM, NEWTON)
    settled = values.settled(arguments)
    dtype = next(one.element.dtype for one in settled if isinstance(one, values.Array | Pointer))
    if not any(values.form(settled) == values.form(_forms(kinds, dtype)) for kinds in known):
        raise values.TranslationError(f"no function is compiled for {values.form(settled)}")
    code.call_address(address, settled)


@instruction(lambda vector, index: vector[index:])
def pointer(code: Code, vector: Any, index: Any) -> Pointer:
    """Return a pointer to an element of a contiguous vector, which must outlive it."""
    return Pointer(vector.element, code.at(vector.element, code.data(vector), index))


@instruction(lambda vectors: vectors)
def pointers(code: Code, vectors: Any) -> tuple[Pointer, ...]:
    """Return pointers to the first elements of contiguous vectors, which must outlive them."""
    return tuple(Pointer(vector.element, code.data(vector)) for vector in vectors)


def address_of(array: Array) -> int:
    """Return the address of an array's first number."""
    return int(array.__array_interface__["data"][0])


def number_at(dtype: np.dtype[Any]) -> Any:
    """Return an instruction that gives a number of one type, behind an address of such numbers."""
    element = Element.of(dtype)

    @instruction(lambda numbers, index: numbers[index])
    def read(code: Code, numbers: Any, index: Any) -> Number:
        # it need not begin at a boundary
        return code.load(element, code.at(element, _behind(code, numbers), index), align=1)

    return read


@instruction(lambda numbers, index, like: numbers[index:])
def pointer_into(code: Code, numbers: Any, index: Any, like: Any) -> Pointer:
    """Return a pointer to a number behind an address, of numbers of the type of an array."""
    return Pointer(like.element, code.at(like.element, _behind(code, numbers), index))


def _behind(code: Code, numbers: Any) -> str:
    return code.get(f"inttoptr i64 {code.integer(numbers)} to ptr")
