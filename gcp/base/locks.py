"""Locks on files. The system frees them when the process that holds them ends, however it ends."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gcp.base.errors import DataError

if sys.platform != "win32":
    import fcntl


def exist() -> bool:
    """Return whether this system has such locks."""
    return sys.platform != "win32"


def take(descriptor: int) -> bool | None:
    """Lock an open file; False if another has it, None where there are no such locks."""
    if sys.platform == "win32":
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without
        return None
    return True


def hold(path: Path) -> int | None:
    """Make a file and lock it; return its descriptor (`release` it), or None where there are no such locks.

    Raises
    ------
    BlockingIOError
        Another holds it; with what the holder has written into it.
    OSError
        It cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        has_it = take(descriptor)
        if has_it and _is_there(descriptor, path):
            return descriptor
        who = os.read(descriptor, 200).decode(errors="replace")
        os.close(descriptor)
        if has_it is None:
            return None
        if not has_it:
            raise BlockingIOError(who)
        # whoever had it removed it in the meantime


def release(path: Path, descriptor: int) -> None:
    """Remove a file and its lock."""
    path.unlink(missing_ok=True)
    os.close(descriptor)


@contextmanager
def locked(target: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file, which is a file beside it, against others; without one where none can be made.

    Raises
    ------
    DataError
        Somebody has it.
    """
    beside, descriptor = target.with_name(f".{target.name[:100]}.lock"), None
    try:
        descriptor = hold(beside)
    except BlockingIOError as held:
        raise DataError(
            f"{target}: {what} is in use by another fit ({held or 'of another process'}). Wait for its end, or name "
            "another file."
        ) from None
    except OSError:
        pass
    if descriptor is None:
        yield
        return
    with suppress(OSError):  # of a full disk
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
    try:
        yield
    finally:
        release(beside, descriptor)


def _is_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
