"""While Numba compiles: a word to who waits, and Ctrl-C afterwards."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from numba.core import event

_FRAGILE = ("numba", "llvmlite")
"""Packages whose Python code loses an exception, or leaves a half-compiled function behind, when interrupted."""

_PAUSE = 0.01
"""Seconds after which a signal that met such code is tried again."""


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Deliver SIGINT and SIGTERM between compilations, not inside one.

    Does nothing outside the main thread, where Python never runs signal handlers.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    postman = _Postman({number: handler for number, handler in before.items() if callable(handler)})
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    try:
        for number in postman.handlers:
            signal.signal(number, postman.receive)
        yield
    finally:
        for number, handler in postman.handlers.items():
            signal.signal(number, handler)


@contextmanager
def noticed(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when the first compilation begins, if there is one: what the disk holds is not compiled again."""
    listener = _Listener(tell)
    event.register("numba:compile", listener)
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)


class _Listener(event.Listener):  # type: ignore[misc]
    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = [tell]

    def on_start(self, event: event.Event) -> None:
        if self.tell:
            self.tell.pop()()

    def on_end(self, event: event.Event) -> None:
        pass


class _Postman:
    """Hands signals to the handlers that were there before, later if need be."""

    def __init__(self, handlers: dict[signal.Signals, Any]) -> None:
        self.handlers = handlers
        self.waiting: dict[int, threading.Timer] = {}

    def receive(self, number: int, frame: FrameType | None) -> None:
        earlier = self.waiting.pop(number, None)
        if earlier:
            earlier.cancel()
        if _is_fragile(frame):
            timer = threading.Timer(_PAUSE, _send_to_main_thread, [number])
            self.waiting[number] = timer
            timer.start()
        else:
            self.handlers[signal.Signals(number)](number, frame)


def _send_to_main_thread(number: int) -> None:
    """So that it wakes from whatever it waits for."""
    if os.name == "posix":
        signal.pthread_kill(threading.main_thread().ident or 0, number)
    else:
        signal.raise_signal(number)


def _is_fragile(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] in _FRAGILE:
            return True
        frame = frame.f_back
    return False
