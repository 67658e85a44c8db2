"""Names decide: what two sides both name is matched by name, the modes and their positions.

One side is read in the order of the other, the base. Names that only one side has match anything, by position; so do
those that nobody gave (`mode_0`, xarray's `dim_0`). Both sides need the same labels, in any order: what one of them
lacks is refused, with the first name that differs. docs/decisions/0027-names-decide.md says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.base.label_dates import as_dates
from gcp.base.labels import ModeLabels, check_numbers, is_unnamed
from gcp.base.types import Array

Model = TypeVar("Model")


class NamesDiffer(Exception):
    """A fault that keeps two sides from being matched, in one sentence."""


@dataclass(frozen=True, eq=False)
class Side:
    """A side, of two that are matched.

    Attributes
    ----------
    what : str
        What messages call it, in the middle of a sentence: "the data", "the model".
    labels : ModeLabels or None
    shape : tuple of int
    free : collection of int
        Of the base: modes in which the other side may have any positions.
    """

    what: str
    labels: ModeLabels | None
    shape: tuple[int, ...]
    free: Collection[int] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the modes; the default ones if there are no labels."""
        return (self.labels or ModeLabels.default(self.shape)).names

    def coords(self, mode: int) -> Array | None:
        """Return labels (I_n,) of the positions of a mode, if it has any."""
        return None if self.labels is None else self.labels.coords[mode]


@dataclass(frozen=True, eq=False)
class Alignment:
    """An order in which a side is read, that of the base.

    Attributes
    ----------
    modes : tuple of (int or None)
        By mode of the base, the side's own; None where it has none: there it is the same at all positions.
    positions : tuple of (ndarray of int or None)
        By mode of the base, the side's positions in the base's order, -1 for those that it lacks; None where they
        stand in it.
    """

    modes: tuple[int | None, ...]
    positions: tuple[Array | None, ...]

    @property
    def is_identity(self) -> bool:
        """Whether nothing has to be done."""
        return self.modes == tuple(range(len(self.modes))) and all(p is None for p in self.positions)

    def inverse(self) -> Alignment:
        """Return the alignment that reads the base in the order of the side, which has all of its modes."""
        modes = [mode for mode in self.modes if mode is not None]
        back = [modes.index(mode) for mode in range(len(modes))]
        positions = [None if (p := self.positions[n]) is None else np.argsort(p) for n in back]
        return Alignment(tuple(back), tuple(positions))

    def of_array(self, values: Any) -> Any:
        """Return an array of the side's shape, NumPy's or Dask's, so that it broadcasts to the base's."""
        own = [mode for mode in self.modes if mode is not None]
        if own != list(range(len(own))):
            values = values.transpose(own)
        taken = [p for mode, p in zip(self.modes, self.positions, strict=True) if mode is not None]
        moved = [axis for axis, p in enumerate(taken) if p is not None]
        if len(moved) > 1 and isinstance(values, np.ndarray):  # one copy, not one for each mode
            values = values[
                np.ix_(*(np.arange(n) if p is None else p for n, p in zip(values.shape, taken, strict=True)))
            ]
        else:
            for axis in moved:
                values = values[(slice(None),) * axis + (taken[axis],)]
        if None in self.modes:
            values = values[tuple(None if mode is None else slice(None) for mode in self.modes)]
        return values

    def of_labels(self, labels: ModeLabels) -> ModeLabels:
        """Return the side's labels, in the base's order."""
        there = [(mode, p) for mode, p in zip(self.modes, self.positions, strict=True) if mode is not None]
        # Without labels, positions are counted: those that are taken keep their numbers.
        coords = [p if labels.coords[mode] is None else _taken(labels.coords[mode], p) for mode, p in there]
        names, units = [labels.names[mode] for mode, _ in there], [labels.units[mode] for mode, _ in there]
        return ModeLabels(names, coords, units, labels.data_units, labels.exposure)

    def of_model(self, model: Model) -> Model:
        """Return a fitted model in the base's order; its settings remain those of the fit."""
        if self.is_identity:
            return model
        own: Any = model
        rows = dict(zip(self.modes, self.positions, strict=True))
        of_name = {name: rows[mode] for mode, name in enumerate(own.labels.names)}
        effects = {name: _taken(vector, of_name[name]) for name, vector in own.main_effects.items()}
        unknown = {
            name: at if (p := of_name[name]) is None else np.flatnonzero(np.isin(p, at))
            for name, at in own.unknown.items()
        }
        found: Model = replace(
            own,
            factors=[_taken(own.factors[mode], p) for mode, p in rows.items()],
            fitted_factors=[
                _taken(own.fitted_factors[mode], p) for mode, p in rows.items() if own.fitted_factors
            ],
            row_bounds=[own.row_bounds[mode] for mode in rows if own.row_bounds],
            main_effects=effects,
            unknown=unknown,
            loss=own.loss.taken(of_name),
            labels=self.of_labels(own.labels),
            problem=own.problem.rearranged(self.modes, self.positions),
        )
        return found


