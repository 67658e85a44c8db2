"""New positions of one mode, fitted with all else as a model has it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar, Unpack

import numpy as np

from gcp.base import checks, threads
from gcp.base.errors import ConvergenceWarning, FitError, ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.several import SeveralLosses
from gcp.objectives.build import build_objective
from gcp.objectives.damped_rows import RowsBeside, minimize_rows
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import check_units
from gcp.objectives.listed_data import in_order, labels_along, lacking
from gcp.objectives.model import Model
from gcp.objectives.new_coordinates import rows_of_labels
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.single_rows import NewRowPenalties, OwnRows
from gcp.objectives.standard_form import standardised
from gcp.objectives.sum_objective import SumObjective
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views.row_wise import RowWise
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

M = TypeVar("M", bound=Model)

STEPS = 5000
STARTS = 8
"""Components, at most, that one start each begins near where rows may have several minima."""

NEAR_ONE = 0.9
"""Share of a start's model that such a component has."""

NOT_FINITE = "The objective is not finite at the start; the new data may be too far from the model."
NOT_CONVERGED = f"transform did not converge in {STEPS} steps."

TOL = 1e-12
"""Relative decrease in a step below which the rows are at their minimum."""


@dataclass(frozen=True, eq=False, repr=False)
class NewRows(TableResult):
    """Positions that a model has not seen.

    Attributes
    ----------
    rows : ndarray, shape (n, R)
        Like rows of the mode's factor: the model of the new data is the sum over components of weight, row and the
        other modes' factors, plus main effects.
    main_effects : ndarray, shape (n,), or None
        Like the mode's main effects; None if it has none.
    mode : str
        Name of the mode.
    labels : ndarray, shape (n,)
        Of the new positions; 0, 1, ... if the new data have none.
    lacking : dict of str to ndarray
        By the name of another mode, labels of the model that the new data lack: there they count as missing.
    """

    rows: FloatArray
    main_effects: FloatArray | None
    mode: str
    labels: Array
    lacking: dict[str, Array]

    def _facts(self) -> dict[str, Any]:
        lacking = "; ".join(
            f"{len(labels)} of {name} ({', '.join(map(str, labels[:3]))}{', ...' if len(labels) > 3 else ''})"
            for name, labels in self.lacking.items()
        )
        return {"new_positions": len(self.rows), "mode": self.mode, "counted_as_missing": lacking}

    def _table(self) -> Table:
        columns: dict[Any, Array] = dict(enumerate(self.rows.T))
        if self.main_effects is not None:
            columns["main_effect"] = self.main_effects
        return Table(columns, {self.mode: self.labels})


def transform(
    model: Model,
    data: Any,
    mode: int,
    *,
    mask: Any = None,
    entry_weights: Any = None,
    bounds: tuple[float | None, float | None] | None = None,
    penalties: Penalties,
    n_threads: int | None = None,
    **carried: Unpack[Carried],
) -> NewRows:
    """See `FitResult.transform`."""
    tensor = stored(in_one_piece(data, mask, entry_weights, **carried))
    check_units(model, tensor)
    check_parameters(model, mode)
    listed, order = in_order(model, tensor, (mode,))
    found_labels, gaps = labels_along(tensor, order.modes[mode]), lacking(model, order)
    if mode in dict(model.problem.designs):
        is_labelled = tensor.labels is not None and tensor.labels.coords[order.modes[mode] or 0] is not None
        return _by_design(model, mode, is_labelled, found_labels, gaps, bounds)
    tensor = listed
    rank, names, n = model.rank, model.labels.names, tensor.shape[mode]
    objective = build_objective(tensor, model.numbered_loss, n_threads=n_threads)
    entries: Any
    entries, loss = in_standard_form(model, tensor)
    sizes = fitted_sizes(model)  # as penalties and bounds of the fit have them
    units = (np.asarray(a, dtype=float) for a in model.with_mean_rows().factors)
    components, size = [a * s for a, s in zip(units, sizes, strict=True)], sizes[mode]
    fitted = list(components)
    components[mode] = np.tile(components[mode].mean(axis=0), (n, 1))
    effects, vectors, anchor = beside_effects(model, mode, n)
    factors = components if effects is None else effects.joined(components, vectors)
    own = NewRowPenalties(penalties.of_components, penalties.effects_ridge, effects, mode, fitted, anchor)
    has_own = names[mode] in model.main_effects
    low, high = _limits(model, effects, mode, None if has_own else anchor, size, bounds)
    own_rows = OwnRows(entries, loss, own, mode, rank)
    minimize = _method(objective, own_rows)
    starts = own_rows.starts(factors, STARTS, NEAR_ONE)
    with threads.single_threaded_blas():
        factors[mode] = np.clip(starts[0], low, high)
        minimize(factors, low, high)
        for start in starts[1:]:
            other = [*factors[:mode], np.clip(start, low, high), *factors[mode + 1 :]]
            minimize(other, low, high)
            is_better = own_rows.values(other) < own_rows.values(factors)
            factors[mode] = np.where(is_better[:, None], other[mode], factors[mode])
    rows = factors[mode][:, :rank] / np.where(size != 0, size, 1.0)
    if bounds is not None:
        rows = np.clip(rows, *pair_of_bounds(bounds, -np.inf))  # rounding must not leave them
    own_effects = None
    if effects is not None and has_own:
        own_effects = factors[mode][:, rank + effects.modes.index(mode)] - anchor
    return NewRows(rows, own_effects, names[mode], found_labels, gaps)


