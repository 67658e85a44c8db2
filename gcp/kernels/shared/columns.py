"""Entry columns: what each stored entry carries from intake to the kernels.

The loss of an entry is w f(x, s m + o), with its data x, weight w, scale s and offset o; its derivative in m is
w s f'(x, s m + o), and its curvature w s**2 f''(x, s m + o). A column that is None is absent: kernels get 0 for its
address, ask once for each run or row of entries, and spend nothing else on it. Groups, exposures and trials are not
for kernels: an objective makes scales or offsets of exposures, as its loss takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray


class EntryColumns(NamedTuple):
    """The columns that each stored entry carries; all arrays have the same shape.

    Attributes
    ----------
    x : ndarray, shape (entries,) or (I_0, ..., I_{N-1})
        Data; all others are shaped like them.
    weight : ndarray or None
        Entry weights; None means all 1.
    scale : ndarray or None
        Factors s of the model (exposures); None means all 1.
    offset : ndarray or None
        Addends o of the scaled model; None means all 0.
    group : ndarray of int or None
        Which of several losses is meant; None means the first for all. Kernels, which take one formula, ignore it.
    exposure : ndarray or None
        Numbers by which expected data are multiplied, as they were given; None means all 1.
    trials : ndarray or None
        Numbers of trials, of which the data are shares; they are in the weights as well. None means all 1.
    """

    x: Array
    weight: Array | None = None
    scale: Array | None = None
    offset: Array | None = None
    group: Array | None = None
    exposure: Array | None = None
    trials: Array | None = None

    def map(self, function: Callable[[Array], Array]) -> EntryColumns:
        """Return the columns, arrays of one shape, with a function applied to each that is there."""
        return EntryColumns(function(self.x), *(None if a is None else function(a) for a in self[1:]))

    def at(self, index: Any) -> EntryColumns:
        """Return the columns of some entries."""
        return self.map(lambda column: column[index])

    @property
    def is_affine(self) -> bool:
        """True if entries have a scale or an offset."""
        return self.scale is not None or self.offset is not None

    @property
    def n_bytes(self) -> int:
        """Bytes of all columns, of views as if they were whole."""
        return sum(column.nbytes for column in self if column is not None)

    def argument(self, m: FloatArray) -> FloatArray:
        """Return the argument s m + o of the loss, elementwise, in the type of m."""
        m = m if self.scale is None else self.scale.astype(m.dtype) * m
        return m if self.offset is None else m + self.offset.astype(m.dtype)


_MEANING = EntryColumns(np.empty(0), *map(np.asarray, (1.0, 1.0, 0.0, 0, 1.0, 1.0)))
"""The numbers that absent columns stand for."""


def joined(parts: Sequence[EntryColumns]) -> EntryColumns:
    """Return columns (n,) of several lists as those of one; absent columns keep their meaning."""
    found: list[Array | None] = []
    for k, columns in enumerate(zip(*parts, strict=True)):
        if all(column is None for column in columns):
            found.append(None)
            continue
        whole = [
            np.full(len(part.x), _MEANING[k]) if column is None else column
            for column, part in zip(columns, parts, strict=True)
        ]
        found.append(np.concatenate(whole))
    return EntryColumns(np.concatenate([part.x for part in parts]), *found[1:])


class CellColumns(NamedTuple):
    """The columns that every cell carries, listed or not, products of one number for each of its positions.

    Offsets may be sums of K such products.

    Attributes
    ----------
    weight, scale, offset, exposure : sequence of ndarray, shapes (I_n,), or None
        One vector for each mode; see `EntryColumns` for what they and None mean. Offsets that are sums of K products
        have a matrix (I_n, K) for each mode. Scales, offsets and exposures may also be one array (I_n or 1, ...).
    """

    weight: Sequence[FloatArray] | None = None
    scale: Sequence[FloatArray] | FloatArray | None = None
    offset: Sequence[FloatArray] | FloatArray | None = None
    exposure: Sequence[FloatArray] | FloatArray | None = None

    @property
    def is_affine(self) -> bool:
        """True if cells have a scale or an offset."""
        return self.scale is not None or self.offset is not None

    @property
    def are_products(self) -> bool:
        """True if scales and offsets, as far as there are any, are made of products over modes."""
        return not (isinstance(self.scale, np.ndarray) or isinstance(self.offset, np.ndarray))

    def map(self, function: Callable[[FloatArray], FloatArray]) -> CellColumns:
        """Return the columns with a function applied to each vector (I_n,) or array that is there."""
        return CellColumns(*map(partial(_mapped, function), self))

    def at(self, places: Sequence[tuple[int, Any]]) -> CellColumns:
        """Return the columns of some cells, with the modes in another order.

        Parameters
        ----------
        places : sequence of (int, index)
            A mode for each of the new ones, and which of its positions are taken.
        """
        return CellColumns(*map(partial(_placed, places), self))

    def entries(self, x: Array, weight: Array | None, subs: Array, order: Sequence[int]) -> EntryColumns:
        """Return columns of some cells: data and weights, with the scales and offsets of their positions.

        Parameters
        ----------
        x, weight : ndarray, shape (n,)
        subs : ndarray of int, shape (n, N)
        order : sequence of int
            The modes, as the columns of `subs` have them.
        """
        scale, offset, exposure = (of_positions(vectors, subs, order) for vectors in self[1:])
        return EntryColumns(x, weight, scale, offset, exposure=exposure)

    def everywhere(self, shape: tuple[int, ...]) -> list[FloatArray | None]:
        """Return weights, scales, offsets and exposures of all cells, each an array (I_0, ..., I_{N-1})."""
        whole = (v if v is None or isinstance(v, np.ndarray) else _outer(v) for v in self)
        return [None if a is None else np.broadcast_to(a, shape) for a in whole]


def _mapped(function: Callable[[FloatArray], FloatArray], vectors: Any) -> Any:
    """Return what `CellColumns.map` makes of one of them."""
    if vectors is None or isinstance(vectors, np.ndarray):
        return None if vectors is None else function(vectors)
    return [function(v) for v in vectors]


def _placed(places: Sequence[tuple[int, Any]], vectors: Any) -> Any:
    """Return what `CellColumns.at` makes of one of them."""
    if vectors is None:
        return None
    if not isinstance(vectors, np.ndarray):
        return [vectors[mode][index] for mode, index in places]
    found = vectors.transpose([mode for mode, _ in places])
    for n, (_, index) in enumerate(places):
        if found.shape[n] > 1:
            found = found[(slice(None),) * n + (index,)]
    return found


def of_positions(
    vectors: Sequence[FloatArray] | FloatArray | None, subs: Array, order: Sequence[int]
) -> FloatArray | None:
    """Return products (n,) of the numbers of the positions of cells, sums of such, or an array's numbers there."""
    if vectors is None:
        return None
    if isinstance(vectors, np.ndarray):
        where = dict(zip(order, subs.T, strict=True))
        at = tuple(where[n].astype(np.intp) if size > 1 else 0 for n, size in enumerate(vectors.shape))
        return np.broadcast_to(vectors[at], len(subs))
    total = np.ones((len(subs), *vectors[0].shape[1:]))
    for column, mode in enumerate(order):
        total *= vectors[mode][subs[:, column]]
    return total if total.ndim == 1 else total.sum(axis=1)


def _outer(vectors: Sequence[FloatArray]) -> FloatArray:
    """Return the outer product (I_0, ...) of vectors (I_n,), or the sum of those of columns of matrices (I_n, K)."""
    if vectors[0].ndim > 1:
        return np.sum([_outer(columns) for columns in zip(*(a.T for a in vectors), strict=True)], axis=0)
    product = np.ones(())
    for vector in vectors:
        product = np.multiply.outer(product, vector)
    return product
