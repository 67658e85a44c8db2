"""Signals from outside: Ctrl-C (SIGINT), and SIGTERM as batch systems send it.

A fit lets them wait where they would do harm: `uninterrupted_compilation` while LLVM compiles, for every fit, and
`uninterrupted_iterations` until an iteration has ended, for a fit with a checkpoint. They then reach the handlers
that were there before, of which Python's own raises KeyboardInterrupt: the fit ends with its best model. Commands let
SIGTERM do the same (`terminated_like_interrupted`); in processes of a pool only the first one hears of Ctrl-C.
Handlers change in the main thread alone, where Python runs them; elsewhere none of this does anything.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

INTERRUPTED, TERMINATED = 130, 143

_FRAGILE = ("llvmlite", "gcp.base.compiler.machine", "gcp.base.compiler.source")
"""Modules whose Python code loses an exception, or leaves a half-compiled function behind, when interrupted."""

_PAUSE = 0.01
"""Seconds after which a signal that met such code is tried again."""

_BOTH = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it."""


class Ending:
    """The status with which a process ends, by the signal that came."""

    status = INTERRUPTED


@contextmanager
def terminated_like_interrupted() -> Iterator[Ending]:
    """Let SIGTERM end a fit as Ctrl-C does, with a status of its own.

    A fit in a series that ends so raises KeyboardInterrupt again; here that becomes what it was.

    Raises
    ------
    Terminated
    """
    ending = Ending()

    def end(*_: Any) -> None:
        ending.status = TERMINATED
        raise Terminated

    with _handled([signal.SIGTERM], end, {}, lambda handler: handler is not None):
        try:
            yield ending
        except KeyboardInterrupt:
            if ending.status == TERMINATED:
                raise Terminated from None
            raise


@contextmanager
def uninterrupted_compilation() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM between compilations, not inside one."""
    before: dict[int, Any] = {}
    retries: dict[int, threading.Timer] = {}

    def receive(number: int, frame: FrameType | None) -> None:
        if earlier := retries.pop(number, None):
            earlier.cancel()
        if _is_fragile(frame):
            retries[number] = threading.Timer(_PAUSE, _send_to_main_thread, [number])
            retries[number].start()
        else:
            before[number](number, frame)

    with _handled(_BOTH, receive, before, callable):
        yield


class PendingSignal:
    """A signal that waits for the end of an iteration."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        """Return whether a signal waits."""
        return self.number is not None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Let a first signal wait; a second one does not."""
        is_second = bool(self)
        self.number = number
        if is_second:
            self.deliver()

    def deliver(self) -> None:
        """Let the signal have its effect."""
        number, self.number = self.number, None
        if number is None:
            return
        if callable(self.before[number]):
            self.before[number](number, None)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)


@contextmanager
def uninterrupted_iterations() -> Iterator[PendingSignal]:
    """Let SIGINT and SIGTERM wait until they are delivered, at the end at the latest; ignored ones stay ignored."""
    pending = PendingSignal()
    try:
        with _handled(_BOTH, pending.receive, pending.before, lambda own: own not in (signal.SIG_IGN, None)):
            yield pending
    finally:
        pending.deliver()  # it came when there was nothing more to wait for


def ignore_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the one that began this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _handled(
    numbers: Sequence[signal.Signals],
    handler: Callable[[int, FrameType | None], None],
    before: dict[int, Any],
    replaces: Callable[[Any], bool],
) -> Iterator[None]:
    """Send signals to a handler where it replaces the one before, which goes to a dictionary, by number."""
    if threading.current_thread() is threading.main_thread():
        found = {int(number): signal.getsignal(number) for number in numbers}
        before |= {number: own for number, own in found.items() if replaces(own)}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, own)


def _send_to_main_thread(number: int) -> None:
    """Send a signal to the main thread, so that it wakes from whatever it waits for."""
    if os.name == "posix":
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _is_fragile(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith(_FRAGILE):
            return True
        frame = frame.f_back
    return False
