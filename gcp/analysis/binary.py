"""Scores of predicted probabilities for 0/1 data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.roc import curves
from gcp.base.errors import ParameterError
from gcp.base.interval import BINARY
from gcp.base.table_result import Table, TableResult
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import KnownCells, check_result, joined, known_cells, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried


@dataclass(frozen=True, eq=False, repr=False)
class BinaryScores(TableResult):
    """Measures of how well a model tells ones from zeros.

    Attributes
    ----------
    auc : float
        Area under the ROC curve: the probability that a one is put above a zero, ties counting half.
    average_precision : float
        Mean of the precision over the recalls at which ones are found (the area under the precision-recall curve,
        without interpolation).
    brier : float
        Mean squared difference between data and probabilities.
    log_loss : float
        Mean of minus the log-probability of the data.
    base_rate : float
        Share of ones: the average precision of guessing.
    false_positive_rate, true_positive_rate, precision, thresholds : ndarray, shape (points,)
        The ROC curve and the precision, from the highest threshold down; a cell counts as a one if its probability
        is at least the threshold. The first point, of threshold infinity, is (0, 0) with precision 1.
    """

    auc: float
    average_precision: float
    brier: float
    log_loss: float
    base_rate: float
    false_positive_rate: FloatArray
    true_positive_rate: FloatArray
    precision: FloatArray
    thresholds: FloatArray

    def _table(self) -> Table:
        names = ("false_positive_rate", "true_positive_rate", "precision")
        return Table({name: getattr(self, name) for name in names}, {"threshold": self.thresholds})


def binary_scores(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
    **carried: Unpack[Carried],
) -> BinaryScores:
    """Return scores of a model of 0/1 data, over the known cells with their weights.

    Parameters
    ----------
    result : FitResult
        Of a Bernoulli loss.
    data, mask, entry_weights
        As for `fit_gcp`. To judge held-out cells, give the test part of `gcp.hold_out`. Of a `SparseTensor` with more
        than a million zeros, and more zeros than ones, a random part stands for all.
    random_state : int
        Draws that part.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Raises
    ------
    ParameterError
        A loss of other data, or data of one kind only.
    """
    check_result(result)
    loss = result.loss
    if loss.data_domain != BINARY:
        raise ParameterError(f"binary_scores is for Bernoulli losses: found {loss.name}.")
    cells = known_cells(result, tensor_of(result, data, mask, entry_weights, **carried), random_state)
    if cells.trials is not None:
        cells = _single_answers(cells)
    x, w = cells.x, cells.w
    total, ones = float(w.sum()), float(w @ x)
    if not 0 < ones < total:
        raise ParameterError(f"The scores need ones and zeros: found only {'ones' if ones else 'zeros'}.")
    p = loss.mean(cells.m)
    found = curves(x, p, w)
    return BinaryScores(
        found.auc,
        found.average_precision,
        float(np.sum(w * (x - p) ** 2) / total),
        float(np.sum(w * loss.value(x, cells.m)) / total),
        ones / total,
        *found,
    )


def _single_answers(cells: KnownCells) -> KnownCells:
    """Return successes and failures as cells of their own, weighted by their numbers."""
    ones = cells._replace(x=np.ones(len(cells.x)), w=cells.w * cells.x)
    return joined([ones, cells._replace(x=np.zeros(len(cells.x)), w=cells.w * (1 - cells.x))])
