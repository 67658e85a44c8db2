"""Tensors in parts, cut along one mode: sums over all entries are sums over parts, wherever these are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, Factors, FloatArray
from gcp.kernels.listed.row_steps import Group
from gcp.losses.formula import Formula
from gcp.tensors.base import Block, Cells, TensorData
from gcp.tensors.cuts import Cuts
from gcp.tensors.html_part import html_of
from gcp.tensors.parts.local_engine import Arrays, Engine, Partial

_IN_PARTS = "The data are in parts, and this needs them in one piece."


class PartitionedTensor:
    """A tensor cut into parts along one mode.

    Made by `gcp.partition`, from Dask arrays and tables, and from files that are larger than memory.

    Parameters
    ----------
    engine : Engine
        Holds the parts.
    cuts : Cuts
    labels : ModeLabels, optional

    Raises
    ------
    DataError
        Parts that do not fit together.

    Notes
    -----
    Each part is a tensor of its own, of the same modes; so the zeros of a sparse part, too, are counted where they
    are. For an evaluation, a part needs the rows of the cut mode that are its own, and all rows of the others.
    """

    def __init__(self, engine: Engine, cuts: Cuts, labels: ModeLabels | None = None) -> None:
        self.engine, self.cuts, self.labels = engine, cuts, labels
        self.facts = engine.facts()
        self.shape = self._checked_shape()
        self.kind, self.dtype = self.facts[0].kind, np.dtype(self.facts[0].dtype)
        self.n_stored = [facts.n_stored for facts in self.facts]
        if labels is not None:
            labels.check(self.shape)

    def _checked_shape(self) -> tuple[int, ...]:
        first, mode = self.facts[0], self.cuts.mode
        for k, (facts, size) in enumerate(zip(self.facts, self.cuts.sizes, strict=True)):
            expected = (*first.shape[:mode], size, *first.shape[mode + 1 :])
            if facts.shape != expected or (facts.kind, facts.dtype) != (first.kind, first.dtype):
                raise DataError(
                    f"Part {k} is {facts.kind} data of shape {facts.shape} and type {facts.dtype}: expected "
                    f"{first.kind} data of shape {expected} and type {first.dtype}, as part 0."
                )
        return (*first.shape[:mode], sum(self.cuts.sizes), *first.shape[mode + 1 :])

    @property
    def ndim(self) -> int:
        """Number of modes."""
        return len(self.shape)

    @property
    def parts(self) -> PartitionedTensor:
        """The tensor itself: it is in parts."""
        return self

    @property
    def n_counted_cells(self) -> float:
        """Cells that an evaluation passes over if the loss of a zero has no closed form."""
        return math.fsum(facts.n_counted_cells for facts in self.facts)

    def start_account(self) -> None:
        """Begin to count what evaluations move."""
        self.engine.start_account()

    def account(self) -> dict[str, Any]:
        """Return how the tensor is cut, and what evaluations moved since then; for the settings of a result."""
        how = {"mode": self.cuts.mode, "sizes": list(self.cuts.sizes), "kind": self.kind}
        return how | self.engine.account()

    @property
    def is_resident(self) -> bool:
        """True if parts are in someone's memory, so that a few of their entries can be had quickly."""
        return self.engine.is_resident

    @property
    def is_local(self) -> bool:
        """Whether parts are evaluated in this process, one after the other."""
        return self.engine.is_local

    @property
    def values(self) -> Array:
        """Unavailable in any shape: raises `DataError`, as the data are in parts."""
        raise DataError(_IN_PARTS)

    @property
    def subs(self) -> Array:
        """Unavailable in any shape: raises `DataError`, as the data are in parts."""
        raise DataError(_IN_PARTS)

    @property
    def entry_weights(self) -> None:
        """None: the parts have them."""
        return

    @property
    def zeros(self) -> None:
        """None: parts say what their unlisted cells are."""
        return

    @property
    def sparse(self) -> None:
        """None; see `zeros`."""
        return

    def in_double(self) -> PartitionedTensor:
        """Return the tensor itself: what it is evaluated in is decided where its parts are made."""
        return self

    def known_cells(self, most: int) -> Iterator[Cells]:
        """Raise `DataError`: the data are in parts."""
        raise DataError(_IN_PARTS)

    @property
    def is_affine(self) -> bool:
        """True if entries have scales or offsets."""
        return any(facts.is_affine for facts in self.facts)

    @property
    def carried(self) -> tuple[str, ...]:
        """What cells carry; see `carried_by`."""
        return self.facts[0].carried

    def __repr__(self) -> str:
        """Return shape, type, and how the tensor is cut."""
        shape = " x ".join(map(str, self.shape))
        return (
            f"PartitionedTensor({shape}, {self.dtype}, {self.engine.n_parts} {self.kind} parts along mode "
            f"{self.cuts.mode})"
        )

    def _repr_html_(self) -> str:
        """Return a part of a page, for notebooks."""
        return html_of(self)

    def map(self, function: Callable[..., Any], *fixed: Any, own: Sequence[Any] | None = None) -> list[Any]:
        """Return ``function(part, *fixed, own[k])`` of each part k; `own` is None for each by default."""
        return self.engine.map(function, fixed, [None] * self.engine.n_parts if own is None else own)

    def changed(
        self, function: Callable[..., Any], *fixed: Any, own: Sequence[Any] | None = None, **facts: Any
    ) -> PartitionedTensor:
        """Return the tensor of parts that a function makes of each, where it is; as for `map`.

        `facts` are those of the new parts, by name, that differ from those of the old.
        """
        extra = [None] * self.engine.n_parts if own is None else own
        return PartitionedTensor(self.engine.changed(function, fixed, extra, facts), self.cuts, self.labels)

    def listed_positions(self) -> None:
        """Return None: what is listed is in the parts."""

    def known_positions(self) -> list[Array]:
        """Return for each mode a mask (I_n,): where any part has an entry of positive weight.

        That is a pass over the data.
        """
        return self.cuts.joined_known(self.map(_known_positions))

    def blocks(self) -> Iterator[Block]:
        """Raise: data in parts are examined part by part."""
        raise DataError(_IN_PARTS)

    def subscript(self, position: int) -> tuple[int, ...]:
        """Raise: data in parts have no entries with numbers."""
        raise DataError(_IN_PARTS)

    def loss_and_mttkrps(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray]]:
        """Return the weighted loss and its gradient in factors (I_n, R) and effects (I_n,), summed over the parts."""
        return self._evaluated(formula, factors, n_threads, effects, curved=False)[:3]

    def loss_mttkrps_and_marginals(
        self, formula: Formula, factors: Factors, n_threads: int = 1, effects: Factors = ()
    ) -> tuple[float, list[FloatArray], list[FloatArray], list[FloatArray]]:
        """Return also the sums of entry weight * curvature weight over slices, a vector (I_n,) per mode."""
        return self._evaluated(formula, factors, n_threads, effects, curved=True)

    def _evaluated(
        self, formula: Formula, factors: Factors, n_threads: int, effects: Factors, *, curved: bool
    ) -> tuple[float, Arrays, Arrays, Arrays]:
        """Return the value, gradients (I_n, R) and (I_n,), and if `curved` marginals (I_n,)."""
        return self.summed(evaluated, (formula, curved), factors, n_threads, effects, curved=curved)

    def summed(
        self,
        function: Callable[..., Partial],
        fixed: tuple[Any, ...],
        factors: Factors,
        n_threads: int,
        effects: Factors = (),
        *,
        curved: bool = False,
        own: Sequence[Any] | None = None,
    ) -> tuple[float, Arrays, Arrays, Arrays]:
        """Return value, gradients (I_n, R) and (I_n,), and marginals (if `curved`), added up by a function of parts.

        ``function(part, *fixed, mode, shared, own, n_threads)`` gives a `Partial`, as `evaluated` does; `own` tells
        each part something more.
        """
        (shared, rows), (shifts, own_shifts) = self.cuts.split(factors), self.cuts.split(effects)
        extra = [None] * self.engine.n_parts if own is None else own
        mine = list(zip(rows, own_shifts, extra, strict=True))
        sums, alone = self.engine.total(function, (*fixed, self.cuts.mode), (shared, shifts), mine, n_threads)
        return self._assembled(sums, alone, bool(len(effects)), curved)

    def _assembled(
        self, sums: Arrays, alone: Sequence[Arrays], has_effects: bool, curved: bool
    ) -> tuple[float, Arrays, Arrays, Arrays]:
        value, rest, n = float(sums[0][0]), sums[1:], self.ndim - 1
        found: list[Arrays] = []
        kinds = (True, has_effects, curved)
        for position, is_there in enumerate(kinds):
            k = sum(kinds[:position])
            mine = [rows[k] for rows in alone] if is_there else []
            found.append(self.cuts.joined(rest[k * n : (k + 1) * n], mine) if is_there else [])
        return value, found[0], found[1], found[2]

    @property
    def stored_cells(self) -> None:
        """None: not every cell is in memory here."""
        return

    @property
    def has_marginals(self) -> bool:
        """True if `loss_mttkrps_and_marginals` can be had."""
        return self.kind == "dense"

    @property
    def has_groups(self) -> bool:
        """False: entries are not in the order of a mode."""
        return False

    def groups(self, mode: int) -> Iterable[tuple[int, Group]]:
        """Raise `DataError`: the data are in parts."""
        raise DataError(_IN_PARTS)

    @property
    def sides(self) -> tuple[tuple[int, ...], ...]:
        """The empty tuple: products of the data alone with Khatri-Rao rows are for data in one piece."""
        return ()

    def contract(self, side: tuple[int, ...], factors: Factors, out: FloatArray, n_threads: int) -> None:
        """Raise `ParameterError`, whatever the factors (I_n, R); see `sides`."""
        raise ParameterError('The solver "als" is for data in one piece. Use solver="auto".')


