"""The options of `gcp fit`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from gcp.cli import cluster
from gcp.cli.parsing import Parser
from gcp.cli.reading import INPUT_HELP, add_memory_option, add_reading_options


def add_options(parser: Parser) -> None:
    """All of them, in groups."""
    parser.add_argument("input", metavar="INPUT", help=INPUT_HELP)
    _add_model(parser)
    _add_cells(parser)
    _add_method(parser)
    _add_output(parser)
    add_reading_options(parser)
    add_memory_option(parser)
    cluster.add_options(parser, at_least)


def _add_model(parser: Parser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--rank",
        type=at_least(0),
        required=True,
        help="number of components, at least 1 (0 with --main-effects)",
    )
    group.add_argument(
        "--loss", default="gaussian", help="its name; gcp losses lists them (default: gaussian)"
    )
    group.add_argument(
        "--param",
        metavar="NAME=VALUE",
        type=param,
        action="append",
        default=[],
        help="a parameter of the loss, such as r=3.0, or r=estimate for the negative binomial; may be repeated",
    )
    group.add_argument(
        "--l2-reg",
        type=float,
        default=0.0,
        metavar="X",
        help="ridge: X/2 times the squared factors (default: 0)",
    )
    group.add_argument(
        "--weight-reg",
        type=float,
        default=0.0,
        metavar="X",
        help="lasso: X times the sum of weights (default: 0)",
    )
    group.add_argument(
        "--dirichlet-reg",
        type=float,
        default=0.0,
        metavar="X",
        help="of nonnegative factors: keep entries off 0 as X further observations would, evenly spread (default: 0)",
    )
    group.add_argument(
        "--main-effects",
        nargs="?",
        const="all",
        metavar="A,B",
        help="add an intercept and a number for each position of these modes (names or numbers; default: of all)",
    )
    group.add_argument(
        "--l2-effects", type=float, metavar="X", help="ridge of the main effects (default: that of --l2-reg)"
    )
    group.add_argument(
        "--lower",
        type=float,
        metavar="X",
        help="least factor entry, a negative one as --lower=-1 (default: 0 where the loss needs a nonnegative "
        "model, else none)",
    )
    group.add_argument("--upper", type=float, metavar="X", help="largest factor entry (default: none)")


def _add_cells(parser: Parser) -> None:
    group = parser.add_argument_group("cells")
    group.add_argument(
        "--mask",
        metavar="FILE",
        help="a tensor file of the data's shape, or one that broadcasts to it; nonzero = observed. A listing "
        "(.tns, .csv, .parquet) names the observed cells: those it leaves out are not",
    )
    group.add_argument(
        "--entry-weights",
        metavar="FILE",
        help="a tensor file like that of --mask: weights of the cells; 2 counts a cell twice, 0 leaves it out",
    )
    group.add_argument(
        "--exclude-zeros",
        action="store_true",
        help="leave cells that are 0 out of the fit, listed or not; the gamma and rayleigh losses need it if there "
        "are any",
    )

    group.add_argument(
        "--test-fraction",
        type=float,
        metavar="P",
        help="hold out this part of the known cells, and report the loss, the error and, of 0/1 data, the AUC there",
    )


def _add_method(parser: Parser) -> None:
    group = parser.add_argument_group("method")
    group.add_argument(
        "--init",
        default="random",
        metavar="random|svd|RESULT.npz",
        help="where to start; a saved result is continued (default: random)",
    )
    group.add_argument(
        "--starts",
        type=at_least(1),
        default=1,
        metavar="N",
        help="number of starts; the best is kept (default: 1)",
    )
    group.add_argument(
        "--seed",
        type=at_least(0),
        metavar="N",
        help="decides all random starts, at least 0 (default: drawn, and reported)",
    )
    group.add_argument(
        "--solver",
        default="auto",
        metavar="NAME",
        help="auto, adam, als, lbfgsb, plbfgs, rows or sampled-rows (default: auto)",
    )
    group.add_argument(
        "--max-iter",
        type=at_least(0),
        metavar="N",
        help="most iterations per start (default: the solver's, 2000)",
    )
    group.add_argument(
        "--tol",
        type=at_least(0.0),
        metavar="X",
        help="stop when an iteration lowers the objective by less than this part of its excess over a perfect "
        "model (default: the solver's, 1e-09)",
    )
    group.add_argument(
        "--max-seconds",
        type=at_least(0.0),
        metavar="X",
        help="stop all starts after this time (default: no limit)",
    )
    group.add_argument(
        "--threads", type=at_least(1), metavar="N", help="number of cores to use (default: all)"
    )


def _add_output(parser: Parser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", metavar="FILE", help="save the result: .npz, for gcp plot, --init and FitResult.load"
    )
    group.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="keep the state of the fit there, and go on from it if it is there: to the same end, bit by bit",
    )
    group.add_argument(
        "--checkpoint-every",
        type=at_least(0.0),
        default=60.0,
        metavar="X",
        help="seconds between writings of the checkpoint (default: 60)",
    )
    group.add_argument("--plot", metavar="FILE", help="draw all components: .png, .pdf or .svg")
    group.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    group.add_argument(
        "--quiet", action="store_true", help="no progress and no table (--json still prints its object)"
    )


def at_least(low: int | float) -> Callable[[str], int | float]:
    """A converter to numbers of the type of `low`, and not below it."""

    def convert(text: str) -> int | float:
        try:
            value = type(low)(text)
        except ValueError:
            value = type(low)(-1)
        if not low <= value < math.inf:
            kind = "whole number" if isinstance(low, int) else "number"
            raise argparse.ArgumentTypeError(f"expected a {kind} >= {low:g}, found {text!r}")
        return value

    return convert


def param(text: str) -> tuple[str, float | str]:
    """A parameter of a loss: its name, and a number or "estimate"."""
    from gcp.losses.base import ESTIMATE

    name, equals, value = text.partition("=")
    try:
        if not (name.strip() and equals):
            raise ValueError
        return name.strip(), value if value == ESTIMATE else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, such as r=3.0, found {text!r}") from None
