"""Columns of a table that give modes: the position of each row, and the labels of all positions."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gcp.base.alignment import places_among
from gcp.base.checks import show
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels, whole_numbers
from gcp.base.types import Array

if TYPE_CHECKING:
    import pandas as pd

Place = Callable[[int], str]

_MOST_PERIODS = 10**8


class ModeColumn(NamedTuple):
    """A column that gives a mode.

    Attributes
    ----------
    name : hashable
        Of the column.
    positions : ndarray or None, shape (I_n,)
        The labels of the mode, in order; None takes those of the column.
    grouper : pandas.Grouper or None
        Periods that the column's times are gathered in.
    """

    name: Hashable
    positions: Array | None = None
    grouper: Any = None

    def coded(self, table: pd.DataFrame, place: Place) -> tuple[Array, Array]:
        """Return the positions of rows (rows,), and the labels (I_n,).

        Raises
        ------
        DataError
            Rows without a label, and labels that are not among the positions or cannot be told apart; `place` names a
            row.
        """
        column = table[self.name]
        codes, levels = _coded(column) if self.grouper is None else _periods(column, self.grouper)
        if (codes < 0).any():
            raise DataError(
                f"Column {self.name!r} has no label in {places(codes < 0, place)}. Fill in or drop these rows."
            )
        labels = _labels(levels, f"column {self.name!r}")
        return (codes, labels) if self.positions is None else self._among_positions(codes, labels, place)

    def _among_positions(self, codes: Array, labels: Array, place: Place) -> tuple[Array, Array]:
        """Return positions of rows (rows,) and labels as given, from codes (rows,) of labels (I,)."""
        positions: Any = self.positions
        found = places_among(labels, positions)[codes]
        if (found < 0).any():
            strange = labels[codes[np.flatnonzero(found < 0)[0]]]
            begin = "begin" if len(positions) > 3 else "are"
            first = ", ".join(repr(str(label)) for label in positions[:3])
            raise DataError(
                f"Column {self.name!r} has the label {str(strange)!r} in {places(found < 0, place)}, which is not "
                f"among the {len(positions):,} positions given for it: these {begin} {first}. Give all positions, or "
                "drop these rows."
            )
        return found, positions


def mode_columns(
    modes: Sequence[Any], positions: Any, freq: Mapping[Hashable, Any] | None
) -> list[ModeColumn]:
    """Return the columns that give modes.

    Parameters
    ----------
    modes : sequence of column name or pandas.Grouper
    positions, freq
        As in `from_frame`.

    Raises
    ------
    ParameterError
        Positions or periods of other modes, or such as no mode can have.
    """
    import pandas as pd

    groupers = {n: mode for n, mode in enumerate(modes) if isinstance(mode, pd.Grouper)}
    if nameless := [grouper for grouper in groupers.values() if grouper.key is None]:
        raise ParameterError(f"A pandas.Grouper as a mode needs the key of a column: found {nameless[0]}.")
    names = [groupers[n].key if n in groupers else mode for n, mode in enumerate(modes)]
    for name in names:
        check_name(name)
    periods = _by_mode("freq", {} if freq is None else freq, names)
    for name, value in periods.items():
        try:
            periods[name] = pd.Grouper(key=name, freq=value)
        except ValueError as error:
            raise ParameterError(f"freq of {name!r}: {error}.") from None
    periods |= {grouper.key: grouper for grouper in groupers.values() if grouper.freq is not None}
    given = _given_positions(positions, names)
    return [ModeColumn(name, given.get(name), periods.get(name)) for name in names]


def check_name(name: Any) -> None:
    """Raise `ParameterError` unless this may be the name of a column."""
    if not isinstance(name, Hashable) or isinstance(name, np.void):
        raise ParameterError(f"A column name must be a text or a number: found {show(name)}.")


def _by_mode(what: str, given: Any, names: Sequence[Hashable]) -> dict[Hashable, Any]:
    """Return what is given for some modes, by name."""
    if not isinstance(given, Mapping):
        raise ParameterError(f"{what} must be a dict by mode: found {show(given)}.")
    if foreign := [name for name in given if name not in names]:
        raise ParameterError(f"{what} names {foreign[0]!r}, which is no mode: the modes are {list(names)}.")
    return dict(given)


def _given_positions(positions: Any, names: Sequence[Hashable]) -> dict[Hashable, Array]:
    """Return the labels (I_n,) that are given for some modes, by name."""
    if positions is None:
        return {}
    if isinstance(labels := getattr(positions, "labels", positions), ModeLabels):  # of a result, or a tensor
        of_name = dict(zip(labels.names, labels.coords, strict=True))
        found = {name: of_name[str(name)] for name in names if str(name) in of_name}
        if not found:
            raise ParameterError(
                f"positions has the modes {', '.join(labels.names)}, none of which is in {list(names)}."
            )
    else:
        found = _by_mode("positions", positions, names)
    return {name: _positions(name, given) for name, given in found.items()}


def _positions(name: Hashable, given: Any) -> Array:
    """Return labels (I_n,) as those of a mode, each once."""
    import pandas as pd

    what = f"positions of {name!r}"
    if given is None:
        raise ParameterError(
            f"{what} have no labels there: give them, e.g. positions={{{name!r}: range(10)}}."
        )
    if isinstance(given, str | bytes | Mapping | set | frozenset):
        raise ParameterError(f"{what} must be a list of labels: found {show(given)}.")
    try:
        index = pd.Index(given)
    except (TypeError, ValueError):
        raise ParameterError(f"{what} must be a list of labels: found {show(given)}.") from None
    if index.hasnans or not len(index):
        raise ParameterError(f"{what} must be labels: found {'a missing one' if len(index) else 'none'}.")
    labels = _labels(index, what)
    again = np.flatnonzero(places_among(labels, labels) != np.arange(len(labels)))
    if len(again):
        raise ParameterError(f"{what} hold {str(labels[again[0]])!r} more than once.")
    return labels


def _coded(column: pd.Series[Any]) -> tuple[Array, Any]:
    """Return codes (rows,) and an Index of labels: all categories, or the distinct entries of the column, sorted."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes), column.cat.categories
    try:
        codes, levels = pd.factorize(column, sort=True)
    except TypeError as error:
        raise DataError(f"The labels in column {column.name!r} cannot be sorted: {error}") from None
    if column.dtype == object and any(isinstance(label, tuple | list) for label in levels):
        raise DataError(
            f"Column {column.name!r} has labels of several parts, such as {levels[0]!r}: make them text, or a column "
            "for each part, which is then a mode."
        )
    return codes, levels


