"""The objective that suits a tensor and a loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import threads
from gcp.base.errors import DomainError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.signals import uninterrupted_compilation
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses, as_loss
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.exposed import exposed
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalty_units import facts_of, resolved
from gcp.objectives.spread import spread
from gcp.objectives.standard_form import null_factors, null_mean, standardised
from gcp.objectives.sum_base import Summand
from gcp.objectives.sum_objective import SumObjective
from gcp.objectives.survey import Survey, located, survey
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import carried_by
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.rearranged import at_positions

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
    loss: str | Loss | Mapping[Any, Any],
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    l2_reg: float | Mapping[str, float] = 0.0,
    n_threads: int | None = None,
    *,
    weight_reg: float = 0.0,
    dirichlet_reg: float = 0.0,
    penalties: Sequence[Penalty] = (),
    **carried: Unpack[Carried],
) -> EntrywiseObjective | SumObjective:
    """Return the function of the factors that `fit_gcp` minimises.

    Parameters
    ----------
    data : array_like, DenseTensor or labelled data
        As for `fit_gcp`.
    loss : str, Loss or dict
        As for `fit_gcp`.
    mask, entry_weights, l2_reg, n_threads, weight_reg, dirichlet_reg, penalties
        As for `fit_gcp`.
    **carried
        ``exposure``, ``offset``, ``trials``, as for `fit_gcp`.

    Returns
    -------
    EntrywiseObjective or SumObjective
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
) -> EntrywiseObjective | SumObjective:
    """Return the objective, with the data looked through and eps of the loss in their scale.

    Raises
    ------
    DataError, DomainError
        Data that the loss does not admit.
    """
    if isinstance(loss, SeveralLosses):
        return _sum_of(tensor, loss, penalties, threads.resolve(n_threads))
    return _of_one_loss(tensor, loss, penalties, n_threads)


def _of_one_loss(
    tensor: TensorData, loss: Loss, penalties: Penalties, n_threads: int | None
) -> EntrywiseObjective:
    """Return the sum of one loss over a tensor."""
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


def _sum_of(tensor: TensorData, loss: SeveralLosses, penalties: Penalties, n_threads: int) -> SumObjective:
    """Return the sum of several losses, each over its positions of a mode of which there are data."""
    whole, mode = _in_memory(tensor, loss), _mode_of(tensor, loss)
    loss = loss.of_positions(
        loss.by, (whole.labels or ModeLabels.default(whole.shape)).values(mode, whole.shape[mode])
    )
    known = whole.known_positions()[mode]
    summands, losses = [], np.array(loss.losses, dtype=object)
    for kind in range(len(loss.kinds)):
        places = np.flatnonzero(known & (loss.which == kind))
        if not len(places):
            continue
        part = at_positions(whole, mode, places)
        own = loss.part(kind, places)
        if own.by is not None:
            own = replace(own, by=mode)  # type: ignore[type-var]
        try:
            objective = _of_one_loss(part, own, Penalties(), n_threads)
        except DomainError as error:
            raise located(error, {mode: places}) from None
        if objective.tensor.dtype != tensor.dtype:  # one of them has no numbers for its data
            return _sum_of(tensor.in_double(), loss, penalties, n_threads)
        losses[loss.which == kind] = _in_scale(loss.kinds[kind], objective.loss)
        rows = tuple(places if n == mode else None for n in range(len(whole.shape)))
        summands.append(Summand(objective, tuple(range(len(rows))), rows, part))
    loss = replace(loss, losses=tuple(losses))
    return SumObjective(tensor, loss, tuple(summands), penalties, n_threads, mode)


def _in_memory(tensor: TensorData, loss: SeveralLosses) -> Tensor:
    """Return the data under several losses; refuses data in parts, and what cells carry."""
    if tensor.parts is not None:
        raise ParameterError(
            "Several losses in one tensor are for data in memory: found data in parts. Read them whole."
        )
    if carried := carried_by(tensor):
        raise ParameterError(
            f"Several losses in one tensor ({loss.name}) are for data without {' and '.join(carried)}: leave "
            f"{'them' if len(carried) > 1 else 'it'} out."
        )
    return stored(tensor)


def _mode_of(tensor: TensorData, loss: SeveralLosses) -> int:
    return (tensor.labels or ModeLabels.default(tensor.shape)).number(loss.by)


def _in_scale(kind: Loss, found: Loss) -> Loss:
    """Return a loss as it was asked for, with what the data decide, eps and the like, as an objective found it."""
    names = [field.name for field in fields(kind) if getattr(kind, field.name) is None]  # type: ignore[arg-type]
    own = {name: getattr(found, name) for name in names if name not in ("by", kind.parameter_by)}
    return replace(kind, **own)  # type: ignore[type-var]


def _scale(facts: Survey, loss: Loss, dtype: np.dtype[Any]) -> float:
    """Return the mean of the data, or less where it is far above the least of them, so that eps matters to none."""
    smallest = _SMALLEST[dtype == np.float32] * facts.mean
    if not loss.data_domain.integer and loss.data_domain.contains(np.zeros(1))[0]:
        smallest = max(smallest, _SMALLEST_BESIDE_ZERO * facts.mean)
    return min(facts.mean, max(_FAR * facts.least, smallest))
