"""Compiling by Numba, and compiled code on disk.

A file for every function, signature and processor, named by a digest of all that went into it: the function's text
and that of every module whose compiled code it may call, the formula, the versions. So no two of them can be taken
for each other, whatever processes write at the same moment; Numba's own cache numbers its files, and two processes
that compile at once may give one number to two functions. A file is written whole or not at all, and read only if its
checksum is right. Whatever is wrong with it means compiling again. Where the text on disk has changed since this
process began (an upgrade meanwhile), nothing is kept: it is not what was imported.
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

import numba
from numba import config, njit
from numba.extending import intrinsic, is_jitted

from gcp.kernels.shared.numba_private import Intrinsic, guard_part, keep_in_files, part_options

Function = Callable[..., Any]

DISABLED = bool(config.DISABLE_JIT)
"""True if NUMBA_DISABLE_JIT is set: functions then run as Python, for debuggers."""

_PACKAGE = __name__.partition(".")[0]
_ROOT = Path(__file__).parents[2]
_BESIDE = _ROOT / "__pycache__"
_SUFFIX = ".compiled"
_OPTIONS = {"nogil": True, "error_model": "numpy"}
_BEGAN = time.time()
_VERSIONS = f"python {sys.version_info[:2]} numba {numba.__version__}"


def jit(function: Function | None = None, *, fastmath: Any = False, forceinline: bool = False) -> Any:
    """Compile a function of a module, or take it from disk where this very text was compiled before.

    Parameters
    ----------
    function : callable
        Holds no lock of the interpreter while it runs.
    fastmath : bool or set of str
        Liberties with floating-point arithmetic, as Numba takes them.
    forceinline : bool
        Compile it into whatever calls it.
    """
    if function is None:
        return lambda function: jit(function, fastmath=fastmath, forceinline=forceinline)
    options = {"fastmath": fastmath, "forceinline": forceinline}
    dispatcher = njit(**_OPTIONS, **options)(function)
    if not DISABLED:
        keep_in_files(dispatcher, _CacheFiles(function, f"{fastmath and sorted(fastmath)}"))
    return dispatcher


def jit_part(function: Function | None = None, *, fastmath: Any = False, forceinline: bool = False) -> Any:
    """Compile a function that compiled functions call, as a part of each: alone it is neither optimised nor kept.

    That takes half the time of `jit` or less. A call from Python, as of tests, compiles a function around it.

    Parameters
    ----------
    function : callable
    fastmath, forceinline
        As for `jit`.
    """
    if function is None:
        return lambda function: jit_part(function, fastmath=fastmath, forceinline=forceinline)
    if DISABLED:
        return function
    options = {"fastmath": fastmath, "forceinline": forceinline}
    dispatcher = njit(**part_options({**_OPTIONS, **options}))(function)
    around = njit(**_OPTIONS)(lambda *arguments: dispatcher(*arguments))
    guard_part(dispatcher, around)
    return dispatcher


def jit_closure(function: Any, identity: str, *, fastmath: Any) -> Any:
    """Compile a function made at run time, as `jit` does.

    Parameters
    ----------
    function : callable
        Gets a name of its own: LLVM finds compiled code by its name, which otherwise holds no more than the name in
        the source and a number that another process may have given to another function.
    identity : str
        A text that differs between any two functions of this source, in any process; "" where there is none: then
        the function is compiled anew in each process.
    fastmath : set of str
    """
    if identity:
        function.__qualname__ = function.__name__ = f"{function.__name__}_{_digest(identity)}"
    dispatcher = njit(**_OPTIONS, fastmath=fastmath)(function)
    if identity and not DISABLED:
        keep_in_files(dispatcher, _CacheFiles(function, f"{identity} {sorted(fastmath)}"))
    return dispatcher


def instruction(python: Function) -> Callable[[Any], Any]:
    """Make an instruction of compiled code, as Numba's `intrinsic`, of which `python` is what it does.

    `python` runs in its place where compiling is disabled.
    """
    return lambda build: python if DISABLED else intrinsic(build)


class _CacheFiles:
    """The compiled code of one function on disk."""

    def __init__(self, function: Function, identity: str) -> None:
        self._function, self._identity = function, identity

    def read(self, signature: Any, processor: str) -> Iterator[bytes]:
        """Yield the content of sound files for a signature."""
        place, text = self._names(signature, processor)
        for folder in filter(_is_trusted, _folders() if text else ()):
            with suppress(OSError, ValueError):
                yield _verified((folder / f"{place}-{text}{_SUFFIX}").read_bytes())

    def write(self, signature: Any, processor: str, payload: bytes) -> None:
        """Keep a compiled function in the first folder that takes it; do without where none does."""
        place, text = self._names(signature, processor)
        for folder in _folders() if text else ():
            with suppress(OSError):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if not _is_trusted(folder):
                    continue
                _write(folder / f"{place}-{text}{_SUFFIX}", hashlib.sha256(payload).digest() + payload)
                _remove_earlier(folder, place, text)
                return

    def _names(self, signature: Any, processor: str) -> tuple[str, str]:
        """Return the place of a signature's code, and the text it was compiled from; "" if that is not known."""
        function = self._function
        source = f"{function.__module__}.{function.__qualname__}"
        place = _digest(f"{source} {signature} {processor} {_VERSIONS} {self._identity}")
        return f"{function.__name__.strip('_')[:24]}-{place}", text_of(_reached(function.__module__))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _verified(found: bytes) -> bytes:
    """Return the bytes that follow a checksum.

    Raises
    ------
    ValueError
        If it does not agree.
    """
    payload = found[32:]
    if hashlib.sha256(payload).digest() != found[:32]:
        raise ValueError("damaged")
    return payload


