"""The parameters of a model, as information about them has them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.objectives.designs.given_designs import matrix_of
from gcp.result import FitResult

AT_BOUND = 1e-7
"""Entries of a nonnegative factor below this, in its largest, are at the bound."""


class ParameterLayout(NamedTuple):
    """Places of parameters in one vector: factors mode by mode, entries of a row together; main effects; the loss's.

    Components have their whole size in each mode in turn: factors are unit-norm columns times weight**(1 / N). Tied
    modes share their place. A mode with a design has its coefficients in place of the factor.

    Attributes
    ----------
    first : list of int
        Place of each mode's first entry.
    signs : list of ndarray, shapes (R,)
        By which a mode's columns differ from those of the mode that it is tied to.
    effects : dict of int to int
        Place of the first main effect of a mode.
    r : int or None
        Place of the estimated parameter of a negative binomial, if it is one number.
    of_loss : slice
        Places of free numbers of other parameters of the loss that tell of the model, and it of them; mostly empty.
    free : ndarray of bool, shape (P,)
        Not fixed.
    bound : ndarray of bool, shape (P,)
        At a bound.
    designs : dict of int to array_like, shapes (I_n, K_n)
        Of the modes that have one, dense or sparse.
    """

    shape: tuple[int, ...]
    rank: int
    first: list[int]
    signs: list[FloatArray]
    effects: dict[int, int]
    r: int | None
    of_loss: slice
    size: int
    free: Array
    bound: Array
    designs: dict[int, Any]

    @property
    def sizes(self) -> list[int]:
        """Rows of parameters of each mode: its positions, or coefficients."""
        return [self.designs[n].shape[1] if n in self.designs else size for n, size in enumerate(self.shape)]

    def columns(self, mode: int, r: int) -> Array:
        """Return the places (I_n,) of a component's entries in a mode, or (K_n,) of its coefficients."""
        return self.first[mode] + np.arange(self.sizes[mode]) * self.rank + r

    def factors(self, theta: FloatArray) -> list[FloatArray]:
        """Return the factors (I_n, R), whose columns have their whole size, from theta (P,)."""
        found = []
        for n, (k, size, sign) in enumerate(zip(self.first, self.sizes, self.signs, strict=True)):
            own = theta[k : k + size * self.rank].reshape(size, self.rank) * sign
            found.append(np.asarray(self.designs[n] @ own) if n in self.designs else own)
        return found

    def touched(self, mode: int, at: Array, marks: Array) -> Array:
        """Return which positions (I_n,) have a marked parameter among those at some places; `marks` is (P,)."""
        if mode not in self.designs:
            return marks[at]
        return np.asarray(abs(self.designs[mode][:, marks[at]]).sum(axis=1)).reshape(-1) > 0


def parameters(result: FitResult) -> tuple[ParameterLayout, FloatArray]:
    """Return the layout of a model's parameters, and their values (P,)."""
    root = np.asarray(result.weights, dtype=float) ** (1 / len(result.factors))
    factors = [np.nan_to_num(np.asarray(a, dtype=float)) * root for a in result.factors]
    designs = {n: matrix_of(basis, result.labels, n, result.shape[n]) for n, basis in result.problem.designs}
    for n, name in ((n, result.labels.names[n]) for n in designs):
        factors[n] = result.coefficients[name] * root
    leaders = list(range(len(factors)))
    for group in result.problem.tied_modes:
        for mode in group:
            leaders[mode] = min(group)
    first, signs, parts, free, bound, size = [0] * len(factors), [], [], [], [], 0
    for n, a in enumerate(factors):
        signs.append(np.where(np.sum(a * factors[leaders[n]], axis=0) < 0, -1.0, 1.0))
        first[n] = first[leaders[n]] if leaders[n] < n else size
        if leaders[n] < n:
            continue
        parts.append(a.ravel())
        free.append(np.full(a.size, n not in result.problem.fixed_modes))
        bound.append(_at_bound(result, n, a).ravel())
        size += a.size
    effects = {}
    for name, vector in result.main_effects.items():
        effects[result.labels.names.index(name)] = size
        parts.append(np.asarray(vector, dtype=float) + result.intercept / len(result.main_effects))
        size += len(vector)
    r = size if has_one_r(result) else None
    own = np.ones(0)
    if r is not None:
        own = np.array([float(getattr(result.loss, "r"))])  # noqa: B009
    elif entangled(result):
        loss = result.loss
        own = np.concatenate([loss.estimable[k].free(getattr(loss, k)) for k in result.problem.estimated])
    parts.append(own)
    first_own, size = size, size + len(own)
    of_loss = slice(size if r is not None else first_own, size)
    moves, ends = np.ones(size, bool), np.zeros(size, bool)
    if free:
        ends[: len(np.concatenate(bound))] = np.concatenate(bound)
        moves[: len(np.concatenate(free))] = np.concatenate(free)
    places = first, signs, effects, r, of_loss, size
    layout = ParameterLayout(result.shape, result.rank, *places, moves, ends, designs)
    return layout, np.concatenate(parts or [np.ones(0)])


def _at_bound(result: FitResult, mode: int, a: FloatArray) -> Array:
    """Return a mask of entries (I_n, R) at a bound of the loss or of the fit; of differing bounds, the widest.

    Of modes with a design, of coefficients (K_n, R).
    """
    ends = (result.loss.model_domain.low >= 0) & (a <= AT_BOUND * a.max(axis=0))
    if result.row_bounds:
        fitted, (low, high) = result.fitted_factors[mode], result.row_bounds[mode]
        if len(fitted) != len(a):
            fitted = replace(result, factors=result.fitted_factors).coefficients[result.labels.names[mode]]
        near = AT_BOUND * np.abs(fitted).max(axis=0)
        ends |= (fitted <= low + near) | (fitted >= high - near)
    return np.asarray(ends)


def of_penalties(result: FitResult, layout: ParameterLayout, theta: FloatArray) -> FloatArray | None:
    """Return what penalties of one mode add to the information about theta (P,), in units of the loss; else None."""
    penalties = result.problem.penalties.of_components
    parts = [one.information(layout.factors(theta)) for one in penalties] if layout.rank else []
    known = [part for part in parts if part is not None]
    if not known:
        return None
    total, cuts = np.zeros((layout.size, layout.size)), np.cumsum([0, *layout.shape])
    for r, block in enumerate(sum(known)):  # type: ignore[arg-type]
        for n, first in enumerate(cuts[:-1]):
            for k, second in enumerate(cuts[:-1]):
                own = block[first : cuts[n + 1], second : cuts[k + 1]]
                at = np.ix_(layout.columns(n, r), layout.columns(k, r))
                total[at] += layout.signs[n][r] * layout.signs[k][r] * own
    return total


def has_one_r(result: FitResult) -> bool:
    """Return whether the fit estimated the one r of a negative binomial, whose expected information is known."""
    return hasattr(result.loss, "shape_terms") and result.loss.by is None and "r" in result.problem.estimated


def entangled(result: FitResult) -> tuple[str, ...]:
    """Return the estimated parameters of the loss whose own errors change those of the model, but for that r."""
    known = (*result.loss.orthogonal, *(["r"] if has_one_r(result) else []))
    return tuple(name for name in result.problem.estimated if name not in known)
