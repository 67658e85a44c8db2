"""How far the factors may be off: standard errors from the information matrix, and a parametric bootstrap."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gcp import checks, parallel
from gcp._typing import Array, FloatArray
from gcp.analysis.compare import align
from gcp.analysis.likelihood import density_scale
from gcp.cells import Cells, check_result, known_cells, tensor_of
from gcp.domain import POSITIVE
from gcp.errors import ParameterError
from gcp.fit import fit_in_series
from gcp.losses.base import Loss
from gcp.progress import series
from gcp.result import FitResult
from gcp.tensors.dense import DenseTensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_MOST_PARAMETERS = 6000
_CHUNK = 1 << 17
_AT_BOUND = 1e-7
"""Entries of a nonnegative factor below this, in its largest, are at the bound."""

_NULL = 1e-10
"""Eigenvalues of the information, in the largest, that are the freedom of scaling."""


class StandardErrors(NamedTuple):
    """Standard errors of a fitted model, shaped like it.

    Attributes
    ----------
    weights : ndarray, shape (R,)
    factors : list of ndarray, shapes (I_n, R)
        Of columns of unit norm. NaN for entries at a bound, which have no normal distribution.
    intercept : float
    main_effects : dict of str to ndarray
    dispersion : float or None
        That was assumed.
    """

    weights: FloatArray
    factors: list[FloatArray]
    intercept: float
    main_effects: dict[str, FloatArray]
    dispersion: float | None


def standard_errors(
    result: FitResult,
    data: Any,
    *,
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
) -> StandardErrors:
    """Standard errors from the Fisher information at the fitted model.

    Parameters
    ----------
    result : FitResult
        Of a loss that is a likelihood, at its minimum.
    data, mask, entry_weights
        As they were for `fit_gcp`. Of a `SparseTensor` with more than a million zeros, and more zeros than listed
        entries, a random part stands for all.
    dispersion : float, optional
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is the maximum-likelihood
        estimate on these data, which is too small by the share of parameters in the cells.

    Returns
    -------
    StandardErrors

    Raises
    ------
    ParameterError
        No likelihood, fixed or tied modes, or more than 6000 parameters.

    Notes
    -----
    The inverse of J' W J on the complement of the freedom of scaling, with J the derivatives of the model's entries
    and W the expected curvatures, carried to weights and unit-norm columns by the delta method. Entries at a bound
    are taken as fixed. A ridge, the choice of the rank and a wrong loss are not accounted for. The cells' weights
    count as numbers of cells. Costs cells x (modes x R)**2 and parameters**3.
    """
    check_result(result)
    if result.settings["fixed_modes"] or result.settings["tied_modes"]:
        raise ParameterError("standard_errors needs every mode free and untied.")
    cells, loss = known_cells(result, tensor_of(result, data, mask, entry_weights)), result.loss
    if dispersion is None:
        dispersion = loss.estimate_dispersion(cells.x, cells.m, cells.w)
    scale = 1.0 if dispersion is None else density_scale(loss, dispersion)
    loss.log_normalizer(np.ones(1))  # raises if there is no likelihood
    layout = _Layout.of(result)
    if layout.size > _MOST_PARAMETERS:
        raise ParameterError(
            f"standard_errors is for at most {_MOST_PARAMETERS} parameters: found {layout.size}; use bootstrap."
        )
    information = _information(result, cells, layout) / scale
    covariance = _inverse(information, layout.free)
    return _normalised(result, covariance, layout, dispersion)


class _Layout(NamedTuple):
    """Where the parameters stand in one vector: factors mode by mode, entries of a row together; then main effects.

    Components have their whole size in each mode in turn: factors are unit-norm columns times weight**(1 / N).
    """

    factors: list[FloatArray]
    first: list[int]
    effects: dict[int, int]
    size: int
    free: Array

    @classmethod
    def of(cls, result: FitResult) -> _Layout:
        root = np.asarray(result.weights, dtype=float) ** (1 / len(result.factors))
        factors = [np.asarray(a, dtype=float) * root for a in result.factors]
        sizes = [a.size for a in factors]
        first = [0, *np.cumsum(sizes)[:-1].tolist()]
        size, effects = sum(sizes), {}
        for name, vector in result.main_effects.items():
            effects[result.labels.names.index(name)] = size
            size += len(vector)
        free = np.ones(size, bool)
        if result.loss.model_domain.low >= 0:
            for a, k in zip(factors, first, strict=True):
                free[k : k + a.size] = (a > _AT_BOUND * a.max(axis=0)).ravel()
        return cls(factors, first, effects, size, free)


def _information(result: FitResult, cells: Cells, layout: _Layout) -> FloatArray:
    """J' W J, a run of cells at a time."""
    from scipy import sparse

    total = np.zeros((layout.size, layout.size))
    loss, rank = result.loss, result.rank
    for start in range(0, len(cells.x), _CHUNK):
        run = slice(start, start + _CHUNK)
        subs, m = cells.subs[run], cells.m[run]
        w = np.nan_to_num(np.maximum(loss.fisher(m), 0.0)) * cells.w[run]
        rows = [a[subs[:, n]] for n, a in enumerate(layout.factors)]
        columns: list[Array] = []
        values: list[FloatArray] = []
        for n, k in enumerate(layout.first):
            others = np.ones((len(m), rank))
            for row in (row for other, row in enumerate(rows) if other != n):
                others *= row
            values.append(others)
            columns.append(k + subs[:, n, None] * rank + np.arange(rank))
        for n, k in layout.effects.items():
            values.append(np.ones((len(m), 1)))
            columns.append(k + subs[:, n, None])
        value, column = np.concatenate(values, axis=1), np.concatenate(columns, axis=1)
        pointers = np.arange(0, value.size + 1, value.shape[1])
        jacobian = sparse.csr_array((value.ravel(), column.ravel(), pointers), shape=(len(m), layout.size))
        weighted = sparse.csr_array(
            ((value * w[:, None]).ravel(), column.ravel(), pointers), shape=jacobian.shape
        )
        total += (jacobian.T @ weighted).toarray()
    return total


