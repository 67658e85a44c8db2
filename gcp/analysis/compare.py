"""Are two models the same? Matching of components, whatever their order, signs and scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from gcp.base import alignment, checks
from gcp.base.errors import ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray
from gcp.objectives.known_cells import refuse_several, side_of
from gcp.result import FitResult

M = TypeVar("M")


@dataclass(frozen=True, eq=False, repr=False)
class Match(TableResult):
    """Components of one model and their partners in another.

    Attributes
    ----------
    score : float
        Mean similarity of the partners, 0 to 1.
    first, second : ndarray of int, shape (min(R, S),)
        Components that are partners, in the order of the second model.
    similarities : ndarray, shape (min(R, S),)
        Of each pair.
    """

    score: float
    first: Array
    second: Array
    similarities: FloatArray

    def _table(self) -> Table:
        return Table({"similarity": self.similarities}, {"first": self.first, "second": self.second})


def congruence(first: Any, second: Any) -> FloatArray:
    """Return Tucker's congruence of all pairs of components: the cosine of their tensors.

    It is the product over modes of their factors' cosines, with the signs of their weights.

    Parameters
    ----------
    first, second : FitResult, CPTensor, or (weights, factors)
        Models of one shape, of ranks R and S; modes and positions that both name are matched by name. Main effects do
        not count.

    Returns
    -------
    ndarray, shape (R, S)
        Between -1 and 1; 0 with a component that is switched off.
    """
    second = _like(second, first)
    signs = np.sign(_arrays(first)[0])[:, None] * np.sign(_arrays(second)[0])
    return signs * np.prod(_cosines(_unit(first), _unit(second)), axis=0)


def factor_match_score(first: Any, second: Any, *, weights: bool = True, modes: Any = None) -> Match:
    """Return the factor match score: how similar the best-matching components are.

    Parameters
    ----------
    first, second : FitResult, CPTensor, or (weights, factors)
        Models of one shape; modes and positions that both name are matched by name. Of different ranks, the
        components of the larger that have no partner do not count.
    weights : bool
        Whether different weights of partners lower their similarity.
    modes : sequence of int (or, of a FitResult, of str), or a name, optional
        The modes of the first that are compared; all by default. The others may differ in size and labels, and
        weights do not count then.

    Returns
    -------
    Match

    Notes
    -----
    The similarity of two components is the product over modes of the absolute cosines of their factors, times, with
    `weights`, ``1 - |v - w| / max(v, w)`` for their weights v and w. Partners are assigned so that the sum of the
    similarities is largest. This is the Tensor Toolbox's `score` (E. Acar, T. G. Kolda) with the best assignment in
    place of the greedy one, and without its threshold.

    References
    ----------
    G. Tomasi, R. Bro: A comparison of algorithms for fitting the PARAFAC model, Computational Statistics & Data
    Analysis 50 (2006) 1700-1734.
    """
    from scipy.optimize import linear_sum_assignment

    if modes is not None:
        modes = _numbers(first, modes)
    second = _like(second, first, modes)
    one, other = _unit(first, modes), _unit(second, modes)
    weights = checks.truth("weights", weights)
    similarity = np.prod(np.abs(_cosines(one, other)), axis=0)
    if weights and modes is None:
        v, w = one[0][:, None], other[0][None, :]
        largest = np.maximum(v, w)
        similarity = similarity * (1 - np.abs(v - w) / np.where(largest > 0, largest, 1.0))
    rows, columns = linear_sum_assignment(-similarity)
    order = np.argsort(columns)
    rows, columns = rows[order], columns[order]
    found = similarity[rows, columns]
    return Match(float(found.mean()) if len(found) else 1.0, rows, columns, found)


def align(model: M, to: Any) -> M:
    """Return the model with components in the order of another, and signs like there.

    Parameters
    ----------
    model : FitResult, CPTensor, or (weights, factors)
    to : FitResult, CPTensor, or (weights, factors)
        Of the same shape; modes and positions that both name are matched by name.

    Returns
    -------
    like model
        Components without a partner come last. Signs change in pairs, so that the model stays the same: where an odd
        number of factors point away from their partners, the one that does so least is left.
    """
    to = _like(to, model)
    match = factor_match_score(model, to, weights=False)
    own_weights, own = _arrays(model)
    rest = np.setdiff1d(np.arange(len(own_weights)), match.first)
    order = np.concatenate([match.first, rest]).astype(int)
    cosines = _cosines(_unit(model), _unit(to))[:, match.first, match.second]
    signs = np.where(cosines < 0, -1.0, 1.0)
    for column in np.flatnonzero(np.prod(signs, axis=0) < 0):
        signs[np.argmin(np.abs(cosines[:, column])), column] *= -1
    signs = np.concatenate([signs, np.ones((len(own), len(rest)))], axis=1)
    factors = [(a[:, order] * sign).astype(a.dtype) for a, sign in zip(own, signs, strict=True)]
    weights = own_weights[order]
    if isinstance(model, FitResult):
        return replace(
            model,
            weights=weights,
            factors=factors,
            fitted_factors=[a[:, order] for a in model.fitted_factors],
            row_bounds=[sides[:, order] for sides in model.row_bounds],
        )
    from tensorly.cp_tensor import CPTensor

    aligned = CPTensor((weights, factors)) if isinstance(model, CPTensor) else (weights, factors)
    return aligned  # type: ignore[return-value]


@dataclass(frozen=True, eq=False, repr=False)
class Degeneracy(TableResult):
    """A pair of components that nearly cancel.

    Attributes
    ----------
    first, second : int
    congruence : float
        Near -1.
    """

    first: int
    second: int
    congruence: float


def degeneracies(model: Any, threshold: float = -0.85) -> list[Degeneracy]:
    """Return pairs of components that nearly cancel.

    They are a sign of too many components, or of a model that has no best fit.

    Parameters
    ----------
    model : FitResult, CPTensor, or (weights, factors)
    threshold : float
        Pairs with a congruence below this are reported, the worst first.

    Notes
    -----
    In a two-factor degeneracy two components grow without end while their sum stays. A ridge (`l2_reg`), bounds at
    0, or a smaller rank prevent it.

    References
    ----------
    J. B. Kruskal, R. A. Harshman, M. E. Lundy: How 3-MFA data can cause degenerate PARAFAC solutions, in: Multiway
    Data Analysis, North-Holland 1989, 115-122.
    """
    threshold = checks.real("threshold", threshold)
    found = congruence(model, model)
    pairs = [
        Degeneracy(int(i), int(j), float(found[i, j]))
        for i, j in zip(*np.triu_indices(len(found), 1), strict=True)
        if found[i, j] < threshold
    ]
    return sorted(pairs, key=lambda pair: pair.congruence)


def _arrays(model: Any) -> tuple[FloatArray, list[FloatArray]]:
    """Return weights (R,) and factors (I_n, R)."""
    refuse_several(model)
    try:
        if isinstance(model, FitResult):
            weights, factors = model.weights, model.factors
        elif hasattr(model, "factor_matrices"):  # pyttb
            weights, factors = model.weights, model.factor_matrices
        else:
            weights, factors = model
        arrays = [checks.numbers("factors", a) for a in factors]
        given = checks.numbers("weights", np.ones(arrays[0].shape[1]) if weights is None else weights)
        fits = given.ndim == 1 and all(a.ndim == 2 and a.shape[1] == len(given) for a in arrays)
        if fits and arrays and all(np.isfinite(a).all() for a in (given, *arrays)):
            return given, arrays
    except (TypeError, ValueError, AttributeError, IndexError):  # of what cannot be taken apart
        pass
    raise ParameterError(
        "Expected a FitResult, a CPTensor or (weights, factors) with finite matrices of as many columns as there "
        f"are weights: found {checks.show(model)}."
    )


def _like(second: Any, first: Any, modes: Sequence[int] | None = None) -> Any:
    """Return the second model in the order of the first's modes and positions, if both have names to go by."""
    if not (isinstance(first, FitResult) and isinstance(second, FitResult)):
        return second
    free = [] if modes is None else [n for n in range(len(first.shape)) if n not in modes]
    one, other = side_of(first, "the first model", free), side_of(second, "the second model")
    return alignment.align(other, one, error=ParameterError).of_model(second)


