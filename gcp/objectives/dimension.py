"""Dimension of the set of models: how many numbers the data could determine."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.several import SeveralLosses
from gcp.objectives.designs.given_designs import matrix_of
from gcp.objectives.designs.linear_maps import Undetermined
from gcp.objectives.known_cells import check_result
from gcp.objectives.model import Model

_MOST_COLUMNS = 600
"""Columns, at most, of a Jacobian whose rank is looked for; that of a larger one is taken to be the count."""

_SPARE = 8
"""Rows of the Jacobian beyond its columns."""

_ZERO = 1e-9
"""Singular values, in the largest, that are none."""


@dataclass(frozen=True)
class Structure:
    """The structure of a model's parameters.

    Attributes
    ----------
    shape : tuple of int
        Sizes of the modes; of one with a design, the rank of the design, for models are in step with those of that
        size.
    rank : int
    groups : tuple of tuple of int
        Free modes; those that share one factor are in one group.
    effects : tuple of int
        Modes with main effects, beside which there is an intercept.
    fixed : dict of int to ndarray, shapes (I_n, R)
        Factors that are given.
    """

    shape: tuple[int, ...]
    rank: int
    groups: tuple[tuple[int, ...], ...]
    effects: tuple[int, ...]
    fixed: dict[int, FloatArray]

    @classmethod
    def of(cls, result: Model) -> Structure:
        """Return the structure of a fitted model."""
        fixed, tied = result.problem.fixed_modes, result.problem.tied_modes
        in_ties = {mode for group in tied for mode in group}
        alone = [(n,) for n in range(len(result.shape)) if n not in in_ties and n not in fixed]
        effects = [n for n, name in enumerate(result.labels.names) if name in result.main_effects]
        given = {n: np.asarray(result.factors[n], dtype=float) for n in fixed}
        shape = list(result.shape)
        for n, basis in result.problem.designs:
            shape[n] = Undetermined.by(matrix_of(basis, result.labels, n, shape[n])).rank
        return cls(tuple(shape), result.rank, (*tied, *alone), tuple(effects), given)

    @property
    def sizes(self) -> list[int]:
        """Positions of each group."""
        return [self.shape[group[0]] for group in self.groups]

    @property
    def n_columns(self) -> int:
        """Entries of free factors and main effects, and the intercept."""
        effects = sum(self.shape[n] for n in self.effects) + bool(self.effects)
        return self.rank * sum(self.sizes) + effects

    def resized(self, group: tuple[int, ...], size: int) -> Structure:
        """Return the structure with another number of positions in these modes."""
        return replace(self, shape=tuple(size if n in group else k for n, k in enumerate(self.shape)))


def n_parameters(result: Model) -> int:
    """Return the number of free parameters of a model that the cells of its tensor, all known, determine.

    The dimension of the set of all models of its rank, modes (free, tied or fixed) and main effects, and the
    parameters of the loss that the fit estimated. Of three and more modes that is mostly the number of entries of
    free factors, less one scale for each component and free mode but one; of matrices, R (I + J - R); never more
    than there are cells.
    """
    check_result(result)
    loss = result.loss
    if isinstance(loss, SeveralLosses):
        return dimension(Structure.of(result)) + (loss.n_own if result.problem.estimated else 0)
    estimated = (loss.estimable[name].free(getattr(loss, name)) for name in result.problem.estimated)
    return dimension(Structure.of(result)) + sum(map(len, estimated))


def counted(structure: Structure) -> int:
    """Return the number of parameters without the freedom of scaling, or of all cells if they are fewer.

    Without, of each component, all scales of free factors but one, which only matter as a product; and without the
    mean of each main effect.
    """
    scaling = structure.rank * max(len(structure.groups) - 1, 0) + len(structure.effects)
    return min(structure.n_columns - scaling, math.prod(structure.shape))


def dimension(structure: Structure) -> int:
    """Return the rank of the Jacobian of the model's entries in its parameters at a generic point.

    It is less than `counted` where more than scaling leaves the model as it is: of matrices, R x R transformations
    of the components; of three modes, in high ranks of some shapes (secant varieties of less than their expected
    dimension). Where it is dear to find, and no such case is known, it is `counted`.

    Notes
    -----
    Positions beyond rank + 2 of a mode add as many dimensions each as the last one did: the others determine by then
    what can be determined of the other modes' factors. So the Jacobian of a smaller tensor says how many.
    """
    if len(structure.shape) == 2 and not structure.fixed:
        return _of_matrices(structure)
    if _has_unique_components(structure):
        return counted(structure)
    enough = structure.rank + 2
    least, long = structure, []
    for group, size in zip(structure.groups, structure.sizes, strict=True):
        if size > enough:
            least = least.resized(group, enough)
            long.append((group, size - enough))
    if least.n_columns > _MOST_COLUMNS:
        return counted(structure)
    found = _numeric(least)
    return found + sum(more * (_numeric(least.resized(group, enough + 1)) - found) for group, more in long)


def _has_unique_components(structure: Structure) -> bool:
    """Return if Jennrich's condition holds: two modes with as many positions as components, and a third of two."""
    sizes = sorted(structure.shape, reverse=True)
    is_plain = not (structure.effects or structure.fixed) and len(structure.groups) == len(sizes)
    return is_plain and len(sizes) > 2 and sizes[1] >= structure.rank and sizes[2] > 1


