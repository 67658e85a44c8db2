"""Asking for data ahead of their use.

The rows of a tile lie far apart in memory, and a processor that guesses what comes next begins anew with every row.
"""

from __future__ import annotations

from typing import Any

from gcp.base.compiler.code import Code
from gcp.base.compiler.jit import instruction, jit_part

_LINE = 64
"""Bytes that come at once."""


@instruction(lambda numbers, offset: None)
def _line(code: Code, numbers: Any, offset: Any) -> None:
    """Bring one line into the first-level cache; harmless outside the array."""
    code.module.declare("void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    at = code.integer(code.arithmetic("+", numbers, offset))
    read, nearest, of_data = "i32 0", "i32 3", "i32 1"
    code.do(
        f"call void @llvm.prefetch.p0(ptr {code.get(f'inttoptr i64 {at} to ptr')}, {read}, {nearest}, {of_data})"
    )


@jit_part
def bytes_at(numbers, offset, count):  # type: ignore[no-untyped-def]
    """Ask for so many bytes behind the address of an array's numbers."""
    for k in range(offset, offset + count, _LINE):
        _line(numbers, k)
