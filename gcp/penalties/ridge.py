"""Ridge: half the sum of squared factor entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp._typing import Factors, FloatArray
from gcp.domain import is_real
from gcp.effects import MainEffects
from gcp.errors import ParameterError


@dataclass(frozen=True)
class Ridge:
    """(strength / 2) * sum of squared entries of all factors, and of main effects in their own strength.

    Parameters
    ----------
    strength : float
        At least 0; in units of the loss per squared factor entry.
    effects : MainEffects, optional
        Which columns of the factors are main effects. Those of the first mode that has any count from their mean: so
        the intercept is free.
    effects_strength : float
        As `strength`, for main effects.
    """

    strength: float
    effects: MainEffects | None = None
    effects_strength: float = 0.0

    def __post_init__(self) -> None:
        for value in (self.strength, self.effects_strength):
            if not (is_real(value) and value >= 0):
                raise ParameterError(f"l2_reg must be a finite number >= 0: found {value!r}.")

    def value(self, factors: Factors) -> float:
        """The penalty."""
        return sum(self.of_mode(n, a) for n, a in enumerate(factors))

    def of_mode(self, mode: int, factor: FloatArray) -> float:
        """One factor's part of the penalty."""
        rank = self.effects.rank if self.effects else factor.shape[1]
        total = 0.5 * self.strength * float(np.sum(np.square(factor[:, :rank], dtype=float)))
        if self.effects and mode in self.effects.modes:
            vector = factor[:, rank + self.effects.modes.index(mode)].astype(float)
            total += (
                0.5 * self.effects_strength * float(np.sum(np.square(vector - self.centre(mode, vector))))
            )
        return total

    def centre(self, mode: int, vector: FloatArray) -> float:
        """From where a mode's main effects count."""
        is_first = self.effects is not None and mode == self.effects.modes[0]
        return float(vector.mean()) if is_first else 0.0

    def add_to(self, value: float, grad: Sequence[FloatArray], factors: Factors) -> float:
        """The value with the penalty; its gradient is added to `grad` in place."""
        if not (self.strength or self.effects_strength):
            return value
        for n, (a, g) in enumerate(zip(factors, grad, strict=True)):
            rank = self.effects.rank if self.effects else a.shape[1]
            g[:, :rank] += self.strength * a[:, :rank]
            if self.effects and n in self.effects.modes:
                column = rank + self.effects.modes.index(n)
                g[:, column] += self.effects_strength * (a[:, column] - self.centre(n, a[:, column]))
        return value + self.value(factors)
