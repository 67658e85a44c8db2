"""A fitted model on data: the loss, and what the best constant and a perfect model reach there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gcp.errors import DataError
from gcp.objectives.choose import build_objective
from gcp.tensors.coerce import as_tensor

if TYPE_CHECKING:
    from gcp.result import FitResult


class Evaluation(NamedTuple):
    """Weighted sums of the loss over the observed entries, without penalties."""

    value: float
    null_value: float
    saturated_value: float
    total_weight: float


def evaluate(
    result: FitResult, data: Any, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
) -> Evaluation:
    """The loss of a fitted model on data of its shape.

    Raises
    ------
    DataError
        If the shapes differ, or the data are outside the loss's domain.
    """
    tensor = as_tensor(data, mask, entry_weights)
    if tensor.shape != result.shape:
        raise DataError(f"The data have shape {tensor.shape}, but the model {result.shape}.")
    objective = build_objective(tensor, result.loss)
    weights, factors = result.cp
    model = [np.asarray(factors[0] * weights), *factors[1:]]
    value, _ = objective.value_and_grad(model)
    return Evaluation(value, objective.null_value, objective.saturated_value, objective.survey.total_weight)
