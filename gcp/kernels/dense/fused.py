"""The fused pass, compiled from a loss's formula: model, loss, derivative and all sums, one small block at a time.

The data are a matrix of `n_rows` slow and many fast positions. For one tile of columns the fast side's Khatri-Rao
columns and their gradient stay in the second-level cache while all rows go by, a few at a time: a block of the model
is made, turned into the derivative in place, and folded into both sides before it leaves the first-level cache.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from gcp.kernels.shared import compiled_formulas, linked, prefetch, products
from gcp.kernels.shared.compiled_formulas import Function, inlined
from gcp.losses.formula import Formula

ROWS = 16
"""Rows in a block."""

AHEAD = 8
"""Rows between what is computed and what is fetched from memory."""

ROW_BYTES = 2048
"""Size of a tile's row, at most; a multiple of 32 numbers."""


def compiled_pass(
    formula: Formula,
    dtype: np.dtype[Any],
    *,
    weighted: bool,
    scaled: bool,
    shifted: bool,
    curved: bool,
    direct: bool,
) -> Function:
    """Return the compiled pass of a formula, which holds no lock of the interpreter: threads run side by side.

    Its arguments: `linked.addresses`; (data and weights, each as a flat array and the distance between its rows, the
    same of scales and offsets as a tuple, numbers added to the model of each row, and of each column: no numbers at
    all if there are none); the slow side's Khatri-Rao rows (padded) and their true number; (transposed stack of the
    fast factors, their sizes, first and last column, width of a tile); the formula's parameters; and the outputs to
    which it adds: (sums for the slow side, gradient of the fast factors, sums of curvature weights of rows, and of
    columns, sums of derivatives of rows, and of columns). It returns the value.

    Parameters
    ----------
    formula : Formula
    dtype : dtype
        float32 or float64: the type of the arithmetic, and of the slow side, the fast side and the parameters.
    weighted, scaled, shifted : bool
        Whether entries have weights, scales and offsets: code for those that are absent is not compiled.
    curved : bool
        Whether the curvature weights are summed.
    direct : bool
        Whether the data and weights have the type of the arithmetic, so that whole tiles need no copy.
    """
    third = (formula.weight or formula.d2f) if curved else None
    return _compiled(formula.f, formula.df, third, dtype == np.float32, weighted, scaled, shifted, direct)


@lru_cache(maxsize=256)
def _compiled(
    f: Function,
    df: Function,
    weight: Function | None,
    single: bool,
    weighted: bool,
    scaled: bool,
    shifted: bool,
    direct: bool,
) -> Function:
    variant = {"weighted": weighted, "scaled": scaled, "shifted": shifted, "direct": direct}
    identity = compiled_formulas.identity((f, df, weight), single=single, **variant)
    value, deriv = inlined(f, single), inlined(df, single)
    curvature = None if weight is None else inlined(weight, single)
    row = inlined(_row_function(value, deriv, curvature, weighted), single)
    if scaled or shifted:
        row = inlined(_of_affine(row, weight is not None, scaled, shifted), False)
    return compiled_formulas.cached(_pass_function(row, weight is not None, weighted, direct), identity)


def _row_function(value: Function, deriv: Function, curvature: Function | None, weighted: bool) -> Function:
    """Return the loop over one row: y becomes the weighted derivative, v the loss, u the curvature weight.

    Rows are arrays of `products.blank`.
    """

    def plain(x, w, y, v, u, params, place):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)

    def with_weights(x, w, y, v, u, params, place):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            a = w[k] * value(x[k], m, *params)
            b = w[k] * deriv(x[k], m, *params)
            v[k] = a if w[k] != 0.0 else 0.0  # a select, so that NaN under weight 0 does not spread
            y[k] = b if w[k] != 0.0 else 0.0

    if curvature is None:
        return with_weights if weighted else plain

    def curved(x, w, y, v, u, params, place):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            v[k] = value(x[k], m, *params)
            y[k] = deriv(x[k], m, *params)
            u[k] = max(curvature(x[k], m, *params), 0.0)

    def curved_with_weights(x, w, y, v, u, params, place):  # type: ignore[no-untyped-def]
        for k in range(y.size & -32):
            m = y[k]
            a = w[k] * value(x[k], m, *params)
            b = w[k] * deriv(x[k], m, *params)
            c = w[k] * max(curvature(x[k], m, *params), 0.0)
            v[k] = a if w[k] != 0.0 else 0.0
            y[k] = b if w[k] != 0.0 else 0.0
            u[k] = c if w[k] != 0.0 else 0.0

    return curved_with_weights if weighted else curved


def _of_affine(row_function: Function, curved: bool, scaled: bool, shifted: bool) -> Function:
    """Return the loop over a row whose loss is of s m + o; what it gives are derivatives in m.

    `place` holds the scales and offsets, the row's number, its first column and how many there are.
    """

    def affine(x, w, y, v, u, params, place):  # type: ignore[no-untyped-def]
        (scale, scale_step, offset, offset_step), row, first, n = place
        s_first, o_first = row * scale_step + first, row * offset_step + first
        for k in range(n):
            if scaled:
                y[k] *= scale[s_first + k]
            if shifted:
                y[k] += offset[o_first + k]
        row_function(x, w, y, v, u, params, place)
        for k in range(n if scaled else 0):
            y[k] *= scale[s_first + k]
            if curved:
                u[k] *= scale[s_first + k] * scale[s_first + k]

    return affine


def _pass_function(row_function: Function, curved: bool, weighted: bool, direct: bool) -> Function:
    """Return the loops over tiles of columns and blocks of rows around the loop over a row."""
    call, prefetch_run = linked.call, prefetch.run_of
    blank, copied, add, total = products.blank, products.copied, products.add, products.total

    def run(functions, data, slow, n_rows, fast, params, outputs):  # type: ignore[no-untyped-def]
        model, add_row_sums, add_column_sums, columns, add_columns_adjoint = functions
        x, x_step, w, w_step, others, row_effects, column_effects = data
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
            x_row[:] = 1.0
            w_row[:] = 0.0
            call(columns, turned, sizes, c0, n, c)
            for r0 in range(0, n_padded, ROWS):
                r1 = min(r0 + ROWS, n_padded)
                block = y[: r1 - r0]
                call(model, slow[r0:r1], c, block)
                if r1 > n_rows:
                    y[n_rows - r0 : r1 - r0] = 0.0  # padding; not even where 0 * inf is NaN
                for row in range(r0, min(r1, n_rows)):
                    prefetch_run(x, (row + AHEAD) * x_step + c0, n)
                    x_here, w_here = x[row * x_step + c0 : row * x_step + c0 + n], w_row
                    if not direct or n < width:
                        x_here = copied(x_here, x_row)
                    if weighted:
                        prefetch_run(w, (row + AHEAD) * w_step + c0, n)
                        w_here = w[row * w_step + c0 : row * w_step + c0 + n]
                        if not direct or n < width:
                            w_here = copied(w_here, w_row)
                    y_row = y[row - r0]
                    if has_effects:
                        here = row_effects[row]
                        for k in range(n):
                            y_row[k] += here + column_effects[c0 + k]
                    row_function(x_here, w_here, y_row, v, u, params, (others, row, c0, n))
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
