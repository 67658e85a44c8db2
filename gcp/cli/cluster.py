"""Workers for `gcp fit`: of a Dask scheduler that runs already, or started for this fit."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import gcp
from gcp.base.errors import DataError, ParameterError
from gcp.cli.parsing import Parser

if TYPE_CHECKING:
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor


def add_options(parser: Parser, at_least: Any) -> None:
    """Add the options that say where a fit is computed."""
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
        help="the same, on N workers of one thread each in this process, which nobody else can reach",
    )


@contextmanager
def spread(
    args: argparse.Namespace, tensor: Tensor | PartitionedTensor, cells: dict[str, Any]
) -> Iterator[Any]:
    """Yield the data, in parts on workers if the options ask for it; `cells` are then done with."""
    if args.scheduler is None and args.workers is None:
        yield tensor
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ParameterError(
            "--scheduler and --workers need Dask: pip install 'gcp-tensor[dask]'."
        ) from error
    from gcp.tensors.intake.coerce import as_tensor

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
    with _in_process(args.workers) as client:
        yield gcp.partition(whole, client=client)


@contextmanager
def _in_process(n_workers: int) -> Iterator[Any]:
    """Start workers of one thread each in this process, who talk through its memory.

    A scheduler that listens lets in everyone who reaches it, who then runs code as the one who fits: any user of this
    machine. Dask's HTTP servers cannot be switched off; they listen to this machine alone, and have no pages.
    """
    import dask.config
    from distributed import Client, LocalCluster

    silent: dict[str, Any] = {"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}
    here = "127.0.0.1:0"
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(silent))
        cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=False,
            protocol="inproc",
            scheduler_kwargs={"dashboard": False, "dashboard_address": here},
            worker_dashboard_address=here,
            silence_logs=50,
        )
        stack.enter_context(cluster)
        yield stack.enter_context(Client(cluster))
