"""New positions of a mode, and the other modes' rows refreshed by what they say and by what is remembered."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gcp.base import threads
from gcp.base.errors import FitError, ParameterError
from gcp.base.labels import appended
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.build import build_objective
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.grown_model import GrownModel, grown, replace_coords
from gcp.objectives.known_cells import check_units
from gcp.objectives.listed_data import MOST_CELLS, complete, in_order
from gcp.objectives.memory import Memory
from gcp.objectives.model import Model, normalize
from gcp.objectives.penalties.base import Penalty
from gcp.objectives.penalties.total import Penalties
from gcp.objectives.refit_rows import fitted_sizes, transform
from gcp.objectives.survey import Survey
from gcp.objectives.views.row_wise import RowWise
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of
from gcp.tensors.kinds import Tensor


@dataclass(frozen=True)
class RowPenalties(Penalties):
    """What penalties say of rows of any mode beside a fitted model, as of new positions.

    Attributes
    ----------
    fitted : sequence of ndarray, shapes (I_n, R)
    modes : tuple of int
        Whose rows count.
    """

    fitted: Factors = ()
    modes: tuple[int, ...] = ()

    def value(self, factors: Factors) -> float:
        """Return what the rows of all these modes cost, of factors (I_n, R)."""
        if not self.of_components:
            return 0.0
        parts = (self.of_new_rows(n, self.fitted, factors[n]) for n in self.modes)
        return sum(float(part.values.sum()) for part in parts)

    def of_rows(self, mode: int, factors: Factors) -> tuple[FloatArray, FloatArray]:
        """Return strengths and centres, shapes (1 or I_mode, R)."""
        _, strengths, centres = self.of_new_rows(mode, self.fitted, factors[mode])
        return strengths, centres


@dataclass(frozen=True, eq=False)
class Update:
    """A model with new positions.

    Attributes
    ----------
    model : Model
    memory : Memory
        Of all data so far.
    objective : EntrywiseObjective
        Of the new data, without penalties.
    factors : list of ndarray, shapes (I_n, R)
        Of the new positions and all positions of other modes, at which the objective is to be looked at.
    penalty : float
        Of the whole model.
    trace : dict of str to ndarray, shapes (points,)
        Seconds, and the objective with penalties and memory, at the start and after each sweep.
    converged : bool
    n_new : dict of str to int
        How many positions are new, by the mode's name.
    lacking : dict of str to ndarray
        Labels of the model that the new data lack, by the mode's name: there they count as missing.
    """

    model: Model
    memory: Memory
    objective: EntrywiseObjective
    factors: list[FloatArray]
    penalty: float
    trace: dict[str, FloatArray]
    converged: bool
    n_new: dict[str, int]
    lacking: dict[str, Array]


def update(
    model: Model,
    tensor: Tensor,
    mode: int,
    memory: Memory,
    *,
    half_life: float | None = None,
    window: int | None = None,
    n_iter_max: int = 100,
    tol: float = 1e-5,
    unlisted: str | None = None,
    n_threads: int | None = None,
) -> Update:
    """Return the model with the new positions of a mode in a tensor; see `FitResult.update`."""
    began = time.perf_counter()
    check_units(model, tensor)
    room = grown(model, tensor, mode, fitted_sizes(model))
    tensor = complete(room.model, tensor, mode, unlisted)
    new = transform(room.model, tensor, mode, penalties=model.problem.penalties, n_threads=n_threads)
    factors = [a.copy() for a in room.factors]  # sweeps write into them
    old, factors[mode] = factors[mode], new.rows * np.linalg.norm(factors[mode], axis=0)
    listed, _ = in_order(room.model, tensor, (mode,))
    objective = build_objective(listed, model.numbered_loss, n_threads=n_threads)
    assert isinstance(objective, EntrywiseObjective)  # several losses are refused
    memory = memory.extended({n: factors[n][len(factors[n]) - k :] for n, k in enumerate(room.n_new) if k})
    memory = memory.fading(len(factors[mode]), half_life, window)
    modes = refreshed_modes(model, mode)
    fitted = list(room.factors)
    fitted[mode] = np.concatenate([old, factors[mode]])
    penalties = RowPenalties(model.problem.penalties.of_components, fitted=fitted, modes=(*modes, mode))
    problem = replace(objective.row_wise(), penalties=penalties, remembered=memory.total())
    stop = tol * (objective.null_value - objective.saturated_value)
    with threads.single_threaded_blas():
        trace, converged = _sweep(
            problem, (*modes, mode), factors, _limits(room.model), (n_iter_max, stop), began
        )
        portion = {n: problem.expansion(n, factors) for n in modes}
    grown_rows = np.concatenate([old, factors[mode]])
    memory = memory.about(factors).with_portion(len(factors[mode]), portion, window)
    return Update(
        _model(model, room, old, factors, listed.known_positions()),
        replace(memory, mode=model.labels.names[mode]),
        objective,
        factors,
        Penalties(penalties.of_components).value([*factors[:mode], grown_rows, *factors[mode + 1 :]]),
        trace,
        converged,
        {name: k for name, k in zip(model.labels.names, room.n_new, strict=True) if k},
        new.lacking,
    )


def remembered(model: Model, history: Tensor, mode: int, n_threads: int | None) -> Memory:
    """Return what there is to remember of data that a model was fitted to, or of the part that it is to remember.

    Parameters
    ----------
    model : Model
    history : DenseTensor, SparseTensor or ObservedTensor
        Positions of the mode that grows may be fewer than the model's, if they have labels.
    mode : int
        The mode that grows.
    n_threads : int or None
    """
    check_units(model, history)
    listed, order = in_order(model, history, what="the history")
    there = order.positions[mode]
    count = model.shape[mode] if there is None else int((there >= 0).sum())
    objective = build_objective(listed, model.numbered_loss, n_threads=n_threads)
    return _expanded(model, objective.row_wise(), mode, count)


def remembered_by_model(model: Model, mode: int, n_threads: int | None) -> Memory:
    """Return what there is to remember if all cells were what the model expects them to be.

    They tell as much of the rows as data do on the average: the curvature of their loss is Fisher's information.

    Raises
    ------
    ParameterError
        Too many cells.
    """
    if (n_cells := cells_of(model.shape)) > MOST_CELLS:
        raise ParameterError(
            f"update: nothing is remembered of the fit yet, whose {n_cells:,} cells are too many to take their "
            f"expectations (at most {MOST_CELLS:,}): give history=, the data of the fit or the latest part of them."
        )
    cells = DenseTensor(np.asarray(model.predict(), dtype=float))
    facts = Survey(
        float(n_cells), 0.0, 0.0, 0.0, 0.0, 0.0
    )  # what rows do not ask for: means need not be data
    objective = EntrywiseObjective(cells, model.loss, facts, Penalties(), threads.resolve(n_threads))
    return _expanded(model, objective.row_wise(), mode, model.shape[mode])


def _expanded(model: Model, problem: RowWise, mode: int, count: int) -> Memory:
    """Return the expansions of a problem about a model, as a memory of so many positions."""
    pairs = zip(model.with_mean_rows().factors, fitted_sizes(model), strict=True)
    factors = [np.asarray(a, dtype=float) * size for a, size in pairs]
    with threads.single_threaded_blas():
        portion = {n: problem.expansion(n, factors) for n in refreshed_modes(model, mode)}
    return Memory(model.labels.names[mode], (count,), (portion,))


def refreshed_modes(model: Model, mode: int) -> tuple[int, ...]:
    """Return the modes whose rows an update by new positions of `mode` moves: the others but those that are fixed."""
    return tuple(n for n in range(len(model.shape)) if n != mode and n not in model.problem.fixed_modes)


def check_updatable(model: Model, mode: int) -> None:
    """Raise `ParameterError` for models whose rows are not free to be refreshed one by one."""
    problem, loss = model.problem, model.loss
    tied = [p for p in problem.penalties.of_components if _ties_rows(p, model)]
    reasons = {
        "a single mode": len(model.shape) < 2,
        "coupled tensors": bool(problem.coupled_with),
        "main effects": bool(model.main_effects),
        "a design": bool(problem.designs),
        "tied modes": bool(problem.tied_modes),
        "several losses": bool(loss.kinds),
        f"one {loss.parameter_by} for each position of {loss.by!r}": loss.by is not None and not loss.kinds,
        f"the penalty {tied[0].name}" if tied else "": bool(tied),
        "a loss whose formula does not compile": loss.by is None and not loss.formula.compiled,
    }
    if found := [reason for reason, is_there in reasons.items() if is_there]:
        raise ParameterError(
            f"update refreshes models row by row: found {' and '.join(found)}. New rows alone are had by transform; "
            "else fit again, from this result: fit_gcp(..., init=result)."
        )


def _ties_rows(penalty: Penalty, model: Model) -> bool:
    """Return whether a penalty says of rows more than a ridge on each, or nothing that is known."""
    factors = model.fitted_factors or model.factors
    own = type(penalty)
    is_said = own.of_new_rows is not Penalty.of_new_rows or own.ridge is not Penalty.ridge
    forms = [penalty.quadratic(n, factors) for n in range(len(factors))]
    return any(not is_said if form is None else form.matrix is not None for form in forms)


def _sweep(
    problem: RowWise,
    modes: Sequence[int],
    factors: list[FloatArray],
    limits: Sequence[tuple[FloatArray, FloatArray]],
    until: tuple[int, float],
    began: float,
) -> tuple[dict[str, FloatArray], bool]:
    """Refresh the rows of all modes but fixed ones, factors (I_n, R), in place, until that lowers the sum by little.

    Returns seconds and the sum, at the end of each sweep, and whether it fell by no more than `until` says.
    """
    seconds: list[float] = []
    values: list[float] = []
    for _ in range(until[0]):
        value = np.nan
        for n in modes:
            value, _ = problem.update(n, factors, limits[n][0], limits[n][1], 1.0)
        if not math.isfinite(value):
            raise FitError("The objective is not finite; the new data may be too far from the model.")
        seconds.append(time.perf_counter() - began)
        values.append(value)
        if len(values) > 1 and values[-2] - value <= until[1]:
            return {"seconds": np.array(seconds), "objective": np.array(values)}, True
    return {"seconds": np.array(seconds), "objective": np.array(values)}, False


def _limits(model: Model) -> list[tuple[FloatArray, FloatArray]]:
    """Return bounds of the rows of the fitted factors of every mode, pairs of shapes (1, R)."""
    if model.row_bounds:
        return [(side[0][None].astype(float), side[1][None].astype(float)) for side in model.row_bounds]
    floor = 0.0 if model.loss.model_domain.low >= 0 else -np.inf
    one = np.full((1, model.rank), floor), np.full((1, model.rank), np.inf)
    return [one] * len(model.shape)


def _model(
    model: Model, room: GrownModel, old: FloatArray, factors: list[FloatArray], known: Sequence[Array]
) -> Model:
    """Return the model of refreshed factors (I_n, R) behind its old rows (I_mode, R) of the mode that grows.

    `known` has masks, in the order of the factors, of positions of which the new data say something.
    """
    names, mode, dtype = model.labels.names, room.mode, model.weights.dtype
    fitted = list(factors)
    fitted[mode] = np.concatenate([old, factors[mode]])
    silent = []
    for n, (name, mask) in enumerate(zip(names, known, strict=True)):
        before = np.zeros(len(fitted[n]), bool)
        before[model.unknown.get(name, [])] = True
        own = mask
        if n == mode:
            own = np.concatenate([~before[: len(old)], mask])
        before[len(old) if n == mode else len(before) - room.n_new[n] :] = True
        silent.append(before & ~model.problem.penalties.determined(n, own, model.rank))
    seen = [np.where(mask[:, None], 0.0, a) for a, mask in zip(fitted, silent, strict=True)]
    weights, unit, _ = normalize(seen, keep_order=True, fix_signs=False)
    coords = list(room.model.labels.coords)
    if (known_labels := coords[mode]) is not None and room.labels is not None:
        coords[mode] = appended(known_labels, room.labels, names[mode])
    return replace(
        model,
        weights=weights.astype(dtype),
        factors=[(a * sign).astype(dtype) for a, sign in zip(unit, room.signs, strict=True)],
        labels=replace_coords(model.labels, coords),
        unknown={name: np.flatnonzero(mask) for name, mask in zip(names, silent, strict=True) if mask.any()},
        fitted_factors=[a.astype(dtype) for a in fitted],
    )
