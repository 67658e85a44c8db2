"""Long tables as text: .csv (commas), .tsv (tabs), .dat and .data (told, or found from the first lines)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from gcp.io import csv_text
from gcp.io.format import Format
from gcp.io.long_table import OPTIONS, frame_of_tensor
from gcp.tensors.kinds import Tensor


def _write(separator: str, ending: str, file: BinaryIO, tensor: Tensor) -> None:
    frame = frame_of_tensor(tensor, ending, keep_order=False)
    frame.to_csv(file, index=False, lineterminator="\n", sep=separator)


def _text_format(*endings: str, separator: str | None) -> Format:
    read: Callable[..., Tensor] = csv_text.read
    return Format(
        endings=endings,
        read=read if separator is None else partial(read, separator=separator),
        write=None if separator is None else partial(_write, separator, endings[0]),
        options=OPTIONS | {"header", "separator", "decimal", "encoding"},
        needs=("pandas", "pyarrow", "pyarrow.csv"),
        extra="tables",
        is_text=True,
    )


FORMATS = (
    _text_format(".csv", separator=","),
    _text_format(".tsv", separator="\t"),
    _text_format(".dat", ".data", separator=None),
)
