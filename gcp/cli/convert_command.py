"""`gcp convert`: from one file format to another."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import gcp
from gcp.base.errors import ParameterError
from gcp.base.signals import terminated_like_interrupted
from gcp.cli.parsing import Parser, command, memory_size
from gcp.cli.reading import add_reading_options, given_options, input_help, read_input

if TYPE_CHECKING:
    from gcp.io.convert import ConversionSummary


@command(
    "convert",
    "write a tensor in another format",
    "Read a tensor and write it in the format that the ending of OUT names. .npz keeps everything (missing "
    "cells, weights, labels); .csv and .parquet are long tables with labels, of the observed cells or, for a "
    "sparse tensor, of the nonzeros; .tns lists the nonzeros, and .npy, .mat, .ttb and .txt hold the values of "
    "all cells alone, missing ones as NaN.",
    "  gcp convert trips.csv trips.npz --modes station,date,hour --value count --unlisted zero\n"
    "  gcp convert enormous.tns.gz enormous.npz --memory 2GB",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("input", metavar="IN", help=input_help())
    parser.add_argument("out", metavar="OUT", help="the file to write")
    parser.add_argument(
        "--memory",
        metavar="SIZE",
        type=memory_size,
        help="from .tns or .tns.gz to .npz, for files of any size: use no more than this, such as 500MB or 2GB, "
        "beside what Python itself takes (about 0.25GB). OUT is then a list (sparse, or of the known entries) "
        "however small its shape, and its folder must have room for two copies of all rows meanwhile (4 bytes for a "
        "subscript, 8 for a value)",
    )
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert."""
    with terminated_like_interrupted():  # so that nothing unfinished is left
        if args.memory is not None:
            print(f"{args.out}: {_in_bounded_memory(args)}")
            return 0
        tensor = read_input(args)
        gcp.write_tensor(args.out, tensor)
    print(f"{args.out}: {tensor!r}")
    return 0


def _in_bounded_memory(args: argparse.Namespace) -> ConversionSummary:
    from gcp.io.convert import convert

    options = given_options(args)
    if foreign := sorted(set(options) - {"unlisted", "aggregate"}):
        raise ParameterError(f"--{foreign[0]} does not apply to .tns files, which --memory is for.")
    return convert(args.input, args.out, memory=args.memory, **options)
