"""How forecasts of counts by negative binomial distributions are judged: scores, and calibration."""

from __future__ import annotations

import numpy as np
from scipy.stats import nbinom


def logarithmic_score(x, mean, r):
    """Minus the logarithm of the probability of what came."""
    return -nbinom.logpmf(x, r, r / (r + mean))


def ranked_probability_score(x, mean, r):
    """The sum over k of the squared difference of P(X <= k) and whether x <= k."""
    x, mean, r = np.broadcast_arrays(np.asarray(x, float), mean, r)
    p = np.exp(r * np.log(r / (r + mean)))
    below, total, k = p.copy(), np.zeros(x.shape), 0
    while True:
        total += np.square(below - (x <= k))
        if k >= x.max() and not (1 - below).max() > 1e-8:
            return total
        p = p * (r + k) / (k + 1) * mean / (r + mean)
        below, k = below + p, k + 1


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
