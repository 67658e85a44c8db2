"""`gcp report`: one page about a saved model."""

from __future__ import annotations

import argparse

from gcp.base.errors import ParameterError
from gcp.cli import saved_result
from gcp.cli.output import check_target
from gcp.cli.parsing import Parser, command


@command(
    "report",
    "write a page about a saved model that can be sent to a colleague",
    "Write one HTML page that needs no network: what was fitted, how good it is, the components with their "
    "labels, diagnostics with a sentence each on how to read them, the most surprising cells, "
    "and the settings to repeat it.",
    "  gcp report flights.npz --data nyc_flights -o flights.html",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    saved_result.add_arguments(parser, json=False)
    parser.add_argument("-o", "--out", metavar="PAGE", required=True, help="the .html file to write")
    parser.add_argument("--title", default="", metavar="TEXT", help="heading of the page")
    parser.add_argument(
        "--surprises", type=int, default=15, metavar="N", help="cells to list, 0 for none (default: 15)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    from gcp.analysis.report import write_report
    from gcp.analysis.report.template import check_installed

    check_target("--out", args.out, (".html", ".htm"))
    check_installed()
    if args.surprises < 0:
        raise ParameterError(f"--surprises must be at least 0: found {args.surprises}.")
    result, tensor = saved_result.load(args)
    write_report(result, tensor, args.out, title=args.title, source=args.input, n_surprises=args.surprises)
    print(args.out)
    return 0
