"""What tells one fit from another: digests of data, losses and arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import numpy as np

from gcp.base.errors import ParameterError
from gcp.base.named_arrays import labelled, library_of
from gcp.kernels.shared.columns import CellColumns, EntryColumns
from gcp.losses.base import Loss
from gcp.objectives.designs.base import parts_of_sparse
from gcp.tensors.base import Parts, TensorData

_SAMPLE = 16
"""Data at which a loss is evaluated, to tell it from others of its name."""

LIMITS = ("n_iter_max", "max_seconds")
"""How far a fit goes, which is no part of what it is."""


def of_data(tensor: TensorData, loss: Loss) -> dict[str, Any]:
    """Return digests of all entries and labels, and of the loss by its name and its values.

    A tensor in parts has digests of each part, made where it is, and of the cuts, which decide the last bits of sums.
    """
    found, parts = tensor.map(_of_part, loss), tensor.parts
    data, values = found[0]
    if parts is not None:
        data = _digest(_data_in_parts(tensor, parts, [data for data, _ in found]))
    return {"data": data, "loss": [repr(loss), values]}


def _of_part(tensor: Any, loss: Loss, _: None = None) -> tuple[str, str]:
    return _digest(_data(tensor)), _digest(_values(tensor, loss))


def described(value: Any) -> Any:
    """Return a JSON value that differs if an argument does.

    Raises
    ------
    ParameterError
        Of functions, which cannot be told apart.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return [list(value.shape), _digest(iter([value]))]
    if library_of(value) == "scipy":
        return [type(value).__name__, *(described(part) for part in parts_of_sparse(value))]
    if (own := labelled(value, "an argument")) is not None:
        coords = [None if coord is None else described(coord) for coord in own.labels.coords]
        return [list(own.labels.names), coords, described(np.asarray(own.values))]
    if isinstance(value, dict):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "factors"):
        return [type(value).__name__, described(asdict(value))]
    weights, factors = getattr(value, "weights", None), getattr(value, "factors", None)
    if factors is None:
        raise ParameterError(
            f"With a folder or a checkpoint, no argument may be a {type(value).__name__}: it has no name."
        )
    return [type(value).__name__, described(weights), described(list(factors))]


def of_method(solver: Any, besides: Sequence[str] = (*LIMITS, "tol", "gradient_tol")) -> Any:
    """Return a solver's options without its limits and tolerances: a fit goes on under others."""
    found = described(solver)
    if isinstance(found, list) and isinstance(found[-1], dict):
        found[-1] = {name: value for name, value in found[-1].items() if name not in besides}
    return found


def of_factors(factors: Any, about: str) -> str:
    """Return a digest of the beginning of a run."""
    return _digest(iter([about, *factors]))


def _digest(parts: Iterator[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _data(tensor: Any) -> Iterator[Any]:
    # Blocks are of one type whatever the arithmetic, and the kind says what unlisted cells are.
    yield [type(tensor).__name__, str(tensor.dtype)]
    yield tensor.shape
    for block in tensor.blocks():
        yield block.x
        yield [] if block.weights is None else block.weights
    yield [mode for side in tensor.sides for mode in side]  # in which blocks go through dense data
    if hasattr(tensor, "listing"):  # with missing cells, which `subs` leaves out
        yield tensor.listing.order
        yield tensor.listing.subs
    for weights in getattr(tensor, "mode_weights", None) or ():
        yield [] if weights is None else weights
    columns = getattr(tensor, "columns", None)
    if columns is None:  # a kind of a user's own
        yield from _subs_of_own_kind(tensor)
        columns = EntryColumns(tensor.values)
    for name, column in zip(columns._fields[2:], columns[2:], strict=True):
        if column is not None:
            yield [name]
            yield column
    cells = tensor.zeros or CellColumns()
    for name, vectors in zip(cells._fields[1:], cells[1:], strict=True):
        if vectors is not None:
            yield [name]
            yield from vectors
    yield from _labels(tensor)


def _subs_of_own_kind(tensor: TensorData) -> Iterator[Any]:
    if tensor.is_affine:
        raise ParameterError(
            f"A checkpoint or a folder knows data by what their entries carry: found a {type(tensor).__name__}, a "
            "kind of tensor with scales or offsets. Give it the attribute `columns`, an EntryColumns."
        )
    if tensor.subs is not None:
        yield tensor.subs


def _data_in_parts(tensor: TensorData, parts: Parts, digests: list[str]) -> Iterator[Any]:
    yield tensor.shape
    yield [parts.cuts.mode, *parts.cuts.sizes]
    yield digests
    yield from _labels(tensor)


def _labels(tensor: Any) -> Iterator[Any]:
    if tensor.labels is not None:
        yield tensor.labels.names
        for coord in tensor.labels.coords:
            yield [] if coord is None else coord


def _values(tensor: Any, loss: Loss) -> Iterator[Any]:
    if loss.unknowns or loss.by is not None:
        return
    for block in tensor.blocks():
        x = np.asarray(block.x).reshape(-1)[:_SAMPLE].astype(float)
        for m in (0.1, 0.7, 2.0):
            with np.errstate(all="ignore"):
                yield loss.value(x, m)
        return