def _of_matrices(structure: Structure) -> int:
    """R x R transformations of the components leave the model as it is; orthogonal ones of tied modes."""
    rows, columns = structure.shape
    if len(structure.groups) == 1:
        rank = min(structure.rank, rows)
        return rank * rows - rank * (rank - 1) // 2
    # Effects of a mode take any mean over the other one: what is left has one position less there.
    inside = rows - (1 in structure.effects), columns - (0 in structure.effects)
    rank = min(structure.rank, *inside)
    effects = sum(structure.shape[n] - 1 for n in structure.effects) + bool(structure.effects)
    return rank * (sum(inside) - rank) + effects


def _numeric(structure: Structure) -> int:
    """Return the rank of the Jacobian of random combinations of the entries, as many as there are parameters.

    The combinations are products of one vector per mode, so that no entry is looked at.
    """
    jacobian = _random_jacobian(structure, structure.n_columns + _SPARE)
    if not jacobian.size:
        return 0
    jacobian /= np.linalg.norm(jacobian, axis=1, keepdims=True)
    jacobian /= np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    values = np.linalg.svd(jacobian, compute_uv=False)
    return int(np.count_nonzero(values > _ZERO * values[0]))


def _random_jacobian(structure: Structure, rows: int) -> FloatArray:
    """Return the Jacobian of random combinations of the entries, shape (rows, columns)."""
    rng = np.random.default_rng(0)
    vectors = [rng.standard_normal((rows, size)) for size in structure.shape]
    sums = [v.sum(axis=1) for v in vectors]  # what a vector makes of a column of ones
    factors = dict(structure.fixed)
    for group in structure.groups:
        factors |= dict.fromkeys(group, rng.standard_normal((structure.shape[group[0]], structure.rank)))
    seen = [v @ factors[n] for n, v in enumerate(vectors)]
    columns: list[Array] = []
    for group in structure.groups:
        parts = (
            vectors[n][:, :, None] * _product(seen, n, (rows, structure.rank))[:, None, :] for n in group
        )
        columns.append(sum(parts, np.zeros(())).reshape(rows, -1))
    for n in structure.effects:
        columns.append(vectors[n] * _product(sums, n, (rows,))[:, None])
    if structure.effects:
        columns.append(_product(sums, None, (rows,))[:, None])
    return np.concatenate(columns, axis=1) if columns else np.zeros((rows, 0))


def _product(arrays: list[FloatArray], without: int | None, shape: tuple[int, ...]) -> FloatArray:
    """Return the elementwise product of arrays of one shape, without one of them."""
    found = np.ones(shape)
    for n, a in enumerate(arrays):
        if n != without:
            found = found * a
    return found
