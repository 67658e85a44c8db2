"""From the command line to a saved result and its data."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import gcp
from gcp.cli.parsing import Parser
from gcp.cli.reading import INPUT_HELP, add_reading_options, read_input
from gcp.errors import DataError


def add_arguments(parser: Parser, *, json: bool = True) -> None:
    """RESULT, --data, the reading options, and --json."""
    parser.add_argument("result", metavar="RESULT", help="a file that gcp fit --out or FitResult.save wrote")
    parser.add_argument("--data", dest="input", metavar="INPUT", required=True, help=INPUT_HELP)
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_reading_options(parser)


def load(args: argparse.Namespace) -> tuple[gcp.FitResult, Any]:
    """The result and its data; labels that both have must be the same.

    Raises
    ------
    DataError
        Data of another shape, or with other labels.
    """
    result = gcp.FitResult.load(args.result)
    tensor = read_input(args)
    if tensor.shape != result.shape:
        raise DataError(
            f"{args.input}: has shape {tensor.shape}, but the model of {args.result} {result.shape}."
        )
    if tensor.labels is not None:
        for name, ours, theirs in zip(
            result.labels.names, result.labels.coords, tensor.labels.coords, strict=True
        ):
            if ours is not None and theirs is not None and not np.array_equal(ours, theirs):
                raise DataError(
                    f"{args.input}: its labels of the mode {name!r} differ from those of {args.result}."
                )
    return result, tensor
