"""Long tables, one row per cell: what their formats share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.format import damage_told, native, observed, refuse_weights
from gcp.io.table_columns import tensor_of
from gcp.tensors.carried_columns import CARRIED
from gcp.tensors.kinds import Tensor

if TYPE_CHECKING:
    import pandas as pd

OPTIONS = frozenset({"modes", "value", "unlisted", "aggregate", "wide", *CARRIED})
"""The options of `read_tensor` that every table takes."""


def row_name(row: int) -> str:
    """Return what messages call a row of a table that has no lines."""
    return f"row {row + 1}"


def frame_of(table: Any) -> pd.DataFrame:
    """Return the pandas table of a PyArrow table."""
    return table.to_pandas(ignore_metadata=True, date_as_object=False)


def tensor_of_arrow(table: Any, what: str, **options: Any) -> Tensor:
    """Return the tensor of a PyArrow table that came from a file; options as in `read_tensor`."""
    with damage_told(what):
        table.validate(full=True)  # offsets and codes beyond their ends would be followed
        frame = frame_of(table)
    return tensor_of(frame, row_name, **options)


def frame_of_tensor(tensor: Tensor, form: str, keep_order: bool) -> pd.DataFrame:
    """Return a row per cell that `_cells` lists; `keep_order` stores text labels as categories in their order."""
    import pandas

    labels = tensor.labels or ModeLabels.default(tensor.shape)
    if "value" in labels.names:
        raise DataError('A mode is called "value", the name of the column of values: rename it.')
    subs, values = _cells(tensor, form)
    columns: dict[str, Any] = {}
    for mode, (name, coord) in enumerate(zip(labels.names, labels.coords, strict=True)):
        if coord is None:
            columns[name] = subs[mode]
            continue
        if len(np.unique(coord)) < len(coord):
            raise DataError(
                f"Labels of mode {name!r} repeat, so that rows of a table could not be told apart."
            )
        is_sorted = bool(np.all(coord[:-1] < coord[1:]))
        if keep_order and not is_sorted:
            columns[name] = pandas.Categorical.from_codes(subs[mode], categories=coord, ordered=True)  # type: ignore[call-overload]
        else:
            columns[name] = coord[subs[mode]]
    columns["value"] = native(values)
    return pandas.DataFrame(columns)


def _cells(tensor: Tensor, form: str) -> tuple[Sequence[Array], Array]:
    """Return subscripts, N arrays (n,), and values (n,) of all observed cells.

    Of a sparse tensor these are the nonzeros, and the missing cells as NaN.
    """
    if tensor.subs is None:
        mask = observed(tensor, form)
        size, shape = tensor.values.size, tensor.shape
        subs = np.unravel_index(np.arange(size), shape) if mask is None else np.nonzero(mask)
        return subs, tensor.values[subs]
    refuse_weights(tensor, form)
    columns, values = tensor.subs.T, tensor.values
    if tensor.zeros is not None and tensor.n_missing:
        columns = np.concatenate([columns, tensor.missing.T], axis=1)
        values = np.concatenate([values.astype(np.float64), np.full(tensor.n_missing, np.nan)])
    return list(columns), values
