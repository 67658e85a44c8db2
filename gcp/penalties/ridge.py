"""Ridge: half the sum of squared factor entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp._typing import Factors, FloatArray
from gcp.domain import is_real
from gcp.errors import ParameterError


@dataclass(frozen=True)
class Ridge:
    """(strength / 2) * sum of squared entries of all factors.

    Parameters
    ----------
    strength : float
        At least 0; in units of the loss per squared factor entry.
    """

    strength: float

    def __post_init__(self) -> None:
        if not (is_real(self.strength) and self.strength >= 0):
            raise ParameterError(f"l2_reg must be a finite number >= 0: found {self.strength!r}.")

    def value(self, factors: Factors) -> float:
        """The penalty."""
        return 0.5 * self.strength * sum(float(np.sum(np.square(a, dtype=float))) for a in factors)

    def add_to(self, value: float, grad: Sequence[FloatArray], factors: Factors) -> float:
        """The value with the penalty; its gradient is added to `grad` in place."""
        if not self.strength:
            return value
        for a, g in zip(factors, grad, strict=True):
            g += self.strength * a
        return value + self.value(factors)
