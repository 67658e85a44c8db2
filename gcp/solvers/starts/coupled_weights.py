"""Weights of coupled tensors: 1 / the scale of the dispersion that each one's data have about the model.

A tensor's deviance is expected to be its cells less the parameters that they use up, times the dispersion. Rows of
a shared factor are used up by all tensors together, by each as much as it tells of them. Where a model can repeat a
whole tensor its likelihood would have no end as the dispersion goes to 0; the parameters that it uses up keep it
from that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.known_cells import KnownCells, known_parts
from gcp.objectives.model import Model

LIMIT, _LIMIT_OF_MANY_CELLS = 100.0, 1e6
"""How many times smaller a dispersion may be than that of the data about their mean: of tensors that the model could
repeat, and of others."""

_FINE = 0.05
"""Distance from the dispersion that suits, in standard errors, at which a search ends."""

_LEAST_LEFT = 0.02
"""Least part of a tensor's cells that its parameters may leave, for the rest to tell a dispersion."""

_LEAST_SLOPE = 0.2
_LEAST_RIDGE = 1e-10


class ChosenWeights:
    """The search for the weights that a fit chooses, round by round: a secant step for the logarithm of each.

    Parameters
    ----------
    problem : CoupledProblem
    """

    def __init__(self, problem: CoupledProblem) -> None:
        self.names = problem.chosen
        first = problem.first_weights()
        self.first = np.log([first[name] for name in self.names])
        self.most = self.first + np.log([_limit(problem, name) for name in self.names])
        self.seen: tuple[FloatArray, FloatArray] | None = None
        self.steps = np.zeros(len(self.names))
        self.is_told = np.ones(len(self.names), bool)

    def is_settled(self, problem: CoupledProblem, factors: Factors, models: Mapping[str, Model]) -> bool:
        """Return whether the deviances of all tensors are as expected at their weights, or these at their limit.

        `factors` are of shapes (I_n, R), `models` those of the tensors.
        """
        if not self.names:
            return True
        at = np.log([problem.weights[name] for name in self.names])
        gaps, cells = self._gaps(problem, factors, models, at)
        slopes = np.full(len(at), -1.0)
        if self.seen is not None:
            moved = at - self.seen[0]
            with np.errstate(divide="ignore", invalid="ignore"):
                slopes = np.where(np.abs(moved) > 1e-9, (gaps - self.seen[1]) / moved, -1.0)
        self.seen = at, gaps
        self.steps = np.clip(gaps / -np.clip(slopes, -2.0, -_LEAST_SLOPE), -3.0, 3.0)
        aims = self._within(at + self.steps)
        far = np.abs(gaps) * np.sqrt(np.maximum(cells, 1.0) / 2)
        return bool(np.all((far <= _FINE) | (np.abs(aims - at) < 1e-6)))

    def next(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Return the weights of the next round."""
        if self.seen is None:
            return dict(weights)
        found = np.exp(self._within(self.seen[0] + self.steps))
        return dict(weights) | dict(zip(self.names, found.tolist(), strict=True))

    def notes(self, weights: Mapping[str, float]) -> str:
        """Return what is to be said of weights, in parts of sentences; empty if nothing is."""
        at = np.array([math.log(weights[name]) for name in self.names])
        ends = [name for name, is_end in zip(self.names, at > self.most - 1e-3, strict=True) if is_end]
        untold = [name for name, told in zip(self.names, self.is_told, strict=True) if not told]
        found = []
        if ends:
            found.append(
                f"the model repeats {' and '.join(ends)} nearly exactly, whose weight is at its limit; fewer "
                "components, or weights, if that is not meant"
            )
        if untold:
            found.append(
                f"{' and '.join(untold)} has too few cells to tell its dispersion beside so many components: its "
                "weight is that of its variance"
            )
        return "; ".join(found)

    def _within(self, logs: FloatArray) -> FloatArray:
        return np.clip(logs, self.first - math.log(LIMIT), self.most)

    def _gaps(
        self, problem: CoupledProblem, factors: Factors, models: Mapping[str, Model], at: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return how far the logarithms (k,) of the weights that would suit lie, and numbers of cells."""
        used = _used(problem, models)
        gaps, cells = np.zeros((2, len(self.names)))
        order = list(problem.loss.by_name)
        for k, name in enumerate(self.names):
            part = problem.objective.summands[order.index(name)]
            cells[k] = part.objective.survey.total_weight
            left = cells[k] - used[name]
            self.is_told[k] = left > _LEAST_LEFT * cells[k]
            if self.is_told[k]:
                value, _ = part.objective.value_and_grad(part.own(factors))
                mean = problem.mean_deviance(name, value, left)
                gaps[k] = math.log(problem.weight_of(name, mean)) - at[k] if mean > 0 else math.inf
        return np.minimum(gaps, 50.0), cells


def _limit(problem: CoupledProblem, name: str) -> float:
    """Return how many times the first weight a tensor's may be: less where the model could repeat the tensor."""
    part = problem.plain.summands[list(problem.loss.by_name).index(name)]
    shape = part.objective.tensor.shape
    could = problem.rank * (sum(shape) - len(shape) + 1) >= part.objective.survey.total_weight
    return LIMIT if could else _LIMIT_OF_MANY_CELLS


def information_of_all(
    problem: CoupledProblem, models: Mapping[str, Model]
) -> tuple[dict[str, list[FloatArray]], list[FloatArray]]:
    """Return what each tensor tells of the rows of its fitted factors, and what all tell of all, (I_n, R, R)."""
    tensors, rank = problem.tensor, problem.rank
    fixed = problem.parametrisation.fixed
    told = {
        name: _information(problem, name, models[name], [n not in fixed for n in tensors.modes[name]])
        for name in models
    }
    totals = [np.zeros((size, rank, rank)) for size in tensors.shape]
    for name, own in told.items():
        for n, k, part in zip(tensors.modes[name], tensors.positions[name], own, strict=True):
            totals[n][slice(None) if k is None else k] += part
    return told, totals


def _used(problem: CoupledProblem, models: Mapping[str, Model]) -> dict[str, float]:
    """Return how many parameters the cells of each tensor use up, row by row of every mode, others as they are."""
    tensors = problem.tensor
    told, totals = information_of_all(problem, models)
    inverses = [_inverse(total) for total in totals]
    free = [n for n in range(len(tensors.shape)) if n not in problem.parametrisation.fixed]
    size = sum(tensors.shape[n] for n in free)
    share = max(size - tensors.n_scales(), 0) / max(size, 1)  # norms that no model sees are no parameters
    return {
        name: _of_effects(models[name])
        + share
        * sum(
            float(np.sum(inverses[n][slice(None) if k is None else k] * part))
            for n, k, part in zip(tensors.modes[name], tensors.positions[name], own, strict=True)
        )
        for name, own in told.items()
    }


def _of_effects(model: Model) -> int:
    """Return how many parameters the main effects of a tensor have: means are one, the intercept."""
    vectors = model.main_effects.values()
    return sum(len(vector) - 1 for vector in vectors) + bool(model.main_effects)


def _information(problem: CoupledProblem, name: str, model: Model, is_free: list[bool]) -> list[FloatArray]:
    """Return what a tensor tells of every row of its modes' factors, shapes (I_n, R, R), 0 where they are fixed.

    Factors are those of the problem, whose columns have norms of their own.
    """
    whole = list(model.fitted_factors)
    found = [np.zeros((len(a), model.rank, model.rank)) for a in whole]
    for cells in known_parts(model, problem.tensor.tensors[name]):
        bends = problem.weights[name] * _curvature(model, cells)
        for mode, total in enumerate(found):
            if not is_free[mode]:
                continue
            z = np.ones((len(cells.x), model.rank))
            for k, a in enumerate(whole):
                if k != mode:
                    z *= a[cells.subs[:, k]]
            rows = cells.subs[:, mode]
            z *= whole[mode][rows] != 0  # entries at a bound of 0 are none
            for r in range(model.rank):
                for s in range(r + 1):
                    total[:, r, s] += np.bincount(rows, bends * z[:, r] * z[:, s], len(total))
                    total[:, s, r] = total[:, r, s]
    return found


def _curvature(model: Model, cells: KnownCells) -> FloatArray:
    """Return the weighted expected curvatures of cells (n,) in the model."""
    with np.errstate(all="ignore"):
        found = cells.w * model.loss_at(cells.subs).fisher(cells.m)
    if cells.scale is not None:
        found = found * cells.scale**2
    return np.where(np.isfinite(found), found, 0.0)


def _inverse(information: FloatArray) -> FloatArray:
    """Return the inverses of matrices (I, R, R), regularised where nothing is told."""
    found, k = information.copy(), np.arange(information.shape[1])
    least = _LEAST_RIDGE * found[:, k, k].max(axis=1, initial=0.0) + np.finfo(float).tiny
    found[:, k, k] += np.where(found[:, k, k] > 0, least[:, None], 1.0)
    return np.linalg.inv(found)
