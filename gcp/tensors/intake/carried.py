"""Exposures, offsets and trials that are given beside data: checked, in the order of the data, and attached to them.

Where one of them is 0 (an exposure, trials) or NaN, the cell is not observed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias, TypedDict

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.checks import array
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import Labelled
from gcp.base.types import FloatArray
from gcp.kernels.listed import ordering
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import CARRIED, MOST_SEEN, TITLES, carried_by, checked, is_known, settled
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of
from gcp.tensors.intake.listed_masks import restricted
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import check_names, named
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.rearranged import aligned
from gcp.tensors.sparse import SparseTensor

LARGEST_ARRAY = 2**28
"""Numbers, at most, of an array of exposures over some modes of a SparseTensor."""

_ROUNDING = 1e-12
"""Relative difference of an array from a product of vectors that is rounding."""

Column: TypeAlias = FloatArray | list[FloatArray] | ListedTensor
"""Numbers in the order of the data: an array that broadcasts to them, one for each entry of a list, a vector (I_n,)
for each mode whose products are meant, or those of listed cells."""


class Carried(TypedDict, total=False):
    """What cells carry beside data and weights; each is an array that broadcasts to the data, or has names.

    Attributes
    ----------
    exposure, offset, trials : array_like
        As for `fit_gcp`.
    """

    exposure: Any
    offset: Any
    trials: Any


def popped(options: dict[str, Any]) -> Carried:
    """Return those among options, which are taken out."""
    return given_of(*(options.pop(name, None) for name in CARRIED))


def given_of(exposure: Any, offset: Any, trials: Any) -> Carried:
    """Return those that are given."""
    found: Carried = {}
    if exposure is not None:
        found["exposure"] = exposure
    if offset is not None:
        found["offset"] = offset
    if trials is not None:
        found["trials"] = trials
    return found


def carrying(tensor: TensorData, carried: Carried, mask: Any, entry_weights: Any) -> Tensor:
    """Return a tensor in one piece, under a mask and weights, whose cells carry exposures, offsets and trials.

    Raises
    ------
    DataError
        Data that carry such columns already; numbers that are negative or infinite, do not broadcast to the data, or
        for which a SparseTensor is too large.
    """
    whole = stored(tensor)
    check_new(whole, carried)
    found: Tensor = whole
    if isinstance(found, SparseTensor):
        found = restricted(found, mask, entry_weights)
        mask = entry_weights = None
    for name, given in carried.items():
        found = attached(found, name, column_of(name, given, found))
    if isinstance(found, ObservedTensor):
        found = restricted(found, mask, entry_weights)
    found = settled(found, carried)
    if isinstance(found, DenseTensor):
        found = DenseTensor.of(found.columns, found.labels)  # raises if nothing is observed
    return titled(found, title_of(carried.get("exposure")))


def check_new(tensor: TensorData, carried: Carried) -> None:
    """Raise `DataError` if a tensor carries one of these already."""
    there = carried_by(tensor)
    for name in carried:
        if name in there:
            raise DataError(f"The data carry {TITLES[name]} already: leave the argument {name} out.")


def titled(tensor: Any, title: str) -> Any:
    """Return a tensor that was made just now, of which it is said what its exposure is called, if it has a name."""
    if title:
        tensor.labels = replace(tensor.labels or ModeLabels.default(tensor.shape), exposure=title)
    return tensor


def title_of(given: Any) -> str:
    """Return what an array with a name is called, with its unit if it has one; of a tensor, its unit."""
    labels = getattr(given, "labels", None)
    if isinstance(labels, ModeLabels):
        return labels.data_units or ""
    name, attributes = getattr(given, "name", None), getattr(given, "attrs", None)
    if not isinstance(name, str):
        return ""
    units = attributes.get("units") if isinstance(attributes, dict) else None
    return f"{name} in {units}" if units else name


# --- in the order of the data -------------------------------------------------------------------------------------


def column_of(name: str, given: Any, tensor: Any) -> Column:
    """Return what is given as numbers in the order of a tensor, whole or in parts, as its kind takes them.

    Raises
    ------
    DataError
        As of `carrying`.
    """
    if isinstance(given, ListedTensor):
        return _in_order(name, given, Side("the data", tensor.labels, tensor.shape))
    if tensor.kind == "sparse":
        return _beside_zeros(name, given, tensor)
    if tensor.kind == "observed":
        return _of_entries(name, given, tensor)
    return numbers_of(name, given, tensor.labels, tensor.shape)


def numbers_of(name: str, given: Any, labels: ModeLabels | None, shape: tuple[int, ...]) -> FloatArray:
    """Return numbers that broadcast to a shape, in the order of its labels, checked.

    Parameters
    ----------
    name : {"exposure", "offset", "trials"}
    given : array_like, DataArray, Series, DataFrame or tensor
    labels : ModeLabels or None
    shape : tuple of int
    """
    base = Side("the data", labels, shape)
    if getattr(given, "parts", None) is not None:
        raise DataError(
            f"{name} is in parts, but the data are in one piece: give it as an array, or cut the data alike."
        )
    if isinstance(given, ListedTensor):
        given = _in_order(name, given, base).to_dense()
    own = _named(name, given)
    if own is not None:
        side = Side(f"the {name}", own.labels, own.values.shape)
        given = align(side, base, broadcast=True).of_array(own.values)
    numbers = array(name, given, DataError)
    try:
        np.broadcast_to(numbers, shape)
    except ValueError:
        raise DataError(
            f"{name} has shape {numbers.shape}: expected the shape of the data, {shape}, or one that "
            "broadcasts to it; an array with names (pandas, xarray) is matched by these."
        ) from None
    return checked(name, numbers.reshape((1,) * (len(shape) - numbers.ndim) + numbers.shape), labels)


def _in_order(name: str, given: Any, base: Side) -> Any:
    """Return numbers of listed cells in the order of the data.

    Raises
    ------
    DataError
        Another shape, names or labels.
    """
    return aligned(given, base, f"the {name}")


def _named(name: str, given: Any) -> Labelled | None:
    """Return an array with its labels, if it is of a kind that has some; what it lacks is NaN."""
    if isinstance(given, DenseTensor):
        return Labelled(values_of(given), given.labels or ModeLabels.default(given.shape))
    return named(name, given, may_lack=name != "offset")


def values_of(tensor: DenseTensor, _: None = None) -> FloatArray:
    """Return the data (I_0, ...) of a tensor, NaN where it has none."""
    values = tensor.values.astype(np.float64)
    return values if tensor.entry_weights is None else np.where(tensor.entry_weights != 0, values, np.nan)


def _of_entries(name: str, given: Any, tensor: Any) -> FloatArray:
    """Return numbers (entries,) of listed entries, or an array that broadcasts to a tensor's shape."""
    own = _named(name, given)
    if own is not None:
        check_names(name, own, tensor.ndim)
    elif tensor.parts is None:
        numbers = array(name, given, DataError)
        if numbers.shape == tensor.values.shape:
            instead = (
                f"give {name}=gcp.ObservedTensor(subs, {name}, shape), which is matched by its subscripts"
            )
            tensor.entries.check_order(name, numbers, instead)
            return checked(name, numbers, None)
        if numbers.ndim not in (0, tensor.ndim):
            raise DataError(
                f"{name} has shape {numbers.shape}: expected one number for each of the {len(tensor.values):,} "
                "entries, in the order of the tensor's subs, or an array with names (pandas, xarray)."
            )
    elif array(name, given, DataError).ndim not in (0, tensor.ndim):
        raise DataError(
            f"{name} has one mode, but entries in parts have no order to go by: give numbers of entries to the "
            f"tensor that is cut, gcp.partition(data, parts, {name}=...)."
        )
    return numbers_of(name, given, tensor.labels, tensor.shape)


