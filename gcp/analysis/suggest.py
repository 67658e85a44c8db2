"""Suggestions of the loss that data call for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.dispersion import dispersion_test, vary_far_more
from gcp.base import checks
from gcp.base.errors import DomainError, ParameterError
from gcp.base.table_result import Table, TableResult
from gcp.base.types import FloatArray
from gcp.fit import fit_in_series
from gcp.losses.base import Loss
from gcp.losses.beta_divergence import BetaDivergence
from gcp.losses.ordinal import Ordinal
from gcp.losses.registry import available_losses, example_loss, get_loss
from gcp.objectives.dimension import n_parameters
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import KnownCells, known_cells
from gcp.objectives.survey import survey
from gcp.result import FitResult
from gcp.solvers.starts.fit_arguments import problem_and_plan
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import stored

_GROUPS = 20
_RANKS = (0, 1, 2, 3, 4, 6, 8, 10, 13, 17, 22, 30)
"""Ranks of the rough models, as far as the caller lets them grow."""

_FEW = 10
"""Cells for each parameter of the main effects, below which their residuals say little."""

_FEWEST = 4
"""Cells for each parameter of models with components, below which their residuals say little."""

_GAIN = 0.03
"""Share of the deviance for each degree of freedom, below which one more step of the rank brings nothing."""

_CALM = 0.7
"""Squared residuals, in those of Poisson counts, below which whole numbers are no counts."""

_OF_SUMS = 1.2
"""Power of the variance from which data with zeros beside amounts are sums of a random number of amounts."""

_MISSED = 10
"""Zeros that counts above 0 would have beside them, from which they were left out."""

_GRADES = 10
"""Categories, at most, that whole numbers are taken for."""

_HEAVY = 6.0
"""Kurtosis of residuals (3 for the normal distribution) from which a Gaussian loss follows its outliers."""


@dataclass(frozen=True, eq=False, repr=False)
class Suggestion(TableResult):
    """A loss, and what speaks for or against it.

    Attributes
    ----------
    loss : str
    admitted : bool
        Whether the data are in its domain.
    supported : bool
        Whether the data also vary as it expects.
    reason : str
    """

    loss: str
    admitted: bool
    supported: bool
    reason: str


@dataclass(frozen=True, eq=False, repr=False)
class LossSuggestions(TableResult):
    """The findings of `suggest_loss`.

    Attributes
    ----------
    best : str
        A loss that the data support.
    power : float or None
        Of the mean to which the variance is proportional: 0 Gaussian, 1 Poisson, 2 gamma. None for data that are
        binary or may be negative.
    suggestions : list of Suggestion
        Of all losses: supported, admitted, others.
    """

    best: str
    power: float | None
    suggestions: list[Suggestion]

    def _table(self) -> Table:
        columns = {
            name: np.array([getattr(one, name) for one in self.suggestions])
            for name in ("admitted", "supported", "reason")
        }
        return Table(columns, {"loss": np.array([one.loss for one in self.suggestions])})


def suggest_loss(
    data: Any,
    rank: int = 10,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
    **carried: Unpack[Carried],
) -> LossSuggestions:
    """Say which losses the data admit, which of them their variation supports, and why.

    Parameters
    ----------
    data, mask, entry_weights
        As for `fit_gcp`.
    rank : int
        Most components of the rough models that separate expectations from variation.
    random_state : int
        Decides its start.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    LossSuggestions

    Notes
    -----
    Rough models are fitted (Poisson to counts, beta-divergence with beta = 1 to other data that are nowhere negative,
    Gaussian to others), of main effects alone and then of more and more components beside them, until these bring
    nothing, or there are fewer than 4 cells for each parameter. Of counts the Poisson model is tested by
    `dispersion_test`; whole numbers that vary less than counts (ratings) are none, and ordered categories if they are
    at most 10. Counts without the zeros that they should have beside them were truncated. Of other data the mean
    squared residuals of 20 groups of cells are compared with their mean expectations: the slope between the
    logarithms is the power of the variance. Gamma, Rayleigh and inverse Gaussian are compared by their likelihood. A
    rule of thumb: structure that no model of this kind has looks like variation.
    """
    rank = checks.whole("rank", rank)
    tensor = stored(in_one_piece(data, mask, entry_weights, **carried))
    if tensor.columns.offset is not None:
        raise ParameterError("suggest_loss knows no offsets, which some losses take only: leave offset out.")
    refused = {name: _refusal(tensor, example_loss(name)) for name in available_losses()}
    if (levels := _levels(tensor)) is not None:
        refused["ordinal"] = _refusal(tensor, levels)
    if not refused["bernoulli-logit"]:
        return _binary(tensor, refused)
    if tensor.columns.exposure is None and refused["beta-divergence"] and _has_negatives(tensor):
        return _real(tensor, rank, random_state, refused)
    return _nonnegative(tensor, rank, random_state, refused)


def _refusal(tensor: Any, loss: Loss) -> str:
    """Return why the data are outside a loss's domain; empty if they are not."""
    try:
        survey(exposed(tensor, loss), loss)
    except ParameterError as error:
        return str(error).split(": ")[0].removeprefix(f"The {loss.name} loss ") + "."
    except DomainError as error:
        return str(error).split(". ")[0].removeprefix(f"The {loss.name} loss ") + "."
    return ""


