"""The choice of the kind of tensor that suits a table of cells (subscripts and values)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from gcp.base.checks import show
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.kernels.dense.layout import readable
from gcp.kernels.shared.columns import EntryColumns
from gcp.tensors.base import TensorData
from gcp.tensors.dense import DenseTensor
from gcp.tensors.dense_form import MAX_CELLS
from gcp.tensors.entries import Entries, cells_of, check_shape, sorted_entries
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

Tensor: TypeAlias = DenseTensor | SparseTensor | ObservedTensor


def stored(tensor: TensorData) -> Tensor:
    """Return the entries of a tensor in one piece as one of the package's kinds: itself, if it is one.

    Raises
    ------
    DataError
        A kind of a user's own with unlisted zeros, scales or offsets.
    """
    if isinstance(tensor, DenseTensor | SparseTensor | ObservedTensor):
        return tensor
    if tensor.zeros is not None or tensor.is_affine:
        raise DataError(
            f"This looks at single entries, which a {type(tensor).__name__} does not show whole: found a kind of "
            "tensor with unlisted zeros, scales or offsets. Pass the data as an array or a gcp.SparseTensor."
        )
    if tensor.subs is None:
        return DenseTensor(tensor.values, entry_weights=tensor.entry_weights, labels=tensor.labels)
    return ObservedTensor(tensor.subs, tensor.values, tensor.shape, tensor.entry_weights, tensor.labels)


def as_listed(tensor: TensorData) -> SparseTensor | ObservedTensor:
    """Return a tensor of listed entries, some of which a mask, weights or a hold-out leaves out.

    Raises
    ------
    ParameterError
        A kind of a user's own.
    """
    if isinstance(tensor, SparseTensor | ObservedTensor):
        return tensor
    raise ParameterError(
        f"A mask, entry_weights or held-out cells were to weight a {type(tensor).__name__}, a kind of tensor that "
        "lists entries: pass the data as a gcp.SparseTensor or gcp.ObservedTensor."
    )


_SMALL = 2**20
"""Number of cells that are always stored."""

_THIN = 10
"""Passes over listed cells cost more for each of them than passes over all cells; this is about where they meet."""


def tensor_from_listing(
    subs: Array,
    values: Array,
    shape: Sequence[int],
    *,
    unlisted: str | None,
    aggregate: str | None = None,
    labels: ModeLabels | None = None,
    place: Callable[[int], str] = "row {}".format,
) -> Tensor:
    """Return the tensor that a table of cells describes, of the kind that is fitted faster.

    A DenseTensor if it has at most 2**20 cells, or at most 10 for each cell that the table lists (and at most 2**31
    in all); else a SparseTensor if unlisted cells are zero, and an ObservedTensor if they are missing. What a fit
    finds does not depend on it.

    Parameters
    ----------
    subs : ndarray of int, shape (rows, N)
        Valid 0-based subscripts.
    values : ndarray, shape (rows,)
        Numbers; NaN makes its cell missing.
    shape : sequence of int
        Sizes of the modes; their product may exceed 2**63.
    unlisted : {"zero", "missing"} or None
        What a cell means that no row lists; None refuses such cells.
    aggregate : str, optional
        What to do with several rows for one cell, as in `from_frame`; default: `default_aggregate`.
    labels : ModeLabels, optional
        Names and coordinates of the modes.
    place : callable
        Names a row in messages, given its position.

    Raises
    ------
    ParameterError
        Unknown `unlisted` or `aggregate`.
    DataError
        Unlisted cells without a meaning, repeated cells that are not to be merged, or no known cell at all.
    """
    if unlisted is not None:
        check_unlisted(unlisted)
    shape = check_shape([int(size) for size in shape])
    given = Entries(subs, EntryColumns(readable(values)), shape, place)
    found = sorted_entries(given, aggregate or default_aggregate(unlisted))
    cells, n_listed = cells_of(shape), len(found.values)
    if unlisted is None and n_listed < cells:
        raise DataError(
            f"{cells - n_listed:,} of the {cells:,} cells of shape {shape} are not listed. Say what that "
            'means: unlisted="zero" (they are known to be 0, as when empty counts were left out) or '
            'unlisted="missing" (nothing is known about them; a fit leaves them out).'
        )
    kind = SparseTensor if unlisted == "zero" else ObservedTensor
    tensor = kind.of(found, labels)
    return tensor.to_dense() if cells <= min(max(_SMALL, _THIN * n_listed), MAX_CELLS) else tensor


def default_aggregate(unlisted: str | None) -> str:
    """Return "sum" for amounts and counts; but where else nothing is known of a cell, a row is a measurement."""
    return "error" if unlisted == "missing" else "sum"


def check_unlisted(unlisted: str) -> None:
    """Raise `ParameterError` unless it is one of the two words."""
    if not isinstance(unlisted, str) or unlisted not in ("zero", "missing"):
        raise ParameterError(f'unlisted must be "zero" or "missing": found {show(unlisted)}.')
