"""Likeness of components to columns that are known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import factor_by_name, labelled
from gcp.base.types import Array, Factors, FloatArray
from gcp.objectives.penalties.base import DataFacts, FactorQuadratic
from gcp.objectives.penalties.of_mode import ComponentQuadratic


@dataclass(frozen=True, eq=False, repr=False)
class Near(ComponentQuadratic):
    """Squared distances of the shape of each component along a mode from a column that is known: a pure spectrum.

    The size of a component moves freely between its factors, so that a distance ||a_r - c_r||^2 says nothing until
    that is settled; the least of it over all sizes is the distance of a_r from the line through 0 and the centre c_r.
    (strength / 2) * unit * sum over r of min over t of ||a_r - t c_r||^2 * (product over the other modes of the mean
    square of b_r) is added to F: shapes are drawn to those of the centre, sizes and signs are free. No rescaling of
    the factors evades it.

    Parameters
    ----------
    mode : int or str
        Number or name.
    centre : array_like, shape (I, K), K <= R; DataFrame or DataArray
        Column k is for component k; further components are free. Of which scale its columns are does not matter.
        NaN: nothing is known of this entry. Tables are matched by the labels of the mode.
    strength : float
        At least 0; units are those of `Smooth`.
    number, unit : optional
        What the data of a fit decide; no arguments.

    Notes
    -----
    Components keep their order in the result, that of the centre, and are not sorted by weight. Nothing is said of
    rows of new positions (`FitResult.transform` along this mode).

    Examples
    --------
    >>> import gcp, numpy as np
    >>> known = gcp.penalties.Near("emission", np.ones((201, 1)), 10.0)
    """

    mode: int | str | None
    centre: Any
    strength: float
    number: int | None = field(default=None, kw_only=True)
    unit: float | None = field(default=None, kw_only=True)

    tells_components_apart: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mode is None:
            raise ParameterError("Near is of one mode: give one Near(mode, centre, strength) for each.")
        if labelled(self.centre, "centre of Near") is None:
            self._set(centre=_columns(self.centre))

    def _of_data(self, facts: DataFacts) -> Self:
        """Return the penalty with its centre in the order of the mode's positions."""
        assert self.number is not None
        size, name = facts.shape[self.number], facts.labels.names[self.number]
        centre = self.centre
        if not isinstance(centre, np.ndarray):
            centre = _columns(_in_order(centre, facts.labels, self.number, size))
        if len(centre) != size:
            raise ParameterError(
                f"{self!r}: the centre has {len(centre)} rows, the mode {name!r} {size} positions."
            )
        return replace(self, centre=centre)

    def unsuited(self, lower: Factors) -> str:
        """Return a sentence if there are more columns than components."""
        own, rank = self.centre.shape[1], lower[0].shape[1]
        return f"{self!r}: the centre has {own} columns, the model {rank} components." if own > rank else ""

    def times(self, a: FloatArray) -> FloatArray:
        """Return what is left of the columns of the mode's factor (I, R) beside the lines through the centre."""
        if not isinstance(self.centre, np.ndarray):
            raise ParameterError(f"{self!r}: in which order the table is, only data say.")
        if not a.shape[1]:  # main effects alone
            return np.zeros_like(a)
        if len(self.centre) != len(a) or self.centre.shape[1] > a.shape[1]:
            raise ParameterError(
                f"{self!r}: the centre has shape {self.centre.shape}, the factor {a.shape}: rows must be as many, "
                "columns at most as many."
            )
        found, known = np.zeros_like(a), np.isfinite(self.centre)
        units = self._units()
        part = np.where(known, a[:, : units.shape[1]], 0.0)
        found[:, : units.shape[1]] = part - units * np.sum(units * part, axis=0)
        return found

    def matrix_of_column(self, r: int, size: int) -> FloatArray:
        """Return M of a column, shape (size, size)."""
        if r >= self.centre.shape[1]:
            return np.zeros((size, size))
        unit = self._units()[:, r]
        return np.diag(np.isfinite(self.centre[:, r]).astype(float)) - np.outer(unit, unit)

    def quadratic(self, mode: int, factors: Factors) -> FactorQuadratic | None:
        """Return the penalty as a function of another mode's factor (I_n, R); the own one has a matrix per column."""
        return None if mode == self._number(len(factors)) else super().quadratic(mode, factors)

    def curvature(self, factors: Factors) -> FloatArray:
        """Return the mean second derivative in an entry of each factor, shape (N,)."""
        found, n = super().curvature(factors), self._number(len(factors))
        if not factors[n].size:
            return found
        means = [np.mean(np.square(b, dtype=float), axis=0) for k, b in enumerate(factors) if k != n]
        strengths = self.scale * np.prod(means, axis=0) * np.ones(factors[n].shape[1])
        known = np.isfinite(self.centre).sum(axis=0) - (self._units() ** 2).sum(axis=0)
        found[n] = float(strengths[: len(known)] @ known) / factors[n].size
        return found

    def _units(self) -> FloatArray:
        """Return the columns of the centre at norm 1, shape (I, K), with 0 for what is not known."""
        centre = np.nan_to_num(self.centre)
        norms = np.linalg.norm(centre, axis=0)
        return np.asarray(centre / np.where(norms > 0, norms, 1.0))

    def _determined(self, known: Array, rank: int) -> Array:
        is_said = np.isfinite(self.centre).all(axis=1)
        return is_said if self.centre.shape[1] == rank else np.zeros_like(known)

    def _taken(self, positions: Array) -> Near:
        return replace(self, centre=self.centre[positions])


def _columns(centre: Any) -> FloatArray:
    """Return the centre as a new array (I, K)."""
    found = np.array(checks.floats("centre of Near", centre), dtype=float)
    found = found[:, None] if found.ndim == 1 else found
    if found.ndim != 2 or np.isinf(found).any():
        raise ParameterError(
            f"centre of Near must be finite numbers (or NaN) of shape (I, K): found shape {found.shape}."
        )
    return found


def _in_order(centre: Any, labels: ModeLabels, mode: int, size: int) -> Any:
    """Return a labelled centre in the order of the mode's positions."""
    own = labelled(centre, "centre of Near")
    assert own is not None
    shape = tuple(own.values.shape)
    sizes = (
        [n for k, n in enumerate(shape) if own.labels.names[k] != labels.names[mode]]
        if len(shape) == 2
        else [1]
    )
    return factor_by_name(
        "centre of Near", centre, (size, sizes[0] if len(sizes) == 1 else shape[-1]), labels, mode
    )
