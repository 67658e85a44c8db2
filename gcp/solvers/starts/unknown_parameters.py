"""Parameters of a loss that a fit is to estimate, as one vector, and the likelihood of data in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize_scalar

from gcp.base import threads
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.estimable import Marginal
from gcp.losses.gaussian import Gaussian
from gcp.losses.own_dispersion import FreeDispersion
from gcp.losses.several import SeveralLosses
from gcp.objectives.build import build_objective
from gcp.objectives.evaluation import evaluate
from gcp.objectives.known_cells import KnownCells, blocks, check_number, known_cells
from gcp.objectives.model import Model
from gcp.objectives.problem import Problem
from gcp.objectives.survey import survey
from gcp.tensors.base import Block, TensorData
from gcp.tensors.kinds import stored

_MOST_DATA = 1 << 20
"""Data, at most, that are shown to losses which look for values to begin with."""

_LADDER = 0.0, 0.15, 0.35, 0.6, 1.0
"""Where a likelihood is looked at on the way to a limit, in the way."""

_ROUNDING = 1e-9
"""Change of a likelihood, in it, that may be rounding."""

_STEP, _BEND_STEP = 1e-3, 1e-2
"""Steps, of free numbers, of differences that stand for first and second derivatives."""


@dataclass(frozen=True)
class UnknownParameters:
    """The parameters that a fit is to estimate.

    Attributes
    ----------
    loss : Loss
        As it was asked for: they are "estimate".
    mode : int or None
        The mode with a number for each position, if there is any.
    n_positions : int
    tensor : TensorData
    held : ndarray of bool, shape (n_positions,), or None
        Positions whose dispersion has no likeliest value, since a model could repeat them; see `RepeatablePositions`.
    """

    loss: Loss
    mode: int | None
    n_positions: int
    tensor: TensorData
    held: Array | None = None

    @classmethod
    def of(cls, problem: Problem) -> Self:
        """Return those of a problem."""
        loss = problem.loss
        if loss.by is None or loss.parameter_by not in loss.unknowns:
            return cls(loss, None, 1, problem.tensor)
        mode = problem.labels.number(loss.by)
        held = _held(loss, mode, problem)
        return cls(loss, mode, problem.tensor.shape[mode], problem.tensor, held)

    def is_by_position(self, name: str) -> bool:
        """Return whether a parameter is one number for each position of the mode."""
        return self.mode is not None and name == self.loss.parameter_by

    def starting(self, like: Loss | None = None) -> Loss:
        """Return the loss with values to begin with, those of a loss of the same kind or what data suggest."""
        is_same = (
            type(like) is type(self.loss) and like.by == self.loss.by and _types(like) == _types(self.loss)
        )
        if like is not None and is_same and not like.unknowns:
            return replace(self.loss, **{name: getattr(like, name) for name in self.loss.unknowns})  # type: ignore[type-var]
        return self.suggested

    @cached_property
    def suggested(self) -> Loss:
        """The loss with the values that data suggest; those of all data where a position's do not vary."""
        whole = _marginal(self.tensor)
        values = dict(self.loss.starting(whole))
        if self.mode is not None:
            name = self.loss.parameter_by
            each = (self._varying(own, whole) for own in self._marginals())
            values[name] = tuple(self._starting_at(k, own) for k, own in enumerate(each))
        found = replace(self.loss, **{name: values[name] for name in self.loss.unknowns})  # type: ignore[type-var]
        return self.with_free(found, self.free(found))

    def _varying(self, own: Marginal, whole: Marginal) -> Marginal:
        """Return what the data of a position are like; those of all, of one loss, where its own do not vary."""
        if own.variance > 0:
            return own
        return own._replace(variance=own.mean**2 or 1.0) if self.loss.kinds else whole

    def _starting_at(self, position: int, own: Marginal) -> float:
        """Return the value that the data of a position suggest for its parameter; 1 where it has none."""
        kind = self.loss.kind_at(position)
        return 1.0 if kind is None else float(kind.starting(own)[kind.parameter_by])

    @cached_property
    def with_data(self) -> Array:
        """A mask (I_mode,) of positions of which there are data."""
        if self.mode is None:
            return np.ones(1, bool)
        return np.asarray(self.tensor.known_positions()[self.mode])

    def _marginals(self) -> list[Marginal]:
        """Return what the data of each position are like."""
        check_number(self.tensor)
        cells = list(self.tensor.known_cells(_MOST_DATA))
        positions = np.concatenate([own.subs[:, self.mode] for own in cells])
        order = np.argsort(positions, kind="stable")
        ends = np.searchsorted(positions[order], np.arange(1, self.n_positions))
        x, w = (np.concatenate([own[k] for own in cells]).astype(float)[order] for k in (1, 2))
        x = np.where(w > 0, x, 0.0)  # what is not known may be NaN
        return [_moments(*own) for own in zip(np.split(x, ends), np.split(w, ends), strict=True)]

    def free(self, loss: Loss) -> FloatArray:
        """Return the free numbers (P,) of a loss's parameters, one parameter after the other."""
        return np.concatenate([loss.estimable[name].free(getattr(loss, name)) for name in self.loss.unknowns])

    def parts(self, loss: Loss) -> dict[str, slice]:
        """Return the places of each parameter's free numbers among all."""
        found, first = {}, 0
        for name in self.loss.unknowns:
            size = len(loss.estimable[name].free(getattr(loss, name)))
            found[name], first = slice(first, first + size), first + size
        return found

    def limits(self, loss: Loss) -> tuple[FloatArray, FloatArray]:
        """Return the limits (P,) of free numbers."""
        scales = {name: loss.estimable[name] for name in self.loss.unknowns}
        sides = [s.limits_about(s.free(getattr(self.suggested, name))) for name, s in scales.items()]
        low, high = zip(*sides, strict=True)
        return np.concatenate(low), np.concatenate(high)

    def with_free(self, loss: Loss, free: FloatArray) -> Loss:
        """Return a loss with the parameters of other free numbers (P,); a position without data has the median."""
        values = {}
        for name, part in self.parts(loss).items():
            own = free[part]
            if self.is_by_position(name) and not self.loss.kinds:  # whose numbers would be of several kinds
                own = np.where(self.with_data, own, np.median(own[self.with_data]))
            value = loss.estimable[name].given(own)
            values[name] = (value,) if self.is_by_position(name) and len(own) == 1 else value
        return replace(loss, **values)  # type: ignore[type-var]

    def likelihood(self, model: Model) -> ParameterLikelihood:
        """Return the likelihood of these parameters beside a model that was fitted under some values of them."""
        return ParameterLikelihood(self, model, self.tensor)


