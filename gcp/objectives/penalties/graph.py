"""Likeness of components at positions that a graph links."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import labelled
from gcp.base.types import Array, FloatArray
from gcp.objectives.penalties.base import DataFacts
from gcp.objectives.penalties.of_mode import ComponentQuadratic


@dataclass(frozen=True, eq=False, repr=False)
class Graph(ComponentQuadratic):
    """Squared differences of each component between linked positions of a mode: districts that adjoin, like genes.

    (strength / 2) * unit * sum over r and links i, j of W_ij (a_ir - a_jr)^2 * (product over the other modes of the
    mean square of b_r) is added to F. No rescaling of the factors evades it.

    Parameters
    ----------
    mode : int, str or None
        Number or name; None is one penalty for each mode.
    matrix : array_like or SciPy sparse matrix, shape (I, I); DataFrame or DataArray
        W: similarities of positions, symmetric and nonnegative; the diagonal does not matter. Tables are matched by
        the labels of the mode, on both sides.
    strength : float
        At least 0; units are those of `Smooth`.
    number, unit, size : optional
        What the data of a fit decide, and how many positions there are; no arguments.

    Notes
    -----
    Positions without data take after their neighbours. Rows of new positions (`FitResult.transform` along this mode)
    have no neighbours, and are fitted to their data alone.

    Examples
    --------
    >>> import gcp, numpy as np
    >>> neighbours = np.diag(np.ones(11), 1)
    >>> ring = gcp.penalties.Graph("month", neighbours + neighbours.T, 1.0)
    """

    mode: int | str | None
    matrix: Any
    strength: float
    number: int | None = field(default=None, kw_only=True)
    unit: float | None = field(default=None, kw_only=True)
    size: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size is None and not _has_labels(self.matrix):
            size, links = _links(self.matrix)
            self._set(matrix=links, size=size)

    def _of_data(self, facts: DataFacts) -> Self:
        """Return the penalty with its links among the positions of the mode."""
        assert self.number is not None
        found, size = self, facts.shape[self.number]
        if self.size is None:
            own, links = _links(_in_order(self.matrix, facts.labels, self.number, size))
            found = replace(self, matrix=links, size=own)
        if found.size != size:
            raise ParameterError(
                f"{self!r}: the matrix is of {found.size} positions, the mode {facts.labels.names[self.number]!r} "
                f"has {size}."
            )
        return found

    def times(self, a: FloatArray) -> FloatArray:
        """Return M a of the mode's factor (I, R)."""
        return np.asarray(self.matrix_of(len(a)) @ a)

    def matrix_of(self, size: int) -> Any:
        """Return the Laplacian, sparse, shape (size, size)."""
        if self.size is None:
            raise ParameterError(f"{self!r}: in which order the table is, only data say.")
        if size != self.size:
            raise ParameterError(
                f"{self!r}: the matrix is of {self.size} positions, the factor has {size} rows."
            )
        return self._laplacian

    @cached_property
    def _laplacian(self) -> Any:
        w = self._similarities
        return sparse.csr_array(sparse.diags_array(np.asarray(w.sum(axis=1)).ravel()) - w)

    @property
    def _similarities(self) -> Any:
        """W, sparse, from the links."""
        assert self.size is not None
        i, j, w = self.matrix.T
        half = sparse.coo_array((w, (i.astype(int), j.astype(int))), shape=(self.size, self.size))
        return sparse.csr_array(half + half.T)

    def _determined(self, known: Array, rank: int) -> Array:
        _, parts = connected_components(self._similarities, directed=False)
        return np.isin(parts, parts[known])

    def _taken(self, positions: Array) -> Graph:
        own = sparse.csr_array(self._similarities[positions][:, positions])
        size, links = _links(own)
        return replace(self, matrix=links, size=size)


def _has_labels(matrix: Any) -> bool:
    return labelled(matrix, "matrix of Graph") is not None


def _links(matrix: Any) -> tuple[int, FloatArray]:
    """Return the number of positions, and links (E, 3): two positions, the lower first, and their similarity."""
    if sparse.issparse(matrix):
        own = sparse.coo_array(matrix)
    else:
        own = sparse.coo_array(checks.floats("matrix of Graph", matrix))
    if own.ndim != 2 or own.shape[0] != own.shape[1]:
        raise ParameterError(f"matrix of Graph must be square, of shape (I, I): found shape {own.shape}.")
    own = sparse.coo_array(sparse.csr_array(own, dtype=float))
    if not (np.isfinite(own.data).all() and (own.data >= 0).all()):
        raise ParameterError("matrix of Graph must hold similarities: finite numbers from 0.")
    if abs(own - own.T).max() > 1e-8 * max(own.data.max(initial=0.0), 1e-300):
        raise ParameterError("matrix of Graph must be symmetric: use (W + W.T) / 2.")
    i, j = own.coords
    is_link = (i < j) & (own.data > 0)
    links = np.column_stack([i[is_link], j[is_link], own.data[is_link]]).astype(float)
    return own.shape[0], links[np.lexsort((links[:, 1], links[:, 0]))]


def _in_order(matrix: Any, labels: ModeLabels, mode: int, size: int) -> FloatArray:
    """Return a labelled matrix in the order of a mode's positions, on both sides."""
    own = labelled(matrix, "matrix of Graph")
    assert own is not None
    name, wanted = labels.names[mode], labels.values(mode, size).tolist()
    if own.values.ndim != 2:
        raise ParameterError(f"matrix of Graph must have two modes: found {own.values.ndim}.")
    places = []
    for side, coord in enumerate(own.labels.coords):
        found = list(range(own.values.shape[side])) if coord is None else coord.tolist()
        at = {label: k for k, label in enumerate(found)}
        if len(at) < len(found) or set(at) != set(wanted):
            odd = sorted(set(at) ^ set(wanted), key=str)[:3]
            why = f"only one side has {', '.join(map(str, odd))}" if odd else "labels repeat"
            raise ParameterError(
                f"matrix of Graph: {'rows' if side == 0 else 'columns'} must have the labels of mode {name!r}: {why}."
            )
        places.append([at[label] for label in wanted])
    return np.asarray(own.values, dtype=float)[np.ix_(*places)]
