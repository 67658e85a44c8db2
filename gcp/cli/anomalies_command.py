"""`gcp anomalies`: the cells that a model finds most surprising."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

from gcp.cli import saved_result
from gcp.cli.output import check_target, number, print_json, print_table
from gcp.cli.parsing import Parser, command


@command(
    "anomalies",
    "list the cells that a model finds most surprising",
    "List the cells whose data are least probable under a saved model, with their labels, the most surprising "
    "first. Of sparse data zeros count too.",
    "  gcp anomalies flights.npz --data nyc_flights -n 10",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    saved_result.add_arguments(parser)
    parser.add_argument("-n", type=int, default=20, metavar="N", help="how many (default: 20)")
    parser.add_argument(
        "--side",
        choices=("both", "high", "low"),
        default="both",
        help="larger than expected, smaller, or both (default)",
    )
    parser.add_argument("--out", metavar="TABLE", help="a .csv file to write them to")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Find and list."""
    from gcp.analysis import anomalies

    if args.out:
        check_target("--out", args.out, (".csv",), (args.input,))
    result, tensor = saved_result.load(args)
    found = anomalies(result, tensor, args.n, args.side)
    names = list(result.labels.names)
    header = [*names, "observed", "expected", "p_value"]
    numbers = zip(found.observed.tolist(), found.expected.tolist(), found.p_value.tolist(), strict=True)
    labels = zip(*(label.tolist() for label in found.labels), strict=True)
    rows: list[list[Any]] = [
        [*(str(label) for label in cell), *row] for cell, row in zip(labels, numbers, strict=True)
    ]
    if args.out:
        from gcp.io.files import replacing, writing

        path = Path(args.out)
        with writing(path), replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        print(args.out)
    elif args.json:
        print_json({"anomalies": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        shown = [[*row[:-3], *(number(value) for value in row[-3:])] for row in rows]
        print_table(header, shown, range(len(header)))
    return 0
