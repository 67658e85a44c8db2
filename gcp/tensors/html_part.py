"""A tensor as a part of a page, for notebooks."""

from __future__ import annotations

from typing import Any

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.base.table_result import Table, page_part, shown
from gcp.base.types import Array


def html_of(tensor: Any) -> str:
    """Return HTML with what a tensor's text says, and a table of its modes."""
    labels = tensor.labels or ModeLabels.default(tensor.shape)
    columns = {
        "positions": np.array(tensor.shape),
        "labels": np.array(["" if coords is None else _few(coords) for coords in labels.coords], dtype=str),
    }
    table = Table(columns, {"mode": np.array(labels.names, dtype=str)})
    return page_part(repr(tensor), {}, table.html())


def _few(labels: Array) -> str:
    """Return the first labels (I_n,) and the last."""
    if len(labels) <= 5:
        return ", ".join(map(shown, labels))
    return f"{', '.join(map(shown, labels[:3]))}, ..., {shown(labels[-1])}"
