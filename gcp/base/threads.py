"""Threads around our own blocks, with the BLAS libraries held to one thread each meanwhile.

A kernel runs its own threads over blocks; a multi-threaded BLAS inside them would only fight for the same cores.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

from gcp.base.errors import ParameterError

T = TypeVar("T")
A = TypeVar("A")


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resolve(n_threads: int | None) -> int:
    """Return the number of threads that `n_threads` asks for; None means all cores of the process."""
    if n_threads is None:
        return available_cores()
    if isinstance(n_threads, bool) or not isinstance(n_threads, int | np.integer) or n_threads < 1:
        raise ParameterError(f"n_threads must be a positive integer or None: found {n_threads!r}.")
    return int(n_threads)


def split_range(n: int, parts: int) -> list[tuple[int, int]]:
    """Cut 0 ... n into runs whose lengths differ by at most 1."""
    cuts = [n * k // parts for k in range(parts + 1)]
    return list(pairwise(cuts))


class _Limit:
    """A limit on the threads of the BLAS libraries, which all threads of the process have in common.

    The first who asks for it sets it, the last who leaves takes it back: fits overlap where they run in several
    threads.
    """

    def __init__(self) -> None:
        self.lock, self.n_holders = threading.Lock(), 0
        self.before: list[int] = []

    @contextmanager
    def held(self) -> Iterator[None]:
        with self.lock:
            if not self.n_holders:
                self.before = [library.get_num_threads() for library in _blas()]
                _set_threads([1] * len(self.before))
            self.n_holders += 1
        try:
            yield
        finally:
            with self.lock:
                self.n_holders -= 1
                if not self.n_holders:
                    _set_threads(self.before)


def _set_threads(numbers: Sequence[int]) -> None:
    """Set the threads of the BLAS libraries, whichever thread set them before.

    threadpoolctl, from 3.8, would let that one alone.
    """
    for library, number in zip(_blas(), numbers, strict=True):
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(number)
        release(force=True)


_LIMIT = _Limit()


def single_threaded_blas() -> AbstractContextManager[None]:
    """Limit the BLAS libraries to one thread: vector work between evaluations is too small for more."""
    return _LIMIT.held()


def run_all(work: Callable[[A], T], items: Sequence[A]) -> list[T]:
    """Return `work` of every item, one thread an item, in the items' order."""
    if len(items) == 1:
        return [work(items[0])]
    others = [_pool(os.getpid(), len(items) - 1).submit(work, item) for item in items[1:]]
    try:  # the caller works too: it would only wait, and a woken thread finds a free core sooner
        first = work(items[0])
    finally:
        wait(others)
    return [first, *(other.result() for other in others)]


def each(work: Callable[[A], T], items: Iterable[A], n_threads: int) -> Iterator[T]:
    """Yield `work` of every item, in the items' order; a few items at a time are made, and worked on in threads."""
    if n_threads == 1:
        yield from map(work, items)
        return
    pool, running = _pool(os.getpid(), n_threads), deque[Future[T]]()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > 2 * n_threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        wait(running)


@lru_cache(maxsize=1)
def _blas() -> list[Any]:
    import scipy.linalg  # noqa: F401  both BLAS libraries must be loaded to be found

    return ThreadpoolController().select(user_api="blas").lib_controllers


@lru_cache(maxsize=4)
def _pool(pid: int, size: int) -> ThreadPoolExecutor:
    """Return threads kept between evaluations; a forked process gets its own."""
    return ThreadPoolExecutor(size, thread_name_prefix="gcp")
