"""The columns of a table in a file: modes, values, or the positions of one mode beside each other (wide)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError, ParameterError
from gcp.base.types import Array
from gcp.tensors.carried_columns import CARRIED
from gcp.tensors.entries import MOST_MODES
from gcp.tensors.intake.frames import MISSING_MARKS, numbers_of, tensor_from_table
from gcp.tensors.kinds import Tensor

if TYPE_CHECKING:
    import pandas as pd

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(
    r"X?(1[5-9]|20)[0-9]{2}([^A-Za-z0-9].*|Q[1-4]|M[0-9]{1,2})?|[0-9]{1,2}[./-][0-9]{1,2}[./-]([0-9]{2}){1,2}"
)
_MONTH = re.compile(
    "(jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sep(t(ember)?)?|oct(ober)?|nov(ember)?|"
    "dec(ember)?)([ _-]?[0-9]{2,4})?|mon(day)?|tue(s(day)?)?|wed(nesday)?|thu(rs(day)?)?|fri(day)?|sat(urday)?|"
    "sun(day)?",
    re.IGNORECASE,
)
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}(-[0-9]{2})?")
_ROW_NUMBERS = re.compile(r"(Unnamed: \d+)?")


def tensor_of(
    frame: pd.DataFrame,
    place: Callable[[int], str],
    modes: Sequence[Any] | None = None,
    value: Any = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
    wide: str | None = None,
    header: bool | None = None,
    **carried: Any,
) -> Tensor:
    """Return the tensor of a table, with the defaults for the columns.

    Parameters
    ----------
    frame : pandas.DataFrame
    place : callable
        Names a row in messages, given its position.
    modes, value, unlisted, aggregate, wide
        As in `read_tensor`.
    header
        As in `choose_columns`.
    **carried
        Names of columns by that of what cells carry, e.g. ``exposure="population"``.
    """
    names = without([str(name) for name in frame.columns], carried)
    if wide is not None:
        if carried:
            raise ParameterError(
                f"{next(iter(carried))} cannot be a column of a wide table, whose cells share rows: give it beside "
                "the tensor."
            )
        if value is not None:
            raise ParameterError("value does not apply to a wide table, which has values in many columns.")
        return _wide_tensor(frame, place, wide, modes, unlisted, aggregate)
    chosen, value = choose_columns(names, modes, value, header)
    if modes is None:
        check_fractions(frame, chosen)
    return tensor_from_table(frame, chosen, value, unlisted, aggregate, place, carried)


def without(names: Sequence[str], carried: Mapping[str, Any]) -> list[str]:
    """Return the names of columns but for those of what cells carry, which are neither modes nor values."""
    return [name for name in names if name not in carried.values()]


def choose_columns(
    names: Sequence[str], modes: Sequence[Any] | None, value: Any, header: bool | None = None
) -> tuple[list[str], str]:
    """Return the names of the columns that give the modes, and of that of the values.

    `header` is None where a table has names for certain, and whether one is read from the first line of a text.

    Raises
    ------
    DataError
        Columns without a choice that are called as the positions of a mode are, or as data.
    """
    given = None if modes is None else _as_names(modes)
    rest = [name for name in names if given is None or name not in given]
    if value is None and not rest:
        raise DataError(f"All columns are modes: {list(names)}. A table needs a column of values as well.")
    if value is not None:
        chosen = str(value)
        if given is None and header is not False:
            _refuse_positions([name for name in rest if name != chosen], 1)
    else:
        chosen = "value" if "value" in rest else rest[-1]
        is_doubtful = header is True and given is None
        if header is not False:
            _refuse_positions(rest, 1 if is_doubtful else 2, chosen if is_doubtful else None)
    if given is not None:
        return given, chosen
    found = [name for name in names if name != chosen]
    for name in found:
        if _ROW_NUMBERS.fullmatch(name):
            raise DataError(
                f"Column {list(names).index(name) + 1} has no name (row numbers that pandas wrote?): "
                "name the columns to use with modes=."
            )
    if len(found) > MOST_MODES:
        raise DataError(
            f"{len(found):,} columns beside the values, but a tensor has at most {MOST_MODES} modes. Name those that "
            "are modes with modes=; a table with the positions of a mode as columns is read with wide=."
        )
    return found, chosen


def columns_to_read(
    names: Sequence[str],
    modes: Sequence[Any] | None = None,
    value: Any = None,
    wide: str | None = None,
    **options: Any,
) -> list[str]:
    """Return those of a table's columns that are needed, before any is read: they may be very many.

    Raises
    ------
    DataError
        As `choose_columns`.
    """
    if wide is not None or len(set(names)) < len(names):
        return list(names)
    carried = {name: options[name] for name in CARRIED if name in options}
    chosen, value = choose_columns(without(names, carried), modes, value)
    wanted = {*chosen, value, *carried.values()}
    return [name for name in names if name in wanted] if wanted <= set(names) else list(names)


def _as_names(modes: Sequence[Any]) -> list[str]:
    if isinstance(modes, str) or (hasattr(modes, "__len__") and not len(modes)):
        raise ParameterError(f"modes must be a list of one column name or more: found {modes!r}.")
    return [str(name) for name in checks.items("modes", modes, "a list of column names")]


def _refuse_positions(names: Sequence[str], least: int, headless: str | None = None) -> None:
    """Raise `DataError` if so many columns are called by numbers or dates.

    `headless` is the column of values if the first line might be one of data.
    """
    odd = positions(names)
    if headless in MISSING_MARKS and headless not in odd:
        odd.append(str(headless))
    if len(odd) < least:
        return
    shown = ", ".join(repr(name) for name in odd[:4]) + (", ..." if len(odd) > 4 else "")
    ways = []
    if len(odd) > 1 and (headless is None or len(odd) < len(names)):
        ways.append('if each is a position of one mode, say what that mode is, e.g. wide="year"')
    if headless is not None:
        ways.append("if the table has no header, say header=False, and its columns are called 0, 1, ...")
    ways.append("else name the columns to use with modes= and value=")
    raise DataError(f"Columns are called {shown}: {'; '.join(ways)}.")


def positions(names: Sequence[str]) -> list[str]:
    """Return the names that are numbers or dates, as positions of a mode are called; several months or days too."""
    months = {name for name in names if _MONTH.fullmatch(name)}
    is_year = len(months) > 1
    return [
        name
        for name in names
        if _NUMBER.fullmatch(name) or _DATE.fullmatch(name) or (is_year and name in months)
    ]


def check_fractions(frame: pd.DataFrame, modes: Sequence[str]) -> None:
    """Raise unless modes are labels: two columns of measured numbers, no two alike, are none."""
    found = []
    for name in modes:
        column = frame[name]
        if getattr(column, "dtype", None) is not None and column.dtype.kind == "f" and len(column) > 2:
            numbers = column.to_numpy()
            if column.is_unique and (numbers != np.floor(numbers)).any():
                found.append(name)
    if len(found) > 1:
        raise DataError(
            f"Columns {found[0]!r} and {found[1]!r} hold fractions, another in every row, as values do and labels do "
            "not: name the columns that are modes with modes=, or, if each column is a position of one mode, say "
            "what that mode is with wide=."
        )


def _wide_tensor(
    frame: pd.DataFrame,
    place: Callable[[int], str],
    wide: str,
    modes: Sequence[Any] | None,
    unlisted: str | None,
    aggregate: str | None,
) -> Tensor:
    """Return the tensor of a table with a column for each position of the mode `wide`."""
    import pandas as pd

    own = wide_modes(frame, modes)
    columns = [name for name in frame.columns if name not in own]
    if len(set(columns)) < len(columns):
        repeated = next(name for name in columns if columns.count(name) > 1)
        raise DataError(f"{columns.count(repeated)} columns are called {repeated!r}: rename them.")
    if wide in own or not wide:
        raise ParameterError(
            f"wide={wide!r}: expected a name for the mode whose positions are columns, not {own}."
        )
    n, width = len(frame), len(columns)
    long = frame[own].take(np.tile(np.arange(n), width))
    names = {name: "mode_0" if name == "" else name for name in own}
    long = long.rename(columns=names).reset_index(drop=True)
    labels = pd.Index(_coordinates(columns))
    long[wide] = pd.Categorical.from_codes(np.repeat(np.arange(width), n), categories=labels, ordered=True)  # type: ignore[arg-type]
    numbers = "values of all columns"
    long[numbers] = np.concatenate([numbers_of(frame[name], place) for name in columns])
    return tensor_from_table(
        long,
        [*names.values(), wide],
        numbers,
        unlisted,
        aggregate or ("sum" if unlisted == "zero" else "error"),
        lambda row: f"{place(row % n)}, column {columns[row // n]!r}",
    )


def wide_modes(frame: pd.DataFrame, modes: Sequence[Any] | None) -> list[str]:
    """Return the label columns of a wide table: those asked for, those not called by numbers or dates, or one.

    That one is the first.
    """
    names = list(frame.columns)
    if modes is not None:
        own = _as_names(modes)
        for name in own:
            if name not in names:
                raise ParameterError(f"There is no column {name!r}: the columns are {names}.")
    else:
        odd = set(positions(names))
        is_text = [getattr(frame[name].dtype, "kind", "O") not in "buif" for name in names]
        own = (
            [name for name in names if name not in odd]
            if odd
            else names[: max(1, [*is_text, False].index(False))]
        )
    if not own or len(own) == len(names):
        raise DataError(
            f"The columns are {names[:8]}: name those that are no positions of the wide mode with modes=."
        )
    return own


def _coordinates(names: Sequence[str]) -> Array:
    """Return labels (I_n,) as numbers or days if all are, and lose nothing; else as they stand."""
    texts = [name.strip() for name in names]
    for kind in (int, float):
        try:
            numbers = [kind(text) for text in texts]
        except ValueError:
            continue
        is_plain = all(_NUMBER.fullmatch(t) and not re.match("[+-]?0[0-9]", t) for t in texts)
        if is_plain and len(set(numbers)) == len(numbers):  # "1.1" and "1.10" are two
            return np.array(numbers)
    if all(_ISO_DAY.fullmatch(text) for text in texts):
        try:
            days = np.array(texts, "M8[D]")
        except ValueError:  # no such day
            return np.array(names)
        if len(np.unique(days)) == len(days):  # "2020-01" and "2020-01-01" are two
            return days
    return np.array(names)
