"""Alternating least squares with extrapolation, for the Gaussian loss on complete data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.views.least_squares import LeastSquares
from gcp.solvers.base import Method, lacking
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.pieces import normal_equations
from gcp.solvers.run import Run

_NEARNESS = {"float64": 1e-12, "float32": 1e-5}
"""Weight of the factor as it was, in equations that may have no unique solution (see `normal.update`)."""

_SMALL = {"float64": 1e-6, "float32": 1e-2}
"""Part of the data's sum of squares below which a difference of large sums does not tell F well enough."""


@dataclass(frozen=True)
class ALS(Method):
    """Alternating least squares, accelerated, for the Gaussian loss on complete data.

    Needs data without missing entries and entry weights, no finite bounds and no tied modes. Ridge and fixed modes
    are possible.

    Parameters
    ----------
    n_iter_max : int
        Most iterations.
    tol : float
        Stop when the objective fell, per iteration and on average over the last five, by less than `tol` times
        its excess over the saturated model (one free at every entry). In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free gradient norm (see `FitResult`) is below this. In float32 at least 1e-5.
    max_seconds : float or None
        Stop after this time, at the end of an iteration.

    Notes
    -----
    A sweep solves the normal equations of one mode after the other. It reads the data twice, whatever the number of
    modes: the product with the factors of one half of the modes serves all modes of the other half (a dimension tree;
    Phan, Tichavsky and Cichocki, 2013). Sweeps start from a point extrapolated beyond the last two iterates, as in
    Nesterov's method, which begins anew from the last iterate whenever the objective would rise (Mitchell, Ye and
    De Sterck, 2020). After each sweep the norms of a component in the free modes are made equal.

    The objective follows from the sweep itself, unless the fit is so close that rounding would show: then, and at the
    end, it is evaluated. A sweep and an evaluation count as one evaluation each; they cost about as much. The
    gradient norms of the trace and the callback are, where nothing was evaluated, the largest of those of the factors
    just before their updates; first and last are those of all factors together.

    References
    ----------
    A.-H. Phan, P. Tichavsky, A. Cichocki: Fast alternating LS algorithms for high order CANDECOMP/PARAFAC tensor
    factorizations, IEEE Transactions on Signal Processing 61 (2013) 4834-4846.

    D. Mitchell, N. Ye, H. De Sterck: Nesterov acceleration of alternating least squares for canonical tensor
    decomposition: momentum step size selection and restart mechanisms, Numerical Linear Algebra with Applications 27
    (2020) e2297.
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.LEAST_SQUARES,)

    def solve(
        self,
        objective: Objective,
        start: Factors,
        bounds: Bounds,
        observer: Observer | Callback | None = None,
    ) -> SolverOutput:
        """Minimise from `start`, shapes (I_n, R).

        Raises
        ------
        FitError
            If the objective is not finite at the start.
        ParameterError
            If the problem is not one of plain least squares; the message says why.
        """
        problem = _least_squares(objective, bounds)
        run = _AlsRun(self, objective, start, bounds, observer)
        run.prepare(problem, start)
        run.resume()
        while not run.is_over():
            run.iterate()
        run.finish()
        return run.output()


def suits(objective: Objective, bounds: Bounds) -> bool:
    """Return whether `ALS` can minimise this objective within these bounds."""
    return not lacking(ALS, objective) and not any(map(_is_bounded, bounds.lower, bounds.upper))


def _least_squares(objective: Objective, bounds: Bounds) -> LeastSquares:
    """Return the parts of the objective, if there are no bounds either."""
    problem = objective.least_squares()
    for mode, lower, upper in zip(problem.free, bounds.lower, bounds.upper, strict=True):
        if _is_bounded(lower, upper):
            raise ParameterError(
                f"Alternating least squares knows no bounds: found finite ones on the factor of mode {mode}. "
                'Use solver="auto".'
            )
    return problem


def _is_bounded(lower: FloatArray, upper: FloatArray) -> bool:
    """Return whether any bound of a factor, shapes (I_n, R), is finite."""
    return bool(np.isfinite(lower).any() or np.isfinite(upper).any())


class _AlsRun(Run):
    """Adds the sweeps; all factors, fixed ones too, side by side as `normal` wants them."""

    saved_names = ("current", "previous", "age", "evaluated", "always_evaluate")

    def prepare(self, problem: LeastSquares, start: Factors) -> None:
        """Take the parts of the objective and the factors at the start, shapes (I_n, R)."""
        factors = problem.expand(start)
        self.problem = problem
        self.starts = np.cumsum([0, *(len(a) for a in factors)])
        self.free = np.isin(np.arange(len(factors)), problem.free)
        self.groups = [group for group in problem.groups if self.free[list(group)].any()]
        rank = factors[0].shape[1]
        self.products = [
            np.empty((rank, int(np.prod([len(factors[n]) for n in group])))) for group in self.groups
        ]
        self.current = np.ascontiguousarray(np.concatenate(factors).T, dtype=np.float64)
        self.previous = self.current
        self.changing = not all(p.has_fixed_strengths for p in problem.penalties.of_components)
        self.halves, self.pulls = np.zeros((len(factors), rank)), np.zeros((rank, 0))
        for n in range(len(factors)):
            self.pulls = self.take_penalties(n, factors, self.halves, self.pulls)
        self.age = 0  # accepted sweeps since extrapolation began anew
        self.evaluated, self.always_evaluate = True, False

    def iterate(self) -> None:
        """Sweep from an extrapolated point until the objective does not rise, or cannot fall."""
        while not self.stop:
            ahead = max(0.0, (self.age - 1) / (self.age + 2))
            factors = self.current + ahead * (self.current - self.previous)
            value, norm, grad = self.sweep(factors)
            if not value <= self.value:
                self.begin_anew()
                continue
            self.previous, self.current = self.current, factors
            self.age += 1
            self.advance(value, norm, grad)
            return

    def sweep(self, factors: FloatArray) -> tuple[float, float, FloatArray | None]:
        """Update all free factors in place, columns of a matrix (R, sum of sizes).

        Returns the objective, the largest gradient norm on the way, and the gradient if it was evaluated.
        """
        problem, penalties = self.problem, self.problem.penalties
        self.n_eval += 1
        modes = self.modes(factors)
        halves, pulls = self.halves, self.pulls
        grams = normal_equations.all_grams(factors, self.starts)
        slope = fit = 0.0
        nearness = _NEARNESS[self.dtype.name]
        for group, products in zip(self.groups, self.products, strict=True):
            problem.contract(group, modes, products)
            for chosen in self.turns(group):
                if self.changing:
                    pulls = self.take_penalties(int(np.argmax(chosen)), modes, halves, pulls)
                steepest, fit = normal_equations.update(
                    products, np.array(group), chosen, factors, self.starts, grams, halves, pulls, nearness
                )
                slope = max(slope, steepest)
        if penalties.prefer_balance or not penalties.of_components:
            normal_equations.balance(factors, self.starts, self.free, grams)
        value = problem.norm2 + fit + penalties.value(modes)
        norm = 2.0 * slope / self.unit
        close = not value > _SMALL[self.dtype.name] * problem.norm2
        if close or norm <= self.least_gradient() or self.always_evaluate:
            value, grad = self.evaluate(self.scaled(factors))
            return value, norm, grad
        return value, norm, None

    def turns(self, group: tuple[int, ...]) -> list[Array]:
        """Return which modes of a group to update at a time, as masks (N,).

        It is one mode where a penalty's strengths depend on the factors that were updated before.
        """
        if not self.changing:
            return [self.free]
        every = np.arange(len(self.free))
        return [every == n for n in group if self.free[n]]

    def take_penalties(
        self, mode: int, modes: list[FloatArray], halves: FloatArray, pulls: FloatArray
    ) -> FloatArray:
        """Write half the strengths on a mode to `halves` (N, R), given factors (I_n, R); returns the pulls.

        These are of shape (R, sum of sizes), or (R, 0) as long as nothing pulls. A mode that nothing pulls has zeros.
        """
        strengths, pull = self.problem.penalties.least_squares(mode, modes)
        halves[mode] = 0.5 * strengths
        if pull is not None or pulls.shape[1]:
            if not pulls.shape[1]:
                pulls = np.zeros((len(pulls), self.starts[-1]))
            pulls[:, self.starts[mode] : self.starts[mode + 1]] = 0.0 if pull is None else 0.5 * pull.T
        return pulls

    def begin_anew(self) -> None:
        """Give up extrapolation after a rise; if there was none, mistrust the sweeps' values; then stop."""
        plain = self.age <= 1
        if plain and self.always_evaluate:
            self.stop = "precision"
        elif plain:
            self.always_evaluate = True
            self.evaluate_current()
        self.age, self.previous = 0, self.current

    def advance(self, value: float, norm: float, grad: FloatArray | None) -> None:
        """Record the end of an iteration; the gradient is a vector (n,) or None."""
        self.evaluated = grad is not None
        if grad is not None:
            self.accept(self.scaled(self.current), value, grad)
        else:
            self.value, self.gradient_norm = value, norm
            self.trace.add(time.perf_counter() - self.began, value, norm)
        self.after_iteration()

    def evaluate_current(self) -> None:
        """Evaluate the objective and the gradient at the current factors, for the last row of the trace as well."""
        if not self.evaluated:
            self.z = self.scaled(self.current)
            self.value, self.grad = self.evaluate(self.z)
            self.measure()
            self.trace.objective[-1] = self.value
            self.trace.projected_gradient_norm[-1] = self.gradient_norm
            self.evaluated = True

    def finish(self) -> None:
        """Evaluate the outcome exactly."""
        self.evaluate_current()
        if self.end in ("tol", "precision") and self.is_steep():
            self.end = "stalled"

    def settle(self) -> None:
        """Make z the current point."""
        self.z = self.scaled(self.current)

    def modes(self, factors: FloatArray) -> list[FloatArray]:
        """Return the factor of each mode, a view (I_n, R) of the matrix (R, sum of sizes)."""
        return [factors[:, first:last].T for first, last in pairwise(self.starts)]

    def scaled(self, factors: FloatArray) -> FloatArray:
        """Return the free factors in a matrix (R, sum of sizes) as a vector (n,) in the units of `Run`."""
        modes = self.modes(factors)
        return self.packing.pack([modes[n] for n in self.problem.free]) / self.scale
