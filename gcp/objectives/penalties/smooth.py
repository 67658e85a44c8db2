"""Smoothness of components along a mode."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import sparse

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.types import Array, FloatArray
from gcp.objectives.penalties.base import DataFacts
from gcp.objectives.penalties.of_mode import ComponentQuadratic

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
"""How texts begin that are dates."""


@dataclass(frozen=True, eq=False, repr=False)
class Smooth(ComponentQuadratic):
    """Roughness of each component along a mode: its squared differences, of first, second or higher order.

    (strength / 2) * unit * sum over r of ||D a_r||^2 * (product over the other modes of the mean square of b_r) is
    added to F: the roughness of what component r adds to the model, as if its other factors had entries of size 1.
    No rescaling of the factors evades it, and how long the other modes are does not matter.

    Parameters
    ----------
    mode : int, str or None
        Number or name; None is one penalty for each mode.
    strength : float
        At least 0. The unit is the curvature of the loss at one cell, about the best constant model of the data of
        the fit (1 of a loss without one): a strength of 1 weighs each squared difference as one cell more would be.
        The best strength does not change with the units of the data, nor with the lengths of the other modes.
    order : int
        Of the differences: 1 draws to a constant, 2 to a straight line, 3 to a parabola.
    cyclic : bool
        Whether the last position is beside the first, at a distance of one step (months of a year, hours of a day).
    number, unit, coordinates : optional
        What the data of a fit decide; no arguments.

    Notes
    -----
    Where the mode's labels are numbers, dates or durations, these are its coordinates, in any order, and distances
    count: the differences are those of derivatives (divided differences; polynomials of a degree below the order cost
    nothing), and the median distance between neighbours is one step. A missing week leaves a gap of two. Else, as of
    "Jan", "Feb", ..., positions are equally far from each other, in the order in which they stand; texts that say
    dates, or numbers in another order, are refused. Positions without any data get what the penalty prefers.

    Rows of new positions (`FitResult.transform` along this mode) are not smoothed: a penalty does not know beside
    which positions they are. Rows of new positions of other modes are.

    References
    ----------
    P. H. C. Eilers: A perfect smoother, Analytical Chemistry 75 (2003) 3631-3636.

    Examples
    --------
    >>> import gcp
    >>> rain = gcp.datasets.load_india_rainfall()
    >>> smooth = [gcp.penalties.Smooth("month", 10.0, cyclic=True)]
    >>> result = gcp.fit_gcp(rain, 2, loss="gaussian", penalties=smooth, random_state=0)
    """

    mode: int | str | None
    strength: float
    order: int = 2
    cyclic: bool = False
    number: int | None = field(default=None, kw_only=True)
    unit: float | None = field(default=None, kw_only=True)
    coordinates: FloatArray | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set(order=checks.whole("order", self.order, least=1))
        self._set(cyclic=checks.truth("cyclic", self.cyclic))

    def _of_data(self, facts: DataFacts) -> Self:
        """Return the penalty with the coordinates of its mode, in steps; None where they are equally far apart."""
        assert self.number is not None
        size, labels = facts.shape[self.number], facts.labels.coords[self.number]
        if size <= self.order:
            raise ParameterError(
                f"{self!r}: the mode has {size} positions; differences of order {self.order} need more than "
                f"{self.order}."
            )
        return replace(self, coordinates=_steps(labels, repr(self)))

    def times(self, a: FloatArray) -> FloatArray:
        """Return M a of the mode's factor (I, R)."""
        return np.asarray(self.matrix_of(len(a)) @ a)

    def matrix_of(self, size: int) -> Any:
        """Return D'D, sparse, shape (size, size)."""
        if size not in self._matrices:
            where = np.arange(size, dtype=float) if self.coordinates is None else self.coordinates
            d = _differences(where, self.order, is_cyclic=self.cyclic)
            self._matrices[size] = sparse.csr_array(d.T @ d)
        return self._matrices[size]

    @cached_property
    def _matrices(self) -> dict[int, Any]:
        return {}

    def _determined(self, known: Array, rank: int) -> Array:
        is_enough = np.count_nonzero(known) >= (1 if self.cyclic else self.order)
        return np.full_like(known, is_enough)

    def _taken(self, positions: Array) -> Smooth:
        size = int(positions.max(initial=-1)) + 1
        where = np.arange(size, dtype=float) if self.coordinates is None else self.coordinates
        return replace(self, coordinates=where[positions])


