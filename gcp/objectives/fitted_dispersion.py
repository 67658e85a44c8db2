"""The dispersion that the residuals of a fit have, without the data: from its objective."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.checks import is_real, show
from gcp.base.errors import ParameterError
from gcp.objectives.dimension import n_parameters


def fitted_dispersion(result: Any, given: float | None = None) -> float | None:
    """Return the dispersion of a `FitResult`'s loss, or the given one; None of losses that have none.

    It is the likeliest for the deviance divided by the residual degrees of freedom, weights of cells less parameters,
    not by the cells: a fit takes noise along, which what comes has in full.

    Raises
    ------
    ParameterError
        A number for a loss without a dispersion, or one that is not positive; where the fit does not tell: losses
        whose deviance does not (Tweedie, hurdle-gamma), as many parameters as cells, files of older versions.
    """
    loss = result.loss
    if loss.dispersion_from(1.0) is None:
        if given is not None:
            raise ParameterError(f"The {loss.name} loss has no free dispersion: leave dispersion=... out.")
        return None
    if given is not None:
        if not is_real(given) or not given > 0:
            raise ParameterError(f"dispersion must be a finite number > 0: found {show(given)}.")
        return float(given)
    instead = "give dispersion=..., such as gcp.analysis.information_criteria(result, data).dispersion."
    if not loss.deviance_tells_dispersion:
        raise ParameterError(f"The deviance of the {loss.name} loss does not tell its dispersion: {instead}")
    if not np.isfinite(result.total_weight):
        raise ParameterError(f"The result does not say how many cells it was fitted to: {instead}")
    free = result.total_weight - n_parameters(result)
    excess = result.objective - result.penalty - result.saturated_objective
    if not free >= 1 or not excess > 0:
        raise ParameterError(
            f"The model repeats its data: {n_parameters(result):,} parameters for cells of weight "
            f"{result.total_weight:,.6g}, so that nothing tells the dispersion of the {loss.name} loss: {instead}"
        )
    found: float = loss.dispersion_from(loss.deviance_factor * excess / free)
    return found
