"""Residuals: where a model misses, on a scale that suits the loss."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri

from gcp.analysis.likelihood import dispersion_of
from gcp.base import checks
from gcp.base.types import FloatArray, RandomSource
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses.base import Loss
from gcp.losses.trials import OfTrials, counts
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import check_result, loss_of_entries, matched
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried
from gcp.tensors.intake.coerce import in_one_piece

_KINDS = ("quantile", "deviance", "response")
_LEAST = np.finfo(float).tiny


def residuals(
    result: FitResult,
    data: Any,
    kind: str = "quantile",
    *,
    dispersion: float | None = None,
    random_state: RandomSource | None = None,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> FloatArray:
    """Return residuals at the entries of a tensor.

    Parameters
    ----------
    result : FitResult
    data, mask, entry_weights
        As for `fit_gcp`.
    kind : str
        "quantile": the normal quantile of the datum's probability under the model; of discrete data a random one
        between the probabilities just below and at the datum. If the model is right they are independent standard
        normal, whatever the loss. "deviance": the root of the deviance with the sign of the difference. "response":
        data minus their expectation.
    dispersion : float, optional
        For "quantile" under losses with a free dispersion (Gaussian: variance; gamma: 1 / shape). None is the
        maximum-likelihood estimate on these data.
    random_state : int, numpy Generator, RandomState or SeedSequence, or None
        Draws the randomised ones.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    ndarray
        Shaped like dense data, in their own order, NaN where nothing is known; of an `ObservedTensor` or
        `SparseTensor` one number for each listed entry that mask and weights leave, in the order of `subs`.

    Raises
    ------
    ParameterError
        Unknown kind, or "quantile" for a loss without a distribution.

    References
    ----------
    P. K. Dunn, G. K. Smyth: Randomized quantile residuals, Journal of Computational and Graphical Statistics 5 (1996)
    236-244.
    """
    check_result(result)
    kind, rng = checks.text("kind", kind, _KINDS), checks.generator(random_state, "residuals")
    tensor = in_one_piece(data, mask, entry_weights, **carried)
    dispersion = dispersion_of(result, tensor) if kind == "quantile" and dispersion is None else dispersion
    result, tensor = matched(result, tensor), exposed(tensor, result.loss)
    shape = tensor.values.shape
    known = np.ones(shape, bool) if tensor.entry_weights is None else np.asarray(tensor.entry_weights) > 0
    loss: Loss | OfTrials = loss_of_entries(result, tensor, known)
    columns = getattr(tensor, "columns", None) or EntryColumns(tensor.values)
    own = columns.at(known)
    x, m = own.x.astype(float), own.argument(result.model_values(tensor.subs)[known])
    if own.trials is not None:
        x, loss = counts(x, own.trials), OfTrials(result.loss, own.trials)
    found = np.full(shape, np.nan)
    if kind == "response":
        found[known] = x - loss.mean(m)
    elif kind == "deviance":
        found[known] = np.sign(x - loss.mean(m)) * np.sqrt(loss.deviance(x, m))
    else:
        found[known] = quantile(loss, x, m, dispersion, rng)
    return found


def quantile(
    loss: Loss | OfTrials, x: FloatArray, m: FloatArray, dispersion: float | None, rng: np.random.Generator
) -> FloatArray:
    """Return randomised quantile residuals, elementwise, from the smaller tail, where far ones keep digits."""
    below, above = loss.tails(x, m, dispersion)
    before, rest = loss.strict_tails(x, m, dispersion)
    if (before != below).any():  # single values have a probability
        v = rng.random(np.shape(x))
        below, above = before + v * (below - before), above + (1 - v) * (rest - above)
    small = np.clip(np.minimum(below, above), _LEAST, 0.5)
    return np.where(below < above, 1.0, -1.0) * ndtri(small)
