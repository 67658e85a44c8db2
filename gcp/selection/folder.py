"""A folder that holds the fits of one search."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gcp.errors import DataError, ParameterError
from gcp.losses.base import Loss

_SAMPLE = 16
"""Data at which a loss is evaluated, to tell it from others of its name."""


def prepare(folder: Path, tensor: Any, loss: Loss, settings: dict[str, Any], seed: int | None) -> int:
    """Make the folder, or see that it is of the same data and settings; the seed that its fits have.

    Raises
    ------
    DataError
        If it is not, or cannot be used.
    """
    found = {"data": _digest(_data(tensor)), "loss": [repr(loss), _digest(_values(tensor, loss))]} | settings
    path = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            there = json.loads(path.read_text(encoding="utf-8"))
            own = there.pop("seed", None) if isinstance(there, dict) else None
            if there != json.loads(json.dumps(found)) or own is None or seed not in (None, own):
                raise DataError(
                    f"{folder}: holds fits of other data or with other arguments; name another folder."
                )
            return int(own)
        drawn = int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) if seed is None else seed
        part = path.with_suffix(".part")
        part.write_text(json.dumps(found | {"seed": drawn}), encoding="utf-8")
        part.replace(path)
        return drawn
    except ValueError as error:
        raise DataError(f"{path}: is damaged, or no file of select_rank ({error}).") from error
    except OSError as error:
        raise DataError(f"{folder}: cannot be used: {error.strerror or error}.") from error


def described(value: Any) -> Any:
    """A JSON value that differs if an argument does.

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
    if isinstance(value, dict):
        return {str(key): described(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [described(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type) and not hasattr(value, "factors"):
        return [type(value).__name__, described(asdict(value))]
    weights, factors = getattr(value, "weights", None), getattr(value, "factors", None)
    if factors is None:
        raise ParameterError(f"With a folder, no argument may be a {type(value).__name__}: it has no name.")
    return [type(value).__name__, described(weights), described(list(factors))]


def _digest(parts: Iterator[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _data(tensor: Any) -> Iterator[Any]:
    yield tensor.shape
    for block in tensor.blocks():
        yield block.x
        yield [] if block.weights is None else block.weights
    if hasattr(tensor, "subs"):
        yield tensor.subs
    if tensor.labels is not None:
        yield tensor.labels.names
        for coord in tensor.labels.coords:
            yield [] if coord is None else coord


def _values(tensor: Any, loss: Loss) -> Iterator[Any]:
    for block in tensor.blocks():
        x = np.asarray(block.x).reshape(-1)[:_SAMPLE].astype(float)
        for m in (0.1, 0.7, 2.0):
            with np.errstate(all="ignore"):
                yield loss.value(x, m)
        return
