"""The option --design: bases of modes, in short words."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np

import gcp
from gcp.base.errors import DataError, ParameterError
from gcp.base.types import Array
from gcp.cli.label_tables import label_table, labels_like, numbers_of
from gcp.cli.reading import mode_labels, mode_number

if TYPE_CHECKING:
    from gcp import designs
    from gcp.tensors.kinds import Tensor
    from gcp.tensors.parts.partitioned import PartitionedTensor

_FORMS = "bspline:N, bspline:N:cyclic[:LOW:HIGH], monotone:N, fourier:PERIOD:N, groups:FILE.csv or features:FILE.csv"


def add_option(group: Any) -> None:
    """Add the option to a parser or a group of one."""
    group.add_argument(
        "--design",
        metavar="MODE=BASIS",
        action="append",
        type=_parts,
        help=f"make the factor of a mode (name or number) of {_FORMS}; splines and waves read numbers and dates (in "
        "days), a file has a header and the mode's labels in its first column; may be repeated",
    )


def given_designs(
    args: argparse.Namespace, tensor: Tensor | PartitionedTensor
) -> dict[int | str, designs.Basis]:
    """Return the bases by the numbers of the modes."""
    labels = mode_labels(tensor)
    found: dict[int | str, designs.Basis] = {}
    for mode, form in args.design or ():
        n = mode_number(mode, tensor, "--design")
        if n in found:
            raise ParameterError(f"--design names mode {mode!r} twice.")
        found[n] = _basis(form, labels.coords[n])
    return found


def _parts(text: str) -> tuple[str, str]:
    mode, equals, form = text.partition("=")
    if not (mode and equals and form):
        raise argparse.ArgumentTypeError(f"expected MODE=BASIS, such as week=bspline:12, found {text!r}")
    return mode, form


def _basis(form: str, coords: Array | None) -> designs.Basis:
    """Return the basis of one form; tables have rows for the labels (I_n,) of the mode."""
    from gcp.objectives.designs.row_tables import Groups, RowTable  # slow to import, for other options

    kind, _, rest = form.partition(":")
    try:
        match kind, rest.split(":"):
            case "bspline", [n]:
                return gcp.designs.bspline(int(n))
            case "bspline", [n, "cyclic"]:
                return gcp.designs.bspline(int(n), cyclic=True)
            case "bspline", [n, "cyclic", low, high]:  # a cycle shorter than the data, as years of weeks are
                return gcp.designs.bspline(int(n), cyclic=True, ends=(float(low), float(high)))
            case "monotone", [n]:
                return gcp.designs.monotone(int(n))
            case "fourier", [period, n]:
                return gcp.designs.fourier(float(period), int(n))
    except ValueError as error:
        if isinstance(error, ParameterError):
            raise ParameterError(f"--design {form}: {error}") from None
    if kind not in ("groups", "features") or not rest:
        raise ParameterError(f"--design: expected {_FORMS}, found {form!r}.")
    header, rows = label_table(rest)
    index = labels_like(np.array([row[0] for row in rows]), coords)
    if kind == "groups":
        if len(header) != 2:
            raise DataError(f"{rest}: expected two columns, labels and groups: found {len(header)}.")
        return Groups(np.array([row[1] for row in rows]), index)
    return RowTable(numbers_of(rest, rows), tuple(header[1:]), index)
