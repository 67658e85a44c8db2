"""Row-wise Newton with extrapolation."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from gcp.base.types import Factors, FloatArray, State
from gcp.losses.formula import Formula
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.terms.main_effects import MainEffects
from gcp.objectives.views.row_wise import RowWise
from gcp.solvers.base import Method
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, SolverOutput
from gcp.solvers.run import CONVERGED, NEAR, WINDOW, Run

_RUNS_OFF = 1e4
"""Size of components from which on models may be on their way to infinity."""

_UNCERTAIN = 1e-10
"""Smallest eigenvalue of a Gram matrix, relative to the largest, from which on components are mixed."""

_LEAP_AFTER = 10
"""Sweeps whose growth is continued then."""


@dataclass(frozen=True)
class RowNewton(Method):
    """Newton's method on the rows of one factor after the other.

    It sees the curvature of every entry, and so takes data over many powers of ten, where sums of it say little.
    Of sparse data, the loss of a zero must be a polynomial in the model: Gaussian, Poisson, Bernoulli-Poisson,
    beta-divergence with beta 1 or 2. A ridge, bounds and fixed modes are possible, tied modes are not.

    Parameters
    ----------
    n_iter_max : int
        Most sweeps over the modes.
    tol : float
        Stop when the objective fell, per sweep and on average over the last five, by less than `tol` times
        its excess over the saturated model (one free at every entry). In float32 data at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`) is below this. In float32 at least 1e-5.
    max_seconds : float or None
        Stop after this time, at the end of a sweep.

    Notes
    -----
    Given the other modes, each row of a factor is a problem of its own in R unknowns over the entries of one slice.
    A sweep gives every row of every free mode one projected Newton step with a search along it
    (Hansen, Plantenga and Kolda, 2015, for Poisson); for the Gaussian loss without bounds that is alternating least
    squares. Sweeps start from a point extrapolated beyond the last two iterates, as in Nesterov's method, which
    begins anew from the last iterate whenever the objective would rise (Mitchell, Ye and De Sterck, 2020). After
    each sweep the norms of a component in the free modes are made equal where bounds allow. Of models that run off
    to infinity, as 0/1 data allow, every ten sweeps are continued in the logarithms of the factors, as far as that
    lowers the objective. Rows are shared among the threads, whose number changes no more than the last digits.

    A sweep costs about (R / 2 + 4) R multiplications for each entry and mode. Of lists of entries it keeps a copy for
    each mode; of dense data it lists half a million entries at a time, or one slice, of 2**24 cells at most. It
    counts as one evaluation.

    References
    ----------
    S. Hansen, T. Plantenga, T. G. Kolda: Newton-based optimization for Kullback-Leibler nonnegative tensor
    factorizations, Optimization Methods and Software 30 (2015) 1002-1029.
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.ROWS,)

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
        ParameterError
            If the problem does not fall into rows; the message says why.
        """
        problem = objective.row_wise()
        run = _RowNewtonRun(self, objective, start, bounds, observer)
        run.prepare(problem, bounds)
        run.resume()
        while not run.is_over():
            run.iterate()
            if run.stop in CONVERGED and run.revive():
                run.stop = ""
        run.finish()
        return run.output()


class RowSweeps(Run):
    """Adds sweeps over the factors of all modes, fixed ones too."""

    saved_names: ClassVar[tuple[str, ...]] = ("current", "previous", "age", "evaluated")

    def prepare(self, problem: RowWise, bounds: Bounds) -> None:
        """Take the parts of the objective and the factors at the start."""
        self.problem = problem
        self.sides = [
            (_one_row(low), _one_row(high)) for low, high in zip(bounds.lower, bounds.upper, strict=True)
        ]
        effects = problem.penalties.effects
        self.components = slice(effects.rank if effects else None)
        self.may_balance = all(
            _is_cone(low[:, self.components], high[:, self.components]) for low, high in self.sides
        )
        self.shiftable = self._shiftable(effects)
        self.scales = [float(a[0, 0]) for a in self.packing.unpack(self.scale)]
        self.current = problem.expand(self.factors(self.z))
        self.may_mix = len(self.current) == len(problem.free) == 2 and self._is_free_but_for_a_ridge()
        self.previous = self.current
        self.age = 0  # accepted sweeps since extrapolation began anew
        self.evaluated = True
        self.softer = list(problem.softer)

    def _is_free_but_for_a_ridge(self) -> bool:
        """Return whether components have no bounds, and a ridge that is the same in all modes."""
        sides = [side[:, self.components] for both in self.sides for side in both]
        penalties = self.problem.penalties
        return (
            penalties.are_row_wise
            and penalties.prefer_balance
            and not any(np.isfinite(s).any() for s in sides)
        )

    def _shiftable(self, effects: MainEffects | None) -> list[tuple[int, int]]:
        """Return variables and columns of main effects whose means may move to the first; none if bounds forbid it.

        The first one's mean is free of ridge, so it takes all.
        """
        found: list[tuple[int, int]] = []
        for k, mode in enumerate(effects.modes if effects else ()):
            column, variable = effects.rank + k if effects else 0, self.problem.free.index(mode)
            low, high = self.sides[variable]
            if np.isfinite(low[:, column]).any() or np.isfinite(high[:, column]).any():
                return []
            found.append((variable, column))
        return found

    def extrapolated(self, ahead: float) -> list[FloatArray]:
        """Return factors of all modes, shapes (I_n, R), beyond the last iterate, within the bounds."""
        factors = list(self.current)
        for mode, (low, high) in zip(self.problem.free, self.sides, strict=True):
            a, b = self.current[mode], self.previous[mode]
            factors[mode] = np.clip(a + ahead * (a - b), low, high) if ahead else a.copy()
        return factors

    def sweep(self, problem: RowWise, factors: list[FloatArray]) -> tuple[float, float]:
        """Update all free factors (I_n, R) in place; return the objective and the largest gradient norm before."""
        norm, value = 0.0, np.inf
        self.n_eval += 1
        for variable, mode in enumerate(problem.free):
            scale = self.scales[variable]
            step = scale**2 / self.unit
            size = float(np.linalg.norm(factors[mode]))
            value, slope = problem.update(mode, factors, *self.sides[variable], step)
            norm = max(norm, float(np.sqrt(slope)) * size / scale**2)
        if self.may_balance:
            self.balance(factors)
        if self.may_mix:
            self.mix(factors)
        for variable, column in self.shiftable[1:]:
            mean = float(factors[problem.free[variable]][:, column].mean())
            factors[problem.free[variable]][:, column] -= mean
            first, into = self.shiftable[0]
            factors[problem.free[first]][:, into] += mean
        return value, norm

    def balance(self, factors: list[FloatArray]) -> None:
        """Give each component of factors (I_n, R) one norm in all free modes: of equal models, ridge prefers that."""
        columns = self.components
        norms = np.array([np.linalg.norm(factors[mode][:, columns], axis=0) for mode in self.problem.free])
        with np.errstate(divide="ignore"):
            by = np.exp(np.log(norms).mean(axis=0)) / np.where(norms > 0, norms, 1.0)
        by[:, ~(norms > 0).all(axis=0)] = 1.0
        for mode, factor in zip(self.problem.free, by, strict=True):
            factors[mode][:, columns] *= factor

    def mix(self, factors: list[FloatArray]) -> None:
        """Mix the components of a matrix as its ridge prefers them: of equal models A B' that with A'A = B'B."""
        a, b = (factor[:, self.components] for factor in factors)
        there = _mixing(a, b)
        if there is not None:
            a[:], b[:] = a @ there, b @ np.linalg.inv(there)

    def snapshot(self) -> State:
        """Add the number of softer losses that are left."""
        return super().snapshot() | {"softer": len(self.softer)}

    def restore(self, state: State) -> None:
        """Go on with the softer losses that are left."""
        super().restore(state)
        self.softer = self.softer[len(self.softer) - int(state["softer"]) :]

    def scaled(self, factors: list[FloatArray]) -> FloatArray:
        """Return the free ones of factors (I_n, R) as the vector (n,) of `Run`."""
        return self.packing.pack([factors[mode] for mode in self.problem.free]) / self.scale

    def settle(self) -> None:
        """Make z the current point."""
        self.z = self.scaled(self.current)


class _RowNewtonRun(RowSweeps):
    """Adds extrapolation."""

    saved_names = (*RowSweeps.saved_names, "mark")

    def prepare(self, problem: RowWise, bounds: Bounds) -> None:
        """Add the point from which the model has run off, if it does."""
        super().prepare(problem, bounds)
        self.mark = np.zeros(len(self.z))
        self.farthest = float(np.finfo(self.dtype).max) ** 0.25  # products of models are numbers

    def iterate(self) -> None:
        """Sweep from an extrapolated point until the objective does not rise, or cannot fall."""
        while self.softer and not self.stop:
            if self.try_softer(self.softer.pop(0)):
                return
        if self.n_iter % _LEAP_AFTER == 0:
            self.leap()
        while not self.stop:
            ahead = max(0.0, (self.age - 1) / (self.age + 2))
            factors = self.extrapolated(ahead)
            value, norm = self.sweep(self.problem, factors)
            if not value <= self.value - self.problem.rounding(factors):
                if self.age <= 1:
                    self.stop = "precision"
                self.age, self.previous = 0, self.current
                continue
            if self.reach(factors) > self.farthest:
                self.stop = "unbounded"
                return
            self.previous, self.current = self.current, factors
            self.age += 1
            self.evaluated = False
            self.value, self.gradient_norm = value, norm
            self.trace.add(time.perf_counter() - self.began, value, norm)
            self.after_iteration()
            return

    def reach(self, factors: list[FloatArray]) -> float:
        """Return what `Objective.reach` says of the factors (I_n, R) of all modes."""
        return self.objective.reach([factors[mode] for mode in self.problem.free])

    def leap(self) -> None:
        """Go on as the last sweeps went where the model runs off, twice as far as long as the objective falls.

        Entries then grow or vanish by powers of the number of sweeps, each sweep bringing less than the one before;
        along their logarithms it is a straight line.
        """
        if not self.objective.reach(self.current_factors()) > _RUNS_OFF:
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            growth = np.where(self.z * self.mark > 0, np.log(np.abs(self.z / self.mark)), 0.0)
        for part in self.packing.unpack(growth):  # large effects would hide small ones when they are centred
            effects = part[:, part[:, self.components].shape[1] :]
            np.minimum(effects, 0.0, out=effects)
        start, best, length = self.z, self.value, 1.0
        while True:
            with np.errstate(over="ignore", invalid="ignore"):
                z = np.clip(start * np.exp(length * growth), self.lower, self.upper)
            factors = self.problem.expand(self.factors(z))
            largest = max(float(np.abs(factors[mode]).max(initial=0.0)) for mode in self.problem.free)
            if not max(self.reach(factors), largest) < self.farthest:
                break
            value, grad = self.evaluate(z)
            is_hidden = self.problem.rounding(factors) > 1e-9 * self.excess()
            if is_hidden or not (value < best and np.isfinite(grad).all()):
                break
            self.z, self.value, self.grad = z, value, grad
            best, length = value, 2.0 * length
        if length > 1.0:
            self.current = self.previous = self.problem.expand(self.factors(self.z))
            self.age, self.evaluated = 0, True
            self.revise()
        self.mark = self.z.copy()

    def try_softer(self, formula: Formula) -> bool:
        """Sweep under a softer loss; false, and no more of them, if that does not lower the objective."""
        factors = self.extrapolated(0.0)
        self.sweep(replace(self.problem, formula=formula), factors)
        value, grad = self.evaluate(self.scaled(factors))
        if not value < self.value:
            self.softer = []
            return False
        self.current = self.previous = factors
        self.evaluated = True
        self.accept(self.scaled(factors), value, grad)
        self.after_iteration()
        return True

    def revive(self) -> bool:
        """Move rows off 0 that only others at 0 keep there; true if that lowers the objective.

        Positions that meet hardly anyone but each other can fall to 0 together; then none of them has a gradient.
        """
        self.n_releases += 1
        lifted = [a.copy() for a in self.current]
        dead = {mode: ~a.any(axis=1) for mode, a in enumerate(lifted) if mode in self.problem.free}
        for mode, rows in dead.items():
            lifted[mode][rows] = NEAR * np.sqrt(np.mean(np.square(lifted[mode])))
        if self.n_releases > WINDOW or not any(rows.any() for rows in dead.values()):
            return False
        _, grad = self.evaluate(self.scaled(lifted))
        for slope, (mode, rows) in zip(self.packing.unpack(grad), dead.items(), strict=True):
            lifted[mode][rows & (slope.sum(axis=1) >= 0)] = 0.0
        z = np.clip(self.scaled(lifted), self.lower, self.upper)
        value, grad = self.evaluate(z)
        if not (np.isfinite(grad).all() and value < self.value):
            return False
        self.current = self.previous = self.problem.expand(self.factors(z))
        self.age, self.evaluated = 0, True
        self.z, self.value, self.grad = z, value, grad
        self.revise()
        return True

    def finish(self) -> None:
        """Evaluate the outcome exactly."""
        if not self.evaluated:
            self.z = self.scaled(self.current)
            self.value, self.grad = self.evaluate(self.z)
            self.revise()
        if self.end in ("tol", "precision") and self.is_steep():
            self.end = "stalled"


def _mixing(a: FloatArray, b: FloatArray) -> FloatArray | None:
    """Return the symmetric T (R, R) for which A T and B T^-1 have one Gram matrix; None where that is too uncertain.

    It is X^(-1/2) for the geometric mean X of A'A and (B'B)^-1, which solves X B'B X = A'A.
    """
    ours, theirs = a.astype(float).T @ a, b.astype(float).T @ b
    sizes, axes = np.linalg.eigh(theirs)
    if not (sizes.size and sizes[0] > _UNCERTAIN * sizes[-1] and np.isfinite(ours).all()):
        return None
    root, inverse = (axes * np.sqrt(sizes)) @ axes.T, (axes / np.sqrt(sizes)) @ axes.T
    squares, turned = np.linalg.eigh(root @ ours @ root)
    if not squares[0] > _UNCERTAIN * squares[-1]:
        return None
    sizes, axes = np.linalg.eigh(inverse @ (turned * np.sqrt(squares)) @ turned.T @ inverse)
    return (axes / np.sqrt(sizes)) @ axes.T if sizes[0] > 0 else None


def _one_row(side: FloatArray) -> FloatArray:
    """Return bounds (I_n, R) in one row (1, R) if all rows agree."""
    return side[:1].copy() if (side == side[:1]).all() else side


def _is_cone(low: FloatArray, high: FloatArray) -> bool:
    """Return whether multiples of a feasible factor are feasible under bounds (I_n, R)."""
    return bool(np.isin(low, (0.0, -np.inf)).all() and np.isin(high, (0.0, np.inf)).all())
