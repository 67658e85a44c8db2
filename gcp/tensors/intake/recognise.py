"""Recognition of arrays: what NumPy would make of others, and of tables with a row for each cell, is no tensor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.base.checks import array, show
from gcp.base.errors import DataError
from gcp.base.types import Array
from gcp.tensors.entries import MOST_MODES

if TYPE_CHECKING:
    import pandas as pd

_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__")
_FEW_COLUMNS = 12
_SAMPLE = 100_000
_SURE = 12.0
"""Repetitions that are expected of columns that are not keys: without one by chance in 1 of 160,000 frames."""

_MODES = re.compile(
    "(id|idx|index|key|code|user|item|movie|film|book|product|customer|store|shop|station|sensor|subject|patient|gene|"
    "neuron|trial|word|document|node|source|target|src|dst|sender|receiver|from|to|origin|destination|row|col|column|"
    "i|j|k|year|month|week|weekday|day|hour|minute|date|time|timestamp)s?"
)
_IDS = re.compile("(id|idx|index|key)s?")
_VALUES = re.compile("(rating|star|score|value|val|count|freq|frequency|weight|amount|quantity)s?|n")
_HINTS = {
    "networkx": " For a graph: gcp.from_frame(networkx.to_pandas_edgelist(graph), modes=['source', 'target'], "
    "unlisted='zero').",
    "polars": " Collect it first, then gcp.from_frame(table, modes=[...], value=...).",
}


def array_of(data: Any) -> Array:
    """Return the array that an object is or offers, of any shape; masked arrays stay masked.

    Parameters
    ----------
    data : array, or list or tuple of numbers, lists and arrays
        Arrays are NumPy's and those of classes with `__array__`, `__array_interface__` or `__dlpack__`. Other
        containers, of which NumPy would take the keys or the length, are none.

    Raises
    ------
    DataError
        Anything else, or an array that cannot be had.
    """
    if isinstance(data, np.ndarray):
        return data
    if isinstance(data, str | os.PathLike):
        raise DataError(
            f"The data are a text, {os.fspath(data)[:80]!r}: to read a file use gcp.read_tensor(path)."
        )
    if (columns := columns_of(data)) is not None:
        raise DataError(_long(data, columns, *_by_names(columns)))
    if callable(getattr(data, "loss_and_mttkrps", None)):
        raise DataError(
            f"The data are a {type(data).__name__}, a kind of tensor: derive its class from "
            "gcp.tensors.base.InOnePiece, which answers what most kinds answer alike."
        )
    if callable(getattr(data, "detach", None)):  # PyTorch refuses to convert what tracks gradients
        data = data.detach().cpu()
    for found in _strangers(data, 0):
        raise DataError(_no_array(found, data))
    if isinstance(data, list | tuple):
        return array("The data", data, DataError)
    try:
        is_read = isinstance(data, range | Number) or _offers(data, _PROTOCOLS)
        return np.asanyarray(data) if is_read else np.from_dlpack(data)  # masked arrays stay masked
    except Exception as error:  # of any kind, from the other library
        raise DataError(f"The data ({type(data).__name__}) cannot be read as an array: {error}") from error


def columns_of(data: Any) -> list[str] | None:
    """Return the names of the columns of a table that is not pandas', such as Polars' or PyArrow's; else None."""
    if _offers(data, ("__dataframe__", "__arrow_c_stream__")):
        for name in ("column_names", "columns"):
            found = getattr(data, name, None)
            if isinstance(found, Iterable) and all(isinstance(one, str) for one in found):
                return list(found)
    return None


def _offers(data: Any, protocols: tuple[str, ...]) -> bool:
    return any(hasattr(type(data), name) for name in protocols)


def _strangers(data: Any, depth: int) -> Iterator[Any]:
    """Yield what is neither number, text nor array, inside lists and tuples."""
    if isinstance(data, list | tuple) and depth < MOST_MODES:
        for item in data:
            if type(item) is not float and type(item) is not int:
                yield from _strangers(item, depth + 1)
        return
    is_named = depth > 0 and (
        data is None or isinstance(data, str | bytes | list | tuple)
    )  # by NumPy's dtype
    is_number = isinstance(data, Number | np.generic | range)
    if not (is_named or is_number or _offers(data, (*_PROTOCOLS, "__dlpack__"))):
        yield data


