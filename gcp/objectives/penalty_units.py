"""Penalties as they are beside the data of a fit: names of modes as numbers, tables in order, strengths in units."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.losses.base import Loss
from gcp.objectives import constant
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.penalties.base import DataFacts
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.sum_objective import SumObjective
from gcp.tensors.base import TensorData
from gcp.tensors.entries import cells_of

_MOST_CELLS = 2**26
"""Cells, at most, whose scales and offsets are looked at one by one; of more, a cell of the mean stands for all."""

_CHUNK = 1 << 19


def resolved(penalties: Penalties, facts: DataFacts) -> Penalties:
    """Return the penalties with what the data say of them; the same object if they say nothing."""
    found = tuple(one for penalty in penalties.of_components for one in penalty.resolved(facts))
    is_same = len(found) == len(penalties.of_components) and all(map(_is, found, penalties.of_components))
    return penalties if is_same else replace(penalties, of_components=found)


def _is(one: object, other: object) -> bool:
    return one is other


def facts_of(objective: EntrywiseObjective | SumObjective) -> DataFacts:
    """Return what penalties may ask of an objective's data; units take a pass when they are asked for."""
    tensor = objective.tensor
    units = {"curvature": partial(curvature, objective), "slope": partial(slope, objective)}
    return DataFacts(tensor.labels or ModeLabels.default(tensor.shape), tensor.shape, units)


def curvature(objective: EntrywiseObjective | SumObjective) -> float:
    """Return the expected curvature of the loss at a cell about the best constant; 1 where there is none."""
    if isinstance(objective, SumObjective):
        found = float(objective.typical_curvatures.sum()) / objective.survey.total_weight
    elif _has_columns(objective):
        found = _beside_columns(objective)[1] / objective.survey.total_weight
    else:
        with np.errstate(all="ignore"):
            found = float(objective.loss.fisher(np.array([typical(objective)]))[0])
    return found if 0 < found < np.inf else 1.0


def slope(objective: EntrywiseObjective | SumObjective) -> float:
    """Return the root mean square derivative of the loss at a cell about the best constant; 1 without any."""
    if isinstance(objective, SumObjective):
        total = objective.squared_slopes()
    else:
        total, _ = sums_about_constant(objective)
    found = float(np.sqrt(total / objective.survey.total_weight))
    return found if 0 < found < np.inf else 1.0


def sums_about_constant(objective: EntrywiseObjective) -> tuple[float, float]:
    """Return weighted sums of squared derivatives and of expected curvatures, from a pass over the data."""
    if _has_columns(objective):
        return _beside_columns(objective)
    m, loss, tensor = typical(objective), objective.loss, objective.tensor
    squares = float(sum(tensor.map(constant.squared_slopes, loss, objective.n_threads, m)))
    return squares, objective.survey.total_weight * float(loss.fisher(np.array([m]))[0])


def typical(objective: EntrywiseObjective) -> float:
    """Return the best constant argument of the loss."""
    if not objective.tensor.is_affine:
        return objective.null_constant
    return constant.finite(float(objective.loss.link(objective.survey.mean)))


def _has_columns(objective: EntrywiseObjective) -> bool:
    """Return whether cells have scales or offsets of their own that can be looked at one by one."""
    tensor = objective.tensor
    return tensor.is_affine and cells_of(tensor.shape) <= _MOST_CELLS


def _beside_columns(objective: EntrywiseObjective) -> tuple[float, float]:
    """Return `sums_about_constant` under scales and offsets, in the best constant model."""
    m, loss = objective.null_constant, objective.loss
    found = objective.tensor.map(_sums_beside_columns, loss, m)
    return math.fsum(squares for squares, _ in found), math.fsum(bends for _, bends in found)


def _sums_beside_columns(part: TensorData, loss: Loss, m: float, _: None = None) -> tuple[float, float]:
    """Return `sums_about_constant` of a tensor, or a part of one, with scales and offsets."""
    squares = curvature = 0.0
    for cells in part.known_cells(_CHUNK):
        own = cells.columns
        assert own is not None  # entries that are affine have columns
        at = own.argument(np.full(len(own.x), m))
        s2 = 1.0 if own.scale is None else np.square(own.scale)
        with np.errstate(all="ignore"):
            slopes, bends = s2 * np.square(loss.deriv(own.x, at)), s2 * loss.fisher(at)
        squares += float(np.sum(np.where(cells.weights > 0, cells.weights * slopes, 0.0)))
        curvature += float(np.sum(np.where(cells.weights > 0, cells.weights * bends, 0.0)))
    return squares, curvature
