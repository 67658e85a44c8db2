"""Gauss-Newton steps corrected by limited-memory BFGS, in a trust region, within bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from gcp.base.types import Array, Factors, FloatArray, State
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.views.curvature import GaussNewton
from gcp.solvers.base import Method
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.pieces.bfgs_pairs import Pairs
from gcp.solvers.pieces.blocks import Blocks
from gcp.solvers.pieces.exact_quadratic import ExactQuadratic
from gcp.solvers.pieces.packing import Packing
from gcp.solvers.pieces.quadratic import Quadratic
from gcp.solvers.run import CONVERGED, NEAR, Run

_FIRST_DAMPING = 0.1
_LEAST_DAMPING = 1e-8
_LEAST_RAISED = 1e-5
"""Damping, at least, after a rejected step."""

_ACCEPT = 1e-4
"""Least part of the predicted decrease that a step must bring."""

_MARGIN = 0.1
"""Distance that the first iterations keep from finite bounds, in units of the factor's scale."""

_LEAST_MARGIN = 1e-4
_SETTLED = 1e-3
"""A relative decrease in an iteration below which the margin has done its work."""

_SHRINK = 0.7
"""Number by which the margin is multiplied after an iteration of less decrease than that."""

_RAISE = 4.0
"""Number by which the damping is multiplied until a step is short enough."""

_FEW = 150
"""Variables up to which exact second derivatives take over as soon as the objective falls slowly."""

_EXACT_FROM = 1e-3
"""Of n more variables they take over after so many iterations times n (n - _FEW): what the iterations before have
cost is then about what is still to come."""

_DAMPING_OF_EXACT = 1e-3
"""Damping, at most, where exact second derivatives take over."""

_SHRINK_OF_EXACT = 0.1
"""Part of the damping that is left, at least, after an iteration with them."""

_LEAST_OF_EXACT = 1e-15
_LITTLE = 1e-6
_RAISE_OF_EXACT, _RAISE_OF_LITTLE = 10.0, 1e3
"""Numbers by which the damping is multiplied until they have a minimum; little damping is for rounding alone."""

_FIRST_PAIRS = 5
_ITERATIONS_A_PAIR = 8
"""Long fits need many pairs, short ones would only pay for them: one more is kept for every so many iterations."""

_MAX_REJECTED = 15
_LEAP = 3.0
"""Most that an entry of a bounded factor changes in one step, in units of its scale plus its size."""
_GUARD = 0.9
"""Most of its distance to a bound that an entry farther off than `NEAR` goes in one step."""

_NORMAL = float(np.finfo(float).tiny)
"""Least number that has a reciprocal."""


@dataclass(frozen=True)
class PreconditionedLBFGS(Method):
    """Gauss-Newton steps, corrected by limited-memory BFGS, in a trust region.

    Parameters
    ----------
    n_iter_max : int
        Most iterations.
    tol : float
        Stop when the objective fell, per iteration and on average over the last five, by less than `tol` times
        its excess over the saturated model (one free at every entry). In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`) is below this. In float32 at least
        1e-5.
    max_seconds : float or None
        Stop after this time, at the end of an iteration.
    memory : int
        Pairs of steps and gradient changes that correct the Gauss-Newton matrix.

    Notes
    -----
    Each evaluation also yields the sums of the entries' curvatures over the slices of every mode; an outer
    product with these sums gives a Gauss-Newton matrix whose products need no pass over the data. BFGS corrects
    it for what it misses, where the corrections foresaw the last change of the gradient better than it did alone.
    The damped model is minimised within the bounds by conjugate gradients (Levenberg-Marquardt).

    Once an iteration gains less than a thousandth of the excess, small problems go on with all second derivatives in
    place of that matrix, the sooner the fewer variables: Newton steps in the same trust region. Small are dense data
    in float64 of at most 131,072 cells, with factors of at most 750 entries in all, without main effects, under
    penalties that have second derivatives (docs/decisions/0037-exact-ends.md).

    Iterations, stopping rules and units are those of `LBFGSB`. The first iterations keep a distance from finite
    bounds that shrinks once the objective falls slowly, and no entry goes the whole way to a bound in one step
    unless it is close (docs/decisions/0005-bounds.md and 0009-plbfgs.md).
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.CURVATURE,)
    memory: int = 20

    def solve(
        self,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R), within `bounds`.

        Raises
        ------
        FitError
            If the objective is not finite at the start.
        """
        run = _PreconditionedRun(self, objective, start, bounds, observer)
        if run.has_room(NEAR):
            run.margin = _MARGIN
        run.resume()
        while not run.is_over():
            run.iterate()
            if run.stop in ("tol", "precision", "line_search") and run.is_steep():
                run.stop = "" if run.can_go_on() else "stalled"
                run.restart()
        return run.output()


