"""Sparse arrays that files hold, as tensors of listed entries."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.tensors.entries import check_shape
from gcp.tensors.intake.foreign import from_scipy
from gcp.tensors.kinds import check_unlisted
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor


def tensor_of_listing(
    subs: Array, values: Array, shape: Any, unlisted: str, labels: ModeLabels | None = None
) -> SparseTensor | ObservedTensor:
    """Return the tensor of listed entries.

    Parameters
    ----------
    subs : ndarray, shape (entries, N)
        0-based.
    values : ndarray, shape (entries,)
    shape : sequence of int
    unlisted : {"zero", "missing"}
        What other cells are.
    labels : ModeLabels, optional

    Raises
    ------
    DataError
        Entries outside the shape, or listed twice (they are added where others are zero).
    """
    check_unlisted(unlisted)
    sizes = check_shape([int(size) for size in shape])
    if unlisted == "zero":
        return SparseTensor(subs, values, sizes, labels=labels, aggregate="sum")
    return ObservedTensor(subs, values, sizes, labels=labels)


def tensor_of_matrix(
    matrix: Any, unlisted: str = "zero", labels: ModeLabels | None = None
) -> SparseTensor | ObservedTensor:
    """Return the tensor of a SciPy sparse array that was read from a file, whose indices are checked first.

    Parameters
    ----------
    matrix : SciPy sparse array or matrix, shape (I_0, I_1)
        Entries that are listed twice are added where others are zero.
    unlisted, labels
        As in `tensor_of_listing`.
    """
    check_unlisted(unlisted)
    if hasattr(matrix, "check_format"):
        try:
            matrix.check_format(full_check=True)  # what is out of range is out of memory
        except ValueError as error:
            raise FormatError(f"the sparse array is damaged: {str(error).rstrip('.')}.") from error
    if unlisted == "missing":
        coo = matrix.tocoo()
        return tensor_of_listing(np.stack(coo.coords, axis=1), coo.data, coo.shape, unlisted, labels)
    tensor = from_scipy(matrix)
    if labels is not None:
        labels.check(tensor.shape)
        tensor.labels = labels
    return tensor


def from_compressed(indices: Array, indptr: Array, compressed: list[int], shape: tuple[int, ...]) -> Array:
    """Return subscripts (entries, N) of an array of which some modes are compressed to rows (GCXS).

    Parameters
    ----------
    indices : ndarray, shape (entries,)
        Of each entry, its position within the row.
    indptr : ndarray, shape (rows + 1,)
        Where the entries of each row begin.
    compressed : list of int
        The modes that rows are made of, in order; the others, in order, make the positions.
    shape : tuple of int

    Raises
    ------
    FormatError
        Rows or positions that the shape does not have.
    """
    others = [mode for mode in range(len(shape)) if mode not in compressed]
    rows, columns = ([shape[mode] for mode in modes] for modes in (compressed, others))
    counts = np.diff(indptr)
    n_rows, n_columns = np.prod(rows, dtype=float), np.prod(columns, dtype=float)
    if len(counts) != n_rows or (counts < 0).any() or indptr[0] != 0 or indptr[-1] != len(indices):
        raise FormatError("the sparse array is damaged: its rows do not fit its shape.")
    if len(indices) and not (indices.min() >= 0 and indices.max() < n_columns):
        raise FormatError("the sparse array is damaged: entries lie outside its shape.")
    subs = np.empty((len(indices), len(shape)), np.int64)
    where = np.repeat(np.arange(len(counts)), counts), indices.astype(np.int64)
    for modes, sizes, flat in zip((compressed, others), (rows, columns), where, strict=True):
        for mode, column in zip(modes, np.unravel_index(flat, sizes), strict=True):
            subs[:, mode] = column
    return subs
