"""What runs on workers: functions of parts, and sums of what they give."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.tensors.base import TensorData
from gcp.tensors.parts.local_engine import FAN, added

Term = tuple[int, int]
"""A sum over parts: how many times eight were added up, and its number among those; parts themselves are (0, k)."""

Contribution = tuple[dict[Term, list[FloatArray]], dict[int, list[Array]]]
"""Terms, arrays that are added over the parts, and by part the rows (I_part, ...) that are its own."""


def n_bytes(arrays: Any) -> int:
    """Return the bytes of all arrays in nested lists and tuples."""
    if isinstance(arrays, np.ndarray):
        return arrays.nbytes
    return sum(n_bytes(item) for item in arrays) if isinstance(arrays, list | tuple) else 0


@lru_cache(maxsize=64)
def _loaded(text: bytes) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return a function and its arguments; the same for the same text, so that formulas are compiled once."""
    function, fixed = pickle.loads(text)
    return function, fixed


def call(text: bytes, part: TensorData, mine: Any) -> Any:
    """Return the value of a function, a text of bytes, of a part and its own arguments."""
    function, fixed = _loaded(text)
    return function(part, *fixed, mine)


def call_total(
    text: bytes, shared: Any, numbers: list[int], sums: list[range], mine: list[Any], *parts: TensorData
) -> Contribution:
    """Return what parts contribute, one after the other; of the groups that are asked for, their sums."""
    function, fixed = _loaded(text)
    terms: dict[Term, list[FloatArray]] = {}
    rows, summed = {}, {k for group in sums for k in group}
    for k, part, own in zip(numbers, parts, mine, strict=True):
        found, alone = function(part, *fixed, shared, own, 1)
        rows[k] = alone
        term = (1, k // FAN) if k in summed else (0, k)
        terms[term] = added(terms[term], found) if term in terms else found
    return terms, rows


def same(arrays: Any) -> Any:
    """Return arrays of any shape as they are."""
    return arrays


def term_of(found: Contribution, term: Term) -> Contribution:
    """Return one of the terms, without rows."""
    return {term: found[0][term]}, {}


def rest_of(found: list[tuple[set[Term], Contribution]]) -> Contribution:
    """Return some terms of several contributions, and all rows."""
    terms: dict[Term, list[FloatArray]] = {}
    rows: dict[int, list[Array]] = {}
    for left, (own, own_rows) in found:
        terms |= {term: own[term] for term in left}
        rows |= own_rows
    return terms, rows


def added_terms(name: Term, terms: list[tuple[Term, Contribution]]) -> Contribution:
    """Return terms added up, as the one of this name."""
    return {name: added_up([found[term] for term, (found, _) in terms])}, {}


def added_up(terms: Sequence[list[FloatArray]]) -> list[FloatArray]:
    """Return terms added up, arrays of one shape each."""
    total = terms[0]
    for more in terms[1:]:
        total = added(total, more)
    return total
