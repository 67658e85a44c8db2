"""Orders of modes and positions that do not depend on how they stand in the data."""

from __future__ import annotations

import numpy as np

from gcp.base.alignment import Alignment
from gcp.base.label_dates import as_dates
from gcp.base.labels import ModeLabels, is_unnamed
from gcp.base.types import Array

_A_DATE = np.array(["2000-01-01"], "M8[D]")


def along(labels: ModeLabels, mode: int, size: int) -> Array:
    """Return the positions (I_mode,) of a mode from the first to the last coordinate.

    Numbers and dates, texts that say such too, are sorted; other texts have no order but the one they stand in.
    """
    coords = labels.values(mode, size)
    if coords.dtype.kind == "U":
        try:
            coords = coords.astype(float)
        except ValueError:
            coords = np.asarray(as_dates(coords, _A_DATE))
    return np.argsort(coords, kind="stable") if coords.dtype.kind in "biufmM" else np.arange(size)


def by_label(labels: ModeLabels, shape: tuple[int, ...]) -> Alignment:
    """Return the tensor's modes by name and its positions by label, so that what is drawn in this order is the same
    whatever the order of the data.
    """
    names = labels.names
    modes = list(range(len(shape)))
    if not any(map(is_unnamed, names)):
        modes.sort(key=lambda n: names[n])
    positions = [None if (c := labels.coords[n]) is None else np.argsort(c, kind="stable") for n in modes]
    stands = [p is None or np.array_equal(p, np.arange(len(p))) for p in positions]
    return Alignment(
        tuple(modes), tuple(None if stand else p for p, stand in zip(positions, stands, strict=True))
    )


def ranks(order: Alignment, shape: tuple[int, ...]) -> dict[int, Array]:
    """Return, by mode and in the order of modes, the place (I_n,) of each position in such an order."""
    return {
        n: np.arange(shape[n]) if p is None else np.argsort(p)
        for n, p in zip(order.modes, order.positions, strict=True)
        if n is not None
    }
