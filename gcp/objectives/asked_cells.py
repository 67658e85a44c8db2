"""Cells that a user asks for: by position, in an array, or by label, in a table or a mapping from modes to labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from gcp.base import checks
from gcp.base.alignment import Side, positions_of
from gcp.base.errors import ParameterError
from gcp.base.labels import is_unnamed
from gcp.base.named_arrays import library_of
from gcp.base.types import Array


class AskedCells(NamedTuple):
    """Some cells of a model.

    Attributes
    ----------
    subs : ndarray of int, shape (n, N)
    shaped : callable
        Returns numbers (n,) as they were asked for.
    """

    subs: Array
    shaped: Callable[[Array], Any]


def asked_cells(given: Any, side: Side) -> AskedCells:
    """Return the cells that somebody names; see `FitResult.predict`.

    Parameters
    ----------
    given : array_like, table, mapping, or list of mappings
    side : Side
        The model.

    Raises
    ------
    ParameterError
        With the first mode or label that one of both lacks.
    """
    if (one := _as_mapping(given, side)) is not None:
        return _of_mapping(one, side)
    if isinstance(given, list | tuple) and len(given) and _as_mapping(given[0], side) is not None:
        rows = [_as_mapping(row, side) or {} for row in given]
        names = [name for name in side.names if all(name in row for row in rows)]
        return _of_mapping({name: [row[name] for row in rows] for name in names}, side)
    columns = _columns(given)
    if any(str(name) in side.names for name in columns):  # tensors have names of columns as texts
        return _of_table(given, columns, side)
    if any(isinstance(name, str) for name in columns):
        if not all(map(is_unnamed, side.names)):
            return _of_table(given, columns, side)
        given = given.to_numpy() if hasattr(given, "to_numpy") else given
    array = np.atleast_2d(checks.array("subs", given))
    if _has_text(array) and array.ndim == 2 and array.shape[1] == len(side.shape):
        subs = [positions_of(array[:, n], side, n, "subs") for n in range(array.shape[1])]
        return AskedCells(np.column_stack(subs), np.asarray)
    return AskedCells(_checked(array, side.shape), np.asarray)


def _as_mapping(given: Any, side: Side) -> Mapping[Any, Any] | None:
    """Return what names its items: a mapping, a named tuple or a row of a pandas table; None of anything else."""
    if isinstance(given, Mapping):
        return given
    if isinstance(given, tuple) and hasattr(given, "_asdict"):
        found: Mapping[Any, Any] = given._asdict()
        return found
    if library_of(given) == "pandas" and hasattr(given, "index") and not hasattr(given, "columns"):
        items = dict(zip(map(str, given.index), given, strict=True))
        return items if any(name in items for name in side.names) else None
    return None


def _has_text(array: Array) -> bool:
    """Return whether rows are of texts, alone or beside numbers: these are labels, no positions."""
    if array.dtype.kind == "O":
        return bool(array.size) and any(
            isinstance(label, str) for label in array.reshape(-1)[: array.shape[-1]]
        )
    return array.dtype.kind in "UT"


def _columns(given: Any) -> list[Any]:
    """Return the names of the columns of a table; none of anything else."""
    if isinstance(given, np.ndarray | list | tuple):
        return []
    names = getattr(
        given, "column_names", getattr(given, "columns", None)
    )  # of pyarrow, of pandas and polars
    try:
        return [] if names is None else list(names)
    except TypeError:
        return []


def _of_table(given: Any, columns: Sequence[Any], side: Side) -> AskedCells:
    """Return the cells of a table's rows; columns that are no modes are not looked at."""
    names = list(map(str, columns))
    _check_all_there(names, side, "the columns of subs")
    if repeated := [name for name in side.names if names.count(name) > 1]:
        raise ParameterError(f"subs has more than one column {repeated[0]!r}.")
    asked = [np.asarray(given[columns[names.index(name)]]) for name in side.names]
    subs = np.column_stack([_located(labels, side, n) for n, labels in enumerate(asked)])
    if library_of(given) != "pandas":
        return AskedCells(subs, np.asarray)
    import pandas as pd

    return AskedCells(subs, lambda values: pd.Series(values, index=given.index, name="predicted"))


