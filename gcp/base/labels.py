"""Names of modes and of their positions: taken off the data, put back on the result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base.checks import array, instance, items, show
from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.base.types import Array

_KINDS = {"i": "numbers", "u": "numbers", "f": "numbers", "b": "truth values", "M": "dates", "m": "durations"}
"""What labels are, by the kind of their type; all others are texts."""


@dataclass(frozen=True, eq=False)
class ModeLabels:
    """Names, coordinates and units, per mode, and the unit of the data.

    Parameters
    ----------
    names : sequence of str
        One name per mode, all different.
    coords : sequence of (array_like or None)
        One array of length I_n per mode (strings, numbers or dates); None stands for 0, 1, ..., I_n - 1.
    units : sequence of (str or None), optional
        The unit of each mode's coordinates, such as "ms"; None where there is none or it is unknown.
    data_units : str, optional
        The unit of the data.
    exposure : str, optional
        What the exposure is called that cells carry; two labels are equal whatever it is.

    Raises
    ------
    DataError
        If names repeat, the sequences differ in length, or a unit is no text.
    """

    names: tuple[str, ...]
    coords: tuple[Array | None, ...]
    units: tuple[str | None, ...]
    data_units: str | None
    exposure: str | None

    def __init__(
        self,
        names: Sequence[str],
        coords: Sequence[object | None],
        units: Sequence[str | None] | None = None,
        data_units: str | None = None,
        exposure: str | None = None,
    ) -> None:
        names = items("names", names, "a list of one name per mode", DataError)
        coords = items("coords", coords, "a list of one array or None per mode", DataError)
        of_modes = [None] * len(names) if units is None else units
        of_modes = items("units", of_modes, "a list of one unit or None per mode", DataError)
        arrays = tuple(None if c is None else _plain(_array(c)) for c in coords)
        object.__setattr__(self, "names", tuple(str(n) for n in names))
        object.__setattr__(self, "coords", arrays)
        object.__setattr__(self, "units", tuple(map(_unit, of_modes)))
        object.__setattr__(self, "data_units", _unit(data_units))
        object.__setattr__(self, "exposure", _unit(exposure))
        if len(self.names) != len(arrays):
            raise DataError(f"Labels: {len(self.names)} mode names but {len(arrays)} coordinate arrays.")
        if len(self.names) != len(self.units):
            raise DataError(f"Labels: {len(self.names)} mode names but {len(self.units)} units.")
        if len(set(self.names)) != len(self.names):
            raise DataError(f"Labels: mode names must differ, found {list(self.names)}.")

    @classmethod
    def default(cls, shape: Sequence[int]) -> ModeLabels:
        """Return `mode_0`, `mode_1`, ... with positions as coordinates."""
        n_modes = len(items("shape", shape, "a list of sizes"))
        return cls([f"mode_{n}" for n in range(n_modes)], [None] * n_modes)

    def check(self, shape: Sequence[int]) -> None:
        """Raise `DataError` unless the labels fit a tensor of this shape."""
        shape = items("shape", shape, "a list of sizes")
        if len(self.names) != len(shape):
            raise DataError(f"Labels name {len(self.names)} modes, but the data have {len(shape)}.")
        for name, coord, size in zip(self.names, self.coords, shape, strict=True):
            if coord is not None and coord.shape != (size,):
                raise DataError(
                    f"Labels of mode {name!r} have shape {coord.shape}, but the mode has {size} positions."
                )

    def values(self, mode: int, size: int) -> Array:
        """Return coordinates (size,) of a mode; the positions 0 ... size - 1 where it has none."""
        coord = self.coords[self.number(mode)]
        return np.arange(size) if coord is None else coord

    def title(self, mode: int | str) -> str:
        """Return the name of a mode with its unit, if it has one: "time (ms)"."""
        n = self.number(mode)
        return self.names[n] if self.units[n] is None else f"{self.names[n]} ({self.units[n]})"

    def number(self, mode: int | str) -> int:
        """Return the number of a mode given by number or name; `ParameterError` if there is none."""
        if isinstance(mode, str) and mode in self.names:
            return self.names.index(mode)
        is_whole = isinstance(mode, int | np.integer) and not isinstance(mode, bool)
        if is_whole and 0 <= int(mode) < len(self.names):
            return int(mode)
        raise ParameterError(
            f"Unknown mode {show(mode)}: expected 0 to {len(self.names) - 1}, or one of {', '.join(self.names)}."
        )

    def __eq__(self, other: object) -> bool:
        """Return whether names, coordinates and units are equal."""
        if not isinstance(other, ModeLabels):
            return NotImplemented
        mine, others = ((o.names, o.units, o.data_units) for o in (self, other))
        return mine == others and all(
            (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b))
            for a, b in zip(self.coords, other.coords, strict=True)
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state of a pickle, of an older version without units too."""
        older = {"units": (None,) * len(state["names"]), "data_units": None, "exposure": None}
        vars(self).update(older | state)


