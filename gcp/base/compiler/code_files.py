"""Compiled code on disk.

A file for every function, signature and processor, named by a digest of all that went into it: the function's text
and that of every module whose compiled code it may call, this compiler's, the formula, the versions. So no two of
them can be taken for each other, whatever processes write at the same moment. A file is written whole or not at all,
and read only if its checksum is right. Whatever is wrong with it means compiling again. Where the text on disk has
changed since this process began (an upgrade meanwhile), nothing is kept: it is not what was imported.

What another process is compiling at the moment, this one waits for: each locks a file while it compiles.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from gcp.base import locks
from gcp.base.compiler import machine
from gcp.base.compiler.functions import Callee, Instruction

Function = Callable[..., Any]

FOLDER = "GCP_CACHE_DIR"
"""Names the folder for machine code, in the environment, where it is not to be chosen."""

_PACKAGE = __name__.partition(".")[0]
_ROOT = Path(__file__).parents[2]
_BESIDE = _ROOT / "__pycache__"
_SUFFIX = ".compiled"
_BEGAN = time.time() - 0.02  # files bear the time of the system's last tick
_VERSIONS = f"python {sys.version_info[:2]} {machine.VERSION}"

_CUSTOM = "custom-"
_MOST_CUSTOM = 400
"""Functions of users' own formulas, of which there is no end, that are kept: those that were used last."""

_LONGEST_WAIT = 60.0
"""Seconds to wait for another process's code: that may have been stopped."""


class CodeFiles:
    """The compiled code of one function on disk.

    Parameters
    ----------
    function : callable
    identity : str
        What else than its text makes it what it is.
    waits : bool
        Wait for another process that is compiling it.
    is_custom : bool
        It is one of many that come and go: of these a bounded number is kept.
    """

    def __init__(
        self, function: Function, identity: str, *, waits: bool = False, is_custom: bool = False
    ) -> None:
        self._function, self._identity, self._waits = function, identity, waits
        self._prefix = _CUSTOM if is_custom else ""
        self._claims: dict[str, _Claim] = {}

    def read(self, signature: Any, processor: str) -> Iterator[bytes]:
        """Yield the content of sound files for a signature, also of one that another process is about to write."""
        name = self._name(signature, processor)
        yield from _contents(name)
        if name and self._waits and name not in self._claims:
            claim = self._claims[name] = _Claim(name)
            if claim.was_awaited:
                for content in _contents(name):
                    self._claims.pop(name, claim).release()
                    yield content

    def write(self, signature: Any, processor: str, payload: bytes | None) -> None:
        """Keep a compiled function in the first folder that takes it, if one does; None: it cannot be kept."""
        name = self._name(signature, processor)
        if name and payload is not None:
            _keep(name, payload)
        if claim := self._claims.pop(name, None):
            claim.release()

    def _name(self, signature: Any, processor: str) -> str:
        """Return the name of a signature's code: its place, and the text it was compiled from; "" if not known."""
        function = self._function
        source = f"{function.__module__}.{function.__qualname__} {function.__code__.co_firstlineno}"
        place = digest(f"{source} {signature} {processor} {_VERSIONS} {self._identity}")
        text = text_of(_reached(function.__module__))
        short = function.__name__.strip("_")[:24]
        return text and f"{self._prefix}{short}-{place}-{text}"


def all_kept() -> set[Path]:
    """Return the files of compiled code of this installation."""
    return {path for folder in _folders() for path in folder.glob(f"*{_SUFFIX}")}


class _Claim:
    """The lock that a process holds while it compiles a function; when made, it waits for who holds it."""

    def __init__(self, name: str) -> None:
        self.was_awaited = False
        self._held: tuple[Path, int] | None = None
        for folder in _places():
            with suppress(OSError):
                self._hold(folder / f"{name}.lock")
                break

    def _hold(self, path: Path) -> None:
        end = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < end:
            try:
                descriptor = locks.hold(path)
            except BlockingIOError:
                self.was_awaited = True
                time.sleep(0.01)
            else:
                self._held = None if descriptor is None else (path, descriptor)
                return

    def release(self) -> None:
        """Let others have it."""
        if self._held is not None:
            locks.release(*self._held)
            self._held = None


def _keep(name: str, payload: bytes) -> None:
    for folder in _places():
        with suppress(OSError):
            _write(folder / f"{name}{_SUFFIX}", _checksum(name, payload) + payload)
            _remove_earlier(folder, name)
            if name.startswith(_CUSTOM):
                _remove_unused(folder)
            return


