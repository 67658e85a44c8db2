"""Cells of a forecast, and draws of their models, a part of the cells at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gcp.base.types import Array, FloatArray
from gcp.losses.trials import OfTrials
from gcp.objectives.autoregression import Autoregression
from gcp.objectives.model import Model

_NUMBERS = 1 << 22
"""Numbers of a block of draws and cells, about."""


class ForecastCells(NamedTuple):
    """Cells of one step ahead, and draws of the arguments of their loss.

    Attributes
    ----------
    step : int
    cells : slice
        Among those of a step, in the order of the other modes.
    m : ndarray, shape (K, n)
        Draws, one where nothing of the rows to come is random.
    loss : Loss or OfTrials
        Of these cells.
    """

    step: int
    cells: slice
    m: FloatArray
    loss: Any


@dataclass(frozen=True)
class ForecastSource:
    """What a forecast draws from.

    Attributes
    ----------
    model : Model
        At the positions to come.
    number : int
        Of the mode.
    process : Autoregression or None
        None where a design gives the rows of `model`.
    rows : ndarray, shape (K, horizon, R), or (K, horizon, R + 1) with main effects of the mode
        Draws of the rows to come.
    columns : CellColumns or None
        Exposures and offsets, as the loss takes them, and trials, shaped like the forecast.
    known : ndarray of bool, shaped like the forecast, or None
        Which cells have an exposure and trials; None is all.
    n_draws, seed : int
    """

    model: Model
    number: int
    process: Autoregression | None
    rows: FloatArray
    columns: Any
    known: Array | None
    n_draws: int
    seed: int

    def blocks(self, rows: FloatArray) -> Iterator[ForecastCells]:
        """Yield all cells, a step and a part of its cells at a time, for draws of rows (K, horizon, R)."""
        model, shape = self.model.with_mean_rows(), list(self.model.shape)
        del shape[self.number]
        n_cells, domain = math.prod(shape), model.loss.model_domain
        at_once = max(1, _NUMBERS // max(len(rows), self.n_draws))
        for first in range(0, n_cells, at_once):
            cells = slice(first, min(first + at_once, n_cells))
            places: Any = list(np.unravel_index(np.arange(cells.start, cells.stop), shape) if shape else ())
            places.insert(self.number, None)
            base, effects = self._others(model, places, cells.stop - cells.start)
            loss = (
                model.loss
                if model.loss.by is None
                else model.loss.at(places[model.labels.number(model.loss.by)])
            )
            for step in range(rows.shape[1]):
                m = rows[:, step, : model.rank] @ base.T + effects
                if rows.shape[2] > model.rank:
                    m += rows[:, step, -1:]
                m = np.clip(m, domain.low, domain.high)
                yield self._with_columns(ForecastCells(step, cells, m, loss))

    def _others(self, model: Model, places: list[Any], n: int) -> tuple[FloatArray, FloatArray]:
        """Return what rows are multiplied by, and what is added: (n, R) and (n,), of the other modes' positions."""
        base = np.tile(model.weights.astype(float), (n, 1))
        effects = np.full(n, float(model.intercept))
        for k, at in enumerate(places):
            if at is not None:
                base *= model.factors[k][at]
                own = model.main_effects.get(model.labels.names[k])
                effects += 0.0 if own is None else own[at]
        return base, effects

    def _with_columns(self, own: ForecastCells) -> ForecastCells:
        """Return cells with their exposures, offsets and trials in the arguments and the loss."""
        if self.columns is None:
            return own

        def part(column: Array) -> Array:
            return self.by_step(column)[own.step, own.cells]

        columns = self.columns.map(part)
        loss = own.loss if columns.trials is None else OfTrials(own.loss, columns.trials)
        return own._replace(m=columns.argument(own.m), loss=loss)

    def by_step(self, values: Array) -> Array:
        """Return an array shaped like the forecast as (horizon, cells of a step)."""
        moved = np.moveaxis(values, self.number, 0)
        return moved.reshape(len(moved), -1)

    def shaped(self, values: Array) -> Array:
        """Return an array (..., horizon, cells of a step) shaped like the forecast, NaN where nothing is known."""
        shape, before = list(self.model.shape), values.shape[:-2]
        horizon = shape.pop(self.number)
        own = np.moveaxis(values.reshape(*before, horizon, *shape), len(before), len(before) + self.number)
        return own if self.known is None else np.where(self.known, own, np.nan)
