"""Deviance: how far a model is from one that is free at every entry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.build import build_objective
from gcp.objectives.evaluation import Evaluation, evaluate
from gcp.objectives.known_cells import blocks, tensor_of
from gcp.objectives.standard_form import null_mean
from gcp.objectives.sum_objective import SumObjective
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried


@dataclass(frozen=True, eq=False, repr=False)
class Deviance(TableResult):
    """Weighted sums over the known cells.

    Attributes
    ----------
    deviance : float
        Of the model: twice the distance of its loss from that of a model free at every entry (once for Gaussian and
        Huber, where it is the residual sum of squares).
    null_deviance : float
        Of the best constant model.
    explained : float
        1 - deviance / null_deviance; of constant data 1 for a perfect model, else NaN.
    total_weight : float
        Number of known cells, or the sum of their weights.
    """

    deviance: float
    null_deviance: float
    explained: float
    total_weight: float


def deviance(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> Deviance:
    """Return the deviance of a fitted model, and of the best constant, on data of its shape.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`, also in parts. Of a `SparseTensor` all zeros count, exactly.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    Deviance

    Raises
    ------
    DataError, DomainError
        Another shape than the model's, or data outside the loss's domain.
    """
    return deviance_of(evaluate(result, data, mask, entry_weights, **carried), result.loss)


def deviance_of(found: Evaluation, loss: Loss) -> Deviance:
    """Return the deviances that an evaluation under a loss has found."""
    factor = loss.deviance_factor
    left = factor * max(found.value - found.saturated_value, 0.0)
    whole = factor * max(found.null_value - found.saturated_value, 0.0)
    return Deviance(left, whole, found.explained, found.total_weight)


@dataclass(frozen=True, eq=False, repr=False)
class SliceDeviance(TableResult):
    """Sums over the slices of one mode.

    Attributes
    ----------
    labels : ndarray, shape (I_mode,)
        Coordinates of the slices.
    deviance, null_deviance : ndarray, shape (I_mode,)
        Of the model, and of the best constant for the whole tensor; of several losses, that of each position.
    weight : ndarray, shape (I_mode,)
        Number of known cells, or the sum of their weights.
    mode : str
        Name of the mode.
    """

    labels: Array
    deviance: FloatArray
    null_deviance: FloatArray
    weight: FloatArray
    mode: str

    def _table(self) -> Table:
        columns = {"deviance": self.deviance, "null_deviance": self.null_deviance, "weight": self.weight}
        return Table(columns, {self.mode: self.labels})


def slice_deviance(
    result: FitResult,
    data: Any,
    mode: int | str,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> SliceDeviance:
    """Return the deviance of every slice of a mode: which of its positions the model fits badly.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`. Sparse data of more than 2**28 cells are refused.
    mode : int or str
        Number or name.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    SliceDeviance
        Its sums are those of `deviance`.

    Notes
    -----
    Looks at every cell, a block at a time.
    """
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    n = result.labels.number(mode)
    objective = build_objective(tensor, result.numbered_loss)
    sums = np.zeros((3, result.shape[n]))
    mean = None if isinstance(objective, SumObjective) else null_mean(tensor, result.loss)
    for cells in blocks(result, tensor):
        x, loss = cells.x, result.loss_at(cells.subs)
        constant: Any
        if isinstance(objective, SumObjective):
            constant = objective.null_constants[cells.subs[:, objective.mode]]
        else:
            constant = objective.null_constant if mean is None else loss.link(np.full(len(x), mean))
        parts = loss.deviance(x, cells.m), loss.deviance(x, cells.argument(constant)), np.ones(len(x))
        for total, part in zip(sums, parts, strict=True):
            total += np.bincount(cells.subs[:, n], part * cells.w, len(total))
    labels = np.asarray(result.labels.values(n, result.shape[n]))
    return SliceDeviance(labels, sums[0], sums[1], sums[2], result.labels.names[n])
