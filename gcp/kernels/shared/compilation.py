"""A word to who waits while Numba compiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gcp.kernels.shared.numba_private import compilations_seen


@contextmanager
def noticed(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when the first compilation begins, if there is one: what the disk holds is not compiled again."""
    once = [tell]

    def see() -> None:
        if once:
            once.pop()()

    with compilations_seen(see):
        yield
