"""Matrix Market, sparse or dense, through SciPy; symmetric matrices are whole, and patterns are ones."""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.io.format import Format, damage_told
from gcp.io.sparse_arrays import tensor_of_matrix
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor


def _read(file: BinaryIO, unlisted: str | None = None) -> Tensor:
    from scipy.io import mminfo, mmread

    content = file.read()
    with damage_told("a Matrix Market file"):
        n_rows, n_columns, n_entries, form, field, _ = mminfo(io.BytesIO(content))
        n_numbers = n_rows * n_columns // 2 if form == "array" else n_entries  # of a symmetric one, half
        if n_numbers > len(content) // 2 or min(n_rows, n_columns, n_entries) < 0:
            raise FormatError(
                f"the header promises {n_numbers:,} numbers, more than {len(content):,} bytes can hold: the file may "
                "be cut short."
            )
        if field == "complex":
            raise DataError("the matrix is complex: expected real numbers.")
        matrix = mmread(io.BytesIO(content))
    if isinstance(matrix, np.ndarray):
        if unlisted is not None:
            raise ParameterError(
                "unlisted does not apply: the file holds a dense matrix, which lists all cells."
            )
        return DenseTensor(matrix)
    return tensor_of_matrix(matrix, unlisted or "zero")


FORMATS = (Format(endings=(".mtx",), read=_read, options=frozenset({"unlisted"}), is_text=True),)
