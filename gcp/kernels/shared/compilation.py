"""A word to who waits for the compiler."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from gcp.base.compiler.functions import Callee
from gcp.base.compiler.jit import compilations_seen
from gcp.base.notes import note

NOTE = (
    "gcp: compiling for a first use on this machine, once: 2 to 5 seconds. "
    "(Ahead of use: gcp compile, or gcp.compile_ahead.)"
)

_PATIENCE = 0.5
"""Seconds of compiling that need no explanation."""


@contextmanager
def explained() -> Iterator[None]:
    """Say once, why nothing happens: when compiling has taken half a second."""
    seen = _Compilations()
    with compilations_seen(seen.begin, seen.end):
        yield


class _Compilations:
    def __init__(self) -> None:
        self.began, self.seconds, self.is_told = 0.0, 0.0, False

    def begin(self, _: Callee) -> None:
        self.began = time.monotonic()

    def end(self, _: Callee) -> None:
        self.seconds += time.monotonic() - self.began
        if not self.is_told and self.seconds > _PATIENCE:
            self.is_told = True
            note(NOTE)
