"""Parts on the workers of a Dask cluster."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any, Self

import cloudpickle
import numpy as np
from distributed import Client, Future, KilledWorker, wait
from distributed.comm import CommClosedError

from gcp.base.errors import FitError
from gcp.base.types import FloatArray
from gcp.tensors.base import TensorData
from gcp.tensors.parts.dask.clients import check_connected, threads_of
from gcp.tensors.parts.dask.placement import batches, crossings, rebalanced, sums_of
from gcp.tensors.parts.dask.tasks import (
    Term,
    added_terms,
    added_up,
    call,
    call_total,
    n_bytes,
    rest_of,
    same,
    term_of,
)
from gcp.tensors.parts.local_engine import FAN, Facts, Partial, facts_of

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
    An evaluation sends the factors to the workers, and has one task for each of their threads, which goes through its
    share of the parts there and adds up eight after eight of them; what is left to be added has one task for every
    eight sums; rows of the mode that is cut come from their parts straight. The sums are added in the same order
    whoever computes them. Where a worker is lost, its parts are published anew, and
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

    def changed(
        self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any], facts: dict[str, Any]
    ) -> DaskEngine:
        """Make other parts on the workers; again, of this engine's parts, where they are lost.

        What `own` lists, numbers, tensors or futures, goes to the worker of its part.
        """
        text = cloudpickle.dumps((function, fixed))

        def publish(numbers: Sequence[int]) -> list[Future]:
            self._settle()
            return [self._made(text, k, own[k]) for k in numbers]

        return DaskEngine(self.client, self.n_parts, publish)

    def _made(self, text: bytes, k: int, own: list[Any] | None) -> Future:
        """Return the future of what a function makes of a part."""
        place: dict[str, Any] = {}
        if home := self.homes[k]:
            place = {"workers": home, "allow_other_workers": True}  # it may go before
            own = own and [self._near(home, piece) for piece in own]
        return self.client.submit(call, text, self.parts[k], own, pure=False, **place)

    def _near(self, home: str, piece: Any) -> Any:
        """Return a piece, sent ahead if it is too large for a task."""
        size = n_bytes(piece) if isinstance(piece, np.ndarray | list) else sys.getsizeof(piece)
        return self.client.scatter(piece, workers=[home], hash=False) if size > _EMBEDDED else piece

    def handles(self) -> list[Any]:
        """Return the futures of the parts."""
        return list(self.parts)

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
                self.client.submit(call, text, part, mine, pure=False, workers=home)
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
            to_all, self._sent = shared, batches(self.homes, self._threads)
            if n_bytes(shared) > _EMBEDDED:
                # A task, unlike what is scattered, is repeated if its worker is lost.
                to_all = self.client.submit(same, shared, pure=False)
            found = []
            for home, numbers in self._sent:
                mine, parts = [own[k] for k in numbers], [self.parts[k] for k in numbers]
                sums = self._sums_within(numbers)
                given = text, to_all, numbers, sums, mine, *parts
                found.append(self.client.submit(call_total, *given, pure=False, workers=home))
            return self._tree(found)

        found = self._gathered(submit, n_bytes(shared) + n_bytes(own))
        tops: dict[Term, list[FloatArray]] = {}
        rows: list[list[FloatArray]] = [[]] * self.n_parts
        for terms, own_rows in found:
            tops |= terms
            for k, arrays in own_rows.items():
                rows[k] = arrays
        ordered = [tops[term] for term in sorted(tops)]
        self._count(shared, own, ordered, rows)
        return added_up(ordered), rows

    def _sums_within(self, numbers: Sequence[int]) -> list[range]:
        """Return the groups of the first level of sums all of whose parts are among these."""
        if self.n_parts <= FAN:
            return []
        there = set(numbers)
        groups = [range(k, min(k + FAN, self.n_parts)) for k in sorted({k - k % FAN for k in numbers})]
        return [group for group in groups if there.issuperset(group)]

    def _tree(self, found: list[Future]) -> list[Future]:
        """Return what batches give, and behind them sums over the parts, at most `FAN` in all.

        Sums of parts of one batch are the batch's own. Where there are others, batches give the rest through tasks of
        their own, so that what goes to another worker goes without rows.
        """
        held: dict[Term, tuple[Future, str | None]] = {}
        for (home, numbers), one in zip(self._sent, found, strict=True):
            sums = self._sums_within(numbers)
            inside = {k for group in sums for k in group}
            held |= {(1, group.start // FAN): (one, home) for group in sums}
            held |= {(0, k): (one, home) for k in numbers if k not in inside}
        made: dict[Term, Future] = {}
        for height, groups in enumerate(sums_of(self.homes)):
            for at, (below, place) in enumerate(groups):
                if (height + 1, at) not in held:
                    terms = [self._term((height, k), held.pop((height, k)), made, place) for k in below]
                    made[height + 1, at] = self.client.submit(
                        added_terms, (height + 1, at), terms, pure=False, workers=place
                    )
                    held[height + 1, at] = made[height + 1, at], place
        if not made:
            return found
        by_home: dict[str | None, list[tuple[int, Future]]] = {}
        for k, ((home, _), one) in enumerate(zip(self._sent, found, strict=True)):
            by_home.setdefault(home, []).append((k, one))
        left = [{term for term, (one, _) in held.items() if one is own} for own in found]
        rest = [
            self.client.submit(rest_of, [(left[k], one) for k, one in every], pure=False, workers=home)
            for home, every in by_home.items()
        ]
        return [*rest, *(one for term, (one, _) in held.items() if term in made)]

    def _term(
        self, term: Term, source: tuple[Future, str | None], made: dict[Term, Future], place: str | None
    ) -> tuple[Term, Future]:
        """Return a term and what gives it at a place: its source, or a task that goes there without the rest."""
        one, home = source
        if term in made or home == place:
            return term, one
        return term, self.client.submit(term_of, one, term, pure=False, workers=home)

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
            self.parts[k] = self.client.submit(same, self.parts[k], pure=False, **place)
        self._finish(self.parts)
        self.homes, self._settled = self._found(), time.monotonic()
        self._threads = threads_of(self.client)

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
        self.bytes_out += (len(self._sent) if is_embedded else 1) * n_bytes(shared) + n_bytes(own)
        self.bytes_back += n_bytes(tops) + n_bytes(rows)
        self.bytes_between += crossings(self.homes) * n_bytes(tops[0])
        self.bytes_between += 0 if is_embedded else (len(set(self.homes)) - 1) * n_bytes(shared)


@contextmanager
def _unadvised() -> Iterator[None]:
    """Leave out Dask's advice on large graphs: large factors are no mistake of the user."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        yield
