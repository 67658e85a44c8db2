"""Dense tensors that are not in memory: slabs along one mode, each read while the one before is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import numpy as np

from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.sizes import show_bytes
from gcp.base.types import Array
from gcp.tensors.carried_columns import CARRIED, checked, settled, whole_numbers
from gcp.tensors.cuts import Cuts
from gcp.tensors.dense import DenseTensor, arithmetic, check_mask, check_numbers
from gcp.tensors.entries import cells_of
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import beside
from gcp.tensors.parts.local_engine import Facts, LocalEngine
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import Read, Source, naming_source, source_of
from gcp.tensors.successes import are_counts
from gcp.tensors.weights import check_weights_dtype, checked_columns

DEFAULT_MEMORY = 2_000_000_000
"""Bytes. No share of the machine's: the slabs, and with them the last digits, are the same everywhere."""

_SLAB_BYTES = 1 << 26
"""Bytes of data in a slab where positions are small enough: longer reads are no faster."""

_ROW_BYTES = 2048
"""Bytes that evaluations may need for each position of the mode that is cut."""


def fits(source: Source, memory: int) -> bool:
    """Return whether an array can be in memory whole: it takes half of it at most, as weights may come beside it."""
    return 2 * source.n_bytes <= memory


def streamed(
    source: Source,
    memory: int = DEFAULT_MEMORY,
    *,
    masks: Sequence[Any] = (),
    weights: Sequence[Any] = (),
    columns: Mapping[str, Any] | None = None,
    labels: ModeLabels | None = None,
) -> PartitionedTensor:
    """Return a tensor that is read in slabs, once in every pass over its entries.

    Parameters
    ----------
    source : Source
        The data; NaN is missing.
    memory : int
        Bytes that the process may take. Data and what belongs to them take half of that at most.
    masks, weights : sequences of array_like or Source
        Shaped like the data or broadcastable; never in memory whole unless they are given so. A cell is observed if
        all masks say so, and its weight is the product.
    columns : mapping of str to array_like or Source, optional
        Scales, offsets, groups, exposures and trials of entries, shaped likewise; see `EntryColumns` for the names. A
        cell without exposure or trials (0), or where one is NaN, is not observed.
    labels : ModeLabels, optional

    Raises
    ------
    DataError
        No numbers; masks or weights of another type or shape; slabs that cannot be made small enough.
    """
    with naming_source(source.name):
        check_numbers(source.dtype, source.shape)
        found = [
            [companion(name, given, labels, source.shape) for given in group]
            for name, group in (("mask", masks), ("entry_weights", weights))
        ]
        more = {name: companion(name, a, labels, source.shape) for name, a in (columns or {}).items()}
        for mask in found[0]:
            check_mask(mask.dtype)
        for own in found[1]:
            check_weights_dtype(own.dtype)
        cuts = slabs_of(source, memory, len(found[0]), len(found[1]) + len(more))
    slabs = Slabs(source, cuts, memory, tuple(found[0]), tuple(found[1]), more)
    tensor = PartitionedTensor(LocalEngine(slabs, slabs.facts()), cuts, labels)
    if "trials" not in more:
        return tensor
    # Whether data count successes is for all of them to say, before any are made shares.
    counts = source.dtype.kind != "f" or are_counts(tensor.map(whole_numbers))
    slabs = replace(slabs, are_counts=counts)
    return PartitionedTensor(LocalEngine(slabs, slabs.facts()), cuts, labels)


def restricted(
    tensor: PartitionedTensor, mask: Any, entry_weights: Any, columns: Mapping[str, Any] | None = None
) -> PartitionedTensor:
    """Return a tensor that is read in slabs, with a further mask, further weights and further columns.

    Raises
    ------
    DataError
        Of other tensors in parts, too.
    """
    slabs = tensor.engine.parts if isinstance(tensor.engine, LocalEngine) else None
    if not isinstance(slabs, Slabs):
        raise DataError("The data are in parts: give mask and weights to the tensor that is cut into them.")
    masks = [*slabs.masks, *([] if mask is None else [mask])]
    weights = [*slabs.weights, *([] if entry_weights is None else [entry_weights])]
    return streamed(
        slabs.source,
        slabs.memory,
        masks=masks,
        weights=weights,
        columns={**slabs.columns, **(columns or {})},
        labels=tensor.labels,
    )


