"""New positions of a mode that tensors share, from whatever of these there is, all else as a fit has it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gcp.base import checks, threads
from gcp.base.alignment import Alignment
from gcp.base.errors import ConvergenceWarning, FitError, GcpError, ParameterError
from gcp.base.table_result import Table
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.objectives.build import build_objective
from gcp.objectives.damped_rows import RowsBeside, SeparateRows, minimize_rows
from gcp.objectives.known_cells import check_units
from gcp.objectives.listed_data import MOST_CELLS, in_order, labels_along, lacking
from gcp.objectives.model import Model
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.of_mode import ModePenalty
from gcp.objectives.refit_rows import (
    NEAR_ONE,
    NOT_CONVERGED,
    NOT_FINITE,
    STARTS,
    STEPS,
    TOL,
    NewRows,
    beside_effects,
    check_parameters,
    fitted_sizes,
    in_standard_form,
    pair_of_bounds,
)
from gcp.objectives.single_rows import NewRowPenalties, OwnRows
from gcp.tensors.carried_columns import CARRIED
from gcp.tensors.coupled_tensors import joined_positions
from gcp.tensors.entries import cells_of
from gcp.tensors.intake.beside_tensors import given_beside
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.rearranged import rearranged


@dataclass(frozen=True)
class _Given:
    """New data of one tensor, in its model's order but in the mode, whose positions may have labels (n,)."""

    tensor: Any
    mode: int
    labels: Array | None
    lacking: Mapping[str, Array]


@dataclass(frozen=True, eq=False, repr=False)
class NewCoupledRows(NewRows):
    """Positions that a fit of coupled tensors has not seen.

    Attributes
    ----------
    rows, mode, labels, lacking
        See `NewRows`; `main_effects` is None.
    effects : dict of str to ndarray, shape (n,)
        By tensor, of those with main effects of the mode: like these, where there are new data of the tensor.
    """

    effects: dict[str, FloatArray]

    def _table(self) -> Table:
        own = super()._table()
        more = {f"main_effect of {name}": vector for name, vector in self.effects.items()}
        return Table({**own.columns, **more}, own.index)