def _beside_zeros(name: str, given: Any, tensor: Any) -> FloatArray | list[FloatArray]:
    """Return a vector (I_n,) for each mode of a sparse tensor, whose products cells have, or an array of numbers."""
    if name != "trials" and _is_by_mode(name, given, tensor.shape):
        return [
            np.ones(size) if vector is None else checked(name, np.asarray(vector), None)
            for vector, size in zip(given, tensor.shape, strict=True)
        ]
    if (own := _named(name, given)) is not None:
        check_names(name, own, tensor.ndim)
    numbers = numbers_of(name, given, tensor.labels, tensor.shape)
    vectors = None if name == "trials" else _factored(numbers, tensor.shape)
    if vectors is not None:
        return vectors
    is_kept = name == "exposure" and numbers.size <= LARGEST_ARRAY
    if not is_kept and (n_cells := cells_of(tensor.shape)) > MOST_SEEN:
        kinds = (
            "" if name == "trials" else "a product over modes (a list with a vector or None for each), or "
        )
        raise DataError(
            f"{name} beside a SparseTensor of {n_cells:,} cells, more than the {MOST_SEEN:,} that can be "
            f"looked at one by one: give {kinds}a SparseTensor or ObservedTensor of the cells that have one, which "
            "alone then count."
        )
    return numbers


def _factored(numbers: FloatArray, shape: tuple[int, ...]) -> list[FloatArray] | None:
    """Return a vector (I_n,) for each mode whose products are numbers (I_n or 1, ...); None if there are none."""
    varied = [n for n, size in enumerate(numbers.shape) if size > 1]
    vectors = [np.ones(size) for size in shape]
    if len(varied) <= 1:
        mode = varied[0] if varied else 0
        vectors[mode] = np.broadcast_to(numbers.reshape(-1), shape[mode]).copy()
        return vectors
    if np.isnan(numbers).any() or (numbers <= 0).any():
        return None
    top: Any = np.unravel_index(np.argmax(numbers), numbers.shape)
    product = np.full((), numbers[top])
    for mode in varied:
        line = numbers[(*top[:mode], slice(None), *top[mode + 1 :])]
        vectors[mode] = line / numbers[top] if mode != varied[0] else line
        product = product * (line / numbers[top]).reshape(
            [-1 if n == mode else 1 for n in range(numbers.ndim)]
        )
    return vectors if np.allclose(product, numbers, rtol=_ROUNDING, atol=0.0) else None


