"""Conversion of a pandas long table to a labelled tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gcp.base.checks import items
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.tensors.carried_columns import CARRIED
from gcp.tensors.entries import check_aggregate
from gcp.tensors.intake.carried import carrying, titled
from gcp.tensors.intake.mode_columns import ModeColumn, check_name, mode_columns, places
from gcp.tensors.intake.recognise import columns_of
from gcp.tensors.kinds import Tensor, default_aggregate, tensor_from_listing
from gcp.tensors.parts.partitioned import PartitionedTensor

if TYPE_CHECKING:
    import pandas as pd

MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def from_frame(
    frame: pd.DataFrame,
    modes: Sequence[Any],
    value: Hashable | None = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
    *,
    positions: Any = None,
    freq: Mapping[Hashable, Any] | None = None,
    exposure: Hashable | None = None,
    offset: Hashable | None = None,
    trials: Hashable | None = None,
) -> Tensor | PartitionedTensor:
    """Return a labelled tensor from a long table: one row per cell or per event.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table or dask.dataframe.DataFrame
        The table; it is not modified. Tables of Polars and other libraries come through PyArrow. The rows of a Dask
        table stay on the workers of Dask's current client, where they become parts of the tensor; without a client
        the table is computed here.
    modes : sequence of column names
        The columns that give the modes, in order; a `pandas.Grouper` with a key stands for its column, in its
        periods. The positions of a mode are the distinct entries of its column, sorted; of a categorical column all
        of its categories, in their order, also those in no row (``frame[name].cat.remove_unused_categories()`` leaves
        these out). On workers, labels are sorted.
    value : column name, optional
        The column of numbers; empty cells (NaN) are missing entries. None counts rows.
    unlisted : {"zero", "missing"}, optional
        What a combination of labels means that no row lists. It must be given if there is one, except for
        counts of rows, where it is 0 unless you say "missing".
    aggregate : {"sum", "mean", "first", "last", "min", "max", "error"}, optional
        What to do with several rows for one cell. "first" and "last" take that row as it is; under the others a NaN
        makes the cell missing. Default: "sum", but "error" for values with ``unlisted="missing"``: two ratings of a
        film are not one that is twice as high.
    positions : dict of list of labels by mode, or FitResult, tensor or ModeLabels, optional
        All positions of some modes, in order, whether a row has them or not: the nodes of a network for the mode
        "to" as for "from", the days of a calendar, or those of an earlier fit or tensor, by the names of its modes. A
        label in the table that is not among them is an error. Labels are compared as everywhere: numbers as numbers,
        else as text.
    freq : dict of pandas frequency by mode, optional
        Periods that times are gathered in, as `pandas.Grouper` does: ``{"time": "D"}`` for days, "h", "W", "MS", ...
        The positions are all periods from the first row's to the last row's, none left out, labelled as pandas labels
        them. Not for tables on workers.
    exposure, offset, trials : column name, optional
        Columns of numbers that cells carry, as for `fit_gcp`, to which the tensor need not be told them again. Of
        several rows for one cell they are merged as the values are. A cell without a row has none, and is missing.

    Returns
    -------
    DenseTensor, SparseTensor, ObservedTensor or PartitionedTensor
        With the column names and the distinct labels as `labels`. Dense if it has at most 2**20 cells, or at most 10
        for each cell that a row lists; else sparse if unlisted cells are zero, observed if they are missing. Of a
        Dask table on workers in parts, and never dense.

    Raises
    ------
    ParameterError
        Unknown or repeated columns, an unknown choice, positions or periods of what is no mode.
    DataError
        An empty table, a row without a label or with one that is not among the positions, non-numeric values,
        unlisted cells without a meaning, repeated cells that are not to be merged.

    Examples
    --------
    >>> import pandas as pd
    >>> trips = pd.DataFrame({"from": ["A", "A", "B"], "to": ["B", "B", "A"]})
    >>> from_frame(trips, modes=["from", "to"]).values
    array([[0, 2],
           [1, 0]])
    """
    carried = {name: c for name, c in zip(CARRIED, (exposure, offset, trials), strict=True) if c is not None}
    if type(frame).__module__.partition(".")[0] == "dask" and hasattr(frame, "columns"):
        if carried:
            raise ParameterError(f"{next(iter(carried))} cannot be had of a Dask table: compute it first.")
        return _from_dask(frame, modes, value, unlisted, aggregate, positions, freq)
    place = "row {} (counting from 0)".format
    return tensor_from_table(
        _as_pandas(frame), modes, value, unlisted, aggregate, place, carried, positions=positions, freq=freq
    )


def _as_pandas(table: Any) -> pd.DataFrame:
    """Return the table itself, or what PyArrow makes of one that speaks its protocol."""
    if hasattr(table, "columns") and hasattr(table, "iloc"):
        return cast("pd.DataFrame", table)
    if columns_of(table) is None:
        hint = ": give series.reset_index(name='value')" if hasattr(table, "reset_index") else ""
        raise DataError(f"Expected a DataFrame, found {type(table).__name__}{hint}.")
    try:
        import pyarrow
    except ImportError as error:
        raise ParameterError(f'such tables need {error.name}: pip install "gcp-tensor[tables]".') from error
    found = table if isinstance(table, pyarrow.Table) else pyarrow.table(table)
    return cast("pd.DataFrame", found.to_pandas(ignore_metadata=True, date_as_object=False))


def _from_dask(
    frame: Any,
    modes: Sequence[Any],
    value: Hashable | None,
    unlisted: str | None,
    aggregate: str | None,
    positions: Any,
    freq: Mapping[Hashable, Any] | None,
) -> Tensor | PartitionedTensor:
    from gcp.tensors.parts.dask.dask_data import current_client, from_table

    client = current_client()
    if client is None:
        return from_frame(frame.compute(), modes, value, unlisted, aggregate, positions=positions, freq=freq)
    columns = _checked_columns(frame, modes, value, positions, freq)
    if timed := [column.name for column in columns if column.grouper is not None]:
        raise ParameterError(
            f"Periods of {timed[0]!r} cannot be had of a table on workers: floor the times in the table, e.g. to "
            f"days by frame.assign(day=frame[{timed[0]!r}].dt.floor('D')), and name all days with positions=."
        )
    _check_aggregate(value, aggregate)
    if unlisted is None and value is None:
        unlisted = "zero"
    if unlisted not in ("zero", "missing"):
        raise ParameterError(
            f'unlisted must be "zero" or "missing" for a table on workers: found {unlisted!r}.'
        )
    aggregate = aggregate or ("sum" if value is None else default_aggregate(unlisted))
    labels = {column.name: column.positions for column in columns}
    return from_table(client, frame, labels, value, unlisted, aggregate, partial(_coded_rows, columns, value))


def _coded_rows(
    columns: Sequence[ModeColumn], value: Hashable | None, table: pd.DataFrame, k: int
) -> tuple[Array, Array, list[Array]]:
    """Return codes (rows, N), values (rows,) and labels (I_n,) of one pandas table of a Dask table."""
    place = (f"row {{}} of partition {k} (counting from 0)").format
    values = np.ones(len(table), np.int64) if value is None else numbers_of(table[value], place)
    coded = [column.coded(table, place) for column in columns]
    return np.stack([codes for codes, _ in coded], axis=1), values, [levels for _, levels in coded]


def tensor_from_table(
    frame: pd.DataFrame,
    modes: Sequence[Any],
    value: Hashable | None,
    unlisted: str | None,
    aggregate: str | None,
    place: Callable[[int], str],
    carried: Mapping[str, Hashable] | None = None,
    *,
    positions: Any = None,
    freq: Mapping[Hashable, Any] | None = None,
) -> Tensor:
    """Return the tensor as `from_frame` does, with a function that names a row in messages.

    A row may be the line of a file, say. `carried` has columns by the name of what cells carry.
    """
    columns = _checked_columns(frame, modes, value, positions, freq, [*(carried or {}).values()])
    if len(frame) == 0:
        raise DataError("The table has no rows.")
    _check_aggregate(value, aggregate)
    if value is None:
        values: Array = np.ones(len(frame), dtype=np.int64)
        unlisted, aggregate = unlisted or "zero", aggregate or "sum"
    else:
        values = numbers_of(frame[value], place)
    coded = [column.coded(frame, place) for column in columns]
    if unlisted is None:
        _refuse_empty_positions(columns, coded)
    subs = np.stack([codes for codes, _ in coded], axis=1, dtype=np.uint32, casting="unsafe")
    shape = [len(levels) for _, levels in coded]
    labels = ModeLabels([str(column.name) for column in columns], [levels for _, levels in coded])
    listing = partial(tensor_from_listing, subs, shape=shape, labels=labels, place=place)
    tensor = listing(values, unlisted=unlisted, aggregate=aggregate)
    if not carried:
        return tensor
    if value is None:
        raise ParameterError(f"{next(iter(carried))} needs a value column: without one, rows are counted.")
    merged = aggregate or default_aggregate(unlisted)
    beside: Any = {
        name: listing(
            numbers_of(frame[column], place),
            unlisted="missing",
            aggregate="error" if name == "offset" else merged,
        )
        for name, column in carried.items()
    }
    return titled(carrying(tensor, beside, None, None), str(carried.get("exposure", "")))


def _refuse_empty_positions(columns: Sequence[ModeColumn], coded: Sequence[tuple[Array, Array]]) -> None:
    """Raise `DataError` if a position (of an array of labels (I_n,)) is in no row, by codes (rows,)."""
    for column, (codes, labels) in zip(columns, coded, strict=True):
        empty = np.flatnonzero(np.bincount(codes, minlength=len(labels)) == 0)
        if len(empty):
            n = f"{len(empty):,} positions" if len(empty) > 1 else "1 position"
            raise DataError(
                f"The mode {column.name!r} has {n} without a row, e.g. {str(labels[empty[0]])!r}. Say what its cells "
                'are: unlisted="zero" (known to be 0) or unlisted="missing" (nothing is known of them); or leave '
                "unused categories out by .cat.remove_unused_categories()."
            )


def _check_aggregate(value: Hashable | None, aggregate: str | None) -> None:
    if aggregate is not None:
        check_aggregate(aggregate)
    if value is None and aggregate not in (None, "sum", "error"):
        raise ParameterError(f'aggregate="{aggregate}" needs a value column: without one, rows are counted.')


def _checked_columns(
    frame: pd.DataFrame,
    modes: Sequence[Any],
    value: Hashable | None,
    positions: Any,
    freq: Any,
    carried: Sequence[Hashable] = (),
) -> list[ModeColumn]:
    expected = "a list of one column name or more"
    if not (given := items("modes", modes, expected)):
        raise ParameterError(f"modes must be {expected}: found none.")
    columns = mode_columns(given, positions, freq)
    check_name(value)
    for name in carried:
        check_name(name)
    _check_names(frame, [*(column.name for column in columns), *carried], value)
    return columns


def _check_names(frame: pd.DataFrame, names: Sequence[Hashable], value: Hashable | None) -> None:
    wanted = [*names, *([] if value is None else [value])]
    columns = list(frame.columns)
    for name in wanted:
        if name not in columns:
            raise ParameterError(f"There is no column {name!r}: the columns are {columns}.")
        if columns.count(name) > 1:
            raise ParameterError(f"{columns.count(name)} columns are called {name!r}: rename them.")
        if wanted.count(name) > 1:
            raise ParameterError(f"Column {name!r} is named twice: modes {list(names)}, value {value!r}.")


def numbers_of(column: pd.Series[Any], place: Callable[[int], str]) -> Array:
    """Return the column as an array (rows,) of numbers, NaN where it is empty."""
    import pandas as pd

    kind = getattr(column.dtype, "kind", "O")
    if kind in "buif":
        is_plain = isinstance(column.dtype, np.dtype) or not column.hasnans
        return np.asarray(column.to_numpy() if is_plain else column.to_numpy(np.float64, na_value=np.nan))
    hint = "If another column holds the values, name it with value=."
    if kind not in "OUST":
        raise DataError(f"Column {column.name!r} has dtype {column.dtype}: expected numbers. {hint}")
    numbers = pd.to_numeric(column, errors="coerce")
    bad = (numbers.isna() & column.notna() & ~column.isin(MISSING_MARKS)).to_numpy()
    if bad.any():
        if re.fullmatch(r"\s*[+-]?[0-9.]*,[0-9]+\s*", str(column[bad].iloc[0])):
            hint = "Decimal commas are read with decimal=',', also by pandas.read_csv."
        raise DataError(
            f"Column {column.name!r} should hold numbers: found {column[bad].iloc[0]!r} in "
            f"{places(bad, place)}. {hint}"
        )
    return numbers.to_numpy(dtype=np.float64)