def beside_effects(model: Model, mode: int, n: int) -> tuple[MainEffects | None, list[FloatArray], float]:
    """Return the main effects beside n new positions of a mode, those of all modes (I_n,), and what they begin from.

    The mode itself is among them, and holds the intercept; None if the model has no main effects.
    """
    if not model.main_effects:
        return None, [], model.intercept
    names, anchor = model.labels.names, model.intercept
    modes = tuple(sorted({names.index(name) for name in model.main_effects} | {mode}))
    vectors = [
        np.array(model.main_effects.get(name, np.zeros(size)), dtype=float)
        for name, size in zip(names, model.shape, strict=True)
    ]
    if model.loss.model_domain.low >= 0:  # as in a fit, nobody's effects are negative
        for k in set(modes) - {mode}:
            anchor += float(vectors[k].min())
            vectors[k] -= vectors[k].min()
    vectors[mode] = np.full(n, anchor)
    return MainEffects(modes, model.rank), vectors, anchor


def with_rows(
    model: M, mode: int, rows: FloatArray, main_effects: FloatArray | None = None, labels: Array | None = None
) -> M:
    """Return the model of other positions of a mode.

    Parameters
    ----------
    model : Model
    mode : int
    rows : ndarray, shape (n, R)
        Like those of its factor.
    main_effects : ndarray, shape (n,), optional
        Their main effects, where the mode has any.
    labels : array_like, shape (n,), optional
        Their coordinates; by default they are counted.

    Raises
    ------
    ParameterError
        A loss with a parameter for each of the positions that the model has.
    """
    check_parameters(model, mode)
    factors, coords, name = list(model.factors), list(model.labels.coords), model.labels.names[mode]
    factors[mode], coords[mode] = rows, labels
    effects = model.main_effects if main_effects is None else model.main_effects | {name: main_effects}
    return replace(
        model,
        factors=factors,
        fitted_factors=[],  # those of other positions
        row_bounds=[],
        main_effects=effects,
        unknown={other: at for other, at in model.unknown.items() if other != name},
        labels=replace(model.labels, coords=tuple(coords)),
    )


def check_parameters(model: Model, mode: int) -> None:
    """Raise `ParameterError` if positions of a mode have parameters of the loss, which new ones lack."""
    if model.loss.by is None or model.labels.number(model.loss.by) != mode:
        return
    if model.loss.kinds:
        raise ParameterError(
            f"Each position of {model.loss.by!r} has a loss of its own, and new positions have none: new rows can be "
            "had of other modes."
        )
    raise ParameterError(
        f"The loss has one {model.loss.parameter_by} for each position of {model.loss.by!r}, and new positions "
        "have none: transform another mode, or fit without by=..."
    )


def _by_design(
    model: Model,
    mode: int,
    is_labelled: bool,
    found: Array,
    gaps: dict[str, Array],
    bounds: Any,
) -> NewRows:
    """Return rows of new positions of a mode whose design says what they are: their labels (n,) decide."""
    name = model.labels.names[mode]
    if bounds is not None:
        raise ParameterError(
            f"transform: the rows of {name!r} are those of its design, so that bounds do nothing."
        )
    if not is_labelled:
        raise ParameterError(
            f"transform: the mode {name!r} has a design, which tells new positions by their labels, but the new data "
            "have none. Label them (from_frame, xarray, modes with coordinates), or use predict_at."
        )
    return NewRows(rows_of_labels(model, mode, found), None, name, found, gaps)


