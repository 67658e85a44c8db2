"""What several test files need: example losses, densities by SciPy, finite differences, einsum models."""

import resource
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from string import ascii_letters

import mixtures
import numpy as np
from scipy import integrate, special, stats
from scipy.optimize import linear_sum_assignment

from gcp.kernels.dense import dense_pass
from gcp.kernels.dense.layout import Layout
from gcp.kernels.shared.columns import EntryColumns
from gcp.losses import example_losses
from gcp.testing.agreement import central_difference as central_difference
from gcp.testing.agreement import models_in, points_in

LOSSES = tuple(example_losses())


def short(loss):
    """A readable test id."""
    return repr(loss).replace(", eps=None", "").replace("eps=None", "")


def interior_points(loss, size, rng):
    """Data in the loss's domain and models well inside theirs."""
    return points_in(loss.data_domain, size, rng), models_in(loss.model_domain, size, rng)


class _Truncated(stats.rv_discrete):
    """Poisson counts above 0, from SciPy's."""

    def _get_support(self, m):
        return 1, np.inf

    def _pmf(self, k, m):
        return stats.poisson.pmf(k, m) / -np.expm1(-m)

    def _logpmf(self, k, m):
        return stats.poisson.logpmf(k, m) - np.log(-np.expm1(-m))

    def _cdf(self, k, m):
        few = sum(np.where(j <= np.floor(k), self._pmf(j, m), 0.0) for j in range(1, 31))
        return np.where(np.floor(k) <= 30, few, 1 - self._sf(k, m))

    def _sf(self, k, m):
        return stats.poisson.sf(np.floor(k), m) / -np.expm1(-m)

    def _stats(self, m):
        p = -np.expm1(-m)
        return m / p, m / p * (1 + m - m / p), None, None


def _ordered(first, thresholds):
    """Categories from `first` with cumulative logits, by differences of probabilities: a SciPy distribution."""
    ends = np.array([-np.inf, *thresholds, np.inf])
    levels = first + np.arange(len(thresholds) + 1)

    class Ordered(stats.rv_discrete):
        def _argcheck(self, m):
            return np.isfinite(m)

        def _cdf(self, k, m):
            return special.expit(_of(ends, k - first + 1) - m)

        def _sf(self, k, m):
            return special.expit(m - _of(ends, k - first + 1))

        def _pmf(self, k, m):
            low, high = self._cdf(k, m) - self._cdf(k - 1, m), self._sf(k - 1, m) - self._sf(k, m)
            return np.where(m > 0, low, high)

        def _stats(self, m):
            mean, square = (sum(self._pmf(k, np.asarray(m)) * k**n for k in levels) for n in (1, 2))
            return mean, square - mean**2, None, None

    return Ordered(a=first, b=levels[-1], name="ordered", shapes="m")


def _of(ends, k):
    return ends[np.clip(np.floor(k), 0, len(ends) - 1).astype(int)]


def density(loss):
    """The frozen SciPy distribution of x as a function of the model m, or None."""
    if loss.is_discrete and (mixture := mixtures.of_loss(loss)) is not None:
        return mixture
    table = {
        "gaussian": lambda m: stats.norm(m, np.sqrt(0.5)),
        "bernoulli-logit": lambda m: stats.bernoulli(special.expit(m)),
        "bernoulli-odds": lambda m: stats.bernoulli(m / (1 + m)),
        "bernoulli-poisson": lambda m: stats.bernoulli(-np.expm1(-m)),
        "poisson": lambda m: stats.poisson(m),
        "poisson-log": lambda m: stats.poisson(np.exp(m)),
        "gamma": lambda m: stats.expon(scale=m),
        "rayleigh": lambda m: stats.rayleigh(scale=m * np.sqrt(2 / np.pi)),
        "negative-binomial": lambda m: stats.nbinom(loss.r, 1 / (1 + m)),
        "negative-binomial-logit": lambda m: stats.nbinom(loss.r, special.expit(-m)),
        "zero-truncated-poisson": lambda m: _Truncated(name="truncated", shapes="m")(m),
        "inverse-gaussian": lambda m: stats.invgauss(m),
        "student-t": lambda m: stats.t(loss.dof, m, loss.scale),
        "ordinal": lambda m: _ordered(loss.first, loss.cutpoints)(m),
    }
    by_beta = {
        -1: lambda m: stats.invgauss(m),
        0: lambda m: stats.expon(scale=m),
        1: lambda m: stats.poisson(m),
        2: lambda m: stats.norm(m, 1.0),
    }
    return by_beta.get(loss.beta) if loss.name == "beta-divergence" else table.get(loss.name)


