"""Mixtures of SciPy's distributions: zeros by a gate, and other data behind or above it."""

import numpy as np
from scipy import stats


class Inflated:
    """0 with a probability, else a draw of a discrete distribution."""

    dist = stats.poisson  # a discrete one

    def __init__(self, gate, behind):
        self.gate, self.behind = gate, behind

    def pmf(self, x):
        return self.gate * (np.asarray(x) == 0) + (1 - self.gate) * self.behind.pmf(x)

    def logpmf(self, x):
        behind = np.log1p(-self.gate) + self.behind.logpmf(x)
        return np.where(np.asarray(x) == 0, np.logaddexp(np.log(self.gate), behind), behind)

    def cdf(self, x):
        return np.where(np.asarray(x) < 0, 0.0, self.gate + (1 - self.gate) * self.behind.cdf(x))

    def sf(self, x):
        return np.where(np.asarray(x) < 0, 1.0, (1 - self.gate) * self.behind.sf(x))

    def mean(self):
        return (1 - self.gate) * self.behind.mean()

    def var(self):
        square = (1 - self.gate) * (self.behind.var() + self.behind.mean() ** 2)
        return square / self.above() - self.mean() ** 2

    def above(self):
        return 1.0

    def ppf(self, q):
        return self.behind.ppf(np.clip((np.asarray(q) - self.gate) / (1 - self.gate), 0.0, 1.0)).clip(0)


class Hurdle(Inflated):
    """0 with a probability, else a draw of a discrete distribution given that it is not 0."""

    def pmf(self, x):
        x = np.asarray(x)
        above = self.behind.pmf(x) / self.behind.sf(0)
        return np.where(x == 0, self.gate, (1 - self.gate) * above)

    def logpmf(self, x):
        above = np.log1p(-self.gate) + self.behind.logpmf(x) - self.behind.logsf(0)
        return np.where(np.asarray(x) == 0, np.log(self.gate), above)

    def ppf(self, q):
        left = np.clip((1 - np.asarray(q)) / (1 - self.gate), 0.0, 1.0)
        return np.where(left < 1, self.behind.isf(self.behind.sf(0) * left), 0)

    def cdf(self, x):
        x = np.asarray(x)
        below = (self.behind.cdf(np.maximum(x, 0)) - self.behind.pmf(0)) / self.behind.sf(0)
        return np.where(x < 0, 0.0, self.gate + (1 - self.gate) * below)

    def sf(self, x):
        x = np.asarray(x)
        return np.where(x < 0, 1.0, (1 - self.gate) * self.behind.sf(np.maximum(x, 0)) / self.behind.sf(0))

    def mean(self):
        return (1 - self.gate) * self.behind.mean() / self.behind.sf(0)

    def above(self):
        return self.behind.sf(0)


class HurdleOfDensity(Inflated):
    """0 with a probability, else a draw of a distribution with a density above 0."""

    dist = stats.expon

    def logpdf(self, x):
        x = np.asarray(x)
        return np.where(
            x == 0, np.log(self.gate), np.log1p(-self.gate) + self.behind.logpdf(np.where(x > 0, x, 1.0))
        )


def of_loss(loss):
    """The mixture of a loss as a function of the model m, or None."""
    r = getattr(loss, "r", None)
    return {
        "zero-inflated-poisson": lambda m: Inflated(loss.gate, stats.poisson(m)),
        "zero-inflated-negative-binomial": lambda m: Inflated(loss.gate, stats.nbinom(r, 1 / (1 + m))),
        "hurdle-poisson": lambda m: Hurdle(loss.gate, stats.poisson(m)),
        "hurdle-negative-binomial": lambda m: Hurdle(loss.gate, stats.nbinom(r, 1 / (1 + m))),
        "hurdle-gamma": lambda m: HurdleOfDensity(loss.gate, stats.expon(scale=m)),
    }.get(loss.name)
