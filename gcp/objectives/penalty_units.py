"""Penalties as they are beside the data of a fit: names of modes as numbers, tables in order, strengths in units."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.objectives import constant
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.penalties.base import DataFacts
from gcp.objectives.penalties.total import Penalties


def resolved(penalties: Penalties, facts: DataFacts) -> Penalties:
    """Return the penalties with what the data say of them; the same object if they say nothing."""
    found = tuple(one for penalty in penalties.of_components for one in penalty.resolved(facts))
    is_same = len(found) == len(penalties.of_components) and all(map(_is, found, penalties.of_components))
    return penalties if is_same else replace(penalties, of_components=found)


def _is(one: object, other: object) -> bool:
    return one is other


def facts_of(objective: EntrywiseObjective) -> DataFacts:
    """Return what penalties may ask of an objective's data; units take a pass when they are asked for."""
    tensor = objective.tensor
    units = {"curvature": partial(curvature, objective), "slope": partial(slope, objective)}
    return DataFacts(tensor.labels or ModeLabels.default(tensor.shape), tensor.shape, units)


def curvature(objective: EntrywiseObjective) -> float:
    """Return the expected curvature of the loss at a cell about the best constant; 1 where there is none."""
    with np.errstate(all="ignore"):
        found = float(objective.loss.fisher(np.array([objective.null_constant]))[0])
    return found if 0 < found < np.inf else 1.0


def slope(objective: EntrywiseObjective) -> float:
    """Return the root mean square derivative of the loss at a cell about the best constant; 1 without any."""
    total = squared_slopes(objective)
    found = float(np.sqrt(total / objective.survey.total_weight))
    return found if 0 < found < np.inf else 1.0


def squared_slopes(objective: EntrywiseObjective) -> float:
    """Return the weighted sum of squared derivatives about the best constant, from a pass over the data."""
    m, loss = objective.null_constant, objective.loss
    return float(sum(objective.tensor.map(constant.squared_slopes, loss, objective.n_threads, m)))
