"""What is added to the loss: a ridge, a lasso on the components' weights, a Dirichlet prior of their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gcp.base.types import Factors, FloatArray
from gcp.objectives.penalties import of_components
from gcp.objectives.terms.main_effects import MainEffects


@dataclass(frozen=True)
class Penalty:
    """(strength / 2) * sum of squared entries of all factors, and of main effects in their own strength, and more.

    Parameters
    ----------
    strength : float
        Of the ridge; at least 0, like the others; in units of the loss per squared factor entry.
    effects : MainEffects, optional
        Which columns of the factors are main effects. Those of the first mode that has any count from their mean: so
        the intercept is free.
    effects_strength : float
        As `strength`, for main effects.
    weights_strength : float
        Of (1 / N) * sum of norm**N over the columns of all N factors: of equal models the least is the sum of the
        components' weights (by the inequality of arithmetic and geometric means).
    dirichlet_strength : float
        Of minus the sum of log(entry / column mean): a Dirichlet prior of concentration 1 + strength of each column.
    """

    strength: float
    effects: MainEffects | None = None
    effects_strength: float = 0.0
    weights_strength: float = 0.0
    dirichlet_strength: float = 0.0

    @property
    def is_ridge(self) -> bool:
        """Whether there is nothing but a ridge: quadratic, and apart for each row."""
        return not (self.weights_strength or self.dirichlet_strength)

    @property
    def prefers_balance(self) -> bool:
        """Whether, of equal models, those with equal norms in all modes cost least."""
        return bool(self.strength or self.weights_strength)

    def value(self, factors: Factors) -> float:
        """The penalty."""
        total = sum(self.of_mode(n, a) for n, a in enumerate(factors))
        own = self._components(factors)
        if self.weights_strength:
            total += of_components.weights_value(self.weights_strength, own)
        if self.dirichlet_strength:
            total += of_components.dirichlet_value(self.dirichlet_strength, own)
        return total

    def of_mode(self, mode: int, factor: FloatArray) -> float:
        """One factor's part of the ridge."""
        rank = self.effects.rank if self.effects else factor.shape[1]
        total = 0.5 * float(np.sum(self.strength * np.square(factor[:, :rank], dtype=float)))
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
        if self.is_ridge and not (self.strength or self.effects_strength):
            return value
        for n, (a, g) in enumerate(zip(factors, grad, strict=True)):
            rank = self.effects.rank if self.effects else a.shape[1]
            g[:, :rank] += self.strength * a[:, :rank]
            if self.effects and n in self.effects.modes:
                column = rank + self.effects.modes.index(n)
                g[:, column] += self.effects_strength * (a[:, column] - self.centre(n, a[:, column]))
        own, own_grad = self._components(factors), self._components(grad)
        if self.weights_strength:
            of_components.add_weights_grad(self.weights_strength, own, own_grad)
        if self.dirichlet_strength:
            of_components.add_dirichlet_grad(self.dirichlet_strength, own, own_grad)
        return value + self.value(factors)

    def mean_curvature(self, factors: Factors) -> float:
        """Of a factor's entry, where the penalty has one that does not depend on the entry: ridge and lasso."""
        if not self.weights_strength:
            return self.strength
        own = self._components(factors)
        slopes = np.concatenate([of_components.weights_curvature(a, len(own)) for a in own])
        return self.strength + self.weights_strength * float(slopes.mean()) if slopes.size else self.strength

    def _components(self, factors: Factors) -> Factors:
        """The columns that are components; views."""
        return factors if self.effects is None else [a[:, : self.effects.rank] for a in factors]
