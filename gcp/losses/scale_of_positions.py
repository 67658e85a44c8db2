"""The scale of a vector of parameters of which each position has one of its loss's kind, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.estimable import Scale


@dataclass(frozen=True)
class ScaleOfPositions(Scale):
    """The scale of one number for each position; a position without a parameter has 1, whose free number is 0.

    Attributes
    ----------
    parts : tuple of (Scale, ndarray of int, shape (k,))
        Scales, and the positions that have theirs.
    """

    parts: tuple[tuple[Scale, Array], ...]

    def free(self, value: Any) -> FloatArray:
        """See `Scale`; shape (I_mode,)."""
        values = np.atleast_1d(np.asarray(value, dtype=float))
        found = np.zeros(len(values))
        for scale, places in self.parts:
            found[places] = scale.free(values[places])
        return found

    def given(self, free: FloatArray) -> Any:
        """See `Scale`; free numbers of shape (I_mode,)."""
        found = np.ones(len(free))
        for scale, places in self.parts:
            found[places] = scale.given(np.asarray(free)[places])
        return float(found[0]) if len(found) == 1 else tuple(found.tolist())

    def limits(self, n: int) -> tuple[FloatArray, FloatArray]:
        """See `Scale`; vectors of shape (I_mode,)."""
        return self._limits(np.zeros(n), lambda scale, own: scale.limits(len(own)))

    def limits_about(self, suggested: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See `Scale`; vectors of shape (I_mode,)."""
        return self._limits(suggested, lambda scale, own: scale.limits_about(own))

    def _limits(
        self, suggested: FloatArray, limits: Callable[[Scale, FloatArray], tuple[FloatArray, FloatArray]]
    ) -> tuple[FloatArray, FloatArray]:
        """Return the limits about suggested free numbers (I_mode,), two vectors of that shape."""
        low, high = np.zeros((2, len(suggested)))
        for scale, places in self.parts:
            low[places], high[places] = limits(scale, suggested[places])
        return low, high