Shared = tuple[Arrays, Arrays]
Own = tuple[Arrays, Arrays, Any]
"""Factors and effects that all parts share; the rows of them that are a part's own, and what else it is told."""


def evaluated(
    part: TensorData, formula: Formula, curved: bool, mode: int, shared: Shared, own: Own, n_threads: int
) -> Partial:
    """Return the loss of a part, and its gradients."""
    evaluate = part.loss_mttkrps_and_marginals if curved else part.loss_and_mttkrps
    return partial(mode, *evaluate(formula, *whole(mode, shared, own, n_threads)))


def whole(mode: int, shared: Shared, own: Own, n_threads: int) -> tuple[Arrays, int, Arrays]:
    """Return factors, threads and effects of a part, as data kinds take them."""
    factors, effects = ([*a[:mode], *b, *a[mode:]] for a, b in zip(shared, own[:2], strict=True))
    return factors, n_threads, effects


def partial(mode: int, value: float, *groups: Arrays) -> Partial:
    """Return a value and arrays by mode as sums over the parts, and rows of the mode that is cut."""
    sums, rows = [np.array([value])], []
    for arrays in groups:
        sums += [a for n, a in enumerate(arrays) if n != mode]
        rows += [arrays[mode]] if arrays else []
    return sums, rows


def _known_positions(part: TensorData, _: None = None) -> list[Array]:
    """Return a mask (I_n,) for each mode of a part."""
    return part.known_positions()