def align(
    side: Side,
    base: Side,
    *,
    broadcast: bool = False,
    gaps: bool = False,
    error: type[GcpError] = DataError,
) -> Alignment:
    """Return the order in which one side is read as the other.

    Parameters
    ----------
    side, base : Side
    broadcast : bool
        Whether the side may lack modes, and have a mode of one position without a label, as in NumPy and xarray.
    gaps : bool
        Whether the side may lack labels of the base.
    error : type
        What is raised.

    Raises
    ------
    GcpError
        In one sentence, with the first name or label that one side lacks, or has twice.
    """
    try:
        modes = _modes(side, base, broadcast)
        _check_units(side, modes, base)
        positions = [
            None if mode is None or n in base.free else _positions(side, mode, base, n, broadcast, gaps)
            for n, mode in enumerate(modes)
        ]
    except NamesDiffer as difference:
        raise error(str(difference)) from None
    return Alignment(modes, tuple(positions))


def positions_of(
    labels: Any, side: Side, mode: int, what: str, *, error: type[GcpError] = ParameterError
) -> Array:
    """Return the positions (n,) that labels (n,) have in a mode; those of a mode without labels are 0, 1, ...

    Parameters
    ----------
    labels : array_like, shape (n,)
        Any of the mode's, in any order, also repeatedly.
    side : Side
    mode : int
    what : str
        What messages call the labels.
    error : type
        What is raised.

    Raises
    ------
    GcpError
        In one sentence, with the first label that the mode lacks, or has twice.
    """
    own = side.coords(mode)
    known = np.arange(side.shape[mode]) if own is None else own
    wanted = ModeLabels(["labels"], [as_dates(labels, known) if known.dtype.kind == "M" else labels]).coords[
        0
    ]
    assert wanted is not None  # for the type checker
    if known.dtype.kind in "iuf":
        check_numbers(wanted, known, side.names[mode], what, error)
    few, back = np.unique(wanted, return_inverse=True)
    keys, known_keys = _keys(few, known)
    place = {key: k for k, key in enumerate(known_keys)}
    name = side.names[mode]
    try:
        _check_within(keys, place, name, (few, known), (what, side.what))
        if len(place) < len(known_keys):
            _check_once(keys, Counter(known_keys), name, side.what)
    except NamesDiffer as difference:
        raise error(str(difference)) from None
    return np.array([place[key] for key in keys], dtype=np.intp)[back.reshape(-1)]


def places_among(labels: Array, known: Array) -> Array:
    """Return where labels (n,) are among known ones (k,), the last if they are there twice; -1 where they are not."""
    keys, known_keys = _keys(labels, known)
    place = {key: k for k, key in enumerate(known_keys)}
    return np.array([place.get(key, -1) for key in keys], dtype=np.intp)


