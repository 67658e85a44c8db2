"""A parametric bootstrap, which shows how far the factors may be off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.compare import align
from gcp.analysis.intervals import ErrorBars, Estimates, Interval, Intervals, quantile
from gcp.base import checks, processes
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import FloatArray, RandomSource
from gcp.fit import fit_in_series
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.estimable import ESTIMATE
from gcp.losses.trials import OfTrials
from gcp.objectives.dimension import n_parameters
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import check_result, known_cells, tensor_of
from gcp.objectives.penalties.shorthands import as_arguments
from gcp.objectives.problem import Problem
from gcp.result import FitResult
from gcp.solvers.progress import series
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.solvers.starts.plan import Plan
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.carried import popped
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_LEAST_MEAN = 1e-100
"""Least mean of a gamma draw, which is positive."""


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Estimates):
    """Fits of data that were drawn from a fitted model, their components matched to its own.

    Attributes
    ----------
    weights : ndarray, shape (n, R)
    factors : list of ndarray, shapes (n, I_k, R)
    objectives : ndarray, shape (n,)
    fitted_weights : ndarray, shape (R,)
        Of the model that data were drawn from.
    fitted_factors : list of ndarray, shapes (I_k, R)
    labels : ModeLabels
    """

    weights: FloatArray
    factors: list[FloatArray]
    objectives: FloatArray
    fitted_weights: FloatArray
    fitted_factors: list[FloatArray]
    labels: ModeLabels

    def _labels(self) -> ModeLabels:
        return self.labels

    def _of_components(self, level: float) -> tuple[ErrorBars, list[ErrorBars]]:
        weights, factors = self.interval(level)
        columns = zip(self.fitted_factors, self.factors, factors, strict=True)
        return (
            ErrorBars(self.fitted_weights, self.weights.std(axis=0, ddof=1), weights),
            [ErrorBars(fitted, draws.std(axis=0, ddof=1), ends) for fitted, draws, ends in columns],
        )

    def interval(self, level: float = 0.95) -> Intervals:
        """Return intervals (low, high) of the weights, and of each factor.

        They are normal, without the bias that the draws show.

        Parameters
        ----------
        level : float
            Probability that an interval holds the truth, between 0 and 1.

        Returns
        -------
        weights : (ndarray, ndarray), shapes (R,)
            Normal on the scale of logarithms; NaN of components that are off in some draw.
        factors : list of (ndarray, ndarray), shapes (I_k, R)

        Notes
        -----
        What draws are off the model they were drawn from, on average, the model is off the truth: percentiles have
        this bias twice.

        References
        ----------
        A. C. Davison, D. V. Hinkley: Bootstrap Methods and their Application, Cambridge University Press 1997,
        section 5.2.
        """
        z = quantile(level)

        def of(draws: FloatArray, fitted: FloatArray) -> Interval:
            centre, spread = 2 * fitted - draws.mean(axis=0), draws.std(axis=0, ddof=1)
            return centre - z * spread, centre + z * spread

        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = np.exp(of(np.log(self.weights), np.log(self.fitted_weights)))
        on = (self.weights > 0).all(axis=0)
        weights = np.where(on, low, np.nan), np.where(on, high, np.nan)
        return weights, [of(a, b) for a, b in zip(self.factors, self.fitted_factors, strict=True)]


def bootstrap(
    result: FitResult,
    data: Any,
    n: int = 100,
    *,
    random_state: RandomSource | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Bootstrap:
    """Draw data from the fitted model where data are known, fit, match, and collect: a parametric bootstrap.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As they were for `fit_gcp`; they say which cells are known, and the dispersion. Sparse data are drawn densely.
    n : int
        Number of draws.
    random_state : int, numpy Generator, RandomState or SeedSequence, optional
        The same draws for any `n_jobs`.
    n_jobs : int, optional
        Processes that fit side by side; -1 is one for each core. None is 1, whose fits use all threads.
    verbose : bool
        Progress on stderr: a live bar on a terminal, elsewhere a line for every draw.
    **options
        Further arguments of `fit_gcp`. Left out, penalties, main effects, designs, bounds, fixed and tied modes are
        those of the fit, and a parameter of the loss that it estimated is estimated again; each fit begins from the
        fitted model.

    Returns
    -------
    Bootstrap

    Raises
    ------
    ParameterError
        Of one of several coupled tensors; of a loss without a distribution of such data; bounds of the fit that
        were arrays, of which a result knows no more than that.

    References
    ----------
    B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap, Chapman & Hall 1993.
    """
    n = checks.whole("n", n, least=2, most=checks.MOST_REPEATS)
    n_jobs = processes.jobs(n_jobs)
    check_result(result)
    if others := result.problem.coupled_with:
        raise ParameterError(
            f"bootstrap fits replicates of one tensor, but this model was fitted together with {', '.join(others)}: "
            "fit replicates of all tensors, drawn by gcp.simulate or losses' sample, with fit_gcp."
        )
    options = _as_fitted(result, options)
    options["n_threads"] = processes.threads_of_each(n_jobs, options.get("n_threads"))
    tensor = tensor_of(result, data, mask, entry_weights, **popped(options))
    problem, plan = problem_and_plan(tensor, result.rank, {"init": result, "random_state": 0} | options)
    cells = known_cells(result, tensor)
    cells, loss = cells.counted(result.loss_at(cells.subs))
    loss.log_normalizer(cells.x)  # raises if no distribution has such data
    dispersion = loss.estimate_dispersion(cells.x, cells.m, cells.w)
    if dispersion is not None:  # the fit has taken some of it
        dispersion /= max(1 - n_parameters(result) / float(cells.w.sum()), 0.1)
    seeds = np.random.SeedSequence(checks.seed(random_state)).spawn(n)
    tasks = [(result, problem, plan, dispersion, seed) for seed in seeds]
    found: list[FitResult] = []
    with series(verbose, n) as steps:
        for again in processes.each(_refitted, tasks, n_jobs):
            found.append(again)
            steps.done(f"objective {again.objective:.6g}")
    factors = [np.array([f.factors[k] for f in found]) for k in range(len(result.factors))]
    weights, objectives = np.array([f.weights for f in found]), np.array([f.objective for f in found])
    return Bootstrap(
        weights, factors, objectives, np.asarray(result.weights), list(result.factors), result.labels
    )


def _as_fitted(result: FitResult, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, with those of the fit where they are not given."""
    problem, loss = result.problem, result.loss
    if "bounds" not in options and problem.has_array_bounds:
        raise ParameterError("The fit had arrays as bounds, which its result does not keep: give bounds=...")
    of_fit = {
        "bounds": problem.bounds,
        "fixed_modes": problem.fixed_modes,
        "tied_modes": problem.tied_modes,
        "main_effects": problem.effect_modes,
        "design": dict(problem.designs),
        **as_arguments(problem.penalties, has_effects=bool(problem.effect_modes)),
    }
    if problem.estimated:
        loss = replace(loss, **dict.fromkeys(problem.estimated, ESTIMATE))  # type: ignore[type-var]
    return of_fit | options | {"loss": loss}


