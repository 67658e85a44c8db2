"""The most surprising cells of a tensor under a fitted model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.likelihood import dispersion_of
from gcp.base import checks
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.trials import OfTrials
from gcp.objectives.known_cells import KnownCells, blocks, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

_SIDES = ("both", "high", "low")


@dataclass(frozen=True, eq=False, repr=False)
class Anomalies(TableResult):
    """Cells in the order of surprise, the most surprising first.

    Attributes
    ----------
    subs : ndarray of int, shape (n, N)
    labels : list of ndarray, each of shape (n,)
        Of each mode, the coordinates of the cells.
    observed, expected : ndarray, shape (n,)
        Data, and their expectation under the model.
    p_value : ndarray, shape (n,)
        Probability of data as far out, or farther.
    modes : tuple of str
        Names of the modes.
    """

    subs: Array
    labels: list[Array]
    observed: FloatArray
    expected: FloatArray
    p_value: FloatArray
    modes: tuple[str, ...]

    def _table(self) -> Table:
        columns = {"observed": self.observed, "expected": self.expected, "p_value": self.p_value}
        return Table(columns, dict(zip(self.modes, self.labels, strict=True)))


def anomalies(
    result: FitResult,
    data: Any,
    n: int = 20,
    side: str = "both",
    *,
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> Anomalies:
    """Return the cells that are least probable under the fitted distribution.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`. Of sparse data zeros may be surprising too; more than 2**28 cells are refused.
    n : int
        How many cells.
    side : str
        "high": larger than expected; "low": smaller; "both": twice the smaller of the two probabilities.
    dispersion : float, optional
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is the maximum-likelihood
        estimate on these data.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    Anomalies
        Probabilities of single cells: of a million cells, some are as improbable as 1e-6 by chance alone.

    Raises
    ------
    ParameterError
        Unknown side, or a loss without a distribution.
    """
    side, n = checks.text("side", side, _SIDES), checks.whole("n", n)
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    if dispersion is None:
        dispersion = dispersion_of(result, tensor)
    best: list[_Ranked] = []
    for known in blocks(result, tensor):
        extreme = known if result.loss.by is not None else _extreme(known, n)
        loss = result.loss_at(extreme.subs)
        cells, own = extreme.counted(loss)
        p, expected = tail_probability(own, cells.x, cells.m, side, dispersion), own.mean(cells.m)
        surprise = own.deviance(cells.x, cells.m)  # decides where probabilities are too small for a number
        if side != "both":
            beyond = cells.x > expected
            surprise = np.where(beyond if side == "high" else ~beyond, surprise, 0.0)
        best.append(_Ranked(cells.subs, cells.x, expected, p, surprise).first(n))
        best = [_Ranked(*map(np.concatenate, zip(*best, strict=True))).first(n)]
    found = best[0]
    names = [np.asarray(result.labels.values(k, size)) for k, size in enumerate(result.shape)]
    labels = [name[found.subs[:, k]] for k, name in enumerate(names)]
    return Anomalies(found.subs, labels, found.x, found.expected, found.p, result.labels.names)


class _Ranked(NamedTuple):
    """Cells with what is expected of them, its probability, and their surprise; all of shape (n,) but subs (n, N)."""

    subs: Array
    x: FloatArray
    expected: FloatArray
    p: FloatArray
    surprise: FloatArray

    def first(self, n: int) -> _Ranked:
        """Return the n most surprising, in order."""
        order = np.lexsort((-self.surprise, self.p))[:n]
        return _Ranked(*(column[order] for column in self))


def _extreme(cells: KnownCells, n: int) -> KnownCells:
    """Return, where data are equal, mostly zeros, only cells of the largest and the smallest model.

    No others are surprising.
    """
    if len(cells.x) <= 4 * n or cells.trials is not None or (cells.x != cells.x[0]).any():
        return cells
    order = np.argpartition(cells.m, (n, len(cells.m) - n))
    return cells.at(np.concatenate([order[:n], order[-n:]]))


def tail_probability(
    loss: Loss | OfTrials, x: FloatArray, m: FloatArray, side: str, dispersion: float | None
) -> FloatArray:
    """Return, elementwise, the probability of data as far out as x or farther, on a side or on both."""
    low = loss.cdf(x, m, dispersion)
    high = loss.strict_tails(x, m, dispersion)[1]
    if side == "both":
        return np.minimum(1.0, 2 * np.minimum(low, high))
    return high if side == "high" else low