def _periods(column: pd.Series[Any], grouper: Any) -> tuple[Array, Any]:
    """Return codes (rows,) and an Index of all periods from the first to the last, also those without a row."""
    import pandas as pd

    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.to_timestamp()
    if not (isinstance(column.dtype, pd.DatetimeTZDtype) or getattr(column.dtype, "kind", "O") in "mM"):
        raise DataError(
            f"Column {column.name!r} has dtype {column.dtype}, but freq needs times: make them such, "
            f"frame[{column.name!r}] = pandas.to_datetime(frame[{column.name!r}])."
        )
    times = pd.DataFrame({column.name: column.reset_index(drop=True)})
    if not len(known := np.flatnonzero(times[column.name].notna())):
        return np.full(len(times), -1), pd.Index([])
    try:
        _check_number(times[column.name], grouper.freq)
        sizes = times.groupby(grouper).size()
    except (MemoryError, OverflowError, ValueError) as error:
        raise DataError(
            f"Column {column.name!r} cannot be put into periods of {grouper.freq}: {error}."
        ) from None
    in_order = known[np.argsort(times[column.name].to_numpy()[known], kind="stable")]
    codes = np.full(len(times), -1)
    codes[in_order] = np.repeat(np.arange(len(sizes)), sizes.to_numpy())
    return codes, sizes.index


def _check_number(times: pd.Series[Any], freq: Any) -> None:
    """Raise `ValueError` for more periods than a mode may have, where they are of one length."""
    import pandas as pd

    if isinstance(freq, pd.offsets.Tick):
        n = (times.max() - times.min()) / pd.Timedelta(freq)
        if n > _MOST_PERIODS:
            raise ValueError(
                f"from the first to the last time there are {n:.2g}, more than {_MOST_PERIODS:.0e}"
            )


def _labels(levels: Any, what: str) -> Array:
    """Return labels (I_n,) of an Index as those of a mode: times without a time of day, in their zone, as dates."""
    import pandas as pd

    if isinstance(levels, pd.DatetimeIndex) and levels.tz is not None:
        local = levels.tz_localize(None)
        levels = local if (local == local.normalize()).all() else levels
    found = exact(np.asarray(levels), what)
    if found.dtype.kind == "M" and np.array_equal(days := found.astype("M8[D]"), found):
        found = days
    return ModeLabels([""], [found]).values(0, len(found))


def exact(labels: Array, where: str) -> Array:
    """Return labels (I_n,), whole numbers as integers of 64 bits or, beyond these, as text.

    Raises
    ------
    DataError
        Floats that have lost digits, as identifiers do that pandas reads beside empty cells; the same label as a
        number and as text, as pandas reads long files, which it takes piece by piece.
    """
    labels = whole_numbers(labels)
    if labels.dtype.kind == "O":
        texts: dict[str, Any] = {}
        for label in labels:
            if (other := texts.setdefault(str(label), label)) is not label:
                raise DataError(
                    f"The labels of {where} hold {other!r} ({type(other).__name__}) and {label!r} "
                    f"({type(label).__name__}), which may be one: make them of one type, e.g. "
                    "frame[name].astype(str)."
                )
    if labels.dtype.kind == "f":
        large = labels[np.abs(labels) >= 2.0**53]
        lost = [
            x for x in large.tolist() if len(repr(x).partition("e")[0].strip("-0.").replace(".", "")) > 15
        ]
        if lost:
            raise DataError(
                f"The labels of {where} are floats of more digits than these hold, such as {lost[0]!r}: identifiers "
                "may have become others. Read them as text or as integers, e.g. pandas.read_csv(path, dtype=str)."
            )
    return labels


def places(bad: Array, place: Callable[[int], str]) -> str:
    """Return the first bad row of a mask (rows,), and how many more there are."""
    rows = np.flatnonzero(bad)
    return place(int(rows[0])) + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
