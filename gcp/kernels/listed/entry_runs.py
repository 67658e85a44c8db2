"""Runs of listed entries, as passes and row steps read them: each column by its address, whatever its type."""

from __future__ import annotations

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.kernels.shared import linked
from gcp.kernels.shared.columns import EntryColumns
from gcp.kernels.shared.jit import jit_part
from gcp.kernels.shared.products import FASTMATH, add, multiply

N_RUNS = 8
"""Runs of numbers that a pass holds: the five columns, then model values, losses and curvatures."""

SCALE, _OFFSET = 3, 4


def contiguous(columns: EntryColumns, z: FloatArray | None) -> tuple[Array | None, ...]:
    """Return the columns x, w, z, s and o as the passes read them by their addresses, arrays (n,) or None."""
    found = columns.x, columns.weight, z, columns.scale, columns.offset
    return tuple(None if column is None else np.ascontiguousarray(column) for column in found)


@jit_part(fastmath=FASTMATH)
def read_run(columns, first, n, runs):  # type: ignore[no-untyped-def]
    """Read the columns of a run of entries, and make the model y s y + o; return the length with padding.

    `runs`, of shape (`N_RUNS`, `RUN`), begins as ones, which absent weights are. Nobody reads the padding's results.
    """
    y = runs[5]
    for k in range(5):
        if columns[k, 1]:
            linked.call(columns[k, 1], columns[k, 0], first, n, linked.pointer(runs[k], 0))
    if columns[SCALE, 1]:
        multiply(runs[SCALE, :n], y)
    if columns[_OFFSET, 1]:
        add(runs[_OFFSET, :n], y)
    m = (n + 31) // 32 * 32
    for k in range(n, m):
        runs[0, k] = y[k] = 1.0
    return m
