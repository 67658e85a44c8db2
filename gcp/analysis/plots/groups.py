"""What the caller of a picture says of positions: their groups, and how a mode is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gcp.analysis.plots.axis import KINDS
from gcp.analysis.plots.palette import COLORS, color
from gcp.base.alignment import Side, align
from gcp.base.checks import array, instance, items, show, text
from gcp.base.errors import ParameterError
from gcp.base.label_text import label_texts
from gcp.base.labels import ModeLabels
from gcp.base.named_arrays import labelled
from gcp.base.types import Array

MOST_GROUPED = 3
"""Modes with groups: as many legends stand side by side."""


class PositionGroups(NamedTuple):
    """Groups of the positions of a mode.

    Attributes
    ----------
    names : list of str
    codes : ndarray of int, shape (I_n,)
        The group of each position.
    """

    names: list[str]
    codes: Array

    @property
    def colors(self) -> list[str]:
        """The colours of the positions."""
        return [color(int(code)) for code in self.codes]


def kinds_of(kinds: Any, labels: ModeLabels) -> dict[int, str]:
    """Return how modes are drawn, by number, checked."""
    return {
        n: text(f"kinds[{show(mode)}]", kind, KINDS) for mode, n, kind in _by_mode("kinds", kinds, labels)
    }


def groups_of(hue: Any, labels: ModeLabels, shape: tuple[int, ...]) -> dict[int, PositionGroups]:
    """Return groups of positions by the number of their mode, checked.

    Those of a Series or a DataArray are matched with the mode's labels by name.
    """
    found = {}
    given_modes = _by_mode("hue", hue, labels)
    if len(given_modes) > MOST_GROUPED:
        raise ParameterError(f"hue is for at most {MOST_GROUPED} modes: found {len(given_modes)}.")
    for mode, n, given in given_modes:
        what = f"hue[{show(mode)}]"
        values = _values(what, given, labels, n, shape[n])
        different, codes = np.unique(values, return_inverse=True)
        names = label_texts(different)
        if len(names) > len(COLORS):
            raise ParameterError(
                f"{what} has {len(names)} different labels ({', '.join(names[:3])}, ...): at most {len(COLORS)} can "
                "be told apart by colour."
            )
        found[n] = PositionGroups(names, codes)
    return found


def modes_of(modes: Any, labels: ModeLabels) -> list[int]:
    """Return the numbers of modes, checked; all for None."""
    if modes is None:
        return list(range(len(labels.names)))
    found = [labels.number(mode) for mode in items("modes", modes, "a list of modes")]
    if not found:
        raise ParameterError("modes must be a list of modes: found none.")
    return found


def _by_mode(name: str, given: Any, labels: ModeLabels) -> list[tuple[Any, int, Any]]:
    """Return what is given by mode, with the numbers of the modes."""
    if given is None:
        return []
    mapping = instance(name, given, Mapping, "a dict by mode, such as {'trial': ...}")  # type: ignore[type-abstract]
    return [(mode, labels.number(mode), value) for mode, value in mapping.items()]


def _values(what: str, given: Any, labels: ModeLabels, n: int, size: int) -> Array:
    """Return one label for each position of mode n, shape (size,)."""
    named = labelled(given, what)
    values = array(what, given if named is None else named.values)
    coords = labels.coords[n]
    if named is not None and coords is not None and values.ndim == 1:
        name = [labels.names[n]]
        own = Side(what, ModeLabels(name, [named.labels.coords[0]]), values.shape)
        alignment = align(own, Side("the model", ModeLabels(name, [coords]), (size,)), error=ParameterError)
        values = alignment.of_array(values)
    if values.shape != (size,):
        raise ParameterError(
            f"{what} needs one label for each of {size} positions: found shape {values.shape}."
        )
    return values.astype(str) if values.dtype.kind == "O" else values
