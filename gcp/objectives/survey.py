"""One streaming pass over the data before a fit: are they in the loss's domain, and what are their moments?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Flag, auto
from functools import partial, reduce
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from gcp.base import threads
from gcp.base.checks import and_more
from gcp.base.errors import DataError, DomainError
from gcp.base.interval import Interval
from gcp.base.types import Array
from gcp.losses.base import Loss
from gcp.objectives.exposed import SHARES
from gcp.tensors.base import Block, TensorData
from gcp.tensors.carried_columns import carried_by

_EXPONENTS = {"float32": ((-15, 15), (-30, 30), (-30, 30)), "float64": ((-95, 140), (-190, 280), (-290, 290))}
"""Powers of ten of the root mean square of data, of their loss and of its second derivative, such that their squares
and reciprocals, gradients and what is made of these are all numbers of the type.
"""


class Numbers(Flag):
    """Kinds of numbers among data: whether there is a 0, and what the largest are."""

    ZERO = auto()
    ONE = auto()
    GRADE = auto()  # from 2 to 10
    MANY = auto()  # above 10
    REAL = auto()  # not all whole and from 0

    @property
    def are_binary(self) -> bool:
        """Whether all are 0 or 1."""
        return not self & ~(Numbers.ZERO | Numbers.ONE)

    @property
    def are_counts(self) -> bool:
        """Whether all are whole numbers from 0, and some such as grades (stars from 1 to 5) never are."""
        return not (Numbers.REAL in self or self.are_binary) and bool(self & (Numbers.ZERO | Numbers.MANY))


@dataclass(frozen=True)
class Survey:
    """Weighted facts about the observed data.

    Attributes
    ----------
    total_weight : float
        Sum of the entry weights.
    mean, mean_square : float
        Weighted moments of the data.
    saturated_value : float
        Weighted sum of the least values of the loss.
    least : float
        The least datum above 0, infinite if there is none.
    largest_square : float
        The largest weighted square of a datum.
    known : tuple of ndarray of bool, shapes (I_n,)
        Of data in parts: positions of each mode of which there is an entry. Empty for others, which tell it when they
        are asked: shapes that are only sampled may be larger than memory.
    numbers : Numbers
        Kinds of numbers that occur; only looked for under losses of any numbers.
    own_null : float or None
        What one expected datum for all cells reaches, where that is not one m for all cells.
    """

    total_weight: float
    mean: float
    mean_square: float
    saturated_value: float
    least: float
    largest_square: float
    known: tuple[Array, ...] = ()
    numbers: Numbers = Numbers.REAL
    own_null: float | None = None

    @property
    def std(self) -> float:
        """Standard deviation of the data."""
        return math.sqrt(max(self.mean_square - self.mean**2, 0.0))

    def suits(self, dtype: np.dtype[Any], degree: float) -> bool:
        """Return whether a type has numbers for what a loss of this degree makes of the data."""
        low, high = _range(dtype, degree)
        return low <= math.sqrt(self.mean_square) <= high or self.mean_square == self.mean == 0

    def check_range(self, dtype: np.dtype[Any], degree: float) -> None:
        """Raise `DataError` where the type has no numbers for the data under a loss of this degree."""
        if self.suits(dtype, degree):
            return
        (low, high), size = _range(dtype, degree), math.sqrt(self.mean_square)
        found = f"is {size:.3g}" if 0 < size < math.inf else f"has a square of {size:g} in {dtype}"
        raise DataError(
            f"The root mean square of the data {found}: in {dtype}, fits need one from {low:.3g} to {high:.3g} under "
            "this loss. Choose another unit: multiply the data by a number (and delta of the Huber loss, bounds and "
            "penalties with them); weights and predictions scale along."
        )


_COUNTS = Interval(0.0, integer=True)
_FEW = 64
_LAST_GRADE = 10


def _range(dtype: np.dtype[Any], degree: float) -> tuple[float, float]:
    """Return limits of the root mean square of data under a loss that grows with this power of the unit."""
    own, of_loss, of_bend = _EXPONENTS[dtype.name]
    low, high = map(float, own)
    for power, ends in ((degree, of_loss), (degree - 2.0, of_bend)):
        if power:
            least, most = sorted(end / power for end in ends)
            low, high = max(low, least), min(high, most)
    return 10.0**low, 10.0**high


def survey(tensor: TensorData, loss: Loss, n_threads: int = 1) -> Survey:
    """Check every observed datum and sum up; the same for any number of threads.

    Raises
    ------
    DomainError
        With the first offending value, its subscript, how many more there are, and what to do.
    """
    with threads.single_threaded_blas():  # blocks are too short for more, and a reading thread needs a core
        found = _all_examined(tensor, loss, n_threads)
    offenders = [part.offender for part in found if part.offender is not None]
    if offenders:
        value, subscript = min(offenders, key=lambda offender: offender[1])
        raise _outside(loss, value, subscript, sum(part.n_outside for part in found) - 1)
    weight, x1, x2, saturated = (
        _sum(column) for column in zip(*(sums for part in found for sums in part.sums), strict=True)
    )
    if weight == 0:
        raise DataError("The data have no observed entry: every one is missing or of weight 0.")
    parts = tensor.parts
    known = [] if parts is None else parts.cuts.joined_known([part.known for part in found])
    least = min(part.least for part in found)
    largest = max(part.largest_square for part in found)
    numbers = reduce(or_, (part.numbers for part in found))
    return Survey(weight, x1 / weight, x2 / weight, saturated, least, largest, tuple(known), numbers)


def _sum(column: tuple[float, ...]) -> float:
    """Return the sum, exact, or infinite where that is out of range."""
    try:
        return math.fsum(column)
    except (OverflowError, ValueError):
        return math.inf


@dataclass(frozen=True)
class _Examined:
    """Sums by block, the least datum above 0, the largest weighted square, the first that is outside, how many are,
    a part's known positions, what numbers occur.
    """

    sums: list[tuple[float, float, float, float]]
    least: float
    largest_square: float
    offender: tuple[float, tuple[int, ...]] | None
    n_outside: int
    known: list[Array]
    numbers: Numbers

    def moved(self, mode: int, first: int) -> _Examined:
        """Return the examination with the offender's subscript in the whole tensor, of which this is a part."""
        if self.offender is None:
            return self
        value, subscript = self.offender
        place = tuple(i + first if n == mode else i for n, i in enumerate(subscript))
        return replace(self, offender=(value, place))


