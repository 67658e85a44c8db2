"""`gcp update`: new positions of a mode in a saved model, which refresh it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import gcp
from gcp.base.errors import DataError, ParameterError
from gcp.cli.documented import Documented
from gcp.cli.output import check_target, print_json, print_pairs
from gcp.cli.parsing import Parser, command
from gcp.cli.reading import add_reading_options, input_help, read_input
from gcp.cli.saved_result import mode_of


@command(
    "update",
    "refresh a saved model by new days, trials or users",
    "Add the new positions of a mode to a saved model and refresh its other modes by them and by what the model "
    "remembers of earlier data, which the file holds: its size does not grow with the stream but by the new rows. "
    "RESULT is replaced, at once and only when all is done, unless --out names another file.",
    "  gcp update crimes.npz monday.csv --mode day --history crimes.csv --unlisted zero\n"
    "  gcp update crimes.npz tuesday.csv --unlisted zero --half-life 90",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    own = Documented(gcp.FitResult.update)
    parser.add_argument("result", metavar="RESULT", help="a file that gcp fit --out or FitResult.save wrote")
    parser.add_argument("input", metavar="NEW", help=input_help())
    own.add(parser, "--mode", metavar="MODE")
    words = (
        "the data of the fit, or the latest part of them, for the first update, read with the same reading options "
        "(default: what the model expects, if the fit saw every cell)"
    )
    own.add(parser, "--history", metavar="INPUT", help=words)
    for flag, kind, words in (
        ("--half-life", float, "number of new positions after which what is remembered counts half"),
        ("--window", int, "number of the latest positions, about, that are remembered at all"),
    ):
        own.add(parser, flag, metavar="N", type=kind, help=words, default="nothing is forgotten")
    own.add(parser, "--max-iter", metavar="N", type=int, sentences=1)
    own.add(parser, "--tol", metavar="X", type=float, sentences=1)
    own.add(parser, "--threads", metavar="N", type=int, help="number of threads", default="all cores")
    parser.add_argument("--out", metavar="RESULT", help="a file for the new model (default: RESULT itself)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    add_reading_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Update and say what was done."""
    from gcp.base.locks import locked

    target = args.out or args.result
    check_target("--out" if args.out else "RESULT", target, (".npz",), (args.input, args.history))
    with locked(Path(args.result), "this result"):
        result = gcp.load(args.result)
        if isinstance(result, gcp.CoupledResult):
            raise ParameterError(
                f"{args.result} holds models of several tensors, whose rows an update does not refresh."
            )
        history = None if args.history is None else read_input(_other(args, args.history))
        found = result.update(
            read_input(args),
            mode_of(args.mode, result),
            unlisted=args.unlisted if args.unlisted in ("zero", "missing") else None,
            history=history,
            half_life=args.half_life,
            window=args.window,
            n_iter_max=args.max_iter,
            tol=args.tol,
            n_threads=args.threads,
        )
        found.save(target)
    about: dict[str, Any] = {
        "result": str(target),
        "shape": list(found.shape),
        "converged": found.converged,
        "message": found.message,
        "seconds": found.seconds,
    }
    if args.json:
        print_json(about)
    else:
        sizes = zip(found.shape, found.labels.names, strict=True)
        shape = " x ".join(f"{size} {name}" for size, name in sizes)
        stopped = "converged" if found.converged else f"not converged ({found.status})"
        rows = [("result", f"{target}: {shape}"), ("status", f"{stopped}: {found.message}")]
        print_pairs([*rows, ("seconds", f"{found.seconds:.2f}")])
    return 0


def _other(args: argparse.Namespace, given: str) -> argparse.Namespace:
    """Return the arguments with another INPUT."""
    if not Path(given).exists() and given not in gcp.datasets.available_datasets():
        raise DataError(f"--history {given}: there is no such file, nor a bundled data set of this name.")
    return argparse.Namespace(**{**vars(args), "input": given})