def _of_mapping(given: Mapping[Any, Any], side: Side) -> AskedCells:
    """Return the cells of labels by mode: single ones, lists of one length, or DataArrays, broadcast by dimension."""
    _check_all_there(given, side, "subs")
    asked = [given[name] for name in side.names]
    if any(library_of(labels) == "xarray" for labels in asked):
        import xarray as xr

        arrays = xr.broadcast(
            *(_as_data_array(labels, name) for labels, name in zip(asked, side.names, strict=True))
        )
        subs = [_located(array.values.reshape(-1), side, n) for n, array in enumerate(arrays)]
        like = arrays[0].drop_vars([name for name in arrays[0].coords if name not in arrays[0].dims])
        return AskedCells(
            np.column_stack(subs),
            lambda values: like.copy(data=values.reshape(like.shape)).rename("predicted"),
        )
    found = [checks.array(f"subs[{name!r}]", labels) for labels, name in zip(asked, side.names, strict=True)]
    lengths = {len(labels) for labels in found if labels.ndim == 1}
    if len(lengths) > 1 or any(labels.ndim > 1 for labels in found):
        sizes = ", ".join(f"{name!r}: {labels.shape}" for name, labels in zip(side.names, found, strict=True))
        raise ParameterError(
            f"subs needs, for each mode, one label or a list, all lists of one length: found shapes {sizes}."
        )
    n_rows = lengths.pop() if lengths else 1
    is_single = all(labels.ndim == 0 for labels in found)
    subs = [
        np.broadcast_to(_located(np.atleast_1d(labels), side, n), (n_rows,)) for n, labels in enumerate(found)
    ]
    return AskedCells(np.column_stack(subs), (lambda values: values[0]) if is_single else np.asarray)


def _as_data_array(labels: Any, name: str) -> Any:
    """Return a DataArray as it is, and one label as a DataArray without dimensions."""
    import xarray as xr

    if library_of(labels) == "xarray":
        return labels
    if (array := checks.array(f"subs[{name!r}]", labels)).ndim:
        raise ParameterError(
            f"subs[{name!r}] is a list beside a DataArray, whose dimensions say which labels belong together: give "
            "DataArrays, or single labels, for all modes."
        )
    return xr.DataArray(array)


def _located(labels: Array, side: Side, mode: int) -> Array:
    """Return the positions (n,) of labels (n,)."""
    try:
        return positions_of(labels, side, mode, "subs")
    except ParameterError as error:
        hint = " Under a mode's name stand labels; positions are given in an array without names."
        is_whole = labels.dtype.kind in "iu" and side.coords(mode) is not None
        raise ParameterError(f"{error}{hint if is_whole else ''}") from None


def _check_all_there(names: Any, side: Side, what: str) -> None:
    """Raise unless all modes of the model have a name among these."""
    lacking = [name for name in side.names if name not in names]
    if lacking:
        found = ", ".join(map(str, names)) or "none of the modes"
        raise ParameterError(
            f"The mode {lacking[0]!r} of the model ({', '.join(side.names)}) is not in {what} ({found}): cells "
            "have a label of every mode. For the best positions of one: result.top(mode, at)."
        )


def _checked(array: Array, shape: tuple[int, ...]) -> Array:
    """Return subscripts (n, N), integers within the shape."""
    if array.dtype.kind not in "iu" or array.ndim != 2 or array.shape[1] != len(shape):
        raise ParameterError(
            f"subs has dtype {array.dtype} and shape {array.shape}: expected integers of shape (n, {len(shape)})."
        )
    outside = (array < 0) | (array >= np.array(shape))
    if outside.any():
        row = int(np.argwhere(outside)[0, 0])
        raise ParameterError(f"subs row {row}, {tuple(array[row].tolist())}, lies outside the shape {shape}.")
    return array
