"""`gcp plot`: a picture of a saved result."""

from __future__ import annotations

import argparse

import gcp
from gcp.cli.output import check_picture, save_picture
from gcp.cli.parsing import Parser, command
from gcp.cli.saved_result import RESULT_HELP, read_result


@command(
    "plot",
    "draw the components of a saved result",
    "Draw the components of a saved result: a row per component, a column per mode; lines for numbers and dates "
    "in order, bars for named categories and for positions without names.",
    "  gcp plot flights.npz -o flights.pdf --components 0,2 --kind month=bar",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("result", metavar="RESULT", help=RESULT_HELP)
    parser.add_argument(
        "-o", "--out", metavar="PICTURE", required=True, help="the file to write: .png, .pdf or .svg"
    )
    parser.add_argument(
        "--components",
        metavar="0,2",
        type=_numbers,
        help="which components, counted from 0 (default: all, heaviest first)",
    )
    parser.add_argument(
        "--kind",
        metavar="MODE=KIND",
        type=_kind,
        action="append",
        default=[],
        help="draw a mode as bar, dot or line; may be given several times",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Draw."""
    check_picture("--out", args.out)
    model = load_model(args.result)
    names = model.labels.names
    kinds = {mode if mode in names or not mode.isdecimal() else int(mode): kind for mode, kind in args.kind}
    save_picture(model, args.out, args.components, kinds)
    print(args.out)
    return 0


def load_model(path: str) -> gcp.FitResult:
    """Return a saved result of which only the model matters.

    A custom loss, whose formula no file holds, is let go.
    """
    return read_result(path, gcp.Gaussian())


def _kind(text: str) -> tuple[str, str]:
    from gcp.analysis.plots.axis import KINDS

    mode, _, kind = text.rpartition("=")
    if mode and kind in KINDS:
        return mode, kind
    raise argparse.ArgumentTypeError(f"expected MODE={'|'.join(KINDS)}, found {text!r}")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected whole numbers and commas, found {text!r}") from None
