"""FROSTT's .tns: one line per entry, 1-based subscripts and the value last; unlisted entries are 0.

The format does not say the shape. Files written here begin with a comment that does, so that slices of zeros
at the end survive; other files get the largest subscripts.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from gcp.errors import DataError
from gcp.io.base import Format, observed
from gcp.io.rows import read_listing
from gcp.tensors.dense import DenseTensor

_CHUNK = 1 << 16
_SHAPE = re.compile(rb"# gcp-tensor shape:((?: \d+)+)\s*$")


def _read(file: BinaryIO, unlisted: str = "zero", aggregate: str = "sum") -> DenseTensor:
    match = _SHAPE.match(file.readline())
    shape = tuple(int(size) for size in match[1].split()) if match else None
    return read_listing(file, shape, unlisted=unlisted, aggregate=aggregate)


def _write(file: BinaryIO, tensor: DenseTensor) -> None:
    if observed(tensor, ".tns") is not None:
        raise DataError(
            "The tensor has missing entries, which .tns files cannot tell from zeros. "
            "Write .npz, .csv or .parquet instead."
        )
    file.write(f"# gcp-tensor shape: {' '.join(map(str, tensor.shape))}\n".encode())
    flat = np.flatnonzero(tensor.values)  # in C order
    for first in range(0, len(flat), _CHUNK):
        subs = np.unravel_index(flat[first : first + _CHUNK], tensor.shape)
        columns = [*((s + 1).tolist() for s in subs), map(repr, _python_numbers(tensor, subs))]
        file.write("".join(" ".join(map(str, row)) + "\n" for row in zip(*columns, strict=True)).encode())


def _python_numbers(tensor: DenseTensor, subs: tuple[np.ndarray, ...]) -> list[float]:
    """Python's own numbers, whose text is the shortest that reads back exactly."""
    values = tensor.values[subs]
    return list((values.astype(np.int8) if values.dtype.kind == "b" else values).tolist())


FORMAT = Format(_read, _write, frozenset({"unlisted", "aggregate"}))
