"""How forecasts of counts by negative binomial distributions are judged: scores, and calibration."""

from __future__ import annotations

import numpy as np
from scipy.stats import nbinom

import gcp


def logarithmic_score(x, mean, r):
    """Minus the logarithm of the probability of what came."""
    loss, x, m = _cells(x, mean, r)
    return -loss.log_likelihood(x, m)


def ranked_probability_score(x, mean, r):
    """The sum over k of the squared difference of P(X <= k) and whether x <= k."""
    loss, x, m = _cells(x, mean, r)
    return loss.ranked_probability_score(x, m)


def _cells(x, mean, r):
    """The loss with an r of its own in each cell, the counts, and the models m = mean / r."""
    x, mean, r = np.broadcast_arrays(np.asarray(x, float), mean, r)
    loss = gcp.NegativeBinomial(r=tuple(r.ravel()), by=0, eps=1e-300)
    return loss.at(np.arange(r.size).reshape(r.shape)), x, mean / r


def pit_histogram(x, mean, r, n=10):
    """Densities (n,) of the probability integral transform of counts (Czado, Gneiting and Held 2009)."""
    p = r / (r + mean)
    low, high = nbinom.cdf(x - 1, r, p), nbinom.cdf(x, r, p)
    width = np.maximum(high - low, 1e-300)
    shares = [
        np.where(u < high, np.clip((u - low) / width, 0, 1), 1).mean() for u in np.linspace(0, 1, n + 1)
    ]
    return n * np.diff(shares)


def mean_scores(x, mean, r) -> tuple[float, float]:
    """Both, over districts and weeks."""
    both = logarithmic_score(x, mean, r), ranked_probability_score(x, mean, r)
    return tuple(round(float(score.mean()), 4) for score in both)
