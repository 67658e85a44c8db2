"""Tables and JSON on stdout, and checks that a file can be written."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gcp.base.errors import DataError, ParameterError

if TYPE_CHECKING:
    from rich.table import Table

PICTURES = (".png", ".pdf", ".svg")

_MOST_NUMBERS = 12
"""Numbers of one parameter that are shown, at most."""


def print_json(value: Any) -> None:
    """Print one strict JSON object: numbers that JSON lacks (NaN, infinities) become null."""
    print(json.dumps(_strict(value), indent=2, allow_nan=False))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def parameters_in_words(parameters: Mapping[str, Any]) -> str:
    """Return names and values, such as "r=2, thresholds=-1,0.5", of many some; what data set is "automatic"."""
    return ", ".join(f"{name}={_in_words(value)}" for name, value in parameters.items())


def _in_words(value: Any) -> str:
    if isinstance(value, tuple | list):
        words = list(map(_in_words, value))
        return ",".join(words if len(words) <= _MOST_NUMBERS else [*words[:2], "...", words[-1]])
    return "automatic" if value is None else value if isinstance(value, str) else f"{value:g}"


def print_pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are, in two columns."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    _print(table)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], fixed: Sequence[int] = (0,)) -> None:
    """Print a table; the columns `fixed` never wrap."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for n, title in enumerate(header):
        table.add_column(title, no_wrap=n in fixed, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    _print(table)


def _print(table: Table) -> None:
    """Print on stdout; without a terminal 120 columns wide, and never with blanks at the end of a line."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    with console.capture() as captured:
        console.print(table)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    print("\n".join(lines).strip("\n"))


def check_target(option: str, path: str, endings: Sequence[str], others: Iterable[str | None] = ()) -> None:
    """Raise unless a file can be written there: before the work, not after.

    Raises
    ------
    ParameterError
        An ending that is not one of `endings`; one of `others`, files that the command reads, or writes too.
    DataError
        The folder is missing or cannot be written to, or the path is a folder itself.
    """
    target = Path(path)
    if target.suffix.lower() not in endings:
        found = f"the ending {target.suffix!r}" if target.suffix else "no ending"
        raise ParameterError(f"{option} {path}: has {found}; known are {', '.join(endings)}.")
    if other := next((one for one in others if one and Path(one).resolve() == target.resolve()), None):
        raise ParameterError(f"{option} {path}: would overwrite {other}: name another file.")
    if target.is_dir():
        raise DataError(f"{option} {path}: is a folder: expected a file name.")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise DataError(f"{option} {path}: cannot be written: {error.strerror or error}.") from error


def check_picture(option: str, path: str) -> None:
    """Do what `check_target` does, and check that matplotlib is installed."""
    import importlib.util

    check_target(option, path, PICTURES)
    if importlib.util.find_spec("matplotlib") is None:
        raise ParameterError(f'{option} needs matplotlib: pip install "gcp-tensor[plot]".')


def save_picture(
    result: Any, path: str, components: Sequence[int] | None = None, kinds: Mapping[Any, str] | None = None
) -> None:
    """Draw the components of a result into a file."""
    from gcp.analysis.plots.components import components_figure

    save_figure(components_figure(result, components, kinds), path)


def save_figure(figure: Any, path: str) -> None:
    """Write a picture, which appears under its name only when it is complete."""
    from gcp.io.files import replacing, writing

    with writing(Path(path)), replacing(Path(path)) as part:
        figure.savefig(part, format=Path(path).suffix[1:].lower())


def number(value: float) -> str:
    """Return a number for reading: six digits, thousands separated where that is shorter than an exponent."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
    return f"{value:.6g}"
