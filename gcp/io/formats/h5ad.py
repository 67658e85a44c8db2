"""AnnData's .h5ad: cells by genes with their names, through anndata."""

from __future__ import annotations

import warnings
from typing import Any, BinaryIO

import numpy as np

from gcp.base.errors import FormatError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.format import Format, choose_variable
from gcp.io.hdf5 import check_size, opened_alone, texts_of, values_of
from gcp.io.sparse_arrays import tensor_of_matrix
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor

_MAIN = "X"


def _read(file: BinaryIO, variable: str | None = None, unlisted: str = "zero") -> Tensor:
    with opened_alone(file, "an .h5ad file") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how other versions wrote files
        return _tensor(opened, variable, unlisted)


def _tensor(opened: Any, variable: str | None, unlisted: str) -> Tensor:
    if "obs" not in opened or "var" not in opened:
        raise FormatError("the file holds no obs and var: it was not written by anndata.")
    layers = [f"layers/{name}" for name in opened.get("layers", ())]
    found = {name: _Matrix(opened[name]) for name in (_MAIN, "raw/X", *layers) if name in opened}
    others = {name: "no matrix of cells by genes" for name in opened if name != _MAIN}
    name = variable.strip("/") if variable is not None else _MAIN if _MAIN in found else None
    matrix = choose_variable(found, others, name)
    genes = opened["raw/var" if name == "raw/X" else "var"]
    labels = ModeLabels(["obs", "var"], [_names(opened["obs"]), _names(genes)])
    content = matrix.read()
    if hasattr(content, "tocsr"):
        return tensor_of_matrix(content, unlisted, labels)
    return DenseTensor(np.asarray(content), labels=labels)


class _Matrix:
    """A matrix of the file, dense or sparse.

    Parameters
    ----------
    item : h5py.Dataset or h5py.Group
    """

    def __init__(self, item: Any) -> None:
        self._item = item
        attributes = item.attrs
        shape = getattr(item, "shape", attributes.get("shape", attributes.get("h5sparse_shape", ())))
        self.shape = tuple(int(size) for size in shape)

    def read(self) -> Any:
        """Return the matrix in memory, as NumPy's array or SciPy's sparse one."""
        from anndata.io import read_elem

        for part in [self._item] if hasattr(self._item, "dtype") else self._item.values():
            check_size(part)
        return read_elem(self._item)


def _names(table: Any) -> Array:
    """Return the names (I_n,) of a table's rows."""
    from anndata.io import read_elem

    if hasattr(table, "dtype"):  # before version 0.7, rows of a structure
        rows = values_of(table)
        return texts_of(rows[(rows.dtype.names or ("index",))[0]])
    names = read_elem(table[table.attrs.get("_index", "_index")])
    return texts_of(names)


FORMATS = (
    Format(
        endings=(".h5ad",),
        read=_read,
        options=frozenset({"variable", "unlisted"}),
        needs=("anndata", "h5py"),
        extra="anndata",
    ),
)
