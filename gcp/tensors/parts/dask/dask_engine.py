"""Parts on the workers of a Dask cluster."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from functools import lru_cache, partial
from typing import Any, Self

import cloudpickle
import numpy as np
from distributed import Client, Future, KilledWorker, wait
from distributed.comm import CommClosedError

from gcp.base.errors import FitError
from gcp.base.types import Array, FloatArray
from gcp.tensors.base import TensorData
from gcp.tensors.parts.dask.clients import check_connected, threads_of
from gcp.tensors.parts.dask.placement import crossings, rebalanced, sums_of
from gcp.tensors.parts.local_engine import FAN, Facts, Partial, added, facts_of

_ATTEMPTS = 5
"""Evaluations after which lost workers are nobody's accident any more."""

_PAUSES = (0.1, 0.3, 1.0, 3.0, 10.0)
"""Seconds before the cluster is asked again."""

_WATCH = 1.0
"""Seconds of waiting for results after which it is asked whether the workers still live."""

_SHARE = 30.0
"""Seconds of evaluations after which workers that have come get their share of the parts."""

_PATIENCE = 60.0
"""Seconds for which a fit waits for a worker to come back when all have gone."""

_NO_SCHEDULER = "The scheduler is gone, or cannot be reached any more: see its log."

_LOST = "Workers were lost again and again, or none came back: see the cluster's log; they may lack memory."

_EMBEDDED = 1 << 16
"""Bytes of factors that travel with each task; more go to one worker, and from there to the others."""

_LARGE = 1 << 20
"""Bytes of factors of which Dask might warn."""


