"""Compiling ahead of use, for containers and workers."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.simulation import simulate
from gcp.base import checks, processes
from gcp.base.compiler import code_files
from gcp.base.errors import ParameterError
from gcp.base.notes import silence
from gcp.fit import fit_problem
from gcp.kernels.dense import second_derivatives
from gcp.losses import available_losses
from gcp.losses.base import Loss
from gcp.losses.registry import example_loss
from gcp.solvers.pieces import exact_quadratic
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

KINDS = ("dense", "sparse", "observed")

_MOST_MODES = 16


class CompiledAhead(NamedTuple):
    """What `compile_ahead` did.

    Attributes
    ----------
    seconds : float
    n_functions : int
        How many compiled functions are on disk that were not there before.
    folder : pathlib.Path or None
        Where they are; None if no folder can be written to.
    """

    seconds: float
    n_functions: int
    folder: Path | None


def compile_ahead(
    losses: str | Sequence[str] | None = None,
    data: str | Sequence[str] | None = None,
    *,
    n_modes: int = 3,
    n_jobs: int | None = -1,
) -> CompiledAhead:
    """Compile what fits need, and keep it on disk, so that no later fit of any process waits for that.

    Without it the first fit of a kind takes two to five seconds longer on each machine and for each installation.
    In a container, run it when the image is built, and set GCP_CACHE_DIR, if at all, to the same folder then and
    later. It pays on machines with the same processor as the one that it runs on; others compile anew.

    Parameters
    ----------
    losses : str or sequence of str
        Names of losses; None means all.
    data : {"dense", "sparse", "observed"} or sequence of them
        Kinds of data ("observed": only the listed entries are known); None means all.
    n_modes : int
        Number of modes of the data, from 1 to 16. Code for sparse and observed data is for one number of modes each.
    n_jobs : int or None
        Number of processes; None means 1, and -1 as many as there are cores.

    Returns
    -------
    CompiledAhead

    Raises
    ------
    ParameterError
        Unknown names, or a number out of range.

    Notes
    -----
    It fits tiny tensors by the solvers that `fit_gcp` chooses, and by "lbfgsb". The first loss takes some
    seconds for each kind of data, a further one less than a second.

    Examples
    --------
    >>> import gcp
    >>> done = gcp.compile_ahead("poisson", "dense")
    """
    names = _chosen("losses", losses, available_losses())
    kinds = _chosen("data", data, KINDS)
    n_modes, jobs = checks.whole("n_modes", n_modes, most=_MOST_MODES), processes.jobs(n_jobs)
    began, before = time.perf_counter(), code_files.all_kept()
    tasks = [(kind, name, n_modes) for name in names for kind in kinds]
    for _ in processes.each(_compile, tasks, min(jobs, len(tasks))):
        pass
    after = code_files.all_kept()
    folder = next((path.parent for path in after), None)
    return CompiledAhead(time.perf_counter() - began, len(after - before), folder)


def _chosen(argument: str, given: str | Sequence[str] | None, known: Sequence[str]) -> list[str]:
    if given is None:
        return list(known)
    names = [given] if isinstance(given, str) else checks.items(argument, given, "a list of names")
    if not names:
        raise ParameterError(f"{argument}: found an empty list, expected names, or None for all.")
    for name in names:
        if not (isinstance(name, str) and name in known):
            raise ParameterError(
                f"{argument}: found {checks.show(name)}, expected one of {', '.join(sorted(known))}."
            )
    return list(names)


def _compile(kind: str, name: str, n_modes: int) -> None:
    """Fit tiny tensors of a kind under a loss."""
    loss = example_loss(name)
    if kind == "dense":
        exact_quadratic.compile_steps()  # which no fit of two iterations comes to
        second_derivatives.of_factors(np.zeros((1, 1)), np.zeros((1, 1)), [np.ones((1, 1))] * 2)
    solvers = ("auto", "lbfgsb", "plbfgs") if kind == "dense" else ("auto", "lbfgsb")
    for tensor in _tensors(kind, loss, n_modes):
        for solver in solvers:
            options = {"loss": loss, "solver": solver, "n_iter_max": 2, "random_state": 0}
            with warnings.catch_warnings(), silence():
                warnings.simplefilter("ignore")
                fit_problem(*problem_and_plan(tensor, 1, options))


def _tensors(kind: str, loss: Loss, n_modes: int) -> Iterator[Any]:
    """Yield tensors of a kind in the loss's domain: of real numbers, and of integers if all of them are whole."""
    shape = (3,) * min(n_modes, 5) + (1,) * (n_modes - 5)
    try:
        values = np.asarray(simulate(shape, 1, loss, random_state=0)[0].values, float)
    except ParameterError:  # a loss that is no distribution
        values = np.asarray(simulate(shape, 1, "gaussian", random_state=0)[0].values, float)
        values = np.abs(values) if loss.data_domain.low >= 0 else values
    if kind == "sparse" and not loss.data_domain.contains(0.0):
        return
    is_whole = bool(np.all(values == np.round(values)))
    for own in (values, values.astype(np.int64)) if is_whole else (values,):
        if kind == "dense":
            yield DenseTensor(own)
        elif kind == "sparse":
            subs = np.argwhere(own)
            yield SparseTensor(subs, own[tuple(subs.T)], shape)
        else:
            yield ObservedTensor(np.argwhere(np.ones(shape)), own.ravel(), shape)