def _numbers(model: Any, modes: Any) -> list[int]:
    n_modes = len(_arrays(model)[1])
    try:
        numbers: list[Any] = [modes] if isinstance(modes, str) else list(modes)
        if not numbers:
            raise ParameterError("modes must name one mode at least: found none.")
        if isinstance(model, FitResult):
            return [model.labels.number(mode) for mode in numbers]
        if all(isinstance(n, int | np.integer) and 0 <= n < n_modes for n in numbers):
            return numbers
    except TypeError:
        pass
    raise ParameterError(f"modes must be numbers from 0 to {n_modes - 1}: found {modes!r}.")


def _unit(model: Any, modes: Sequence[int] | None = None) -> tuple[FloatArray, list[FloatArray]]:
    """Return absolute weights (R,), factors' norms included, and factors (I_n, R) with columns of norm 1 (or 0)."""
    weights, factors = _arrays(model)
    norms = [np.linalg.norm(a.astype(float), axis=0) for a in factors]
    unit = [a / np.where(norm > 0, norm, 1.0) for a, norm in zip(factors, norms, strict=True)]
    if modes is not None:
        unit = [unit[n] for n in modes]
    return np.abs(weights.astype(float)) * np.prod(norms, axis=0), unit


def _cosines(
    one: tuple[FloatArray, list[FloatArray]], other: tuple[FloatArray, list[FloatArray]]
) -> FloatArray:
    """Return cosines of all pairs of components in each mode, shape (modes, R, S).

    Rounding never makes them exceed 1.
    """
    shapes = [[len(a) for a in factors] for _, factors in (one, other)]
    if shapes[0] != shapes[1]:
        raise ParameterError(f"The models have shapes {tuple(shapes[0])} and {tuple(shapes[1])}.")
    return np.clip([a.T @ b for a, b in zip(one[1], other[1], strict=True)], -1.0, 1.0)
