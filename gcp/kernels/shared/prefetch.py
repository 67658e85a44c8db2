"""Asking for data ahead of their use.

The rows of a tile lie far apart in memory, and a processor that guesses what comes next begins anew with every row.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from gcp.kernels.shared.jit import instruction, jit

_LINE = 64
"""Bytes that come at once."""


@instruction(lambda array, index: None)
def _line(context, array, index):  # type: ignore[no-untyped-def]
    """Bring one line into the first-level cache; harmless outside the array."""

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [args[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        read, nearest, of_data = (ir.Constant(number, k) for k in (0, 3, 1))
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [address, read, nearest, of_data])
        return context.get_dummy_value()

    return types.void(array, types.int64), build


@jit
def run_of(array, first, count):  # type: ignore[no-untyped-def]
    """Ask for elements first ... first + count - 1 of a vector."""
    for k in range(first, first + count, _LINE // array.itemsize):
        _line(array, k)