class _Penalized:
    """What a penalty of a tensor that is not given says of the rows."""

    def __init__(self, penalties: NewRowPenalties) -> None:
        self.penalties = penalties

    def values(self, rows: FloatArray) -> FloatArray:
        """Return what every row costs, shape (n,)."""
        return self.penalties.values(self._beside(rows))

    def derivatives(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (n, R) and the curvature (n, R, R) of every row."""
        strengths, centres = self.penalties.of_rows(self.penalties.mode, self._beside(rows))
        bend = np.zeros((*rows.shape, rows.shape[1]))
        k = np.arange(rows.shape[1])
        bend[:, k, k] = strengths
        return strengths * (rows - centres), bend

    def _beside(self, rows: FloatArray) -> list[FloatArray]:
        fitted = self.penalties.fitted
        return [*fitted[: self.penalties.mode], rows, *fitted[self.penalties.mode + 1 :]]


@dataclass(frozen=True)
class _Block:
    """What one tensor says of the rows, in columns of its own: the components, and its main effects.

    `tail` (n, E) is where the latter begin, `low` and `high` (1, E) are their bounds; `free` is which of them are the
    mode's own and count from `anchor`, if any is.
    """

    name: str
    weight: float
    problem: SeparateRows
    starts: list[FloatArray]
    tail: FloatArray
    low: FloatArray
    high: FloatArray
    free: int | None = None
    anchor: float = 0.0

    @classmethod
    def of(
        cls,
        name: str,
        weight: float,
        model: Model,
        given: _Given,
        places: Array,
        n: int,
        own: NewRowPenalties,
    ) -> _Block:
        """Return the block of a tensor with new data, whose positions have these places (k,) among n."""
        mode, rank = given.mode, model.rank
        effects, vectors, anchor = beside_effects(model, mode, n)
        own = replace(
            own, effects_ridge=model.problem.penalties.effects_ridge, effects=effects, anchor=anchor
        )
        factors = list(own.fitted)
        factors[mode] = np.tile(factors[mode].mean(axis=0), (n, 1))
        if effects is not None:
            factors = effects.joined(factors, vectors)
        entries, loss = _entries(model, given, places, n)
        rows = OwnRows(entries, loss, own, mode, rank)
        starts = rows.starts(factors, STARTS, NEAR_ONE)
        tail, ends, free = factors[mode][:, rank:], np.ones((2, 1, factors[mode].shape[1] - rank)), None
        if effects is not None:
            k = effects.modes.index(mode)
            has_own = model.labels.names[mode] in model.main_effects
            free = k if has_own else None
            floor = 0.0 if model.loss.model_domain.low >= 0 else -np.inf
            ends[:, 0, k] = (floor, np.inf) if has_own else (anchor, anchor)
        return cls(name, weight, RowsBeside(rows, factors), starts, tail, ends[0], ends[1], free, anchor)

    @classmethod
    def of_penalties(cls, name: str, weight: float, own: NewRowPenalties) -> _Block:
        """Return the block of a tensor of which there are no new data."""
        none = np.zeros((1, 0))
        return cls(name, weight, _Penalized(own), [], none, none, none)


class _Together:
    """The weighted sum of what all tensors say of the rows (n, R + E), the main effects of one after another's."""

    def __init__(self, blocks: Sequence[_Block], rank: int) -> None:
        self.blocks, self.rank = blocks, rank
        ends = rank + np.cumsum([0, *(one.tail.shape[1] for one in blocks)])
        self.columns = [
            np.concatenate([np.arange(rank), np.arange(a, b)]) for a, b in itertools.pairwise(ends.tolist())
        ]
        self.lows, self.highs = [one.low for one in blocks], [one.high for one in blocks]

    def starts(self) -> list[FloatArray]:
        """Return where searches begin: those of the tensor with the most minima."""
        own = max((one.starts for one in self.blocks), key=len)
        n = len(own[0])
        tails = [np.broadcast_to(one.tail, (n, one.tail.shape[1])) for one in self.blocks]
        return [np.hstack([start[:, : self.rank], *tails]) for start in own]

    def values(self, rows: FloatArray) -> FloatArray:
        """Return the objective of every row, shape (n,)."""
        parts = zip(self.blocks, self.columns, strict=True)
        return np.asarray(sum(one.weight * one.problem.values(rows[:, at]) for one, at in parts))

    def derivatives(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (n, R + E) and a curvature (n, R + E, R + E) of every row."""
        slope, bend = np.zeros_like(rows), np.zeros((*rows.shape, rows.shape[1]))
        for one, at in zip(self.blocks, self.columns, strict=True):
            own_slope, own_bend = one.problem.derivatives(np.ascontiguousarray(rows[:, at]))
            slope[:, at] += one.weight * own_slope
            bend[:, at[:, None], at] += one.weight * own_bend
        return slope, bend

    def effects(self, rows: FloatArray) -> dict[str, FloatArray]:
        """Return the main effects (n,) of the mode in every tensor that has any."""
        return {
            one.name: rows[:, at[self.rank + one.free]] - one.anchor
            for one, at in zip(self.blocks, self.columns, strict=True)
            if one.free is not None
        }


def transform_together(
    models: Mapping[str, Model],
    weights: Mapping[str, float],
    size: FloatArray,
    data: Any,
    mode: str,
    bounds: tuple[float | None, float | None] | None,
    beside: Mapping[str, Any],
) -> NewCoupledRows:
    """See `CoupledResult.transform`; `size` (R,) is what rows are multiplied by in the fitted factor of the mode."""
    having = {name: model for name, model in models.items() if mode in model.labels.names}
    given = _given(having, data, mode, beside)
    sides = {name: (one.labels, one.tensor.shape[one.mode]) for name, one in given.items()}
    labels, places = joined_positions(mode, sides)
    n = 1 + max(int(own.max(initial=-1)) for own in places.values())
    rank, blocks = len(size), []
    is_first = True
    for name, model in having.items():
        penalties = [one for one in model.problem.penalties.of_components if is_first or _is_of_mode(one)]
        is_first = False
        own = NewRowPenalties(tuple(penalties), 0.0, None, model.labels.number(mode), _fitted(model), 0.0)
        if name in given:
            blocks.append(_Block.of(name, weights[name], model, given[name], places[name], n, own))
        else:
            blocks.append(_Block.of_penalties(name, weights[name], own))
    together = _Together(blocks, rank)
    low, high = _limits(having, mode, size, bounds)
    low, high = (np.hstack([side, *ends]) for side, ends in ((low, together.lows), (high, together.highs)))
    found = _minimum(together, together.starts(), low, high)
    rows = found[:, :rank] / np.where(size != 0, size, 1.0)
    if bounds is not None:
        rows = np.clip(rows, *pair_of_bounds(bounds, -np.inf))  # rounding must not leave them
    lacks = {f"{other} of {name}": own for name, one in given.items() for other, own in one.lacking.items()}
    effects = together.effects(found)
    return NewCoupledRows(rows, None, mode, np.arange(n) if labels is None else labels, lacks, effects)


def _minimum(
    problem: SeparateRows, starts: list[FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return the best rows (n, R) within bounds (1, R) from some starts (n, R)."""
    found = None
    with threads.single_threaded_blas():
        for start in starts:
            rows = np.clip(start, low, high)
            if not np.isfinite(problem.values(rows)).all():
                raise FitError(NOT_FINITE)
            if not minimize_rows(problem, rows, low, high, STEPS, TOL):
                warnings.warn(NOT_CONVERGED, ConvergenceWarning, stacklevel=4)
            if found is None:
                found = rows
            else:
                is_better = problem.values(rows) < problem.values(found)
                found = np.where(is_better[:, None], rows, found)
    assert found is not None
    return found


def _given(models: Mapping[str, Model], data: Any, mode: str, beside: Mapping[str, Any]) -> dict[str, _Given]:
    """Return the new data of some tensors with the mode, each in the order of its model."""
    if not isinstance(data, Mapping) or not len(data):
        raise ParameterError(
            f"transform takes new data by tensor, {{{next(iter(models))!r}: ...}}: found {checks.show(data)}."
        )
    if unknown := sorted(set(beside) - {"mask", "entry_weights", *CARRIED}):
        raise TypeError(f"transform() got an unexpected keyword argument {unknown[0]!r}")
    own_of, found = given_beside(beside, tuple(data)), {}
    for name in data:
        if name not in models:
            raise ParameterError(
                f"transform: {checks.show(name)} is no tensor with the mode {mode!r}: found {', '.join(models)}."
            )
        model = models[name]
        number = model.labels.number(mode)
        try:
            tensor = stored(in_one_piece(data[name], why="transform", **own_of[name]))
            check_units(model, tensor)
            check_parameters(model, number)
            own = tensor.labels
            listed, order = in_order(model, tensor, (number,))
            labels, gaps = labels_along(tensor, order.modes[number]), lacking(model, order)
            build_objective(
                listed, model.numbered_loss, n_threads=1
            )  # refuses data that the loss does not admit
        except GcpError as error:
            raise type(error)(f"{name}: {error}") from error
        is_labelled = own is not None and _has_labels(own, labels)
        found[name] = _Given(_without_zeros(listed), number, labels if is_labelled else None, gaps)
    return found


def _has_labels(own: Any, labels: Array) -> bool:
    """Return whether the labels (n,) of the mode are some that the data have, and not numbers of positions."""
    return any(coords is labels for coords in own.coords)


def _without_zeros(tensor: Any) -> ObservedTensor:
    """Return a list of all known cells, zeros too."""
    if tensor.zeros is None:
        found: ObservedTensor = tensor
        return found
    if (n_cells := cells_of(tensor.shape)) > MOST_CELLS:
        raise ParameterError(
            f"transform of coupled tensors looks at each of the {n_cells:,} cells of sparse data: at most "
            f"{MOST_CELLS:,}. Transform fewer positions at a time."
        )
    dense = tensor.to_dense()
    known = np.ones(dense.shape, bool) if dense.entry_weights is None else dense.entry_weights > 0
    return ObservedTensor.of_dense(dense, known)


def _fitted(model: Model) -> list[FloatArray]:
    """Return the fitted factors (I_n, R), where nothing determines a row the mean one."""
    units = (np.asarray(a, dtype=float) for a in model.with_mean_rows().factors)
    return [a * s for a, s in zip(units, fitted_sizes(model), strict=True)]


def _entries(model: Model, given: _Given, places: Array, n: int) -> tuple[Any, Loss]:
    """Return one tensor's entries, whose positions have these places (k,) among n, and their loss."""
    mode, every = given.mode, range(len(model.shape))
    back = np.full(n, -1)
    back[places] = np.arange(len(places))
    order = Alignment(tuple(every), tuple(back if k == mode else None for k in every))
    tensor = rearranged(given.tensor, order)
    assert isinstance(tensor, ObservedTensor)
    return in_standard_form(model, tensor)


def _limits(
    models: Mapping[str, Model], mode: str, size: FloatArray, bounds: tuple[float | None, float | None] | None
) -> tuple[FloatArray, FloatArray]:
    """Return bounds (1, R) of rows of the fitted factor; components that are switched off have 0."""
    sides = np.array([model.row_bounds[model.labels.number(mode)] for model in models.values()], dtype=float)
    low, high = sides[:, 0].max(axis=0), sides[:, 1].min(axis=0)
    if bounds is not None:
        floor = 0.0 if (low >= 0).all() else -np.inf
        lower, upper = pair_of_bounds(bounds, floor)
        ends = np.sort([lower * size, upper * size], axis=0)
        low, high = ends[0], ends[1]
    is_off = size == 0
    low, high = np.where(is_off, 0.0, low), np.where(is_off, 0.0, high)
    return low[None], high[None]


def _is_of_mode(penalty: Penalty) -> bool:
    """Return whether a penalty is of one tensor, and not of all factors, which counts once."""
    return isinstance(penalty, ModePenalty) and getattr(penalty, "mode", None) is not None
