"""Labels of positions as people read them: dates without a time of day that says nothing, numbers without noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gcp.base.types import Array

_MOST_DIGITS = 17
_CLOSE = 1e-3
"""Change of a number by its text, in the least distance of two of them."""


def label_texts(labels: Array) -> list[str]:
    """Return labels (I_n,) as texts: dates to the unit that tells them all, numbers to the digits that do.

    Parameters
    ----------
    labels : ndarray, shape (I_n,)

    Returns
    -------
    list of str
    """
    labels = np.asarray(labels)
    if labels.dtype.kind == "M":
        is_coarse = np.datetime_data(labels.dtype)[0] in ("Y", "M")
        return [str(text) for text in np.datetime_as_string(labels, unit=None if is_coarse else "auto")]
    if labels.dtype.kind == "f":
        return _numbers(labels.astype(float))
    if labels.dtype.kind == "S":
        return [label.decode(errors="replace") for label in labels.tolist()]
    return [str(label) for label in labels.tolist()]


def _numbers(values: Array) -> list[str]:
    """Return numbers (I_n,) with as few digits as all of them need to be told apart, and to be near what they are."""
    finite = np.unique(values[np.isfinite(values)])
    if (finite == np.round(finite)).all() and np.abs(finite).max(initial=0.0) < 1e15:
        return [f"{value:.0f}" for value in values.tolist()]
    gaps = np.diff(finite)
    allowed = _CLOSE * float(gaps.min()) if gaps.size else 1e-6 * float(np.abs(finite).max(initial=0.0))
    for digits in range(3, _MOST_DIGITS):
        near = np.array([float(f"{value:.{digits}g}") for value in finite])
        if near.size == np.unique(near).size and (np.abs(near - finite) <= allowed).all():
            break
    else:
        digits = _MOST_DIGITS
    return [f"{value:.{digits}g}" for value in values.tolist()]


def shortened(names: list[str], longest: int = 24) -> list[str]:
    """Return names of at most so many characters, cut where they are alike, so that different ones stay different.

    Parameters
    ----------
    names : list of str
    longest : int
        Characters.

    Returns
    -------
    list of str
        Cut at the end, else in the middle, else at the beginning; names that differ in none of these are numbered.
    """
    if all(len(name) <= longest for name in names):
        return names
    cuts: tuple[Callable[[str], str], ...] = (
        lambda name: name[: longest - 1].rstrip() + "…",
        lambda name: name[: longest // 2].rstrip() + "…" + name[longest // 2 + 1 - longest :].lstrip(),
        lambda name: "…" + name[1 - longest :].lstrip(),
    )
    for cut in cuts:
        found = [name if len(name) <= longest else cut(name) for name in names]
        if len(set(found)) == len(set(names)):
            return found
    room = longest - len(str(len(names))) - 2
    return [name if len(name) <= longest else f"{name[:room].rstrip()}… {k}" for k, name in enumerate(names)]
