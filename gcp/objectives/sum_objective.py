"""The sum of the objectives of several losses, each over its own positions of a mode."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.losses.several import SeveralLosses
from gcp.objectives.best_constants import Moments, best_constants, moments_of
from gcp.objectives.features import Feature, check_has
from gcp.objectives.sum_base import SumOfObjectives, sum_of
from gcp.objectives.survey import Survey
from gcp.objectives.views.curvature import GaussNewton, curved_pass

_CHUNK = 1 << 19
_LEAST_ROW = 1e-6
"""Least curvature of a position, relative to that of its best constant: those of others are in other units."""

NO_EFFECTS = (
    "main_effects cannot be had beside several losses, whose models are in as many units: leave them out; one "
    "component more can hold a level for each position."
)


@dataclass(frozen=True)
class SumObjective(SumOfObjectives):
    """F = sum over losses k, over their entries e, of w_e f_k(x_e, m_e), + penalties.

    Attributes
    ----------
    tensor : TensorData
        All data.
    loss : SeveralLosses
        As they are in the scale of the data.
    summands, penalties, n_threads
        See `SumOfObjectives`; the factors of other modes are whole in every summand.
    mode : int
        The mode whose positions have losses of their own.
    """

    loss: SeveralLosses
    mode: int

    what: ClassVar[str] = "Several losses in one tensor"
    no_effects: ClassVar[str] = NO_EFFECTS

    def value_grad_and_curvature(self, factors: Factors) -> tuple[float, list[FloatArray], GaussNewton]:
        """Return value, gradient, shapes (I_n, R), and the Gauss-Newton matrix: curvatures of slices add up."""
        check_has(self, Feature.CURVATURE)
        total, grad = [], [np.zeros(np.shape(a), self.tensor.dtype) for a in factors]
        sums = [np.zeros(size) for size in self.tensor.shape]
        for part in self.summands:
            one, own = part.objective, part.own(factors)
            value, own_grad, _, marginals = curved_pass(one.tensor, one.formula, own, self.n_threads, ())
            total.append(value)
            part.add(grad, own_grad)
            part.add(sums, [np.asarray(s, dtype=float) for s in marginals])
        value = self.penalties.add_to(sum_of(total), grad, factors)
        for n, own_sums in enumerate(sums):
            least = self.typical_curvatures if n == self.mode else float(own_sums.mean())
            sums[n] = np.maximum(own_sums, _LEAST_ROW * least)
        return value, grad, GaussNewton.of(factors, sums, *self.penalties.curvature(factors), least=0.0)

    @property
    def n_cells(self) -> int:
        """Number of cells of the data, known or not."""
        return math.prod(self.tensor.shape)

    # --- the scale of values -----------------------------------------------------------------------------------

    @cached_property
    def moments(self) -> Moments:
        """Moments of the data of each position of the mode."""
        total = Moments(*np.zeros((3, self.tensor.shape[self.mode])))
        for part in self.summands:
            k = part.positions[self.mode]
            for column, own in zip(total, moments_of(part.data, self.mode, self.n_threads), strict=True):
                column[slice(None) if k is None else k] = own
        return total

    @cached_property
    def null_constants(self) -> FloatArray:
        """The best constant model of each position (I_mode,), 0 where nothing is known.

        One for all positions would mean as many expectations as there are losses, and variables in other units have
        other means.
        """
        found = np.zeros(self.tensor.shape[self.mode])
        for part in self.summands:
            k = part.positions[self.mode]
            assert k is not None
            own = Moments(*(column[k] for column in self.moments))
            found[k] = best_constants(part.objective, self.loss, k, own, self.mode)
        return found

    @cached_property
    def typical_curvatures(self) -> FloatArray:
        """The curvature of each position (I_mode,), summed over its cells, at its best constant."""
        at = self.loss.at(np.arange(len(self.null_constants)))
        with np.errstate(all="ignore"):
            found = self.moments.weight * at.fisher(self.null_constants)
        usual = found[np.isfinite(found) & (found > 0)]
        return np.where(np.isfinite(found) & (found > 0), found, usual.min(initial=1.0))

    def squared_slopes(self) -> float:
        """Return the sum over all cells of the squared derivatives of the losses at the best constants."""
        total = 0.0
        for part in self.summands:
            k = part.positions[self.mode]
            assert k is not None
            for cells in part.data.known_cells(_CHUNK):
                at, w = k[cells.subs[:, self.mode]], cells.weights
                with np.errstate(all="ignore"):
                    slopes = np.square(self.loss.at(at).deriv(cells.x, self.null_constants[at]))
                total += float(np.sum(np.where(w > 0, w * slopes, 0.0)))
        return total

    @cached_property
    def null_value(self) -> float:
        """The value of the best constant model of each position, without penalty."""
        ones = [np.ones((size, 1)) for size in self.tensor.shape]
        ones[self.mode] = self.null_constants[:, None]
        return sum_of([part.objective.value_and_grad(part.own(ones))[0] for part in self.summands])

    @cached_property
    def survey(self) -> Survey:
        """Facts about all data together, in whatever units they are."""
        w, x1, x2 = self.moments
        total = float(w.sum())
        every = [part.objective.survey for part in self.summands]
        return Survey(
            total,
            float(w @ x1) / total,
            float(w @ x2) / total,
            self.saturated_value,
            min(one.least for one in every),
            max(one.largest_square for one in every),
        )
