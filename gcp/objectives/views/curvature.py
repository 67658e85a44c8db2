"""A quadratic model of an objective, from the curvature of its entries summed over the slices of every mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from gcp.base.types import Array, Factors, FloatArray
from gcp.losses.formula import Formula
from gcp.objectives.penalties.base import FactorQuadratic
from gcp.tensors.base import TensorData

_LEAST_TOTAL = 1e-300
"""Least total of all curvatures, so that shares of it are numbers."""

_LEAST_ROW = 1e-6
"""Least curvature of a slice, relative to the mean over the slices of its mode."""


def curved_pass(
    tensor: TensorData, formula: Formula, factors: Factors, n_threads: int, effects: Factors
) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
    """Return value, gradients, shapes (I_n, R) and (I_n,), and curvatures summed over slices, (I_n,), for any data.

    Where one pass does not give the sums, a second one does: they are the gradient in main effects of a loss whose
    derivative is the curvature.
    """
    if tensor.has_marginals:
        return tensor.loss_mttkrps_and_marginals(formula, factors, n_threads, effects)
    zero = None if formula.zero is None else (2 * formula.zero[1], 0.0)
    bends = formula._replace(df=formula.weight or formula.d2f, zero=zero)
    none = list(effects) or [np.zeros(len(a), np.asarray(a).dtype) for a in factors]
    with np.errstate(all="ignore"):  # at a point that a method tries in vain they may be infinite
        found = tensor.loss_and_mttkrps(formula, factors, n_threads, effects)
        sums = tensor.loss_and_mttkrps(bends, factors, n_threads, none)[2]
    return *found, [np.maximum(np.asarray(s, dtype=float), 0.0) for s in sums]


@dataclass(frozen=True)
class GaussNewton:
    """The Gauss-Newton matrix J' W J + ridges of a CP model, with an outer product for the entries' curvatures W.

    J holds the derivatives of the model's entries in those of the factors. With such a W the matrix follows from the
    factors and their weighted Gram matrices, without a pass over the data.

    Attributes
    ----------
    factors : ndarray, shape (sum of sizes, R)
        Of all modes, under each other.
    rows : ndarray, shape (sum of sizes,)
        The vectors whose outer product is W, one behind the other.
    sizes : ndarray of int, shape (N,)
        Of the modes.
    ridge : ndarray, shape (N,)
        What penalties add to the diagonal in the rows of each mode's factor.
    quadratics : tuple of (int, FactorQuadratic)
        Modes, and penalties with a matrix along them, which add strengths[r] * M in column r.
    summand_of : ndarray of int, shape (N,), or None
        Of a sum of such matrices (`summed`): which one each mode belongs to; None is one matrix.
    variable_of : ndarray of int, shape (N,)
        The variable of each mode: tied modes share one, a fixed mode has -1.
    maps : tuple of (int, array_like of shape (I_n, K_n))
        Z_n of the modes whose factor is A_n = Z_n C_n, with C_n the variable.
    """

    factors: FloatArray
    rows: FloatArray
    sizes: Array
    ridge: FloatArray
    variable_of: Array
    maps: tuple[tuple[int, Any], ...] = ()
    quadratics: tuple[tuple[int, FactorQuadratic], ...] = ()
    summand_of: Array | None = None

    @classmethod
    def of(
        cls,
        factors: Factors,
        marginals: Sequence[Array],
        ridge: FloatArray | float = 0.0,
        quadratics: tuple[tuple[int, FactorQuadratic], ...] = (),
        *,
        least: float = _LEAST_ROW,
    ) -> GaussNewton:
        """Make the matrix from factors (I_n, R) and the entries' curvatures summed over slices, shapes (I_n,).

        Those of a slice are at least such a part of the mean over the slices of its mode.
        """
        sizes = np.array([len(a) for a in factors])
        stacked = np.concatenate([np.asarray(a, dtype=float) for a in factors])
        ridges = np.full(len(sizes), ridge, dtype=float)
        rows = _outer_product(marginals, sizes, least)
        return cls(stacked, rows, sizes, ridges, np.arange(len(sizes)), quadratics=quadratics)

    @classmethod
    def summed(
        cls,
        factors: Factors,
        parts: Sequence[CurvedPart],
        ridge: FloatArray,
        quadratics: tuple[tuple[int, FactorQuadratic], ...] = (),
    ) -> GaussNewton:
        """Return the sum of matrices of models that share factors (I_n, R), each of some modes and positions of them.

        `ridge` (N,) and `quadratics` are of the factors. Every matrix has modes of its own here, with row weights of
        0 at positions that are not its own; what penalties add is with the first of each factor's.
        """
        stacked, rows, modes, owners = [], [], [], []
        for k, part in enumerate(parts):
            cuts = np.cumsum(part.matrix.sizes)[:-1]
            for place, own in enumerate(np.split(part.matrix.rows, cuts)):
                mode, positions = part.modes[place], part.positions[place]
                whole = np.zeros(len(factors[mode]))
                whole[slice(None) if positions is None else positions] = own if place else part.weight * own
                stacked.append(_own_columns(np.asarray(factors[mode], dtype=float), part.columns))
                rows.append(whole)
                modes.append(mode)
                owners.append(k)
        sizes, variable_of = np.array([len(a) for a in stacked]), np.array(modes)
        ridges = np.zeros(len(modes))
        for mode in range(len(factors)):
            ridges[modes.index(mode)] = ridge[mode]
        along = tuple((modes.index(mode), own) for mode, own in quadratics)
        return cls(
            np.concatenate(stacked),
            np.concatenate(rows),
            sizes,
            ridges,
            variable_of,
            quadratics=along,
            summand_of=np.array(owners),
        )

    def restricted(
        self, groups: Sequence[tuple[int, ...]], maps: tuple[tuple[int, Any], ...] = ()
    ) -> GaussNewton:
        """Return the matrix in one variable per group of tied modes; modes in no group are fixed."""
        group_of = np.full(int(self.variable_of.max()) + 1, -1)
        for variable, group in enumerate(groups):
            group_of[list(group)] = variable
        return replace(self, variable_of=group_of[self.variable_of], maps=maps)

    def in_variables(self) -> list[VariablePart]:
        """Return what each mode's factor (I_n, R) and row weights (I_n,) are in its variable."""
        cuts, maps = np.cumsum(self.sizes)[:-1], dict(self.maps)
        parts = []
        for n, (a, d) in enumerate(zip(np.split(self.factors, cuts), np.split(self.rows, cuts), strict=True)):
            if n not in maps:
                parts.append(VariablePart(d[:, None] * a, d, None))
                continue
            z = maps[n]
            weighted = sparse.csr_array(z) if sparse.issparse(z) else np.asarray(z)
            matrix = sparse.csr_array(weighted.T @ (weighted * d[:, None]))
            own = matrix.diagonal()
            parts.append(VariablePart(np.asarray(weighted.T @ (d[:, None] * a)), own, matrix))
        return parts

    def penalties_in_variables(self) -> tuple[FloatArray, list[PenaltyPart]]:
        """Return the ridge (N,) of modes without a map, and the other penalties of free modes in their variables."""
        if not (self.maps or self.quadratics):
            return self.ridge, []
        maps, ridge, parts = dict(self.maps), self.ridge.copy(), []
        for mode, own in self.quadratics:
            if self.variable_of[mode] >= 0:
                matrix = sparse.csr_array(own.matrix, dtype=float)
                parts.append(self._part(mode, own.strengths, _between(maps.get(mode), matrix)))
        for mode, z in self.maps:
            if self.variable_of[mode] >= 0 and ridge[mode]:
                identity = sparse.eye_array(z.shape[0], format="csr")
                strengths = np.full(self.factors.shape[1], ridge[mode])
                parts.append(self._part(mode, strengths, _between(z, identity)))
                ridge[mode] = 0.0
        return ridge, parts

    def _part(self, mode: int, strengths: FloatArray, matrix: sparse.csr_array) -> PenaltyPart:
        """Return a penalty's part, with strengths of 0 for columns that are no components; `strengths` (<= R,)."""
        wide = np.zeros(self.factors.shape[1])
        wide[: len(strengths)] = strengths
        return PenaltyPart(int(self.variable_of[mode]), wide, matrix)


