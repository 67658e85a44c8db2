"""Many fits side by side, in processes of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from gcp.base import checks, signals, threads
from gcp.base.errors import ParameterError

_MOST_JOBS = 10_000


def jobs(n_jobs: int | None) -> int:
    """Return the number of processes: None is 1, and -1 as many as this process may use cores.

    Raises
    ------
    ParameterError
        Anything else that is not a whole number from 1 on.
    """
    if n_jobs is None:
        return 1
    if isinstance(n_jobs, int | np.integer) and n_jobs == -1:
        return threads.resolve(None)
    try:
        return checks.whole("n_jobs", n_jobs, most=_MOST_JOBS)
    except ParameterError:
        raise ParameterError(
            f"n_jobs must be a whole number from 1 to {_MOST_JOBS}, or -1 for all cores: found {n_jobs!r}."
        ) from None


def threads_of_each(n_jobs: int, n_threads: int | None) -> int | None:
    """Return the number of threads that a fit takes, so that all together take the cores once."""
    if n_threads is not None or n_jobs == 1:
        return n_threads
    return max(1, threads.resolve(None) // n_jobs)


def each(function: Callable[..., Any], tasks: Iterable[tuple[Any, ...]], n_jobs: int) -> Iterator[Any]:
    """Yield the function's values for each task, in their order, as soon as they are there."""
    if n_jobs == 1:
        for task in tasks:
            yield function(*task)
        return
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    run = Parallel(n_jobs=n_jobs, backend="loky", return_as="generator", pre_dispatch=n_jobs)
    try:
        yield from run(delayed(_undisturbed)(function, task) for task in tasks)
    except KeyboardInterrupt:
        get_reusable_executor().shutdown(wait=False, kill_workers=True)
        raise


def _undisturbed(function: Callable[..., Any], task: tuple[Any, ...]) -> Any:
    """Return the function's value in a process that leaves Ctrl-C to the first one, which ends the others."""
    signals.ignore_interrupts()
    return function(*task)
