"""Tables as text, one line a row, through PyArrow; and what the first line tells."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from gcp.base import checks
from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.io.long_table import frame_of
from gcp.io.separators import NAMES, separator_named, single, told_separator, utf8
from gcp.io.table_columns import check_fractions, choose_columns, tensor_of, wide_modes, without
from gcp.tensors.carried_columns import CARRIED
from gcp.tensors.kinds import Tensor

if TYPE_CHECKING:
    import pandas as pd

_LEADING_ZERO = rb"(?:^|[^0-9A-Za-z.:-]|%s)[+-]?0[0-9]"
_BLOCK = 2**31 - 1
_EXACT_DIGITS = 15
"""Number of digits that a float can tell apart."""


class CsvText:
    """A table as text.

    Parameters
    ----------
    content : bytes
        UTF-8.
    separator : str
        One character or more. Quotation marks mean nothing beside a separator of several.
    has_header : bool
        Whether the first line that is not empty names the columns; else they are called 0, 1, ...
    decimal : {".", ","}
        What stands before decimals.

    Raises
    ------
    FormatError
        A first line that is not one of several columns.
    """

    def __init__(
        self, content: bytes, separator: str = ",", has_header: bool = True, decimal: str = "."
    ) -> None:
        content, self.delimiter = single(content, separator)
        self.separator, self.decimal, self.is_quoted = separator, decimal, len(separator) == 1
        self.content, self.has_header = content.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n"), has_header
        blank = content[: len(content) - len(self.content)]  # there may be very many
        self.n_blank = blank.count(b"\n") + blank.count(b"\r") - blank.count(b"\r\n")
        try:
            lines: list[tuple[int, list[str]]] = [*islice(self._rows(), 2), (0, []), (0, [])]
        except csv.Error as error:
            raise FormatError(f"line 1: not a table: {error}.") from None
        (line, first), (_, second), *_ = lines
        if not first:
            raise DataError("The table has no rows.")
        self._check(first, second)
        if "\ufffd" in "".join(first) and "\ufffd".encode() not in self.content:
            raise _other_bytes()
        self.names = [name.strip() for name in first] if has_header else [str(k) for k in range(len(first))]
        self.n_columns = len(first)
        if len(self.names) > 2 and not self.names[-1]:
            del self.names[-1]  # lines end with separators
        self.skip = line if has_header else 0
        self.is_empty = not (second if has_header else first)

    def _check(self, first: list[str], second: list[str]) -> None:
        """Raise `FormatError` for a first line that is a comment, or has another separator."""
        line = self.separator.join(first)
        others = {other: name for other, name in NAMES.items() if other not in (self.separator, " ")}
        if line.startswith("#") and len(first) != len(second):
            raise FormatError(
                f"line 1 is a comment, {line[:60]!r}: expected the names of the columns. Remove it."
            )
        if len(first) > 1:
            return
        best = max(others, key=line.count)
        hint = f" They seem to be separated by {others[best]}: separator={best!r}." if best in line else ""
        name = NAMES.get(self.separator, repr(self.separator))
        raise FormatError(
            f"line 1: expected a header of columns separated by {name}, found {line[:60]!r}.{hint}"
        )

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the fields of all lines that are not empty, and the lines' numbers."""
        text = io.TextIOWrapper(io.BytesIO(self.content), "utf-8", "replace", newline="")
        quoting: Any = csv.QUOTE_MINIMAL if self.is_quoted else csv.QUOTE_NONE
        reader = csv.reader(text, delimiter=self.delimiter, quoting=quoting)
        for fields in reader:
            if fields:
                yield reader.line_num, fields

    def line(self, row: int) -> str:
        """Return `line 7`, the line that holds a row."""
        try:
            number, _ = next(islice(self._rows(), row + self.has_header, None))
        except (csv.Error, StopIteration):
            return f"row {row + 1}"
        return f"line {self.n_blank + number}"

    def table(self, texts: Sequence[str] = ()) -> Any:
        """Return the columns as a PyArrow table, of the types they seem to have; or columns `texts` alone, as text.

        Raises
        ------
        FormatError
            Lines of different numbers of fields, or other bytes than text.
        """
        arrow, arrow_csv = import_module("pyarrow"), import_module("pyarrow.csv")
        if self.is_empty:
            raise DataError("The table has no rows.")
        text = arrow.dictionary(arrow.int32(), arrow.string())
        try:
            table = arrow_csv.read_csv(
                arrow.BufferReader(self.content),
                # one block, so that the type of a column follows from all of it
                read_options=arrow_csv.ReadOptions(
                    block_size=min(len(self.content) + 1, _BLOCK),
                    column_names=[*self.names, ""][: self.n_columns],
                    skip_rows=self.skip,
                ),
                parse_options=arrow_csv.ParseOptions(
                    newlines_in_values=self.is_quoted,
                    delimiter=self.delimiter,
                    quote_char='"' if self.is_quoted else False,
                ),
                # "NA" and "None" are labels like any other; numbers are sorted out later
                convert_options=arrow_csv.ConvertOptions(
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,
                    column_types=dict.fromkeys(texts, text),
                    include_columns=list(texts),
                    decimal_point=self.decimal,
                ),
            )
        except arrow.ArrowInvalid as error:
            raise self._blame(str(error)) from None
        if any(arrow.types.is_binary(kind) for kind in table.schema.types):
            raise _other_bytes()
        if texts or len(self.names) == self.n_columns:
            return table
        if table.column(self.n_columns - 1).null_count < len(table):
            raise DataError(f"Column {self.n_columns} has no name: give it one in line 1.")
        return table.select(range(self.n_columns - 1))

    def with_labels(self, table: Any, modes: Sequence[str]) -> Any:
        """Return the table with labels as text where their numbers say less: with leading zeros, or too long."""
        arrow, compute = import_module("pyarrow"), import_module("pyarrow.compute")
        types = {name: table.schema.field(name).type for name in modes if table.column_names.count(name) == 1}
        floats = [name for name, kind in types.items() if arrow.types.is_floating(kind)]
        whole = [name for name, kind in types.items() if arrow.types.is_integer(kind)]
        if not re.search(_LEADING_ZERO % re.escape(self.delimiter.encode()), self.content):
            whole = []
        if not (floats or whole):
            return table
        texts = self.table([*floats, *whole])
        for name in texts.column_names:
            column = texts[name].unify_dictionaries()
            found = column.chunk(0).dictionary if column.num_chunks else arrow.array([], arrow.string())
            pattern = (
                rf"^\s*[+-]?(0[0-9]|[0-9]{{{_EXACT_DIGITS + 1},}}\s*$)"
                if name in floats
                else r"^\s*[+-]?0[0-9]"
            )
            if compute.any(compute.match_substring_regex(found, pattern)).as_py():
                table = table.set_column(table.column_names.index(name), name, column.cast(arrow.string()))
        return table

    def _blame(self, message: str) -> FormatError:
        """Find the line whose number of fields differs from the header's."""
        width = 0
        try:
            for line, fields in self._rows():
                width = width or len(fields)
                if len(fields) != width:
                    is_open = len(fields) == width + 1 and not fields[-1]
                    end = " (the line ends with a separator)" if is_open else ""
                    return FormatError(
                        f"line {self.n_blank + line}: expected {width} fields, found {len(fields)}{end}."
                    )
        except csv.Error as error:
            message = str(error)
        return FormatError(f"not a table: {message}.")


