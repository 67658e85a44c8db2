"""Names that pandas and xarray give to the modes and positions of arrays, read without importing either."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from gcp.base.alignment import Alignment, Side, align
from gcp.base.checks import array
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels, is_unnamed
from gcp.base.types import Array

_MOST_CELLS = 2**26
"""Combinations of labels, at most, of a Series that lists some of them."""


class Labelled(NamedTuple):
    """An array whose modes have names.

    Attributes
    ----------
    values : array_like, of NumPy or Dask
    labels : ModeLabels
    """

    values: Any
    labels: ModeLabels


def library_of(data: Any) -> str | None:
    """Return the library that a labelled or sparse class comes from, told without importing it."""
    for base in type(data).__mro__:
        name = base.__module__
        if name.startswith("scipy.sparse"):
            return "scipy"
        if (root := name.partition(".")[0]) in ("xarray", "pandas", "sparse", "dask", "h5py", "zarr"):
            return root
        if root == "anndata" and base.__name__ == "AnnData":  # whose views derive from arrays of others
            return root
    return None


def labelled(given: Any, what: str, *, may_lack: bool = False) -> Labelled | None:
    """Return the array and the labels of a DataArray, Series or DataFrame; None of anything else.

    A Series has a mode for each level of its index.

    Parameters
    ----------
    given : object
    what : str
        For messages.
    may_lack : bool
        Whether a Series may leave out combinations of its labels, which then are NaN.

    Raises
    ------
    DataError
        Other objects of these libraries, and tables that are no array.
    """
    library = library_of(given)
    if library == "xarray":
        labels = replace(labels_of_xarray(given, what), data_units=None)  # of a mask, say
        values = given.data
        return Labelled(values.todense() if hasattr(values, "todense") else values, labels)
    if library != "pandas" or not hasattr(given, "to_numpy"):
        return None
    if hasattr(given, "columns"):
        axes = given.index, given.columns
        if any(axis.nlevels > 1 for axis in axes):
            raise DataError(
                f"{what} is a DataFrame with a MultiIndex: give a Series, frame.stack(...), instead."
            )
        return Labelled(
            _plain(given.to_numpy()), ModeLabels(_names(axes), [np.asarray(axis) for axis in axes])
        )
    if not hasattr(given, "index"):  # an Index
        return None
    if given.index.nlevels == 1:
        return Labelled(
            _plain(given.to_numpy()), ModeLabels(_names([given.index]), [np.asarray(given.index)])
        )
    return _cells(given, what, may_lack=may_lack)


def labels_of_xarray(data: Any, what: str) -> ModeLabels:
    """Return dimensions, their coordinates, and the units of these and of the array (`attrs["units"]`).

    The tuples of a stacked dimension are text.

    Raises
    ------
    DataError
        Of anything but a DataArray.
    """
    if not all(hasattr(data, name) for name in ("dims", "dtype", "coords", "data")):
        raise DataError(
            f"{what}: expected one DataArray, e.g. dataset['name'] or dataset.to_dataarray(); found an xarray "
            f"{type(data).__name__}."
        )
    own = data.coords  # whose `get` would make one of numbers
    coords = [own[dim] if dim in own else None for dim in data.dims]  # noqa: SIM401
    units = [None if coord is None else _units(coord) for coord in coords]
    arrays = [None if coord is None else _coordinates(coord) for coord in coords]
    return ModeLabels([str(dim) for dim in data.dims], arrays, units, _units(data))


def _coordinates(coord: Any) -> Array:
    """Return the coordinates (I,) of a dimension; times in a zone as pandas has them, not in nanoseconds."""
    values: Array = coord.values
    return values if isinstance(coord.dtype, np.dtype) else np.asarray(coord.to_index(), dtype=object)


def _units(data: Any) -> str | None:
    """Return the units of a DataArray, if they are text."""
    units = data.attrs.get("units")
    return units if isinstance(units, str) else None


def factor_by_name(
    what: str, given: Any, shape: tuple[int, int], labels: ModeLabels | None, mode: int
) -> Any:
    """Return a factor, or numbers shaped like one, in the order of the mode's labels; without names as it is.

    Parameters
    ----------
    what : str
        For messages.
    given : DataFrame, DataArray, Series of the mode or the components, or anything else
    shape : (I_n, R)
    labels : ModeLabels or None
        Of the data.
    mode : int

    Raises
    ------
    ParameterError
        Other names or labels than the mode's; components are matched by number if they are numbered.
    """
    what = f"{what} of mode {mode}"
    own = labelled(given, what)
    if labels is None or own is None or (len(own.labels.names) == 1 and is_unnamed(own.labels.names[0])):
        return given
    side, name = Side(what, own.labels, tuple(own.values.shape)), labels.names[mode]
    names = [name, "component" if name != "component" else "components"]

    def found(components: Array | None) -> Alignment:
        factor = Side(f"the factor of {name!r}", ModeLabels(names, [labels.coords[mode], components]), shape)
        return align(side, factor, broadcast=True, error=ParameterError)

    alignment = found(None)
    numbers = None if (second := alignment.modes[1]) is None else own.labels.coords[second]
    if numbers is not None and numbers.dtype.kind in "iu":
        alignment = found(np.arange(shape[1]))
    return np.broadcast_to(np.asarray(alignment.of_array(own.values)), shape)


def _names(indexes: Sequence[Any]) -> list[str]:
    names = [name for index in indexes for name in index.names]
    return [f"mode_{n}" if name is None else str(name) for n, name in enumerate(names)]


def _plain(values: Array) -> Array:
    """Return values (n,) of pandas' own types as NumPy's where these can hold them."""
    return array("values", values.tolist(), DataError) if values.dtype.kind == "O" else values


def _cells(series: Any, what: str, *, may_lack: bool) -> Labelled:
    """Return a Series as an array with a mode for each level of its index."""
    index = series.index.remove_unused_levels()
    shape = tuple(len(level) for level in index.levels)
    if any((codes < 0).any() for codes in index.codes):
        raise DataError(
            f"{what} is a Series whose index has missing labels (NaN): fill in or drop these rows."
        )
    if not index.is_unique:
        raise DataError(f"{what} is a Series that lists {index[index.duplicated()][0]} more than once.")
    lacks = math.prod(shape) > len(series)
    if lacks and not (may_lack and math.prod(shape) <= _MOST_CELLS):
        listed = set(zip(*(np.asarray(own).tolist() for own in index.codes), strict=True))
        first = next(
            cell for cell in product(*map(range, shape)) if cell not in listed
        )  # there may be very many
        cell = ", ".join(str(level[k]) for level, k in zip(index.levels, first, strict=True))
        raise DataError(
            f"{what} is a Series that says nothing of ({cell}): expected every combination of its labels."
        )
    codes = np.ravel_multi_index(tuple(np.asarray(own) for own in index.codes), shape)
    values = _plain(series.to_numpy())
    found = np.full(shape, np.nan) if lacks else np.empty(shape, values.dtype)
    found.reshape(-1)[codes] = values
    return Labelled(found, ModeLabels(_names([index]), [np.asarray(level) for level in index.levels]))