def check_tied(labels: ModeLabels, modes: Sequence[int]) -> None:
    """Raise `ParameterError` if modes that share a factor have other labels, or the same in another order."""
    names = ", ".join(labels.names[n] for n in modes)
    known = [(labels.names[n], coords) for n in modes if (coords := labels.coords[n]) is not None]
    sides = [Side(f"mode {name!r}", ModeLabels([names], [own]), own.shape) for name, own in known]
    for k in range(1, len(sides)):
        moved = align(sides[k], sides[0], error=ParameterError).positions[0]
        if moved is not None:
            at = int(np.flatnonzero(moved != np.arange(len(moved)))[0])
            raise ParameterError(
                f"tied_modes: at position {at}, mode {known[0][0]!r} has the label {_shown(known[0][1][at])}, but "
                f"mode {known[k][0]!r} {_shown(known[k][1][at])}: put them in the same order."
            )


# --- modes by name ------------------------------------------------------------------------------------------


def _modes(side: Side, base: Side, broadcast: bool) -> tuple[int | None, ...]:
    """Return the side's own mode for each of the base: by name, and in order those that one does not name."""
    n_own, n_base = len(side.shape), len(base.shape)
    own, names = side.names, base.names
    is_short = broadcast and n_own < n_base
    # NumPy counts the modes of an array that has fewer from the last: its mode_0 is not the base's.
    found = {
        n: own.index(name)
        for n, name in enumerate(names)
        if name in own and not (is_short and name.startswith("mode_") and is_unnamed(name))
    }
    left = [k for k in range(n_own) if k not in found.values()]
    open_ = [n for n in range(n_base) if n not in found]
    if is_short and left and not found and all(is_unnamed(own[k]) for k in left):
        return (None,) * (n_base - n_own) + tuple(range(n_own))
    are_pairs = all(is_unnamed(own[k]) or is_unnamed(names[n]) for k, n in zip(left, open_, strict=False))
    if not are_pairs or (len(left) != len(open_) and (left or not broadcast)):
        raise _modes_differ(side, base, left, open_, is_short)
    found |= dict(zip(open_, left, strict=False))
    return tuple(found.get(n) for n in range(n_base))


def _modes_differ(side: Side, base: Side, left: list[int], open_: list[int], is_short: bool) -> NamesDiffer:
    own, names = side.names, base.names
    if all(map(is_unnamed, own)) or (all(map(is_unnamed, names)) and not is_short):
        return _shapes_differ(side, base)
    shown = [f"{one.what} ({', '.join(one.names)})" for one in (side, base)]
    foreign = [own[k] for k in left if not is_unnamed(own[k])]
    if foreign and not any(is_unnamed(names[n]) for n in open_):
        return NamesDiffer(f"The mode {foreign[0]!r} is in {shown[0]}, but not in {shown[1]}.")
    if not left:
        return NamesDiffer(f"The mode {names[open_[0]]!r} is in {shown[1]}, but not in {shown[0]}.")
    return NamesDiffer(
        f"The mode {(foreign or own)[0]!r} of {shown[0]} may be any of {shown[1]} that have no name: give all modes, "
        "in order, or name them."
    )


def _shapes_differ(side: Side, base: Side) -> NamesDiffer:
    what = f"{side.what[:1].upper()}{side.what[1:]}"
    sizes = ["any" if n in base.free else str(size) for n, size in enumerate(base.shape)]
    shape = f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"
    return NamesDiffer(f"{what} and {base.what} have the shapes {side.shape} and {shape}.")


def _check_units(side: Side, modes: Sequence[int | None], base: Side) -> None:
    """Raise unless modes of both sides have the same unit, where both have one."""
    if side.labels is None or base.labels is None:
        return
    for n, mode in enumerate(modes):
        own, there = (None if mode is None else side.labels.units[mode]), base.labels.units[n]
        if own is not None and there is not None and own != there:
            raise NamesDiffer(
                f"The mode {base.names[n]!r} is in {own!r} in {side.what}, but in {there!r} in {base.what}: convert "
                "its labels, or leave the units out."
            )


# --- positions by label -------------------------------------------------------------------------------------


