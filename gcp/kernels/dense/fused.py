"""The fused pass: model, loss, derivative and all sums, one small block at a time.

The data are a matrix of `n_rows` slow and many fast positions. For one tile of columns the fast side's Khatri-Rao
columns and their gradient stay in the second-level cache while all rows go by, a few at a time: a block of the model
is made, turned into the derivative in place, and folded into both sides before it leaves the first-level cache.

It is compiled once for each type of arithmetic: the loss over a row of a tile and the reading of data of any type are
called by their addresses (see `loss_of_row` and `columns_by_address`).
"""

from __future__ import annotations

from gcp.base.compiler.jit import jit
from gcp.kernels.shared.columns_by_address import copy_entries, entries_at
from gcp.kernels.shared.linked import call, pointer
from gcp.kernels.shared.products import add, blank, multiply, room, shift, total

ROWS = 16
"""Rows in a block."""

ROW_BYTES = 2048
"""Size of a tile's row, at most; a multiple of 32 numbers."""


@jit(fastmath={"contract", "nsz"})
def run(functions, loss, params, entries, effects, slow, n_rows, fast, outputs, curved):  # type: ignore[no-untyped-def]
    """Return the value of a part of the entries, and add to the outputs; the lock of the interpreter is not held.

    Slow side, fast side, effects and parameters are all float32 or all float64: the type of the arithmetic.

    Parameters
    ----------
    functions
        `linked.addresses`.
    loss, params
        The address of `loss_of_row`, and the formula's parameters.
    entries
        Data, weights, scales and offsets, each as `columns_by_address.column` gives it.
    effects
        Numbers added to the model of each row, and of each column: no numbers at all if there are none.
    slow, n_rows
        The slow side's Khatri-Rao rows (padded), and their true number.
    fast
        Transposed stack of the fast factors, their sizes, first and last column, width of a tile.
    outputs
        Sums for the slow side, gradient of the fast factors, sums of curvature weights of rows, and of columns, sums
        of derivatives of rows, and of columns.
    curved : bool
        Whether the curvature weights are summed.
    """
    model, add_row_sums, add_column_sums, columns, add_columns_adjoint = functions
    (x, w, scale, offset), (row_effects, column_effects) = entries, effects
    turned, sizes, first, last, tile = fast
    s, grad, row_sums, column_sums, row_effect_grad, column_effect_grad = outputs
    rank, n_padded = slow.shape[1], slow.shape[0]
    rooms = room(rank, tile, slow), room(rank, tile, slow), room(ROWS, tile, slow), room(6, tile, slow)
    value = 0.0
    for c0 in range(first, last, tile):
        n = min(tile, last - c0)
        width = (n + 31) // 32 * 32  # no remainder for the vector loops
        c, g = blank(rooms[0], rank, width), blank(rooms[1], rank, width)
        y, rows = blank(rooms[2], ROWS, width), blank(rooms[3], 6, width)
        v, u, x_row, w_row, s_row, o_row = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
        g[:], x_row[:], w_row[:], s_row[:], o_row[:] = 0.0, 1.0, 0.0, 1.0, 0.0
        call(columns, turned, sizes, c0, n, c)
        for r0 in range(0, n_padded, ROWS):
            r1 = min(r0 + ROWS, n_padded)
            call(model, slow[r0:r1], c, y[: r1 - r0])
            if r1 > n_rows:
                y[n_rows - r0 : r1 - r0] = 0.0  # padding; not even where 0 * inf is NaN
            for row in range(r0, min(r1, n_rows)):
                y_row = y[row - r0]
                x_at, w_at = entries_at(x, row, c0, n, x_row), pointer(w_row, 0)
                if w.size:
                    w_at = entries_at(w, row, c0, n, w_row)
                if column_effects.size:
                    shift(row_effects[row], column_effects[c0 : c0 + n], y_row)
                if scale.size:
                    copy_entries(scale, row, c0, n, s_row)
                    multiply(s_row, y_row)
                if offset.size:
                    copy_entries(offset, row, c0, n, o_row)
                    add(o_row, y_row)
                call(
                    loss,
                    x_at,
                    w_at,
                    pointer(y_row, 0),
                    pointer(v, 0),
                    pointer(u, 0),
                    pointer(params, 0),
                    width,
                )
                if scale.size:  # derivatives in m, of the loss of s m + o
                    multiply(s_row, y_row)
                    multiply(s_row, u)
                    multiply(s_row, u)
                for k in range(n, width):
                    y_row[k] = v[k] = u[k] = 0.0
                value += total(v)
                if curved:
                    row_sums[row] += total(u)
                    add(u[:n], column_sums[c0 : c0 + n])
                if column_effects.size:
                    row_effect_grad[row] += total(y_row)
                    add(y_row[:n], column_effect_grad[c0 : c0 + n])
            call(add_row_sums, y[: r1 - r0], c, s[r0:r1])
            call(add_column_sums, y[: r1 - r0], slow[r0:r1], g)
        call(add_columns_adjoint, turned, sizes, c0, n, g, grad)
    return value
