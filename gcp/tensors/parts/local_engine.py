"""Who holds the parts of a tensor and evaluates them: the least that a tensor in parts asks of an engine."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from gcp.base.types import FloatArray
from gcp.tensors.base import TensorData
from gcp.tensors.carried_columns import carried_by

Arrays = list[FloatArray]
Partial = tuple[list[FloatArray], list[FloatArray]]
"""A part's contribution to a sum: arrays that are added over the parts, and rows that are this part's alone."""

FAN = 8
"""Sums that are added one after the other; more of them in a tree."""


class Engine(Protocol):
    """A holder of the parts of a tensor, which evaluates functions of them.

    Functions and their fixed arguments must be picklable where parts are in other processes.
    """

    @property
    def n_parts(self) -> int:
        """Number of parts."""

    @property
    def is_resident(self) -> bool:
        """True if parts are in someone's memory, so that a few of their entries can be had quickly."""

    @property
    def is_local(self) -> bool:
        """True if parts are evaluated in this process, one after the other."""

    def start_account(self) -> None:
        """Begin to count what evaluations move."""

    def account(self) -> dict[str, Any]:
        """Return what evaluations have moved since then, if anything."""

    def facts(self) -> list[Facts]:
        """Return what there is to know of the parts without looking at their entries."""

    def map(self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any]) -> list[Any]:
        """Return ``function(part, *fixed, own[k])`` of each part k."""

    def total(
        self,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        shared: Any,
        own: Sequence[Any],
        threads: int,
    ) -> tuple[list[FloatArray], list[list[FloatArray]]]:
        """Return the sum over the parts, arrays of one shape each, and every part's own rows.

        The order of the sum depends on nothing but the number of parts. ``function(part, *fixed, shared, own[k],
        threads)`` is a `Partial`.
        """

    def changed(
        self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any], facts: dict[str, Any]
    ) -> Engine:
        """Return an engine of ``function(part, *fixed, own[k])`` of each part k, tensors too, made where they are.

        `facts` are the new parts', by name, where they differ: parts that are read need not be for it.
        """

    def handles(self) -> list[Any]:
        """Return what stands for each part in `own`, in functions of the parts of an engine of this kind."""


class LocalEngine:
    """Parts in this process, evaluated one after the other.

    Parameters
    ----------
    parts : iterable of tensors
        Gone through once in every pass: a sequence, or what reads them as it goes.
    facts : list of Facts, optional
        Of parts that had better not be read for it.
    """

    is_local = True

    def __init__(self, parts: Iterable[TensorData], facts: list[Facts] | None = None) -> None:
        self.parts = parts
        self.is_resident = isinstance(parts, Sequence)
        self._facts = [facts_of(part) for part in parts] if facts is None else facts
        self.n_parts = len(self._facts)

    def start_account(self) -> None:
        """Do nothing: nothing moves."""

    def account(self) -> dict[str, Any]:
        """Return an empty account: nothing has moved."""
        return {}

    def facts(self) -> list[Facts]:
        """Return the facts as told, or found."""
        return self._facts

    def map(self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any]) -> list[Any]:
        """Evaluate one part after the other."""
        with _gone_through(self.parts) as parts:
            return [function(part, *fixed, mine) for part, mine in zip(parts, own, strict=True)]

    def total(
        self,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        shared: Any,
        own: Sequence[Any],
        threads: int,
    ) -> tuple[list[FloatArray], list[list[FloatArray]]]:
        """Evaluate one part after the other; add arrays of one shape each in the order that other engines have."""
        tree, rows = _Tree(), []
        with _gone_through(self.parts) as parts:
            for part, mine in zip(parts, own, strict=True):
                found, alone = function(part, *fixed, shared, mine, threads)
                tree.add(found)
                rows.append(alone)
        return tree.total(), rows

    def changed(
        self, function: Callable[..., Any], fixed: tuple[Any, ...], own: Sequence[Any], facts: dict[str, Any]
    ) -> LocalEngine:
        """Make other parts of those in memory; of those that are read, at every reading."""
        if self.is_resident:
            return LocalEngine(self.map(function, fixed, own))
        parts = _Changed(self.parts, function, fixed, own)
        return LocalEngine(parts, [one._replace(**facts) for one in self._facts])

    def handles(self) -> list[Any]:
        """Return the parts."""
        return list(self.parts)


@dataclass(frozen=True, eq=False)
class _Changed:
    """Parts of which others are made whenever they are gone through."""

    parts: Iterable[TensorData]
    function: Callable[..., TensorData]
    fixed: tuple[Any, ...]
    own: Sequence[Any]

    def __iter__(self) -> Iterator[TensorData]:
        with _gone_through(self.parts) as parts:
            for part, mine in zip(parts, self.own, strict=True):
                yield self.function(part, *self.fixed, mine)


class _Tree:
    """A running sum in the order of a tree: `FAN` terms one after the other, then as many of these, and so on."""

    def __init__(self) -> None:
        self.sums: list[list[FloatArray]] = []
        self.counts: list[int] = []

    def add(self, term: list[FloatArray], level: int = 0) -> None:
        """Add a term, arrays of one shape each, at a level."""
        if level == len(self.sums):
            self.sums.append([])
            self.counts.append(0)
        self.sums[level] = added(self.sums[level], term) if self.sums[level] else term
        self.counts[level] += 1
        if self.counts[level] == FAN:
            full, self.sums[level], self.counts[level] = self.sums[level], [], 0
            self.add(full, level + 1)

    def total(self) -> list[FloatArray]:
        """Return the sum, arrays of one shape each."""
        last: list[FloatArray] = []
        for sums in self.sums:
            last = added(sums, last) if sums and last else sums or last
        return last


@contextmanager
def _gone_through(parts: Iterable[TensorData]) -> Iterator[Iterator[TensorData]]:
    """Yield an iterator over the parts that is closed whatever happens: it may hold files and threads."""
    iterator = iter(parts)
    try:
        yield iterator
    finally:
        if isinstance(iterator, Generator):
            iterator.close()


def added(sums: list[FloatArray], more: list[FloatArray]) -> list[FloatArray]:
    """Return two sums as one, in new arrays of the same shapes."""
    return [a + b for a, b in zip(sums, more, strict=True)]


class Facts(NamedTuple):
    """A part without its entries.

    Attributes
    ----------
    kind : str
        "dense", "sparse" or "observed".
    shape : tuple of int
    dtype : str
        Of the arithmetic.
    n_stored : int
        Cells of dense data, else listed entries.
    n_counted_cells : float
        Of sparse data: cells that an evaluation passes over if the loss of a zero has no closed form; else 0.
    is_affine : bool
        Whether entries have scales or offsets.
    carried : tuple of str
        See `carried_by`.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str
    n_stored: int
    n_counted_cells: float
    is_affine: bool
    carried: tuple[str, ...] = ()


def facts_of(part: TensorData, _: None = None) -> Facts:
    """Return what an engine tells of a part."""
    return Facts(
        part.kind,
        part.shape,
        str(part.dtype),
        part.values.size,
        part.n_counted_cells,
        part.is_affine,
        carried_by(part),
    )