class _PreconditionedRun(Run):
    """Adds the quadratic model and its damping."""

    options: PreconditionedLBFGS
    objective: Objective
    trial: GaussNewton
    model: Quadratic | ExactQuadratic
    quadratic: Quadratic
    """The model, until it is exact."""
    packing: Blocks
    kind_of_packing = Blocks
    saved_names = ("damping", "longest", "n_rejected", "use_pairs", "is_exact", "exact_from")

    def __init__(
        self,
        options: PreconditionedLBFGS,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None,
    ) -> None:
        self.pairs = Pairs(options.memory, int(Blocks.of(start).starts[-1]))
        self.damping, self.longest = _FIRST_DAMPING, np.inf
        self.n_rejected, self.use_pairs = 0, False
        self.is_exact, size = False, sum(a.size for a in start)
        self.exact_from = (
            0.0 if objective.lacks(Feature.FULL_CURVATURE) else _EXACT_FROM * size * max(0, size - _FEW)
        )
        if objective.lacks(Feature.HESSIAN):
            self.exact_from = np.inf
        super().__init__(options, objective, start, bounds, observer)

    def evaluate(self, z: Array) -> tuple[float, FloatArray]:
        """Return F and its gradient in the factors (n,) at z (n,); keeps the curvature for `build`."""
        if self.is_exact:
            return super().evaluate(z)
        self.n_eval += 1
        value, grad, self.trial = self.objective.value_grad_and_curvature(self.factors(z))
        return value, self.packing.pack(grad)

    def accept(self, z: Array, value: float, grad: FloatArray) -> None:
        """Make the point evaluated last, z (n,), the current one."""
        super().accept(z, value, grad)
        self.build()

    def build(self) -> None:
        """Build the model at the current point."""
        if self.is_exact:
            matrix, scales = self.objective.hessian(self.current_factors()), self.scale[self.order]
            matrix *= scales[:, None]
            matrix *= scales / self.unit
            if np.isfinite(matrix).all():
                starts = Packing(self.packing.shapes).starts[:-1]
                self.model = ExactQuadratic(matrix, self.order, starts, len(self.z), self.room)
                return
            self.is_exact, self.exact_from = False, np.inf
            self.evaluate(self.z)
        scale = self.scale[self.packing.starts[:-1]]
        self.model = self.quadratic = Quadratic(self.trial, self.packing, scale, self.unit)

    @cached_property
    def room(self) -> FloatArray:
        """Scratch for models that are exact, shape (2, k, k)."""
        return np.empty((2, len(self.order), len(self.order)))

    @cached_property
    def order(self) -> Array:
        """Where in a vector the entries of the factors stand, row by row, shape (k,)."""
        places = self.packing.unpack(np.arange(len(self.z)))
        return np.concatenate([own.ravel() for own in places])

    def limits(self, at: slice = slice(None)) -> tuple[FloatArray, FloatArray]:
        """Return bounds (n,) of z, or of some of its entries, at the current margin; no entry must move.

        A narrow range keeps its middle half.
        """
        z, lower, upper = self.z[at], self.lower[at], self.upper[at]
        if not self.margin:
            return lower, upper
        margin = np.minimum(self.margin, 0.25 * (upper - lower))
        low, high = lower + margin, upper - margin
        return np.minimum(low, np.maximum(z, lower)), np.maximum(high, np.minimum(z, upper))

    def reach(self) -> tuple[FloatArray, FloatArray]:
        """Return bounds (n,) of where a step may lead.

        Entries come to a bound step by step, so that the gradient can hold them back. Many that come at once would
        leave model entries of 0 under positive data, in a trap with walls of 1 / eps.
        """
        low, high = self.limits()
        if self.is_free:
            return low, high
        below, above = self.z - self.lower, self.upper - self.z
        low = np.maximum(low, np.where(below > NEAR, self.z - _GUARD * below, -np.inf))
        high = np.minimum(high, np.where(above > NEAR, self.z + _GUARD * above, np.inf))
        leap = _LEAP * (1.0 + np.abs(self.z))
        return np.maximum(low, self.z - leap), np.minimum(high, self.z + leap)

    def iterate(self) -> None:
        """Try steps until one is accepted, or no decrease is to be had."""
        slope = self.grad * (self.scale / self.unit)
        low, high = self.reach()
        room = low - self.z, high - self.z
        while not self.stop:
            step, predicted = self.short_step(slope, *room)
            length = self.length(step)
            decrease = -predicted + 0.5 * self.damping * length
            tiny = decrease <= 1e-16 * (abs(self.value) + abs(self.offset)) / self.unit
            if tiny or self.n_rejected > _MAX_REJECTED:
                self.give_up(tiny)
                return
            z = self.z + step
            if not self.is_free:  # exactly to a bound, which rounding would miss
                z = np.where(step <= room[0], low, np.where(step >= room[1], high, z))
            value, grad = self.evaluate(z)
            rise = (value - self.value) / self.unit
            if np.isfinite(grad).all() and np.isfinite(value) and -rise > _ACCEPT * decrease:
                self.advance(z, value, grad, step, -rise / decrease)
                return
            self.n_rejected += 1
            self.longest = _shortened(float(slope @ step), rise) ** 2 * length
            self.damping = max(2.0 * self.damping, _LEAST_RAISED)

    def short_step(self, slope: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, float]:
        """Return a step no longer than the last rejected one allows, and the model's minimum; raises the damping.

        All are vectors (n,).
        """
        while True:
            found = self.model.minimize(slope, low, high, self.damping, not self.is_free)
            if found is None:  # not convex
                self.damping *= _RAISE_OF_LITTLE if self.damping < _LITTLE else _RAISE_OF_EXACT
            elif self.length(found[0]) > self.longest:
                self.damping *= _RAISE
            else:
                return found

    def length(self, step: FloatArray) -> float:
        """Return the squared length of a step (n,) in the metric of the damping."""
        return float(step @ (self.model.diagonal * step))

    def advance(self, z: Array, value: float, grad: FloatArray, step: FloatArray, ratio: float) -> None:
        """Move to an accepted point z (n,), and learn from the step (n,): damping, pairs, margin."""
        change, was_exact = (grad - self.grad) * (self.scale / self.unit), self.is_exact
        if ratio < 1.5:  # beyond, the model is as wrong as below 1/2
            least = _SHRINK_OF_EXACT if self.is_exact else 1 / 3
            shrink = max(least, 1.0 - (2.0 * ratio - 1.0) ** 3)  # Nielsen (1999)
            self.damping = max(self.damping * shrink, _LEAST_OF_EXACT if self.is_exact else _LEAST_DAMPING)
        self.n_rejected, self.longest = 0, np.inf
        gain = (self.value - value) / max(value - self.offset, 1e-6 * self.unit)
        if gain < _SETTLED:
            self.margin = self.smaller_margin()
            self.is_exact = self.n_iter >= self.exact_from
        if not self.is_exact:
            self.use_pairs = self.foresight(step, change)
        elif not was_exact:
            self.pairs.clear()
            self.damping = min(self.damping, _DAMPING_OF_EXACT)
        self.accept(z, value, grad)
        if not self.is_exact:
            room = _FIRST_PAIRS + self.n_iter // _ITERATIONS_A_PAIR
            self.pairs.add(step, change - self.quadratic.gauss_newton(step), room)
            self.quadratic.correct(self.pairs, minimize=self.use_pairs)
        self.after_iteration()
        if self.margin and (self.stop in CONVERGED or (not self.stop and self.is_flat(1e3))):
            self.lift_margin()

    def smaller_margin(self) -> float:
        """Return the next distance from the bounds: ever faster to 0 where a model that is exact leads the way."""
        if self.margin < _LEAST_MARGIN:
            return 0.0
        return self.margin * _SHRINK * (self.margin / _MARGIN if self.is_exact else 1.0)

    def foresight(self, step: FloatArray, change: FloatArray) -> bool:
        """Return whether the corrected matrix foresaw the change of the gradient better than the uncorrected one.

        Both are vectors (n,).
        """
        if not self.pairs:
            return True
        model = self.quadratic
        without = change - model.gauss_newton(step)
        with_pairs = without + model.correction_of(step)
        can_move = model.diagonal >= _NORMAL
        if not self.is_free:
            low, high = self.limits()
            can_move &= (self.z > low) & (self.z < high)
        weight = np.divide(1.0, model.diagonal, out=np.zeros_like(step), where=can_move)
        return float(with_pairs @ (weight * with_pairs)) <= float(without @ (weight * without))

    def give_up(self, tiny: bool) -> None:
        """Go on where no step helps: without margin, then without memory, then stop."""
        self.damping = min(self.damping, _FIRST_DAMPING)
        if self.margin:
            self.lift_margin()
        elif self.pairs:
            self.pairs.clear()
            self.quadratic.correct(self.pairs, minimize=False)
        else:
            self.stop = "precision" if tiny or self.is_flat(1e3) else "line_search"
        self.n_rejected, self.longest = 0, np.inf

    def restart(self) -> None:
        """Forget what was learnt at another point."""
        if not self.stop:
            self.pairs.clear()
            self.damping = _FIRST_DAMPING
            self.build()

    def lift_margin(self) -> None:
        """Go on with the exact bounds."""
        self.margin, self.stop = 0.0, ""
        self.revise()

    def snapshot(self) -> State:
        """Add the pairs, but at the end."""
        return super().snapshot() | ({} if self.stop else {"pairs": self.pairs.snapshot()})

    def restore(self, state: State) -> None:
        """Build the model at that point too, which takes an evaluation."""
        super().restore(state)
        if "pairs" in state:
            self.pairs.restore(state["pairs"])
        self.evaluate(self.z)
        self.n_eval = state["n_eval"]
        self.build()
        if not self.is_exact:
            self.quadratic.correct(self.pairs, minimize=self.use_pairs)


def _shortened(slope: float, rise: float) -> float:
    """Return the part of a rejected step where a parabola through its start, with its slope and rise, is lowest."""
    if not np.isfinite(rise):
        return 0.1
    return min(max(-slope / (2.0 * (rise - slope)), 0.1), 0.5)