class CurvedPart(NamedTuple):
    """One of several Gauss-Newton matrices that are added up.

    Attributes
    ----------
    matrix : GaussNewton
        Without penalties.
    weight : float
        By which it is multiplied.
    modes : tuple of int
        Which modes of the whole its own are.
    positions : tuple of (ndarray of int, shape (k,), or None)
        Of each of these, which rows of the whole factor are its own; None is all.
    columns : ndarray of int, shape (c,), or None
        Which columns of the factors are its own; None is all.
    """

    matrix: GaussNewton
    weight: float
    modes: tuple[int, ...]
    positions: tuple[Array | None, ...]
    columns: Array | None = None


class VariablePart(NamedTuple):
    """One mode's part of a Gauss-Newton matrix, in its variable.

    Attributes
    ----------
    weighted : ndarray, shape (K, R)
        Z' D A, with the row weights D.
    rows : ndarray, shape (K,)
        The diagonal of Z' D Z.
    matrix : sparse array, shape (K, K), or None
        Z' D Z; None where it is its diagonal.
    """

    weighted: FloatArray
    rows: FloatArray
    matrix: sparse.csr_array | None


class PenaltyPart(NamedTuple):
    """What a penalty adds to a Gauss-Newton matrix: strengths[r] * matrix, in column r of one variable.

    Attributes
    ----------
    variable : int
    strengths : ndarray, shape (R,)
    matrix : sparse array, shape (K, K)
    """

    variable: int
    strengths: FloatArray
    matrix: sparse.csr_array


def _own_columns(factor: FloatArray, columns: Array | None) -> FloatArray:
    """Return a factor (I, R) with columns of 0 where they are none of these (c,)."""
    if columns is None:
        return factor
    found = np.zeros_like(factor)
    found[:, columns] = factor[:, columns]
    return found


def _between(z: Any, matrix: sparse.csr_array) -> sparse.csr_array:
    """Return Z' M Z of a map (I, K), and of M (I, I); M itself where there is no map."""
    if z is None:
        return matrix
    own = sparse.csr_array(z) if sparse.issparse(z) else np.asarray(z)
    return sparse.csr_array(own.T @ (matrix @ own))


def _outer_product(marginals: Sequence[Array], sizes: Array, least: float) -> FloatArray:
    """Return vectors, one behind the other, whose outer product has the sums (I_n,), or 1 if these are unusable."""
    sums = np.concatenate(marginals)
    total = float(sums.sum()) / len(sizes)
    if not (np.isfinite(total) and total > _LEAST_TOTAL):
        return np.ones(len(sums))
    rows = np.maximum(sums * (np.repeat(sizes, sizes) / total), least)
    rows[: sizes[0]] *= total / float(np.prod(sizes, dtype=float))  # no roots: scaling by 2 stays exact
    return rows