def _no_array(found: Any, data: Any) -> str:
    if found is data and isinstance(data, dict) and data and all(isinstance(name, str) for name in data):
        names = ", ".join(map(show, list(data)[:3]))
        return (
            f"The data are a dict ({names}), and one tensor is expected: give one of its tensors; fit_gcp takes "
            "several, coupled by modes of the same name."
        )
    kind = type(found)
    root = kind.__module__.partition(".")[0]
    name = kind.__name__ if root == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return (
        f"The data {'are' if found is data else 'hold'} an object of class {name}: expected an array (of NumPy, "
        "or of a class with __array__ or __dlpack__), nested lists of numbers, a sparse or labelled array, or a "
        f"tensor of gcp.{_HINTS.get(root, '')}"
    )


def refuse_long(frame: pd.DataFrame) -> None:
    """Raise `DataError` for a DataFrame of numbers that is a long table and no matrix, with the call to make.

    It is one if its rows have no labels of their own (or repeated ones), and if the names of its columns, or columns
    of whole numbers of which no two rows have the same, say so.
    """
    columns: list[Any] = list(frame.columns)
    if not (2 <= len(columns) <= _FEW_COLUMNS) or frame.columns.name is not None or len(frame) < 2:
        return
    is_labelled = frame.index.name is not None or getattr(frame.index.dtype, "kind", "O") not in "iu"
    if is_labelled and frame.index.is_unique:
        return
    has_names = all(isinstance(name, str) for name in columns)
    if not (has_names or columns == list(range(len(columns)))):
        return  # labels of the second mode
    modes, value = _by_names(columns) if has_names else ([], None)
    if not modes:
        keys = _by_cells(frame)
        modes, value = columns[:keys], columns[keys] if keys else None
    if modes:
        raise DataError(_long(frame, columns, modes, value))


def _by_names(columns: list[str]) -> tuple[list[str], str | None]:
    """Return the columns of labels and of values that the usual names tell, if they do."""
    words = {name: re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", name)[-1].lower() for name in columns}
    values = [name for name in columns if _VALUES.fullmatch(words[name])]
    modes = [name for name in columns if _MODES.fullmatch(words[name])]
    ids = [name for name in modes if _IDS.fullmatch(words[name])]
    is_told = len(ids) >= 2 or (len(modes) >= 2 and values) or (len(columns) == 2 and modes and values)
    if not is_told:
        return [], None
    others = [name for name in columns if name not in modes]
    return ids if len(ids) >= 2 else modes, (values or others)[0] if values or others else None


def _by_cells(frame: pd.DataFrame) -> int:
    """Return how many of the first columns are the subscripts of cells; 0 if none are.

    Unrelated columns of few different numbers would have rows that are alike; keys have none.
    """
    part = frame.iloc[:: -(-len(frame) // _SAMPLE)]
    n, expected, product = len(part), len(part) * (len(part) - 1) / 2, 1
    whole = []
    for name in list(frame.columns)[:-1]:
        numbers = part[name].to_numpy(dtype=np.float64, na_value=np.nan)
        _, counts = np.unique(numbers, return_counts=True)
        is_label = bool(np.all((numbers == np.floor(numbers)) & (numbers >= 0)))
        if not is_label or 2 * len(counts) > n:
            return 0
        whole.append(name)
        expected *= float(np.sum((counts / n) ** 2))
        product *= len(counts)
        is_grid = n == len(frame) == product and n >= 8
        if len(whole) > 1 and (expected > _SURE or is_grid) and not part.duplicated(whole).any():
            return len(whole)
    return 0


def _long(data: Any, columns: list[Any], modes: list[Any], value: Any) -> str:
    listed = ", ".join(map(str, columns[:8])) + (", ..." if len(columns) > 8 else "")
    call = f"modes={modes!r}, value={value!r}" if modes else "modes=[...], value=..."
    return (
        f"The data are a {type(data).__name__} of columns {listed}, as a long table has them, with a row for "
        f"each cell: use gcp.from_frame(table, {call}), and unlisted= if it leaves cells out. A matrix, rows by "
        "columns, is np.asarray(table)."
    )