def _write(path: Path, content: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _remove_earlier(folder: Path, place: str, text: str) -> None:
    """Remove the code of a function, signature and processor as compiled from other texts."""
    for path in folder.iterdir():
        if path.name.startswith(f"{place}-") and path.name != f"{place}-{text}{_SUFFIX}":
            path.unlink(missing_ok=True)


def _folders() -> Iterator[Path]:
    """Yield folders for compiled code: beside the package, in the user's cache, among temporary files."""
    installation = f"{_PACKAGE}-{_digest(str(_ROOT))[:12]}"
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR) / installation
        return
    yield _BESIDE
    with suppress(RuntimeError):  # no home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / installation
    user = os.geteuid() if hasattr(os, "geteuid") else os.environ.get("USERNAME", "user")
    yield Path(tempfile.gettempdir()) / f"{installation}-{user}"


def _is_trusted(folder: Path) -> bool:
    """Return whether nobody can put code there who could not change the package, or as this user anything else."""
    if folder == _BESIDE or config.CACHE_DIR or not hasattr(os, "geteuid"):
        return True
    try:
        found = folder.lstat()
    except OSError:
        return False
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def text_of(modules: Iterable[str]) -> str:
    """Return a digest of the files of modules, as these were imported; "" if that cannot be known any more."""
    digests = [_file_digest(str(sys.modules[name].__file__)) for name in sorted(modules)]
    return _digest(" ".join(digests)) if all(digests) else ""


@lru_cache(maxsize=256)
def _file_digest(path: str) -> str:
    text, found = Path(path).read_bytes(), os.stat(path)
    is_new = max(found.st_mtime, found.st_ctime) >= _BEGAN  # copies may have an old time of change
    return "" if is_new else hashlib.sha256(text).hexdigest()


def _reached(module: str) -> set[str]:
    """Return a module, and all modules whose compiled functions it may call."""
    reached, waiting = set(), [module]
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
        if is_jitted(value):
            owner = value.py_func.__module__
        if isinstance(owner, str) and owner.startswith(f"{_PACKAGE}."):
            owners.add(owner)
    return owners


def _is_compiled(module: str) -> bool:
    """Return whether a module holds functions that are compiled into others."""
    values = vars(sys.modules[module]).values()
    return any(is_jitted(value) or isinstance(value, Intrinsic) for value in values)
