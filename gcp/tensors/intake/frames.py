"""Conversion of a pandas long table to a labelled tensor."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from gcp.base.checks import items, show
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels, whole_numbers
from gcp.base.types import Array
from gcp.tensors.entries import check_aggregate
from gcp.tensors.intake.recognise import columns_of
from gcp.tensors.kinds import Tensor, default_aggregate, tensor_from_listing
from gcp.tensors.parts.partitioned import PartitionedTensor

if TYPE_CHECKING:
    import pandas as pd

MISSING_MARKS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


def from_frame(
    frame: pd.DataFrame,
    modes: Sequence[Hashable],
    value: Hashable | None = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
) -> Tensor | PartitionedTensor:
    """Return a labelled tensor from a long table: one row per cell or per event.

    Parameters
    ----------
    frame : pandas.DataFrame, polars.DataFrame, pyarrow.Table or dask.dataframe.DataFrame
        The table; it is not modified. Tables of Polars and other libraries come through PyArrow. The rows of a Dask
        table stay on the workers of Dask's current client, where they become parts of the tensor; without a client
        the table is computed here.
    modes : sequence of column names
        The columns that give the modes, in order. The positions of a mode are the distinct entries of its
        column, sorted (a categorical column: in the order of its categories, unless the table is on workers).
    value : column name, optional
        The column of numbers; empty cells (NaN) are missing entries. None counts rows.
    unlisted : {"zero", "missing"}, optional
        What a combination of labels means that no row lists. It must be given if there is one, except for
        counts of rows, where it is 0 unless you say "missing".
    aggregate : {"sum", "mean", "error"}, optional
        What to do with several rows for one cell; a NaN among them makes the cell missing. Default: "sum", but
        "error" for values with ``unlisted="missing"``: two ratings of a film are not one that is twice as high.

    Returns
    -------
    DenseTensor, SparseTensor, ObservedTensor or PartitionedTensor
        With the column names and the distinct labels as `labels`. Dense if it has at most 2**20 cells, or at most 10
        for each cell that a row lists; else sparse if unlisted cells are zero, observed if they are missing. Of a
        Dask table on workers in parts, and never dense.

    Raises
    ------
    ParameterError
        Unknown or repeated columns, or an unknown choice.
    DataError
        An empty table, a row without a label, non-numeric values, unlisted cells without a meaning,
        repeated cells that are not to be merged.

    Examples
    --------
    >>> import pandas as pd
    >>> trips = pd.DataFrame({"from": ["A", "A", "B"], "to": ["B", "B", "A"]})
    >>> from_frame(trips, modes=["from", "to"]).values
    array([[0, 2],
           [1, 0]])
    """
    if type(frame).__module__.partition(".")[0] == "dask" and hasattr(frame, "columns"):
        return _from_dask(frame, modes, value, unlisted, aggregate)
    return tensor_from_table(
        _as_pandas(frame), modes, value, unlisted, aggregate, place="row {} (counting from 0)".format
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
    frame: Any, modes: Sequence[Hashable], value: Hashable | None, unlisted: str | None, aggregate: str | None
) -> Tensor | PartitionedTensor:
    from gcp.tensors.parts.dask.dask_data import current_client, from_table

    client = current_client()
    if client is None:
        return from_frame(frame.compute(), modes, value, unlisted, aggregate)
    _check_columns(frame, modes, value)
    _check_mean(value, aggregate)
    if unlisted is None and value is None:
        unlisted = "zero"
    if unlisted not in ("zero", "missing"):
        raise ParameterError(
            f'unlisted must be "zero" or "missing" for a table on workers: found {unlisted!r}.'
        )
    aggregate = aggregate or ("sum" if value is None else default_aggregate(unlisted))
    return from_table(client, frame, modes, value, unlisted, aggregate, partial(_coded_rows, modes, value))


def _coded_rows(
    modes: Sequence[Hashable], value: Hashable | None, table: pd.DataFrame, k: int
) -> tuple[Array, Array, list[Array]]:
    """Return codes (rows, N), values (rows,) and labels (I_n,) of one pandas table of a Dask table."""
    place = (f"row {{}} of partition {k} (counting from 0)").format
    values = np.ones(len(table), np.int64) if value is None else numbers_of(table[value], place)
    coded = [_coded(table[mode], place) for mode in modes]
    return np.stack([codes for codes, _ in coded], axis=1), values, [levels for _, levels in coded]


def tensor_from_table(
    frame: pd.DataFrame,
    modes: Sequence[Hashable],
    value: Hashable | None,
    unlisted: str | None,
    aggregate: str | None,
    place: Callable[[int], str],
) -> Tensor:
    """Return the tensor as `from_frame` does, with a function that names a row in messages.

    A row may be the line of a file, say.
    """
    _check_columns(frame, modes, value)
    if len(frame) == 0:
        raise DataError("The table has no rows.")
    _check_mean(value, aggregate)
    if value is None:
        values: Array = np.ones(len(frame), dtype=np.int64)
        unlisted, aggregate = unlisted or "zero", aggregate or "sum"
    else:
        values = numbers_of(frame[value], place)
    coded = [_coded(frame[mode], place) for mode in modes]
    return tensor_from_listing(
        np.stack([codes for codes, _ in coded], axis=1, dtype=np.uint32, casting="unsafe"),
        values,
        [len(levels) for _, levels in coded],
        unlisted=unlisted,
        aggregate=aggregate,
        labels=ModeLabels([str(mode) for mode in modes], [levels for _, levels in coded]),
        place=place,
    )


def _check_mean(value: Hashable | None, aggregate: str | None) -> None:
    if aggregate is not None:
        check_aggregate(aggregate)
    if value is None and aggregate == "mean":
        raise ParameterError('aggregate="mean" needs a value column: without one, rows are counted.')


def _check_columns(frame: pd.DataFrame, modes: Sequence[Hashable], value: Hashable | None) -> None:
    expected = "a list of one column name or more"
    if not (names := items("modes", modes, expected)):
        raise ParameterError(f"modes must be {expected}: found none.")
    wanted = [*names, *([] if value is None else [value])]
    columns = list(frame.columns)
    if strange := [name for name in wanted if not isinstance(name, Hashable) or isinstance(name, np.void)]:
        raise ParameterError(f"A column name must be a text or a number: found {show(strange[0])}.")
    for name in wanted:
        if name not in columns:
            raise ParameterError(f"There is no column {name!r}: the columns are {columns}.")
        if columns.count(name) > 1:
            raise ParameterError(f"{columns.count(name)} columns are called {name!r}: rename them.")
        if wanted.count(name) > 1:
            raise ParameterError(f"Column {name!r} is named twice: modes {list(modes)}, value {value!r}.")


def _coded(column: pd.Series[Any], place: Callable[[int], str]) -> tuple[Array, Array]:
    """Return positions (rows,), and the sorted distinct labels (I_n,)."""
    import pandas as pd

    try:
        codes, levels = pd.factorize(column, sort=True)
    except TypeError as error:
        raise DataError(f"The labels in column {column.name!r} cannot be sorted: {error}") from None
    if (codes < 0).any():
        raise DataError(
            f"Column {column.name!r} has no label in {_places(codes < 0, place)}. Fill in or drop these rows."
        )
    if column.dtype == object and any(isinstance(label, tuple | list) for label in levels):
        raise DataError(
            f"Column {column.name!r} has labels of several parts, such as {levels[0]!r}: make them text, or a column "
            "for each part, which is then a mode."
        )
    return codes, _whole_days(exact(np.asarray(levels), f"column {column.name!r}"))


def exact(labels: Array, where: str) -> Array:
    """Return labels (I_n,), whole numbers as integers of 64 bits or, beyond these, as text.

    Raises
    ------
    DataError
        Floats that have lost digits, as identifiers do that pandas reads beside empty cells; the same label as a
        number and as text, as pandas reads long files, which it takes piece by piece.
    """
    labels = whole_numbers(labels)
    if labels.dtype.kind == "O":
        texts: dict[str, Any] = {}
        for label in labels:
            if (other := texts.setdefault(str(label), label)) is not label:
                raise DataError(
                    f"The labels of {where} hold {other!r} ({type(other).__name__}) and {label!r} "
                    f"({type(label).__name__}), which may be one: make them of one type, e.g. "
                    "frame[name].astype(str)."
                )
    if labels.dtype.kind == "f":
        large = labels[np.abs(labels) >= 2.0**53]
        lost = [
            x for x in large.tolist() if len(repr(x).partition("e")[0].strip("-0.").replace(".", "")) > 15
        ]
        if lost:
            raise DataError(
                f"The labels of {where} are floats of more digits than these hold, such as {lost[0]!r}: identifiers "
                "may have become others. Read them as text or as integers, e.g. pandas.read_csv(path, dtype=str)."
            )
    return labels


def _whole_days(labels: Array) -> Array:
    """Return labels (I_n,), dates without a time of day as dates."""
    if labels.dtype.kind == "M":
        days = labels.astype("M8[D]")
        return days if np.array_equal(days, labels) else labels
    return labels


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
            hint = "Decimal commas are read with decimal=',' (--decimal ,), also by pandas.read_csv."
        raise DataError(
            f"Column {column.name!r} should hold numbers: found {column[bad].iloc[0]!r} in "
            f"{_places(bad, place)}. {hint}"
        )
    return numbers.to_numpy(dtype=np.float64)


def _places(bad: Array, place: Callable[[int], str]) -> str:
    """Return the first bad row of a mask (rows,), and how many more there are."""
    rows = np.flatnonzero(bad)
    return place(int(rows[0])) + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
