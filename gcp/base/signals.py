"""What ends a command from outside."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERRUPTED, TERMINATED = 130, 143


class Terminated(KeyboardInterrupt):
    """SIGTERM, as batch systems send it."""


class Ending:
    """Which signal came."""

    status = INTERRUPTED


@contextmanager
def terminated_like_interrupted() -> Iterator[Ending]:
    """SIGTERM ends a fit as Ctrl-C does, with a status of its own."""
    ending = Ending()

    def end(*_: Any) -> None:
        ending.status = TERMINATED
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, end)
    except ValueError:  # not the main thread
        yield ending
        return
    try:
        yield ending
    finally:
        signal.signal(signal.SIGTERM, before)