def _contents(name: str) -> Iterator[bytes]:
    for folder in filter(_is_trusted, _folders() if name else ()):
        with suppress(OSError, ValueError):
            path = folder / f"{name}{_SUFFIX}"
            content = _verified(name, path.read_bytes())
            if name.startswith(_CUSTOM):
                path.touch()
            yield content


def _places() -> Iterator[Path]:
    """Yield folders in which this process may keep code, made where they are not there yet."""
    for folder in _folders():
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_trusted(folder):
                yield folder


def digest(text: str) -> str:
    """Return 32 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _verified(name: str, found: bytes) -> bytes:
    """Return the bytes that follow a checksum, under the name that they were kept under.

    Raises
    ------
    ValueError
        If it does not agree.
    """
    payload = found[32:]
    if _checksum(name, payload) != found[:32]:
        raise ValueError("damaged")
    return payload


def _checksum(name: str, payload: bytes) -> bytes:
    return hashlib.sha256(name.encode() + payload).digest()


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_earlier(folder: Path, name: str) -> None:
    """Remove the code of a function, signature and processor as compiled from other texts, and locks left behind."""
    place = name.rpartition("-")[0]
    for path in folder.glob(f"{place}-*"):
        if path.stem != name:
            path.unlink(missing_ok=True)


def _remove_unused(folder: Path) -> None:
    """Remove the functions of users' formulas that were used longest ago, above the number that is kept."""
    paths = list(folder.glob(f"{_CUSTOM}*{_SUFFIX}"))
    for path in sorted(paths, key=_last_used)[: max(len(paths) - _MOST_CUSTOM, 0)]:
        path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    with suppress(FileNotFoundError):  # another process has removed it
        return path.stat().st_mtime
    return 0.0


def _folders() -> Iterator[Path]:
    """Yield folders for compiled code: beside the package, in the user's cache, among temporary files."""
    installation = f"{_PACKAGE}-{digest(str(_ROOT))[:12]}"
    if chosen := os.environ.get(FOLDER):
        yield Path(chosen) / installation
        return
    yield _BESIDE
    with suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / installation
    user = os.geteuid() if hasattr(os, "geteuid") else os.environ.get("USERNAME", "user")
    yield Path(tempfile.gettempdir()) / f"{installation}-{user}"


def _is_trusted(folder: Path) -> bool:
    """Return whether nobody can put code there who could not change the package, or as this user anything else."""
    if folder == _BESIDE or os.environ.get(FOLDER) or not hasattr(os, "geteuid"):
        return True
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def text_of(modules: Iterable[str]) -> str:
    """Return a digest of the files of modules, as these were imported, and of all that compile and are compiled.

    "" if that cannot be known any more.
    """
    own = [getattr(sys.modules[name], "__file__", None) or "" for name in modules]
    digests = [_file_digest(path) for path in sorted({*own, *_everywhere()})]
    return digest(" ".join(digests)) if all(digests) else ""


@lru_cache(maxsize=1)
def _everywhere() -> tuple[str, ...]:
    """Return the files whose text any compiled function may depend on, if only by a number taken from there."""
    folders = _ROOT / "base" / "compiler", _ROOT / "kernels"
    return tuple(str(path) for folder in folders for path in folder.rglob("*.py"))


@lru_cache(maxsize=256)
def _file_digest(path: str) -> str:
    if not path:
        return ""
    text, found = Path(path).read_bytes(), os.stat(path)
    is_new = max(found.st_mtime, found.st_ctime) >= _BEGAN  # copies may have an old time of change
    return "" if is_new else hashlib.sha256(text).hexdigest()


def _reached(module: str) -> set[str]:
    """Return a module, and all modules whose compiled functions it may call."""
    reached, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += [other for other in _used(name) if other in sys.modules and _is_compiled(other)]
    return reached


def _used(module: str) -> set[str]:
    """Return modules of this package that a module's names come from."""
    owners = set()
    for value in vars(sys.modules[module]).values():
        owner = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
        if isinstance(owner, str) and owner.startswith(f"{_PACKAGE}."):
            owners.add(owner)
    return owners


def _is_compiled(module: str) -> bool:
    """Return whether a module holds functions that are compiled into others."""
    values = vars(sys.modules[module]).values()
    return any(isinstance(value, Callee | Instruction) for value in values)
