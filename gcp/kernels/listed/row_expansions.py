"""Second-order expansions of the objective in the rows of a factor, about the rows as they are."""

from __future__ import annotations

import numpy as np

from gcp.base import threads
from gcp.base.compiler.jit import jit
from gcp.base.types import FloatArray
from gcp.kernels.listed import row_algebra, row_objective
from gcp.kernels.listed.entry_runs import N_RUNS, contiguous
from gcp.kernels.listed.row_objective import RowProblem
from gcp.kernels.listed.row_steps import Group
from gcp.kernels.shared import per_entry
from gcp.kernels.shared.columns_by_address import addressed
from gcp.kernels.shared.per_entry import RUN
from gcp.kernels.shared.products import FASTMATH
from gcp.losses.formula import Formula


def expand(
    group: Group,
    problem: RowProblem,
    own: FloatArray,
    formula: Formula,
    zero: tuple[float, float],
    *,
    n_threads: int,
) -> tuple[FloatArray, FloatArray]:
    """Return the gradient in every row of a mode, shape (I_mode, width), and its curvature (I_mode, width, width).

    Arguments are those of `row_steps.update`; the curvature of the loss is the size of its second derivative, and
    only the lower triangles hold it. It costs what a step does.
    """
    function = per_entry.address(formula, np.dtype(float), formula.d2f)
    tools = row_algebra.addresses()
    numbers = np.array(formula.params, float), np.array(zero, float)
    columns = contiguous(group.columns, group.z)  # must live as long as their addresses
    places = addressed(columns, np.dtype(float))
    gradient, curvature = np.zeros(own.shape), np.zeros((*own.shape, own.shape[1]))
    parts = row_objective.parts(group.first, problem.size, n_threads)
    tasks = iter(parts)

    def work(_: int) -> None:
        for rows in tasks:
            _expand_rows(
                (function, tools[0]),
                (group.first, group.subs, places),
                rows,
                own.reshape(-1),
                (problem.stack.reshape(-1), problem.effects, group.offsets),
                problem[2:],
                numbers,
                (gradient.reshape(-1), curvature.reshape(-1)),
            )

    threads.run_all(work, range(min(n_threads, len(parts))))
    return gradient, curvature


@jit(fastmath=FASTMATH)
def _expand_rows(functions, entries, part, own, others, common, numbers, out):  # type: ignore[no-untyped-def]
    first, columns = entries[0], entries[1:]
    linear, quadratic, scales, ridges, centres, size, slopes, blocks = common
    width = linear.shape[1]
    held = np.zeros((2, row_objective.HELD * width))
    runs = np.ones(N_RUNS * RUN)
    small = np.zeros((3, width))
    ridge, centre, c = small[0], small[1], small[2]
    p = np.zeros((width, width))
    value = 0.0
    for i in range(part[0], part[1]):
        a = own[i * width : (i + 1) * width]
        g, h = out[0][i * width : (i + 1) * width], out[1][i * width * width : (i + 1) * width * width]
        at_ridge, at_centre = i if ridges.shape[0] > 1 else 0, i if centres.shape[0] > 1 else 0
        for r in range(width):
            ridge[r], centre[r] = ridges[at_ridge, r], centres[at_centre, r]
        row_objective.of_row(i, linear, quadratic, scales, slopes, blocks, c, p)
        value += row_objective.own_part(a, c, p, ridge, centre, g, h)
        span = first[i], first[i + 1]
        value += row_objective.entries_part(
            functions[0], functions[1], columns, span, a, others, size, numbers, held, runs, g, h
        )
    return value
