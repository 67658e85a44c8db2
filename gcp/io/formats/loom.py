"""Loom: sparse counts of cells by genes with their names, in an HDF5 file of genes by cells."""

from __future__ import annotations

from typing import Any, BinaryIO

from gcp.base.errors import FormatError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.format import Format, choose_variable
from gcp.io.hdf5 import opened_alone, texts_of, values_of
from gcp.io.sparse_arrays import tensor_of_matrix
from gcp.tensors.kinds import Tensor

_MAIN = "matrix"
_CELLS = ("CellID", "cell_names", "obs_names")
_GENES = ("Gene", "gene_names", "var_names", "Accession")
_SLAB_BYTES = 1 << 26
_MOST_PACKED = 10_000
"""Bytes that one byte of the file may stand for: ten times as many as packed zeros have."""


def _read(file: BinaryIO, variable: str | None = None, unlisted: str = "zero") -> Tensor:
    with opened_alone(file, "a loom file") as opened:
        if any(name not in opened for name in (_MAIN, "row_attrs", "col_attrs")):
            raise FormatError("the file holds no matrix with row_attrs and col_attrs: it is no loom file.")
        layers = [f"layers/{name}" for name in opened.get("layers", ())]
        found = {name: opened[name] for name in (_MAIN, *layers) if len(opened[name].shape) == 2}
        name = _MAIN if variable is None else variable.strip("/")
        genes_by_cells = choose_variable(found, {}, name)
        n_genes, n_cells = genes_by_cells.shape
        cells, genes = (
            _names(opened[table], names, size)
            for table, names, size in (
                ("col_attrs", _CELLS, n_cells),
                ("row_attrs", _GENES, n_genes),
            )
        )
        labels = ModeLabels(["obs", "var"], [cells, genes])
        return tensor_of_matrix(_nonzeros(genes_by_cells).T, unlisted, labels)


def _nonzeros(matrix: Any) -> Any:
    """Return a dense matrix of the file as a sparse array, read some rows at a time."""
    from scipy.sparse import csr_array, vstack

    n_rows, n_columns = matrix.shape
    if matrix.size * matrix.dtype.itemsize > _MOST_PACKED * max(matrix.id.get_storage_size(), 1):
        raise FormatError(
            f"{matrix.name} promises {n_rows:,} x {n_columns:,} numbers, which the file does not hold."
        )
    height = (matrix.chunks or (1, 1))[0]
    height *= max(1, _SLAB_BYTES // max(1, height * n_columns * matrix.dtype.itemsize))
    slabs = [csr_array(matrix[first : first + height]) for first in range(0, n_rows, height)]
    return vstack(slabs, format="csr")


def _names(table: Any, names: tuple[str, ...], size: int) -> Array | None:
    """Return the names (size,) of rows or columns, None if no attribute of a usual name holds them."""
    for name in names:
        if name in table and table[name].shape == (size,):
            return texts_of(values_of(table[name]))
    return None


FORMATS = (
    Format(
        endings=(".loom",),
        read=_read,
        options=frozenset({"variable", "unlisted"}),
        needs=("h5py",),
        extra="arrays",
    ),
)
