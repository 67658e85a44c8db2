"""Stochastic gradients with adapted steps, for problems too large for exact evaluations."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar

import numpy as np

from gcp.base import checks
from gcp.base.compiler.jit import jit
from gcp.base.types import Factors, FloatArray, State
from gcp.objectives.base import Objective
from gcp.objectives.bounds import Bounds
from gcp.objectives.features import Feature
from gcp.objectives.views.sampled import Sampled, Sampling
from gcp.solvers import exact
from gcp.solvers.base import Options
from gcp.solvers.observer import Observer
from gcp.solvers.outcome import Callback, IterationState, SolverOutput
from gcp.solvers.run import ESTIMATE, Run

_STEPS, _LEAST_STEPS, _MANY_ROWS = 1000, 50, 10_000
"""Steps in an epoch, and how many at least where the factors have more rows than these."""


@dataclass(frozen=True)
class Adam(Options):
    """Adam (Kingma and Ba, 2015) on gradients of mini-batches, with the epochs of Kolda and Hong (2020).

    It takes every kind of data, with missing entries, weights, bounds, fixed and tied modes; it pays only where
    exact evaluations are out of reach and `SampledRowNewton` has nothing to steady its samples: sparse data of more
    than 2**28 cells under a logit or log link, or with tied modes under a loss without a closed form for zeros.

    Parameters
    ----------
    n_iter_max : int
        Most iterations: epochs, and the iterations of the polish.
    tol : float
        Stop when the estimate of the objective fell, per epoch and on average over the last five, by less than `tol`
        times its excess over the saturated model; likewise the polish. In float32 at least 1e-7.
    gradient_tol : float
        Stop when the scale-free projected gradient norm (see `FitResult`), of the estimate in epochs, is below this.
        In float32 at least 1e-5.
    max_seconds : float or None
        Stop after this time; an epoch is cut short.
    rate : float
        Length of a step, relative to the root mean square of each factor at the start.
    decay : float
        After a failed epoch, one at whose end the estimate is not lower, the rate is multiplied by this.
    max_fails : int
        Stop at the next failed epoch after this many.
    epoch_iters : int or None
        Steps in an epoch. None: 1000; of factors with n > 10,000 rows in all 1000 * 10,000 / n, at least 50, for a
        step costs as much as the rows.
    beta_1, beta_2 : float
        How much of the means of gradients and of their squares remains after a step.
    eps : float
        Added to the root of the mean square, in units of the root mean square of the gradient at the start.
    sampler : str
        "uniform"; for a SparseTensor also "stratified" (as many listed entries as zeros) and "semi-stratified" (the
        same without looking up whether a cell is a zero; a correction makes up for that). "auto" is "stratified"
        for a SparseTensor, and "uniform" for other data.
    samples : int or None
        Entries in a batch. None: 3 in 1000 of the known entries, at least 1000; of a SparseTensor that many listed
        ones and as many zeros; and a tenth of the rows of all factors, if these are more than 10,000.
    value_samples : int or None
        Entries in the sample that estimates the objective. None: 1 in 100 of the known ones, at least a million; of a
        SparseTensor at least 100,000 listed ones (or all) and as many zeros.
    polish : bool
        Whether to go on with the exact method that ``solver="auto"`` takes, where exact evaluation is affordable.

    Notes
    -----
    An epoch starts from the best factors known. If the objective, estimated from a sample that is drawn once, has not
    fallen at its end, the factors, the means and the number of steps that corrects their bias return to what they
    were at the epoch's start, and the rate decays.

    The callback and the trace hold that estimate. The outcome has the exact objective where that is affordable, else
    the estimate, and the message says so. All starts of a fit share the sample. `n_eval` counts estimates and exact
    evaluations, not batches.

    Kolda and Hong use an absolute rate of 1e-3 and stop at the second failed epoch; the defaults here begin ten times
    faster and leave time for three decays (docs/decisions/0015-sampling.md).

    The estimates and the batches are unbiased, but minimising an estimate makes it a little too low: large samples
    keep that small.

    References
    ----------
    T. G. Kolda, D. Hong: Stochastic gradients for large-scale tensor decomposition, SIAM Journal on Mathematics of
    Data Science 2 (2020) 1066-1095.
    """

    requires: ClassVar[tuple[Feature, ...]] = (Feature.SAMPLES,)
    n_iter_max: int = 1000
    rate: float = 1e-2
    decay: float = 0.1
    max_fails: int = 3
    epoch_iters: int | None = None
    beta_1: float = 0.9
    beta_2: float = 0.999
    eps: float = 1e-8
    sampler: str = "auto"
    samples: int | None = None
    value_samples: int | None = None
    polish: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole("max_fails", self.max_fails, 0)
        if self.epoch_iters is not None:
            checks.whole("epoch_iters", self.epoch_iters)
        for name in ("rate", "eps"):
            checks.real(name, getattr(self, name), above=0)
        for name in ("decay", "beta_1", "beta_2"):
            checks.real(name, getattr(self, name), least=0, below=1)
        checks.text("sampler", self.sampler)
        checks.truth("polish", self.polish)
        _ = self.sampling  # checks the numbers of samples

    @property
    def sampling(self) -> Sampling:
        """The options by which the objective is sampled."""
        return Sampling(self.sampler, self.samples, self.value_samples)

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
            If there is no such sampler for the data.
        """
        observer = Observer.of(observer, self.max_seconds)
        epochs = partial(self._epochs, objective, start, bounds)
        found = observer.stage("samples", epochs, self, start)
        if objective.lacks(Feature.EXACT):
            return replace(found, message=found.message + ESTIMATE)
        if self.polish and found.converged and found.n_iter < self.n_iter_max:
            return exact.polished(self, objective, found, bounds, observer)
        final = Run(self, objective, found.factors, bounds)  # evaluates the objective itself
        return replace(
            found,
            objective=final.value,
            projected_gradient_norm=final.gradient_norm,
            n_eval=found.n_eval + 1,
        )

    def _epochs(
        self, objective: Objective, start: Factors, bounds: Bounds, observer: Observer
    ) -> SolverOutput:
        """Return the outcome of epochs from `start`, shapes (I_n, R)."""
        n_rows = sum(map(len, start))
        sampling = replace(self.sampling, least=n_rows // 10 if n_rows > _MANY_ROWS else 0)
        run = _AdamRun(self, objective.sampled(sampling), start, bounds, observer)
        run.resume()
        while not run.is_over():
            run.epoch()
        return run.output()


class _AdamRun(Run):
    """Adds the epochs, over the objective's sampled form."""

    options: Adam
    objective: Sampled
    saved_names = ("rate", "n_fails", "n_steps", "moments", "ahead", "n_ahead", "saved")

    def __init__(
        self, options: Adam, sampled: Sampled, start: Factors, bounds: Bounds, observer: Observer
    ) -> None:
        super().__init__(options, sampled, start, bounds, observer)
        # Steps do not depend on the unit of the gradient, but for eps.
        self.slope = float(np.sqrt(np.mean(np.square(self.grad * self.scale)))) or 1.0
        self.rate, self.n_fails, self.n_steps = options.rate, 0, 0
        share = min(1.0, _MANY_ROWS / sum(map(len, start)))
        self.n_epoch = options.epoch_iters or max(_LEAST_STEPS, round(_STEPS * share))
        self.moments = np.zeros_like(self.z), np.zeros_like(self.z)
        self.ahead: FloatArray | None = None  # within an epoch, where it is
        self.n_ahead, self.saved = 0, (*self.moments, 0)
        self.cut: State | None = None

    def epoch(self) -> None:
        """Take some steps from the current point, and take them back if they do not lower the estimate."""
        if self.ahead is None:
            self.ahead, self.n_ahead = self.z.copy(), 0
            first, second = (moment.copy() for moment in self.moments)
            self.saved = first, second, self.n_steps
        z, is_finite = self.ahead, self.steps(self.ahead)
        self.ahead = None
        if is_finite:
            value, grad = self.evaluate(z)
            if value < self.value and np.isfinite(value) and np.isfinite(grad).all():
                self.accept(z, value, grad)
                self.after_iteration()
                return
        first, second, self.n_steps = self.saved
        self.moments = first, second
        self.rate *= self.options.decay
        self.n_fails += 1
        self.accept(self.z, self.value, self.grad)
        self.after_iteration()
        if not (self.stop or self.cut) and self.n_fails > self.options.max_fails:
            self.stop = "max_fails"

    def steps(self, z: FloatArray) -> bool:
        """Move z (n,) along the gradients of an epoch's batches; false, and no further, if one is not finite."""
        options = self.options
        while self.n_ahead < self.n_epoch:
            self.n_ahead += 1
            self.n_steps += 1
            grad = self.packing.pack(self.objective.gradient(self.factors(z)))
            unbias_1, unbias_2 = (1 - beta**self.n_steps for beta in (options.beta_1, options.beta_2))
            numbers = (options.beta_1, options.beta_2, self.rate / unbias_1, unbias_2, options.eps)
            grad *= self.scale / self.slope
            if not _step(z, grad, *self.moments, self.lower, self.upper, numbers):
                return False
            if self.n_ahead < self.n_epoch and self.is_late():
                self.cut = deepcopy(self.snapshot())  # from where another run goes on
                break
        return True

    def _rule(self) -> str:
        return "" if self.cut else super()._rule()

    def limit(self) -> str:
        """Name the limit that is reached, also if it cut an epoch short."""
        return "max_seconds" if self.cut else super().limit()

    def snapshot(self) -> State:
        """Add the state of the batches' generator; an epoch that was cut short counts as it was then."""
        return self.cut or super().snapshot() | {"generator": self.objective.rng.bit_generator.state}

    def restore(self, state: State) -> None:
        """Set the batches' generator too."""
        super().restore(state)
        self.objective.rng.bit_generator.state = state["generator"]

    def _state(self) -> IterationState:
        return replace(super()._state(), is_estimate=True)


@jit
def _step(z, grad, first, second, lower, upper, numbers):  # type: ignore[no-untyped-def]
    """Take a step of Adam within bounds, in place; false if the gradient is not finite, which leaves z useless."""
    beta_1, beta_2, rate, unbias_2, eps = numbers
    is_finite = True
    for i in range(z.size):
        g = grad[i]
        is_finite &= np.isfinite(g)
        first[i] = beta_1 * first[i] + (1 - beta_1) * g
        second[i] = beta_2 * second[i] + (1 - beta_2) * g * g
        moved = z[i] - rate * first[i] / (np.sqrt(second[i] / unbias_2) + eps)
        z[i] = min(max(moved, lower[i]), upper[i])
    return is_finite
