"""Dask arrays and tables as tensors in parts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from dask import delayed
from distributed import Client, default_client

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.threads import split_range
from gcp.base.types import Array
from gcp.tensors.cuts import Cuts
from gcp.tensors.dense import DenseTensor
from gcp.tensors.kinds import Tensor
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import beside
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.parts.dask.clients import check_client, n_threads
from gcp.tensors.parts.dask.dask_engine import DaskEngine
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.splitting import balanced, longest_mode
from gcp.tensors.sparse import SparseTensor


def current_client() -> Client | None:
    """Return the client that Dask would use, if there is one; else the data are computed in this process."""
    try:
        return default_client()
    except ValueError:
        return None


def from_array(
    client: Client, array: Any, mask: Any, entry_weights: Any, labels: ModeLabels | None = None
) -> PartitionedTensor:
    """Return a Dask array (masked entries and NaN are missing) in as many slabs as there are threads.

    Each is put together on a worker, and stays there; should it be lost, Dask computes it again.
    """
    if not array.ndim:
        raise DataError("The Dask array is a single number: expected one mode or more.")
    check_client(client)
    mode = longest_mode(array.shape)
    runs = split_range(array.shape[mode], min(n_threads(client), array.shape[mode]))
    cuts = Cuts(mode, tuple(b - a for a, b in runs))

    def pieces(name: str, given: Any) -> list[Any]:
        if given is None:
            return [None] * len(runs)
        given = beside(name, given, labels, array.shape)
        if isinstance(given, ListedTensor):
            raise DataError(
                f"mask or weights are a {type(given).__name__}: expected an array beside a Dask array."
            )
        return _pieces(name, given, array.shape, cuts)

    columns = zip(
        pieces("data", array), pieces("mask", mask), pieces("entry_weights", entry_weights), strict=True
    )
    makers = [delayed(DenseTensor.part)(*own) for own in columns]
    return PartitionedTensor(_engine(client, makers), cuts, labels)


def computed_pieces(name: str, given: Any, shape: tuple[int, ...], cuts: Cuts, engine: Any) -> list[Any]:
    """Return futures of the pieces of an array that broadcasts to the shape of data on workers, cut as these are."""
    found: list[Any] = engine.client.compute(_pieces(name, given, shape, cuts))
    return found


def _pieces(name: str, given: Any, shape: tuple[int, ...], cuts: Cuts) -> list[Any]:
    """Return the pieces of an array, to be computed; `DataError` if it does not broadcast to the shape."""
    import dask.array as da

    slabs = {n: cuts.sizes if n == cuts.mode else -1 for n in range(len(shape))}
    try:
        whole = da.broadcast_to(da.asarray(given), shape)
    except ValueError:
        raise DataError(f"{name} has shape {np.shape(given)}: expected {shape}.") from None
    return list(whole.rechunk(slabs).to_delayed().ravel())


def from_table(
    client: Client,
    frame: Any,
    modes: Mapping[Hashable, Array | None],
    value: Hashable | None,
    unlisted: str,
    aggregate: str,
    coded: Callable[[Any, int], tuple[Array, Array, list[Array]]],
) -> PartitionedTensor:
    """Return the tensor of a Dask DataFrame of events or ratings.

    Rows are coded where they are, shapes (rows, N) and (rows,), and each goes to the part it belongs to.

    Parameters
    ----------
    client : distributed.Client
    frame : dask.dataframe.DataFrame
    modes : dict of ndarray or None by column, shapes (I_n,)
        The labels of each mode where they are given; else they are those of the table, sorted.
    value : column name or None
        Without one, rows are counted.
    unlisted : {"zero", "missing"}
    aggregate : str
        As in `from_frame`.
    coded : callable
        ``coded(table, k)`` of the k-th pandas table: the rows' codes, values, and the labels of each mode.
    """
    check_client(client)
    columns = [*modes, *([] if value is None else [value])]
    tables = [delayed(coded)(table, k) for k, table in enumerate(frame[columns].to_delayed())]
    held = client.compute(tables)  # until the parts are there; should one be lost, Dask reads its rows again
    found = client.gather(client.compute([delayed(_labels)(one) for one in tables]))
    levels = [
        _union(own) if given is None else given
        for own, given in zip(zip(*found, strict=True), modes.values(), strict=True)
    ]
    if not all(len(own) for own in levels):
        raise DataError("The table has no rows.")
    shape = tuple(len(own) for own in levels)
    rows = [delayed(_global)(one, levels) for one in tables]
    held = client.compute(rows)
    mode = longest_mode(shape)
    counts = sum(client.gather(client.compute([delayed(_counts)(one, mode, shape[mode]) for one in rows])))
    known = counts > 0
    if not known.any():
        raise DataError(f"All values of column {value!r} are missing.")
    sizes = balanced(known, counts.astype(float), min(n_threads(client), int(known.sum())))
    cuts = Cuts(mode, sizes)
    cut = [delayed(_cut, nout=len(sizes))(one, cuts) for one in rows]
    kind = SparseTensor if unlisted == "zero" else ObservedTensor
    make = partial(_tensor, kind, aggregate)
    makers = []
    for k, size in enumerate(sizes):
        own = (*shape[:mode], size, *shape[mode + 1 :])
        makers.append(delayed(make)([one[k] for one in cut], own))
    labels = ModeLabels([str(name) for name in modes], levels)
    engine = _engine(client, makers)
    del held
    return PartitionedTensor(engine, cuts, labels)


def _engine(client: Client, makers: Sequence[Any]) -> DaskEngine:
    """Return the engine of parts that Dask computes."""
    return DaskEngine(client, len(makers), lambda numbers: client.compute([makers[k] for k in numbers]))


def _labels(table: tuple[Array, Array, list[Array]]) -> list[Array]:
    """Return the labels (I_n,) of a table."""
    return table[2]


def _union(labels: Sequence[Array]) -> Array:
    """Return the labels (I_n,) of all tables, sorted; labels of text of different lengths are alike."""
    try:
        return np.unique(np.concatenate([own for own in labels if len(own)] or labels[:1]))
    except TypeError as error:
        raise DataError(f"The labels of a mode cannot be sorted: {error}.") from None


def _global(table: tuple[Array, Array, list[Array]], levels: list[Array]) -> tuple[Array, Array]:
    """Return rows, (rows, N) and (rows,), with codes that hold for all tables."""
    codes, values, own = table
    columns = [
        codes[:, n] if np.array_equal(whole, part) else np.searchsorted(whole, part)[codes[:, n]]
        for n, (whole, part) in enumerate(zip(levels, own, strict=True))
    ]
    return np.stack(columns, axis=1).astype(np.uint32), values


def _counts(rows: tuple[Array, Array], mode: int, size: int) -> Array:
    """Return the number of known rows at each position of a mode, shape (size,)."""
    subs, values = rows
    return np.bincount(subs[~np.isnan(values), mode], minlength=size)


def _cut(rows: tuple[Array, Array], cuts: Cuts) -> list[tuple[Array, Array]]:
    """Return rows, (rows, N) and (rows,), by part, with subscripts that count from the part's first position."""
    subs, values = rows
    pieces = []
    for a, b in cuts.ranges:
        inside = (subs[:, cuts.mode] >= a) & (subs[:, cuts.mode] < b)
        own = subs[inside]
        own[:, cuts.mode] -= np.uint32(a)
        pieces.append((own, values[inside]))
    return pieces


def _tensor(
    kind: type[SparseTensor] | type[ObservedTensor],
    aggregate: str,
    pieces: list[tuple[Array, Array]],
    shape: tuple[int, ...],
) -> Tensor:
    """Return the tensor of pieces of rows, each (rows, N) and (rows,)."""
    subs, values = (np.concatenate(column) for column in zip(*pieces, strict=True))
    return kind(subs, values, shape, aggregate=aggregate)
