"""How far the factors may be off: a parametric bootstrap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gcp import checks, parallel
from gcp._typing import FloatArray
from gcp.analysis.compare import align
from gcp.analysis.intervals import Interval, Intervals, quantile
from gcp.analysis.likelihood import n_parameters
from gcp.cells import known_cells, tensor_of
from gcp.domain import POSITIVE
from gcp.fit import fit_in_series
from gcp.losses.base import Loss
from gcp.progress import series
from gcp.result import FitResult
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor


class Bootstrap(NamedTuple):
    """Fits of data that were drawn from a fitted model, their components matched to its own.

    Attributes
    ----------
    weights : ndarray, shape (n, R)
    factors : list of ndarray, shapes (n, I_k, R)
    objectives : ndarray, shape (n,)
    fitted_weights : ndarray, shape (R,)
        Of the model that data were drawn from.
    fitted_factors : list of ndarray, shapes (I_k, R)
    """

    weights: FloatArray
    factors: list[FloatArray]
    objectives: FloatArray
    fitted_weights: FloatArray
    fitted_factors: list[FloatArray]

    def interval(self, level: float = 0.95) -> Intervals:
        """Intervals (low, high) of the weights, and of each factor: normal, without the bias that the draws show.

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
    random_state: int | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
    **options: Any,
) -> Bootstrap:
    """Parametric bootstrap: draw data from the fitted model where data are known, fit, match, and collect.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As they were for `fit_gcp`; they say which cells are known, and the dispersion. Sparse data are drawn densely.
    n : int
        Number of draws.
    random_state : int, optional
        The same draws for any `n_jobs`.
    n_jobs : int, optional
        Processes that fit side by side; -1 is one for each core. None is 1, whose fits use all threads.
    verbose : bool
        Progress on stderr: a live bar on a terminal, elsewhere a line for every draw.
    **options
        Further arguments of `fit_gcp`, as they were for the fit; each fit begins from the fitted model.

    Returns
    -------
    Bootstrap

    Raises
    ------
    ParameterError
        Of a loss without a distribution of such data.

    References
    ----------
    B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap, Chapman & Hall 1993.
    """
    n = checks.whole("n", n, least=2, most=checks.MOST_REPEATS)
    n_jobs = parallel.jobs(n_jobs)
    options["n_threads"] = parallel.threads_of_each(n_jobs, options.get("n_threads"))
    tensor = tensor_of(result, data, mask, entry_weights)
    cells = known_cells(result, tensor)
    result.loss.log_normalizer(cells.x)  # raises if no distribution has such data
    dispersion = result.loss.estimate_dispersion(cells.x, cells.m, cells.w)
    if dispersion is not None:  # the fit has taken some of it
        dispersion /= max(1 - n_parameters(result) / float(cells.w.sum()), 0.1)
    seeds = np.random.SeedSequence(checks.seed(random_state)).spawn(n)
    tasks = [(result, tensor, dispersion, seed, options) for seed in seeds]
    found: list[FitResult] = []
    with series(verbose, n) as steps:
        for again in parallel.each(_refitted, tasks, n_jobs):
            found.append(again)
            steps.done(f"objective {again.objective:.6g}")
    factors = [np.array([f.factors[k] for f in found]) for k in range(len(result.factors))]
    weights, objectives = np.array([f.weights for f in found]), np.array([f.objective for f in found])
    return Bootstrap(weights, factors, objectives, np.asarray(result.weights), list(result.factors))


def _refitted(
    result: FitResult,
    tensor: Any,
    dispersion: float | None,
    seed: np.random.SeedSequence,
    options: dict[str, Any],
) -> FitResult:
    """A fit of data drawn from the model, its components matched to the model's."""
    subs = tensor.subs if isinstance(tensor, ObservedTensor) else None
    x = _draw(result.loss, result.model_values(subs), dispersion, np.random.default_rng(seed))
    again = fit_in_series(
        _like(tensor, x), result.rank, loss=result.loss, init=result, random_state=0, **options
    )
    return align(again, result)


def _draw(loss: Loss, m: FloatArray, dispersion: float | None, rng: np.random.Generator) -> FloatArray:
    """Data from the distribution of the loss, with the dispersion that the data have."""
    if dispersion is None:
        return loss.sample(m, rng).astype(float)
    if loss.data_domain == POSITIVE:  # gamma, or beta = 0
        return rng.gamma(1 / dispersion, dispersion * np.maximum(m, 1e-300))
    return rng.normal(m, np.sqrt(dispersion))


def _like(tensor: Any, values: FloatArray) -> DenseTensor | ObservedTensor | SparseTensor:
    """Other data in the same cells."""
    if isinstance(tensor, ObservedTensor):
        return ObservedTensor(tensor.subs, values, tensor.shape, tensor.entry_weights)
    if isinstance(tensor, DenseTensor):
        return DenseTensor(values, None, tensor.entry_weights)
    if tensor.entry_weights is not None:
        return DenseTensor(values, None, tensor.to_dense().entry_weights)
    subs = np.argwhere(values)
    return SparseTensor(subs, values[values != 0], tensor.shape, None, tensor.mode_weights, tensor.missing)
