"""Whether counts vary more than a Poisson model allows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from gcp.analysis.likelihood import n_parameters
from gcp.cells import check_result, tensor_of
from gcp.errors import ParameterError
from gcp.kernels import moments
from gcp.losses.poisson import Poisson, PoissonLog
from gcp.result import FitResult
from gcp.tensors.dense import DenseTensor
from gcp.tensors.sparse import SparseTensor


class DispersionTest(NamedTuple):
    """Outcome of `dispersion_test`.

    Attributes
    ----------
    statistic : float
        Sum of (x - mu)**2 - x over the cells, by the root of twice the sum of mu**2: about standard normal if the
        counts are Poisson with means mu, large if they vary more.
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
    result: FitResult, data: Any, *, mask: ArrayLike | None = None, entry_weights: ArrayLike | None = None
) -> DispersionTest:
    """Test a Poisson model against extra variation (a score test against the negative binomial).

    Parameters
    ----------
    result : FitResult
        Of the loss "poisson" or "poisson-log".
    data, mask, entry_weights
        As they were for `fit_gcp`. Of a `SparseTensor` under "poisson" all zeros count, by a closed form.

    Notes
    -----
    A fitted model follows its data, and takes some of their variation with it: squares are divided by
    1 - parameters / cells, where there are more cells than parameters. Weights count as numbers of cells.

    References
    ----------
    C. B. Dean: Testing for overdispersion in Poisson and binomial regression models, Journal of the American
    Statistical Association 87 (1992) 451-457.
    """
    check_result(result)
    if not isinstance(result.loss, Poisson | PoissonLog):
        raise ParameterError(f"dispersion_test is for Poisson models: found {result.loss.name}.")
    tensor = tensor_of(result, data, mask, entry_weights)
    squares, counts, means2, n = _sums(result, tensor)
    left = 1 - n_parameters(result) / n
    squares = squares / left if left > 0 else squares
    extra = squares - counts
    statistic = extra / np.sqrt(2 * means2) if means2 > 0 else 0.0
    p, r = float(ndtr(-statistic)), float(means2 / extra) if extra > 0 else np.inf
    if p < 0.01:
        advice = 'The counts vary more than Poisson ones: try loss="negative-binomial" with r="estimate".'
    else:
        advice = "The counts vary no more than Poisson ones would."
    return DispersionTest(float(statistic), p, r, advice)


def _sums(result: FitResult, tensor: Any) -> tuple[float, float, float, float]:
    """Weighted sums of (x - mu)**2, x, mu**2 and 1 over the known cells."""
    if isinstance(tensor, SparseTensor):
        if not isinstance(result.loss, Poisson):
            raise ParameterError(
                'Sparse data have a closed form under loss="poisson" only: found "poisson-log".'
            )
        weights, factors = result.cp
        every = moments.polynomial((0.0, 1.0), [factors[0] * weights, *factors[1:]], (), tensor.mode_weights)[
            0
        ]
        listing = tensor.listing
        mu = result.model_values(listing.subs[:, np.argsort(listing.order)].astype(np.int64))
        ones = np.ones(len(mu))
        w, z = ones if listing.w is None else listing.w, ones if listing.z is None else listing.z
        x, rest = listing.x.astype(float), every - float(z @ mu**2)
        means2 = rest + float(w @ mu**2)
        return rest + float(w @ (x - mu) ** 2), float(w @ x), means2, tensor.total_weight()
    x = tensor.values.astype(float)
    mu = result.predict(None if isinstance(tensor, DenseTensor) else tensor.subs)
    w = np.ones(x.shape) if tensor.entry_weights is None else np.asarray(tensor.entry_weights, dtype=float)
    x = np.where(w > 0, x, 0.0)
    return float(np.sum(w * (x - mu) ** 2)), float(np.sum(w * x)), float(np.sum(w * mu**2)), float(w.sum())
