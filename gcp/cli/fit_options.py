"""The options of `gcp fit`."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import gcp
from gcp.cli import cluster, coupled_fit, design_option, held_out
from gcp.cli.documented import Documented
from gcp.cli.parsing import Parser
from gcp.cli.penalty_options import add_penalty_options
from gcp.cli.reading import add_memory_option, add_reading_options, input_help
from gcp.cli.several_option import LOSS_HELP


def add_options(parser: Parser) -> None:
    """Add all options, in groups."""
    parser.add_argument("input", metavar="INPUT", nargs="?", help=input_help())
    coupled_fit.add_options(parser)
    fit = Documented(gcp.fit_gcp)
    _add_model(parser, fit)
    _add_cells(parser)
    _add_method(parser, fit)
    _add_output(parser, fit)
    add_reading_options(parser)
    add_memory_option(parser.add_argument_group("large files"))
    cluster.add_options(parser, at_least)


def _add_model(parser: Parser, fit: Documented) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--rank", type=at_least(0), required=True, help=fit.text("rank"))
    fit.add(group, "--loss", help=LOSS_HELP)
    group.add_argument(
        "--param",
        metavar="NAME=VALUE",
        type=param,
        action="append",
        default=[],
        help="a parameter of the loss, such as r=3.0, thresholds=-1,0,2, or r=estimate for the negative binomial; "
        "may be repeated",
    )
    fit.add(group, "--l2-reg", type=at_least(0.0), metavar="X", help="ridge: X/2 times the squared factors")
    fit.add(
        group,
        "--weight-reg",
        type=at_least(0.0),
        metavar="X",
        help="a lasso on the components' weights: X times their sum is added, so that superfluous components vanish",
    )
    fit.add(
        group,
        "--dirichlet-reg",
        type=at_least(0.0),
        metavar="X",
        help="of nonnegative factors: keep entries off 0 as X further observations would, evenly spread",
    )
    add_penalty_options(group, several=False)
    group.add_argument(
        "--main-effects",
        nargs="?",
        const="all",
        metavar="A,B",
        help="add an intercept and a number for each position of these modes (names or numbers; default: of all)",
    )
    group.add_argument(
        "--l2-effects",
        type=at_least(0.0),
        metavar="X",
        help="ridge of the main effects (default: that of --l2-reg)",
    )
    design_option.add_option(group)
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
        help="leave cells that are 0 out of the fit, listed or not; losses of data above 0 (gamma, rayleigh, "
        "inverse-gaussian, zero-truncated-poisson) need it if there are any",
    )

    group.add_argument(
        "--test-fraction",
        type=float,
        metavar="P",
        help="hold out this part of the known cells, and report the loss, the error and, of 0/1 data, the AUC there",
    )
    held_out.add_option(group)


def _add_method(parser: Parser, fit: Documented) -> None:
    group, solver = parser.add_argument_group("method"), Documented(gcp.LBFGSB)
    fit.add(
        group,
        "--init",
        metavar="random|svd|RESULT.npz",
        help="where to start; a saved result is continued",
    )
    fit.add(group, "--starts", type=at_least(1), metavar="N", sentences=1)
    fit.add(
        group,
        "--seed",
        type=at_least(0),
        metavar="N",
        sentences=1,
        default="drawn, and reported",
    )
    fit.add(
        group,
        "--solver",
        metavar="NAME",
        help=f"{', '.join(gcp.available_solvers())}; auto chooses by loss and data",
    )
    for flag, name, low, what in (
        ("--max-iter", "n_iter_max", 0, "most iterations per start"),
        ("--tol", "tol", 0.0, solver.text("tol", 1)),
    ):
        default = f"the solver's, {solver.default(name)}"
        metavar = "N" if isinstance(low, int) else "X"
        fit.add(group, flag, type=at_least(low), metavar=metavar, help=what, default=default)
    fit.add(
        group,
        "--max-seconds",
        type=at_least(0.0),
        metavar="X",
        help="stop all starts after this time",
        default="no limit",
    )
    fit.add(
        group,
        "--threads",
        type=at_least(1),
        metavar="N",
        help="number of cores to use",
        default="all",
    )


def _add_output(parser: Parser, fit: Documented) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", metavar="FILE", help="save the result: .npz, for gcp plot, --init and, in Python, gcp.load"
    )
    fit.add(
        group,
        "--checkpoint",
        metavar="FILE",
        help="keep the state of the fit there, and go on from it if it is there: to the same end, bit by bit",
    )
    fit.add(group, "--checkpoint-every", type=at_least(0.0), metavar="X")
    group.add_argument("--plot", metavar="FILE", help="draw all components: .png, .pdf or .svg")
    group.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    group.add_argument(
        "--quiet", action="store_true", help="no progress and no table (--json still prints its object)"
    )


def at_least(low: int | float) -> Callable[[str], int | float]:
    """Return a converter to numbers of the type of `low`, and not below it."""

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


def param(text: str) -> tuple[str, float | str | tuple[float, ...]]:
    """Return a parameter of a loss: its name, and a number, numbers between commas, "estimate", or by=MODE."""
    from gcp.losses.estimable import ESTIMATE

    name, equals, value = text.partition("=")
    try:
        if not (name.strip() and equals):
            raise ValueError
        if name.strip() == "by":
            return "by", int(value) if value.isdigit() else value
        if "," in value:
            return name.strip(), tuple(map(float, value.split(",")))
        return name.strip(), value if value == ESTIMATE else float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER, such as r=3.0, found {text!r}") from None
