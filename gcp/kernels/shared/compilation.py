"""What Numba says of its compilations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core import event


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