def log_density(distribution, x):
    """logpmf or logpdf, whichever the frozen distribution has."""
    is_discrete = isinstance(distribution.dist, stats.rv_discrete)
    return distribution.logpmf(x) if is_discrete else distribution.logpdf(x)


def loss_difference(loss, x, a, b):
    """f(x, a) - f(x, b) by other means: SciPy's densities, Huber function, or integrals.

    Of a quasi-likelihood, or of the check function under logistic noise.
    """
    if loss.name == "huber":
        return 2 * special.huber(loss.delta, x - a) - 2 * special.huber(loss.delta, x - b)
    if loss.name == "quantile":
        return np.array(
            [_blurred(loss, xi, ai) - _blurred(loss, xi, bi) for xi, ai, bi in zip(x, a, b, strict=True)]
        )
    beta = 2 - loss.power if loss.name == "tweedie" else getattr(loss, "beta", 1)
    if loss.name == "tweedie" or (loss.name == "beta-divergence" and (beta != 1 or np.any(x != np.floor(x)))):
        # d f / d mean = -(x - mean) / variance, with variance = mean**(2 - beta)
        slope = [
            integrate.quad(lambda t, xi=xi: (t - xi) * t ** (beta - 2), bi, ai, epsabs=1e-13, epsrel=1e-12)
            for xi, ai, bi in zip(x, a, b, strict=True)
        ]
        return np.array([value for value, _ in slope])
    of = mixtures.of_loss(loss) or density(loss)
    return log_density(of(b), x) - log_density(of(a), x)


def _blurred(loss, x, m):
    """The expected check function of x - m with logistic noise."""
    h = loss.width * loss.scale

    def check(z):
        r = x - m - h * z
        return stats.logistic.pdf(z) * r * (loss.tau - (r < 0))

    corner = float(np.clip((x - m) / h, -40, 40))
    ends = sorted({-40.0, -5.0, 0.0, 5.0, 40.0, corner})
    return sum(integrate.quad(check, *pair, epsabs=1e-13, epsrel=1e-12)[0] for pair in pairwise(ends))


def support(loss, frozen):
    """Whole numbers (n,) that a frozen discrete distribution of a loss has."""
    low, high = loss.data_domain.low, loss.data_domain.high
    return np.arange(low, 1 + (high if np.isfinite(high) else max(20, frozen.ppf(1 - 1e-15))))


def full(factors, weights=None):
    """The model tensor by einsum."""
    modes = ascii_letters[: len(factors)]
    weights = np.ones(factors[0].shape[1]) if weights is None else weights
    return np.einsum(",".join(["Z", *(c + "Z" for c in modes)]) + "->" + modes, weights, *factors)


def random_factors(shape, rank, rng, positive=False):
    draw = (lambda size: rng.uniform(0.2, 1.5, size)) if positive else (lambda size: rng.normal(size=size))
    return [draw((size, rank)) for size in shape]


def match_score(estimate, truth):
    """Factor match score without weights: mean over matched components of the product of cosines."""
    cosines = np.ones((truth[0].shape[1], estimate[0].shape[1]))
    for a, b in zip(truth, estimate, strict=True):
        with np.errstate(invalid="ignore"):
            cosine = (a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0))
        cosines *= np.abs(np.nan_to_num(cosine))
    rows, columns = linear_sum_assignment(-cosines)
    return cosines[rows, columns].mean()


def product_of_margins(counts):
    """Independence of all modes: the maximum-likelihood Poisson model of rank 1."""
    total, model = counts.sum(), np.ones(())
    for mode in range(counts.ndim):
        margin = counts.sum(axis=tuple(n for n in range(counts.ndim) if n != mode))
        model = np.multiply.outer(model, margin / total)
    return model * total


def falls(values):
    """True if no value exceeds the one before."""
    return all(b <= a for a, b in pairwise(values))


def compiled(formula, x, m, weights=None):
    """Weighted value and derivative of each entry by the compiled pass, and the sum of the values.

    A vector with one component is a tensor whose model is the factor itself, so its gradient is the derivative.
    """
    dtype = x.dtype
    total, (deriv,), _ = dense_pass.loss_and_mttkrps(
        Layout.of(EntryColumns(x, weights)), formula, [m[:, None]], dtype, 1
    )
    values = []
    for k in range(len(x)):
        w = None if weights is None else weights[k : k + 1]
        layout = Layout.of(EntryColumns(x[k : k + 1], w))
        values.append(dense_pass.loss_and_mttkrps(layout, formula, [m[k : k + 1, None]], dtype, 1)[0])
    return np.array(values), deriv[:, 0], total


@contextmanager
def bounded_memory(more=1 << 30):
    """So many bytes more than now, as Linux limits them: who asks for more fails with MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
