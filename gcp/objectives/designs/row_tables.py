"""Bases whose rows are given, position by position: groups, features, any matrix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from scipy import sparse

from gcp.base import checks
from gcp.base.alignment import Side, positions_of
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.objectives.designs.base import Basis, as_design


@dataclass(frozen=True, eq=False, repr=False)
class RowTable(Basis):
    """A row of numbers for each position; see `gcp.designs.features`.

    Attributes
    ----------
    values : ndarray or sparse array, shape (n, K)
    columns : tuple of str
        Names of the columns; empty if they have none.
    index : ndarray, shape (n,), or None
        Labels of the rows; None is the order of the positions.
    """

    values: Any
    columns: tuple[str, ...] = ()
    index: Array | None = None

    def settled(self, labels: Array | None, size: int, mode: str) -> Self:
        """Return the table with labels for its rows; those that it has must be those of the mode, and may be more."""
        return replace(self, index=_index(self.index, labels, size, self.values.shape[0], str(self), mode))

    def of_labels(self, labels: Array, mode: str) -> Any:
        """Return the rows (n, K) of these labels (n,)."""
        return as_design(self.values[_rows(labels, self.index, self.values.shape[0], str(self), mode)])

    def of_coordinates(self, coordinates: Any, mode: str) -> tuple[Any, Array]:
        """Return new rows (n, K) and labels (n,): a table with the same columns, an array (n, K), or labels."""
        names = getattr(coordinates, "columns", coordinates if isinstance(coordinates, Mapping) else None)
        if names is not None and self.columns:
            names = {str(name): name for name in names}
            if lacking := [name for name in self.columns if name not in names]:
                raise ParameterError(
                    f"design of {mode!r}: the new rows lack the column {lacking[0]!r}; expected "
                    f"{', '.join(self.columns)}."
                )
            rows = np.column_stack(
                [np.atleast_1d(np.asarray(coordinates[names[name]])) for name in self.columns]
            )
            index = getattr(coordinates, "index", None)
            return checked_rows(rows, mode), np.arange(len(rows)) if index is None else np.asarray(index)
        if sparse.issparse(coordinates) or np.ndim(coordinates) == 2:
            rows = checked_rows(coordinates, mode)
            if rows.shape[1] != self.values.shape[1]:
                raise ParameterError(
                    f"design of {mode!r}: new rows have {rows.shape[1]} numbers: expected {self.values.shape[1]}."
                )
            return rows, np.arange(rows.shape[0])
        return super().of_coordinates(coordinates, mode)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns, or their numbers."""
        return list(self.columns) or [f"column {k}" for k in range(self.values.shape[1])]

    def __repr__(self) -> str:
        if self.columns:
            few = ", ".join(self.columns[:4]) + (", ..." if len(self.columns) > 4 else "")
            return f"features({few})"
        return f"matrix of shape {tuple(self.values.shape)}"


@dataclass(frozen=True, eq=False, repr=False)
class Groups(Basis):
    """One row for all positions of a group; see `gcp.designs.groups`.

    Attributes
    ----------
    groups : ndarray, shape (n,)
        Of each position.
    index : ndarray, shape (n,), or None
        Labels of the positions; None is their order.
    """

    groups: Array
    index: Array | None = None

    def settled(self, labels: Array | None, size: int, mode: str) -> Self:
        """Return the groups with labels of the positions; those that they have may be more than the mode's."""
        return replace(self, index=_index(self.index, labels, size, len(self.groups), str(self), mode))

    def of_labels(self, labels: Array, mode: str) -> Any:
        """Return the rows (n, K) of positions with these labels (n,)."""
        return self._of_groups(
            self.groups[_rows(labels, self.index, len(self.groups), str(self), mode)], mode
        )

    def of_coordinates(self, coordinates: Any, mode: str) -> tuple[Any, Array]:
        """Return rows (n, K) and labels (n,) of new positions of these groups (n,)."""
        groups = np.atleast_1d(np.asarray(coordinates))
        return self._of_groups(groups, mode), groups

    @property
    def levels(self) -> Array:
        """The groups, (K,), sorted."""
        return np.unique(self.groups)

    @property
    def column_names(self) -> list[str]:
        """The groups."""
        return [str(level) for level in self.levels]

    def __repr__(self) -> str:
        return f"groups({len(self.levels)} groups)"

    def _of_groups(self, groups: Array, mode: str) -> Any:
        levels = self.levels
        side = Side("the design", ModeLabels([mode], [levels]), (len(levels),))
        at = positions_of(groups, side, 0, f"design of {mode!r}")
        shape = len(at), len(levels)
        return as_design(sparse.csr_array((np.ones(len(at)), at, np.arange(len(at) + 1)), shape=shape))


def checked_rows(values: Any, what: str) -> Any:
    """Return a matrix (n, K) of finite numbers, dense or sparse.

    Raises
    ------
    ParameterError
        Anything else.
    """
    if sparse.issparse(values):
        found = sparse.csr_array(values)
        if found.dtype.kind not in "biuf":
            raise ParameterError(f"design of {what!r} must hold real numbers: found {found.dtype}.")
        found = found.astype(float)
        found.sum_duplicates()
        inside = found.data
    else:
        found = inside = np.array(checks.floats(f"design of {what!r}", values), dtype=float)
    if found.ndim != 2 or not all(found.shape):
        raise ParameterError(
            f"design of {what!r} has shape {found.shape}: expected a matrix, a row for each position and a column "
            "for each coefficient."
        )
    if not np.isfinite(inside).all():
        where = "" if sparse.issparse(found) else f" at {tuple(np.argwhere(~np.isfinite(found))[0].tolist())}"
        raise ParameterError(
            f"design of {what!r} holds NaN or infinite numbers{where}: fill them in, or drop a column."
        )
    return found


def _index(own: Array | None, labels: Array | None, size: int, n: int, what: str, mode: str) -> Array | None:
    """Return labels (n,) of the rows of a table: its own, or those of the mode's positions (size,), if it has any."""
    if own is None:
        if n != size:
            raise ParameterError(
                f"design of {mode!r}: {what} has {n} rows, but the mode has {size} positions."
            )
        return labels
    if labels is None:
        if n == size and np.array_equal(own, np.arange(n)):
            return None
        raise ParameterError(
            f"design of {mode!r}: {what} names its rows, but the positions of the mode have no labels: give an array "
            "in the order of the positions."
        )
    if len(np.unique(own)) < n:
        raise ParameterError(f"design of {mode!r}: {what} has two rows of one label.")
    _rows(labels, own, n, what, mode)
    return own


def _rows(labels: Array, index: Array | None, n_rows: int, what: str, mode: str) -> Array:
    """Return the numbers (n,) of the rows of labels (n,), which are positions where rows have none."""
    side = Side(what, ModeLabels([mode], [index]), (n_rows,))
    return positions_of(np.asarray(labels), side, 0, f"design of {mode!r}")
