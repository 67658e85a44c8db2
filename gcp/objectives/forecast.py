"""Forecasts: predictive distributions of the data at positions of a mode that come after those of the fit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.base import checks
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.next_labels import following, in_time
from gcp.base.sizes import check_memory
from gcp.base.table_result import Table, TableResult
from gcp.base.types import Array, FloatArray, RandomSource
from gcp.losses.trials import OfTrials
from gcp.objectives.autoregression import Autoregression
from gcp.objectives.designs.smooth_bases import SmoothBasis
from gcp.objectives.exposed import check_carried, check_offset, exposed
from gcp.objectives.fitted_dispersion import fitted_dispersion
from gcp.objectives.forecast_cells import ForecastCells, ForecastSource
from gcp.objectives.known_cells import check_result
from gcp.objectives.model import Model
from gcp.objectives.new_coordinates import at_coordinates, rows_of_labels
from gcp.objectives.refit_rows import limits_of_fit, with_rows
from gcp.tensors.carried_columns import TITLES, carried_by
from gcp.tensors.dense import DenseTensor
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import as_tensor

if TYPE_CHECKING:
    import pandas as pd


_LARGEST_COUNT = 9e18
"""Mean of counts beyond which they are not drawn: 64 bits do not hold them."""


@dataclass(frozen=True, eq=False, repr=False)
class Forecast(TableResult):
    """Predictive distributions of the data at positions to come.

    Attributes
    ----------
    mean : ndarray, shape (I_0, ..., horizon, ..., I_{N-1})
        Expected data, the steps ahead in the place of the mode; with exposures and trials as they were given. NaN
        where an exposure is 0 or NaN. Under a log link, where rows vary much, a few draws may decide it: the median,
        ``interval(1e-9)``, is steady.
    mode : str
        Name of the mode.
    labels : ModeLabels
        Those of the model, which go on in the mode.
    lags : tuple of tuple of int
        Of the autoregression of each component, and of the mode's main effects after them; empty with a design.
    dispersion : float or None
        Of the loss.
    """

    mean: FloatArray
    mode: str
    labels: ModeLabels
    lags: tuple[tuple[int, ...], ...]
    dispersion: float | None
    _source: ForecastSource

    def interval(self, level: float = 0.9) -> tuple[FloatArray, FloatArray]:
        """Return intervals (low, high) of the data to come, each shaped like `mean`.

        Parameters
        ----------
        level : float
            Probability that a datum lies between its ends, between 0 and 1; half of the rest is beyond each.

        Returns
        -------
        low, high : ndarray
            Quantiles of ``n_draws`` draws of the rows to come and of data of these. Counts are within with at least
            this probability: no whole number divides theirs exactly, and few counts are within more often.
        """
        level = checks.real("level", level, above=0, below=1)
        low, high = np.empty((2, *self._source.by_step(self.mean).shape))
        loss = self._source.model.loss
        are_whole = any(kind.is_discrete for kind in loss.kinds or (loss,))
        method: Any = "inverted_cdf" if are_whole else "weibull"
        for own in self._source.blocks(self._source.rows):
            rng = np.random.default_rng([self._source.seed, own.step, own.cells.start])
            n_times = -(-self._source.n_draws // len(own.m))
            draws = self._drawn(own, rng, n_times)
            ends = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0, method=method)
            low[own.step, own.cells], high[own.step, own.cells] = ends
        return self._source.shaped(low), self._source.shaped(high)

    def sample(self, n: int = 100, random_state: RandomSource | None = None) -> FloatArray:
        """Draw paths of the data to come, whose cells go together: those of one path are of the same rows to come.

        Parameters
        ----------
        n : int
        random_state : int, numpy Generator, RandomState or SeedSequence, or None
            Decides the draws.

        Returns
        -------
        ndarray, shape (n, I_0, ..., horizon, ..., I_{N-1})
        """
        n, source = checks.whole("n", n, most=checks.MOST_REPEATS), self._source
        check_memory(
            f"{n:,} paths of {self.mean.size:,} cells", 8.0 * n * self.mean.size, 2, "Ask for fewer."
        )
        rng, horizon = checks.generator(random_state), source.rows.shape[1]
        rows = source.rows if source.process is None else source.process.draws(n, horizon, rng)
        found = np.empty((n, *source.by_step(self.mean).shape))
        for own in source.blocks(rows):
            found[:, own.step, own.cells] = self._drawn(own, rng, n if source.process is None else 1)
        return source.shaped(found)

    def blocks(self) -> Iterator[tuple[ForecastCells, FloatArray]]:
        """Yield all cells in parts, with draws of data (n, cells) where rows to come are random: for scores."""
        for own in self._source.blocks(self._source.rows):
            rng = np.random.default_rng([self._source.seed, own.step, own.cells.start])
            yield own, self._drawn(own, rng, 1) if len(own.m) > 1 else np.empty((0, own.m.shape[1]))

    def by_step(self, values: Array) -> Array:
        """Return an array shaped like `mean` as (horizon, cells of a step)."""
        return self._source.by_step(values)

    def shaped(self, values: Array) -> Array:
        """Return an array (horizon, cells of a step) shaped like `mean`, NaN where nothing is known."""
        return self._source.shaped(values)

    def to_frame(self, level: float = 0.9) -> pd.DataFrame:
        """Return mean and interval of each cell as a pandas DataFrame, rows by the labels of all modes.

        Parameters
        ----------
        level : float
            As for `interval`.
        """
        return self.table(level).to_frame()

    def table(self, level: float = 0.9) -> Table:
        """Return what `to_frame` has, without pandas."""
        low, high = self.interval(level)
        return self._labelled({"mean": self.mean, "low": low, "high": high})

    def _drawn(self, own: ForecastCells, rng: np.random.Generator, n_times: int) -> FloatArray:
        """Return draws of data (n_times K, cells): so many for each draw of the model."""
        m = np.tile(own.m, (n_times, 1)) if n_times > 1 else own.m
        if isinstance(own.loss, OfTrials):
            return own.loss.sample(m, rng).astype(float)
        drawn: FloatArray = own.loss.sample_dispersed(m, rng, self.dispersion).astype(float)
        return drawn

    def _labelled(self, columns: dict[Any, Array]) -> Table:
        names, shape = self.labels.names, self.mean.shape
        places = np.indices(shape).reshape(len(shape), -1)
        index = {name: self.labels.values(n, shape[n])[places[n]] for n, name in enumerate(names)}
        return Table({name: column.reshape(-1) for name, column in columns.items()}, index)

    def _table(self) -> Table:
        return self._labelled({"mean": self.mean})

    def _facts(self) -> dict[str, Any]:
        steps = self.mean.shape[self._source.number]
        few = "; ".join(" ".join(map(str, own)) or "none" for own in self.lags[:10])
        return {"mode": self.mode, "horizon": steps, "lags": few, "dispersion": self.dispersion}


def forecast(
    result: Any,
    horizon: Any,
    mode: int | str | None = None,
    *,
    lags: Any = None,
    dispersion: float | None = None,
    n_draws: int = 1000,
    random_state: RandomSource | None = None,
    **carried: Unpack[Carried],
) -> Forecast:
    """See `FitResult.forecast`."""
    check_result(result)
    n = mode_that_goes_on(result, "forecast") if mode is None else result.labels.number(mode)
    name = result.labels.names[n]
    n_draws = checks.whole("n_draws", n_draws, least=2, most=checks.MOST_REPEATS)
    seed = checks.seed(random_state)
    if result.loss.by is not None and result.labels.number(result.loss.by) == n:
        raise ParameterError(
            f"forecast: the loss has one {result.loss.parameter_by} for each position of {name!r}, and those to come "
            "have none: fit without by=..., or by another mode."
        )
    process = None
    if n in dict(result.problem.designs):
        if lags is not None:
            raise ParameterError(f"forecast: {name!r} has a design, which says what comes: leave lags out.")
        model = _by_design(result, horizon, n)
        rows = model.factors[n][None]
    else:
        process, labels = _by_regression(result, horizon, n, lags)
        size = 8.0 * n_draws * len(labels) * (result.rank + 1)
        check_memory(f"{n_draws:,} draws of {len(labels):,} steps", size, 4, "Ask for a shorter horizon.")
        rows = process.draws(n_draws, len(labels), np.random.default_rng(seed))
        rows[..., : result.rank][..., result.weights == 0] = 0.0
        effects = rows[..., -1].mean(axis=0) if name in result.main_effects else None
        model = with_rows(result, n, rows[..., : result.rank].mean(axis=0), effects, labels)
    own = fitted_dispersion(result, dispersion)
    columns, known = _columns(model, result.problem.carried, carried)
    source = ForecastSource(model, n, process, rows.astype(float), columns, known, n_draws, seed)
    return Forecast(_mean(source), name, model.labels, () if process is None else process.lags, own, source)


def mode_that_goes_on(model: Model, what: str) -> int:
    """Return the only mode with dates, or the only one with a smooth design."""
    coords, designs = model.labels.coords, dict(model.problem.designs)
    dated = [n for n, own in enumerate(coords) if own is not None and own.dtype.kind == "M"]
    smooth = [n for n in range(len(coords)) if isinstance(designs.get(n), SmoothBasis)]
    for found in (dated, smooth):
        if len(found) == 1:
            return found[0]
    names = ", ".join(model.labels.names)
    raise ParameterError(
        f"{what}: give mode=..., the one that goes on, of {names}: "
        f"{'several have' if dated or smooth else 'none has'} dates or a smooth design."
    )


def _steps(horizon: Any) -> int:
    return checks.whole("horizon", horizon, most=10**6)


def _by_design(result: Model, horizon: Any, n: int) -> Model:
    """Return the model at positions to come of a mode with a design."""
    name, own = result.labels.names[n], result.labels.coords[n]
    if not isinstance(horizon, int | np.integer):
        found = at_coordinates(result, {n: horizon})
        if not found.shape[n]:
            raise ParameterError(
                f"horizon must be a number of steps, or coordinates of {name!r}: found none."
            )
        return found
    _, ordered = in_time(own, result.shape[n], name)
    labels = following(ordered, _steps(horizon), name, own)
    return with_rows(result, n, rows_of_labels(result, n, labels), labels=labels)


def _by_regression(result: Model, horizon: Any, n: int, lags: Any) -> tuple[Autoregression, Array]:
    """Return the autoregression of a mode's rows and main effects, and the labels of the positions to come."""
    name, own = result.labels.names[n], result.labels.coords[n]
    if not isinstance(horizon, int | np.integer):
        raise ParameterError(
            f"forecast: {name!r} has no design, so that horizon is a number of steps, an integer >= 1: found "
            f"{checks.show(horizon)}."
        )
    horizon = _steps(horizon)
    order, ordered = in_time(own, result.shape[n], name)
    labels = following(ordered, horizon, name, own)
    series = result.marked(name, np.asarray(result.factors[n], dtype=float))
    if result.row_bounds:
        low, high = limits_of_fit(result, n)
    else:
        low = np.full(result.rank, 0.0 if result.loss.model_domain.low >= 0 else -np.inf)
        high = np.full(result.rank, np.inf)
    if name in result.main_effects:
        effects = np.asarray(result.main_effects[name], dtype=float)
        series = np.column_stack([series, effects])
        low, high = np.append(low, -np.inf), np.append(high, np.inf)
    return Autoregression.of(series[order], lags, low, high, name), labels


