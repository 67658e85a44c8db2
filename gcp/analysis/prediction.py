"""Scores of predictions: how far data are from what a model expects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.roc import Curves, curves
from gcp.base.table_result import TableResult
from gcp.base.types import FloatArray
from gcp.objectives.evaluation import Evaluation, evaluate
from gcp.objectives.known_cells import check_result, known_parts, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried
from gcp.tensors.kinds import Tensor


@dataclass(frozen=True, eq=False, repr=False)
class PredictionScores(TableResult):
    """A model's scores on data; of cells that `hold_out` drew, estimates for all known cells.

    Attributes
    ----------
    cells : int
        Number of known cells.
    mean_loss : float
        Weighted mean of the loss.
    deviance_explained : float
        See `FitResult.deviance_explained`; 0 is the best constant on the same cells.
    rmse, mae : float
        Root of the weighted mean square, and weighted mean, of the absolute difference between the data and their
        expectation under the model. NaN of several losses, whose data have as many units: a mask that leaves one
        position of their mode has its numbers.
    auc : float or None
        Area under the ROC curve: the probability that the model puts a cell with a 1 above one with a 0, ties
        counting half. None of data that are not 0 and 1, or of one kind only.
    average_precision : float or None
        Mean of the precision over the recalls at which ones are found; None like `auc`.
    """

    cells: int
    mean_loss: float
    deviance_explained: float
    rmse: float
    mae: float
    auc: float | None
    average_precision: float | None


def prediction_scores(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
    **carried: Unpack[Carried],
) -> PredictionScores:
    """Return the loss, the deviance explained, RMSE and MAE of predictions, and AUC of 0/1 data.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`; to judge held-out cells, the test part of `gcp.hold_out`. Of a `SparseTensor` with more than
        a million zeros, and more zeros than listed entries, a random part stands for all in all but the loss and the
        deviance.
    random_state : int
        Draws that part.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    PredictionScores

    Raises
    ------
    DataError, DomainError
        Another shape than the model's, or data outside the loss's domain.
    """
    check_result(result)
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    return scores_of(evaluate(result, tensor), result, tensor, random_state)


def scores_of(
    found: Evaluation, result: FitResult, tensor: Tensor, random_state: int = 0
) -> PredictionScores:
    """Return the scores of a model on data in its order, of which an evaluation is there already."""
    sums, is_binary = np.zeros(3), True  # of weights, squares and sizes of errors
    units: set[int] = set()
    by = result.labels.number(str(result.loss.by)) if result.loss.kinds else None
    answers: list[tuple[FloatArray, FloatArray, FloatArray]] = []  # 0 and 1 are ranked all at once
    for cells in known_parts(result, tensor, random_state):
        x, m, w = cells.x, cells.m, cells.w
        error = np.abs(x - result.loss_at(cells.subs).mean(m))
        sums += w.sum(), w @ error**2, w @ error
        if by is not None:
            units |= set(np.unique(cells.subs[:, by]).tolist())
        is_binary = is_binary and bool(np.isin(x, (0.0, 1.0)).all())
        answers = [*answers, (x, m, w)] if is_binary else []
    if len(units) > 1:
        sums[1:] = np.nan
    of_ones = _ranked(*map(np.concatenate, zip(*answers, strict=True))) if answers else None
    return PredictionScores(
        int(tensor.n_known),
        found.value / found.total_weight,
        found.explained,
        float(np.sqrt(sums[1] / sums[0])),
        float(sums[2] / sums[0]),
        None if of_ones is None else of_ones.auc,
        None if of_ones is None else of_ones.average_precision,
    )


def _ranked(x: FloatArray, m: FloatArray, w: FloatArray) -> Curves | None:
    """Return the curves of 0/1 data, model values and weights, each (n,); None of data of one kind only."""
    return curves(x, m, w) if 0 < w @ x < w.sum() else None
