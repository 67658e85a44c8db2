"""Row-wise Newton on samples of the zeros, for sparse data whose zeros have no closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from gcp.base import checks
from gcp.base.types import Factors, State
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.views.sampled_rows import SampledRows
from gcp.solvers import exact
from gcp.solvers.base import Options
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, IterationState, SolverOutput
from gcp.solvers.row_newton import RowSweeps
from gcp.solvers.run import ESTIMATE

_LEAST_ZEROS = 1 << 15
_MORE = 4
"""Number by which the number of zeros is multiplied after a failed sweep."""

_EXACT = 16
"""A sweep over one zero in so many takes about as long as an exact gradient; then those are the better choice."""


@dataclass(frozen=True)
class SampledRowNewton(Options):
    """Newton's method on the rows of one factor after the other, with fresh zeros for every sweep.

    It is for a `SparseTensor` under a loss whose zeros have no closed form: bernoulli-odds, negative-binomial, logit
    and log links, Huber. Ridge, bounds, fixed modes and main effects are possible, tied modes are not.

    Parameters
    ----------
    n_iter_max : int
        Most iterations: sweeps, and the iterations of the polish.
    tol : float
        Stop when the objective fell, per sweep and on average over the last five, by less than `tol` times
        its excess over the saturated model; likewise the polish. In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`) is below this. In float32 at least 1e-5.
    max_seconds : float or None
        Stop after this time, at the end of a sweep.
    zeros : int or None
        Zeros in the first sample. None: as many as there are listed entries, at least 32,768.
    max_zeros : int or None
        Most zeros in a sample. None: where exact evaluation is affordable, one in 16 of all or as many as there are
        listed entries; elsewhere 16 times these, at least 2**22.
    max_fails : int
        Stop at the next failed sweep with `max_zeros` after this many in turn. Failed sweeps count for `tol` too.
    polish : bool
        Whether to go on with an exact method where exact evaluation is affordable.

    Notes
    -----
    A sweep takes every listed entry and a fresh sample of the zeros, and gives every row of every free mode one
    projected Newton step, as `RowNewton` does. A polynomial in the model that is close to the loss of a zero, and
    whose sum over all cells has a closed form, takes most of the variance away (a control variate). A sweep counts if
    it lowers the objective, which is evaluated exactly where that is affordable (at most 2**28 cells), else with a
    sample that is drawn once; if not, the next sweep begins where this one did, with four times the zeros.

    The callback and the trace hold that value. `n_eval` counts evaluations of it, and exact ones.
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.SAMPLED_ROWS,)
    zeros: int | None = None
    max_zeros: int | None = None
    max_fails: int = 0
    polish: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("zeros", "max_zeros", "max_fails"):
            value = getattr(self, name)
            if value is not None or name == "max_fails":
                checks.whole(name, value, 0 if name == "max_fails" else 1)

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
            If the objective, or its estimate, is not finite at the start.
        ParameterError
            If the data are not sparse, or the problem does not fall into rows; the message says why.
        """
        observer, sampled = Observer.of(observer, self.max_seconds), objective.sampled_rows()
        sweeps = partial(self._sweeps, sampled, start, bounds)
        found = observer.stage("samples", sweeps, self, start)
        if not sampled.is_exact:
            return replace(found, message=found.message + ESTIMATE)
        if not (self.polish and found.converged and found.n_iter < self.n_iter_max):
            return found
        return exact.polished(self, objective, found, bounds, observer)

    def _sweeps(
        self, sampled: SampledRows, start: Factors, bounds: Bounds, observer: Observer
    ) -> SolverOutput:
        """Return the outcome of sweeps from `start`, shapes (I_n, R)."""
        run = _SampledRowsRun(self, sampled, start, bounds, observer)
        run.prepare(sampled.rows, bounds)
        run.begin()
        run.resume()
        while not run.is_over():
            run.iterate()
        return run.output()


class _SampledRowsRun(RowSweeps):
    """Adds the samples."""

    saved_names = (*RowSweeps.saved_names, "n_zeros", "n_fails")

    options: SampledRowNewton
    objective: SampledRows

    def begin(self) -> None:
        """Set the numbers of zeros."""
        n_listed, every = self.objective.n_listed, self.objective.n_zeros
        most = max(1 << 22, 16 * n_listed)
        if self.objective.is_exact:
            most = max(every // _EXACT, n_listed)
        self.most = min(self.options.max_zeros or most, every)
        self.n_zeros = min(self.options.zeros or max(n_listed, _LEAST_ZEROS), self.most)
        self.n_fails = 0

    def iterate(self) -> None:
        """Sweep over fresh zeros, and take it back if that does not lower the objective."""
        factors = self.extrapolated(0.0)
        problem = self.objective.draw(factors, self.n_zeros)
        if self.softer:
            problem = replace(problem, formula=self.softer.pop(0))
        self.sweep(problem, factors)
        z = self.scaled(factors)
        value, grad = self.evaluate(z)
        if value < self.value and np.isfinite(value) and np.isfinite(grad).all():
            self.current = self.previous = factors
            self.n_fails = 0
            self.accept(z, value, grad)
        else:
            self.fail()
            self.accept(self.z, self.value, self.grad)
        self.after_iteration()
        if not self.stop and self.n_fails > self.options.max_fails:
            self.stop = "max_fails"

    def fail(self) -> None:
        """Take other steps next time: of the loss itself, or from more zeros."""
        if self.softer:
            self.softer = []
            return
        self.n_fails += self.n_zeros == self.most
        self.n_zeros = min(_MORE * self.n_zeros, self.most)

    def snapshot(self) -> State:
        """Add the state of the zeros' generator."""
        return super().snapshot() | {"generator": self.objective.rng.bit_generator.state}

    def restore(self, state: State) -> None:
        """Set the zeros' generator too."""
        super().restore(state)
        self.objective.rng.bit_generator.state = state["generator"]

    def _state(self) -> IterationState:
        return replace(super()._state(), is_estimate=not self.objective.is_exact)