def _levels(tensor: Any) -> Ordinal | None:
    """Return the ordinal loss of data that are few whole numbers, more than two; None of others."""
    low, high = np.inf, -np.inf
    for block in tensor.blocks():
        x = block.x if block.weights is None else block.x[block.weights > 0]
        if (x != np.round(x)).any():
            return None
        low, high = min(low, x.min(initial=low)), max(high, x.max(initial=high))
        if high - low >= _GRADES:
            return None
    return Ordinal(int(high - low) + 1, first=int(low)) if high - low >= 2 else None


def _has_negatives(tensor: Any) -> bool:
    return any(
        bool((block.x[slice(None) if block.weights is None else block.weights > 0] < 0).any())
        for block in tensor.blocks()
    )


def _binary(tensor: Any, refused: dict[str, str]) -> LossSuggestions:
    best = "bernoulli-poisson" if tensor.zeros is not None else "bernoulli-logit"
    reasons = {
        "bernoulli-logit": "0/1 data; components of any sign add up on the log-odds",
        "bernoulli-odds": "0/1 data; nonnegative components add up to odds",
        "bernoulli-poisson": "0/1 data; nonnegative components, and exact and fast on sparse data",
    }
    return _collected(
        best, None, reasons, refused, "0/1 data are no such thing, though they are in its domain"
    )


def _real(tensor: Any, rank: int, seed: int, refused: dict[str, str]) -> LossSuggestions:
    *_, result = _models(tensor, rank, seed, "gaussian")
    cells, _, residual = _residuals(result, tensor)
    square = np.average(residual**2, weights=cells.w)
    kurtosis = float(np.average(residual**4, weights=cells.w) / square**2) if square > 0 else 3.0
    said = f"residuals have kurtosis {kurtosis:.1f} (3 for the normal distribution)"
    if kurtosis > _HEAVY:
        reasons = dict.fromkeys(("huber", "student-t"), said + ": outliers should count less")
        return _collected("huber", None, reasons, refused, said)
    return _collected(
        "gaussian", None, {"gaussian": said}, refused, "there are no outliers to be robust against"
    )


def _nonnegative(tensor: Any, rank: int, seed: int, refused: dict[str, str]) -> LossSuggestions:
    if not refused["poisson"]:
        return _counts(tensor, rank, seed, refused)
    if tensor.columns.exposure is not None:
        reason = "positive amounts beside an exposure, which no other loss of these takes"
        return _collected("gamma", None, {"gamma": reason}, refused, reason)
    *_, result = _models(tensor, rank, seed, BetaDivergence(beta=1.0))
    cells, mean, residual = _residuals(result, tensor)
    power, error = _power(mean, residual, cells.w)
    said = f"the variance grows like the mean to the power {power:.1f}"
    if power - 2 * error >= 0.5 and power >= 1.5 and not refused["gamma"]:
        return _positive(cells, mean, power, said, refused)
    if power - 2 * error >= 0.5 and power >= _OF_SUMS and refused["gamma"]:
        reason = f"{100 * float(cells.w @ (cells.x == 0)) / cells.w.sum():.0f} % are 0, and {said}"
        return _collected("tweedie", power, {"tweedie": reason, "beta-divergence": said}, refused, said)
    if power - 2 * error >= 0.5:
        return _collected("beta-divergence", power, {"beta-divergence": said + ": beta = 1"}, refused, said)
    return _collected("gaussian", power, {"gaussian": said}, refused, said)


def _positive(
    cells: KnownCells, mean: FloatArray, power: float, said: str, refused: dict[str, str]
) -> LossSuggestions:
    """Choose by likelihood, each at its likeliest dispersion, among losses of data above 0."""
    inside = mean > 0
    x, m, w = cells.x[inside], mean[inside], cells.w[inside]

    def likelihood(name: str) -> float:
        loss = get_loss(name)
        return float(w @ loss.log_likelihood(x, m, loss.estimate_dispersion(x, m, w)))

    of_gamma = likelihood("gamma")
    gains = {name: likelihood(name) - of_gamma for name in ("rayleigh", "inverse-gaussian")}
    best = max(gains, key=lambda name: gains[name])
    if gains[best] <= 0:
        return _collected("gamma", power, {"gamma": said}, refused, said)
    words = {"rayleigh": "Rayleigh", "inverse-gaussian": "inverse Gaussian"}[best]
    reason = f"{said}, and the likelihood of {words} data is larger by {gains[best]:.0f} than of gamma data"
    return _collected(best, power, {best: reason, "gamma": said}, refused, said)


