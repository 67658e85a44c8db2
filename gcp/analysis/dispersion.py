"""Overdispersion: whether counts vary more than a Poisson model allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from gcp.analysis.leverage import leverages
from gcp.base.errors import ParameterError
from gcp.base.table_result import TableResult
from gcp.kernels.listed import power_sums
from gcp.losses.poisson import Poisson, PoissonLog
from gcp.objectives.exposed import exposed
from gcp.objectives.known_cells import check_result, known_cells, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried
from gcp.tensors.kinds import Tensor

_NOTHING = 1e-6
"""Share of the variation, below which the model has taken all of it along."""


_FAR = 20.0
"""Statistic, without what the fitted means take along, from which on that need not be known."""


@dataclass(frozen=True, eq=False, repr=False)
class DispersionTest(TableResult):
    """Outcome of `dispersion_test`.

    Attributes
    ----------
    statistic : float
        Sum of (x - mu)**2 - x over the cells, corrected for what the fitted means take along of the counts, in
        standard deviations: about standard normal if the counts are Poisson, large if they vary more.
    p_value : float
        Probability of so large a statistic for Poisson counts.
    r : float
        Negative-binomial r whose variance, mu + mu**2 / r, fits the sum of squares; infinite if the counts vary no
        more than Poisson ones. Large counts decide it; ``NegativeBinomial(r="estimate")`` finds the likeliest, which
        may be far from it.
    advice : str
        A sentence.
    """

    statistic: float
    p_value: float
    r: float
    advice: str


def dispersion_test(
    result: FitResult,
    data: Any,
    *,
    mask: ArrayLike | None = None,
    entry_weights: ArrayLike | None = None,
    **carried: Unpack[Carried],
) -> DispersionTest:
    """Test a Poisson model against extra variation (a score test against the negative binomial).

    Parameters
    ----------
    result : FitResult
        Of the loss "poisson" or "poisson-log".
    data, mask, entry_weights
        As they were for `fit_gcp`. Of a `SparseTensor` under "poisson" all zeros count, by a closed form.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Notes
    -----
    A fitted model follows its data, and takes some of their variation with it: the expected sum of squares is that of
    mu (1 - h), h the leverage of a cell, and the variance of the statistic is that of residuals, not of errors. Of a
    `SparseTensor` with more than a million zeros, and more zeros than listed entries, a random part stands for all
    in the leverages. Entries of factors at 0 have none. Weights count as numbers of cells.

    References
    ----------
    C. Dean, J. F. Lawless: Tests for detecting overdispersion in Poisson regression models, Journal of the American
    Statistical Association 84 (1989) 467-472.
    """
    check_result(result)
    if not isinstance(result.loss, Poisson | PoissonLog):
        raise ParameterError(f"dispersion_test is for Poisson models: found {result.loss.name}.")
    tensor = tensor_of(result, data, mask, entry_weights, **carried)
    squares, counts, means2 = _sums(result, exposed(tensor, result.loss))
    taken = leverages(result, known_cells(result, tensor), means2)
    if taken.squares <= _NOTHING * means2:
        return DispersionTest(0.0, 0.5, np.inf, "The model repeats the counts: no variation is left to test.")
    extra = squares - counts + taken.variation
    statistic = extra / np.sqrt(2 * taken.squares)
    p, r = float(ndtr(-statistic)), float(taken.squares / extra) if extra > 0 else np.inf
    if p < 0.01:
        advice = 'The counts vary more than Poisson ones: try loss="negative-binomial" with r="estimate".'
    else:
        advice = "The counts vary no more than Poisson ones would."
    return DispersionTest(float(statistic), p, r, advice)


def vary_far_more(result: FitResult, tensor: Tensor) -> bool:
    """Return whether counts vary so much more than Poisson ones that no test is needed, which costs far more.

    What fitted means take along makes squared residuals smaller, so that the statistic of the test is larger still.
    """
    squares, counts, means2 = _sums(result, exposed(tensor, result.loss))
    return squares - counts > _FAR * float(np.sqrt(2 * means2))


def _sums(result: FitResult, tensor: Tensor) -> tuple[float, float, float]:
    """Return weighted sums of (x - mu)**2, x and mu**2 over the known cells."""
    if (sparse := tensor.sparse) is not None:
        if not isinstance(result.loss, Poisson):
            raise ParameterError(
                'Sparse data have a closed form under loss="poisson" only: found "poisson-log".'
            )
        weights, factors = result.with_mean_rows().cp
        every = power_sums.squares([factors[0] * weights, *factors[1:]], sparse.zeros)
        listing = sparse.listing
        subs = listing.subs[:, np.argsort(listing.order)].astype(np.int64)
        mu = listing.columns.argument(result.model_values(subs))
        ones = np.ones(len(mu))
        w, z = ones if listing.w is None else listing.w, ones if listing.z is None else listing.z
        x, rest = listing.x.astype(float), every - float(z @ mu**2)
        means2 = rest + float(w @ mu**2)
        return rest + float(w @ (x - mu) ** 2), float(w @ x), means2
    x = tensor.values.astype(float)
    mu = result.loss.mean(tensor.columns.argument(result.model_values(tensor.subs)))
    w = np.ones(x.shape) if tensor.entry_weights is None else np.asarray(tensor.entry_weights, dtype=float)
    x = np.where(w > 0, x, 0.0)
    return float(np.sum(w * (x - mu) ** 2)), float(np.sum(w * x)), float(np.sum(w * mu**2))
