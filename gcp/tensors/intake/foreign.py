"""Sparse arrays of SciPy and of the library `sparse` as tensors of listed entries, and what AnnData calls them."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.tensors import entries
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor


def from_scipy(data: Any) -> SparseTensor:
    """Return the tensor of a SciPy array of any format; entries listed more than once are added, as SciPy does."""
    coo = data.tocoo()
    return SparseTensor.of(_sorted(coo.coords, coo.data, coo.shape, type(data).__name__, "sum"))


def from_pydata(data: Any) -> SparseTensor | ObservedTensor:
    """Return the tensor of a sparse array of any format.

    The fill value 0 says that other entries are zero, and NaN that they are unknown.

    Raises
    ------
    DataError
        Another fill value.
    """
    name, fill = type(data).__name__, np.asarray(data.fill_value)
    is_unknown = fill.dtype.kind == "f" and bool(np.isnan(fill))
    if not is_unknown and fill != 0:
        raise DataError(
            f"The {name} array has the fill value {fill.item()!r}: expected 0 (other entries are zero) or NaN (they "
            "are unknown)."
        )
    coo = data.asformat("coo")
    found = _sorted(coo.coords, coo.data, coo.shape, name, "error" if is_unknown else "sum")
    return ObservedTensor.of(found) if is_unknown else SparseTensor.of(found)


def labels_of_anndata(data: Any) -> ModeLabels:
    """Return the names of an AnnData's cells and genes, which are its modes `obs` and `var`.

    Raises
    ------
    DataError
        It has no `X`.
    """
    if data.X is None:
        raise DataError("The AnnData has no X: give a layer, e.g. adata.layers['counts'], or copy it to X.")
    return ModeLabels(["obs", "var"], [np.asarray(data.obs_names), np.asarray(data.var_names)])


def _sorted(
    coords: Any, values: Any, shape: tuple[int, ...], name: str, aggregate: str
) -> entries.SortedEntries:
    if len(shape) == 0:
        raise DataError(f"The {name} is a single number: expected an array of one mode or more.")
    if np.asarray(values).dtype.kind not in "buif":
        raise DataError(
            f"The {name} has dtype {values.dtype}: expected real, integer or boolean numbers. "
            "Convert it first, e.g. data.astype(float)."
        )
    subs = np.stack([np.asarray(column) for column in coords], axis=1)
    found = entries.sorted_entries(entries.checked(subs, values, shape, None), aggregate)
    return found.having(x=found.values != 0) if values.dtype.kind == "b" else found
