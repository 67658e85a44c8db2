"""`gcp forecast`: what comes after the last position of a mode, with predictive intervals."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import Any

import gcp
from gcp.base.errors import DataError
from gcp.cli.documented import Documented
from gcp.cli.output import check_target, number, print_json, print_table
from gcp.cli.parsing import Parser, command
from gcp.cli.reading import is_listing
from gcp.cli.saved_result import RESULT_HELP, mode_of, read_result

_MOST_ROWS = 40
"""Cells that are printed, at most."""


@command(
    "forecast",
    "forecast what comes after the last position of a mode, with intervals",
    "Forecast the data at the next positions of a mode, such as the next days, by a saved model: expected data and "
    "intervals that hold what comes with a given probability. A mode with a design goes on as that says, another one "
    "as an autoregression of its components.",
    "  gcp forecast visits.npz --horizon 7 --mode day --level 0.9 --out next_week.csv",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    own = Documented(gcp.FitResult.forecast)
    parser.add_argument("result", metavar="RESULT", help=RESULT_HELP)
    parser.add_argument(
        "--horizon", type=int, required=True, metavar="N", help="how many positions after the last one"
    )
    own.add(parser, "--mode", metavar="MODE")
    parser.add_argument(
        "--level", type=float, default=0.9, metavar="P", help="probability of the intervals (default: 0.9)"
    )
    words = "lags of the autoregression: 2 is 1,2, and 0 is none; 1,7 has yesterday and the day a week ago"
    own.add(parser, "--lags", metavar="N|A,B", type=_lags, help=words, default="what BIC prefers")
    own.add(parser, "--dispersion", metavar="X", type=float)
    own.add(parser, "--n-draws", metavar="N", type=int)
    own.add(parser, "--seed", metavar="N", type=int)
    for name in ("exposure", "offset", "trials"):
        parser.add_argument(
            f"--{name}",
            metavar="FILE|NUMBER",
            help=f"{name} of what comes: a tensor file, which may lack modes, or one number for all cells",
        )
    parser.add_argument("--out", metavar="TABLE", help="a .csv file to write a row for each cell to")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Forecast and list."""
    if args.out:
        check_target("--out", args.out, (".csv",), (args.result,))
    result = read_result(args.result)
    given = {name: getattr(args, name) for name in ("exposure", "offset", "trials")}
    carried: Any = {name: _numbers(f"--{name}", text) for name, text in given.items() if text is not None}
    found = result.forecast(
        args.horizon,
        mode_of(args.mode, result),
        lags=args.lags,
        dispersion=args.dispersion,
        n_draws=args.n_draws,
        random_state=args.seed,
        **carried,
    )
    table = found.table(args.level)
    header = [*table.index, *map(str, table.columns)]
    columns = [*(labels.astype(str).tolist() for labels in table.index.values())]
    columns += [values.tolist() for values in table.columns.values()]
    rows: list[Any] = list(zip(*columns, strict=True))
    if args.out:
        from gcp.io.files import replacing, writing

        path = Path(args.out)
        with writing(path), replacing(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([header, *rows])
        print(args.out)
    elif args.json:
        about = {"mode": found.mode, "level": args.level, "dispersion": found.dispersion, "lags": found.lags}
        print_json(about | {"forecast": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        shown = [[*row[:-3], *map(number, row[-3:])] for row in rows[:_MOST_ROWS]]
        print_table(header, shown, range(len(header)))
        if len(rows) > _MOST_ROWS:
            print(f"... {len(rows) - _MOST_ROWS:,} more rows (--out TABLE has all)")
    return 0


def _lags(text: str) -> int | list[int]:
    try:
        return [int(lag) for lag in text.removesuffix(",").split(",")] if "," in text else int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected whole numbers, such as 2 or 1,7 (7, is the lag 7 alone), found {text!r}"
        ) from None


def _numbers(option: str, given: str) -> Any:
    """Return what an option gives: one number, or the tensor of a file."""
    try:
        return float(given)
    except ValueError:
        pass
    if not Path(given).exists():
        raise DataError(f"{option} {given}: there is no such file, nor is it a number.")
    from gcp.tensors.intake.coerce import in_one_piece
    from gcp.tensors.kinds import stored

    read = gcp.read_tensor(given, unlisted="missing" if is_listing(given) else None)
    return stored(in_one_piece(read)).to_dense()
