"""Listed entries spread over a dense array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.kernels.shared.columns import EntryColumns
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of

MAX_CELLS = 2**31
"""Largest dense array that is made of listed entries."""


def positions(shape: tuple[int, ...], order: Sequence[int], subs: Array) -> Array:
    """Return where cells (n, N) lie in a C-ordered array of this shape; columns of `subs` are the modes of `order`.

    Raises
    ------
    DataError
        If the array would have more than `MAX_CELLS` cells.
    """
    cells = cells_of(shape)
    if cells > MAX_CELLS:
        raise DataError(
            f"A dense tensor of shape {shape} has {cells:,} cells, more than the {MAX_CELLS:,} that are made of "
            "listed ones. Keep it listed, or select or merge positions first."
        )
    columns = {mode: subs[:, k].astype(np.intp) for k, mode in enumerate(order)}
    return np.ravel_multi_index(tuple(columns[mode] for mode in range(len(shape))), shape)


def tensor(columns: EntryColumns, labels: ModeLabels | None) -> DenseTensor:
    """Return a dense tensor, with a mask where that says it all; unknown floats become NaN, to be seen.

    Parameters
    ----------
    columns : EntryColumns of ndarray, shape (I_0, ..., I_{N-1})
        The data are overwritten where they are unknown; so are cells whose exposure is 0.
    labels : ModeLabels or None
    """
    if columns.exposure is not None and not columns.exposure.all():
        exposed = columns.exposure > 0
        own = np.ones(exposed.shape, bool) if columns.weight is None else columns.weight
        weight = np.where(exposed, own, np.zeros((), own.dtype))
        columns = columns._replace(weight=weight, exposure=np.where(exposed, columns.exposure, 1.0))
    values, weights = columns.x, columns.weight
    if weights is not None:
        unknown = weights == 0
        if values.dtype.kind == "f":
            values[unknown] = np.nan
        if np.array_equal(unknown, weights != 1):
            columns = columns._replace(weight=~unknown)
    return DenseTensor.of(columns, labels)
