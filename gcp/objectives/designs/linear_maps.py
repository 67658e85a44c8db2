"""What is known of coefficients through a design: the nearest ones, and those that no position determines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from gcp.base.threads import single_threaded_blas
from gcp.base.types import Array, FloatArray

_MOST = 1 << 26
"""Numbers, at most, of a sparse design that is made dense where a decomposition needs it."""

_ZERO = 1e-10
"""Part of a design, columns in units of their own, that is none."""

_TOUCHED = 1e-7
"""Part of a row along undetermined coefficients, from which on the row is undetermined too."""

_STEPS = 10_000


def nearest(z: Any, a: FloatArray) -> FloatArray:
    """Return the coefficients C (K, R) for which Z C is nearest to a (I, R); of several, the least."""
    if not sparse.issparse(z) or z.shape[0] * z.shape[1] <= _MOST:
        own = _dense(z)
        sizes = np.linalg.norm(own, axis=0)
        sizes[sizes == 0] = 1.0
        with single_threaded_blas():
            found = np.linalg.lstsq(own / sizes, np.asarray(a, dtype=float), rcond=_ZERO)[0]
        return np.asarray(found / sizes[:, None])
    from scipy.sparse.linalg import lsmr

    columns = [
        lsmr(z, column, atol=1e-15, btol=1e-15, conlim=0, maxiter=_STEPS)[0]
        for column in np.asarray(a, float).T
    ]
    return np.column_stack(columns) if columns else np.zeros((z.shape[1], 0))


def orthogonal(z: Any) -> Any:
    """Return a matrix (I, k) of the span of Z (I, K), with orthogonal columns whose mean square is 1.

    Methods take steps as long in every direction of it, however alike columns of Z are. A sparse Z stays as it is.
    """
    from scipy.linalg import qr

    if sparse.issparse(z):
        return z
    sizes = np.sqrt(np.mean(np.square(z), axis=0))
    with single_threaded_blas():
        q, r, _ = qr(z / np.where(sizes > 0, sizes, 1.0), mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    keep = diagonal > _ZERO * diagonal.max(initial=0.0)
    return np.ascontiguousarray(q[:, keep]) * np.sqrt(len(z))


def is_identity(z: Any) -> bool:
    """Return whether a design (I, K) leaves coefficients as they are."""
    n, k = z.shape
    if n != k:
        return False
    if sparse.issparse(z):
        return bool(z.nnz == n and abs(z - sparse.eye_array(n)).nnz == 0)
    return bool(np.array_equal(z, np.eye(n)))


@dataclass(frozen=True, eq=False)
class Undetermined:
    """The directions of coefficients that some positions say nothing of.

    Attributes
    ----------
    columns : ndarray of bool, shape (K,)
        Coefficients of none of the positions.
    others : ndarray, shape (K, q)
        Orthonormal directions that all positions leave out, beside those.
    """

    columns: Array
    others: FloatArray

    @classmethod
    def by(cls, z: Any) -> Undetermined:
        """Return what rows (n, K) of a design leave undetermined."""
        n, k = z.shape
        columns = np.asarray(abs(z).sum(axis=0)).reshape(-1) == 0
        none = np.zeros((k, 0))
        if columns.all() or n * k > _MOST or (sparse.issparse(z) and _is_diagonal(z.T @ z)):
            return cls(columns, none)
        own = _dense(z)[:, ~columns]
        sizes = np.linalg.norm(own, axis=0)
        with single_threaded_blas():
            _, values, vectors = np.linalg.svd(np.linalg.qr(own / sizes, mode="r"))
        rank = int(np.count_nonzero(values > _ZERO * values[0]))
        others = np.zeros((k, len(vectors) - rank))
        if others.size:
            others[~columns] = np.linalg.qr(vectors[rank:].T / sizes[:, None])[0]
        return cls(columns, others)

    @property
    def rank(self) -> int:
        """The number of directions that are determined."""
        return len(self.columns) - int(self.columns.sum()) - self.others.shape[1]

    def touches(self, rows: Any) -> Array:
        """Return which rows (n, K) of a design have a part along undetermined directions, shape (n,)."""
        found = np.asarray(abs(rows[:, self.columns]).sum(axis=1)).reshape(-1) > 0
        if self.others.size:
            size = np.sqrt(np.asarray((rows * rows).sum(axis=1)).reshape(-1))
            found = found | (np.linalg.norm(rows @ self.others, axis=1) > _TOUCHED * size)
        return np.asarray(found)

    def removed_from(self, c: FloatArray) -> FloatArray:
        """Return coefficients (K, R) without parts along the undetermined directions."""
        c = np.where(self.columns[:, None], 0.0, c)
        return c - self.others @ (self.others.T @ c)


def _dense(z: Any) -> FloatArray:
    return np.asarray(z.toarray() if sparse.issparse(z) else z, dtype=float)


def _is_diagonal(matrix: Any) -> bool:
    return bool((abs(matrix) - sparse.diags_array(abs(matrix.diagonal()))).nnz == 0)
