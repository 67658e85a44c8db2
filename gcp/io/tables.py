"""Long tables, one row per cell: .csv and .parquet, through pandas and PyArrow."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io import csv_text
from gcp.io.format import Format, observed, refuse_weights
from gcp.io.table_columns import tensor_of
from gcp.tensors.kinds import Tensor

if TYPE_CHECKING:
    import pandas as pd

_OPTIONS = frozenset({"modes", "value", "unlisted", "aggregate", "wide"})


def _imported(*names: str) -> list[ModuleType]:
    """Return optional packages, imported when a table is read or written."""
    try:
        return [import_module(name) for name in names]
    except ImportError as error:
        raise ParameterError(f'tables need {error.name}: pip install "gcp-tensor[tables]".') from error


def _read_csv(file: BinaryIO, **options: Any) -> Tensor:
    _imported("pandas", "pyarrow", "pyarrow.csv")
    return csv_text.read(file, **options)


def _read_parquet(file: BinaryIO, **options: Any) -> Tensor:
    _, arrow, parquet = _imported("pandas", "pyarrow", "pyarrow.parquet")
    try:
        table = parquet.read_table(file)
        written_index = [name for name in table.column_names if re.fullmatch(r"__index_level_\d+__", name)]
        frame = csv_text.frame_of(table.drop_columns(written_index))
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise _no_parquet(error) from error
    try:
        return tensor_of(frame, lambda row: f"row {row + 1}", **options)
    except arrow.ArrowException as error:  # texts are unpacked when they are used
        raise _no_parquet(error) from error


def _no_parquet(error: Exception) -> FormatError:
    reason = str(error).rstrip(".")
    return FormatError(f"not a .parquet file, or one that is damaged or cut short: {reason}.")


def _frame(tensor: Tensor, form: str, keep_order: bool) -> pd.DataFrame:
    """Return a row per cell that `_cells` lists; `keep_order` stores text labels as categories in their order."""
    pandas: Any = _imported("pandas")[0]
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
            columns[name] = pandas.Categorical.from_codes(subs[mode], categories=coord, ordered=True)
        else:
            columns[name] = coord[subs[mode]]
    columns["value"] = values
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


def _write_csv(file: BinaryIO, tensor: Tensor) -> None:
    _frame(tensor, ".csv", keep_order=False).to_csv(file, index=False, lineterminator="\n")


def _write_parquet(file: BinaryIO, tensor: Tensor) -> None:
    _imported("pyarrow")
    _frame(tensor, ".parquet", keep_order=True).to_parquet(file, index=False)


CSV = Format(_read_csv, _write_csv, _OPTIONS | {"header", "separator"})
PARQUET = Format(_read_parquet, _write_parquet, _OPTIONS)