def is_unnamed(name: str) -> bool:
    """Return whether this is what gcp or xarray call a mode that nobody named."""
    return re.fullmatch(r"(mode|dim)_\d+", name) is not None


def check_labels(labels: object) -> None:
    """Raise `ParameterError` unless these are labels, or None."""
    if labels is not None:
        instance("labels", labels, ModeLabels, "gcp.ModeLabels")


def whole_numbers(labels: Array) -> Array:
    """Return labels (I_n,), Python's integers as those of 64 bits or, beyond these, as text."""
    if labels.dtype.kind != "O" or not all(type(label) is int for label in labels):
        return labels
    for kind in (np.int64, np.uint64):
        if all(np.iinfo(kind).min <= label <= np.iinfo(kind).max for label in labels):
            return labels.astype(kind)
    return labels.astype(str)


def check_numbers(wanted: Array, known: Array, name: str, what: str, error: type[GcpError]) -> None:
    """Raise if labels (n,) asked for may be others by chance, where the known ones are numbers."""
    if wanted.dtype.kind == "b":
        raise error(
            f"{what}: found truth values as labels of mode {name!r}, whose labels are numbers. Where they mark "
            "positions, give the labels of these."
        )
    if wanted.dtype.kind == "f" and known.dtype.kind in "iu" and (large := np.abs(wanted) >= 2.0**53).any():
        raise error(
            f"{what}: the labels of mode {name!r} are integers, but found floats, such as "
            f"{float(wanted[large][0])!r}, which do not hold all of their digits: read them as integers or as text."
        )


def appended(known: Array, further: Array, name: str) -> Array:
    """Return labels (I,) of a mode and further ones (n,) behind them, of the same type.

    Raises
    ------
    DataError
        Labels of another kind, such as texts beside numbers, or numbers that the type does not hold.
    """
    if not len(further):
        return known
    kinds = [_KINDS.get(labels.dtype.kind, "texts") for labels in (known, further)]
    if kinds[0] == kinds[1] and known.dtype.kind in "iu" and further.dtype.kind in "iuf":
        with np.errstate(invalid="ignore"):
            whole = further.astype(known.dtype)
        is_same = (whole == further) & ((whole >= 0) == (further >= 0))
        if further.dtype.kind == "f":
            is_same &= np.abs(further) < 2.0**53
        if is_same.all():
            return np.concatenate([known, whole])
        further, kinds[1] = further[~is_same], "others"
    if kinds[0] != kinds[1]:
        raise DataError(
            f"The labels of mode {name!r} are {'integers' if known.dtype.kind in 'iu' else kinds[0]} so far, but "
            f"{kinds[1]} in the new data, such as {str(further[0])!r}: convert them."
        )
    return np.concatenate([known, further])


def _unit(given: Any) -> str | None:
    """Return a unit, None for an empty one."""
    if given is not None and not isinstance(given, str):
        raise DataError(f"Labels: a unit must be a text or None: found {show(given)}.")
    return given or None


def _array(coord: Any) -> Array:
    """Return coordinates as an array (I_n,), Python's integers of many bits as objects."""
    found = array("coords", coord, DataError)
    if found.dtype.kind == "f" and isinstance(coord, Sequence) and all(type(label) is int for label in coord):
        return np.array(coord, dtype=object)  # of more bits than NumPy's integers have in common
    return found


def _plain(coord: Array) -> Array:
    """Return labels (I_n,), strings as fixed-width text, so that files need no pickle, other objects as text too."""
    coord = whole_numbers(coord)
    if coord.dtype.kind == "O":
        try:  # a column of Python ints or dates keeps its type
            coord = np.array(coord.tolist())
        except (ValueError, TypeError):
            coord = coord.astype(str)
        if coord.ndim > 1:  # the tuples of an index of several levels
            coord = np.array([", ".join(map(str, label)) for label in coord.tolist()])
        if coord.dtype.kind == "O":
            coord = coord.astype(str)
    return coord.astype(str) if coord.dtype.kind == "T" else coord
