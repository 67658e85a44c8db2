"""Losses of 0/1 data, taken for the numbers of successes in several trials."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from gcp.base.checks import floats
from gcp.base.interval import COUNTS
from gcp.base.types import Array, FloatArray
from gcp.losses.base import Loss
from gcp.losses.ranked_probability import ranked_probability

_NEAR = 1e-4
"""Distance from a whole number, in it, at which a share of a float32 tensor still means that number."""


def counts(share: FloatArray, trials: FloatArray) -> FloatArray:
    """Return numbers of successes, elementwise, without the rounding of shares."""
    x = share * trials
    nearest = np.rint(x)
    return np.where(np.abs(x - nearest) <= _NEAR * np.maximum(1.0, 1e-3 * nearest), nearest, x)


def log_binomial(x: FloatArray, trials: FloatArray) -> FloatArray:
    """Return the logarithms of the numbers of orders of x successes in these trials, elementwise."""
    return np.asarray(gammaln(trials + 1) - gammaln(x + 1) - gammaln(trials - x + 1))


class OfTrials:
    """What a loss of 0/1 data says of numbers of successes x in n trials, with the methods that judges call.

    Parameters
    ----------
    loss : Loss
        One that takes trials.
    trials : ndarray, shape (n,)
    """

    is_discrete = True
    data_domain = COUNTS

    def __init__(self, loss: Loss, trials: FloatArray) -> None:
        self.loss, self.trials, self.name = loss, trials, loss.name

    def mean(self, m: ArrayLike) -> FloatArray:
        """Return n p, elementwise."""
        return self.trials * self.loss.mean(m)

    def deviance(self, x: FloatArray, m: ArrayLike) -> FloatArray:
        """Return the distance of m from the saturated model, elementwise."""
        return self.trials * self.loss.deviance(x / self.trials, m)

    def log_likelihood(self, x: FloatArray, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return the binomial log-probability of x, elementwise."""
        with np.errstate(all="ignore"):
            return log_binomial(x, self.trials) - self.trials * self.loss.value(x / self.trials, m)

    def cdf(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return P(X <= x), elementwise."""
        return self.tails(x, m)[0]

    def sf(self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None) -> FloatArray:
        """Return P(X > x), elementwise."""
        return self.tails(x, m)[1]

    def tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X <= x) and P(X > x), elementwise."""
        from scipy.stats import binom  # slow to import

        own = floats("x", x), self.trials, self.loss.mean(m)
        return np.asarray(binom.cdf(*own)), np.asarray(binom.sf(*own))

    def ranked_probability_score(
        self, x: FloatArray, m: FloatArray, dispersion: float | None = None
    ) -> FloatArray:
        """Return the sum over k of (P(X <= k) - [x <= k])**2, elementwise."""
        return ranked_probability(self, x, m, None)

    def strict_tails(
        self, x: ArrayLike, m: ArrayLike, dispersion: float | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return P(X < x) and P(X >= x), elementwise."""
        return self.tails(floats("x", x) - 1, m)

    def sample(self, m: ArrayLike, rng: np.random.Generator) -> Array:
        """Draw numbers of successes, of the shape of m."""
        return np.asarray(rng.binomial(self.trials.astype(np.int64), self.loss.mean(m)))

    def log_normalizer(self, x: FloatArray) -> FloatArray:
        """Return minus the logarithms of the numbers of orders, elementwise."""
        return -log_binomial(x, self.trials)

    def estimate_dispersion(self, *_: Any) -> None:
        """Return None: there is none to estimate."""
        return
