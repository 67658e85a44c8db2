"""`gcp rank`: how many components, and how much of a penalty."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import gcp
from gcp.base.errors import DataError
from gcp.base.signals import terminated_like_interrupted
from gcp.cli import design_option, held_out
from gcp.cli.documented import Documented
from gcp.cli.fit_command import effect_modes
from gcp.cli.fit_options import at_least, param
from gcp.cli.output import check_picture, check_target, print_json, save_figure
from gcp.cli.parsing import Parser, command
from gcp.cli.penalty_options import add_penalty_options, penalties_of
from gcp.cli.reading import add_reading_options, input_help, read_input
from gcp.cli.several_option import loss_of


@command(
    "rank",
    "choose the number of components by held-out cells",
    "Choose the rank and the penalty together: every candidate is fitted several times without some of the "
    "cells, and judged by these. Rank 0, the best constant or the main effects alone, is always among the "
    "candidates. With --folder a search that was stopped goes on where it was.",
    "  gcp rank nyc_flights --loss poisson --ranks 1-6 --jobs -1 --seed 0 --out best.npz --plot rank.png",
)
def add_parser(parser: Parser) -> None:
    """Add the options."""
    parser.add_argument("input", metavar="INPUT", help=input_help())
    add_reading_options(parser)
    parser.add_argument("--ranks", type=_ranks, required=True, metavar="1-6", help="such as 1-6, or 2,4,8")
    select = Documented(gcp.select_rank)
    select.add(parser, "--loss", help="its name; gcp losses lists them")
    parser.add_argument(
        "--param",
        metavar="NAME=VALUE",
        type=param,
        action="append",
        default=[],
        help="a parameter of the loss",
    )
    _add_penalties(parser, select)
    parser.add_argument(
        "--main-effects", nargs="?", const="all", metavar="A,B", help="as for gcp fit (default: of all modes)"
    )
    design_option.add_option(parser)
    select.add(parser, "--method", choices=("cells", "thinning"))
    select.add(parser, "--splits", type=at_least(1), metavar="N")
    select.add(parser, "--test-fraction", "fraction", type=float, metavar="P")
    held_out.add_option(parser)
    select.add(parser, "--starts", type=at_least(1), metavar="N")
    select.add(parser, "--seed", type=at_least(0), metavar="N")
    select.add(
        parser,
        "--folder",
        metavar="DIR",
        help="where every fit is saved when it is done, and its state every minute; the same line again does not "
        "repeat those that are there",
    )
    select.add(parser, "--jobs", type=int, metavar="N", sentences=1, default="1")
    parser.add_argument("--out", metavar="RESULT", help="an .npz file for the model of the chosen rank")
    parser.add_argument("--plot", metavar="PICTURE", help="a .png, .pdf or .svg file: loss against rank")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no line for every fit")
    parser.set_defaults(run=run)


def _add_penalties(parser: Parser, select: Documented) -> None:
    """Add options for the strengths to try."""
    for flag, what, default in (
        ("--l2-reg", "ridges", "none, but the next two"),
        (
            "--weight-reg",
            "lassos on the weights",
            "of losses with a model of any sign, three that suit the data",
        ),
        (
            "--dirichlet-reg",
            "Dirichlet priors",
            "of losses with a nonnegative model, three that suit the data",
        ),
    ):
        text = select.text(flag[2:].replace("-", "_"), 1)
        select.add(parser, flag, type=_numbers, metavar="A,B", help=f"{what}: {text}", default=default)
    add_penalty_options(parser, several=True)


def run(args: argparse.Namespace) -> int:
    """Search, save, draw and report."""
    loss = loss_of(args.loss, dict(args.param))
    if args.out:
        check_target("--out", args.out, (".npz",), (args.input,))
    if args.plot:
        check_picture("--plot", args.plot)
    tensor = read_input(args)
    with terminated_like_interrupted() as ending:
        choice = gcp.select_rank(
            tensor,
            args.ranks,
            loss,
            l2_reg=args.l2_reg,
            weight_reg=args.weight_reg,
            dirichlet_reg=args.dirichlet_reg,
            penalties=penalties_of(args, tensor),
            main_effects=effect_modes(args, tensor),
            design=design_option.given_designs(args, tensor),
            method=args.method,
            n_splits=args.splits,
            fraction=args.test_fraction,
            **held_out.hold_out_arguments(args, tensor),
            n_starts=args.starts,
            random_state=args.seed,
            folder=args.folder,
            n_jobs=args.jobs,
            verbose=not args.quiet,
        )
    if args.json:
        print_json(_numbers_of(choice))
    else:
        print(choice.summary())
    if args.plot:
        from gcp.analysis.plots.frame import file_figure

        save_figure(choice.plot(file_figure().subplots()).figure, args.plot)
    if choice.status == "interrupted":
        if args.folder:
            print(f"gcp: interrupted; --folder {args.folder} goes on from there", file=sys.stderr)
        return ending.status
    if args.out:
        if choice.result is None:
            raise DataError(f"--out {args.out}: the best constant is chosen, so there is no model to save.")
        choice.result.save(args.out)
    return 0


def _numbers_of(choice: gcp.analysis.selection.RankChoice) -> dict[str, Any]:
    rows = [row._asdict() | {"losses": row.losses.tolist()} for row in choice.table]
    for row in rows:
        row["penalties"] = list(map(repr, row["penalties"]))
    chosen = choice.chosen.strengths
    return {
        "status": choice.status,
        "rank": choice.rank,
        "l2_reg": chosen.l2_reg,
        "weight_reg": chosen.weight_reg,
        "dirichlet_reg": chosen.dirichlet_reg,
        "penalties": list(map(repr, chosen.penalties)),
        "constant": choice.constant,
        "table": rows,
    }


def _ranks(text: str) -> list[int]:
    try:
        found: list[int] = []
        for part in text.split(","):
            low, dash, high = part.partition("-")
            found += range(int(low), int(high) + 1) if dash else [int(low)]
        if not found:
            raise ValueError
        return found
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected ranks such as 1-6 or 2,4,8, found {text!r}") from None


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected numbers and commas, found {text!r}") from None
