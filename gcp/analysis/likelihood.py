"""Likelihood with all constants, and the criteria that weigh it against the number of parameters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.dimension import Structure, dimension
from gcp.base.table_result import TableResult
from gcp.base.types import FloatArray
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses
from gcp.losses.trials import OfTrials, counts
from gcp.objectives.evaluation import Evaluation, evaluate
from gcp.objectives.known_cells import blocks, check_result, known_cells, matched, tensor_of
from gcp.result import FitResult
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor

_CHUNK = 1 << 19


@dataclass(frozen=True, eq=False, repr=False)
class InformationCriteria(TableResult):
    """Criteria of what a model costs and buys; of two models of the same data the one with the lower is better.

    Attributes
    ----------
    log_likelihood : float
    n_parameters : int
        See `n_parameters`; a dispersion that was estimated counts as one.
    aic : float
        2 n_parameters - 2 log_likelihood.
    bic : float
        n_parameters log(n) - 2 log_likelihood, with n the number of known cells, or the sum of their weights.
    dispersion : float or None
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape), its maximum-likelihood estimate.
    """

    log_likelihood: float
    n_parameters: int
    aic: float
    bic: float
    dispersion: float | None


def log_likelihood(
    result: FitResult,
    data: Any,
    *,
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> float:
    """Return the log-likelihood of data under a fitted model, with every constant that the loss drops.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`, also in parts. Of a `SparseTensor` all zeros count, exactly.
    dispersion : float, optional
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is the maximum-likelihood
        estimate on these data; for held-out data, give that of the training data.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Raises
    ------
    ParameterError
        If the loss is no likelihood (beta-divergences but for beta 0 and 2, and of counts 1; custom losses).
    """
    return _likelihood(result, data, dispersion, mask, entry_weights, carried)[0]


def information_criteria(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> InformationCriteria:
    """Return log-likelihood, AIC and BIC of a model on the data that it was fitted to.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As they were for `fit_gcp`.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Notes
    -----
    Both criteria count parameters as if they were free; entries held at a bound and ridge make fewer of them, and
    with as many parameters as these models have neither criterion has a theorem on its side. Held-out cells
    (`gcp.hold_out`) say more.
    """
    value, dispersion, weight = _likelihood(result, data, None, mask, entry_weights, carried)
    count = n_parameters(result) + (dispersion is not None)
    return InformationCriteria(
        value, count, 2 * count - 2 * value, count * float(np.log(weight)) - 2 * value, dispersion
    )


def n_parameters(result: FitResult) -> int:
    """Return the number of free parameters of a model that the cells of its tensor, all known, determine.

    The dimension of the set of all models of its rank, modes (free, tied or fixed) and main effects, and the
    parameters of the loss that the fit estimated. Of three and more modes that is mostly the number of entries of
    free factors, less one scale for each component and free mode but one; of matrices, R (I + J - R); never more
    than there are cells.
    """
    check_result(result)
    loss = result.loss
    if isinstance(loss, SeveralLosses):
        return dimension(Structure.of(result)) + (loss.n_own if result.problem.estimated else 0)
    estimated = (loss.estimable[name].free(getattr(loss, name)) for name in result.problem.estimated)
    return dimension(Structure.of(result)) + sum(map(len, estimated))


def saturation(result: FitResult, data: Any) -> str:
    """Return a sentence if a model has as many parameters as the data have known cells, else nothing."""
    tensor = tensor_of(result, data)
    count, cells = n_parameters(result), tensor.n_known
    if count < cells:
        return ""
    return (
        f"The model is saturated: {count:,} parameters for {cells:,} known cells, so that it can repeat any data. "
        "How well it fits says nothing; choose a lower rank (gcp.select_rank)."
    )


def dispersion_of(result: FitResult, tensor: TensorData) -> float | None:
    """Return the maximum-likelihood dispersion on all known cells, zeros of sparse data too; None if none exists."""
    return None if result.loss.dispersion_from(1.0) is None else _likeliest(result, tensor)


def _likeliest(result: FitResult, tensor: TensorData, found: Evaluation | None = None) -> float | None:
    """Return the likeliest dispersion: from sums, which are made unless they are given, where these tell it."""
    if not result.loss.deviance_tells_dispersion:
        cells = known_cells(result, tensor_of(result, tensor))
        return result.loss.estimate_dispersion(cells.x, cells.m, cells.w)
    found = found or evaluate(result, tensor)
    excess = max(found.value - found.saturated_value, 0.0)
    return result.loss.dispersion_from(result.loss.deviance_factor * excess / found.total_weight)


def _likelihood(
    result: FitResult, data: Any, dispersion: float | None, mask: Any, entry_weights: Any, carried: Carried
) -> tuple[float, float | None, float]:
    """Return log-likelihood, dispersion and total weight, from sums: zeros need not be looked at one by one."""
    check_result(result)
    tensor, loss = as_tensor(data, mask, entry_weights, **carried), result.loss
    found = evaluate(result, tensor)
    weight, value = found.total_weight, found.value
    if dispersion is None:
        dispersion = _likeliest(result, tensor, found)
    if "trials" in carried_by(tensor):
        return _of_trials(result, tensor, value)
    scale = 1.0 if dispersion is None else loss.density_scale(dispersion)
    return -value / scale + _constants(result, tensor, dispersion), dispersion, weight


def _of_trials(result: FitResult, tensor: TensorData, value: float) -> tuple[float, None, float]:
    """Return the binomial log-likelihood of a model whose loss has this value, and the weight of all cells."""
    sums = tensor.map(_orders, result.loss)
    return -value - math.fsum(s for s, _ in sums), None, math.fsum(w for _, w in sums)


def _orders(part: TensorData, loss: Loss, _: None = None) -> tuple[float, float]:
    """Return weighted sums over a part of minus the logarithms of the numbers of orders, and of 1."""
    sums = np.zeros(2)
    for cells in part.known_cells(_CHUNK):
        keep = cells.weights > 0
        trials: Any = None if cells.columns is None else cells.columns.trials
        n = np.asarray(trials[keep], dtype=float)
        w, x = cells.weights[keep] / n, counts(cells.x[keep].astype(float), n)
        sums += w @ OfTrials(loss, n).log_normalizer(x), w.sum()
    return float(sums[0]), float(sums[1])


def _constants(result: FitResult, tensor: TensorData, dispersion: float | None) -> float:
    """Return the weighted sum of the terms of the log-density that the loss drops."""
    total = 0.0
    if result.loss.by is not None:
        model = matched(result, tensor)
        for cells in blocks(model, tensor):
            total += float(cells.w @ _dropped(model.loss_at(cells.subs), cells.x, dispersion))
        return total
    return math.fsum(tensor.map(_dropped_by_part, result.loss, dispersion))


def _dropped_by_part(part: TensorData, loss: Loss, dispersion: float | None, _: None = None) -> float:
    """Return the weighted sum over a part of what `_dropped` has."""
    total = 0.0
    for block in part.blocks():
        w = np.ones(len(block.x)) if block.weights is None else block.weights
        total += float(np.sum(np.where(w > 0, _dropped(loss, block.x, dispersion), 0.0) * w))
    return total


def _dropped(loss: Loss, x: FloatArray, dispersion: float | None) -> FloatArray:
    """Return the terms of data that f drops, elementwise.

    With a dispersion the log-density is -f / scale + terms in x and dispersion alone: those at m = x say which.
    """
    if dispersion is None:
        return -loss.log_normalizer(x)
    return loss.log_likelihood(x, x, dispersion) + loss.value(x, x) / loss.density_scale(dispersion)
