"""Parameters of other losses than the negative binomial, and several at once, that a fit estimates."""

import numpy as np
import pytest
from helpers import random_factors
from scipy import optimize, special, stats

from gcp import Ordinal, StudentT, Tweedie, fit_gcp
from gcp.analysis import log_likelihood, n_parameters, standard_errors
from gcp.losses import loss_class
from gcp.losses.estimable import Increasing, Linear, Logarithm, Logit, Marginal

N = 300


def of_rows(x, loss, **options):
    """A fit of one number for each row."""
    ones = [np.ones((len(x), 1)), np.ones((x.shape[1], 1))]
    return fit_gcp(
        x, 1, loss=loss, init=ones, fixed_modes=[1], random_state=0, n_threads=1, tol=1e-12, **options
    )


def test_scale_and_degrees_of_freedom_are_scipys_maximum(rng):
    centres = np.array([-1.0, 0.5, 4.0])
    x = centres[:, None] + 0.6 * rng.standard_t(3.0, (3, N))
    found = of_rows(x, StudentT(scale="estimate", dof="estimate"))

    def minus(free):
        return -np.sum(stats.t.logpdf(x, np.exp(free[3]), free[:3, None], np.exp(free[4])))

    best = optimize.minimize(minus, [*np.median(x, axis=1), 1.0, 0.0], method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(found.model_values()[:, 0], best.x[:3], rtol=1e-3)
    assert found.loss.dof == pytest.approx(np.exp(best.x[3]), rel=1e-3)
    assert found.loss.scale == pytest.approx(np.exp(best.x[4]), rel=1e-3)
    assert log_likelihood(found, x) == pytest.approx(-best.fun, rel=1e-7)
    assert n_parameters(found) == 5
    assert found.settings["estimated"] == {"scale": found.loss.scale, "dof": found.loss.dof}


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_of_the_data_is_that_of_the_scale(unit, rng):
    x = rng.standard_t(4.0, (3, N)) + np.array([[5.0], [6.0], [8.0]])
    one, other = (of_rows(own, StudentT(scale="estimate", dof="estimate")) for own in (x, unit * x))
    assert other.loss.scale / unit == pytest.approx(one.loss.scale, rel=1e-3)
    assert other.loss.dof == pytest.approx(one.loss.dof, rel=1e-2)


def test_the_power_of_tweedie_is_the_likeliest(rng):
    """By the density as a sum over numbers of gamma amounts."""
    power, phi, means = 1.5, 0.7, np.array([1.0, 3.0])
    counts = rng.poisson(means[:, None] ** (2 - power) / (phi * (2 - power)), (2, N))
    shape, scale = (2 - power) / (power - 1), phi * (power - 1) * means[:, None] ** (power - 1)
    x = np.where(counts > 0, rng.gamma(np.maximum(counts, 1) * shape, np.broadcast_to(scale, (2, N))), 0.0)
    found = of_rows(x, Tweedie(power="estimate"))
    k = np.arange(1, 60)[:, None, None]

    def minus(free):
        p, dispersion = 1 + special.expit(free[0]), np.exp(free[1])
        mu = x.mean(axis=1, keepdims=True)  # the likeliest mean, whatever power and dispersion are
        rate = mu ** (2 - p) / (dispersion * (2 - p))
        a, b = (2 - p) / (p - 1), dispersion * (p - 1) * mu ** (p - 1)
        terms = stats.poisson.logpmf(k, rate) + stats.gamma.logpdf(np.where(x > 0, x, 1.0), k * a, scale=b)
        return -np.sum(np.where(x > 0, special.logsumexp(terms, axis=0), -rate))

    best = optimize.minimize(minus, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8})
    assert found.loss.power == pytest.approx(1 + special.expit(best.x[0]), abs=2e-3)
    assert log_likelihood(found, x) == pytest.approx(-best.fun, rel=1e-6)


def test_thresholds_are_statsmodels(rng):
    module = pytest.importorskip("statsmodels.miscmodels.ordinal_model")
    centres, cuts = np.array([0.0, 1.0, -0.7]), np.array([-1.0, 0.2, 1.5])
    z = centres[:, None] + rng.logistic(size=(3, N))
    x = 1.0 + np.sum(z[..., None] > cuts, axis=-1)
    found = of_rows(x, Ordinal(n_levels=4, thresholds="estimate"))
    dummies = np.kron(np.eye(3), np.ones((N, 1)))[:, 1:]
    truth = module.OrderedModel(x.ravel(), dummies, distr="logit").fit(method="bfgs", disp=0, gtol=1e-8)
    assert log_likelihood(found, x) == pytest.approx(truth.llf, rel=1e-6)
    m = found.model_values()[:, 0]
    np.testing.assert_allclose(m[1:] - m[0], truth.params[:2], rtol=1e-3)
    own = truth.model.transform_threshold_params(truth.params[2:])[1:-1]
    np.testing.assert_allclose(np.array(found.loss.thresholds) - m[0], own, rtol=1e-3, atol=1e-4)


def test_planted_thresholds_are_recovered(rng):
    m = 1.5 * np.einsum("ar,br,cr->abc", *random_factors((15, 14, 12), 1, rng))
    cuts = np.array([-2.0, -0.5, 1.0, 2.5])
    x = 1.0 + np.sum((m + rng.logistic(size=m.shape))[..., None] > cuts, axis=-1)
    found = fit_gcp(x, 1, loss=Ordinal(thresholds="estimate"), random_state=0)
    np.testing.assert_allclose(found.loss.thresholds, cuts, atol=0.25)
    assert log_likelihood(found, x) > log_likelihood(fit_gcp(x, 1, loss=Ordinal(), random_state=0), x) + 20
    assert n_parameters(found) == 15 + 14 + 12 - 2 + 4
    errors = standard_errors(found, x).parameters["thresholds"]
    assert np.all(np.abs(np.array(found.loss.thresholds) - cuts) < 4 * errors)
    assert np.all(errors < 0.15)


@pytest.mark.parametrize(
    ("scale", "value"),
    [
        (Logarithm(1e-3, 1e3), 2.5),
        (Linear(1.01, 1.99), 1.3),
        (Logit(1e-6, 1 - 1e-6), 0.2),
        (Logarithm(1e-3, 1e3), (0.5, 2.0, 7.0)),
        (Increasing(), (-1.5, 0.25, 3.0)),
        (Increasing(first=0.0), (0.0, 0.25, 3.0)),
    ],
)
def test_scales_go_there_and_back(scale, value):
    free = scale.free(value)
    low, high = scale.limits(len(free))
    assert np.all((low < free) & (free < high))
    np.testing.assert_allclose(scale.given(free), value, rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["student-t", "tweedie", "ordinal", "zip", "zinb", "hurdle-negative-binomial"]
)
@pytest.mark.parametrize(
    "x", [np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.0, 9.0]), np.array([1.0, 2.0, 2.0])]
)
def test_what_data_suggest_to_begin_with_is_within_the_limits(name, x):
    cls = loss_class(name)
    names = [name for name in cls.estimable if not (cls.is_dispersion_by and name == cls.parameter_by)]
    loss = cls(**dict.fromkeys(names, "estimate"))
    assert loss.unknowns == tuple(names)
    found = loss.starting(Marginal(x.mean(), x.var(), x, np.ones(3)))
    for own, scale in cls.estimable.items():
        free = scale.free(found[own])
        low, high = scale.limits(len(free))
        assert np.all((low <= free) & (free <= high))
