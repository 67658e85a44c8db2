"""Tensors that have modes in common: modes of the same name, whose positions are matched by label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gcp.base.alignment import places_among
from gcp.base.errors import DataError
from gcp.base.labels import ModeLabels, appended, is_unnamed
from gcp.base.types import Array
from gcp.tensors.kinds import Tensor

_SHOWN = 3


@dataclass(frozen=True, eq=False)
class CoupledTensors:
    """Several tensors, and the modes and positions of all of them: what a factor for each mode has rows for.

    Attributes
    ----------
    tensors : dict of str to (DenseTensor, SparseTensor or ObservedTensor)
    labels : ModeLabels
        Modes in the order in which tensors name them first; their positions likewise, those of the first tensor that
        has the mode and then what others have besides.
    shape : tuple of int
        Numbers of positions of these modes.
    modes : dict of str to tuple of int
        Of each tensor, which of these modes its own are.
    positions : dict of str to tuple of (ndarray of int, shape (I_n,), or None)
        Of each tensor and each of its modes, the places of its positions among all; None: they are all, in order.
    """

    tensors: Mapping[str, Tensor]
    labels: ModeLabels
    shape: tuple[int, ...]
    modes: Mapping[str, tuple[int, ...]]
    positions: Mapping[str, tuple[Array | None, ...]]

    parts = None
    """They are in memory."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> CoupledTensors:
        """Return the tensors coupled.

        Raises
        ------
        DataError
            Modes without a name, a mode whose labels one tensor has and another lacks, or which they have none of in
            common; other units, other sizes, a label twice; tensors that have no mode in common with others.
        """
        union: dict[str, _Mode] = {}
        for name, tensor in tensors.items():
            labels = _labels_of(name, tensor)
            for n, mode in enumerate(labels.names):
                own = _Mode(labels.coords[n], tensor.shape[n], labels.units[n], (name,))
                union[mode] = own if mode not in union else union[mode].joined(mode, own)
        order = list(union)
        modes = {name: tuple(map(order.index, _labels_of(name, t).names)) for name, t in tensors.items()}
        _check_connected(modes, order)
        positions = {
            name: tuple(
                union[mode].places(_labels_of(name, tensor).coords[n])
                for n, mode in enumerate(_labels_of(name, tensor).names)
            )
            for name, tensor in tensors.items()
        }
        every = list(union.values())
        whole = ModeLabels(order, [one.coords for one in every], [one.unit for one in every])
        return cls(dict(tensors), whole, tuple(one.size for one in every), modes, positions)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The arithmetic: float32 if that of all tensors is."""
        return np.result_type(*(tensor.dtype for tensor in self.tensors.values()))

    @cached_property
    def _known(self) -> list[Array]:
        found = [np.zeros(size, bool) for size in self.shape]
        for name, tensor in self.tensors.items():
            for n, k, own in zip(
                self.modes[name], self.positions[name], tensor.known_positions(), strict=True
            ):
                found[n][slice(None) if k is None else k] |= own
        return found

    def known_positions(self) -> list[Array]:
        """Return for each mode a boolean vector (I_n,): where some tensor has an entry of positive weight."""
        return [mask.copy() for mask in self._known]

    @property
    def shared(self) -> tuple[int, ...]:
        """The modes of two tensors or more."""
        counts = np.bincount([n for own in self.modes.values() for n in own], minlength=len(self.shape))
        return tuple(np.flatnonzero(counts > 1).tolist())

    def in_double(self) -> CoupledTensors:
        """Return the same for arithmetic in float64."""
        return replace(self, tensors={name: tensor.in_double() for name, tensor in self.tensors.items()})

    def n_scales(self) -> int:
        """Return how many norms of a component's columns are free: those that no tensor's model sees."""
        seen = np.zeros((len(self.modes), len(self.shape)))
        for row, own in zip(seen, self.modes.values(), strict=True):
            row[list(own)] = 1.0
        return len(self.shape) - int(np.linalg.matrix_rank(seen))


@dataclass(frozen=True, eq=False)
class _Mode:
    """The positions of a mode in all tensors so far that have it, and the names of these."""

    coords: Array | None
    size: int
    unit: str | None
    tensors: tuple[str, ...]

    def joined(self, mode: str, other: _Mode, *, must_meet: bool = True) -> _Mode:
        """Return the mode with the positions of one more tensor, some of which, if they must meet, are there."""
        (name,), first = other.tensors, self.tensors[0]
        if self.unit is not None and other.unit is not None and self.unit != other.unit:
            raise DataError(
                f"The mode {mode!r} is in {self.unit!r} in {first!r}, but in {other.unit!r} in {name!r}: convert its "
                "labels, or leave the units out."
            )
        unit, tensors = self.unit or other.unit, (*self.tensors, name)
        if self.coords is None or other.coords is None:
            if not (self.coords is other.coords is None):
                with_labels, without = (first, name) if other.coords is None else (name, first)
                raise DataError(
                    f"The mode {mode!r}, which tensors share, has labels in {with_labels!r}, but none in "
                    f"{without!r}, so that its positions cannot be matched: label both, or neither."
                )
            if self.size != other.size:
                raise DataError(
                    f"The mode {mode!r}, which tensors share, has no labels, and {self.size} positions in {first!r}, "
                    f"but {other.size} in {name!r}: label its positions, or give both as many."
                )
            return _Mode(None, self.size, unit, tensors)
        for what, labels in ((first, self.coords), (name, other.coords)):
            _check_once(mode, what, labels)
        places = places_among(other.coords, self.coords)
        new = other.coords[places < 0]
        if must_meet and len(new) == len(other.coords):
            raise DataError(
                f"The mode {mode!r} has no label in common in {first!r} ({_few(self.coords)}) and {name!r} "
                f"({_few(other.coords)}): couple tensors by labels that they share, or give the mode two names."
            )
        if len(new) and _kind(new) != _kind(self.coords):
            raise DataError(
                f"The labels of mode {mode!r} are of other kinds in {first!r} ({_few(self.coords)}) and {name!r} "
                f"({_few(other.coords)}): give both as numbers, both as dates, or both as text."
            )
        coords = appended(self.coords, new, mode)
        return _Mode(coords, len(coords), unit, tensors)

    def places(self, own: Array | None) -> Array | None:
        """Return the places of a tensor's labels (I_n,) among all; None if they are all, in order."""
        if own is None or own is self.coords:
            return None
        assert self.coords is not None
        found = places_among(own, self.coords)
        return None if np.array_equal(found, np.arange(self.size)) else found


