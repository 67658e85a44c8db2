"""Options for penalties of one mode."""

from __future__ import annotations

import argparse
import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import gcp
from gcp.base.alignment import Side, positions_of
from gcp.base.errors import DataError
from gcp.base.types import Array
from gcp.cli.label_tables import label_table, labels_like, numbers_of
from gcp.cli.reading import mode_labels, mode_number

if TYPE_CHECKING:
    from gcp.penalties import Penalty
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor

_KINDS = {"smooth": "Smooth", "ridge": "Ridge", "lasso": "Lasso", "graph": "Graph", "near": "Near"}
"""Options, and the classes of `gcp.penalties` that they make."""

_FORM = re.compile(r"(?P<mode>.+?)=(?P<strengths>[^:=]+)(?P<more>(:[^:]*)*)")


class GivenPenalty(NamedTuple):
    """A penalty as an option gives it: a mode by name or number, strengths to try, and what else the class takes."""

    mode: str
    strengths: list[float]
    more: dict[str, Any]


def add_penalty_options(parser: Any, *, several: bool) -> None:
    """Add an option for each penalty, with several strengths to choose among or one each."""
    what, more = ("A,B", ", strengths to try (0: none)") if several else ("X", "")
    for flag, takes, kind, text in (
        (
            "--smooth",
            "[:order=2][:cyclic]",
            _smooth,
            "components are smooth along this mode, by their second differences",
        ),
        (
            "--ridge",
            "",
            _plain,
            "components are drawn to 0 along this mode, each position as X cells more would",
        ),
        (
            "--lasso",
            "",
            _plain,
            "components have few positions of this mode, whose factor has lower bounds of 0",
        ),
        (
            "--graph",
            ":FILE.csv",
            _with_file,
            "components are alike at linked positions of this mode; a line of the file, below a header, is two of "
            "their labels and how alike they are (without a number: 1)",
        ),
        (
            "--near",
            ":FILE.csv",
            _with_file,
            "components have nearly these shapes along this mode; a line of the file, below a header, is a label and "
            "a number for each component that is known",
        ),
    ):
        parser.add_argument(
            flag,
            metavar=f"MODE={what}{takes}",
            type=kind,
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
    each = []
    for name, kind in _KINDS.items():
        for given in getattr(args, name):
            number = mode_number(given.mode, tensor, f"--{name}")
            mode = given.mode if given.mode in mode_labels(tensor).names else number
            more = dict(given.more)
            if (path := more.pop("file", None)) is not None:
                field, read = ("matrix", _links) if name == "graph" else ("centre", _shapes)
                more[field] = read(path, tensor, number)
            each.append(
                [
                    getattr(gcp.penalties, kind)(mode, strength=x, **more) if x else None
                    for x in given.strengths
                ]
            )
    return [[one for one in chosen if one is not None] for chosen in itertools.product(*each)]


def _links(path: str, tensor: Tensor | PartitionedTensor, mode: int) -> Any:
    """Return the similarities (I, I), sparse, of the links that a file lists, each once."""
    from scipy import sparse

    header, rows = label_table(path)
    if len(header) > 3:
        raise DataError(f"{path}: expected two columns of labels, and one of numbers: found {len(header)}.")
    a, b = (_positions([row[k] for row in rows], path, tensor, mode) for k in (0, 1))
    w = numbers_of(path, [row[1:] for row in rows])[:, 0] if len(header) == 3 else np.ones(len(rows))
    pairs = np.sort(np.column_stack([a, b]), axis=1)
    _, first, count = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        twice = rows[int(first[count > 1][0])]
        raise DataError(f"{path}: the link of {twice[0]} and {twice[1]} stands there twice; name each once.")
    size = tensor.shape[mode]
    half = sparse.coo_array((w, (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    return sparse.csr_array(half + half.T)


def _shapes(path: str, tensor: Tensor | PartitionedTensor, mode: int) -> Array:
    """Return the columns (I, K) of a file, NaN at positions that it does not name."""
    header, rows = label_table(path)
    found = np.full((tensor.shape[mode], len(header) - 1), np.nan)
    at = _positions([row[0] for row in rows], path, tensor, mode)
    if len(np.unique(at)) < len(at):
        raise DataError(f"{path}: two lines have one label.")
    found[at] = numbers_of(path, rows)
    return found


def _positions(texts: list[str], path: str, tensor: Tensor | PartitionedTensor, mode: int) -> Array:
    """Return the positions (n,) of labels in a mode."""
    labels = mode_labels(tensor)
    own = labels_like(np.array(texts), labels.coords[mode])
    return positions_of(own, Side("the data", labels, tensor.shape), mode, path, error=DataError)


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


def _with_file(text: str) -> GivenPenalty:
    """Return a mode, strengths, and the name of a file."""
    given, more = _parts(text)
    if not (path := ":".join(more)):
        raise argparse.ArgumentTypeError(f"expected MODE=NUMBER:FILE.csv, found {text!r}")
    return given._replace(more={"file": path})


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
