"""From anything a user calls a tensor to a data kind; labels are picked up here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from gcp._typing import Array
from gcp.errors import DataError
from gcp.labels import ModeLabels
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listed import ListedTensor
from gcp.tensors.listing import dense_from_listing

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def as_tensor(
    data: Any, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
) -> DenseTensor:
    """The data as a tensor that `gcp` can fit, with the labels that came along.

    Parameters
    ----------
    data : DenseTensor, array_like, masked array, xarray.DataArray, pandas.Series or pandas.DataFrame
        NaN and masked entries are missing. Arrays of other libraries are accepted if NumPy can read them.
        A DataArray gives its dimensions and one-dimensional coordinates as labels; a Series one mode per
        index level, with unlisted combinations missing; a DataFrame is a matrix, index by columns.
    mask : array_like of bool, optional
        True = observed; shaped like the data or broadcastable.
    entry_weights : array_like, optional
        Nonnegative weights, shaped like the data or broadcastable.

    Returns
    -------
    DenseTensor
        `data` itself if it is one and nothing else is given. Given a DenseTensor and a mask or weights:
        a new one, observed where both say so, with the product of both weights.

    Raises
    ------
    DataError
        Data that are not numbers, sparse matrices, repeated index entries; mask or weights that do not fit.
    """
    if isinstance(data, ListedTensor):
        return data
    if isinstance(data, DenseTensor):
        return data if mask is None and entry_weights is None else _combined(data, mask, entry_weights)
    library = _library(data)
    if library == "xarray":
        values, labels = _from_xarray(data)
    elif library == "pandas":
        tensor = _from_series(data) if data.ndim == 1 else _from_wide(data)
        return as_tensor(tensor, mask, entry_weights)
    elif library == "sparse":
        raise DataError(
            f"Sparse data ({type(data).__name__}) are not supported yet. Make them dense first: "
            ".toarray() for SciPy, .todense() for sparse."
        )
    else:
        values, labels = _array(data), None
    return DenseTensor(values, mask=mask, entry_weights=entry_weights, labels=labels)


def _library(data: Any) -> str | None:
    """The library that a labelled or sparse class comes from, told without importing it."""
    for base in type(data).__mro__:
        name = base.__module__
        if name.startswith("scipy.sparse"):
            return "sparse"
        if (root := name.partition(".")[0]) in ("xarray", "pandas", "sparse"):
            return root
    return None


def _combined(tensor: DenseTensor, mask: ArrayLike | None, entry_weights: ArrayLike | None) -> DenseTensor:
    weights = DenseTensor(tensor.values, mask, entry_weights).entry_weights
    own = tensor.entry_weights
    if own is not None and weights is not None:
        both_masks = own.dtype.kind == weights.dtype.kind == "b"
        weights = np.multiply(own, weights, dtype=np.bool_ if both_masks else np.float64)
    elif weights is None:
        weights = own
    if weights is None or weights.dtype.kind != "b":
        return DenseTensor(tensor.values, entry_weights=weights, labels=tensor.labels)
    return DenseTensor(tensor.values, mask=weights, labels=tensor.labels)


def _array(data: Any) -> Array:
    """Anything that NumPy can read; masked arrays stay masked."""
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, str | os.PathLike):
        raise DataError(
            f"The data are a text, {os.fspath(data)!r}: to read a file use gcp.read_tensor(path)."
        )
    if callable(getattr(data, "detach", None)):  # PyTorch refuses to convert what tracks gradients
        data = data.detach().cpu()
    try:
        return np.asarray(data)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"The data ({type(data).__name__}) cannot be read as an array: {error}") from error


def _from_xarray(data: xr.DataArray) -> tuple[Array, ModeLabels]:
    if not hasattr(data, "dims") or not hasattr(data, "dtype"):
        raise DataError(
            f"The data are an xarray {type(data).__name__}: expected one DataArray, e.g. dataset['name']."
        )
    coords = [data.coords[dim].values if dim in data.coords else None for dim in data.dims]
    return data.values, ModeLabels([str(dim) for dim in data.dims], coords)


def _from_series(series: pd.Series[Any]) -> DenseTensor:
    """One mode per index level."""
    values = _numeric(series, "the Series")
    index: Any = series.index
    names = [f"mode_{n}" if name is None else str(name) for n, name in enumerate(index.names)]
    if index.nlevels == 1:
        return DenseTensor(values, labels=ModeLabels(names, [np.asarray(index)]))
    if len(series) == 0:
        raise DataError("The Series is empty.")
    index = index.remove_unused_levels()
    if any((codes < 0).any() for codes in index.codes):
        raise DataError("The index of the Series has missing labels (NaN): fill in or drop these rows.")
    if not index.is_unique:
        first = ", ".join(map(str, index[index.duplicated()][0]))
        raise DataError(
            f"The index of the Series lists ({first}) more than once. Aggregate first, "
            "e.g. series.groupby(level=list(range(series.index.nlevels))).sum()."
        )
    return dense_from_listing(
        [np.asarray(codes) for codes in index.codes],
        values,
        [len(level) for level in index.levels],
        unlisted="missing",
        labels=ModeLabels(names, [np.asarray(level) for level in index.levels]),
    )


def _from_wide(frame: pd.DataFrame) -> DenseTensor:
    """A matrix: the index and the columns are its two modes."""
    if not hasattr(frame, "columns"):
        raise DataError(f"The data are a pandas {type(frame).__name__}: expected a Series or a DataFrame.")
    if frame.index.nlevels + frame.columns.nlevels > 2:
        raise DataError(
            "The DataFrame has a MultiIndex. As a tensor with one mode per level pass frame.stack(...), a "
            "Series, or use gcp.from_frame with a long table."
        )
    bad = [c for c, dtype in frame.dtypes.items() if getattr(dtype, "kind", "O") not in "buif"]
    if bad:
        raise DataError(
            f"The DataFrame is read as a matrix, but columns {bad[:5]} are not numeric. "
            "For a long table (one row per cell) use gcp.from_frame(frame, modes=[...], value=...)."
        )
    names = ["mode_0" if frame.index.name is None else str(frame.index.name)]
    names.append("mode_1" if frame.columns.name is None else str(frame.columns.name))
    labels = ModeLabels(names, [np.asarray(frame.index), np.asarray(frame.columns)])
    return DenseTensor(_numeric(frame, "the DataFrame"), labels=labels)


def _numeric(data: pd.Series[Any] | pd.DataFrame, what: str) -> Array:
    """Values as a plain array; pandas' own NA becomes NaN."""
    values = np.asarray(data.to_numpy())
    if values.dtype.kind in "buif":
        return values
    try:
        return np.asarray(data.to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError) as error:
        raise DataError(f"The values of {what} are not numbers: {error}") from error
