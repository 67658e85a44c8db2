"""Apache Parquet: a long table in columns, through PyArrow."""

from __future__ import annotations

import re
from typing import Any, BinaryIO

from gcp.io.format import Format, damage_told
from gcp.io.long_table import OPTIONS, frame_of_tensor, tensor_of_arrow
from gcp.io.table_columns import columns_to_read
from gcp.tensors.kinds import Tensor

_WHAT = "a .parquet file"
_WRITTEN_INDEX = re.compile(r"__index_level_\d+__")
"""Columns in which pandas keeps row numbers."""


def _read(file: BinaryIO, **options: Any) -> Tensor:
    from pyarrow import parquet

    with damage_told(_WHAT):
        table = parquet.ParquetFile(file)
        names = [name for name in table.schema_arrow.names if not _WRITTEN_INDEX.fullmatch(name)]
        table = table.read(columns_to_read(names, **options))
    return tensor_of_arrow(table, _WHAT, **options)


def _write(file: BinaryIO, tensor: Tensor) -> None:
    frame_of_tensor(tensor, ".parquet", keep_order=True).to_parquet(file, index=False)


FORMATS = (
    Format(
        endings=(".parquet",),
        read=_read,
        write=_write,
        options=OPTIONS,
        needs=("pandas", "pyarrow", "pyarrow.parquet"),
        extra="tables",
    ),
)
