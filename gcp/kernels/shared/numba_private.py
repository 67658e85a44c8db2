"""Numba's private names that the package uses: here alone, behind functions of ours.

pyproject.toml names the newest version that the tests have passed with. Under one that lacks a name, compiled code is
not kept on disk, and nobody is told of compilations; everything else goes on.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from numba.extending import intrinsic

try:
    from numba.core.caching import NullCache
    from numba.core.compiler import CompileResult
    from numba.core.event import Listener, register, unregister
    from numba.core.serialize import dumps
except ImportError as error:
    MISSING = str(error)
    """The private name that this Numba lacks; empty if none."""
    NullCache = Listener = object
else:
    MISSING = ""

Intrinsic = type(intrinsic(lambda context: None))
"""The class of instructions that `numba.extending.intrinsic` makes."""


class CompiledFiles(Protocol):
    """The files that keep the compiled code of one function."""

    def read(self, signature: Any, processor: str) -> Iterator[bytes]:
        """Return what may hold the code for a signature and a processor, the most trusted first."""

    def write(self, signature: Any, processor: str, payload: bytes) -> None:
        """Keep the code, if there is a place for it."""


def keep_in_files(dispatcher: Any, files: CompiledFiles) -> None:
    """Let a compiled function be taken from files where they hold it, and kept in them otherwise."""
    if not MISSING and hasattr(dispatcher, "_cache"):
        dispatcher._cache = _FileCache(files)


class _FileCache(NullCache):  # type: ignore[misc]
    """A cache that Numba asks before it compiles, and tells afterwards."""

    def __init__(self, files: CompiledFiles) -> None:
        self._files = files

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function compiled for a signature, if a sound file holds it."""
        target_context.refresh()
        for payload in self._files.read(sig, _processor(target_context.codegen())):
            with suppress(Exception):  # whatever is wrong with a file: compile again, and replace it
                return CompileResult._rebuild(target_context, *pickle.loads(payload))
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function that holds no addresses of this process."""
        if not (data.lifted or data.library.has_dynamic_globals):
            self._files.write(sig, _processor(data.codegen), dumps(data._reduce()))


def _processor(codegen: Any) -> str:
    return f"{codegen.magic_tuple()}"


@contextmanager
def compilations_seen(see: Callable[[], None]) -> Iterator[None]:
    """Call `see` when a compilation begins."""
    if MISSING:
        yield
        return
    listener = _CompileListener(see)
    register("numba:compile", listener)
    try:
        yield
    finally:
        unregister("numba:compile", listener)


class _CompileListener(Listener):  # type: ignore[misc]
    def __init__(self, see: Callable[[], None]) -> None:
        self._see = see

    def on_start(self, event: Any) -> None:
        self._see()

    def on_end(self, event: Any) -> None:
        pass
