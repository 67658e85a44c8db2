"""Loading a saved result that the command line names, and its data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gcp
from gcp.base.errors import ParameterError
from gcp.cli.parsing import Parser
from gcp.cli.reading import add_reading_options, input_help, read_input

RESULT_HELP = (
    "a file that gcp fit --out or FitResult.save wrote; FILE:NAME is the model of one tensor, "
    "where it holds several"
)


def add_arguments(parser: Parser, *, json: bool = True) -> None:
    """Add RESULT, --data, the reading options, and --json."""
    parser.add_argument("result", metavar="RESULT", help=RESULT_HELP)
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

    result = read_result(args.result)
    return result, aligned(read_input(args), side_of(result, args.result), args.input)


def mode_of(given: str | None, result: gcp.FitResult) -> str | int | None:
    """Return a mode as the library takes it: its name, or its number."""
    return (
        int(given) if given is not None and given not in result.labels.names and given.isdecimal() else given
    )


def read_result(text: str, loss: gcp.Loss | None = None) -> gcp.FitResult:
    """Return a saved result, of several tensors that of the one whose name is behind the file's.

    `loss` stands for a custom one, whose formula no file holds.

    Raises
    ------
    ParameterError
        A result of several tensors, and none of their names.
    """
    head, colon, name = text.rpartition(":")
    path = text if Path(text).exists() or not (colon and Path(head).exists()) else head
    found = gcp.load(path, loss)
    if isinstance(found, gcp.CoupledResult):
        if path == text:
            raise ParameterError(
                f"{text} holds a model for each of {', '.join(found)}: say which, {text}:{next(iter(found))}."
            )
        return found[name]
    if path != text:
        raise ParameterError(f"{path} holds the model of one tensor: give it without :{name}.")
    model: gcp.FitResult = found
    return model
