"""`gcp suggest`: the loss that the data call for."""

from __future__ import annotations

import argparse

from gcp.cli.output import print_json, print_table
from gcp.cli.parsing import Parser, command
from gcp.cli.reading import add_reading_options, input_help, read_input


@command(
    "suggest",
    "say which loss the data call for",
    "Say which losses the data admit, which of them their variation supports, and why: a rough model is fitted, "
    "and the spread of the data around it compared with its expectations.",
    "  gcp suggest nyc_flights",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("input", metavar="INPUT", help=input_help())
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look and report."""
    from gcp.analysis import suggest_loss

    found = suggest_loss(read_input(args))
    if args.json:
        suggestions = [vars(suggestion) for suggestion in found.suggestions]
        print_json({"best": found.best, "power": found.power, "suggestions": suggestions})
        return 0
    rows = [
        [s.loss, "yes" if s.supported else "possible" if s.admitted else "no", s.reason]
        for s in found.suggestions
    ]
    print_table(("loss", "supported", "why"), rows, (0, 1))
    return 0
