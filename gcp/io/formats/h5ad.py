"""AnnData's .h5ad: cells by genes with their names, in the layout of HDF5 that anndata documents.

The library itself holds back versions of pandas and SciPy that others need, and is not asked for.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from gcp.base.errors import FormatError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.format import Format, choose_variable
from gcp.io.hdf5 import opened_alone, texts_of, values_of
from gcp.io.sparse_arrays import tensor_of_matrix
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor

_MAIN = "X"


def _read(file: BinaryIO, variable: str | None = None, unlisted: str = "zero") -> Tensor:
    with opened_alone(file, "an .h5ad file") as opened:
        if "obs" not in opened or "var" not in opened:
            raise FormatError("the file holds no obs and var: it was not written by anndata.")
        layers = [f"layers/{name}" for name in opened.get("layers", ())]
        found = {name: _Matrix(opened[name]) for name in (_MAIN, "raw/X", *layers) if name in opened}
        others = {name: "no matrix of cells by genes" for name in opened if name != _MAIN}
        name = variable.strip("/") if variable is not None else _MAIN if _MAIN in found else None
        content = choose_variable(found, others, name).read()
        genes = opened["raw/var" if name == "raw/X" else "var"]
        labels = ModeLabels(["obs", "var"], [_names(opened["obs"]), _names(genes)])
        if hasattr(content, "tocsr"):
            return tensor_of_matrix(content, unlisted, labels)
        return DenseTensor(content, labels=labels)


class _Matrix:
    """A matrix of the file, dense or sparse.

    Parameters
    ----------
    item : h5py.Dataset or h5py.Group
    """

    def __init__(self, item: Any) -> None:
        self._item = item
        own = item.attrs
        shape = getattr(item, "shape", own.get("shape", own.get("h5sparse_shape", ())))
        self.shape = tuple(int(size) for size in shape)

    def read(self) -> Any:
        """Return the matrix in memory, as NumPy's array or SciPy's sparse one."""
        from scipy import sparse

        if hasattr(self._item, "dtype"):
            return values_of(self._item)
        own = self._item.attrs
        kind = str(own.get("encoding-type", own.get("h5sparse_format", "")))[:3]
        if kind not in ("csr", "csc"):
            raise FormatError(
                f"{self._item.name} is no matrix that gcp knows, but {own.get('encoding-type')!r}."
            )
        parts = tuple(values_of(self._item[name]) for name in ("data", "indices", "indptr"))
        return getattr(sparse, f"{kind}_array")(parts, shape=self.shape)


def _names(table: Any) -> Array:
    """Return the names (I_n,) of a table's rows."""
    if hasattr(table, "dtype"):  # before version 0.7, rows of a structure
        rows = values_of(table)
        return texts_of(rows[(rows.dtype.names or ("index",))[0]])
    names = table[table.attrs.get("_index", "_index")]
    if hasattr(names, "dtype"):
        return texts_of(values_of(names))
    if "codes" in names:
        return texts_of(values_of(names["categories"]))[values_of(names["codes"])]
    return texts_of(values_of(names["values"]))


FORMATS = (
    Format(
        endings=(".h5ad",),
        read=_read,
        options=frozenset({"variable", "unlisted"}),
        needs=("h5py",),
        extra="arrays",
    ),
)
