"""Compiling in several processes where nothing is compiled yet.

Numba compiles on one core at a time. What a fit is about to need falls into pieces: the passes over its data, and the
inner part of its solver. Where a piece is not on disk, another process compiles it in the meantime, and the fit waits
for what that process is at when it gets there (`kernels.shared.code_files`). Whatever goes wrong with the other
process, the fit compiles for itself.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import config

from gcp.base import locks, threads
from gcp.base.types import FloatArray
from gcp.kernels.listed import row_steps
from gcp.kernels.shared import code_files, linked, products
from gcp.kernels.shared.jit import DISABLED
from gcp.losses import available_losses
from gcp.objectives.build import build_objective
from gcp.objectives.views.curvature import GaussNewton
from gcp.solvers.als import ALS
from gcp.solvers.auto import Auto
from gcp.solvers.pieces import box_quadratic, gauss_newton, normal_equations
from gcp.solvers.pieces.blocks import Blocks
from gcp.solvers.plbfgs import PreconditionedLBFGS
from gcp.solvers.row_newton import RowNewton
from gcp.solvers.sampled_row_newton import SampledRowNewton
from gcp.solvers.starts.search import Search
from gcp.tensors.observed import ObservedTensor


def _ones(n_modes: int) -> list[FloatArray]:
    return [np.ones((2, 1)) for _ in range(n_modes)]


def _quadratic(loss: str, n_modes: int) -> None:
    """Compile quadratic models, but for what they call by address: the one that is minimised has no variables."""
    factors, none, matrix = _ones(n_modes), np.zeros(0), np.zeros((0, 0))
    blocks = Blocks.of(factors)
    curvature = GaussNewton.of(factors, [np.ones(2)] * n_modes)
    form, small, *_ = gauss_newton.build(curvature, np.ones(n_modes), blocks, (0, 0, 0))
    empty = form._replace(
        starts=form.starts[:1],
        block_of=form.block_of[:0],
        within=form.within[:0],
        across=form.across[:0, :0],
        ridge=form.ridge[:0],
    )
    model, scratch = (
        (empty, matrix, matrix, 0.0, none, small[:0], none),
        np.zeros((box_quadratic.N_SCRATCH, 0)),
    )
    box_quadratic.minimize(model, none, none, none, True, scratch)
    gauss_newton.products_of_rows(empty, matrix, np.zeros((0, 1, 0)))


def _least_squares(loss: str, n_modes: int) -> None:
    objective = build_objective(np.ones((2,) * n_modes), "gaussian")
    start, starts = np.ones((1, 2 * n_modes)), 2 * np.arange(n_modes + 1)
    grams = normal_equations.all_grams(start, starts)
    group, free, ridges = np.array([0]), np.ones(n_modes, bool), np.zeros((n_modes, 1))
    normal_equations.update(np.ones((1, 2)), group, free, start, starts, grams, ridges, np.zeros((1, 0)), 0.0)
    normal_equations.balance(start, starts, free, grams)
    for side in objective.tensor.sides:
        objective.least_squares().contract(side, _ones(n_modes), np.empty((1, 2 ** len(side))))


def _rows(loss: str, n_modes: int) -> None:
    row_steps.compile_steps(n_modes)
    tensor = ObservedTensor(np.zeros((1, n_modes), int), np.ones(1), (2,) * n_modes)
    wide = np.full((1, 1), np.inf)
    build_objective(tensor, loss).row_wise().update(0, _ones(n_modes), -wide, wide, 1.0)


def _dense(loss: str, n_modes: int) -> None:
    for function, kinds in reversed(linked.FUNCTIONS.items()):  # a fit begins at the other end
        linked.address(function, kinds, np.dtype(float))


class _Piece(NamedTuple):
    compile: Callable[[str, int], None]
    last: Any
    """The function that is compiled last."""


_PIECES = {
    "quadratic": _Piece(_quadratic, box_quadratic.minimize),
    "least squares": _Piece(_least_squares, normal_equations.balance),
    "rows": _Piece(_rows, row_steps._update_rows),
    "dense": _Piece(_dense, products.model),
}
_OF_METHOD = {
    ALS: "least squares",
    PreconditionedLBFGS: "quadratic",
    RowNewton: "rows",
    SampledRowNewton: "rows",
}


def compile_beside(search: Search) -> None:
    """Let another process compile what a fit is about to need and is not on disk, beside what this one does."""
    if not _can():
        return
    solver, objective = search.solver, search.objective
    method = solver.method(objective, search.problem.bounds) if isinstance(solver, Auto) else solver
    is_dense = objective.tensor.parts is None and objective.tensor.has_marginals
    wanted = [_OF_METHOD.get(type(method), ""), "dense" if is_dense else ""]
    missing = [name for name in wanted if name and _is_wanted(_PIECES[name].last)]
    if missing:
        loss = search.problem.loss.name
        known = loss if loss in available_losses() else "gaussian"
        with suppress(OSError, RuntimeError):  # no process, or no thread, is to be had
            _start([known, str(len(objective.tensor.shape)), *missing])


def _is_wanted(function: Any) -> bool:
    return not function.signatures and code_files.is_wanted(function)


def _can() -> bool:
    """Return whether another process can be started that helps."""
    is_python = os.path.basename(sys.executable or "").lower().startswith(("python", "pypy"))
    return not DISABLED and locks.exist() and is_python and threads.available_cores() > 1


def _start(arguments: list[str]) -> None:
    path = str(Path(__file__).parents[3])
    code = f"import sys; sys.path.insert(0, {path!r}); from {__name__} import work; work(sys.argv[1:])"
    cache = {"NUMBA_CACHE_DIR": config.CACHE_DIR} if config.CACHE_DIR else {}
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=os.environ | cache,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(process.terminate)
    threading.Thread(target=process.wait, daemon=True).start()  # so that the system forgets it when it ends


def work(arguments: list[str]) -> None:
    """Compile pieces, given by name after that of a loss and a number of modes."""
    loss, n_modes, *names = arguments
    for name in names:
        _PIECES[name].compile(loss, int(n_modes))
