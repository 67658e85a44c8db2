"""Intervals of a model's weights and factors: what their kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gcp.base import checks
from gcp.base.labels import ModeLabels
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray

if TYPE_CHECKING:
    import pandas as pd

Interval = tuple[FloatArray, FloatArray]
"""Low and high ends."""

Intervals = tuple[Interval, list[Interval]]
"""Intervals of the weights, and of each factor."""


class ErrorBars(NamedTuple):
    """Numbers (n,) or (I_n, R) with standard errors and intervals."""

    value: FloatArray
    error: FloatArray
    interval: Interval


class Estimates(TableResult, ABC):
    """Estimates of a model's weights and factors with standard errors: what pictures take for error bars."""

    @abstractmethod
    def interval(self, level: float = 0.95) -> Intervals:
        """Return intervals (low, high) of the weights, and of each factor, in the order of the model."""

    @abstractmethod
    def _labels(self) -> ModeLabels:
        """Return names and labels of the model's modes."""

    @abstractmethod
    def _of_components(self, level: float) -> tuple[ErrorBars, list[ErrorBars]]:
        """Return the weights (R,), and the factors (I_n, R)."""

    def _of_main_effects(self, level: float) -> Iterator[tuple[str, ErrorBars]]:
        """Yield main effects (I_n,) by the mode's name, and the intercept (1,) under no name."""
        return iter(())

    def _of_loss(self, level: float) -> Iterator[tuple[str, str, ErrorBars]]:
        """Yield names of parameters of the loss, those of the modes whose positions have them or "", and numbers."""
        return iter(())

    def to_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Return a pandas DataFrame with a row for every number of the model.

        Its columns are estimate, standard_error, low and high; its index says which number it is: parameter (weight,
        factor, main effect, intercept, or one of the loss by its name), mode, position (the label) and component.

        Parameters
        ----------
        level : float
            Probability that an interval holds the truth, between 0 and 1.
        """
        return self._of_level(level).to_frame()

    def _table(self) -> Table:
        return self._of_level(0.95)

    def _of_level(self, level: float) -> Table:
        (weights, factors), labels = self._of_components(level), self._labels()
        rank = len(weights.value)
        components = np.arange(rank).astype(object)
        blocks = [_block("weight", "", np.full(rank, "", object), components, weights)]
        for n, (name, factor) in enumerate(zip(labels.names, factors, strict=True)):
            size = len(factor.value)
            positions = np.repeat(labels.values(n, size).astype(object), rank)
            blocks.append(_block("factor", name, positions, np.tile(components, size), factor))
        for name, effect in self._of_main_effects(level):
            size = len(effect.value)
            nothing = np.full(size, "", object)
            positions = labels.values(labels.number(name), size).astype(object) if name else nothing
            blocks.append(_block("main effect" if name else "intercept", name, positions, nothing, effect))
        for parameter, name, bars in self._of_loss(level):
            size, none = len(bars.value), np.full(len(bars.value), "", object)
            own = labels.values(labels.number(name), size).astype(object) if name else none
            blocks.append(_block(parameter, name, own, none, bars))
        columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
        index = dict(zip(("parameter", "mode", "position", "component"), columns[:4], strict=True))
        names = ("estimate", "standard_error", "low", "high")
        return Table(dict(zip(names, columns[4:], strict=True)), index)


def _block(parameter: str, mode: str, positions: Array, components: Array, of: ErrorBars) -> list[Any]:
    """Return columns (numbers,) of a table: which numbers they are, and what is known of them."""
    size = of.value.size
    names = [np.full(size, parameter, object), np.full(size, mode, object)]
    numbers = [np.ravel(column) for column in (of.value, of.error, *of.interval)]
    return [*names, positions, components, *numbers]


def quantile(level: float) -> float:
    """Return the standard normal errors of an interval to each side; `ParameterError` unless 0 < level < 1."""
    from scipy.special import ndtri

    return float(ndtri((1 + checks.real("level", level, above=0, below=1)) / 2))
