"""Exposures, offsets and trials that are given beside data in parts: cut alike, and attached to each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.errors import DataError
from gcp.base.named_arrays import library_of
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import checked, settled, whole_numbers
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.carried import (
    Carried,
    Column,
    attached,
    check_new,
    column_of,
    cut,
    numbers_of,
    title_of,
    titled,
    values_of,
)
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import beside
from gcp.tensors.parts import streamed
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import Source, is_mapped
from gcp.tensors.successes import are_counts


def carrying_in_parts(tensor: PartitionedTensor, carried: Carried) -> PartitionedTensor:
    """Return a tensor in parts whose cells carry exposures, offsets and trials.

    Parameters
    ----------
    tensor : PartitionedTensor
    carried : Carried
        Besides what `carrying` takes, mapped files, arrays of h5py, Zarr and Dask, and tensors in parts: of the shape
        of the data, or broadcasting to it, and never in memory whole beside data that are not.

    Raises
    ------
    DataError
        As of `carrying`; a tensor in other parts than the data; a part of listed entries of which none is left.
    """
    check_new(tensor, carried)
    if tensor.engine.is_resident:
        found = _attached_to_parts(tensor, carried)
    else:
        columns = {name: _read_beside(name, given, tensor) for name, given in carried.items()}
        found = streamed.restricted(tensor, None, None, columns)
    made: PartitionedTensor = titled(found, title_of(carried.get("exposure")))
    return made


def _read_beside(name: str, given: Any, tensor: PartitionedTensor) -> Any:
    """Return what is read in slabs beside data that are, or an array in memory."""
    if isinstance(given, PartitionedTensor):
        _check_order(name, given, tensor)
        source = streamed.plain_source(given)
        if source is None:
            raise DataError(
                f"{name} is in parts of another kind than the data, which are read in slabs: give it as it lies in "
                "its file, without a mask, or as an array."
            )
        return source
    if isinstance(given, DenseTensor | ListedTensor) or not _is_outside_memory(given):
        return numbers_of(name, given, tensor.labels, tensor.shape)
    return given


def _is_outside_memory(given: Any) -> bool:
    """Return whether this is an array that is read, or computed, piece by piece."""
    if isinstance(given, Source) or is_mapped(given):
        return True
    library = library_of(given)
    return library in ("h5py", "zarr", "dask") or (
        library == "xarray" and getattr(given, "chunks", None) is not None
    )


def _attached_to_parts(tensor: PartitionedTensor, carried: Carried) -> PartitionedTensor:
    """Return parts that are in someone's memory with their share of each column."""
    names, pieces = tuple(carried), [_pieces(name, given, tensor) for name, given in carried.items()]
    own = [list(mine) for mine in zip(*pieces, strict=True)]
    try:
        found = tensor.changed(_with_columns, names, own=own)
        counts = are_counts(found.map(whole_numbers)) if "trials" in names else None
        return found.changed(partial(_settled, names=names, counts=counts))
    except DataError as error:
        if "no observed entry" not in str(error):
            raise
        raise DataError(
            f"A part of the data has no cell left that has {' and '.join(names)}: give them to the tensor that is "
            f"cut, gcp.partition(data, parts, {names[0]}=...)."
        ) from error


def _with_columns(part: Any, names: Sequence[str], own: Sequence[Any]) -> Any:
    """Return a part with columns that are not settled yet."""
    for name, column in zip(names, own, strict=True):
        if isinstance(column, DenseTensor):
            column = values_of(column)
        if isinstance(column, np.ndarray):  # a piece of a file or of workers' is seen here for the first time
            column = checked(name, np.ma.filled(column.astype(float), np.nan), None)
        part = attached(part, name, column)
    return part


def _settled(part: Any, _: None = None, *, names: Sequence[str], counts: bool | None) -> Any:
    return settled(part, names, counts)


def _pieces(name: str, given: Any, tensor: PartitionedTensor) -> list[Any]:
    """Return the share of each part: numbers, listed cells, or futures of these."""
    cuts = tensor.cuts
    if isinstance(given, PartitionedTensor):
        _check_order(name, given, tensor)
        if (source := streamed.plain_source(given)) is None:
            _check_cuts(name, given, tensor)
            return _parts_of(given, tensor)
        given = source.whole()  # the data, of the same size, are in memory too
    if not isinstance(given, DenseTensor | ListedTensor) and _is_outside_memory(given):
        if (futures := _computed(name, given, tensor)) is not None:
            return futures
        given = _in_memory(given)
    column: Column = column_of(name, given, tensor)
    if isinstance(column, np.ndarray) and column.ndim == 0:
        column = column.reshape((1,) * tensor.ndim)
    return [cut(column, cuts.mode, a, b) for a, b in cuts.ranges]


def _in_memory(given: Any) -> Any:
    """Return an array that is read or computed as one in memory, with its names."""
    if isinstance(given, Source):
        return given.whole()
    if hasattr(given, "compute"):
        return given.compute()
    return np.asarray(given)


def _check_order(name: str, given: PartitionedTensor, tensor: PartitionedTensor) -> None:
    """Raise `DataError` unless a tensor in parts has the positions of the data, in their order."""
    side = Side(f"the {name}", given.labels, given.shape)
    if not align(side, Side("the data", tensor.labels, tensor.shape)).is_identity:
        raise DataError(
            f"{name} is in parts, in another order than the data: give it as an array with names."
        )


def _check_cuts(name: str, given: PartitionedTensor, tensor: PartitionedTensor) -> None:
    """Raise `DataError` unless a tensor has the parts of the data."""
    if given.cuts != tensor.cuts:
        raise DataError(
            f"{name} is cut into parts of sizes {list(given.cuts.sizes)} along mode {given.cuts.mode}, but the data "
            f"into {list(tensor.cuts.sizes)} along mode {tensor.cuts.mode}: cut both alike, or give it as an array."
        )


def _parts_of(given: PartitionedTensor, tensor: PartitionedTensor) -> list[Any]:
    """Return the parts of a tensor that is cut as the data are, where those are, or here."""
    if given.engine.is_resident and type(given.engine) is type(tensor.engine):
        return given.engine.handles()
    return given.map(_here)


def _here(part: TensorData, _: None = None) -> Any:
    """Return a part, or the data (I_0, ...) of a dense one, whose memory may be taken for the next."""
    return np.array(values_of(part)) if isinstance(part, DenseTensor) else part


def _computed(name: str, given: Any, tensor: PartitionedTensor) -> list[Any] | None:
    """Return futures of the pieces of a Dask array, beside dense data on workers; None of other arrays or data."""
    values = given.data if library_of(given) == "xarray" else given
    if library_of(values) != "dask" or tensor.engine.is_local or tensor.kind != "dense":
        return None
    from gcp.tensors.parts.dask.dask_data import computed_pieces

    in_order = beside(name, given, tensor.labels, tensor.shape)
    return computed_pieces(name, in_order, tensor.shape, tensor.cuts, tensor.engine)
