"""How much of what a model explains is the doing of each component."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.base.errors import ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.objectives.build import build_objective
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.known_cells import blocks, check_result, tensor_of
from gcp.objectives.model import Model
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried


@dataclass(frozen=True, eq=False, repr=False)
class ComponentShares(TableResult):
    """Shares of the deviance from the best constant to a perfect model, by component.

    Attributes
    ----------
    explained : float
        By all components, and main effects if there are any.
    alone : ndarray, shape (R,)
        With one component, and the means of the others in their places.
    unique : ndarray, shape (R,)
        What is lost if its mean takes the place of one component.
    """

    explained: float
    alone: FloatArray
    unique: FloatArray

    def _table(self) -> Table:
        columns = {"alone": self.alone, "unique": self.unique}
        return Table(columns, {"component": np.arange(len(self.alone))})


def component_shares(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> ComponentShares:
    """Return what each component explains alone, and what no other component would explain for it.

    Parameters
    ----------
    result : FitResult
        With components.
    data, mask, entry_weights
        As for `fit_gcp`. Sparse data of more than 2**28 cells are refused.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    ComponentShares

    Notes
    -----
    A component is left out by putting its mean over the known cells in its place, as a column is in a permutation
    importance: its pattern goes, its level stays, and models of counts remain models of counts. Nothing is fitted
    again, and main effects stay. Neither kind of shares sums to what the model explains. Where components tell the
    same twice, `alone` sums to more and `unique` to less; where they need each other, such as those of different
    airports, it is the other way round; shares of components that cancel may be negative or beyond 1.

    Two passes over all cells, the second of 2 R losses.
    """
    check_result(result)
    if result.rank == 0:
        raise ParameterError(
            "There are no components to share anything: the model has main effects alone (rank 0)."
        )
    if result.loss.kinds:
        raise ParameterError(
            f"component_shares compares models at all cells: under several losses "
            f"({result.loss.name}) these are in as many units."
        )
    if result.loss.by is not None and result.loss.position_moves_mean:
        raise ParameterError(
            f"component_shares compares models at all cells: found a {result.loss.name} loss with one "
            f"{result.loss.parameter_by} for each position of {result.loss.by!r}, under which equal models mean "
            "different expectations."
        )
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    objective = build_objective(tensor, result.numbered_loss)
    assert isinstance(objective, EntrywiseObjective)  # of one loss
    null = objective.null_constant
    model = result.with_mean_rows()
    total, weight = np.zeros(result.rank), 0.0
    for cells in blocks(result, tensor):
        total += cells.w @ _components(model, cells.subs)
        weight += float(cells.w.sum())
    means = total / weight
    left, whole, nothing = np.zeros((2, result.rank)), 0.0, 0.0
    for cells in blocks(result, tensor):
        x, m, w, loss = cells.x, cells.m, cells.w, result.loss_at(cells.subs)
        whole += float(w @ loss.deviance(x, m))
        nothing += float(w @ loss.deviance(x, cells.argument(null)))
        own = _components(model, cells.subs) - means  # patterns
        if cells.scale is not None:
            own *= cells.scale[:, None]
        beside = m - own.sum(axis=1)
        for r in range(result.rank):
            for k, changed in enumerate((beside + own[:, r], m - own[:, r])):
                left[k, r] += float(w @ loss.deviance(x, loss.model_domain.clip(changed)))
    if nothing <= 0:
        return ComponentShares(np.nan, np.full(result.rank, np.nan), np.full(result.rank, np.nan))
    explained = 1 - whole / nothing
    return ComponentShares(explained, 1 - left[0] / nothing, (left[1] - whole) / nothing)


def _components(model: Model, subs: Array) -> FloatArray:
    """Return what each component adds at subs (n, N), shape (n, R)."""
    terms = np.broadcast_to(model.weights, (len(subs), model.rank)).astype(float)
    for n, a in enumerate(model.factors):
        terms *= a[subs[:, n]]
    return terms
