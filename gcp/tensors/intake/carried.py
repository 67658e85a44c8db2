"""Exposures, offsets and trials that are given beside data: checked, in the order of the data, and attached to them.

Where one of them is 0 (an exposure, trials) or NaN, the cell is not observed.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from gcp.base.alignment import Side, align
from gcp.base.checks import and_more, array
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import Labelled
from gcp.base.types import Array, FloatArray
from gcp.kernels.listed import ordering
from gcp.tensors.base import TensorData
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import cells_of
from gcp.tensors.intake.listed_masks import restricted
from gcp.tensors.intake.successes import as_shares
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.listed import ListedTensor
from gcp.tensors.masks import check_names, named
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.rearranged import aligned
from gcp.tensors.sparse import SparseTensor

_MOST_CELLS = 2**26
"""Cells, at most, of a SparseTensor that is stored densely, because what cells carry is no product over modes."""

LARGEST_ARRAY = 2**28
"""Numbers, at most, of an array of exposures over some modes of a SparseTensor."""

_ROUNDING = 1e-12
"""Relative difference of an array from a product of vectors that is rounding."""


CARRIED = ("exposure", "offset", "trials")
"""What cells may carry beside data and weights."""


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


def carried_by(tensor: TensorData) -> tuple[str, ...]:
    """Return what cells carry beside data and weights: some of "exposure", "offset" and "trials"."""
    columns = getattr(tensor, "columns", None)
    if columns is None:
        return ()
    return tuple(name for name in CARRIED if getattr(columns, name) is not None)


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
    """Return a tensor under a mask and weights whose cells carry exposures, offsets and trials.

    Raises
    ------
    DataError
        Data in parts, or that carry such columns already; numbers that are negative or infinite, do not broadcast to
        the data, or for which a SparseTensor is too large.
    """
    found = _carrying(tensor, carried, mask, entry_weights)
    found.exposure_name = _title(carried.get("exposure"))
    return found


def _title(given: Any) -> str:
    """Return what an array with a name is called, with its unit if it has one."""
    name, attributes = getattr(given, "name", None), getattr(given, "attrs", None)
    if not isinstance(name, str):
        return ""
    units = attributes.get("units") if isinstance(attributes, dict) else None
    return f"{name} in {units}" if units else name


def _carrying(tensor: TensorData, carried: Carried, mask: Any, entry_weights: Any) -> Tensor:
    if tensor.parts is not None:
        raise DataError(
            f"{next(iter(carried))} needs the data in one piece: found {tensor!r}. If they fit into memory, "
            "read them whole."
        )
    whole = stored(tensor)
    for name in carried:
        if getattr(whole.columns, name) is not None:
            raise DataError(f"The data carry {_TITLES[name]} already: leave the argument {name} out.")
    if isinstance(whole, SparseTensor):
        beside: Tensor = restricted(whole, mask, entry_weights)
        for name, given in carried.items():
            if isinstance(beside, SparseTensor):
                beside = _beside_zeros(beside, name, given)
            if not isinstance(beside, SparseTensor):
                beside = _attached(beside, name, given)
        return _settled(beside)
    for name, given in carried.items():
        whole = _attached(whole, name, given)
    if isinstance(whole, ObservedTensor):
        return _settled(restricted(whole, mask, entry_weights))
    return _settled(whole)


_TITLES = {"exposure": "an exposure", "offset": "an offset", "trials": "trials"}


def _attached(tensor: Tensor, name: str, given: Any) -> Tensor:
    """Return a tensor with a column as it is given: NaN and 0 are taken for unobserved cells later."""
    if isinstance(tensor, SparseTensor):
        tensor = tensor.to_dense()
    if isinstance(tensor, DenseTensor):
        values = np.broadcast_to(numbers_of(name, given, tensor.labels, tensor.shape), tensor.shape)
        return DenseTensor.of(tensor.columns._replace(**{name: values}), tensor.labels)
    return ObservedTensor.of(tensor.entries.having(**{name: _of_entries(name, given, tensor)}), tensor.labels)


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
    return _checked(name, numbers.reshape((1,) * (len(shape) - numbers.ndim) + numbers.shape), labels)


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
        return Labelled(_dense_values(given), given.labels or ModeLabels.default(given.shape))
    return named(name, given)


def _dense_values(tensor: DenseTensor) -> FloatArray:
    """Return the data (I_0, ...) of a tensor, NaN where it has none."""
    values = tensor.values.astype(np.float64)
    return values if tensor.entry_weights is None else np.where(tensor.entry_weights != 0, values, np.nan)


def _of_entries(name: str, given: Any, tensor: ObservedTensor) -> FloatArray:
    """Return numbers (entries,) of listed entries, checked."""
    if isinstance(given, ListedTensor):
        inside = _in_order(name, given, Side("the data", tensor.labels, tensor.shape))
        place = ordering.places(inside.entries.subs, tensor.entries.subs)
        unlisted = np.nan if inside.zeros is None else 0.0
        numbers = np.where(place < 0, unlisted, inside.entries.values[place].astype(np.float64))
        return _checked(name, numbers, None)
    own = _named(name, given)
    if own is None:
        numbers = array(name, given, DataError)
        if numbers.shape == tensor.values.shape:
            return _checked(name, numbers, None)
        if numbers.ndim not in (0, tensor.ndim):
            raise DataError(
                f"{name} has shape {numbers.shape}: expected one number for each of the {len(tensor.values):,} "
                "entries, in the order of the tensor's subs, or an array with names (pandas, xarray)."
            )
    else:
        check_names(name, own, tensor.ndim)
    found = numbers_of(name, given, tensor.labels, tensor.shape)
    subs = tensor.subs
    at = tuple(subs[:, n] if size > 1 else 0 for n, size in enumerate(found.shape))
    return np.broadcast_to(found[at], tensor.values.shape).astype(np.float64)


def _checked(name: str, given: Array, labels: ModeLabels | None) -> FloatArray:
    """Return an array of any shape in float64; 0 (but for offsets) and NaN are not observed.

    Raises
    ------
    DataError
        With the first number that is negative or infinite, and its place.
    """
    if given.dtype.kind not in "buif":
        raise DataError(f"{name} has dtype {given.dtype}: expected real numbers.")
    numbers = given.astype(np.float64)
    bad, expected = np.isinf(numbers), "finite"
    if name != "offset":
        bad, expected = bad | (numbers < 0), "nonnegative and finite"
    if name == "trials":
        bad, expected = bad | (numbers != np.floor(numbers)) & ~np.isnan(numbers), "whole and nonnegative"
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0]) if bad.ndim else ()
        raise DataError(
            f"{name} must hold numbers that are {expected} (0 or NaN where a cell is not observed): found "
            f"{float(numbers[where])!r}{_place(where, numbers.shape, labels)}{and_more(int(bad.sum()) - 1)}."
        )
    return numbers


def _is_known(name: str, column: FloatArray) -> Array:
    """Return, elementwise, whether numbers, of any shape, leave a cell observed."""
    return ~np.isnan(column) if name == "offset" else column > 0


def _place(where: tuple[int, ...], shape: tuple[int, ...], labels: ModeLabels | None) -> str:
    """Return words for the place of a number in an array whose modes of size 1 say nothing."""
    if not where:
        return ""
    if labels is None or len(where) != len(labels.names):
        return f" at {where if len(where) > 1 else f'entry {where[0]}'}"
    at = [f"{labels.names[n]} {labels.values(n, shape[n])[i]}" for n, i in enumerate(where) if shape[n] > 1]
    return f" at {', '.join(at)}" if at else ""


def _settled(tensor: Tensor) -> Tensor:
    """Return a tensor whose cells without exposure, offset or trials are not observed; data with trials as shares."""
    columns = tensor.columns
    if isinstance(tensor, SparseTensor):
        return tensor
    known: Any = True
    given = {name: column for name in _TITLES if (column := getattr(columns, name)) is not None}
    for name, column in given.items():
        known = known & _is_known(name, column)
    weights = np.broadcast_to(known, columns.x.shape)
    plain = {name: np.where(known, column, float(name != "offset")) for name, column in given.items()}
    if columns.weight is not None:
        weights = np.where(weights, columns.weight, np.zeros((), columns.weight.dtype))
    columns = columns._replace(weight=None if weights.all() and weights.dtype == bool else weights, **plain)
    columns = columns if columns.trials is None else as_shares(columns, tensor)
    if isinstance(tensor, DenseTensor):
        return DenseTensor.of(columns, tensor.labels)
    if columns.weight is not None and columns.weight.dtype == bool:
        found = tensor.entries.having(**columns._replace(weight=None)._asdict()).select(columns.weight)
        return ObservedTensor.of(found, tensor.labels)
    return ObservedTensor.of(tensor.entries.having(**columns._asdict()), tensor.labels)


# --- beside zeros that no one lists -------------------------------------------------------------------------------


def _beside_zeros(tensor: SparseTensor, name: str, given: Any) -> Tensor:
    """Return a sparse tensor with products over modes, or the same data of another kind, for which others are."""
    if isinstance(given, ListedTensor):
        cells = _in_order(name, given, Side("the data", tensor.labels, tensor.shape))
        there = SparseTensor(cells.subs, np.ones(len(cells.values)), tensor.shape, labels=tensor.labels)
        found = restricted(tensor, there)
        assert isinstance(found, ObservedTensor)
        return found
    if name != "trials":
        vectors = _of_modes(name, given, tensor)
        if isinstance(vectors, np.ndarray):
            return _with_array(tensor, vectors)
        if vectors is not None:
            known = [_is_known(name, v) for v in vectors]
            if not all(mask.all() for mask in known):
                own = tensor.mode_weights or [np.ones(size) for size in tensor.shape]
                modes = [u * mask for u, mask in zip(own, known, strict=True)]
                tensor = tensor.weighted(tensor.entry_weights, modes)
            return tensor.with_columns(
                **{name: [np.where(k, v, 1.0) for k, v in zip(known, vectors, strict=True)]}
            )
    if tensor.n_cells > _MOST_CELLS:
        kinds = (
            "" if name == "trials" else "a product over modes (a list with a vector or None for each), or "
        )
        raise DataError(
            f"{name} beside a SparseTensor of {tensor.n_cells:,} cells, more than the {_MOST_CELLS:,} that can be "
            f"looked at one by one: give {kinds}a SparseTensor or ObservedTensor of the cells that have one, which "
            "alone then count."
        )
    return tensor.to_dense()


def _with_array(tensor: SparseTensor, exposure: FloatArray) -> SparseTensor:
    """Return the tensor with exposures in an array (I_n or 1, ...); cells without any are missing."""
    plain = np.where(exposure > 0, exposure, 0.0)
    without = np.argwhere(plain == 0)
    if len(without):
        beside = [n for n, size in enumerate(plain.shape) if size < tensor.shape[n]]
        times = cells_of(tuple(tensor.shape[n] for n in beside))
        if len(without) * times > _MOST_CELLS:
            raise DataError(
                f"exposure is 0 or NaN at {len(without) * times:,} cells of a SparseTensor, more than the "
                f"{_MOST_CELLS:,} that can be left out one by one: leave whole positions out, by mode_weights of 0."
            )
        cells = np.repeat(without, times, axis=0)
        others = np.indices([tensor.shape[n] for n in beside]).reshape(len(beside), times)
        cells[:, beside] = np.tile(others, len(without)).T
        tensor = tensor.without(cells)
    return tensor.with_cells(tensor.zeros._replace(exposure=plain))


def _of_modes(name: str, given: Any, tensor: SparseTensor) -> list[FloatArray] | FloatArray | None:
    """Return a vector (I_n,) for each mode, whose products are the numbers of cells, or an array of exposures.

    None if there is neither.
    """
    if _is_by_mode(given, tensor.shape):
        return [
            np.ones(size) if vector is None else _checked(name, np.asarray(vector), None)
            for vector, size in zip(given, tensor.shape, strict=True)
        ]
    if (own := _named(name, given)) is not None:
        check_names(name, own, tensor.ndim)
    numbers = numbers_of(name, given, tensor.labels, tensor.shape)
    varied = [n for n, size in enumerate(numbers.shape) if size > 1]
    vectors = [np.ones(size) for size in tensor.shape]
    if len(varied) <= 1:
        mode = varied[0] if varied else 0
        vectors[mode] = np.broadcast_to(numbers.reshape(-1), tensor.shape[mode]).copy()
        return vectors
    array_of = numbers if name == "exposure" and numbers.size <= LARGEST_ARRAY else None
    if np.isnan(numbers).any() or (numbers <= 0).any():
        return array_of
    top: Any = np.unravel_index(np.argmax(numbers), numbers.shape)
    product = np.full((), numbers[top])
    for mode in varied:
        line = numbers[(*top[:mode], slice(None), *top[mode + 1 :])]
        vectors[mode] = line / numbers[top] if mode != varied[0] else line
        product = product * (line / numbers[top]).reshape(
            [-1 if n == mode else 1 for n in range(numbers.ndim)]
        )
    return vectors if np.allclose(product, numbers, rtol=_ROUNDING, atol=0.0) else array_of


def _is_by_mode(given: Any, shape: tuple[int, ...]) -> bool:
    """Return whether something is a list with a vector or None for each mode."""
    if not isinstance(given, list | tuple) or len(given) != len(shape) or len(shape) < 2:
        return False
    return all(v is None or np.shape(v) == (size,) for v, size in zip(given, shape, strict=True))
