"""Negative binomial losses of counts and models up to 1e14, against 60 digits of Python's decimal numbers."""

from decimal import Decimal, localcontext

import numpy as np
from numpy.testing import assert_allclose

from gcp import BetaDivergence, NegativeBinomial, NegativeBinomialLogit, fit_gcp

X = np.array([0.0, 1.0, 7.0, 1e4, 123456789.0, 1e12, 1e14])
M = np.array([1e-8, 0.3, 5.0, 1e6, 1e10, 3e12, 1e14])
R = 3


def exact(function):
    """A function of decimals x and m on all pairs of X and M."""
    with localcontext(prec=60):
        rows = [[float(function(Decimal(x), Decimal(m))) for m in M] for x in X]
    return np.array(rows)


def pairs(function):
    return function(X[:, None], M[None, :])


def odds_value(x, m):
    return (R + x) * (1 + m).ln() - (x * m.ln() if x else 0)


def saturated(x):
    return odds_value(x, x / R) if x else Decimal(0)


def test_odds_link():
    """Derivatives cross 0, where their two terms cancel: their errors are small beside those terms."""
    loss, x, m = NegativeBinomial(r=R, eps=1e-300), X[:, None], M
    assert_allclose(loss.value(x, m), exact(odds_value), rtol=1e-14)
    slope, curvature = exact(lambda x, m: (R - x / m) / (1 + m)), exact(second_derivative)
    assert (np.abs(loss.deriv(x, m) - slope) <= 1e-15 * (R + x / m) / (1 + m)).all()
    terms = x / m / (1 + m) * (1 / m + 1 / (1 + m)) + R / (1 + m) ** 2
    assert (np.abs(loss.curvature(x, m) - curvature) <= 1e-15 * terms).all()


def second_derivative(x, m):
    return x / m**2 - (R + x) / (1 + m) ** 2


def test_logit_link():
    logit = np.log(M)
    with localcontext(prec=60):
        truth = [
            [float((R + Decimal(x)) * (1 + Decimal(t).exp()).ln() - Decimal(x) * Decimal(t)) for t in logit]
            for x in X
        ]
        slope = [
            [float((R + Decimal(x)) * (s := Decimal(t).exp()) / (1 + s) - Decimal(x)) for t in logit]
            for x in X
        ]
    loss = NegativeBinomialLogit(r=R)
    assert_allclose(loss.value(X[:, None], logit), truth, rtol=1e-13)
    assert_allclose(loss.deriv(X[:, None], logit), slope, rtol=1e-12, atol=1e-12)


def test_saturated_value_deviance_and_likelihood():
    loss = NegativeBinomial(r=R, eps=1e-300)
    with localcontext(prec=60):
        least = [float(saturated(Decimal(x))) for x in X]
        deviance = exact(lambda x, m: 2 * (odds_value(x, m) - saturated(x)))
        # log of the binomial coefficient of (x + 2, x) = (x + 1) (x + 2) / 2
        likelihood = exact(lambda x, m: ((x + 1) * (x + 2) / 2).ln() - odds_value(x, m))
    assert_allclose(loss.saturated_value(X), least, rtol=1e-14, atol=1e-300)
    assert_allclose(pairs(loss.deviance), deviance, rtol=1e-11, atol=1e-12)
    assert_allclose(pairs(loss.log_likelihood), likelihood, rtol=1e-12, atol=1e-10)


def test_samples_of_beta_2_are_data_of_beta_2(rng):
    """Not negative, of mean m and variance 1."""
    loss = BetaDivergence(2.0)
    for m in (0.1, 1.0, 4.0):
        x = loss.sample(np.full(100_000, m), rng)
        assert loss.data_domain.contains(x).all()
        assert_allclose(x.mean(), m, atol=5 / np.sqrt(100_000))
        if m >= 1:
            assert_allclose(x.var(), 1.0, rtol=0.1)


def test_a_model_of_counts_up_to_1e12_is_not_0(rng):
    """An eps in units of the odds alone would exceed 1, and then the model 0 is best of all."""
    x = np.floor(10.0 ** rng.uniform(0, 12, (6, 5, 4)))
    result = fit_gcp(x, 1, loss="negative-binomial", random_state=0)
    assert 0 <= result.training_deviance_explained < 1
    assert (result.predict() > 0).all()
    assert result.loss.eps <= 1e-10
