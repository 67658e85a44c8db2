"""Reading a tensor that the command line names."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gcp
from gcp.base.errors import DataError, ParameterError
from gcp.cli.documented import Documented
from gcp.cli.parsing import Parser, memory_size

if TYPE_CHECKING:
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor

READING_OPTIONS = (
    "modes",
    "value",
    "wide",
    "header",
    "separator",
    "decimal",
    "encoding",
    "unlisted",
    "aggregate",
    "variable",
    "format",
)
LISTINGS = (".tns", ".tns.gz", ".csv", ".csv.gz", ".parquet")
"""Endings of files that list cells, and may leave some out."""


def input_help() -> str:
    """Return what may stand for a tensor."""
    from gcp.io.known_formats import endings

    return (
        f"a tensor: a file or folder {endings()} (text also with .gz); - for standard input, with --format; or the "
        "name of a bundled data set, such as nyc_flights (a file of that name wins; an unknown name lists them all)"
    )


def add_reading_options(parser: Parser) -> None:
    """Add the options of `gcp.read_tensor`."""
    group = parser.add_argument_group("reading options")
    read = Documented(gcp.read_tensor)
    read.add(group, "--modes", metavar="A,B,C", type=lambda text: [name.strip() for name in text.split(",")])
    read.add(group, "--value", metavar="COLUMN")
    read.add(group, "--wide", metavar="MODE")
    group.add_argument(
        "--no-header",
        dest="header",
        action="store_false",
        default=None,
        help="text tables and .xlsx: the first line is data; the columns are called 0, 1, ...",
    )
    read.add(group, "--separator", metavar="TEXT")
    read.add(group, "--decimal", metavar="CHARACTER")
    read.add(group, "--encoding", metavar="NAME")
    read.add(group, "--unlisted")
    read.add(group, "--aggregate")
    read.add(group, "--variable", metavar="NAME")
    read.add(group, "--format", metavar="ENDING")
    for name, what in (
        ("exposure", "by which expected data are multiplied (a population, hours, a sequencing depth)"),
        ("offset", "that are added to models of any sign"),
        ("trials", "of trials, of which the data are successes or shares"),
    ):
        group.add_argument(
            f"--{name}",
            metavar="COLUMN|FILE|NUMBER",
            help=f"numbers {what}: a column of the table, a tensor file, which may have some of the modes, or, of "
            "input that is no table, one number for all cells",
        )


def add_memory_option(group: Any) -> None:
    """Add the option of commands that take tensors in parts."""
    Documented(gcp.read_tensor).add(group, "--memory", metavar="SIZE", type=memory_size)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the reading options that the command line has."""
    return {name: getattr(args, name) for name in READING_OPTIONS if getattr(args, name) is not None}


def read_input(args: argparse.Namespace) -> Tensor:
    """Return the tensor that INPUT names, in one piece."""
    from gcp.tensors.intake.coerce import in_one_piece
    from gcp.tensors.kinds import stored

    return stored(in_one_piece(read_input_or_parts(args)))


def read_input_or_parts(args: argparse.Namespace) -> Tensor | PartitionedTensor:
    """Return the tensor that INPUT names, read with the reading options."""
    from gcp.tensors.carried_columns import CARRIED

    beside = {name: given for name in CARRIED if (given := getattr(args, name, None)) is not None}
    bundled = gcp.datasets.available_datasets()
    more = bundled if args.input in bundled else []
    files = {name: given for name, given in beside.items() if Path(given).exists() or given in more}
    columns = {name: given for name, given in beside.items() if name not in files}
    numbers = {name: float(given) for name, given in columns.items() if _is_number_for_all(args, name, given)}
    tensor = _tensor(args, {name: given for name, given in columns.items() if name not in numbers})
    return _carrying(tensor, files, numbers) if files or numbers else tensor


