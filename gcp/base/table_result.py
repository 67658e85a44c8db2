"""What results have in common: a table, a short text, a small page part, and their fields one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.types import Array

if TYPE_CHECKING:
    import pandas as pd

_MOST_LINES = 12
"""Lines of a text, at most, whatever the size of the result."""

_MOST_ROWS = 20
"""Rows of a table in a page, at most."""

_WIDEST = 40
"""Characters of a label in a text, at most."""

_PADDING = "padding: 0.1em 0.6em"


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, and labels of their rows.

    Attributes
    ----------
    columns : mapping of str or int to ndarray, shapes (n,)
    index : mapping of str to ndarray, shapes (n,)
        Empty if rows are only counted.
    """

    columns: Mapping[Any, Array]
    index: Mapping[str, Array]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(next(chain(self.columns.values(), self.index.values()), ()))

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas DataFrame."""
        try:
            import pandas as pd
        except ImportError:
            raise ParameterError('to_frame needs pandas: pip install "gcp-tensor[tables]".') from None
        index: Any = None
        if len(self.index) == 1:
            ((name, labels),) = self.index.items()
            index = pd.Index(labels, name=name)
        elif self.index:
            index = pd.MultiIndex.from_arrays(list(self.index.values()), names=list(self.index))
        return pd.DataFrame(
            {name: list_or_array(column) for name, column in self.columns.items()}, index=index
        )

    def cells(self, most: int) -> tuple[list[str], list[list[str]], list[bool]]:
        """Return a header, the first rows as texts, and which columns are numbers."""
        counted = {} if self.index else {"": np.arange(len(self))}
        every = [*counted.items(), *self.index.items(), *self.columns.items()]
        is_number = [np.asarray(column).dtype.kind in "iuf" for _, column in every]
        texts = [[shown(value) for value in np.asarray(column)[:most]] for _, column in every]
        rows = [list(row) for row in zip(*texts, strict=True)]
        return [str(name) for name, _ in every], rows, is_number

    def lines(self, most: int, widest: int = _WIDEST) -> list[str]:
        """Return the table as lines of text, at most so many, of columns of at most so many characters."""
        n_rows = len(self) if len(self) < most else most - 2
        header, rows, is_number = self.cells(max(n_rows, 0))
        shortened = [
            [text if len(text) <= widest else f"{text[: widest - 1]}…" for text in row] for row in rows
        ]
        widths = [max(map(len, column)) for column in zip(header, *shortened, strict=True)]
        found = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(row, widths, is_number, strict=True)
            ).rstrip()
            for row in (header, *shortened)
        ]
        return found + ([f"... {len(self) - n_rows:,} more rows"] if n_rows < len(self) else [])

    def html(self) -> str:
        """Return the table as HTML, in the colours of the page."""
        header, rows, is_number = self.cells(_MOST_ROWS)
        sides = ["right" if right else "left" for right in is_number]

        def row(texts: list[str], tag: str, scope: str) -> str:
            cells = zip(texts, sides, strict=True)
            return "".join(
                f'<{tag}{scope} style="text-align: {side}; {_PADDING}">{escape(t)}</{tag}>'
                for t, side in cells
            )

        body = "".join(f"<tr>{row(texts, 'td', '')}</tr>" for texts in rows)
        head = row(header, "th", ' scope="col"')
        more = f"<p>... {len(self) - len(rows):,} more rows</p>" if len(rows) < len(self) else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


class Tabular:
    """What is shown as a few facts and a table."""

    def _facts(self) -> dict[str, Any]:
        """Return what is one number or text, by name."""
        return {}

    def _table(self) -> Table | None:
        """Return the table; None if the facts are all there is."""
        return None

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a pandas DataFrame; of what is but some numbers, one row of them."""
        table = self._table()
        if table is None:
            table = Table({name: np.array([value]) for name, value in self._facts().items()}, {})
        return table.to_frame()

    def __repr__(self) -> str:
        """Return a text of a dozen lines at most."""
        pairs = list(pairs_of(self._facts()))
        width = max((len(name) for name, _ in pairs), default=0)
        lines = [type(self).__name__, *(f"  {name:{width}}  {text}" for name, text in pairs)]
        if (table := self._table()) is not None:
            lines += [f"  {line}" for line in table.lines(_MOST_LINES - len(lines))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return a part of a page, for notebooks."""
        table = self._table()
        return page_part(type(self).__name__, self._facts(), "" if table is None else table.html())


class TableResult(Tabular):
    """A result: a frozen dataclass that unpacks into its fields, and is shown as a table."""

    def _facts(self) -> dict[str, Any]:
        found = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in found.items() if is_fact(value)}

    def __iter__(self) -> Iterator[Any]:
        """Yield the fields in order."""
        return (getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> Any:
        """Return a field by its place."""
        return tuple(self)[index]

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(fields(self))  # type: ignore[arg-type]


def page_part(title: str, facts: Mapping[str, Any], rest: str = "") -> str:
    """Return HTML of a title, of facts by name, and of what follows, which is HTML already."""
    rows = "".join(
        f'<tr><th scope="row" style="text-align: left; {_PADDING}">{escape(name)}</th>'
        f'<td style="text-align: left; {_PADDING}">{escape(text)}</td></tr>'
        for name, text in pairs_of(facts)
    )
    return (
        f"<div><p><strong>{escape(title)}</strong></p>{f'<table>{rows}</table>' if rows else ''}{rest}</div>"
    )


def pairs_of(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and values as texts; what is None or empty is left out."""
    for name, value in facts.items():
        if value is not None and value != "":
            is_long = type(value) is int and abs(value) > 9999
            yield name.replace("_", " "), f"{value:,}" if is_long else shown(value)


def shown(value: Any) -> str:
    """Return a label or number as a text: numbers to 5 or 7 digits, dates as ISO 8601 has them."""
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, unit="auto"))
    if isinstance(value, float | np.floating):
        return f"{value:.7g}" if abs(float(value)) >= 1000 else f"{value:.5g}"
    return " ".join(str(value).split())


def list_or_array(column: Any) -> Any:
    """Return a column (n,) as pandas takes it: arrays of texts as lists, of which it makes its own texts."""
    return (
        column.tolist() if getattr(column, "dtype", None) is not None and column.dtype.kind == "U" else column
    )


def is_fact(value: Any) -> bool:
    """Return whether this is one number, text or truth value."""
    return isinstance(value, str | int | float | np.integer | np.floating | np.bool_)
