"""What is said of parameters by position that data do not determine, or that are as good as at a limit."""

from __future__ import annotations

import math

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.model import Model
from gcp.solvers.starts.repeatable_positions import LIMIT
from gcp.solvers.starts.unknown_parameters import UnknownParameters

_MOST_NAMES = 5
_AT_LIMIT = 1e-6
"""Distance of a free number from its limit at which it is there."""

_FLAT = 1e-2
"""What the log-likelihood of a position can gain at a limit, at most, where it says nothing against that."""

_REPEATED = (
    "at the limit, a hundredth of what that of their data is: a model of this rank can repeat these positions (a "
    "Heywood case); take fewer components"
)
"""What is said of a dispersion that went to its limit where the likelihood does not decide."""


def notes_on(unknowns: UnknownParameters, model: Model) -> str:
    """Return words on positions without data, and on those whose parameter went to a limit, if there are any."""
    loss, mode = unknowns.loss, unknowns.mode
    if mode is None:
        return ""
    scale = loss.estimable[loss.parameter_by]
    free = scale.free(getattr(model.loss, loss.parameter_by))
    low, high = scale.limits_about(scale.free(getattr(unknowns.suggested, loss.parameter_by)))
    found = []
    for kind, where in _kinds(loss, len(free)):
        name, known = kind.parameter_by, where & unknowns.with_data
        if unknowns.held is not None and (known & unknowns.held).any():
            first = scale.free(getattr(unknowns.suggested, loss.parameter_by))
            least = known & unknowns.held & (np.abs(free - first) >= math.log(LIMIT) - _AT_LIMIT)
            if least.any():
                found.append(f"{name} of {_named(model, mode, least)}: {_REPEATED}")
            continue
        for side, words in kind.limits_in_words.items():
            there = free <= low + _AT_LIMIT if side == "low" else free >= high - _AT_LIMIT
            if not kind.is_dispersion_by:
                there = there | _flat_towards(unknowns, model, low if side == "low" else high)
            if (there & known).any():
                found.append(f"{name} of {_named(model, mode, there & known)}: {words}")
        if (unseen := where & ~unknowns.with_data).any():
            instead = "as it began" if loss.kinds else "the median of the others"
            found.append(f"{name} of {_named(model, mode, unseen)}: no data, and {instead}")
    return "; ".join(found)


def _kinds(loss: Loss, n: int) -> list[tuple[Loss, Array]]:
    """Return the losses with a parameter by position, and masks (n,) of theirs: mostly the only one, of all."""
    if not loss.kinds:
        return [(loss, np.ones(n, bool))]
    of_positions = [loss.kind_at(k) for k in range(n)]
    return [
        (kind, where)
        for kind in loss.kinds
        if (where := np.array([own == kind for own in of_positions])).any()
    ]


def _flat_towards(unknowns: UnknownParameters, model: Model, limits: FloatArray) -> Array:
    """Return a mask (I_mode,) of positions whose likelihood rises as far as their limits, and hardly does so."""
    likelihood = unknowns.likelihood(model)
    part, ends = unknowns.parts(model.loss)[model.loss.parameter_by], likelihood.at.copy()
    ends[part] = limits
    return np.asarray(likelihood.gains_towards(ends)[part] <= _FLAT)


def _named(model: Model, mode: int, where: Array) -> str:
    """Return the labels of some positions (I_mode,), at most five of them, with the name of their mode."""
    labels = model.labels.values(mode, model.shape[mode])
    few = ", ".join(str(labels[at]) for at in np.flatnonzero(where)[:_MOST_NAMES])
    more = ", ..." if where.sum() > _MOST_NAMES else ""
    return f"{model.labels.names[mode]} {few}{more}"
