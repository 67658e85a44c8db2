"""Proper scores: how good predictive distributions are, not their means alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import logsumexp

from gcp.base.alignment import Side
from gcp.base.checks import instance
from gcp.base.errors import DataError, DomainError, ParameterError
from gcp.base.table_result import Table, TableResult, shown
from gcp.base.types import Array, FloatArray
from gcp.losses.of_cells import LossOfCells
from gcp.losses.trials import OfTrials
from gcp.objectives.evaluation import evaluate
from gcp.objectives.fitted_dispersion import fitted_dispersion
from gcp.objectives.forecast import Forecast
from gcp.objectives.forecast_cells import ForecastCells
from gcp.objectives.known_cells import known_parts, refuse_several, tensor_of
from gcp.result import FitResult
from gcp.tensors.carried_columns import TITLES, carried_by
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored
from gcp.tensors.rearranged import aligned

_CHUNK = 1 << 14
"""Cells that are scored at a time: those of a wide distribution need many passes."""


@dataclass(frozen=True, eq=False, repr=False)
class ProperScores(TableResult):
    """Scores of predictive distributions on data: less is better, and least in expectation for the true distribution.

    Attributes
    ----------
    cells : int
        Number of known cells.
    logarithmic : float
        Weighted mean of minus the logarithm of the density, or probability, of the data.
    ranked_probability : float
        Weighted mean of the sum over counts k, or the integral (the CRPS), of (P(X <= k) - [x <= k])**2: in the unit
        of the data, of a forecast without spread the absolute error.
    dispersion : float or None
        That was assumed.
    each : Table
        By cell: datum, both scores, weight; ``to_frame()`` has it. Of many zeros of a `SparseTensor` a sample.
    """

    cells: int
    logarithmic: float
    ranked_probability: float
    dispersion: float | None
    each: Table

    def _table(self) -> Table:
        return self.each


class _Scored(NamedTuple):
    """Cells, arrays (n,), and their subscripts (n, N)."""

    subs: Array
    x: FloatArray
    logarithmic: FloatArray
    ranked_probability: FloatArray
    weight: FloatArray


def proper_scores(
    result: FitResult | Forecast,
    data: Any,
    *,
    dispersion: float | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
    **carried: Unpack[Carried],
) -> ProperScores:
    """Return the logarithmic and the ranked probability score of a model, or a forecast, on data.

    Parameters
    ----------
    result : FitResult or Forecast
    data, mask, entry_weights
        As for `fit_gcp`: held-out cells, such as the test part of `gcp.hold_out`; for a forecast what came, of its
        shape, matched by its labels. What is not known yet is missing (NaN).
    dispersion : float, optional
        Of losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is that of the residuals of the
        fit, as `FitResult.forecast` has it, not one of these data. A forecast has its own.
    random_state : int
        Draws cells that stand for the zeros of a `SparseTensor`, if there are more than a million and more than
        listed entries.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them. A
        forecast has its own.

    Returns
    -------
    ProperScores

    Raises
    ------
    DataError, DomainError
        Another shape or other labels, or data outside the loss's domain.
    ParameterError
        A loss without a distribution (quantile, custom losses).

    Notes
    -----
    Of a forecast with random rows the predictive distribution is the mixture over its draws: the logarithmic score is
    of their mean density, the ranked probability score the unbiased estimate from draws of data.

    References
    ----------
    T. Gneiting, A. E. Raftery: Strictly proper scoring rules, prediction, and estimation, Journal of the American
    Statistical Association 102 (2007) 359-378. C. Czado, T. Gneiting, L. Held: Predictive model assessment for count
    data, Biometrics 65 (2009) 1254-1261.
    """
    if isinstance(result, Forecast):
        if dispersion is not None:
            raise ParameterError("The forecast has a dispersion of its own: leave dispersion out.")
        labels, shape, own = result.labels, result.mean.shape, result.dispersion
        parts = list(_of_forecast(result, data, mask, entry_weights, carried))
    else:
        refuse_several(result)
        instance("result", result, FitResult, "the FitResult of a fit, or a Forecast")
        labels, shape, own = result.labels, result.shape, fitted_dispersion(result, dispersion)
        tensor = tensor_of(result, data, mask, entry_weights, **carried)
        evaluate(result, tensor)  # raises of data outside the loss's domain
        parts = list(_of_result(result, tensor, own, random_state))
    if not sum(len(part.x) for part in parts):
        raise DataError("The data have no known cell to score.")
    all_cells = _Scored(*map(np.concatenate, zip(*parts, strict=True)))
    order = np.lexsort(all_cells.subs.T[::-1])
    all_cells = _Scored(*(column[order] for column in all_cells))
    w = all_cells.weight / all_cells.weight.sum()
    columns = {name: getattr(all_cells, name) for name in ("logarithmic", "ranked_probability", "weight")}
    index = {name: labels.values(n, shape[n])[all_cells.subs[:, n]] for n, name in enumerate(labels.names)}
    n_cells = len(w) if isinstance(result, Forecast) else int(tensor.n_known)
    return ProperScores(
        n_cells,
        float(w @ all_cells.logarithmic),
        float(w @ all_cells.ranked_probability),
        own,
        Table({"observed": all_cells.x} | columns, index),
    )


def _of_result(
    result: FitResult, tensor: Any, dispersion: float | None, random_state: int
) -> Iterator[_Scored]:
    """Yield the scores of all known cells, those of like models together, for which sums are of like length."""
    for part in known_parts(result, tensor, random_state):
        order = np.argsort(part.m, kind="stable")
        for first in range(0, len(order), _CHUNK):
            cells = part.at(order[first : first + _CHUNK])
            own, loss = cells.counted(result.loss_at(cells.subs))
            with np.errstate(all="ignore"):
                log = -loss.log_likelihood(own.x, own.m, dispersion)
            ranked = loss.ranked_probability_score(own.x, own.m, dispersion)
            yield _Scored(own.subs, own.x, log, ranked, own.w)


# --- forecasts ------------------------------------------------------------------------------------------------


def _of_forecast(
    forecast: Forecast, data: Any, mask: Any, entry_weights: Any, carried: Carried
) -> Iterator[_Scored]:
    """Yield the scores of what came."""
    x, w = _what_came(forecast, data, mask, entry_weights, carried)
    places = np.arange(x.size).reshape(x.shape)
    x, w, places = (forecast.by_step(values) for values in (x, w, places))
    known = forecast.by_step(np.isfinite(forecast.mean))
    for cells, drawn in forecast.blocks():
        at = cells.step, cells.cells
        keep = (w[at] > 0) & known[at]
        own = x[at]
        _check_domain(cells.loss, own, keep)
        log, ranked = _scores(cells, own, drawn, forecast.dispersion)
        subs = np.column_stack(np.unravel_index(places[at][keep], forecast.mean.shape))
        yield _Scored(subs, own[keep], log[keep], ranked[keep], w[at][keep])


def _what_came(
    forecast: Forecast, data: Any, mask: Any, entry_weights: Any, carried: Carried
) -> tuple[FloatArray, FloatArray]:
    """Return data and weights, 0 where nothing is known, shaped like the forecast."""
    tensor = stored(in_one_piece(data, mask, entry_weights))
    for name in (*carried_by(tensor), *(name for name, value in carried.items() if value is not None)):
        raise DataError(
            f"The forecast has {TITLES[name]} of its own: give the data (of trials: the successes) without."
        )
    shape = forecast.mean.shape
    tensor = aligned(tensor, Side("the forecast", forecast.labels, shape))
    x, w = np.zeros(shape), np.zeros(shape)
    for cells in tensor.known_cells(_CHUNK):
        x[tuple(cells.subs.T)], w[tuple(cells.subs.T)] = cells.x, cells.weights
    return x, w


def _check_domain(loss: Any, x: FloatArray, keep: Array) -> None:
    """Raise `DomainError` unless those of data (n,) that a mask keeps are in the domain of their loss."""
    if isinstance(loss, LossOfCells):
        which = np.broadcast_to(loss.which[loss.positions], x.shape)
        for kind, one in enumerate(loss.losses):
            _check_domain(one, x, keep & (which == kind))
        return
    x = x[keep]
    inside = loss.data_domain.contains(x)
    if not inside.all():
        raise DomainError(
            f"The {loss.name} loss needs data in {loss.data_domain}: found {shown(float(x[~inside][0]))}."
        )
    if isinstance(loss, OfTrials) and (x > np.broadcast_to(loss.trials, keep.shape)[keep]).any():
        raise DomainError(f"More successes than trials: found {shown(float(x.max()))}.")


def _scores(
    cells: ForecastCells, x: FloatArray, drawn: FloatArray, dispersion: float | None
) -> tuple[FloatArray, FloatArray]:
    """Return both scores (n,) of data (n,), whose distribution is the mixture over the draws of their models."""
    with np.errstate(all="ignore"):
        each = cells.loss.log_likelihood(np.broadcast_to(x, cells.m.shape), cells.m, dispersion)
    log = np.log(len(each)) - logsumexp(each, axis=0)
    if not len(drawn):
        return log, cells.loss.ranked_probability_score(x, cells.m[0], dispersion)
    # Half of the mean difference of two draws, from their order: n (n - 1) pairs.
    n = len(drawn)
    ranks = 2 * np.arange(1, n + 1) - n - 1
    spread = ranks @ np.sort(drawn, axis=0) / (n * (n - 1))
    return log, np.abs(drawn - x).mean(axis=0) - spread
