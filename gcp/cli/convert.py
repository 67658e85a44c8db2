"""`gcp convert`: from one file format to another."""

from __future__ import annotations

import argparse

import gcp
from gcp.cli.parsing import Commands, add_command
from gcp.cli.reading import INPUT_HELP, add_reading_options, read_input


def add_parser(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "convert",
        "write a tensor in another format",
        "Read a tensor and write it in the format that the ending of OUT names. .npz keeps everything (missing "
        "cells, weights, labels); .csv and .parquet are long tables with labels, of the observed cells or, for a "
        "sparse tensor, of the nonzeros; .tns lists the nonzeros, and .npy, .mat, .ttb and .txt hold the values of "
        "all cells alone, missing ones as NaN.",
        "  gcp convert trips.csv trips.npz --modes station,date,hour --value count --unlisted zero",
    )
    parser.add_argument("input", metavar="IN", help=INPUT_HELP)
    parser.add_argument("out", metavar="OUT", help="the file to write")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert."""
    tensor = read_input(args)
    gcp.write_tensor(args.out, tensor)
    print(f"{args.out}: {tensor!r}")
    return 0