def _columns(model: Model, of_fit: tuple[str, ...], carried: Carried) -> tuple[Any, Array | None]:
    """Return what cells to come carry, as the loss takes it, and which of them are known."""
    given: Any = {name: value for name, value in carried.items() if value is not None}
    if lacking := [name for name in of_fit if name not in given]:
        raise ParameterError(
            f"forecast: the model was fitted with {TITLES[lacking[0]]}: give {lacking[0]}=..., of what comes."
        )
    if not given:
        return None, None
    size = 8.0 * math.prod(model.shape)
    check_memory(f"A forecast of {math.prod(model.shape):,} cells", size, 4)
    plain: Any = as_tensor(DenseTensor(np.zeros(model.shape, np.int64), labels=model.labels), **given)
    check_carried(of_fit, carried_by(plain), ParameterError)
    check_offset(plain, model.loss)
    columns = exposed(plain, model.loss).columns
    known = None if columns.weight is None else np.asarray(columns.weight) > 0
    return columns._replace(weight=None), None if known is None or known.all() else known


def _mean(source: ForecastSource) -> FloatArray:
    """Return the expected data: of losses, at the mean over the draws."""
    shape = source.model.shape
    check_memory(f"A forecast of {math.prod(shape):,} cells", 8.0 * math.prod(shape), 3)
    found = np.empty((shape[source.number], math.prod(shape) // shape[source.number]))
    most = _LARGEST_COUNT if source.model.loss.is_discrete else np.finfo(float).max
    for own in source.blocks(source.rows):
        with np.errstate(all="ignore"):
            each = own.loss.mean(own.m)
        if not (np.abs(each) <= most).all():
            raise ParameterError(
                f"forecast: what is expected {own.step + 1} steps ahead has no end in some draws: rows of the fit "
                "that are far from all others, such as of a day without any event under a log link, make innovations "
                "that large. Fit with l2_reg=..., or give fewer lags or a shorter horizon."
            )
        found[own.step, own.cells] = each.mean(axis=0)
    return source.shaped(found)
