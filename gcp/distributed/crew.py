"""Parts on the workers of a Dask cluster."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from functools import lru_cache
from typing import Any, Self

import cloudpickle
import numpy as np
from distributed import Client, Future, KilledWorker
from distributed.comm import CommClosedError

from gcp._typing import Array, FloatArray
from gcp.errors import FitError
from gcp.tensors.base import TensorData
from gcp.tensors.crews import FAN, Facts, Partial, added, facts_of

_ATTEMPTS = 5
"""Evaluations after which lost workers are nobody's accident any more."""

_PAUSES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds before the cluster is asked again."""

_LOST = "Workers were lost again and again: see the cluster's log; they may lack memory."

_EMBEDDED = 1 << 16
"""Bytes of factors that travel with each task; more go to one worker, and from there to the others."""


def n_threads(client: Client) -> int:
    """Threads of all workers, at least 1; waits for the first worker."""
    client.wait_for_workers(1)
    return max(1, sum(client.nthreads().values()))


class DaskCrew:
    """Workers that hold the parts of a tensor.

    Parameters
    ----------
    client : distributed.Client
    publish : sequence of callable
        ``publish[k]()`` is a future of part k on some worker: called once, and again if the part is lost.

    Notes
    -----
    An evaluation sends the factors to the workers, and has one task for each part, on a single thread, and one for
    every eight of their sums; rows of the mode that is cut come from their parts straight. The sums are added in the
    same order whoever computes them. Where a worker is lost, its parts are published anew, and what was not finished
    is computed again.
    """

    is_resident = True

    def __init__(self, client: Client, publish: Sequence[Callable[[], Future]]) -> None:
        self.client, self.publish = client, list(publish)
        self.n_parts = len(self.publish)
        self.parts = [self._patiently(own) for own in self.publish]
        self.n_workers = len(client.nthreads())
        self.start_account()

    def start_account(self) -> None:
        """Count from here on."""
        self.n_evaluations, self.bytes_out, self.bytes_back, self.bytes_between = 0, 0, 0, 0

    @classmethod
    def sent(cls, client: Client, parts: Sequence[TensorData]) -> Self:
        """From parts in this process, which keeps them."""

        def publisher(k: int) -> Callable[[], Future]:
            def send() -> Future:
                client.wait_for_workers(1)
                workers = sorted(client.nthreads())
                if not workers:
                    raise TimeoutError("the worker that came has gone again")
                return client.scatter(parts[k], workers=[workers[k % len(workers)]], hash=False)

            return send

        return cls(client, [publisher(k) for k in range(len(parts))])

    def account(self) -> dict[str, Any]:
        """Evaluations, and the bytes of arrays that each moved on average: to workers, among them, and back."""
        n = max(1, self.n_evaluations)
        moved = {"out": self.bytes_out, "between": self.bytes_between, "back": self.bytes_back}
        return {"workers": self.n_workers, "evaluations": self.n_evaluations} | {
            f"bytes_{name}": round(total / n) for name, total in moved.items()
        }

    def facts(self) -> list[Facts]:
        """From the workers."""
        return self.map(facts_of, (), [None] * self.n_parts)

    def map(self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any]) -> list[Any]:
        """On the workers, each where its part is."""
        text = cloudpickle.dumps((function, fixed))

        def submit() -> list[Future]:
            return [
                self.client.submit(_call, text, part, mine, pure=False)
                for part, mine in zip(self.parts, own, strict=True)
            ]

        return self._gathered(submit)

    def total(
        self,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        shared: Any,
        own: Sequence[Any],
        threads: int,
    ) -> tuple[list[FloatArray], list[list[FloatArray]]]:
        """On the workers; sums are added up there as well. Each part has one thread, whatever `threads`."""
        text = cloudpickle.dumps((function, fixed))

        def submit() -> list[Future]:
            to_all = shared
            if n_bytes(shared) > _EMBEDDED:
                # A task, unlike what is scattered, is repeated if its worker is lost.
                to_all = self.client.submit(_same, shared, pure=False)
            found = [
                self.client.submit(_call_total, text, part, to_all, mine, pure=False)
                for part, mine in zip(self.parts, own, strict=True)
            ]
            if len(found) <= FAN:
                return found
            rows = [self.client.submit(_second, one, pure=False) for one in found]
            level = [self.client.submit(_first, one, pure=False) for one in found]
            while len(level) > FAN:
                groups = [level[k : k + FAN] for k in range(0, len(level), FAN)]
                level = [self.client.submit(_added, *group, pure=False) for group in groups]
            return [*level, *rows]

        found = self._gathered(submit)
        if self.n_parts <= FAN:
            tops, rows = [one[0] for one in found], [one[1] for one in found]
        else:
            tops, rows = found[: -self.n_parts], found[-self.n_parts :]
        self._count(shared, own, tops, rows)
        return _added(*tops), rows

    def _gathered(self, submit: Callable[[], list[Future]]) -> list[Any]:
        """The results of what is submitted; again, with lost parts published anew, if workers were lost."""
        for _ in range(_ATTEMPTS):
            futures = self._patiently(submit)
            try:
                return self.client.gather(futures)
            except (KilledWorker, CancelledError, TimeoutError, CommClosedError):
                for k, part in enumerate(self.parts):
                    if part.status != "finished" or not self._is_held(part):
                        self.parts[k] = self._patiently(self.publish[k])
        raise FitError(_LOST)

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """What is asked of the cluster, where workers may be lost, and come back, in the meantime."""
        for pause in _PAUSES:
            try:
                return ask()
            except (OSError, KeyError, TimeoutError, CancelledError):  # of a worker that has just gone
                time.sleep(pause)
                self.client.wait_for_workers(1)
        raise FitError(_LOST)

    def _is_held(self, part: Future) -> bool:
        try:
            return bool(self.client.who_has([part]).get(part.key))
        except CancelledError:
            return False

    def _count(self, shared: Any, own: Sequence[Any], tops: Any, rows: Any) -> None:
        n_workers = min(self.n_parts, self.n_workers)
        self.n_evaluations += 1
        is_embedded = n_bytes(shared) <= _EMBEDDED
        self.bytes_out += (self.n_parts if is_embedded else 1) * n_bytes(shared) + n_bytes(own)
        self.bytes_back += n_bytes(tops) + n_bytes(rows)
        self.bytes_between += max(0, n_workers - len(tops)) * n_bytes(tops[0])
        self.bytes_between += 0 if is_embedded else (n_workers - 1) * n_bytes(shared)


def n_bytes(arrays: Any) -> int:
    """Of all arrays in nested lists and tuples."""
    if isinstance(arrays, np.ndarray):
        return arrays.nbytes
    return sum(n_bytes(item) for item in arrays) if isinstance(arrays, list | tuple) else 0


@lru_cache(maxsize=64)
def _loaded(text: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A function and its arguments; the same objects for the same text, so that formulas are compiled once."""
    function, fixed = pickle.loads(text)
    return function, fixed


def _call(text: bytes, part: TensorData, mine: Any) -> Any:
    function, fixed = _loaded(text)
    return function(part, *fixed, mine)


def _call_total(text: bytes, part: TensorData, shared: Any, mine: Any) -> Partial:
    function, fixed = _loaded(text)
    found: Partial = function(part, *fixed, shared, mine, 1)
    return found


def _same(arrays: Any) -> Any:
    return arrays


def _first(found: Partial) -> list[Array]:
    return found[0]


def _second(found: Partial) -> list[Array]:
    return found[1]


def _added(*sums: list[FloatArray]) -> list[FloatArray]:
    total = sums[0]
    for more in sums[1:]:
        total = added(total, more)
    return total
