"""Checks of a Dask client and its workers before they are given data."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from distributed import Client

from gcp.base.errors import ParameterError

_PATIENCE = 60.0
"""Seconds that the first worker may take to come."""


def check_connected(client: Any) -> None:
    """Return a client that can be asked.

    Raises
    ------
    ParameterError
    """
    if not isinstance(client, Client):
        raise ParameterError(f"client must be a distributed.Client: found {client!r}.")
    if client.asynchronous:
        raise ParameterError("client must be synchronous: found one with asynchronous=True.")
    if client.status != "running":
        raise ParameterError(f"client is {client.status}: expected one that is connected to its scheduler.")


def check_client(client: Any) -> None:
    """Return a client that can be asked, with workers that have this version of gcp.

    Raises
    ------
    ParameterError
    """
    check_connected(client)
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        raise ParameterError(
            f"The scheduler at {client.scheduler.address} has no workers, and none came within "
            f"{_PATIENCE:.0f} s. Start some, e.g. dask worker {client.scheduler.address}."
        ) from None
    for worker, found in client.run(_version, on_error="return").items():
        has_gone = isinstance(found, OSError)  # as workers may
        if found != _version() and not has_gone:
            raise ParameterError(
                f"The worker {worker} needs gcp {_version()}, which this process has: found {found!r}."
            )


def _version() -> str:
    """Return the version; workers without gcp cannot even find this function."""
    return version("gcp-tensor")


def threads_of(client: Client) -> dict[str, int]:
    """Return the number of threads by worker, in the order of addresses."""
    return dict(sorted(client.nthreads().items()))


def n_threads(client: Client) -> int:
    """Return the number of threads of all workers, at least 1."""
    return max(1, sum(threads_of(client).values()))
