"""Workers for `gcp fit`: of a Dask scheduler that runs already, or started for this fit."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any

import gcp
from gcp.cli.parsing import Parser
from gcp.errors import DataError, ParameterError

if TYPE_CHECKING:
    from gcp.tensors.listing import Tensor
    from gcp.tensors.partitioned import PartitionedTensor


def add_options(parser: Parser, at_least: Any) -> None:
    """The options that say where a fit is computed."""
    group = parser.add_argument_group("several processes or machines")
    some = group.add_mutually_exclusive_group()
    some.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="cut the data into parts and fit them on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786",
    )
    some.add_argument(
        "--workers",
        type=at_least(1),
        metavar="N",
        help="the same, on N processes of one thread that are started here for this fit",
    )


@contextmanager
def spread(
    args: argparse.Namespace, tensor: Tensor | PartitionedTensor, cells: dict[str, Any]
) -> Iterator[Any]:
    """The data, in parts on workers if the options ask for it; `cells` are then done with."""
    if args.scheduler is None and args.workers is None:
        yield tensor
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ParameterError(
            "--scheduler and --workers need Dask: pip install 'gcp-tensor[dask]'."
        ) from error
    from gcp.tensors.coerce import as_tensor

    whole = as_tensor(tensor, **cells)
    cells.clear()
    if args.scheduler is not None:
        try:
            client = Client(args.scheduler, timeout=5)
        except (OSError, ValueError) as error:
            raise DataError(f"--scheduler {args.scheduler}: cannot be reached: {error}.") from error
        with client:
            yield gcp.partition(whole, client=client)
        return
    quiet: dict[str, Any] = {"dashboard_address": ":0", "silence_logs": 50}
    with ExitStack() as stack:
        with _interrupts_kept():
            cluster = stack.enter_context(
                LocalCluster(n_workers=args.workers, threads_per_worker=1, processes=True, **quiet)
            )
        client = stack.enter_context(Client(cluster))
        yield gcp.partition(whole, client=client)


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Ctrl-C waits, and is not for processes that begin meanwhile: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # where it begins later, it lets Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