def _limits(
    model: Model,
    effects: MainEffects | None,
    mode: int,
    held: float | None,
    size: FloatArray,
    bounds: tuple[float | None, float | None] | None,
) -> tuple[FloatArray, FloatArray]:
    """Return bounds of a row, shapes (1, R + effects), in the units of the fit.

    Other modes' effects stay at 1, the own one at `held` if that is given.
    """
    loss = model.loss
    is_bounded = loss.nonnegative.any() if isinstance(loss, SeveralLosses) else loss.model_domain.low >= 0
    floor = 0.0 if is_bounded else -np.inf
    if bounds is None and model.row_bounds:
        low, high = limits_of_fit(model, mode)
    else:
        sides = pair_of_bounds((None, None) if bounds is None else bounds, floor)
        low, high = (np.full(model.rank, side) for side in sides)
    by, is_off = np.where(size != 0, size, 1.0), (size == 0) | (model.weights == 0)
    low, high = np.where(by > 0, low, high) * by, np.where(by > 0, high, low) * by
    low[is_off] = high[is_off] = 0.0  # components that are switched off
    if effects is None:
        return low[None], high[None]
    lows, highs = np.ones(len(effects.modes)), np.ones(len(effects.modes))
    k = effects.modes.index(mode)
    lows[k], highs[k] = (floor, np.inf) if held is None else (held, held)
    return np.append(low, lows)[None], np.append(high, highs)[None]


def fitted_sizes(model: Model) -> list[FloatArray]:
    """Return, for each mode, what its unit columns are multiplied by in the fitted factor, shapes (R,).

    Columns of models whose fitted factors are not known, or belong to other weights, have equal sizes in all modes.
    """
    n_modes, weights = len(model.factors), model.weights.astype(float)
    if model.fitted_factors:
        pairs = zip(model.fitted_factors, model.factors, strict=True)
        sizes = [np.sum(np.asarray(a, dtype=float) * b, axis=0) for a, b in pairs]
        if np.allclose(np.prod(sizes, axis=0), weights, rtol=1e-3, atol=0.0):
            return sizes
    return [weights ** (1 / n_modes)] * n_modes


def limits_of_fit(model: Model, mode: int) -> tuple[FloatArray, FloatArray]:
    """Return the fit's bounds (R,) for rows of `factors`, whose columns are the fitted ones divided by a number."""
    fitted, unit = (np.asarray(a[mode], dtype=float) for a in (model.fitted_factors, model.factors))
    scale = np.sum(fitted * unit, axis=0)
    by = np.where(scale != 0, scale, 1.0)
    sides = model.row_bounds[mode] / by
    return sides.min(axis=0), sides.max(axis=0)


def pair_of_bounds(bounds: Any, floor: float) -> tuple[float, float]:
    """Return the checked pair (lower, upper), the lower one not below what the loss admits."""
    given = checks.items("bounds", bounds, "a pair (lower, upper)")
    found = [None if side is None else checks.floats("bounds", side) for side in given]
    if len(found) != 2 or any(side is not None and (side.ndim or np.isnan(side)) for side in found):
        raise ParameterError(
            f"bounds must be a pair (lower, upper) of numbers or None: found {checks.show(bounds)}."
        )
    low, high = (
        other if side is None else float(side) for side, other in zip(found, (floor, np.inf), strict=True)
    )
    if low > high:
        raise ParameterError(f"bounds: lower {low:g} is above upper {high:g}.")
    if low < floor:
        raise ParameterError(
            f"bounds: lower {low:g}, but the loss needs a model >= 0, which nonnegative rows guarantee."
        )
    return low, high


def in_standard_form(model: Model, tensor: ObservedTensor | SparseTensor) -> tuple[Any, Loss]:
    """Return the new data as one loss has them, and that loss."""
    if model.loss.kinds:
        return exposed(tensor, model.loss), model.loss_at(tensor.subs)
    return standardised(exposed(tensor, model.loss), model.numbered_loss)


def _method(
    objective: EntrywiseObjective | SumObjective, rows: OwnRows
) -> Callable[[list[FloatArray], FloatArray, FloatArray], None]:
    """Return what minimises in place the rows of a mode, of factors (I_n, R), within bounds (1, R)."""
    if isinstance(objective, SumObjective):
        return partial(_minimize_sum, rows)
    return partial(_minimize, replace(objective.row_wise(), penalties=rows.penalties), rows.mode)


def _minimize_sum(rows: OwnRows, factors: list[FloatArray], low: FloatArray, high: FloatArray) -> None:
    """Take damped Newton steps for all rows of the mode's factor (n, R) in place, until none lowers its objective."""
    if not np.isfinite(rows.values(factors)).all():
        raise FitError(NOT_FINITE)
    if not minimize_rows(RowsBeside(rows, factors), factors[rows.mode], low, high, STEPS, TOL):
        warnings.warn(NOT_CONVERGED, ConvergenceWarning, stacklevel=4)


def _minimize(
    problem: RowWise, mode: int, factors: list[FloatArray], low: FloatArray, high: FloatArray
) -> None:
    """Take Newton steps for all rows of `factors[mode]` (n, R) in place, until none lowers the objective."""
    value = np.inf
    for _ in range(STEPS):
        before, value = value, problem.update(mode, factors, low, high, 1.0)[0]
        if not np.isfinite(value):
            raise FitError(NOT_FINITE)
        if before - value <= TOL * abs(value):
            return
    warnings.warn(NOT_CONVERGED, ConvergenceWarning, stacklevel=4)