def _other_bytes() -> FormatError:
    return FormatError(
        'expected UTF-8 text: found other bytes. If it has another encoding, say which, e.g. encoding="latin-1".'
    )


def read(
    file: BinaryIO,
    *,
    separator: str | None = None,
    modes: Sequence[Any] | None = None,
    value: Any = None,
    wide: str | None = None,
    header: bool = True,
    decimal: str = ".",
    encoding: str | None = None,
    **options: Any,
) -> Tensor:
    """Return the tensor of a table as text; options as in `read_tensor`.

    Without a separator it is found from the first lines, or asked for.
    """
    content = utf8(file.read(), encoding)
    separator = told_separator(content) if separator is None else separator_named(separator)
    if checks.text("decimal", decimal, (".", ",")) == separator:
        raise ParameterError(
            f"decimal and separator are both {decimal!r}: say what separates columns, e.g. ';'."
        )
    lines = CsvText(content, separator, header, decimal)
    chosen, carried = modes, {name: options[name] for name in CARRIED if name in options}
    if wide is None:  # before anything is read: the columns may be very many
        chosen, value = choose_columns(without(lines.names, carried), modes, value, header)
    table = lines.table()
    if wide is not None:
        chosen = wide_modes(frame_of(table.slice(0, 1000)), modes)
    table = lines.with_labels(table, [name for name in chosen or () if name in table.column_names])
    frame = frame_of(table)
    if modes is None and wide is None:
        check_fractions(frame, chosen or ())
    if decimal == ",":
        names = (
            [value, *carried.values()]
            if wide is None
            else [name for name in frame.columns if name not in (chosen or ())]
        )
        for name in names:
            if list(frame.columns).count(name) == 1:
                frame[name] = _with_points(frame[name], lines.line)
    return tensor_of(frame, lines.line, chosen, value, wide=wide, **options)


def _with_points(column: pd.Series[Any], place: Callable[[int], str]) -> pd.Series[Any]:
    """Return numbers as they are, and as text with points for commas (beside marks such as NA).

    Raises
    ------
    DataError
        A point, which may stand between thousands.
    """
    if getattr(column.dtype, "kind", "O") not in "OUT":
        return column
    texts = column.astype(object).map(lambda one: one if isinstance(one, str) else None)
    is_bad = [one is not None and "." in one and any(c.isdigit() for c in one) for one in texts]
    if any(is_bad):
        row = is_bad.index(True)
        raise DataError(
            f"Column {column.name!r} should hold numbers with decimal commas: found {texts.iloc[row]!r} in "
            f"{place(row)}. If points stand before decimals, leave out decimal=','."
        )
    return texts.map(lambda one: None if one is None else one.replace(",", "."))