@dataclass(frozen=True)
class ParameterLikelihood:
    """Minus the log-likelihood of data as a function of free numbers of parameters, beside a fitted model.

    Attributes
    ----------
    unknowns : UnknownParameters
    model : Model
        Its loss has the parameters that it was fitted under.
    tensor : TensorData
    """

    unknowns: UnknownParameters
    model: Model
    tensor: TensorData

    @cached_property
    def at(self) -> FloatArray:
        """The free numbers (P,) of the model's loss."""
        return self.unknowns.free(self.model.loss)

    @cached_property
    def slope(self) -> FloatArray:
        """Derivatives (P,), the model's entries as they are: those of the profile likelihood.

        Those of numbers for all cells are differences of sums over all cells, zeros too; those of positions look at
        the cells one by one.
        """
        low, high = self._along((-_STEP, _STEP), self._total, keeps_means=False)
        return self._unless_held((high - low) / (2 * _STEP))

    @cached_property
    def curvature(self) -> FloatArray:
        """Second derivatives (P,), each by itself; the expectations as they are, where a model can keep them."""
        steps = (-_BEND_STEP, 0.0, _BEND_STEP)
        low, here, high = self._along(steps, self._sampled, keeps_means=self.keeps_means)
        return self._unless_held((low - 2 * here + high) / _BEND_STEP**2)

    def _unless_held(self, derivatives: FloatArray) -> FloatArray:
        """Return derivatives (P,), 0 where the likelihood does not decide."""
        held = self.unknowns.held
        return derivatives if held is None else np.where(held, 0.0, derivatives)

    def gains_towards(self, ends: FloatArray) -> FloatArray:
        """Return how much likelier (P,) numbers are at some ends (P,), expectations as they are.

        It is NaN where the likelihood does not rise all the way, and of numbers that are not of positions. Where it
        rises, less and less tells them apart: a negative binomial is a Poisson distribution at any large r.
        """
        reach, found = ends - self.at, np.full(len(self.at), np.nan)
        for name, part in self.unknowns.parts(self.model.loss).items():
            if self.unknowns.is_by_position(name) and self._may_go:
                steps = [share * reach[part] for share in _LADDER]
                values = np.array([self._by_position(part, step, keeps_means=True) for step in steps])
                rises = (np.diff(values, axis=0) <= _ROUNDING * np.abs(values[0])).all(axis=0)
                found[part] = np.where(rises, np.maximum(values[0] - values[-1], 0.0), np.nan)
        return found

    @property
    def keeps_means(self) -> bool:
        """Whether a change of parameters by position can be made up for by the rows of the mode's factor."""
        model = self.model
        return self._mode_is_free and model.loss.model_domain.low >= 0 and not model.main_effects

    @property
    def _mode_is_free(self) -> bool:
        problem, mode = self.model.problem, self.unknowns.mode
        tied = [n for group in problem.tied_modes for n in group]
        return mode is not None and mode not in (*problem.fixed_modes, *tied)

    @property
    def _may_go(self) -> bool:
        """Whether expectations stay, or may well do so, while a number goes to its limit."""
        is_real = self._mode_is_free and self.model.loss.model_domain.low < 0
        return self.keeps_means or is_real or not self.model.loss.position_moves_mean

    def likeliest(self, *, holds_means: bool = False) -> float:
        """Return the likeliest free number of one parameter if the model's entries stay as they are, or the means."""
        (low,), (high,) = self.unknowns.limits(self.model.loss)
        cells, loss = self._cells, self.model.loss
        mean = self._at_cells(loss, cells).mean(cells.m) if holds_means else None

        def minus(free: float) -> float:
            other = self._at_cells(self.unknowns.with_free(loss, np.array([free])), cells)
            m = cells.m if mean is None else other.link(mean)
            return -float(cells.w @ other.log_likelihood(cells.x, m, self._dispersion))

        with threads.single_threaded_blas():  # many short products
            found = minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
        return float(found.x)

    # --- sums -----------------------------------------------------------------------------------------------------

    @cached_property
    def _cells(self) -> KnownCells:
        return known_cells(self.model, stored(self.tensor))

    @cached_property
    def _dispersion(self) -> float | None:
        """The likeliest dispersion under the model's parameters; None of losses without any."""
        cells = self._cells
        return self._at_cells(self.model.loss, cells).estimate_dispersion(cells.x, cells.m, cells.w)

    def _along(
        self, steps: Sequence[float], of_all: Callable[[Loss], float], *, keeps_means: bool
    ) -> FloatArray:
        """Return minus the log-likelihoods (steps, P) of single free numbers moved by steps.

        Of numbers by position, those of the position's cells; of others, what a function of the loss says.
        """
        found = np.zeros((len(steps), len(self.at)))
        for name, part in self.unknowns.parts(self.model.loss).items():
            for row, step in zip(found, steps, strict=True):
                if self.unknowns.is_by_position(name):
                    row[part] = self._by_position(part, step, keeps_means)
                else:
                    row[part] = [of_all(self._moved([k], step)) for k in range(part.start, part.stop)]
        return found

    def _moved(self, places: Any, step: float | FloatArray) -> Loss:
        """Return the loss at free numbers of which some are moved by a step."""
        free = self.at.copy()
        free[places] += step
        return self.unknowns.with_free(self.model.loss, free)

    def _total(self, loss: Loss) -> float:
        """Return minus the log-likelihood under other parameters, by passes where sums over all cells can be had."""
        is_exact = build_objective(self.tensor, self.model.loss).is_exact_affordable
        if loss.by is not None or loss.dispersion_from(1.0) is not None or not is_exact:
            return self._sampled(loss)
        total = evaluate(replace(self.model, loss=loss), self.tensor).value
        for block in self.tensor.blocks():
            terms = loss.log_normalizer(block.x)
            total += float(np.sum(terms if block.weights is None else terms * block.weights))
        return total

    def _sampled(self, loss: Loss) -> float:
        """Return minus the log-likelihood under other parameters, cell by cell; many zeros are a sample."""
        cells = self._cells
        own = self._at_cells(loss, cells)
        return -float(cells.w @ own.log_likelihood(cells.x, cells.m, self._dispersion))

    def _at_cells(self, loss: Loss, cells: KnownCells) -> Loss:
        """Return a loss as it is at some cells."""
        return replace(self.model, loss=loss).loss_at(cells.subs)

    def _by_position(self, part: slice, step: float | FloatArray, keeps_means: bool) -> FloatArray:
        """Return minus the log-likelihoods of the positions (I_mode,), all moved by a step, or each by its own."""
        loss, mode = self._moved(part, step), self.unknowns.mode
        assert mode is not None
        total = np.zeros(self.unknowns.n_positions)
        for cells in blocks(self.model, stored(self.tensor)):
            own, m = self._at_cells(loss, cells), cells.m
            if keeps_means:
                m = own.link(self._at_cells(self.model.loss, cells).mean(m))
            terms = cells.w * own.log_likelihood(cells.x, m)
            total -= np.bincount(cells.subs[:, mode], terms, len(total))
        return total