def _steps(labels: Array | None, what: str) -> FloatArray | None:
    """Return coordinates (I,) of numbers or dates, in median distances of neighbours; None for steps of 1."""
    if labels is not None and labels.dtype.kind in "UTO":
        _check_texts(labels, what)
    if labels is None or labels.dtype.kind not in "iufmM":
        return None
    return _in_steps(_numbers(labels), what)


def _check_texts(labels: Array, what: str) -> None:
    """Raise of texts (I,) that say dates, or numbers whose order or distances would be passed over."""
    if all(map(_DATE.match, map(str, labels))):
        raise ParameterError(
            f"{what}: labels of the mode are texts of dates ({labels[0]}), whose distances would not count: label it "
            "by numpy.datetime64; dates of pandas with a time zone by index.tz_convert(None)."
        )
    try:
        where = labels.astype(float)
    except ValueError:
        return
    if np.isfinite(where).all() and _in_steps(where, what) is not None:
        few = ", ".join(map(str, labels[:3]))
        raise ParameterError(
            f"{what}: labels of the mode are texts of numbers ({few}, ...), whose order and distances would not "
            "count: label it by numbers."
        )


def _numbers(labels: Array) -> FloatArray:
    """Return numbers, dates or durations (I,) as numbers from 0 on; NaN of missing ones."""
    if labels.dtype.kind in "mM":
        is_fine = np.datetime_data(labels.dtype)[0] in ("ns", "ps", "fs", "as")
        labels = labels if is_fine else labels.astype(f"{labels.dtype.kind}8[us]")  # ns end in 2262
        return np.where(np.isnat(labels), np.nan, (labels - labels.min()).astype(np.int64))
    return (labels - labels.min()).astype(float)


def _in_steps(where: FloatArray, what: str) -> FloatArray | None:
    """Return coordinates (I,) in median distances of neighbours; None for steps of 1."""
    if not np.isfinite(where).all():
        raise ParameterError(f"{what}: labels of the mode must be finite, for distances between them count.")
    gaps = np.diff(np.sort(where))
    if (gaps <= 0).any():
        raise ParameterError(
            f"{what}: two positions of the mode have the same label; distances must not be 0."
        )
    step = float(np.median(gaps))
    is_even = np.allclose(np.diff(where), step, rtol=1e-9, atol=0.0)
    return None if is_even else where / step


def _differences(where: FloatArray, order: int, *, is_cyclic: bool) -> Any:
    """Return D, sparse, shape (rows, I): derivatives at points, times roots of the distances that they stand for.

    Between points at distances of 1 they are plain differences.
    """
    places = np.argsort(where, kind="stable")
    x = where[places]
    if is_cyclic:  # go on round the circle, whose last step is one of 1
        rounds = 1 + -(-order // len(x))
        period = x[-1] - x[0] + 1.0
        x = np.concatenate([x + k * period for k in range(rounds)])[: len(where) + order]
        places = np.tile(places, rounds)[: len(where) + order]
    n = len(x)
    d = sparse.csr_array(sparse.coo_array((np.ones(n), (np.arange(n), places)), shape=(n, len(where))))
    for k in range(1, order + 1):
        d = sparse.diags_array(1.0 / (x[k:] - x[:-k])) @ (d[1:] - d[:-1])
    lengths = (x[order:] - x[:-order]) / order
    return sparse.diags_array(math.factorial(order) * np.sqrt(lengths)) @ d
