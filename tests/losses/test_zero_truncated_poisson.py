"""Zero-truncated Poisson counts: digits at small rates, planted rates from lists without zeros."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from helpers import full, match_score
from numpy.testing import assert_allclose
from scipy import optimize

import gcp
from gcp import DomainError, ObservedTensor, ZeroTruncatedPoisson
from gcp.objectives.build import build_objective

M = np.array([1e-12, 1e-6, 0.01, 0.2499, 0.2501, 1.0, 6.0, 45.0, 700.0])


@pytest.mark.parametrize("x", [1, 2, 30])
def test_value_and_derivatives_keep_their_digits(x):
    """Against 60 digits, on both sides of where series end."""
    loss = ZeroTruncatedPoisson(eps=1e-300)
    with localcontext(prec=60):
        rates = [Decimal(m) for m in M]
        value = [float(m - x * m.ln() + (1 - (-m).exp()).ln()) for m in rates]
        slope = [float(1 - x / m + 1 / (m.exp() - 1)) for m in rates]
        bend = [float(x / m**2 - m.exp() / (m.exp() - 1) ** 2) for m in rates]
    assert_allclose(loss.value(x, M), value, rtol=1e-13, atol=1e-15)
    assert_allclose(loss.deriv(x, M), slope, rtol=1e-13, atol=1e-15)
    assert_allclose(loss.curvature(x, M), bend, rtol=1e-12)


def test_link_inverts_the_mean_from_1_to_infinity():
    loss, m = ZeroTruncatedPoisson(), np.array([0.0, 1e-9, 1e-3, 0.2, 1.0, 5.0, 39.0, 41.0, 1e6])
    assert_allclose(loss.link(loss.mean(m)), m, rtol=1e-9, atol=1e-15)
    assert np.isnan(loss.link(0.5))


def test_the_best_constant_has_the_mean_of_the_data(rng):
    x = rng.poisson(0.8, 500)
    x = x[x > 0]
    root = optimize.brentq(lambda m: m / -np.expm1(-m) - x.mean(), 1e-6, 20)
    assert_allclose(build_objective(x, "zero-truncated-poisson").null_constant, root, rtol=1e-9)


def test_rates_are_found_though_zeros_were_never_listed(rng):
    shape = (25, 20, 15)
    factors = [rng.gamma(1.0, 0.9, (size, 2)) for size in shape]
    counts = rng.poisson(full(factors))
    subs = np.argwhere(counts)
    listed = ObservedTensor(subs, counts[tuple(subs.T)], shape)
    rates = {loss: gcp.fit_gcp(listed, 2, loss=loss, random_state=0) for loss in ("ztp", "poisson")}
    assert match_score(rates["ztp"].factors, factors) > 0.95
    total = full(factors).sum()
    assert_allclose(rates["ztp"].model_values().sum(), total, rtol=0.1)
    assert (
        rates["poisson"].model_values().sum() > 1.2 * total
    )  # which takes what is not listed for like the rest
    assert (rates["ztp"].predict() >= 1).all()


def test_zeros_are_refused_with_what_to_do():
    counts = np.array([[0, 1], [2, 3]])
    sparse = gcp.SparseTensor(np.argwhere(counts), counts[counts > 0], (2, 2))
    for data in (counts, sparse):
        with pytest.raises(DomainError, match=r"\[1, inf\): found 0.*ObservedTensor"):
            gcp.fit_gcp(data, 1, loss="zero-truncated-poisson")
