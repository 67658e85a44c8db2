"""Loading a saved result that the command line names, and its data."""

from __future__ import annotations

import argparse
from typing import Any

import gcp
from gcp.cli.parsing import Parser
from gcp.cli.reading import add_reading_options, input_help, read_input


def add_arguments(parser: Parser, *, json: bool = True) -> None:
    """Add RESULT, --data, the reading options, and --json."""
    parser.add_argument("result", metavar="RESULT", help="a file that gcp fit --out or FitResult.save wrote")
    parser.add_argument("--data", dest="input", metavar="INPUT", required=True, help=input_help())
    if json:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_reading_options(parser)


def load(args: argparse.Namespace) -> tuple[gcp.FitResult, Any]:
    """Return the result and its data, in the result's order; names and labels that both have must be the same.

    Raises
    ------
    DataError
        Data of another shape, or with other labels.
    """
    from gcp.objectives.known_cells import side_of
    from gcp.tensors.rearranged import aligned

    result = gcp.FitResult.load(args.result)
    return result, aligned(read_input(args), side_of(result, args.result), args.input)


def mode_of(given: str | None, result: gcp.FitResult) -> str | int | None:
    """Return a mode as the library takes it: its name, or its number."""
    return (
        int(given) if given is not None and given not in result.labels.names and given.isdecimal() else given
    )
