"""New positions of a mode that tensors share, from whatever of these there is, all else as a fit has it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base import checks, threads
from gcp.base.alignment import Alignment
from gcp.base.errors import ConvergenceWarning, FitError, GcpError, ParameterError
from gcp.base.types import Array, FloatArray
from gcp.objectives.build import build_objective
from gcp.objectives.damped_rows import RowsBeside, SeparateRows, minimize_rows
from gcp.objectives.known_cells import check_units
from gcp.objectives.model import Model
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.of_mode import ModePenalty
from gcp.objectives.refit_rows import (
    MOST_CELLS,
    NEAR_ONE,
    NOT_CONVERGED,
    NOT_FINITE,
    STARTS,
    STEPS,
    TOL,
    NewRows,
    check_parameters,
    fitted_sizes,
    in_order,
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


class _Together:
    """The weighted sum of problems in the same rows."""

    def __init__(self, parts: Sequence[tuple[float, SeparateRows]]) -> None:
        self.parts = parts

    def values(self, rows: FloatArray) -> FloatArray:
        """Return the objective of every row, shape (n,)."""
        return np.asarray(sum(weight * part.values(rows) for weight, part in self.parts))

    def derivatives(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the gradient (n, R) and a curvature (n, R, R) of every row."""
        own = [(weight, *part.derivatives(rows)) for weight, part in self.parts]
        slope = np.asarray(sum(weight * one for weight, one, _ in own))
        return slope, np.asarray(sum(weight * bend for weight, _, bend in own))


def transform_together(
    models: Mapping[str, Model],
    weights: Mapping[str, float],
    size: FloatArray,
    data: Any,
    mode: str,
    bounds: tuple[float | None, float | None] | None,
    beside: Mapping[str, Any],
) -> NewRows:
    """See `CoupledResult.transform`; `size` (R,) is what rows are multiplied by in the fitted factor of the mode."""
    having = {name: model for name, model in models.items() if mode in model.labels.names}
    given = _given(having, data, mode, beside)
    sides = {name: (one.labels, one.tensor.shape[one.mode]) for name, one in given.items()}
    labels, places = joined_positions(mode, sides)
    n = 1 + max(int(own.max(initial=-1)) for own in places.values())
    parts: list[tuple[float, SeparateRows]] = []
    starts: list[list[FloatArray]] = []
    is_first = True
    for name, model in having.items():
        own_mode = model.labels.number(mode)
        penalties = [one for one in model.problem.penalties.of_components if is_first or _is_of_mode(one)]
        is_first = False
        fitted = _fitted(model)
        of_rows = NewRowPenalties(tuple(penalties), 0.0, None, own_mode, fitted, 0.0)
        if name not in given:
            parts.append((weights[name], _Penalized(of_rows)))
            continue
        rows, factors = _own_rows(model, given[name], places[name], n, of_rows)
        parts.append((weights[name], RowsBeside(rows, factors)))
        starts.append(rows.starts(factors, STARTS, NEAR_ONE))
    low, high = _limits(having, mode, size, bounds)
    found = _minimum(_Together(parts), max(starts, key=len), low, high)
    rows_found = found / np.where(size != 0, size, 1.0)
    if bounds is not None:
        rows_found = np.clip(rows_found, *pair_of_bounds(bounds, -np.inf))  # rounding must not leave them
    lacking = {f"{other} of {name}": own for name, one in given.items() for other, own in one.lacking.items()}
    return NewRows(rows_found, None, mode, np.arange(n) if labels is None else labels, lacking)


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
            listed, labels, lacking = in_order(model, tensor, number)
            build_objective(
                listed, model.numbered_loss, n_threads=1
            )  # refuses data that the loss does not admit
        except GcpError as error:
            raise type(error)(f"{name}: {error}") from error
        is_labelled = own is not None and _has_labels(own, labels)
        found[name] = _Given(_without_zeros(listed), number, labels if is_labelled else None, lacking)
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


def _own_rows(
    model: Model, given: _Given, places: Array, n: int, penalties: NewRowPenalties
) -> tuple[OwnRows, list[FloatArray]]:
    """Return the problem of all n rows under one tensor's data, at places (k,), and the factors beside it."""
    mode = given.mode
    back = np.full(n, -1)
    back[places] = np.arange(len(places))
    every = range(len(model.shape))
    tensor = rearranged(
        given.tensor, Alignment(tuple(every), tuple(back if k == mode else None for k in every))
    )
    assert isinstance(tensor, ObservedTensor)
    entries, loss = in_standard_form(model, tensor)
    factors = list(penalties.fitted)
    factors[mode] = np.tile(factors[mode].mean(axis=0), (n, 1))
    return OwnRows(entries, loss, penalties, mode, model.rank), factors


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