def _is_by_mode(name: str, given: Any, shape: tuple[int, ...]) -> bool:
    """Return whether something is a list with a vector or None for each mode.

    Raises
    ------
    DataError
        Plain lists of numbers that may as well be an array of the shape of the data.
    """
    if not isinstance(given, list | tuple) or len(given) != len(shape) or len(shape) < 2:
        return False
    if not all(v is None or np.shape(v) == (size,) for v, size in zip(given, shape, strict=True)):
        return False
    if all(isinstance(v, list | tuple) for v in given) and shape[-2:] == (len(given),) * 2:
        raise DataError(
            f"{name} is a list of {len(given)} lists of {len(given)} numbers: it may be an array, or a vector for "
            "each mode. Give numpy.array(...) for the array, and arrays in the list for the vectors."
        )
    return True


# --- attached -----------------------------------------------------------------------------------------------------


def cut(column: Column, mode: int, first: int, end: int) -> Column:
    """Return the part of some positions of a mode."""
    if isinstance(column, list):
        return [v[first:end] if n == mode else v for n, v in enumerate(column)]
    if isinstance(column, ListedTensor):
        return column.slab(mode, first, end)
    return column if column.shape[mode] == 1 else column[(slice(None),) * mode + (slice(first, end),)]


def attached(tensor: Tensor, name: str, column: Any) -> Tensor:
    """Return a tensor, or a part of one, with a column; `settled` takes NaN and 0 for unobserved cells later.

    A SparseTensor keeps its zeros where the column has a form for them; else it becomes dense, or, beside listed
    cells, observed.
    """
    if isinstance(tensor, SparseTensor):
        return _attached_to_zeros(tensor, name, column)
    if isinstance(tensor, ObservedTensor):
        return ObservedTensor.of(
            tensor.entries.having(**{name: _at_entries(name, column, tensor)}), tensor.labels
        )
    if isinstance(column, SparseTensor | ObservedTensor):
        column = checked(name, values_of(column.to_dense()), tensor.labels)
    values = np.broadcast_to(np.asarray(column), tensor.shape)
    return DenseTensor.part_of(tensor.columns._replace(**{name: values}), tensor.labels)


def _at_entries(name: str, column: Any, tensor: ObservedTensor) -> FloatArray:
    """Return numbers (entries,) of the listed entries."""
    if isinstance(column, ListedTensor):
        place = ordering.places(column.entries.subs, tensor.entries.subs)
        unlisted = np.nan if column.zeros is None else 0.0
        return checked(
            name, np.where(place < 0, unlisted, column.entries.values[place].astype(np.float64)), None
        )
    if column.shape == tensor.values.shape:
        return np.asarray(column)
    subs = tensor.subs
    at = tuple(subs[:, n] if size > 1 else 0 for n, size in enumerate(column.shape))
    return np.broadcast_to(column[at], tensor.values.shape).astype(np.float64)


def _attached_to_zeros(tensor: SparseTensor, name: str, column: Column) -> Tensor:
    if isinstance(column, ListedTensor):
        there = SparseTensor(column.subs, np.ones(len(column.values)), tensor.shape, labels=tensor.labels)
        found = restricted(tensor, there)
        return attached(found, name, column)
    if isinstance(column, np.ndarray):
        is_kept = name == "exposure" and column.size <= LARGEST_ARRAY
        return _with_array(tensor, column) if is_kept else attached(tensor.to_dense(), name, column)
    known = [is_known(name, v) for v in column]
    if not all(mask.all() for mask in known):
        own = tensor.mode_weights or [np.ones(size) for size in tensor.shape]
        modes = [u * mask for u, mask in zip(own, known, strict=True)]
        tensor = tensor.weighted(tensor.entry_weights, modes)
    return tensor.with_columns(**{name: [np.where(k, v, 1.0) for k, v in zip(known, column, strict=True)]})


def _with_array(tensor: SparseTensor, exposure: FloatArray) -> SparseTensor:
    """Return the tensor with exposures in an array (I_n or 1, ...); cells without any are missing."""
    plain = np.where(exposure > 0, exposure, 0.0)
    without = np.argwhere(plain == 0)
    if len(without):
        beside = [n for n, size in enumerate(plain.shape) if size < tensor.shape[n]]
        times = cells_of(tuple(tensor.shape[n] for n in beside))
        if len(without) * times > MOST_SEEN:
            raise DataError(
                f"exposure is 0 or NaN at {len(without) * times:,} cells of a SparseTensor, more than the "
                f"{MOST_SEEN:,} that can be left out one by one: leave whole positions out, by mode_weights of 0."
            )
        cells = np.repeat(without, times, axis=0)
        others = np.indices([tensor.shape[n] for n in beside]).reshape(len(beside), times)
        cells[:, beside] = np.tile(others, len(without)).T
        tensor = tensor.without(cells)
    return tensor.with_cells(tensor.zeros._replace(exposure=plain))