def _refitted(
    result: FitResult,
    problem: Problem,
    plan: Plan,
    dispersion: float | None,
    seed: np.random.SeedSequence,
) -> FitResult:
    """Return a fit of data drawn from the model, its components matched to the model's."""
    tensor = problem.tensor
    subs = tensor.subs if tensor.zeros is None else None  # of sparse data, all cells are drawn
    m, rng = _arguments(result, tensor, subs), np.random.default_rng(seed)
    trials = tensor.columns.trials if isinstance(tensor, DenseTensor | ObservedTensor) else None
    if trials is not None:
        trials = np.maximum(trials, 1.0)  # where a cell is unknown, there may be none
        x = OfTrials(result.loss, trials).sample(m, rng) / trials
    else:
        if result.loss.data_domain.open_low:  # no datum of a mean of 0 is in it
            m = np.maximum(m, _LEAST_MEAN)
        x = result.loss_at(subs).sample_dispersed(m, rng, dispersion).astype(float)
    again = fit_in_series(problem.changed(_like(tensor, x), result.rank, problem.penalties), plan)
    return align(again, result)


def _arguments(result: FitResult, tensor: Any, subs: Any) -> FloatArray:
    """Return the arguments of the loss at cells, shaped like `model_values` there."""
    m = result.model_values(subs)
    own = exposed(tensor, result.loss)
    if own.zeros is None:
        columns = getattr(own, "columns", None)
        return m if columns is None else columns.argument(m)
    _, scale, offset, _ = own.zeros.everywhere(own.shape)
    return EntryColumns(m, scale=scale, offset=offset).argument(m)


def _like(tensor: Any, values: FloatArray) -> Tensor:
    """Return other data in the same cells, values of the shape that `model_values` gives there."""
    if tensor.zeros is None:
        found: Tensor = tensor.with_values(values)
        return found
    if tensor.entry_weights is not None:
        found = tensor.to_dense().with_values(values)
        return found
    subs = np.argwhere(values)
    plain = SparseTensor(
        subs,
        values[values != 0],
        tensor.shape,
        mode_weights=tensor.mode_weights,
        missing=tensor.missing,
        labels=tensor.labels,
    )
    return plain.with_cells(tensor.zeros)
