"""Asking for data ahead of their use.

The rows of a tile lie far apart in memory, and a processor that guesses what comes next begins anew with every row.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types

from gcp.kernels.shared.jit import instruction, jit_part

_LINE = 64
"""Bytes that come at once."""


@instruction(lambda numbers, offset: None)
def _line(context, numbers, offset):  # type: ignore[no-untyped-def]
    """Bring one line into the first-level cache; harmless outside the array."""

    def build(context, builder, signature, args):  # type: ignore[no-untyped-def]
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.inttoptr(builder.add(args[0], args[1]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        read, nearest, of_data = (ir.Constant(number, k) for k in (0, 3, 1))
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [address, read, nearest, of_data])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), build


@jit_part
def bytes_at(numbers, offset, count):  # type: ignore[no-untyped-def]
    """Ask for so many bytes behind the address of an array's numbers."""
    for k in range(offset, offset + count, _LINE):
        _line(numbers, k)