def joined_positions(
    mode: str, sides: Mapping[str, tuple[Array | None, int]]
) -> tuple[Array | None, dict[str, Array]]:
    """Return the labels of all positions of a mode, None without any, and the places of each tensor's among them.

    Parameters
    ----------
    mode : str
    sides : dict of str to (ndarray, shape (n,), or None, int)
        By tensor, labels and numbers of its positions; labels need not meet.

    Raises
    ------
    DataError
        Labels in some tensors alone, twice, or of other kinds; without any, other numbers of positions.
    """
    whole: _Mode | None = None
    for name, (labels, size) in sides.items():
        own = _Mode(labels, size, None, (name,))
        whole = own if whole is None else whole.joined(mode, own, must_meet=False)
    assert whole is not None
    places = {name: whole.places(labels) for name, (labels, _) in sides.items()}
    return whole.coords, {name: np.arange(whole.size) if p is None else p for name, p in places.items()}


def _labels_of(name: str, tensor: Tensor) -> ModeLabels:
    """Return the labels of a tensor whose modes all have names."""
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    if unnamed := [mode for mode in labels.names if is_unnamed(mode)]:
        raise DataError(
            f"The modes of {name!r} have no names of their own (found {unnamed[0]!r}), and modes of the same name "
            f'are what couples tensors: give modes={{{name!r}: ["subject", ...]}}, or data with names.'
        )
    return labels


def _check_once(mode: str, name: str, labels: Array) -> None:
    """Raise `DataError` if one of the labels (I_n,) of a mode is there more than once."""
    first, times = np.unique(labels, return_counts=True)
    if (again := first[times > 1]).size:
        raise DataError(
            f"The label {again[0].item()!r} of mode {mode!r} is in {name!r} more than once, so that it tells no "
            "position."
        )


def _check_connected(modes: Mapping[str, tuple[int, ...]], order: list[str]) -> None:
    """Raise `DataError` unless modes in common connect all tensors."""
    first, *others = modes
    seen, left = set(modes[first]), list(others)
    while joined := [name for name in left if seen & set(modes[name])]:
        seen |= {n for name in joined for n in modes[name]}
        left = [name for name in left if name not in joined]
    if left:
        own = ", ".join(order[n] for n in modes[left[0]])
        raise DataError(
            f"The tensor {left[0]!r} ({own}) has no mode in common with the others "
            f"({', '.join(order[n] for n in sorted(seen))}), so that nothing couples it: give modes that mean the "
            "same the same name, or fit it alone."
        )


def _kind(labels: Array) -> str:
    return (
        labels.dtype.kind
        if labels.dtype.kind in "mM"
        else "number"
        if labels.dtype.kind in "biuf"
        else "text"
    )


def _few(labels: Array) -> str:
    shown = ", ".join(repr(label) for label in labels[:_SHOWN].tolist())
    return shown + (", ..." if len(labels) > _SHOWN else "")
