"""Fitting a generalized CP model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp import arguments
from gcp._typing import FloatArray
from gcp.bounds import Bounds
from gcp.bounds import resolve as resolve_bounds
from gcp.errors import ConvergenceWarning, ParameterError
from gcp.kernels import compilation, threads
from gcp.labels import ModeLabels
from gcp.losses.base import Loss
from gcp.objectives.choose import build_objective
from gcp.objectives.entrywise import EntrywiseObjective
from gcp.objectives.free import FreeFactors
from gcp.objectives.sampled import Seeds
from gcp.progress import Reporter, reporter, tell_of_compilation
from gcp.result import FitResult, normalize
from gcp.solvers import Solver
from gcp.solvers.base import IterationState, SolverOutput, Trace
from gcp.start import given_factors, random_factors, svd_factors


def fit_gcp(
    data: Any,
    rank: int,
    *,
    loss: str | Loss = "gaussian",
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    init: Any = "random",
    n_starts: int = 1,
    solver: str | Solver = "auto",
    bounds: Any = None,
    fixed_modes: Sequence[int] = (),
    tied_modes: Sequence[Sequence[int]] = (),
    l2_reg: float | Mapping[str, float] = 0.0,
    n_iter_max: int | None = None,
    tol: float | None = None,
    max_seconds: float | None = None,
    random_state: int | np.random.Generator | None = None,
    n_threads: int | None = None,
    callback: Callable[[IterationState], bool | None] | None = None,
    verbose: bool = False,
) -> FitResult:
    """Fit a generalized CP decomposition: minimise the weighted sum of a loss over the entries of a tensor.

    The model of an entry is m = sum over components of the product of one number per mode; the fit minimises
    F = sum_e w_e f(x_e, m_e) + (l2_reg / 2) * sum of squared factor entries, within bounds.

    Parameters
    ----------
    data : array_like, shape (I_0, ..., I_{N-1}), N >= 1
        NumPy arrays of any real, integer or boolean type (NaN = missing), masked arrays, `DenseTensor`, xarray
        DataArrays, pandas Series; see also `from_frame`. Never modified. float32 data are fitted in float32
        arithmetic, with the objective summed in float64.
    rank : int
        Number of components, at least 1; may exceed the sizes of the modes.
    loss : str or Loss
        A name of `available_losses()` or an instance, e.g. ``NegativeBinomial(r=3.0)``.
    mask : array_like of bool, optional
        True = observed. Shaped like the data or broadcastable.
    entry_weights : array_like, optional
        Nonnegative reals, shaped like the data or broadcastable; 2 counts an entry twice, 0 leaves it out.
    init : "random", "svd", CPTensor, (weights, factors), list of factors or FitResult
        Where to start. Given factors are moved into the bounds.
    n_starts : int
        Several starts, the one with the lowest F is kept; "svd" and given factors serve the first only, the
        others are random. With `fixed_modes` the fixed factors are common to all.
    solver : str or Solver
        "auto" (als, then plbfgs if need be, for the Gaussian loss on complete data without entry weights, bounds and
        ties; else plbfgs; for sparse data see `RowNewton` and `Adam`), "adam", "als", "lbfgsb", "plbfgs", "rows", or
        an instance such as ``LBFGSB(memory=20)``.
    bounds : optional
        (lower, upper), or one such pair per mode, or (lowers, uppers) with one item per mode; an item is None,
        a number or an array shaped like the factor. None is what the loss needs: 0 below where the model must
        not be negative.
    fixed_modes : sequence of int
        Modes whose factor stays as given by `init` (up to the norms of its columns, which go to the weights).
    tied_modes : sequence of sequences of int
        Groups of modes of equal size that share one factor, e.g. ``[(0, 1)]`` for a symmetric relation.
    l2_reg : float or {"factors": float}
        Ridge.
    n_iter_max, tol, max_seconds : optional
        Override the solver's own. `max_seconds` is for all starts together.
    random_state : int, numpy.random.Generator or None
        Decides the starts, and the samples of stochastic solvers, alone. The seed drawn for None is in
        `result.settings`.
    n_threads : int, optional
        None = all cores that this process may use. The result is the same on every run with the same number.
    callback : callable, optional
        ``callback(state)`` after each iteration (see `IterationState`); a true value stops the fit.
    verbose : bool
        Progress on stderr: a live bar on a terminal, plain lines otherwise.

    Returns
    -------
    FitResult

    Raises
    ------
    DataError, DomainError
        Unusable data, or data outside the loss's domain.
    ParameterError
        Unknown names, arguments out of range or of the wrong shape.
    FitError
        The objective is not finite at the start.

    Warns
    -----
    ConvergenceWarning
        If the fit stopped before it met a tolerance.

    Notes
    -----
    An interrupt (Ctrl-C) ends the fit and returns the best model so far, with status "interrupted".

    References
    ----------
    D. Hong, T. G. Kolda, J. A. Duersch: Generalized canonical polyadic tensor decomposition, SIAM Review 62
    (2020) 133-163.

    Examples
    --------
    >>> import gcp
    >>> result = gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss="poisson", random_state=0)
    >>> result.converged
    True
    """
    began = time.perf_counter()
    if callback is not None and not callable(callback):
        raise ParameterError(f"callback must be a function of the state: found {callback!r}.")
    rank = arguments.positive_int("rank", rank)
    n_starts = arguments.positive_int("n_starts", n_starts)
    method = arguments.solver(solver, n_iter_max, tol, max_seconds)
    objective = build_objective(
        data, loss, mask=mask, entry_weights=entry_weights, l2_reg=l2_reg, n_threads=n_threads
    )
    shape = objective.tensor.shape
    fixed = arguments.fixed_modes(fixed_modes, len(shape))
    groups = arguments.groups(tied_modes, fixed, shape)
    shapes = [(size, rank) for size in shape]
    limits = resolve_bounds(bounds, shapes, objective.loss.model_domain, objective.loss.name)
    seed = arguments.seed(random_state)
    job = _Job(objective, rank, init, limits, fixed, groups, method, seed)
    with (
        reporter(verbose, n_starts) as progress,
        compilation.noticed(tell_of_compilation) if verbose else nullcontext(),
        threads.single_threaded_blas(),
    ):
        outputs, interrupted = _run_starts(job, n_starts, max_seconds, callback, progress)
    options = {
        "init": arguments.describe(init),
        "n_starts": n_starts,
        "bounds": arguments.describe(bounds),
        "fixed_modes": list(fixed),
        "tied_modes": [list(group) for group in groups if len(group) > 1],
        "l2_reg": objective.ridge.strength,
        "max_seconds": max_seconds,
    }
    result = _assemble(job, outputs, interrupted, time.perf_counter() - began, options)
    if not result.converged:
        warnings.warn(f"fit_gcp did not converge: {result.message}.", ConvergenceWarning, stacklevel=2)
    return result


_INTERRUPTED = "the fit was interrupted; this is the best model so far"


@dataclass(frozen=True)
class _Job:
    """What all starts of a fit share."""

    objective: EntrywiseObjective
    rank: int
    init: Any
    bounds: Bounds
    fixed: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    solver: Solver
    seed: int

    def start(self, index: int) -> list[FloatArray]:
        """All factors at the beginning of a start."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(index,)))
        is_named = isinstance(self.init, str)
        if is_named and self.init not in ("random", "svd"):
            raise ParameterError(f'Unknown init {self.init!r}: expected "random", "svd" or a model.')
        if is_named and self.fixed:
            raise ParameterError("fixed_modes needs init to give the fixed factors, e.g. init=[a, b, c].")
        if index == 0 and not (is_named and self.init == "random"):
            factors = self._svd(rng) if is_named else self._given()
        else:
            factors = random_factors(self.objective, self.rank, self.bounds, rng)
        if self.fixed and index > 0:
            given = self._given()
            for mode in self.fixed:
                factors[mode] = given[mode]
        for group in self.groups:  # tied modes begin, and stay, equal
            for mode in group[1:]:
                factors[mode] = factors[group[0]]
        return [a.astype(self.objective.tensor.dtype) for a in factors]

    def sampling_seeds(self, index: int) -> Seeds:
        """For stochastic solvers: the sample that judges is common to all starts, the batches are a start's own."""
        keys = (0, 1), (index, 2)
        fixed, batches = (np.random.SeedSequence(self.seed, spawn_key=key) for key in keys)
        return fixed, batches

    def _svd(self, rng: np.random.Generator) -> list[FloatArray]:
        return svd_factors(self.objective, self.rank, self.bounds, rng)

    def _given(self) -> list[FloatArray]:
        factors = given_factors(self.init, self.objective.tensor.shape, self.rank, self.groups)
        inside = self.bounds.project(factors)
        for mode in self.fixed:
            if not np.array_equal(inside[mode], factors[mode]):
                raise ParameterError(
                    f"The fixed factor of mode {mode} lies outside its bounds; for the "
                    f"{self.objective.loss.name} loss these are {self.objective.loss.model_domain} by default."
                )
        return inside