def _held(loss: Loss, mode: int, problem: Problem) -> Array | None:
    """Return which dispersions of several losses have no likeliest value; None if none does.

    They have none where the model could repeat every slice, as that of a matrix can repeat a column: then the
    likelihood has no end where a dispersion goes to 0, and that variable would decide about everything.
    """
    if not isinstance(loss, SeveralLosses):
        return None
    others = [size for n, size in enumerate(problem.tensor.shape) if n != mode]
    if problem.rank * (sum(others) - len(others) + 1) < math.prod(others):
        return None
    return np.array([isinstance(loss.kind_at(k), FreeDispersion) for k in range(len(loss.losses))])


def _types(loss: Loss | None) -> list[type[Loss]]:
    """Return the classes of several losses, one for each position; none of a single one."""
    return [type(one) for one in loss.losses] if isinstance(loss, SeveralLosses) else []


def _marginal(tensor: TensorData) -> Marginal:
    """Return what data are like without a model."""
    facts = survey(tensor, Gaussian())  # whose data may be any
    blocks = list(tensor.blocks())
    every = max(1, sum(len(block.x) for block in blocks) // _MOST_DATA)
    x = np.concatenate([block.x[::every] for block in blocks])
    w = np.concatenate([_thinned_weights(block, every) for block in blocks])
    return Marginal(facts.mean, facts.std**2, x, w)


def _moments(x: FloatArray, w: FloatArray) -> Marginal:
    """Return the facts about some data (n,) of weights (n,)."""
    total = max(float(w.sum()), np.finfo(float).tiny)
    mean = float(w @ x) / total
    return Marginal(mean, float(w @ (x - mean) ** 2) / total, x, w)


def _thinned_weights(block: Block, every: int) -> FloatArray:
    """Return weights (n,) of some data of a block, which stand for all of them."""
    w = np.ones(len(block.x)) if block.weights is None else block.weights
    return w[::every] * (len(w) / len(w[::every]))
