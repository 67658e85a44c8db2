"""The designs that users give by mode: bases, matrices, tables; and the linear maps that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from gcp.base.checks import show
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import library_of
from gcp.base.types import Array
from gcp.objectives.designs.base import Basis, as_design
from gcp.objectives.designs.linear_maps import is_identity, orthogonal
from gcp.objectives.designs.row_tables import Groups, RowTable, checked_rows
from gcp.objectives.designs.smooth_bases import BSpline, Fourier, Monotone

Designs = tuple[tuple[int, Basis], ...]
"""Modes that have a design, and the basis of each, settled."""

_CLASSES: dict[str, type[Basis]] = {
    cls.__name__: cls for cls in (BSpline, Fourier, Groups, Monotone, RowTable)
}


def designs_of(
    given: Any, labels: ModeLabels, shape: Sequence[int], groups: Sequence[tuple[int, ...]]
) -> Designs:
    """Return the designs that `fit_gcp(design=...)` means, of tied modes once for each.

    Parameters
    ----------
    given : mapping or None
    labels : ModeLabels
    shape : sequence of int
    groups : sequence of tuple of int
        Modes that share a factor; a mode in none is fixed.

    Raises
    ------
    ParameterError
        Unknown modes, fixed ones, tied ones with two designs, and designs without rows for their positions.
    """
    if given is None:
        return ()
    if not isinstance(given, Mapping):
        raise ParameterError(
            f'design must say which mode has which, e.g. {{"week": gcp.designs.bspline(12)}}: found {show(given)}.'
        )
    found: dict[int, Basis] = {}
    for mode, one in given.items():
        try:
            n = labels.number(mode)
        except ParameterError as error:
            raise ParameterError(f"design must name modes. {error}") from None
        group = next((group for group in groups if n in group), None)
        if group is None:
            raise ParameterError(
                f"design: mode {labels.names[n]!r} is fixed; leave its design out, or let it free."
            )
        basis = as_basis(one, labels.names[n]).settled(labels.coords[n], shape[n], labels.names[n])
        if found.get(n, basis) != basis:
            raise ParameterError(
                f"design: mode {labels.names[n]!r} is named twice, or is tied to one with another design; give one."
            )
        found |= dict.fromkeys(group, basis)
    return tuple(sorted(found.items(), key=lambda item: item[0]))


def as_basis(given: Any, mode: str) -> Basis:
    """Return a design as a basis; matrices and tables are bases with their rows.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if isinstance(given, Basis):
        return given
    if hasattr(given, "columns"):
        return table_of(given)
    is_named = library_of(given) in ("pandas", "xarray")
    if is_named or not (sparse.issparse(given) or np.ndim(given) == 2):
        raise ParameterError(
            f"design of {mode!r} must be a basis of gcp.designs, a matrix with a row for each position, dense or "
            f"sparse, or a DataFrame: found {show(given)}."
        )
    return RowTable(checked_rows(given, mode))


def table_of(frame: Any) -> RowTable:
    """Return the columns of a DataFrame, with its index, unless that only counts the rows.

    Raises
    ------
    ParameterError
        Columns that are not numbers.
    """
    names, columns = [str(name) for name in frame.columns], []
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(f"features: two columns are called {twice!r}; give each a name of its own.")
    for name in frame.columns:
        column = np.asarray(frame[name])
        if column.dtype.kind == "O":
            column = np.asarray(column.tolist())
        if column.dtype.kind not in "biuf":
            raise ParameterError(
                f"features: column {str(name)!r} is not made of numbers (found {column.dtype}): take it out, use it "
                "as groups(...), or make columns of 0 and 1 of it, as pandas.get_dummies does."
            )
        columns.append(column.astype(float))
    if not columns:
        raise ParameterError("features: the table has no columns.")
    values = checked_rows(np.column_stack(columns), "features")
    return RowTable(values, tuple(names), index_of(frame))


def index_of(named: Any) -> Array | None:
    """Return the labels (n,) of a pandas object's rows; None where it only counts them, or has none."""
    index = getattr(named, "index", None)
    if index is None or callable(index):
        return None
    own = ModeLabels(["index"], [np.asarray(index)]).coords[0]
    return None if own is None or np.array_equal(own, np.arange(len(own))) else own


def basis_from_json(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> Basis:
    """Return the basis that `Basis.as_json` wrote, with the same `arrays`, of any shape."""
    own = {}
    for name, value in values["fields"].items():
        if isinstance(value, dict) and "array" in value:
            value = arrays[value["array"]]
        elif isinstance(value, dict):
            value = sparse.csr_array(tuple(arrays[part] for part in value["sparse"]), shape=value["shape"])
        own[name] = tuple(value) if isinstance(value, list) else value
    return _CLASSES[values["class"]](**own)


def matrix_of(basis: Basis, labels: ModeLabels, mode: int, size: int) -> Any:
    """Return the design (I, K) of a mode, dense or sparse."""
    return as_design(basis.of_labels(labels.values(mode, size), labels.names[mode]))


def maps_of(
    designs: Designs, labels: ModeLabels, shape: Sequence[int], are_bounded: Sequence[bool]
) -> tuple[tuple[int, Any], ...]:
    """Return modes and the maps (I, k) of a solver's variables to their factors, of the same span as the designs.

    A design that changes nothing has none. Where bounds hold, the variables are the coefficients themselves.
    """
    found = []
    for mode, basis in designs:
        z = matrix_of(basis, labels, mode, shape[mode])
        if not np.asarray(abs(z).sum()).any():
            raise ParameterError(f"design of {labels.names[mode]!r} is 0 everywhere.")
        if not is_identity(z):
            found.append((mode, z if are_bounded[mode] else orthogonal(z)))
    return tuple(found)
