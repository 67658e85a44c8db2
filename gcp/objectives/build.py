"""The objective that suits a tensor and a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import threads
from gcp.base.signals import uninterrupted_compilation
from gcp.losses.base import Loss
from gcp.losses.registry import as_loss
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.exposed import exposed
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalty_units import facts_of, resolved
from gcp.objectives.spread import spread
from gcp.objectives.standard_form import null_factors, null_mean, standardised
from gcp.objectives.survey import Survey, survey
from gcp.tensors.base import TensorData
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor

_FAR = 1e6
"""The scale of models, in units of the least datum, at most: then eps is a ten-thousandth of that datum.

Fewer would change eps for draws of one scale: the least of a million exponential ones is a millionth of their mean.
"""

_SMALLEST = {False: 1e-130, True: 1e-8}
"""The scale of models, in units of the mean, at least, by whether data are float32: 1 / eps**2 must be a number."""

_SMALLEST_BESIDE_ZERO = 1e-6
"""Least scale where data may be 0: less is as good as 0, and no wall at models of 0 need be so steep."""


@uninterrupted_compilation()
def build_objective(
    data: Any,
    loss: str | Loss,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    l2_reg: float | Mapping[str, float] = 0.0,
    n_threads: int | None = None,
    *,
    weight_reg: float = 0.0,
    dirichlet_reg: float = 0.0,
    penalties: Sequence[Penalty] = (),
    **carried: Unpack[Carried],
) -> EntrywiseObjective:
    """Return the function of the factors that `fit_gcp` minimises.

    Parameters
    ----------
    data : array_like, DenseTensor or labelled data
        As for `fit_gcp`.
    loss : str or Loss
        A registered name or an instance.
    mask, entry_weights, l2_reg, n_threads, weight_reg, dirichlet_reg, penalties
        As for `fit_gcp`.
    **carried
        ``exposure``, ``offset``, ``trials``, as for `fit_gcp`.

    Returns
    -------
    EntrywiseObjective
        With ``value_and_grad(factors) -> (float, list of ndarray)``.

    Raises
    ------
    DataError, DomainError, ParameterError
        Unusable data, data outside the loss's domain, unknown loss, bad arguments.

    Examples
    --------
    >>> import numpy as np, gcp
    >>> objective = gcp.build_objective(np.array([[1, 2], [3, 4]]), "poisson")
    >>> value, grad = objective.value_and_grad([np.ones((2, 1)), np.ones((2, 1))])
    >>> round(value, 6)
    4.0
    """
    total = as_penalties(l2_reg, weight_reg, dirichlet_reg, penalties)
    tensor = as_tensor(data, mask, entry_weights, **carried)
    objective = objective_of(tensor, as_loss(loss), total, n_threads)
    return replace(objective, penalties=resolved(total, facts_of(objective)))


def objective_of(
    tensor: TensorData, loss: Loss, penalties: Penalties, n_threads: int | None
) -> EntrywiseObjective:
    """Return the objective, with the data looked through and eps of the loss in their scale.

    Raises
    ------
    DataError, DomainError
        Data that the loss does not admit.
    """
    n_threads, tensor = threads.resolve(n_threads), exposed(tensor, loss)
    given = tensor, loss
    if not loss.is_standard:
        survey(tensor, loss.at(np.array(0)), n_threads)  # refuses data outside the loss's domain
        tensor, loss = standardised(tensor, loss)
    if loss.wants_spread:
        loss = loss.with_spread(spread(tensor))
    facts = survey(tensor, loss, n_threads)
    if not loss.data_domain.integer:
        if not facts.suits(tensor.dtype, loss.degree):
            tensor = tensor.in_double()
        facts.check_range(tensor.dtype, loss.degree)
    loss = loss.with_scale(float(loss.link(_scale(facts, loss, tensor.dtype))))
    if (mean := null_mean(*given)) is not None:
        null = null_factors(*given, mean)
        facts = replace(facts, own_null=tensor.loss_and_mttkrps(loss.formula, null, n_threads)[0])
    return EntrywiseObjective(tensor, loss, facts, penalties, n_threads)


def _scale(facts: Survey, loss: Loss, dtype: np.dtype[Any]) -> float:
    """Return the mean of the data, or less where it is far above the least of them, so that eps matters to none."""
    smallest = _SMALLEST[dtype == np.float32] * facts.mean
    if not loss.data_domain.integer and loss.data_domain.contains(np.zeros(1))[0]:
        smallest = max(smallest, _SMALLEST_BESIDE_ZERO * facts.mean)
    return min(facts.mean, max(_FAR * facts.least, smallest))