def _positions(side: Side, mode: int, base: Side, n: int, broadcast: bool, gaps: bool) -> Array | None:
    """Return the side's positions (I_n,) of a mode in the base's order, -1 for gaps; None if they stand in it."""
    own, labels = side.coords(mode), base.coords(n)
    if own is None or labels is None:
        is_constant = broadcast and own is None and side.shape[mode] == 1
        if side.shape[mode] != base.shape[n] and not is_constant:
            raise _shapes_differ(side, base)
        return None
    if own is labels or _equal(own, labels):
        return None
    keys, base_keys = _keys(own, labels)
    place, known = {key: k for k, key in enumerate(keys)}, set(base_keys)
    name, sides = base.names[n], (side.what, base.what)
    if not gaps:
        _check_within(base_keys, place, name, (labels, own), sides[::-1])
    _check_within(keys, known, name, (own, labels), sides)
    for what, some in ((side.what, keys), (base.what, base_keys)):
        _check_once(some, Counter(some), name, what)
    found = np.array([place.get(key, -1) for key in base_keys], dtype=np.intp)
    return None if np.array_equal(found, np.arange(len(found))) else found


def _check_within(
    keys: list[Any], others: Collection[Any], name: str, labels: tuple[Array, Array], sides: tuple[str, str]
) -> None:
    """Raise unless all labels of one side are among the other's, arrays (I_n,)."""
    lacking = [k for k, key in enumerate(keys) if key not in others]
    if not lacking:
        return
    own, other = labels
    begin = "begin" if len(other) > 3 else "are"
    more = f" (nor are {len(lacking) - 1} more)" if len(lacking) > 1 else ""
    raise NamesDiffer(
        f"The label {_shown(own[lacking[0]])} of mode {name!r} is in {sides[0]}, but not in {sides[1]}{more}, whose "
        f"labels {begin} {', '.join(map(_shown, other[:3]))}."
    )


def _check_once(keys: list[Any], times: Counter[Any], name: str, what: str) -> None:
    """Raise if one of these labels is there more than once."""
    if again := [key for key in keys if times[key] > 1]:
        raise NamesDiffer(
            f"The label {again[0]!r} of mode {name!r} is in {what} more than once, so that it tells no position."
        )


def _equal(a: Array, b: Array) -> bool:
    """Return whether labels, arrays (I_n,), are the same, one by one, as they are in nearly all cases."""
    return a.dtype.kind == b.dtype.kind and np.array_equal(a, b)


def _keys(a: Array, b: Array) -> tuple[list[Any], list[Any]]:
    """Return what arrays of labels (I_n,) are compared by: as numbers if both are numbers, else as text.

    So 1 is 1.0, and is "1" too, but not "01"; a date is the text that ISO 8601 has for it.
    """
    if a.dtype.kind in "biuf" and b.dtype.kind in "biuf":
        if a.dtype.kind == b.dtype.kind == "f":  # in the precision that both have
            a, b = (x.astype(min(a.dtype, b.dtype, key=lambda t: t.itemsize)) for x in (a, b))
        return _numbers(a), _numbers(b)
    return _texts(a), _texts(b)


def _numbers(labels: Array) -> list[Any]:
    """Return labels (I_n,) as numbers, with a text for NaN, which equals nothing."""
    return ["nan" if key != key else key for key in labels.tolist()]


def _texts(labels: Array) -> list[str]:
    """Return labels (I_n,) as texts."""
    if labels.dtype.kind == "M":
        return np.datetime_as_string(labels, unit="auto").tolist()
    if labels.dtype.kind == "m":
        return [f"{key} ns" for key in labels.astype("m8[ns]").astype(np.int64).tolist()]
    if labels.dtype.kind == "S":
        return [key.decode(errors="replace") for key in labels.tolist()]
    return [str(key) for key in labels.tolist()]


def _shown(label: Any) -> str:
    if isinstance(label, np.datetime64):
        return str(np.datetime_as_string(label, unit="auto"))
    return repr(label.item() if isinstance(label, np.generic) else label)


def _taken(rows: Any, positions: Array | None) -> Any:
    """Return the rows at positions (I_n,); all for None."""
    return rows if positions is None else rows[positions]
