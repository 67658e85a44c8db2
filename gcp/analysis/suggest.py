"""Which loss do the data call for?"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gcp._typing import FloatArray
from gcp.analysis.dispersion import dispersion_test
from gcp.analysis.likelihood import n_parameters
from gcp.cells import known_cells
from gcp.errors import DomainError
from gcp.fit import fit_in_series
from gcp.losses.beta_divergence import BetaDivergence
from gcp.losses.registry import available_losses, get_loss
from gcp.objectives.survey import survey
from gcp.tensors.coerce import in_one_piece
from gcp.tensors.sparse import SparseTensor

_GROUPS = 20
_RAYLEIGH = np.sqrt(4 / np.pi - 1)
"""Standard deviation of the Rayleigh distribution, in means."""

_FEW = 20
"""Cells for each parameter of the rough model, below which its residuals say little."""

_HEAVY = 6.0
"""Kurtosis of residuals (3 for the normal distribution) from which a Gaussian loss follows its outliers."""


class Suggestion(NamedTuple):
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


class LossSuggestions(NamedTuple):
    """What `suggest_loss` found.

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


def suggest_loss(
    data: Any,
    rank: int = 3,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    random_state: int = 0,
) -> LossSuggestions:
    """Say which losses the data admit, which of them their variation supports, and why.

    Parameters
    ----------
    data, mask, entry_weights
        As for `fit_gcp`.
    rank : int
        Components of the rough model that separates expectations from variation.
    random_state : int
        Decides its start.

    Returns
    -------
    LossSuggestions

    Notes
    -----
    A rough model is fitted (beta-divergence with beta = 1 to data that are nowhere negative, Gaussian to others), and
    the mean squared residuals of 20 groups of cells are compared with their mean expectations: the slope between the
    logarithms is the power of the variance. Of counts the Poisson model is tested by `dispersion_test`. A rule of
    thumb: with too few components structure looks like variation.
    """
    tensor = in_one_piece(data, mask, entry_weights)
    refused = {name: _refusal(tensor, name) for name in available_losses()}
    if not refused["bernoulli-logit"]:
        return _binary(tensor, refused)
    if refused["beta-divergence"] and _has_negatives(tensor):
        return _real(tensor, rank, random_state, refused)
    return _nonnegative(tensor, rank, random_state, refused)


def _refusal(tensor: Any, name: str) -> str:
    """Why the data are outside a loss's domain; empty if they are not."""
    try:
        survey(tensor, get_loss(name))
    except DomainError as error:
        return str(error).split(". ")[0].removeprefix(f"The {name} loss ") + "."
    return ""


def _has_negatives(tensor: Any) -> bool:
    return any(
        bool((block.x[slice(None) if block.weights is None else block.weights > 0] < 0).any())
        for block in tensor.blocks()
    )


def _binary(tensor: Any, refused: dict[str, str]) -> LossSuggestions:
    is_sparse = isinstance(tensor, SparseTensor)
    best = "bernoulli-poisson" if is_sparse else "bernoulli-logit"
    reasons = {
        "bernoulli-logit": "0/1 data; components of any sign add up on the log-odds",
        "bernoulli-odds": "0/1 data; nonnegative components add up to odds",
        "bernoulli-poisson": "0/1 data; nonnegative components, and exact and fast on sparse data",
    }
    return _collected(
        best, None, reasons, refused, "0/1 data are no such thing, though they are in its domain"
    )


def _real(tensor: Any, rank: int, seed: int, refused: dict[str, str]) -> LossSuggestions:
    cells, _, residual = _rough(tensor, rank, seed, "gaussian")
    square = np.average(residual**2, weights=cells.w)
    kurtosis = float(np.average(residual**4, weights=cells.w) / square**2) if square > 0 else 3.0
    said = f"residuals have kurtosis {kurtosis:.1f} (3 for the normal distribution)"
    if kurtosis > _HEAVY:
        return _collected("huber", None, {"huber": said + ": outliers should count less"}, refused, said)
    return _collected(
        "gaussian", None, {"gaussian": said}, refused, "there are no outliers to be robust against"
    )