def plain_source(tensor: PartitionedTensor) -> Source | None:
    """Return the array that a tensor is read from, if that is all there is to it."""
    slabs = tensor.engine.parts if isinstance(tensor.engine, LocalEngine) else None
    is_plain = isinstance(slabs, Slabs) and not (slabs.masks or slabs.weights or slabs.columns)
    return slabs.source if is_plain and isinstance(slabs, Slabs) else None


def companion(name: str, given: Any, labels: ModeLabels | None, shape: tuple[int, ...]) -> Source:
    """Return what is given beside data in slabs as an array that is read in slabs, too, in their order.

    Raises
    ------
    DataError
        Another shape, names or labels; listed cells.
    """
    if isinstance(given, ListedTensor):
        raise DataError(
            f"{name} is a {type(given).__name__}, but the data are read in slabs: give an array, or a mapped file."
        )
    given = beside(name, given, labels, shape)
    if not (isinstance(given, Source) or hasattr(given, "dtype")):
        given = np.asarray(given)
    source = source_of(given if given.shape else np.reshape(given, 1))
    try:
        is_fitting = np.broadcast_shapes(source.shape, shape) == shape
    except ValueError:
        is_fitting = False
    if not is_fitting:
        raise DataError(
            f"{name} has shape {source.shape}: expected the shape of the data, {shape}, or one that broadcasts to it."
        )
    return source


