"""The registry of formats: what the files of `gcp.io.formats` list, by ending."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import PurePath

from gcp.base.errors import ParameterError
from gcp.io import formats
from gcp.io.format import Format

_PACKED = ".gz"


@cache
def known() -> dict[str, Format]:
    """Return all formats by ending, in the order of their files' names."""
    found: dict[str, Format] = {}
    for module in sorted(one.name for one in pkgutil.iter_modules(formats.__path__)):
        for form in import_module(f"{formats.__name__}.{module}").FORMATS:
            found |= dict.fromkeys(form.endings, form)
    return found


def endings(takes: Callable[[Format], bool] = lambda form: True) -> str:
    """Return the endings of the formats that fit, as messages list them."""
    return ", ".join(ending for ending, form in known().items() if takes(form))


def format_of(name: str) -> tuple[Format, bool] | None:
    """Return the format of a file name, and whether it is compressed on top; None if the ending is unknown."""
    path = PurePath(name.lower())
    is_packed = path.suffix == _PACKED
    form = known().get(PurePath(path.stem).suffix if is_packed else path.suffix)
    return None if form is None or (is_packed and not form.is_text) else (form, is_packed)


def format_named(name: str) -> tuple[Format, bool]:
    """Return the format that an ending names, with or without its dot: "csv", ".tns.gz".

    Raises
    ------
    ParameterError
        There is none.
    """
    if found := format_of(f"a.{name.removeprefix('.')}"):
        return found
    raise ParameterError(f"format must be one of {endings()} (text also with .gz): found {name!r}.")