def _nonnegative(tensor: Any, rank: int, seed: int, refused: dict[str, str]) -> LossSuggestions:
    cells, mean, residual = _rough(tensor, rank, seed, BetaDivergence(beta=1.0))
    power, spread = _power(mean, residual, cells.w)
    said = f"the variance grows like the mean to the power {power:.1f}"
    if not refused["poisson"]:
        rough = _quiet(tensor, rank, seed, "poisson")
        if len(cells.x) < _FEW * n_parameters(rough):
            reason = f"counts; {len(cells.x):,} cells are too few to tell extra variation from structure"
            return _collected(
                "poisson", power, dict.fromkeys(("poisson", "poisson-log"), reason), refused, said
            )
        test = dispersion_test(rough, tensor)
        if test.p_value < 0.01:
            reason = f"counts that vary more than Poisson ones (let the fit estimate r); {said}"
            names = ("negative-binomial", "negative-binomial-logit")
            return _collected(names[0], power, dict.fromkeys(names, reason), refused, said)
        reason = f"counts that vary no more than Poisson ones; {said}"
        return _collected(
            "poisson",
            power,
            dict.fromkeys(("poisson", "poisson-log"), reason),
            refused,
            "Poisson is wide enough",
        )
    if power >= 1.5 and not refused["gamma"]:
        if abs(spread / _RAYLEIGH - 1) < 0.1:
            reason = f"{said}, and the standard deviation is {spread:.2f} of it, as of Rayleigh data (0.52)"
            return _collected("rayleigh", power, {"rayleigh": reason, "gamma": said}, refused, said)
        return _collected("gamma", power, {"gamma": said}, refused, said)
    if power >= 0.5:
        return _collected("beta-divergence", power, {"beta-divergence": said + ": beta = 1"}, refused, said)
    return _collected("gaussian", power, {"gaussian": said}, refused, said)


def _collected(
    best: str, power: float | None, supported: dict[str, str], refused: dict[str, str], otherwise: str
) -> LossSuggestions:
    found = [
        Suggestion(name, not why, name in supported and not why, why or supported.get(name, otherwise))
        for name, why in refused.items()
    ]
    found.sort(key=lambda s: (s.loss != best, not s.supported, not s.admitted, s.loss))
    return LossSuggestions(best, power, found)


def _quiet(tensor: Any, rank: int, seed: int, loss: Any) -> Any:
    return fit_in_series(tensor, rank, loss=loss, n_iter_max=100, tol=1e-6, random_state=seed)


def _rough(tensor: Any, rank: int, seed: int, loss: Any) -> tuple[Any, FloatArray, FloatArray]:
    """Cells, their expectations under a rough model, and residuals."""
    result = _quiet(tensor, rank, seed, loss)
    cells = known_cells(result, tensor)
    mean = result.loss.mean(cells.m)
    return cells, mean, cells.x - mean


def _power(mean: FloatArray, residual: FloatArray, w: FloatArray) -> tuple[float, float]:
    """Slope of log variance in log mean over groups, and the standard deviation in means."""
    keep = mean > 0
    order = np.argsort(mean[keep], kind="stable")
    mean, square, w = mean[keep][order], residual[keep][order] ** 2, w[keep][order]
    share = np.cumsum(w)
    first = np.unique(np.searchsorted(share, share[-1] * np.arange(_GROUPS) / _GROUPS))
    weight = np.add.reduceat(w, first)
    means, variances = (np.add.reduceat(w * a, first) / weight for a in (mean, square))
    good = (means > 0) & (variances > 0)
    if good.sum() < 2 or np.ptp(np.log(means[good])) < 0.1:
        return 0.0, float(np.sqrt(np.sum(w * square) / np.sum(w * mean**2)))
    slope = np.polyfit(np.log(means[good]), np.log(variances[good]), 1)[0]
    return float(slope), float(np.sqrt(np.mean(variances[good] / means[good] ** 2)))
