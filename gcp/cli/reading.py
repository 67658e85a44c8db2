"""From the command line to a tensor."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gcp
from gcp.base.errors import DataError, ParameterError
from gcp.cli.parsing import Parser, memory_size

if TYPE_CHECKING:
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor

_OPTIONS = ("modes", "value", "wide", "header", "separator", "unlisted", "aggregate", "variable")

INPUT_HELP = (
    "a tensor: .npy, .npz, .tns, .tns.gz, .csv, .csv.gz, .parquet, .mat, .ttb, .txt, .h5, .hdf5 or .zarr; or the "
    "name of a bundled data set, such as nyc_flights (a file of that name wins; an unknown name lists them all)"
)


def add_reading_options(parser: Parser) -> None:
    """The options of `gcp.read_tensor`."""
    group = parser.add_argument_group("reading options")
    group.add_argument(
        "--modes",
        metavar="A,B,C",
        type=lambda text: [name.strip() for name in text.split(",")],
        help="tables: the columns that give the modes, in order (default: all but the value column)",
    )
    group.add_argument(
        "--value",
        metavar="COLUMN",
        help='tables: the column of numbers (default: "value", else the last that is not a mode)',
    )
    group.add_argument(
        "--wide",
        metavar="MODE",
        help="tables with a column for each position of a mode (country, 1990, 1991, ...): the name of that mode",
    )
    group.add_argument(
        "--no-header",
        dest="header",
        action="store_false",
        default=None,
        help=".csv: the first line is data; the columns are called 0, 1, ...",
    )
    group.add_argument(
        "--separator",
        metavar="CHARACTER",
        help=".csv: what separates the columns, such as ';' or TAB (default: a comma)",
    )
    group.add_argument(
        "--unlisted",
        choices=("zero", "missing"),
        help="listings: what a cell means that the file leaves out (default: zero for .tns and sptensor files; "
        "tables that leave cells out need the choice)",
    )
    group.add_argument(
        "--aggregate",
        choices=("sum", "mean", "error"),
        help="listings: what to do with several rows for one cell (default: sum; error with --unlisted missing)",
    )
    group.add_argument(
        "--variable", metavar="NAME", help=".npz, .mat, .h5, .hdf5 and .zarr: the array to read, of several"
    )


def add_memory_option(parser: Parser) -> None:
    """The option of commands that take tensors in parts."""
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=memory_size,
        help=".npy, .h5, .hdf5 and .zarr: keep within this memory, such as 2GB, and read data of more than half of "
        "it in slabs, in every pass (default: data are read whole)",
    )


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """The reading options that the command line has."""
    return {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}


def read_input(args: argparse.Namespace) -> Tensor:
    """The tensor that INPUT names, in one piece."""
    from gcp.tensors.intake.coerce import in_one_piece

    return in_one_piece(read_input_or_parts(args))


def read_input_or_parts(args: argparse.Namespace) -> Tensor | PartitionedTensor:
    """The tensor that INPUT names, read with the reading options."""
    options = given_options(args)
    if getattr(args, "memory", None) is not None:
        options["memory"] = args.memory
    path = Path(args.input)
    bundled = gcp.datasets.available_datasets()
    if path.exists() and not (path.is_dir() and args.input in bundled):
        return gcp.read_tensor(path, **options)
    if args.input not in bundled:
        raise DataError(
            f"{args.input}: there is no such file, nor a bundled data set of this name ({', '.join(bundled)})."
        )
    if options:
        raise ParameterError(
            f"--{next(iter(options))}: reading options are for files, but {args.input} is a bundled data set."
        )
    tensor: gcp.DenseTensor = getattr(gcp.datasets, f"load_{args.input}")()
    return tensor


def mode_labels(tensor: Tensor | PartitionedTensor) -> gcp.ModeLabels:
    """The tensor's labels, or the default ones."""
    return tensor.labels or gcp.ModeLabels.default(tensor.shape)