class DaskEngine:
    """Workers that hold the parts of a tensor.

    Parameters
    ----------
    client : distributed.Client
    n_parts : int
    publish : callable
        ``publish(numbers)`` gives futures of these parts on some workers: called once, and again for lost parts.

    Notes
    -----
    An evaluation sends the factors to the workers, and has one task for each part, where the part is, on a single
    thread, and one for every eight of their sums; rows of the mode that is cut come from their parts straight. The
    sums are added in the same order whoever computes them. Where a worker is lost, its parts are published anew, and
    what was not finished is computed again; where one comes, it takes over its share of the parts.
    """

    is_resident = True
    is_local = False

    def __init__(
        self, client: Client, n_parts: int, publish: Callable[[Sequence[int]], list[Future]]
    ) -> None:
        self.client, self.n_parts, self.publish = client, n_parts, publish
        self.parts: list[Future] = self._patiently(lambda: publish(range(n_parts)))
        self._patiently(self._settle)
        self.start_account()

    def start_account(self) -> None:
        """Count from here on."""
        self.n_evaluations, self.bytes_out, self.bytes_back, self.bytes_between = 0, 0, 0, 0

    @classmethod
    def sent(cls, client: Client, parts: Sequence[TensorData]) -> Self:
        """Make the engine of parts in this process, which keeps them."""

        def publish(numbers: Sequence[int]) -> list[Future]:
            slots = [worker for worker, n in threads_of(client).items() for _ in range(n)]
            if not slots:
                raise TimeoutError("no worker")
            homes = [slots[k * len(slots) // len(parts)] for k in numbers]  # neighbours are added first
            return [
                client.scatter(parts[k], workers=[w], hash=False) for k, w in zip(numbers, homes, strict=True)
            ]

        return cls(client, len(parts), publish)

    def account(self) -> dict[str, Any]:
        """Return evaluations, and bytes of arrays that each moved on average: to workers, among them, and back."""
        n = max(1, self.n_evaluations)
        moved = {"out": self.bytes_out, "between": self.bytes_between, "back": self.bytes_back}
        return {"workers": len(set(self.homes)), "evaluations": self.n_evaluations} | {
            f"bytes_{name}": round(total / n) for name, total in moved.items()
        }

    def facts(self) -> list[Facts]:
        """Return the facts from the workers."""
        return self.map(facts_of, (), [None] * self.n_parts)

    def map(self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any]) -> list[Any]:
        """Evaluate on the workers, each where its part is."""
        text = cloudpickle.dumps((function, fixed))

        def submit() -> list[Future]:
            return [
                self.client.submit(_call, text, part, mine, pure=False, workers=home)
                for part, mine, home in zip(self.parts, own, self.homes, strict=True)
            ]

        return self._gathered(submit, n_bytes(own))

    def total(
        self,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        shared: Any,
        own: Sequence[Any],
        threads: int,
    ) -> tuple[list[FloatArray], list[list[FloatArray]]]:
        """Evaluate on the workers, and add the arrays, each of one shape, up there as well.

        Each part has one thread, whatever `threads`.
        """
        text = cloudpickle.dumps((function, fixed))

        def submit() -> list[Future]:
            to_all = shared
            if n_bytes(shared) > _EMBEDDED:
                # A task, unlike what is scattered, is repeated if its worker is lost.
                to_all = self.client.submit(_same, shared, pure=False)
            found = [
                self.client.submit(_call_total, text, part, to_all, mine, pure=False, workers=home)
                for part, mine, home in zip(self.parts, own, self.homes, strict=True)
            ]
            return found if len(found) <= FAN else self._tree(found)

        found = self._gathered(submit, n_bytes(shared) + n_bytes(own))
        if self.n_parts <= FAN:
            tops, rows = [one[0] for one in found], [one[1] for one in found]
        else:
            n_tops = len(found) - len(self._numbers())
            tops, rows = found[:n_tops], [[]] * self.n_parts
            for numbers, own_rows in zip(self._numbers().values(), found[n_tops:], strict=True):
                for k, arrays in zip(numbers, own_rows, strict=True):
                    rows[k] = arrays
        self._count(shared, own, tops, rows)
        return _added(*tops), rows

    def _numbers(self) -> dict[str | None, list[int]]:
        """Return the numbers of the parts by worker."""
        held: dict[str | None, list[int]] = {}
        for k, home in enumerate(self.homes):
            held.setdefault(home, []).append(k)
        return held

    def _tree(self, found: list[Future]) -> list[Future]:
        """Return sums over the parts, at most `FAN`, and behind them, by worker, the rows that are the parts' own."""
        ask, homes = partial(self.client.submit, pure=False), self.homes
        rows = [ask(_rows, *[found[k] for k in own], workers=home) for home, own in self._numbers().items()]
        # What goes to another worker goes without rows.
        level = found
        for height, groups in enumerate(sums_of(homes)):
            terms = [
                one if height or homes[k] == place else ask(_sums, one, workers=homes[k])
                for numbers, place in groups
                for k, one in zip(numbers, level[numbers.start : numbers.stop], strict=True)
            ]
            level = [ask(_added, *terms[numbers.start : numbers.stop], workers=at) for numbers, at in groups]
        return [*level, *rows]

    def _gathered(self, submit: Callable[[], list[Future]], n_sent: int) -> list[Any]:
        """Return the results of what is submitted; again, with lost parts published anew, if workers were lost."""
        if not self.n_evaluations:  # there is no fit yet that could not be continued
            check_connected(self.client)
        self._check_scheduler()
        if time.monotonic() > self._settled + _SHARE:
            self._patiently(self._settle)
        for _ in range(_ATTEMPTS):
            with _unadvised() if n_sent > _LARGE else nullcontext():
                futures = self._patiently(submit)
            try:
                return self._results(futures)
            except (KilledWorker, CancelledError, TimeoutError, CommClosedError):
                self._check_scheduler()
                self._patiently(self._settle)
        raise FitError(_LOST)

    def _results(self, futures: list[Future]) -> list[Any]:
        """Return what futures give; if a part's home has gone, raise TimeoutError: its task runs nowhere else."""
        patience = _WATCH
        while True:
            try:
                self._finish(futures, _WATCH)
                # A worker may go with its results before they have come.
                patience *= 2.0
                gather = partial(self.client.gather, futures, asynchronous=True)
                return self.client.sync(gather, callback_timeout=patience)
            except TimeoutError:
                if not set(self.homes) - {None} <= threads_of(self.client).keys():
                    raise

    def _finish(self, futures: list[Future], timeout: float | None = None) -> None:
        with self.client.as_current():  # it need not be the default
            wait(futures, timeout=timeout)

    def _settle(self) -> None:
        """Publish lost parts again, move parts from workers that have many to those that have few, and note where."""
        found = self._found()
        lost = [
            k
            for k, part in enumerate(self.parts)
            if part.status in ("lost", "cancelled") or (part.status == "finished" and not found[k])
        ]
        for k, part in zip(lost, self.publish(lost) if lost else [], strict=True):
            self.parts[k] = part
        self._finish(self.parts)
        moves = rebalanced(self._found(), threads_of(self.client))
        for k, worker in moves.items():
            place = {"workers": worker, "allow_other_workers": True}  # it may go before the part has come
            self.parts[k] = self.client.submit(_same, self.parts[k], pure=False, **place)
        self._finish(self.parts)
        self.homes, self._settled = self._found(), time.monotonic()

    def _found(self) -> list[str | None]:
        """Return a worker of each part; None for those that are nowhere."""
        held = self.client.who_has([part for part in self.parts if not part.cancelled()])
        return [next(iter(held.get(part.key, ())), None) for part in self.parts]

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        """Return what is asked of the cluster, where workers may be lost, and come back, in the meantime."""
        for pause in _PAUSES:
            try:
                return ask()
            except (OSError, KeyError, TimeoutError, CancelledError):  # of a worker that has just gone
                self._check_scheduler()
                time.sleep(pause)
            except AttributeError:  # of a client that has lost its scheduler in the meantime
                self._check_scheduler()
                raise
            try:
                self._wait_for_workers()
            except TimeoutError:
                break
        raise FitError(_LOST)

    def _wait_for_workers(self) -> None:
        """Wait for a worker, and say so if there is none."""
        if not threads_of(self.client):
            text = f"All workers have gone; the fit waits {_PATIENCE:.0f} s for one to come."
            warnings.warn(text, UserWarning, stacklevel=2)
        self.client.wait_for_workers(1, timeout=_PATIENCE)

    def _check_scheduler(self) -> None:
        """Raise if the scheduler is gone: the parts are gone with it.

        Raises
        ------
        FitError
        """
        if self.client.status != "running":
            raise FitError(_NO_SCHEDULER)

    def _count(self, shared: Any, own: Sequence[Any], tops: Any, rows: Any) -> None:
        self.n_evaluations += 1
        is_embedded = n_bytes(shared) <= _EMBEDDED
        self.bytes_out += (self.n_parts if is_embedded else 1) * n_bytes(shared) + n_bytes(own)
        self.bytes_back += n_bytes(tops) + n_bytes(rows)
        self.bytes_between += crossings(self.homes) * n_bytes(tops[0])
        self.bytes_between += 0 if is_embedded else (len(set(self.homes)) - 1) * n_bytes(shared)


@contextmanager
def _unadvised() -> Iterator[None]:
    """Leave out Dask's advice on large graphs: large factors are no mistake of the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        yield


def n_bytes(arrays: Any) -> int:
    """Return the bytes of all arrays in nested lists and tuples."""
    if isinstance(arrays, np.ndarray):
        return arrays.nbytes
    return sum(n_bytes(item) for item in arrays) if isinstance(arrays, list | tuple) else 0


@lru_cache(maxsize=64)
def _loaded(text: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function and its arguments; the same for the same text, so that formulas are compiled once."""
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


def _rows(*found: Partial) -> list[list[Array]]:
    """Return the parts' own rows, arrays (I_part, ...)."""
    return [own for _, own in found]


def _sums(found: Partial | list[FloatArray]) -> list[FloatArray]:
    """Return the arrays that are added over the parts, of a `Partial` or as they are, each of one shape."""
    return found[0] if isinstance(found, tuple) else found


def _added(*terms: Partial | list[FloatArray]) -> list[FloatArray]:
    """Return terms added up, arrays of one shape each."""
    total = _sums(terms[0])
    for more in terms[1:]:
        total = added(total, _sums(more))
    return total
