"""The objective that suits a tensor and a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.base import checks, threads
from gcp.base.errors import ParameterError
from gcp.base.signals import uninterrupted_compilation
from gcp.losses.base import Loss
from gcp.losses.registry import as_loss
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.dirichlet import DirichletPrior
from gcp.objectives.penalties.ridge import Ridge
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.penalties.weight_lasso import WeightLasso
from gcp.objectives.survey import Survey, survey
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.coerce import as_tensor
from gcp.tensors.listed import ListedTensor

_LARGEST_PENALTY = 1e100
_FAR = 1e6
"""The scale of models, in units of the least datum, at most: then eps is a ten-thousandth of that datum.

Fewer would change eps for draws of one scale: the least of a million exponential ones is a millionth of their mean.
"""

_SMALLEST = {False: 1e-130, True: 1e-8}
"""The scale of models, in units of the mean, at least, by whether data are float32: 1 / eps**2 must be a number."""

_SMALLEST_BESIDE_ZERO = 1e-6
"""The same where data may be 0: what is far smaller is as good as 0, and no wall at models of 0 need be so steep."""


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
) -> EntrywiseObjective:
    """The function of the factors that `fit_gcp` minimises.

    Parameters
    ----------
    data : array_like, DenseTensor or labelled data
        As for `fit_gcp`.
    loss : str or Loss
        A registered name or an instance.
    mask, entry_weights, l2_reg, n_threads, weight_reg, dirichlet_reg
        As for `fit_gcp`.

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
    tensor = as_tensor(data, mask, entry_weights)
    loss = as_loss(loss)
    facts = survey(tensor, loss)
    if not loss.data_domain.integer:
        if not facts.suits(tensor.dtype, loss.degree) and isinstance(tensor, DenseTensor | ListedTensor):
            tensor = tensor.in_double()
        facts.check_range(tensor.dtype, loss.degree)
    loss = loss.with_scale(float(loss.link(_scale(facts, loss, tensor.dtype))))
    penalties = as_penalties(l2_reg, weight_reg, dirichlet_reg)
    return EntrywiseObjective(tensor, loss, facts, penalties, threads.resolve(n_threads))


def _scale(facts: Survey, loss: Loss, dtype: np.dtype[Any]) -> float:
    """The mean of the data, or less where it stands far above the least of them, so that eps matters to none."""
    smallest = _SMALLEST[dtype == np.float32] * facts.mean
    if not loss.data_domain.integer and loss.data_domain.contains(np.zeros(1))[0]:
        smallest = max(smallest, _SMALLEST_BESIDE_ZERO * facts.mean)
    return min(facts.mean, max(_FAR * facts.least, smallest))


def as_penalties(l2_reg: float | Mapping[str, float], weight_reg: float, dirichlet_reg: float) -> Penalties:
    """Return the penalties that strengths are shorthands for."""
    if not isinstance(l2_reg, Mapping):
        l2_reg = {"factors": l2_reg, "main_effects": l2_reg}
    if unknown := [part for part in l2_reg if part not in ("factors", "main_effects")]:
        raise ParameterError(
            f"l2_reg has no part {checks.show(unknown[0])}; it takes: factors, main_effects."
        )
    found: list[Penalty] = []
    for name, kind, strength in (
        ("l2_reg", Ridge, l2_reg.get("factors", 0.0)),
        ("weight_reg", WeightLasso, weight_reg),
        ("dirichlet_reg", DirichletPrior, dirichlet_reg),
    ):
        if (number := _strength(name, strength)) > 0:
            found.append(kind(number))
    return Penalties(tuple(found), _strength("l2_reg", l2_reg.get("main_effects", 0.0)))


def _strength(name: str, value: Any) -> float:
    return checks.real(name, value, least=0, below=_LARGEST_PENALTY)
