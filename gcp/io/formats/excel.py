"""Excel's .xlsx: a long table on a sheet, through pandas and openpyxl."""

from __future__ import annotations

import datetime
import zipfile
from typing import Any, BinaryIO

from gcp.base.errors import DataError, ParameterError
from gcp.base.sizes import check_memory
from gcp.io.format import Format, damage_told
from gcp.io.long_table import OPTIONS
from gcp.io.table_columns import tensor_of
from gcp.tensors.kinds import Tensor


def _read(file: BinaryIO, variable: str | None = None, header: bool = True, **options: Any) -> Tensor:
    import pandas as pd

    with damage_told("an .xlsx file"):
        with zipfile.ZipFile(file) as archive:
            size = sum(part.file_size for part in archive.infolist())
        check_memory("The sheets, unpacked,", size, 1)
        file.seek(0)
        with pd.ExcelFile(file, engine="openpyxl") as book:
            sheet = _sheet([str(name) for name in book.sheet_names], variable)
            frame = pd.read_excel(
                book,
                sheet_name=sheet,
                header=0 if header else None,
                dtype=object,  # else pandas makes numbers of labels that are text: 7 of "007"
                keep_default_na=False,  # "NA" and "None" are labels like any other
                na_values=[""],
            )
    frame = frame.dropna(how="all").infer_objects()
    rows = frame.index.to_numpy() + (2 if header else 1)
    frame.columns = pd.Index([_name(column) for column in frame.columns])
    if not len(frame):
        raise DataError(f"Sheet {sheet!r} has no rows.")
    frame = frame.reset_index(drop=True)
    return tensor_of(frame, lambda row: f"row {rows[row]}", header=header, **options)


def _sheet(names: list[str], chosen: str | None) -> str:
    """Return the sheet that is chosen, or the only one."""
    listed = ", ".join(map(repr, names))
    if chosen is None and len(names) != 1:
        raise DataError(f"The file has several sheets: choose one with variable=, of {listed}.")
    if chosen is not None and chosen not in names:
        raise ParameterError(f"There is no sheet {chosen!r}: the file has {listed}.")
    return names[0] if chosen is None else chosen


def _name(column: Any) -> str:
    """Return the name of a column, a day without its time."""
    is_day = isinstance(column, datetime.datetime) and column.time() == datetime.time()
    return column.date().isoformat() if is_day else str(column).strip()


FORMATS = (
    Format(
        endings=(".xlsx",),
        read=_read,
        options=OPTIONS | {"variable", "header"},
        needs=("pandas", "openpyxl"),
        extra="tables",
    ),
)
