"""The fused pass: model, loss, derivative and all sums, one small block at a time.

The data are a matrix of `n_rows` slow and many fast positions. For one tile of columns the fast side's Khatri-Rao
columns and their gradient stay in the second-level cache while all rows go by, a few at a time: a block of the model
is made, turned into the derivative in place, and folded into both sides before it leaves the first-level cache.
"""

from __future__ import annotations

from functools import lru_cache

from gcp.kernels.shared import compiled_formulas, linked, prefetch, products
from gcp.kernels.shared.compiled_formulas import Function, inlined

ROWS = 16
"""Rows in a block."""

AHEAD = 8
"""Rows between what is computed and what is fetched from memory."""

ROW_BYTES = 2048
"""Size of a tile's row, at most; a multiple of 32 numbers."""


@lru_cache(maxsize=32)
def compiled_pass(*, weighted: bool, scaled: bool, shifted: bool, curved: bool, direct: bool) -> Function:
    """Return the compiled pass, which holds no lock of the interpreter: threads run side by side.

    Its arguments: `linked.addresses`; the address of `loss_of_row` and its parameters; (data and weights, each as a
    flat array and the distance between its rows, the same of scales and offsets as a tuple, numbers added to the
    model of each row, and of each column: no numbers at all if there are none); the slow side's Khatri-Rao rows
    (padded) and their true number; (transposed stack of the fast factors, their sizes, first and last column, width
    of a tile); and the outputs to which it adds: (sums for the slow side, gradient of the fast factors, sums of
    curvature weights of rows, and of columns, sums of derivatives of rows, and of columns). It returns the value.
    Slow side, fast side and parameters are all float32 or all float64: the type of the arithmetic.

    Parameters
    ----------
    weighted, scaled, shifted : bool
        Whether entries have weights, scales and offsets: code for those that are absent is not compiled.
    curved : bool
        Whether the curvature weights are summed.
    direct : bool
        Whether the data and weights have the type of the arithmetic, so that whole tiles need no copy.
    """
    variant = {"weighted": weighted, "scaled": scaled, "shifted": shifted, "curved": curved, "direct": direct}
    identity = compiled_formulas.identity((), **variant)
    return compiled_formulas.cached(_pass_function(**variant), identity)


def _entries_at(direct: bool) -> Function:
    """Return a function that gives a pointer to n entries of a column, in whole vectors of the arithmetic's type.

    They are those in memory, or a copy in `row` where these would not do. Those of a later row are asked for.
    """
    pointer, prefetch_run, copied = linked.pointer, prefetch.run_of, products.copied

    def entries_at(column, first, step, n, row):  # type: ignore[no-untyped-def]
        prefetch_run(column, first + AHEAD * step, n)
        if direct and n == row.size:
            return pointer(column, first)
        return pointer(copied(column[first : first + n], row), 0)

    return inlined(entries_at, False)


def _pass_function(weighted: bool, scaled: bool, shifted: bool, curved: bool, direct: bool) -> Function:
    """Return the loops over tiles of columns and blocks of rows."""
    call, pointer, entries_at = linked.call, linked.pointer, _entries_at(direct)
    blank, total = products.blank, products.total
    add, shift, multiply = products.add, products.shift, products.multiply

    def run(functions, loss, params, data, slow, n_rows, fast, outputs):  # type: ignore[no-untyped-def]
        model, add_row_sums, add_column_sums, columns, add_columns_adjoint = functions
        x, x_step, w, w_step, (scale, scale_step, offset, offset_step), row_effects, column_effects = data
        turned, sizes, first, last, tile = fast
        s, grad, row_sums, column_sums, row_effect_grad, column_effect_grad = outputs
        has_effects = column_effects.size > 0
        rank, n_padded = slow.shape[1], slow.shape[0]
        value = 0.0
        for c0 in range(first, last, tile):
            n = min(tile, last - c0)
            width = (n + 31) // 32 * 32  # no remainder for the vector loops
            c, g, y = blank(rank, width, slow), blank(rank, width, slow), blank(ROWS, width, slow)
            rows = blank(4, width, slow)
            x_row, w_row, v, u = rows[0], rows[1], rows[2], rows[3]
            g[:] = 0.0
            x_row[:], w_row[:] = 1.0, 0.0
            call(columns, turned, sizes, c0, n, c)
            for r0 in range(0, n_padded, ROWS):
                r1 = min(r0 + ROWS, n_padded)
                block = y[: r1 - r0]
                call(model, slow[r0:r1], c, block)
                if r1 > n_rows:
                    y[n_rows - r0 : r1 - r0] = 0.0  # padding; not even where 0 * inf is NaN
                for row in range(r0, min(r1, n_rows)):
                    y_row = y[row - r0]
                    x_at = entries_at(x, row * x_step + c0, x_step, n, x_row)
                    w_at = entries_at(w, row * w_step + c0, w_step, n, w_row) if weighted else x_at
                    if has_effects:
                        shift(row_effects[row], column_effects[c0 : c0 + n], y_row)
                    s_at, o_at = row * scale_step + c0, row * offset_step + c0
                    if scaled:
                        multiply(scale[s_at : s_at + n], y_row)
                    if shifted:
                        add(offset[o_at : o_at + n], y_row)
                    y_at, v_at, u_at = pointer(y_row, 0), pointer(v, 0), pointer(u, 0)
                    call(loss, x_at, w_at, y_at, v_at, u_at, pointer(params, 0), width)
                    if scaled:  # derivatives in m, of the loss of s m + o
                        multiply(scale[s_at : s_at + n], y_row)
                        if curved:
                            multiply(scale[s_at : s_at + n], u)
                            multiply(scale[s_at : s_at + n], u)
                    for k in range(n, width):
                        y_row[k] = v[k] = u[k] = 0.0
                    value += total(v)
                    if curved:
                        row_sums[row] += total(u)
                        add(u[:n], column_sums[c0 : c0 + n])
                    if has_effects:
                        row_effect_grad[row] += total(y_row)
                        add(y_row[:n], column_effect_grad[c0 : c0 + n])
                call(add_row_sums, block, c, s[r0:r1])
                call(add_column_sums, block, slow[r0:r1], g)
            call(add_columns_adjoint, turned, sizes, c0, n, g, grad)
        return value

    return run
