"""Notes to who waits, by the logger "gcp": on stderr, unless a program has set up its logging otherwise."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGER = logging.getLogger("gcp")


def note(text: str) -> None:
    """Say something that the user has not asked for but wants to know."""
    _LOGGER.warning(text)


@contextmanager
def silence() -> Iterator[None]:
    """Let notes be heard by nobody."""
    nothing = lambda record: False  # noqa: E731
    _LOGGER.addFilter(nothing)
    try:
        yield
    finally:
        _LOGGER.removeFilter(nothing)
