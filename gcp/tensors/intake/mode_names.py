"""Names for the modes of data that have none."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gcp.base.checks import items, show
from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels, is_unnamed
from gcp.tensors.base import TensorData


def named(tensor: TensorData, modes: Any) -> TensorData:
    """Return a tensor whose modes have these names: itself, if they have; errors as of `labels_named`."""
    labels = labels_named(tensor.labels, tensor.shape, modes)
    if tensor.labels is not None and labels.names == tensor.labels.names:
        return tensor
    found = copy.copy(tensor)
    try:
        found.labels = labels  # type: ignore[misc]
    except AttributeError:
        raise ParameterError(
            f"modes cannot name those of a {type(tensor).__name__}: give it its labels when it is made."
        ) from None
    return found


def labels_named(labels: ModeLabels | None, shape: Sequence[int], modes: Any) -> ModeLabels:
    """Return labels of modes with these names.

    Parameters
    ----------
    labels : ModeLabels or None
        Those that the data of this shape have.
    shape : sequence of int
    modes : sequence of str
        One name for each mode; one that a mode has already must be the same.

    Raises
    ------
    ParameterError
        Anything but N different names.
    DataError
        Data whose modes have other names.
    """
    labels = labels or ModeLabels.default(shape)
    names = items("modes", modes, "a list of one name per mode")
    if strange := [name for name in names if not isinstance(name, str) or not name]:
        raise ParameterError(f"modes must be names, as texts: found {show(strange[0])}.")
    if len(names) != len(shape) or len(set(names)) != len(names):
        raise ParameterError(
            f"modes must be {len(shape)} different names, one per mode: found {show(names)}."
        )
    for n, (own, name) in enumerate(zip(labels.names, names, strict=True)):
        if own != name and not is_unnamed(own):
            raise DataError(
                f"modes calls mode {n} {name!r}, but the data call it {own!r}: leave modes out, or rename the data's."
            )
    return replace(labels, names=tuple(names))
