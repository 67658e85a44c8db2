"""Options for penalties of one mode."""

from __future__ import annotations

import argparse
import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import gcp
from gcp.cli.reading import mode_labels, mode_number

if TYPE_CHECKING:
    from gcp.penalties import Penalty
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor

_FORM = re.compile(r"(?P<mode>.+?)=(?P<strengths>[^:=]+)(?P<more>(:[^:]*)*)")


class GivenPenalty(NamedTuple):
    """A penalty as an option gives it: a mode by name or number, strengths to try, and what else the class takes."""

    mode: str
    strengths: list[float]
    more: dict[str, Any]


def add_penalty_options(parser: Any, *, several: bool) -> None:
    """Add --smooth, --ridge and --lasso, with several strengths to choose among or one each."""
    what, more = ("A,B", ", strengths to try (0: none)") if several else ("X", "")
    for flag, takes, text in (
        (
            "--smooth",
            "[:order=2][:cyclic]",
            "components are smooth along this mode, by their second differences",
        ),
        ("--ridge", "", "components are drawn to 0 along this mode, each position as X cells more would"),
        ("--lasso", "", "components have few positions of this mode, whose factor has lower bounds of 0"),
    ):
        parser.add_argument(
            flag,
            metavar=f"MODE={what}{takes}",
            type=_smooth if flag == "--smooth" else _plain,
            action="append",
            default=[],
            help=f"{text}{more}; may be repeated",
        )


def penalties_of(args: argparse.Namespace, tensor: Tensor | PartitionedTensor) -> list[list[Penalty]]:
    """Return all combinations of the penalties that the options name, each with one strength.

    Raises
    ------
    ParameterError
        A mode that the data do not have.
    """
    own = gcp.penalties
    kinds = (("smooth", own.Smooth), ("ridge", own.Ridge), ("lasso", own.Lasso))
    each = []
    for name, kind in kinds:
        for given in getattr(args, name):
            number = mode_number(given.mode, tensor, f"--{name}")
            mode = given.mode if given.mode in mode_labels(tensor).names else number
            each.append([kind(mode, x, **given.more) if x else None for x in given.strengths])
    return [[one for one in chosen if one is not None] for chosen in itertools.product(*each)]


def _smooth(text: str) -> GivenPenalty:
    """Return a mode, strengths, and the order and whether it is cyclic."""
    given, more = _parts(text)
    found: dict[str, Any] = {}
    for part in more:
        key, equals, value = part.partition("=")
        if key == "cyclic" and not equals:
            found["cyclic"] = True
        elif key == "order" and value.isdecimal() and int(value) > 0:
            found["order"] = int(value)
        else:
            raise argparse.ArgumentTypeError(
                f"expected :order=N or :cyclic after the strength, found {part!r}"
            )
    return given._replace(more=found)


def _plain(text: str) -> GivenPenalty:
    """Return a mode and strengths."""
    given, more = _parts(text)
    if more:
        raise argparse.ArgumentTypeError(f"expected MODE=NUMBER, found {text!r}")
    return given


def _parts(text: str) -> tuple[GivenPenalty, list[str]]:
    """Return a mode and strengths, and what stands behind them."""
    found = _FORM.fullmatch(text)
    try:
        strengths = [] if found is None else [float(part) for part in found["strengths"].split(",")]
    except ValueError:
        strengths = []
    if found is None or not strengths or not all(0 <= x < float("inf") for x in strengths):
        raise argparse.ArgumentTypeError(
            f"expected MODE=NUMBER, a number from 0, such as week=10, found {text!r}"
        )
    return GivenPenalty(found["mode"].strip(), strengths, {}), found["more"].split(":")[1:]