def _is_number_for_all(args: argparse.Namespace, name: str, given: str) -> bool:
    """Return whether what an option gives is a number for all cells: of input without columns to be named so."""
    from gcp.io.known_formats import format_of

    form = format_of(args.input if args.format is None else f".{args.format.removeprefix('.')}")
    has_columns = form is not None and name in form[0].options
    try:
        float(given)
    except ValueError:
        return False
    return not has_columns


def _carrying(
    tensor: Tensor | PartitionedTensor, files: dict[str, str], numbers: dict[str, float]
) -> Tensor | PartitionedTensor:
    """Return the tensor with what files, and numbers for all, say of its cells, by name."""
    from gcp.tensors.intake.carried import titled
    from gcp.tensors.intake.coerce import as_tensor

    found: Any = as_tensor(tensor, **numbers) if numbers else tensor
    for name, path in files.items():
        try:
            found = as_tensor(found, **{name: _beside(path, tensor)})
            if name == "exposure" and not (found.labels and found.labels.exposure):
                found = titled(found, Path(path).stem)
        except DataError as error:
            raise DataError(f"{path}: {error}") from error
    return found


def _beside(path: str, tensor: Tensor | PartitionedTensor) -> Any:
    """Return what a file says of the cells of a tensor, read in slabs if that is."""
    from gcp.io import array_source
    from gcp.io.known_formats import format_of
    from gcp.tensors.intake.coerce import in_one_piece
    from gcp.tensors.kinds import stored

    form, is_file = format_of(path), Path(path).exists()
    if is_file and tensor.parts is not None and form is not None and form[0].source is not None:
        return array_source(path)
    unlisted = "missing" if is_listing(path) else None
    read = gcp.read_tensor(path, unlisted=unlisted) if is_file else _bundled(path)
    other = stored(in_one_piece(read))
    return other if len(other.shape) == len(tensor.shape) else other.to_dense()


def is_listing(path: str) -> bool:
    """Return whether a file lists cells, so that it has to be said what others are."""
    return path.lower().endswith(LISTINGS)


def _tensor(args: argparse.Namespace, columns: dict[str, str]) -> Tensor | PartitionedTensor:
    """Return the tensor that INPUT names, with columns of its table by the name of what cells carry."""
    options = given_options(args) | columns
    if getattr(args, "memory", None) is not None:
        options["memory"] = args.memory
    if args.input == "-":
        return gcp.read_tensor(sys.stdin.buffer, **options)
    path = Path(args.input)
    bundled = gcp.datasets.available_datasets()
    if path.exists() and not (path.is_dir() and args.input in bundled):
        return gcp.read_tensor(path, **options)
    if args.input not in bundled:
        raise DataError(
            f"{args.input}: there is no such file, nor a bundled data set of this name ({', '.join(bundled)})."
        )
    if columns:
        name, given = next(iter(columns.items()))
        raise ParameterError(f"--{name} {given}: there is no such file, nor a bundled data set of this name.")
    if options:
        raise ParameterError(
            f"--{next(iter(options))}: reading options are for files, but {args.input} is a bundled data set."
        )
    return _bundled(args.input)


def _bundled(name: str) -> Tensor:
    """Return a bundled data set."""
    tensor: Tensor = getattr(gcp.datasets, f"load_{name}")()
    return tensor


def mode_labels(tensor: Tensor | PartitionedTensor) -> gcp.ModeLabels:
    """Return the tensor's labels, or the default ones."""
    return tensor.labels or gcp.ModeLabels.default(tensor.shape)


def mode_number(given: str, tensor: Tensor | PartitionedTensor, option: str) -> int:
    """Return the number of a mode that an option names or numbers."""
    names = list(mode_labels(tensor).names)
    if given not in names and not (given.isdecimal() and int(given) < len(names)):
        raise ParameterError(
            f"{option}: there is no mode {given!r}: expected names ({', '.join(names)}) or numbers from 0."
        )
    return names.index(given) if given in names else int(given)
