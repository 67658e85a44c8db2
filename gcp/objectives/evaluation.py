"""A fitted model on data: the loss, and what the best constant and a perfect model reach there."""

from __future__ import annotations

from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.objectives.build import build_objective
from gcp.objectives.known_cells import check_result, matched
from gcp.objectives.model import Model
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor


class Evaluation(NamedTuple):
    """Weighted sums of the loss over the observed entries, without penalties, and the share of deviance explained."""

    value: float
    null_value: float
    saturated_value: float
    total_weight: float
    explained: float


def evaluate(
    model: Model,
    data: Any,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> Evaluation:
    """Return the loss of a fitted model on data of its shape.

    Raises
    ------
    DataError
        If the shapes, names or labels differ, or the data are outside the loss's domain.
    """
    check_result(model)
    tensor = as_tensor(data, mask, entry_weights, **carried)
    model = matched(model.with_mean_rows(), tensor)
    objective = build_objective(tensor, model.numbered_loss)
    weights, factors = model.cp
    value, _ = objective.value_and_grad([np.asarray(factors[0] * weights), *factors[1:]])
    weight = objective.survey.total_weight
    if not model.loss.is_standard:  # the objective's entries have weights of their own
        weight = sum(len(b.x) if b.weights is None else float(b.weights.sum()) for b in tensor.blocks())
    return Evaluation(
        value,
        objective.null_value,
        objective.saturated_value,
        weight,
        objective.share_explained(value),
    )