@compilation.interrupts_wait()
def _run_starts(
    job: _Job,
    n_starts: int,
    max_seconds: float | None,
    callback: Callable[[IterationState], bool | None] | None,
    progress: Reporter,
) -> tuple[list[SolverOutput], bool]:
    """The outcome of every start, and whether an interrupt cut them short."""
    began = time.perf_counter()
    outputs: list[SolverOutput] = []
    for index in range(n_starts):
        solver = job.solver
        if max_seconds is not None:
            left = max_seconds - (time.perf_counter() - began)
            if index and left <= 0:
                break
            solver = replace(solver, max_seconds=max(left, 0.0))  # type: ignore[type-var]
        watch = None
        try:
            start = job.start(index)
            free = FreeFactors(job.objective, job.groups, start, job.sampling_seeds(index))
            watch = _Watch(free, index, callback, progress)
            found = _solve(job, solver, free, start, watch)
        except KeyboardInterrupt:
            latest = watch.interrupted() if watch else []
            if not (outputs or latest):
                raise
            return outputs + latest, True
        outputs.append(replace(found, factors=free.expand(found.factors)))
        if found.status == "callback":
            break
    return outputs, False


def _solve(
    job: _Job, solver: Solver, free: FreeFactors, start: list[FloatArray], watch: _Watch
) -> SolverOutput:
    if job.groups:
        return solver.solve(free, free.reduce(start), job.bounds.select(job.groups), watch)
    value, _ = free.value_and_grad([])
    message = "every mode is fixed: nothing to fit"
    return SolverOutput([], value, 0.0, True, "converged", message, 0, 1, Trace([0.0], [value], [0.0]), "")