def _all_examined(tensor: TensorData, loss: Loss, n_threads: int) -> list[_Examined]:
    """Return the parts of a tensor, or the only one."""
    if tensor.parts is None:
        return [_examined(tensor, loss, n_threads)]
    n_threads = n_threads if tensor.parts.is_local else 1
    cuts, found = tensor.parts.cuts, tensor.map(_examined_part, loss, n_threads)
    return [part.moved(cuts.mode, first) for part, (first, _) in zip(found, cuts.ranges, strict=True)]


def _examined_part(part: TensorData, loss: Loss, n_threads: int, _: None) -> _Examined:
    return replace(_examined(part, loss, n_threads), known=part.known_positions())


def _examined(tensor: TensorData, loss: Loss, n_threads: int) -> _Examined:
    sums: list[tuple[float, float, float, float]] = []
    first: tuple[float, int] | None = None
    outside, least, largest, numbers = 0, math.inf, 0.0, Numbers(0)
    domain = SHARES if "trials" in carried_by(tensor) else loss.data_domain
    for found in threads.each(partial(_look, loss=loss, domain=domain), tensor.blocks(), n_threads):
        if isinstance(found, _Outside):
            outside += found.number
            first = first or (found.value, found.position)
        else:
            sums.append(found.sums)
            least, largest = min(least, found.least), max(largest, found.largest_square)
            numbers |= found.numbers
    offender = None if first is None else (first[0], tensor.subscript(first[1]))
    return _Examined(sums, least, largest, offender, outside, [], numbers)


class _Inside(NamedTuple):
    """A block in the loss's domain: sums, the least datum above 0, the largest weighted square, kinds of numbers."""

    sums: tuple[float, float, float, float]
    least: float
    largest_square: float
    numbers: Numbers


class _Outside(NamedTuple):
    """A block of which some data are outside: how many cells, the first one's value and position."""

    number: int
    value: float
    position: int


def _look(block: Block, loss: Loss, domain: Interval) -> _Inside | _Outside:
    inside = domain.contains(block.x)
    if block.weights is not None:
        inside |= block.weights == 0
    if inside.all():
        return _Inside(_sums(block, loss), _least(block), _largest_square(block), _numbers(block, loss))
    bad = np.flatnonzero(~inside)
    return _Outside(bad.size * block.times, float(block.x[bad[0]]), block.first + int(bad[0]))


def _sums(block: Block, loss: Loss) -> tuple[float, float, float, float]:
    x, w = block.x, block.weights
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if w is None:
            return float(x.size), float(x.sum()), float(x @ x), float(loss.saturated_value(x).sum())
        least = np.where(w == 0, 0.0, loss.saturated_value(x))
        return float(w.sum()), float(w @ x), float(w @ (x * x)), float(w @ least)


def _least(block: Block) -> float:
    counts = block.x > 0 if block.weights is None else (block.x > 0) & (block.weights > 0)
    return float(block.x.min(initial=math.inf, where=counts))


def _largest_square(block: Block) -> float:
    with np.errstate(over="ignore", under="ignore"):
        if block.weights is None:
            return float(max(block.x.max(initial=0.0), -block.x.min(initial=0.0)) ** 2)
        return float((block.weights * block.x**2).max(initial=0.0))


def _numbers(block: Block, loss: Loss) -> Numbers:
    if math.isfinite(loss.data_domain.low):  # chosen for what the data are
        return Numbers.REAL
    for some in (slice(_FEW), slice(None)):  # most real data show what they are at once
        x = block.x[some] if block.weights is None else block.x[some][block.weights[some] > 0]
        if not _COUNTS.contains(x).all():
            return Numbers.REAL
    if not x.size:
        return Numbers(0)
    least, largest = x.min(), x.max()
    found = Numbers.ZERO if least == 0 else Numbers(0)
    if largest > _LAST_GRADE:
        return found | Numbers.MANY
    return found | (Numbers.GRADE if largest > 1 else Numbers.ONE if largest == 1 else Numbers(0))


def _outside(loss: Loss, value: float, subscript: tuple[int, ...], more: int) -> DomainError:
    error = DomainError(
        f"The {loss.name} loss needs data in {loss.data_domain}: found {value!r} at subscript "
        f"{subscript}{and_more(more)}. {loss.advice}".rstrip()
    )
    error.found = loss, value, subscript, more
    return error


def located(error: DomainError, positions: Mapping[int, Array]) -> DomainError:
    """Return the error of a part of a tensor with the subscript in the whole: its modes have these positions (k,)."""
    if error.found is None:
        return error
    loss, value, subscript, more = error.found
    place = tuple(int(positions[n][i]) if n in positions else i for n, i in enumerate(subscript))
    return _outside(loss, value, place, more)
