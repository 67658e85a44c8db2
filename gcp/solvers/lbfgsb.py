"""Limited-memory BFGS with bounds: SciPy's L-BFGS-B, with stopping rules that do not depend on scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gcp.base.types import Array, Factors, FloatArray, State
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.solvers.base import Method
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.pieces.scipy_lbfgsb import Routine
from gcp.solvers.run import CONVERGED, NEAR, Run

_MARGIN_ITERATIONS = 100


@dataclass(frozen=True)
class LBFGSB(Method):
    """L-BFGS-B (Byrd, Lu, Nocedal and Zhu, 1995), as in SciPy.

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
        Pairs of steps and gradient changes that approximate the curvature.

    Notes
    -----
    The objective is shifted by the saturated and divided by the null model's deviance, and each factor by its
    root mean square at the start, so that a tolerance means the same for every size and unit of data.
    A trial point where the objective is not finite is rejected: the line search sees a steep rise instead.
    The first iterations keep a small distance from finite bounds, and a point that is flat but not stationary is
    moved off them (docs/decisions/0005-bounds.md).
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.EXACT,)
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
        run = _LbfgsbRun(self, objective, start, bounds, observer)
        run.begin(NEAR if run.has_room(NEAR) else 0.0)
        run.resume()
        while not run.is_over():
            run.iterate()
            if run.stop in ("tol", "precision", "line_search") and run.is_steep():
                run.stop = "" if run.can_go_on() else "stalled"
                run.begin(0.0)
        return run.output()


class _LbfgsbRun(Run):
    """Adds SciPy's routine, the last point that it asked for, and an answer where F is not finite."""

    options: LBFGSB
    saved_names = ("first",)

    def begin(self, margin: float) -> None:
        """Start the routine at the current point, at a distance from the bounds.

        With a margin it ends early, without setting `stop`, once it is roughly flat. That keeps the fit from the edge
        of the domain of losses such as Poisson's: where a model entry is 0 under a positive datum the gradient is so
        large, and in so small a neighbourhood, that steps shrink to nothing.
        """
        self.margin, self.first = margin, self.n_iter
        self.last = self.z, self.value, self.grad
        self.routine = Routine(self.z, *self.limits(), self.options.memory)

    def iterate(self) -> None:
        """Take one iteration, or see to the end of the routine and what follows from it."""
        if self.routine.iterate(self.value_and_grad):
            self.after_step(self.routine.x)
        elif self.margin:
            self.begin(0.0)
        elif self.routine.converged:
            self.stop = "precision"
        elif self.n_iter == self.first:  # a fresh start failed too
            self.stop = "precision" if self.is_flat(1e3) else "line_search"
        else:
            self.begin(0.0)

    def value_and_grad(self, z: Array) -> tuple[float, FloatArray]:
        """Return the scaled objective and its gradient (n,) at z (n,), as the routine asks for it."""
        if np.array_equal(z, self.last[0]):  # it asks for the start again
            _, value, grad = self.last
        else:
            value, grad = self.evaluate(z)
            if not (np.isfinite(value) and np.isfinite(grad).all()):
                return self._steep_rise(z)
            self.last = (z, value, grad)
        return (value - self.offset) / self.unit, grad * (self.scale / self.unit)

    def _steep_rise(self, z: Array) -> tuple[float, FloatArray]:
        """Return a parabola around the last accepted point, at z (n,), so high that the line search backs off."""
        step = z - self.z
        height = 10.0 * (1.0 + abs(self.value - self.offset) / self.unit)
        norm2 = max(float(step @ step), 1e-300)
        return (self.value - self.offset) / self.unit + height, (2.0 * height / norm2) * step

    def after_step(self, z: Array) -> None:
        """Record the end of an iteration at z (n,); stop or go on without a margin where a rule says so."""
        if not np.array_equal(z, self.last[0]):
            self.last = (z.copy(), *self.evaluate(z))
        if not (np.isfinite(self.last[1]) and np.isfinite(self.last[2]).all()):
            self.stop = "line_search" if self.n_iter == self.first else ""
            self.begin(0.0)  # from the point before
            return
        self.accept(*self.last)
        self.after_iteration()
        if not self.margin:
            return
        if self.stop in CONVERGED or (not self.stop and self.is_flat(1e3)):
            self.stop = ""
            self.begin(0.0)
        elif self.n_iter - self.first >= _MARGIN_ITERATIONS:
            self.begin(0.0)

    def snapshot(self) -> State:
        """Add the routine's own, but at the end."""
        return super().snapshot() | ({} if self.stop else {"routine": self.routine.snapshot()})

    def restore(self, state: State) -> None:
        """Set the routine too, which is between two iterations."""
        super().restore(state)
        first = self.first
        self.begin(self.margin)
        if "routine" in state:
            self.first = first
            self.routine.restore(state["routine"])