def slabs_of(source: Source, memory: int, n_masks: int = 0, n_weights: int = 0) -> Cuts:
    """Return the mode that is cut, and how: into slabs of equal thickness that are whole layers of chunks.

    Raises
    ------
    DataError
        If the thinnest slabs of all modes are too large.
    """
    shape, n_entries = source.shape, cells_of(source.shape)
    per_entry = _entry_bytes(source, n_masks, n_weights)
    limit, wanted = memory // 2, _SLAB_BYTES // source.dtype.itemsize * per_entry
    layers = [
        min(source.grain[n], shape[n]) * (n_entries // shape[n] * per_entry + _ROW_BYTES)
        for n in range(len(shape))
    ]
    mode = next((n for n in source.order if layers[n] <= limit), None)
    if mode is None:
        least = min(range(len(shape)), key=lambda n: layers[n])
        grain = min(source.grain[least], shape[least])
        thin = "one position" if grain == 1 else f"one layer of chunks ({grain} positions)"
        cure = "" if grain == 1 else ", or store the array in smaller chunks"
        raise DataError(
            f"{thin} of mode {least} takes {show_bytes(layers[least])} to read and evaluate, more than half of the "
            f"{show_bytes(memory)} of memory. Give at least {show_bytes(2.02 * layers[least])}{cure}."
        )
    n_layers = -(-shape[mode] // source.grain[mode])
    n_slabs = -(-n_layers // max(1, min(limit, wanted) // layers[mode]))
    thickness = -(-n_layers // n_slabs) * source.grain[mode]
    whole, rest = divmod(shape[mode], thickness)
    return Cuts(mode, (thickness,) * whole + ((rest,) if rest else ()))


def _entry_bytes(source: Source, n_masks: int, n_weights: int) -> int:
    """Return bytes for each entry of a slab: two slabs, one read and one evaluated, and all that belongs to them."""
    size, is_float = source.dtype.itemsize, source.dtype.kind == "f"
    read = source.copies * size
    if (is_float and size not in (4, 8)) or not source.dtype.isnative:  # evaluations take a copy
        read += 2 * max(size, 4)
    mask = 4 * (1 + n_masks) if n_masks or n_weights or is_float else 0  # NaN are masked
    return read + mask + 8 * 4 * n_weights


@dataclass(frozen=True, eq=False)
class Slabs:
    """The parts of a tensor, read anew whenever they are gone through, the next one while the last is in use.

    A part is good until the next one is asked for.

    Attributes
    ----------
    source : Source
    cuts : Cuts
    memory : int
        What was asked for.
    masks, weights : tuples of Source
    columns : mapping of str to Source
        Scales, offsets, groups, exposures and trials.
    are_counts : bool or None
        Whether data beside trials count successes; None leaves them as they are, to find out.
    """

    source: Source
    cuts: Cuts
    memory: int
    masks: tuple[Source, ...] = ()
    weights: tuple[Source, ...] = ()
    columns: Mapping[str, Source] = field(default_factory=dict)
    are_counts: bool | None = None

    def facts(self) -> list[Facts]:
        """Return the facts without reading."""
        shape, mode, dtype = self.source.shape, self.cuts.mode, str(arithmetic(self.source.dtype))
        shapes = [(*shape[:mode], size, *shape[mode + 1 :]) for size in self.cuts.sizes]
        is_affine = not {"scale", "offset"}.isdisjoint(self.columns)
        carried = tuple(name for name in CARRIED if name in self.columns)
        return [Facts("dense", shape, dtype, cells_of(shape), 0.0, is_affine, carried) for shape in shapes]

    def __iter__(self) -> Iterator[DenseTensor]:
        """Yield slabs from first to last.

        Whoever stops before the end closes the iterator, and with it files and thread.
        """
        with ExitStack() as files, ThreadPoolExecutor(1, thread_name_prefix="gcp-read") as thread:
            with naming_source(self.source.name):
                values = files.enter_context(self.source.opened())
            masks, weights = ([self._opened(files, s) for s in group] for group in (self.masks, self.weights))
            columns = {name: self._opened(files, s) for name, s in self.columns.items()}
            beside, ranges = (masks, weights, columns), self.cuts.ranges
            ahead = thread.submit(self._part, values, beside, *ranges[0])
            for k in range(len(ranges)):
                part = ahead.result()
                if k + 1 < len(ranges):
                    ahead = thread.submit(self._part, values, beside, *ranges[k + 1])
                yield part
        for source in (self.source, *self.masks, *self.weights, *self.columns.values()):
            with naming_source(source.name):
                source.check()

    def _opened(self, files: ExitStack, own: Source) -> _Companion:
        with naming_source(own.name):
            read = files.enter_context(own.opened())
        # Shapes broadcast from their last mode on.
        return _Companion(own, read, self.cuts.mode - len(self.source.shape) + len(own.shape))

    def _part(self, values: Read, beside: _Beside, first: int, end: int) -> DenseTensor:
        """Return a slab with its mask, weights and other columns, examined for NaN, in the reading thread."""
        with naming_source(self.source.name):
            x = values(self.cuts.mode, first, end)
            expected = (
                *self.source.shape[: self.cuts.mode],
                end - first,
                *self.source.shape[self.cuts.mode + 1 :],
            )
            if x.shape != expected or x.dtype != self.source.dtype:
                raise DataError(
                    f"found {x.dtype} numbers of shape {x.shape} at positions {first} to {end - 1} of mode "
                    f"{self.cuts.mode}: expected {self.source.dtype} numbers of shape {expected}."
                )
        masks, weights, others = beside
        mask = _joined(np.logical_and, [own.slab(first, end) for own in masks])
        weight = _joined(_product, [own.slab(first, end) for own in weights])
        columns = {name: own.slab(first, end) for name, own in others.items()}
        try:
            return self._carrying(DenseTensor.part(x, mask, weight), columns)
        except DataError as error:
            raise DataError(
                f"{error} (In a slab: subscripts of mode {self.cuts.mode} begin at its position {first}.)"
            ) from error

    def _carrying(self, part: DenseTensor, columns: dict[str, Array]) -> DenseTensor:
        """Return a slab with columns that broadcast to its shape."""
        given = {name: checked(name, columns[name], None) for name in CARRIED if name in columns}
        own = {name: np.broadcast_to(column, part.shape) for name, column in given.items()}
        more = checked_columns({name: a for name, a in columns.items() if name not in own}, part.shape)
        if not own and not more:
            return part
        part = DenseTensor.part_of(part.columns._replace(**own, **more))
        names = [name for name in own if name != "trials" or self.are_counts is not None]
        found: DenseTensor = settled(part, names, self.are_counts)
        return found


class _Companion:
    """A mask, weights or another column, read in slabs; once in a pass if they are the same for all slabs."""

    def __init__(self, source: Source, read: Read, mode: int) -> None:
        self.source, self.read, self.mode = source, read, mode
        self.is_cut = mode >= 0 and source.shape[mode] > 1
        self.whole: Array | None = None

    def slab(self, first: int, end: int) -> Array:
        """Return the array at these positions of the data's mode, of a shape that broadcasts to the slab's."""
        with naming_source(self.source.name):
            if self.is_cut:
                return self.read(self.mode, first, end)
            if self.whole is None:
                mode = self.source.order[0]
                self.whole = self.read(mode, 0, self.source.shape[mode])
            return self.whole


_Beside = tuple[list[_Companion], list[_Companion], dict[str, _Companion]]
"""Masks, weights, and other columns by name."""


def _joined(function: Any, arrays: list[Array]) -> Array | None:
    """Return arrays joined by a function, elementwise; None of none."""
    return reduce(function, arrays) if arrays else None


def _product(a: Array, b: Array) -> Array:
    """Return the product, elementwise, in float64."""
    return np.multiply(a, b, dtype=np.float64)
