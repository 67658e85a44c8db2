"""Cells that a fit does not see, to judge it by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np

from gcp.analysis.held_blocks import blocks
from gcp.analysis.held_cells import random_cells
from gcp.analysis.held_positions import future, whole_rows
from gcp.analysis.split import Split
from gcp.base import checks
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import RandomSource
from gcp.tensors.base import WholeData
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece

SCHEMES = ("cells", "rows", "blocks", "future")


def hold_out(
    data: Any,
    fraction: float,
    random_state: RandomSource | None = None,
    *,
    scheme: str = "cells",
    mode: int | str | None = None,
    gap: int = 0,
    by: int | str | Sequence[int | str] | None = None,
    mask: Any = None,
    entry_weights: Any = None,
    modes: Sequence[str] | None = None,
    keep: float = 0.0,
    **carried: Unpack[Carried],
) -> Split:
    """Hold out a part of the known cells, to judge a fit of the others by it.

    Parameters
    ----------
    data : as for `fit_gcp`
    fraction : float
        Held-out share, between 0 and 1: of the known cells, of the positions of `mode` that have data ("rows",
        "future"), or of the positions of each run's fibre ("blocks").
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
        All schemes but "cells" draw the same cells, by their labels, whatever the order of modes and positions.
    scheme : {"cells", "rows", "blocks", "future"}
        "cells" holds out single cells at random; it flatters models of what is smooth or grouped, for the cells
        beside a held-out one are seen. "rows" holds out whole positions of `mode`, such as subjects. "blocks" holds
        out runs of consecutive positions of `mode`, such as weeks, other ones of every fibre. "future" holds out the
        last positions of `mode`. See the notes.
    mode : int or str, optional
        Name or number, of all schemes but "cells".
    gap : int
        Of "blocks" and "future": so many positions on either side of a run, or before the future, are in no part.
    by : int, str or sequence of these, optional
        Of "blocks": the modes whose positions have runs of their own; by default all but `mode`, so that every fibre
        has. ``by="subject"`` holds out the same run in all cells of a subject, as it must be where what is measured
        of a subject at one time has noise in common.
    mask, entry_weights, modes
        As for `fit_gcp`; the parts have them.
    keep : float
        Of "cells": least share of the known cells of every position of every mode that is not held out; from 0 to
        less than 1. Not for a `SparseTensor`, of which nearly all zeros stay.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    Split
        ``train, test = hold_out(...)``; ``split.judge(result)`` does right by every scheme.

    Raises
    ------
    ParameterError
        Arguments out of range, or that leave nothing in one of the parts.
    DataError
        Data in parts, which are not in one piece.

    Notes
    -----
    *cells.* Of dense data and an `ObservedTensor`, known cells are held out one by one, all with the same
    probability. Of a `SparseTensor`, that share of the listed entries (one at least), and as many zeros (at most the
    same share of them): zeros are so many that few of them say what all would. So the training part loses a larger
    share of its listed entries than of its zeros; those that stay are weighted by 1 / (1 - fraction), times the share
    of the zeros that stay, and what is fitted expects as much as the data have.

    *rows.* A CP model knows nothing of a position without cells. So half of the known cells of each held-out row,
    drawn at random, is `given`, a new row is fitted to it with all else as in the model (`FitResult.transform`), and
    the other half is `test`; a row with a single cell is not judged. Of a `SparseTensor`, the halves are drawn as in
    "cells". Rows of a mode that is fixed, tied or designed need no cells, and are those of the fit.

    *blocks.* Were the same weeks held out everywhere, nothing would determine their rows. So each fibre loses one run
    of consecutive weeks, and the runs of all are spread evenly: every week stays in most fibres, and no neighbour of
    a held-out cell within its fibre is seen. Order is that of the coordinates, of numbers and dates; other labels
    stand as they are. A run that reaches the last week goes on at the first, so that each cell is held out with the
    same probability. Positions of other modes that would lose all their cells are not held out. Of a `SparseTensor`,
    of at most 2**26 cells, every zero of a run is held out.

    *future.* The last positions with data, in the same order. A CP model without a design on that mode, a penalty
    that ties its rows, or a fixed factor knows nothing of them, and `Split.judge` refuses it. Nothing is random.

    Weights of the test part make its sums estimates of those over all known cells; those of "future" are the data's.
    Cells at positions of other modes of which the training part knows nothing are not judged ("rows", "future").
    """
    fraction = checks.real("The held-out fraction", fraction, above=0, below=1)
    keep, rng = checks.real("keep", keep, least=0, below=1), checks.generator(random_state, "hold_out")
    gap = checks.whole("gap", gap, 0)
    tensor = in_one_piece(data, mask, entry_weights, modes, **carried)
    checked = check_scheme(tensor, scheme, mode, gap, by)
    if keep and scheme != "cells":
        raise ParameterError(f'keep is for scheme="cells": found keep={keep:g} with scheme={scheme!r}.')
    try:
        if checked is None:
            return random_cells(tensor, fraction, keep, rng)
        number, groups = checked
        if scheme == "rows":
            return whole_rows(tensor, fraction, number, rng)
        if scheme == "future":
            return future(tensor, fraction, number, gap)
        return blocks(tensor, fraction, number, gap, groups, rng)
    except DataError as error:
        raise ParameterError(f"The held-out fraction {fraction:g} leaves one part empty: {error}") from None


def check_scheme(
    tensor: WholeData, scheme: str, mode: Any, gap: int, by: Any
) -> tuple[int, tuple[int, ...]] | None:
    """Return the number of the mode and those of the modes with runs of their own; None of single cells.

    Raises
    ------
    ParameterError
        An unknown scheme, or arguments that it does not have or lacks.
    """
    checks.text("scheme", scheme, SCHEMES)
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    if scheme != "cells" and mode is None:
        raise ParameterError(f"scheme={scheme!r} needs mode=, one of {', '.join(labels.names)}.")
    found = {"mode": mode is not None, "gap": gap != 0, "by": by is not None}
    taken = {"cells": (), "rows": ("mode",), "future": ("mode", "gap"), "blocks": ("mode", "gap", "by")}
    if foreign := [name for name, is_there in found.items() if is_there and name not in taken[scheme]]:
        own = [one for one in SCHEMES if foreign[0] in taken[one]]
        raise ParameterError(f"{foreign[0]} is for scheme {' or '.join(map(repr, own))}: found {scheme!r}.")
    if mode is None:
        return None
    number = labels.number(mode)
    others = tuple(n for n in range(len(tensor.shape)) if n != number)
    if scheme != "future" and not others:
        raise ParameterError(f"scheme={scheme!r} needs another mode than {labels.names[number]!r}.")
    if by is None:
        return number, others
    given: list[Any] = [by] if isinstance(by, str | int | np.integer) else checks.items("by", by, "modes")
    groups = tuple(sorted({labels.number(one) for one in given}))
    if number in groups or not groups:
        raise ParameterError(
            f"by must name modes other than {labels.names[number]!r}: found {checks.show(by)}."
        )
    return number, groups