class _Watch:
    """The callback of one start: reports, remembers the latest model, and asks the user's own callback."""

    def __init__(
        self,
        free: FreeFactors,
        index: int,
        callback: Callable[[IterationState], bool | None] | None,
        progress: Reporter,
    ) -> None:
        self.free = free
        self.index = index
        self.callback = callback
        self.progress = progress
        self.latest: IterationState | None = None
        self.trace = Trace()

    def __call__(self, state: IterationState) -> bool:
        factors = [a.copy() for a in self.free.expand(state.factors)]
        state = replace(state, start=self.index, factors=factors)
        self.latest = state
        self.trace.add(state.seconds, state.objective, state.projected_gradient_norm)
        self.progress.update(state)
        return self.callback is not None and bool(self.callback(state))

    def interrupted(self) -> list[SolverOutput]:
        """The latest model as the outcome of a start that was cut short."""
        last = self.latest
        if last is None:
            return []
        output = SolverOutput(
            last.factors,
            last.objective,
            last.projected_gradient_norm,
            False,
            "interrupted",
            _INTERRUPTED + ("; F is an estimate from a sample" if last.is_estimate else ""),
            last.iteration,
            last.n_eval,
            self.trace,
            "",
        )
        return [output]


def _assemble(
    job: _Job, outputs: list[SolverOutput], interrupted: bool, seconds: float, options: dict[str, Any]
) -> FitResult:
    best = min(outputs, key=lambda output: output.objective)
    objective, ndim = job.objective, len(job.objective.tensor.shape)
    last_is_tied = any(ndim - 1 in group and len(group) > 1 for group in job.groups)
    weights, factors = normalize(
        best.factors, keep_order=bool(job.fixed), fix_signs=not (job.fixed or last_is_tied)
    )
    starts = [
        {
            "start": k,
            "objective": output.objective,
            "converged": output.converged,
            "status": output.status,
            "n_iter": output.n_iter,
            "n_eval": output.n_eval,
            "seconds": output.trace.seconds[-1],
        }
        for k, output in enumerate(outputs)
    ]
    settings = arguments.settings(job.rank, job.solver, job.seed, objective.n_threads, options)
    settings["solver"]["method"] = best.method or type(job.solver).__name__
    return FitResult(
        weights=weights,
        factors=factors,
        loss=objective.loss,
        objective=best.objective,
        penalty=objective.ridge.value(best.factors),
        null_objective=objective.null_value,
        saturated_objective=objective.saturated_value,
        converged=best.converged and not interrupted,
        status="interrupted" if interrupted else best.status,
        message=best.message if best.status == "interrupted" or not interrupted else _INTERRUPTED,
        n_iter=best.n_iter,
        n_eval=best.n_eval,
        projected_gradient_norm=best.projected_gradient_norm,
        seconds=seconds,
        trace={name: np.array(column) for name, column in vars(best.trace).items()},
        starts=starts,
        settings=settings,
        labels=objective.tensor.labels or ModeLabels.default(objective.tensor.shape),
    )
