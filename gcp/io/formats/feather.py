"""Feather, the file form of Apache Arrow: a long table in columns, through PyArrow."""

from __future__ import annotations

from typing import Any, BinaryIO

from gcp.io.format import Format, damage_told
from gcp.io.long_table import OPTIONS, frame_of_tensor, tensor_of_arrow
from gcp.io.table_columns import columns_to_read
from gcp.tensors.kinds import Tensor

_WHAT = "a .feather file"


def _read(file: BinaryIO, **options: Any) -> Tensor:
    from pyarrow import ipc

    with damage_told(_WHAT):
        reader = ipc.open_file(file)
        columns = columns_to_read(reader.schema.names, **options)
        table = reader.read_all().select(columns)
    return tensor_of_arrow(table, _WHAT, **options)


def _write(file: BinaryIO, tensor: Tensor) -> None:
    frame_of_tensor(tensor, ".feather", keep_order=True).to_feather(file)


FORMATS = (
    Format(
        endings=(".feather", ".arrow"),
        read=_read,
        write=_write,
        options=OPTIONS,
        needs=("pandas", "pyarrow", "pyarrow.ipc"),
        extra="tables",
    ),
)
