"""Conversion of anything a user calls a tensor to a data kind; labels are picked up here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import labels_of_xarray, library_of
from gcp.base.types import Array
from gcp.tensors.base import InOnePiece, TensorData, WholeData
from gcp.tensors.dense import DenseTensor, check_numbers
from gcp.tensors.entries import cells_of
from gcp.tensors.intake.carried import Carried, carrying, given_of
from gcp.tensors.intake.carried_parts import carrying_in_parts
from gcp.tensors.intake.foreign import from_pydata, from_scipy, labels_of_anndata
from gcp.tensors.intake.listed_masks import restricted
from gcp.tensors.intake.mode_columns import exact
from gcp.tensors.intake.mode_names import labels_named, named
from gcp.tensors.intake.recognise import array_of, refuse_long
from gcp.tensors.kinds import Tensor, as_listed, tensor_from_listing
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import beside, is_named, listed_companion
from gcp.tensors.parts import streamed
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import Source, is_mapped, naming_source, source_of
from gcp.tensors.weights import check_weights

if TYPE_CHECKING:
    import pandas as pd


def as_tensor(
    data: Any,
    mask: Any = None,
    entry_weights: Any = None,
    modes: Any = None,
    *,
    exposure: Any = None,
    offset: Any = None,
    trials: Any = None,
) -> TensorData:
    """Return the data as a tensor that `gcp` can fit, with the labels that came along.

    Parameters
    ----------
    data : tensor of gcp, array_like, masked array, sparse array, xarray.DataArray, pandas.Series or pandas.DataFrame
        A tensor of a kind of one's own derives from `gcp.tensors.base.InOnePiece` (docs/extending.md).
        NaN and masked entries are missing. Arrays of other libraries are accepted if NumPy can read them. Of more
        than 1 GB, a `numpy.memmap`, `h5py.Dataset` or `zarr.Array` stays where it is and is read in slabs.
        Sparse matrices and arrays of SciPy list the nonzero entries, and those of the library `sparse` with the fill
        value 0; with the fill value NaN the others are unknown. Entries listed twice are added.
        An AnnData gives its `X`, whose modes are `obs` and `var` with their names.
        A DataArray gives its dimensions and one-dimensional coordinates as labels; a Series one mode per
        index level, of which it must list all combinations; a DataFrame is a matrix, index by columns (long tables,
        with a row for each cell, are for `from_frame`). A Dask array, and
        a DataArray that holds one, is put together in slabs on the workers of Dask's current client; without one it
        is computed here, of more than 1 GB in slabs and in every pass.
    mask : array_like of bool, sequence of (array_like of bool or None), or SparseTensor, optional
        True = observed; shaped like the data or broadcastable. For listed entries: one vector for each mode (None =
        all), where a cell is observed if all its positions are. Or a SparseTensor of the data's shape: its nonzero
        cells are observed. A mask with names or labels (of xarray, pandas, or a tensor) is matched with the data by
        those that both have, and may have some of the modes.
    entry_weights : array_like or SparseTensor, optional
        Nonnegative weights, shaped like the data or broadcastable. For an ObservedTensor and a SparseTensor: one for
        each entry, if these were listed in the order of `subs`. Or a SparseTensor of the data's shape: the weights of
        all cells. Matched by names as a mask is.
    modes : sequence of str, optional
        Names of the modes of data that have none.
    exposure, offset, trials : array_like, optional
        As for `fit_gcp`.

    Returns
    -------
    DenseTensor, SparseTensor, ObservedTensor, PartitionedTensor or a kind of the user's
        `data` itself if it is one and nothing else is given; in parts if it is read in slabs. Given a tensor and a
        mask or weights: a new one, observed where both say so, with the product of both weights. A SparseTensor of
        which a SparseTensor says what is observed becomes an ObservedTensor.

    Raises
    ------
    DataError
        Data that are not numbers, repeated index entries, a Series that leaves cells out; mask or weights that do not
        fit.
    """
    if carried := given_of(exposure, offset, trials):
        if library_of(data) == "dask" or getattr(data, "chunks", None) is not None:  # never a list of entries
            data, mask, entry_weights = as_tensor(data, mask, entry_weights, modes), None, None
        whole = as_tensor(data, modes=modes)
        _check_order(data, whole, entry_weights)
        if isinstance(whole, PartitionedTensor):
            masked: Any = as_tensor(whole, mask, entry_weights)
            return carrying_in_parts(masked, carried)
        if isinstance(whole, DenseTensor):
            return carrying(as_tensor(whole, mask, entry_weights), carried, None, None)
        return carrying(whole, carried, mask, entry_weights)
    library = library_of(data)
    if modes is not None and library not in ("dask", "xarray"):
        whole = named(as_tensor(data), modes)
        _check_order(data, whole, entry_weights)
        return as_tensor(whole, mask, entry_weights)
    if isinstance(data, PartitionedTensor | InOnePiece):
        tensor: Any = data
        return tensor if mask is None and entry_weights is None else _combined(tensor, mask, entry_weights)
    if library == "dask":
        return _from_dask(data, mask, entry_weights, modes=modes)
    if _is_large_file(data) or library in ("h5py", "zarr") or isinstance(data, Source):
        return from_source(_source(data), streamed.DEFAULT_MEMORY, mask, entry_weights)
    if library == "xarray":
        return _from_xarray(data, mask, entry_weights, modes)
    if library is None:
        # A mapped file that is cut short meanwhile would end the process (SIGBUS).
        values = np.array(data, subok=False) if is_mapped(data) else array_of(data)
        return _dense(values, None, mask, entry_weights)
    if library == "anndata":
        return _from_anndata(data, mask, entry_weights)
    if library == "pandas":
        tensor = _from_pandas(data)
    else:
        tensor = from_scipy(data) if library == "scipy" else from_pydata(data)
    _check_order(data, tensor, entry_weights)
    return as_tensor(tensor, mask, entry_weights)


def _check_order(data: Any, tensor: Any, entry_weights: Any) -> None:
    """Raise `DataError` for weights in an order, beside data of others that became a list in an order of its own."""
    is_made = tensor.subs is not None if isinstance(tensor, InOnePiece) else False
    if entry_weights is None or is_named(entry_weights) or not is_made or isinstance(data, InOnePiece):
        return
    raise DataError(
        f"entry_weights beside a {type(data).__name__}, whose entries have no order to go by: make it a "
        "gcp.SparseTensor or gcp.ObservedTensor first, or give the weights as a gcp.SparseTensor or a DataArray."
    )


def in_one_piece(
    data: Any,
    mask: Any = None,
    entry_weights: Any = None,
    modes: Any = None,
    *,
    why: str = "This",
    **carried: Unpack[Carried],
) -> WholeData:
    """Return the data as `as_tensor` does, for what needs single entries, which the error calls `why`.

    Raises
    ------
    DataError
        Also of data in parts.
    """
    if _is_large_file(data):
        data = np.asarray(data)  # what is not touched takes no memory
    tensor: Any = as_tensor(data, mask, entry_weights, modes, **carried)
    if isinstance(tensor, PartitionedTensor):
        raise DataError(
            f"{why} needs the data in one piece: found {tensor!r}. If they fit into memory, read them whole."
        )
    whole: WholeData = tensor
    return whole


def from_source(
    source: Source,
    memory: int | None,
    mask: Any = None,
    entry_weights: Any = None,
    labels: ModeLabels | None = None,
) -> Tensor | PartitionedTensor:
    """Return the tensor of an array that is not in memory.

    The array is read whole if it fits or `memory` is None, else in slabs.
    """
    if memory is None or streamed.fits(source, memory):
        with naming_source(source.name):
            check_numbers(source.dtype, source.shape)
            values = source.whole()
        return _dense(values, labels, mask, entry_weights)
    masks, weights = ([] if given is None else [given] for given in (mask, entry_weights))
    return streamed.streamed(source, memory, masks=masks, weights=weights, labels=labels)


def _is_large_file(data: Any) -> bool:
    return is_mapped(data) and 2 * data.nbytes > streamed.DEFAULT_MEMORY


def _source(data: Any) -> Source:
    with naming_source(f"The data ({type(data).__name__})"):  # its file may be closed
        if getattr(data, "shape", None) is None:
            raise DataError("expected one array, e.g. file['name'].")
        return source_of(data)


def _dense(values: Array, labels: ModeLabels | None, mask: Any, entry_weights: Any) -> DenseTensor:
    """Return the tensor of an array (I_0, ...), with its mask and weights."""
    found: list[Any] = []
    for name, given in (("mask", mask), ("entry_weights", entry_weights)):
        if isinstance(given, ListedTensor):
            given = listed_companion(name, given, labels, values.shape).to_dense().values
            given = given != 0 if name == "mask" else given
        if library_of(given) == "dask":
            given = given.compute()  # what is masked stays so
        found.append(beside(name, given, labels, np.shape(values)))
    return DenseTensor(values, mask=found[0], entry_weights=found[1], labels=labels)


def _from_dask(
    data: Any, mask: Any, entry_weights: Any, labels: ModeLabels | None = None, modes: Any = None
) -> Tensor | PartitionedTensor:
    """Return the tensor on the workers of Dask's current client.

    Without one, it is computed here, in slabs if the array is large.
    """
    import dask.array as da

    if not isinstance(data, da.Array):
        raise DataError(
            f"The data are a Dask {type(data).__name__}: expected an array; for a long table (one row per cell or "
            "event) use gcp.from_frame(table, modes=[...], value=...)."
        )
    try:
        from gcp.tensors.parts.dask.dask_data import current_client, from_array
    except ModuleNotFoundError:  # Dask's arrays come without its scheduler
        client = None
    else:
        client = current_client()
    if any(math.isnan(size) for size in data.shape):
        raise DataError(
            f"The data are a Dask array of shape {data.shape}: expected modes of known sizes; call "
            "data.compute_chunk_sizes() first."
        )
    labels = labels if modes is None else labels_named(labels, data.shape, modes)
    if client is not None:
        return from_array(client, data, mask, entry_weights, labels)
    return from_source(_source(data), streamed.DEFAULT_MEMORY, mask, entry_weights, labels)


def _from_xarray(data: Any, mask: Any, entry_weights: Any, modes: Any) -> TensorData:
    labels = labels_of_xarray(data, "data")
    labels = labels if modes is None else labels_named(labels, data.shape, modes)
    if data.chunks is not None:
        return _from_dask(data.data, mask, entry_weights, labels)
    if library_of(data.data) == "sparse":
        listed = from_pydata(data.data)
        listed.labels = labels
        _check_order(data, listed, entry_weights)
        return as_tensor(listed, mask, entry_weights)
    with naming_source("The data (a DataArray)"):
        values = data.values
    return _dense(values, labels, mask, entry_weights)


def _from_anndata(data: Any, mask: Any, entry_weights: Any) -> TensorData:
    labels = labels_of_anndata(data)
    content = data.X
    if data.isbacked:
        with naming_source("The data (an AnnData)"):  # its file may be closed
            content = content.to_memory() if hasattr(content, "to_memory") else content[:]
    if library_of(content) == "dask":
        return _from_dask(content, mask, entry_weights, labels)
    if library_of(content) == "scipy":
        listed = from_scipy(content)
        listed.labels = labels
        return as_tensor(listed, mask, entry_weights)
    return _dense(np.asarray(content), labels, mask, entry_weights)


def _combined(tensor: Any, mask: Any, entry_weights: Any) -> TensorData:
    """Return a tensor with a further mask and further weights."""
    if isinstance(tensor, PartitionedTensor):
        return streamed.restricted(tensor, mask, entry_weights)
    if tensor.subs is not None:
        return restricted(as_listed(tensor), mask, entry_weights)
    whole: WholeData = tensor
    weights = _dense(tensor.values, tensor.labels, mask, entry_weights).entry_weights
    own = tensor.entry_weights
    if own is not None and weights is not None:
        both_masks = own.dtype.kind == weights.dtype.kind == "b"
        weights = np.multiply(own, weights, dtype=np.bool_ if both_masks else np.float64)
    elif weights is None:
        weights = own
    if weights is not None:
        check_weights(weights)
    return whole if weights is None else whole.with_weights(weights)


def _from_pandas(data: Any) -> Tensor:
    if not hasattr(data, "iloc"):
        raise DataError(f"The data are a pandas {type(data).__name__}: expected a Series or a DataFrame.")
    return _from_series(data) if data.ndim == 1 else _from_wide(data)


def _from_series(series: pd.Series[Any]) -> Tensor:
    """Return a tensor with one mode per index level."""
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
    shape = [len(level) for level in index.levels]
    if unlisted := cells_of(shape) - len(series):
        modes = [f"level_{n}" if name is None else name for n, name in enumerate(index.names)]
        raise DataError(
            f"The index of the Series leaves {unlisted:,} of the {cells_of(shape):,} cells of shape {tuple(shape)} "
            f"out. Say what they are: gcp.from_frame(series.reset_index(name='value'), modes={modes!r}, "
            "value='value', unlisted='zero') if they are known to be 0, as counts are; unlisted='missing' if nothing "
            "is known of them."
        )
    return tensor_from_listing(
        np.stack([np.asarray(codes) for codes in index.codes], axis=1),
        values,
        shape,
        unlisted=None,
        labels=ModeLabels(names, [exact(np.asarray(level), "the index") for level in index.levels]),
    )


def _from_wide(frame: pd.DataFrame) -> DenseTensor:
    """Return a matrix: the index and the columns are its two modes."""
    if frame.index.nlevels + frame.columns.nlevels > 2:
        raise DataError(
            "The DataFrame has a MultiIndex. As a tensor with one mode per level pass frame.stack(...), a "
            "Series, or use gcp.from_frame with a long table."
        )
    bad = [c for c, dtype in frame.dtypes.items() if getattr(dtype, "kind", "O") not in "buif"]
    if bad:
        raise DataError(
            f"The DataFrame is read as a matrix, but columns {bad[:5]} are not numeric. "
            "For a long table (one row per cell) use gcp.from_frame(frame, modes=[...], value=...); for a matrix, "
            f"make them its index: frame.set_index({bad[0]!r})."
        )
    refuse_long(frame)
    names = ["mode_0" if frame.index.name is None else str(frame.index.name)]
    names.append("mode_1" if frame.columns.name is None else str(frame.columns.name))
    labels = ModeLabels(names, [np.asarray(frame.index), np.asarray(frame.columns)])
    return DenseTensor(_numeric(frame, "the DataFrame"), labels=labels)


def _numeric(data: pd.Series[Any] | pd.DataFrame, what: str) -> Array:
    """Return values as a plain array, shaped like the data; pandas' own NA becomes NaN."""
    values = np.asarray(data.to_numpy())
    if values.dtype.kind in "buif":
        return values
    try:
        return np.asarray(data.to_numpy(dtype=np.float64, na_value=np.nan))
    except (ValueError, TypeError) as error:
        raise DataError(f"The values of {what} are not numbers: {error}") from error