def _truncated(cells: KnownCells, mean: FloatArray) -> str:
    """Return why counts look like those of which zeros were left out; empty if they do not."""
    loss = get_loss("zero-truncated-poisson")
    m = loss.link(np.maximum(mean, 1 + 1e-6))
    expected = loss.mean(m)
    missing = float(cells.w @ np.exp(-m))
    ratio = float(cells.w @ (cells.x - expected) ** 2 / (cells.w @ (expected * (1 + m - expected))))
    if cells.x.min(initial=np.inf) < 1 or missing < _MISSED or not _CALM < ratio < 1 / _CALM:
        return ""
    return (
        f"counts from 1 on; beside them one would expect {missing:,.0f} zeros, which are not among the data"
    )


def _counts(tensor: Any, rank: int, seed: int, refused: dict[str, str]) -> LossSuggestions:
    names = ("poisson", "poisson-log")
    for result in _models(tensor, rank, seed, "poisson"):
        cells, mean, residual = _residuals(result, tensor)
        power = _power(mean, residual, cells.w)[0]
        said = f"the variance grows like the mean to the power {power:.1f}"
        test = None if vary_far_more(result, tensor) else dispersion_test(result, tensor)
        ratio = float(cells.w @ residual**2 / max(cells.w @ mean, 1e-300))
        if reason := _truncated(cells, mean):
            reasons = {"zero-truncated-poisson": reason}
            return _collected("zero-truncated-poisson", power, reasons, refused, said)
        if test is not None and test.statistic < -4 and ratio < _CALM:
            reason = f"whole numbers, but they vary by {ratio:.2f} of what counts would, as ratings do"
            if (levels := _levels(tensor)) is None:
                return _collected("gaussian", power, {"gaussian": reason}, refused, reason)
            reasons = {"ordinal": f"{reason}: {levels!r}", "gaussian": f"{reason}, at equal distances"}
            return _collected("ordinal", power, reasons, refused, reason)
        if result.rank == 0 and len(cells.x) < _FEW * n_parameters(result):
            reason = f"counts; {len(cells.x):,} cells are too few to tell extra variation from structure"
            return _collected("poisson", power, dict.fromkeys(names, reason), refused, said)
        if test is not None and test.p_value >= 0.01:
            break
    if test is None or test.p_value < 0.01:
        reason = f"counts that vary more than Poisson ones (let the fit estimate r); {said}"
        names = ("negative-binomial", "negative-binomial-logit")
        return _collected(names[0], power, dict.fromkeys(names, reason), refused, said)
    reason = f"counts that vary no more than Poisson ones; {said}"
    return _collected("poisson", power, dict.fromkeys(names, reason), refused, "Poisson is wide enough")


def _models(tensor: Any, most: int, seed: int, loss: Any) -> Iterator[FitResult]:
    """Fit main effects, and more and more components, until these bring nothing or cells are too few."""
    last = np.inf
    for rank in _RANKS:
        if rank > most:
            return
        result = _quiet(tensor, rank, seed, loss)
        left = tensor.n_known - n_parameters(result)
        if rank and tensor.n_known < _FEWEST * n_parameters(result):
            return
        yield result
        each = (result.objective - result.saturated_objective) / max(left, 1)
        if each > (1 - _GAIN) * last:
            return
        last = each


def _collected(
    best: str, power: float | None, supported: dict[str, str], refused: dict[str, str], otherwise: str
) -> LossSuggestions:
    found = [
        Suggestion(name, not why, name in supported and not why, why or supported.get(name, otherwise))
        for name, why in refused.items()
    ]
    found.sort(key=lambda s: (s.loss != best, not s.supported, not s.admitted, s.loss))
    return LossSuggestions(best, power, found)


def _quiet(tensor: Any, rank: int, seed: int, loss: Any) -> FitResult:
    options = {"n_iter_max": 100, "tol": 1e-6, "random_state": seed}
    return fit_in_series(*problem_and_plan(tensor, rank, {"loss": loss, "main_effects": True, **options}))


def _residuals(result: FitResult, tensor: Any) -> tuple[KnownCells, FloatArray, FloatArray]:
    """Return cells, and their expectations and residuals, shapes (cells,)."""
    cells = known_cells(result, tensor)
    mean = result.loss.mean(cells.m)
    return cells, mean, cells.x - mean


def _power(mean: FloatArray, residual: FloatArray, w: FloatArray) -> tuple[float, float]:
    """Return the slope of log variance in log mean over groups of cells (n,), and its standard error."""
    keep = mean > 0
    order = np.argsort(mean[keep], kind="stable")
    mean, square, w = mean[keep][order], residual[keep][order] ** 2, w[keep][order]
    share = np.cumsum(w)
    first = np.unique(np.searchsorted(share, share[-1] * np.arange(_GROUPS) / _GROUPS))
    weight = np.add.reduceat(w, first)
    means, variances = (np.add.reduceat(w * a, first) / weight for a in (mean, square))
    good = (means > 0) & (variances > 0)
    spread = np.log(means[good])
    if good.sum() < 3 or np.ptp(spread) == 0:
        return 0.0, np.inf
    (slope, level), away = (
        np.polyfit(spread, np.log(variances[good]), 1),
        np.sum((spread - spread.mean()) ** 2),
    )
    rest = np.log(variances[good]) - slope * spread - level
    return float(slope), float(np.sqrt(np.sum(rest**2) / (len(rest) - 2) / away))
