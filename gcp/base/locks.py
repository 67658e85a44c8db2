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


@contextmanager
def locked(target: Path, what: str) -> Iterator[None]:
    """Hold the lock of a file, which is a file beside it, against others; without one where none can be made.

    Raises
    ------
    DataError
        Somebody has it.
    """
    beside = target.with_name(f".{target.name[:100]}.lock")
    descriptor = _open(beside, target, what)
    try:
        yield
    finally:
        if descriptor is not None:
            beside.unlink(missing_ok=True)
            os.close(descriptor)


def _open(beside: Path, target: Path, what: str) -> int | None:
    while True:
        try:
            descriptor = os.open(beside, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError:
            return None
        has_it = take(descriptor)
        if has_it and not _is_there(descriptor, beside):  # whoever had it removed it in the meantime
            os.close(descriptor)
            continue
        if has_it:
            with suppress(OSError):  # of a full disk
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return descriptor
        who = os.read(descriptor, 200).decode(errors="replace")
        os.close(descriptor)
        if has_it is None:
            return None
        raise DataError(
            f"{target}: {what} is in use by another fit ({who or 'of another process'}). Wait for its end, or name "
            "another file."
        )


def _is_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
