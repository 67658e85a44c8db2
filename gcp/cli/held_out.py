"""The option `--hold-out`: which cells a fit does not see, and how it is judged by them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gcp
from gcp.base.errors import ParameterError
from gcp.cli.output import number
from gcp.cli.reading import mode_number

if TYPE_CHECKING:
    from gcp.analysis import PredictionScores
    from gcp.analysis.split import Split

_HELP = (
    "which cells are held out: cells (single random ones), rows:MODE (whole positions, each fitted to half of its "
    "cells and judged by the others), blocks:MODE (runs of consecutive positions, other ones of each fibre), or "
    "future:MODE (the last positions); gap=N leaves so many positions beside a block or before the future out, and "
    "by=MODE,MODE says which modes have blocks of their own, as in blocks:week:gap=4:by=station (default: cells)"
)


def add_option(parser: Any) -> None:
    """Add the option."""
    parser.add_argument("--hold-out", metavar="SCHEME[:MODE[:gap=N]]", type=_parsed, help=_HELP)


def _parsed(text: str) -> dict[str, Any]:
    """Return arguments of `gcp.hold_out`, modes as texts."""
    scheme, *rest = text.split(":")
    found: dict[str, Any] = {"scheme": scheme}
    names = []
    for part in rest:
        if part.startswith("gap=") and part[4:].isdecimal():
            found["gap"] = int(part[4:])
        elif part.startswith("by=") and part[3:]:
            found["by"] = part[3:].split(",")
        else:
            names.append(part)
    if scheme not in ("cells", "rows", "blocks", "future") or (scheme == "cells") == bool(names):
        raise argparse.ArgumentTypeError(
            f"expected cells, or rows:, blocks: or future: with the name of a mode, such as future:week:gap=4, found "
            f"{text!r}"
        )
    return found | ({"mode": ":".join(names)} if names else {})


def hold_out_arguments(args: argparse.Namespace, tensor: Any) -> dict[str, Any]:
    """Return arguments of `gcp.hold_out` and `gcp.select_rank`, modes as numbers."""
    found = dict(args.hold_out or {})
    if "mode" in found:
        found["mode"] = mode_number(found["mode"], tensor, "--hold-out")
    if "by" in found:
        found["by"] = [mode_number(one.strip(), tensor, "--hold-out") for one in found["by"]]
    return found


def split_of(args: argparse.Namespace, tensor: Any, cells: dict[str, Any]) -> Split | None:
    """Return the parts that the options ask for; None if nothing is held out."""
    if args.test_fraction is None:
        if args.hold_out is not None:
            raise ParameterError("--hold-out needs --test-fraction, the share that is held out.")
        return None
    return gcp.hold_out(tensor, args.test_fraction, args.seed, **hold_out_arguments(args, tensor), **cells)


def fit_for(split: Split | None) -> Callable[..., gcp.FitResult]:
    """Return `gcp.fit_gcp`; of the future one that first sees whether there will be anything to judge."""
    if split is None or split.scheme != "future":
        return gcp.fit_gcp

    def fit(data: Any, rank: int, **options: Any) -> gcp.FitResult:
        from gcp.solvers.starts.fit_arguments import problem_and_plan

        split.check(problem_and_plan(data, rank, options)[0])
        return gcp.fit_gcp(data, rank, **options)

    return fit


def held_out_rows(held_out: PredictionScores | None) -> list[tuple[str, str]]:
    """Return names and texts of a report."""
    from gcp.objectives.model import share_in_words

    if held_out is None:
        return []
    text = (
        f"mean loss {number(held_out.mean_loss)}, deviance explained {share_in_words(held_out.deviance_explained)}, "
        f"RMSE {number(held_out.rmse)}"
    )
    if held_out.auc is not None:
        text += f", AUC {held_out.auc:.4f}, average precision {held_out.average_precision:.4f}"
    return [(f"{held_out.cells:,} held-out cells", text)]
