"""Runs of listed entries, as passes and row steps read them: each column by its address, whatever its type."""

from __future__ import annotations

import numpy as np

from gcp.base.compiler.jit import jit_part
from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import linked
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH, add, multiply

N_RUNS = 8
"""Runs of numbers that a pass holds: the five columns, then model values, losses and curvatures."""

SCALE, _OFFSET = 3, 4


def contiguous(columns: EntryColumns, z: FloatArray | None) -> tuple[Array | None, ...]:
    """Return the columns x, w, z, s and o as the passes read them by their addresses, arrays (n,) or None."""
    found = columns.x, columns.weight, z, columns.scale, columns.offset
    return tuple(None if column is None else np.ascontiguousarray(column) for column in found)


@jit_part(fastmath=FASTMATH)
def read_run(columns, first, n, runs, y):  # type: ignore[no-untyped-def]
    """Make the model y of a run of entries s y + o; return the length with padding, and pointers to x, w and z.

    `runs`, of shape (`N_RUNS` * `RUN`,), begins as ones, which absent weights are; y is one of them. Nobody reads the
    padding's results.
    """
    if columns[SCALE, 1]:
        linked.call(columns[SCALE, 1], columns[SCALE, 0], first, n, linked.pointer(runs, SCALE * RUN))
        multiply(runs[SCALE * RUN : SCALE * RUN + n], y)
    if columns[_OFFSET, 1]:
        linked.call(columns[_OFFSET, 1], columns[_OFFSET, 0], first, n, linked.pointer(runs, _OFFSET * RUN))
        add(runs[_OFFSET * RUN : _OFFSET * RUN + n], y)
    m = (n + 31) // 32 * 32
    for k in range(n, m):
        runs[k] = y[k] = 1.0
    x, w = _numbers(columns, 0, first, n, m, runs), _numbers(columns, 1, first, n, m, runs)
    return m, x, w, _numbers(columns, 2, first, n, m, runs)


@jit_part(inline=True)
def _numbers(columns, k, first, n, m, runs):  # type: ignore[no-untyped-def]
    """Return a pointer to m numbers of a column of which n count: in memory, or copied to its run."""
    if first + m <= columns[k, 2]:
        return linked.pointer_into(columns[k, 0], first, runs)
    if columns[k, 1]:
        linked.call(columns[k, 1], columns[k, 0], first, n, linked.pointer(runs, k * RUN))
    return linked.pointer(runs, k * RUN)
