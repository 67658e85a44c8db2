"""Ordinal losses against decimals, statsmodels and the Bernoulli loss; their parameters in files and options."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from helpers import full, match_score
from numpy.testing import assert_allclose

import gcp
from gcp import BernoulliLogit, DomainError, ObservedTensor, Ordinal, ParameterError
from gcp.cli.fit_options import param

FOUR = Ordinal(4, thresholds=(-1.5, 0.25, 3.0), first=0)


def exact(k, m):
    """The log-probability of category k in 400 digits."""
    with localcontext(prec=400):
        below = [
            Decimal(0),
            *((1 / (1 + (Decimal(m) - Decimal(t)).exp())) for t in FOUR.thresholds),
            Decimal(1),
        ]
        return float((below[k + 1] - below[k]).ln())


@pytest.mark.parametrize("m", [-700.0, -41.0, -2.0, 0.0, 1.0, 35.0, 700.0])
def test_probabilities_keep_their_digits_far_out(m):
    found = FOUR.log_likelihood(np.arange(4), m)
    assert_allclose(found, [exact(k, m) for k in range(4)], rtol=1e-13, atol=1e-300)
    assert_allclose(np.exp(found).sum(), 1.0, rtol=1e-14)
    assert_allclose(FOUR.sf(np.arange(-1, 4), m) + FOUR.cdf(np.arange(-1, 4), m), 1.0, rtol=1e-14)
    assert_allclose(FOUR.mean(m), np.arange(4) @ np.exp(found), rtol=1e-12, atol=1e-300)


def test_two_categories_are_a_bernoulli_loss(rng):
    two, one = Ordinal(2, thresholds=(0.0,), first=0), BernoulliLogit()
    x, m = rng.integers(0, 2, 50), rng.normal(0, 3, 50)
    for name in ("value", "deriv", "curvature", "log_likelihood"):
        assert_allclose(getattr(two, name)(x, m), getattr(one, name)(x, m), rtol=1e-12)
    assert_allclose(two.fisher(m), one.fisher(m), rtol=1e-12)
    assert_allclose(two.mean(m), one.mean(m), rtol=1e-12)


def test_statsmodels_agrees(rng):
    miscmodels = pytest.importorskip("statsmodels.miscmodels.ordinal_model")
    z, t = rng.normal(size=200), np.array([-1.0, 0.5, 1.25])
    loss = Ordinal(4, thresholds=t)
    x = loss.sample(1.7 * z, rng)
    model = miscmodels.OrderedModel(x, z[:, None], distr="logit")
    params = np.concatenate([[1.7, t[0]], np.log(np.diff(t))])  # its thresholds are increments, in logarithms
    assert_allclose(loss.log_likelihood(x, 1.7 * z), model.loglikeobs(params), rtol=1e-10)


def test_thresholds_of_no_choice_give_equal_shares():
    assert_allclose(np.exp(Ordinal(7).log_likelihood(np.arange(1, 8), 0.0)), 1 / 7, rtol=1e-13)


@pytest.mark.parametrize("is_listed", [False, True])
def test_planted_tastes_are_found(is_listed, rng):
    shape, loss = (25, 20, 12), Ordinal(5, thresholds=(-3.0, -1.0, 1.0, 2.0))
    factors = [rng.normal(size=(size, 2)) for size in shape]
    x = loss.sample(2 * full(factors), rng)
    if is_listed:
        subs = np.argwhere(rng.random(shape) < 0.5)
        x = ObservedTensor(subs, x[tuple(subs.T)], shape)
    result = gcp.fit_gcp(x, 2, loss=loss, random_state=0)
    assert result.converged
    assert match_score(result.factors, factors) > 0.97
    assert 1 <= result.predict().min() <= result.predict().max() <= 5


def test_parameters_come_back_from_a_file_and_from_the_command_line(tmp_path, rng):
    x = FOUR.sample(rng.normal(size=(6, 5)), rng)
    gcp.fit_gcp(x, 1, loss=FOUR, random_state=0).save(tmp_path / "fit.npz")
    assert gcp.load(tmp_path / "fit.npz").loss == FOUR
    given = [param(text) for text in ("n_levels=4", "thresholds=-1.5,0.25,3", "first=0")]
    assert gcp.get_loss("ordinal", **dict(given)) == FOUR


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_levels": 1}, "whole number n_levels from 2"),
        ({"n_levels": 2.5}, "whole number n_levels"),
        ({"first": 0.5}, "whole number first"),
        ({"thresholds": (1.0, 2.0)}, "4 increasing numbers"),
        ({"thresholds": (1.0, 2.0, 2.0, 3.0)}, "4 increasing numbers"),
        ({"thresholds": (1.0, 2.0, 3.0, np.inf)}, "4 increasing numbers"),
        ({"thresholds": "none"}, "increasing numbers as thresholds"),
        ({"thresholds": 3.0}, "increasing numbers as thresholds"),
    ],
)
def test_bad_parameters_are_named(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Ordinal(**arguments)


def test_other_categories_are_refused_with_what_to_do():
    with pytest.raises(DomainError, match=r"whole numbers in \[1, 5\]: found 6\.0 .*n_levels"):
        gcp.fit_gcp(np.array([[1.0, 6.0], [3.0, 2.0]]), 1, loss="ordinal")
