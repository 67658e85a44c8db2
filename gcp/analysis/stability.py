"""Are components the same from other starts, and in each half of the data?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.compare import factor_match_score
from gcp.base import checks
from gcp.base.alignment import Alignment
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.table_result import Table, TableResult
from gcp.base.types import FloatArray, RandomSource
from gcp.fit import fit_in_series
from gcp.result import FitResult
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.tensors.intake.carried import popped
from gcp.tensors.intake.coerce import as_tensor, in_one_piece
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.rearranged import rearranged

_OF_DATA = ("mask", "entry_weights", "modes")
"""Options of `fit_gcp` that make the tensor of the data."""

_NEAR = 1e-3
"""Share of the explained deviance by which starts may miss the best one and still have found the same minimum."""


@dataclass(frozen=True, eq=False, repr=False)
class StartStability(TableResult):
    """Fits of the same data from several starts, the best first.

    Attributes
    ----------
    results : list of FitResult
    objectives : ndarray, shape (n,)
    scores : ndarray, shape (n, n)
        Factor match scores of all pairs, without weights.
    share : float
        Of the starts, how many end as low as the best (within 0.1 percent of what it explains).
    score : float
        Mean score of those with the best one: near 1, the components do not depend on the start. NaN if there is no
        other.
    """

    results: list[FitResult]
    objectives: FloatArray
    scores: FloatArray
    share: float
    score: float

    def _table(self) -> Table:
        columns = {"objective": self.objectives, "score_with_best": self.scores[0]}
        return Table(columns, {"start": np.arange(len(self.objectives))})


def start_stability(
    data: Any, rank: int, n_starts: int = 10, *, random_state: RandomSource | None = None, **options: Any
) -> StartStability:
    """Fit from several starts and compare where they end.

    Parameters
    ----------
    data, rank
        As for `fit_gcp`.
    n_starts : int
        At least 2.
    random_state : int, numpy Generator, RandomState or SeedSequence, optional
    **options
        Further arguments of `fit_gcp`; not `n_starts`.

    Returns
    -------
    StartStability
    """
    checks.whole("n_starts", n_starts, least=2, most=checks.MOST_REPEATS)
    tensor = as_tensor(data, *(options.pop(name, None) for name in _OF_DATA), **popped(options))
    problem, plan = problem_and_plan(tensor, rank, options)
    results = [fit_in_series(problem, replace(plan, seed=seed)) for seed in _seeds(random_state, n_starts)]
    results.sort(key=lambda result: result.objective)
    objectives = np.array([result.objective for result in results])
    scores = np.array([[factor_match_score(a, b, weights=False).score for b in results] for a in results])
    best = results[0]
    near = objectives - best.objective <= _NEAR * abs(best.null_objective - best.objective)
    score = float(scores[0, near][1:].mean()) if near.sum() > 1 else np.nan
    return StartStability(results, objectives, scores, float(near.mean()), score)


@dataclass(frozen=True, eq=False, repr=False)
class SplitHalf(TableResult):
    """Models of halves of the data.

    Attributes
    ----------
    scores : ndarray, shape (n_splits,)
        Factor match score of the two halves' models of each split, over the other modes.
    results : list of (FitResult, FitResult)
    """

    scores: FloatArray
    results: list[tuple[FitResult, FitResult]]

    def _table(self) -> Table:
        return Table({"score": self.scores}, {"split": np.arange(len(self.scores))})


def split_half(
    data: Any,
    rank: int,
    mode: int | str = 0,
    n_splits: int = 3,
    *,
    random_state: RandomSource | None = None,
    **options: Any,
) -> SplitHalf:
    """Fit two random halves of a mode's positions, and compare the factors of the other modes.

    Parameters
    ----------
    data, rank
        As for `fit_gcp`.
    mode : int or str
        Number or name; whose positions are replicates of each other (samples, trials, days); at least 2.
    n_splits : int
    random_state : int, numpy Generator, RandomState or SeedSequence, optional
    **options
        Further arguments of `fit_gcp`.

    Returns
    -------
    SplitHalf

    References
    ----------
    R. A. Harshman, W. S. De Sarbo: An application of PARAFAC to a small sample problem, in: Research Methods for
    Multimode Data Analysis, Praeger 1984, 602-642.
    """
    checks.whole("n_splits", n_splits, most=checks.MOST_REPEATS)
    beside = [options.pop(name, None) for name in _OF_DATA]
    tensor = stored(in_one_piece(data, *beside, **popped(options)))
    mode = (tensor.labels or ModeLabels.default(tensor.shape)).number(mode)
    size = tensor.shape[mode]
    if size < 2 or len(tensor.shape) < 2:
        raise ParameterError(
            f"split_half needs two positions of mode {mode}, and another mode: found {tensor.shape}."
        )
    others = [n for n in range(len(tensor.shape)) if n != mode]
    results = []
    for seed in _seeds(random_state, n_splits):
        rng = np.random.default_rng(seed)
        order = rng.permutation(size)
        halves = np.sort(order[: size // 2]), np.sort(order[size // 2 :])
        first, second = (  # each from a start of its own: a common one would lead to like ends
            fit_in_series(*problem_and_plan(take(tensor, mode, half), rank, options | {"random_state": rng}))
            for half in halves
        )
        results.append((first, second))
    scores = [factor_match_score(a, b, modes=others).score for a, b in results]
    return SplitHalf(np.array(scores), results)


def take(tensor: Tensor, mode: int, positions: ArrayLike) -> Tensor:
    """Return some slices of a tensor: those at positions (k,) of a mode."""
    chosen = [np.asarray(positions) if n == mode else None for n in range(tensor.ndim)]
    return rearranged(tensor, Alignment(tuple(range(tensor.ndim)), tuple(chosen)))


def _seeds(random_state: RandomSource | None, n: int) -> list[int]:
    rng = checks.generator(random_state, "stability")
    return [int(seed) for seed in rng.integers(2**63, size=n)]
