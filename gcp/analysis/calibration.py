"""Calibration: whether data are on average what the model expects, at every level of its expectation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks
from gcp.base.table_result import Table, TableResult
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import known_cells, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

_MOST_GROUPS = 1 << 20


@dataclass(frozen=True, eq=False, repr=False)
class Calibration(TableResult):
    """Cells in groups of like expectation; of a well-calibrated model `observed` is `expected`.

    Attributes
    ----------
    expected, observed : ndarray, shape (groups,)
        Weighted means of the model's expectation and of the data.
    standard_error : ndarray, shape (groups,)
        Of `observed`, from the spread of the data about their expectation within the group.
    weight : ndarray, shape (groups,)
        Sum of the cells' weights.
    """

    expected: FloatArray
    observed: FloatArray
    standard_error: FloatArray
    weight: FloatArray

    def _table(self) -> Table:
        return Table(vars(self), {"group": np.arange(len(self.weight))})


def calibration(
    result: FitResult,
    data: Any,
    groups: int = 10,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
    **carried: Unpack[Carried],
) -> Calibration:
    """Return observed means against expected ones.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`. To judge held-out cells, give the test part of `gcp.hold_out`. Of a `SparseTensor` with more
        than a million zeros, and more zeros than listed entries, a random part stands for all.
    groups : int
        Of equal shares of the summed expectation where it is nowhere negative (so that rare large expectations have
        groups of their own), else of equal weight; fewer where many expectations are equal. Of several losses, groups
        hold cells of all: a mask that leaves one position of their mode judges that alone.
    random_state : int
        Draws that part.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.
    """
    groups = min(checks.whole("groups", groups), _MOST_GROUPS)
    known = known_cells(result, tensor_of(result, data, mask, entry_weights, **carried), random_state)
    cells, loss = known.counted(result.loss_at(known.subs))
    mean = loss.mean(cells.m)
    order = np.argsort(mean, kind="stable")
    x, mean, w = cells.x[order], mean[order], cells.w[order]
    share = np.cumsum(w * mean if mean[0] >= 0 and mean[-1] > 0 else w)
    cuts = np.searchsorted(share, share[-1] * np.arange(1, groups) / groups)
    cuts = np.searchsorted(mean, mean[np.minimum(cuts, len(mean) - 1)])  # equal expectations stay together
    first = np.unique(np.append(0, cuts))
    weight = np.add.reduceat(w, first)
    observed, expected = np.add.reduceat(w * x, first) / weight, np.add.reduceat(w * mean, first) / weight
    error = np.sqrt(np.add.reduceat((w * (x - mean)) ** 2, first)) / weight
    return Calibration(expected, observed, error, weight)
