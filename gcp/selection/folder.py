"""A folder that holds the fits of one search."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from gcp.errors import DataError


def prepare(folder: Path, tensor: Any, settings: list[Any]) -> None:
    """Make the folder, or see that it is of the same data and settings.

    Raises
    ------
    DataError
        If it is not, or cannot be used.
    """
    digest = hashlib.sha256()
    for block in tensor.blocks():
        digest.update(np.ascontiguousarray(block.x).tobytes())
        digest.update(b"" if block.weights is None else np.ascontiguousarray(block.weights).tobytes())
    if hasattr(tensor, "subs"):
        digest.update(np.ascontiguousarray(tensor.subs).tobytes())
    text = json.dumps([list(tensor.shape), digest.hexdigest(), settings], default=str)
    path = folder / "settings.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            part = path.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(path)
        elif path.read_text(encoding="utf-8") != text:
            raise DataError(
                f"{folder}: holds fits of other data or with other arguments; name another folder."
            )
    except OSError as error:
        raise DataError(f"{folder}: cannot be used: {error.strerror or error}.") from error