def _inverse(information: FloatArray, free: Array) -> FloatArray:
    """The generalised inverse over the free parameters; zeros elsewhere."""
    from scipy.linalg import eigh

    part = information[np.ix_(free, free)]
    size = np.sqrt(np.maximum(np.diag(part), 1e-300))  # eigenvalues compare better in units of their own
    values, vectors = eigh(part / np.outer(size, size))
    good = values > _NULL * values[-1]
    inverse = (vectors[:, good] / values[good]) @ vectors[:, good].T / np.outer(size, size)
    found = np.zeros_like(information)
    found[np.ix_(free, free)] = inverse
    return found


def _normalised(
    result: FitResult, covariance: FloatArray, layout: _Layout, dispersion: float | None
) -> StandardErrors:
    """Standard errors of what scaling does not change: weights, unit-norm columns, centred effects."""
    rank = result.rank
    weights, factors = np.zeros(rank), [np.full(a.shape, np.nan) for a in layout.factors]
    for r in range(rank):
        gradient = np.zeros(layout.size)
        for n, (a, k) in enumerate(zip(layout.factors, layout.first, strict=True)):
            column = a[:, r]
            norm = float(np.linalg.norm(column))
            if norm == 0:
                continue
            at = k + np.arange(len(column)) * rank + r
            unit = column / norm
            gradient[at] = result.weights[r] * unit / norm
            turn = (np.eye(len(column)) - np.outer(unit, unit)) / norm
            variance = np.einsum("ij,jk,ik->i", turn, covariance[np.ix_(at, at)], turn)
            factors[n][:, r] = np.where(layout.free[at], np.sqrt(np.maximum(variance, 0.0)), np.nan)
        weights[r] = np.sqrt(np.maximum(gradient @ covariance @ gradient, 0.0))
    effects, mean = {}, np.zeros(layout.size)
    for name, vector in result.main_effects.items():
        k, n = layout.effects[result.labels.names.index(name)], len(vector)
        mean[k : k + n] = 1 / n
        centre = np.eye(n) - 1 / n
        part = covariance[k : k + n, k : k + n]
        effects[name] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", centre, part, centre), 0.0))
    intercept = float(np.sqrt(np.maximum(mean @ covariance @ mean, 0.0)))
    return StandardErrors(weights, factors, intercept, effects, dispersion)


class Bootstrap(NamedTuple):
    """Fits of data that were drawn from a fitted model, their components matched to its own.

    Attributes
    ----------
    weights : ndarray, shape (n, R)
    factors : list of ndarray, shapes (n, I_k, R)
    objectives : ndarray, shape (n,)
    """

    weights: FloatArray
    factors: list[FloatArray]
    objectives: FloatArray

    def interval(
        self, level: float = 0.95
    ) -> tuple[tuple[FloatArray, FloatArray], list[tuple[FloatArray, FloatArray]]]:
        """Percentile intervals (low, high) of the weights, and of each factor."""
        level = checks.real("level", level, above=0, below=1)
        ends = [(1 - level) / 2, (1 + level) / 2]

        def of(draws: FloatArray) -> tuple[FloatArray, FloatArray]:
            low, high = np.quantile(draws, ends, axis=0)
            return low, high

        return of(self.weights), [of(a) for a in self.factors]


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

    References
    ----------
    B. Efron, R. J. Tibshirani: An Introduction to the Bootstrap, Chapman & Hall 1993.
    """
    n = checks.whole("n", n, least=2)
    n_jobs = parallel.jobs(n_jobs)
    options["n_threads"] = parallel.threads_of_each(n_jobs, options.get("n_threads"))
    tensor = tensor_of(result, data, mask, entry_weights)
    cells = known_cells(result, tensor)
    dispersion = result.loss.estimate_dispersion(cells.x, cells.m, cells.w)
    seeds = np.random.SeedSequence(checks.seed(random_state)).spawn(n)
    tasks = [(result, tensor, dispersion, seed, options) for seed in seeds]
    found: list[FitResult] = []
    with series(verbose, n) as steps:
        for again in parallel.each(_refitted, tasks, n_jobs):
            found.append(again)
            steps.done(f"objective {again.objective:.6g}")
    factors = [np.array([f.factors[k] for f in found]) for k in range(len(result.factors))]
    return Bootstrap(np.array([f.weights for f in found]), factors, np.array([f.objective for f in found]))


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
