"""Standard errors beside estimated parameters of the loss: those of statsmodels, where a mode has size 1."""

import numpy as np
import pytest
from scipy import special, stats

from gcp import (
    Gaussian,
    NegativeBinomial,
    NegativeBinomialLogit,
    Ordinal,
    ParameterError,
    StudentT,
    ZeroInflatedPoisson,
    fit_gcp,
)
from gcp.analysis import standard_errors

N = 400


@pytest.fixture
def z(rng):
    return np.column_stack([np.ones(N), np.linspace(-1, 1, N)])


def of_design(x, z, loss):
    """A generalized linear model: a design of the rows beside a mode of size 1."""
    return fit_gcp(
        x[:, None],
        1,
        loss=loss,
        design={0: z},
        fixed_modes=[1],
        init=[z @ np.ones((2, 1)), np.ones((1, 1))],
        n_threads=1,
        random_state=0,
        tol=1e-14,
    )


def coefficients(result, x):
    errors = standard_errors(result, x[:, None], bias_correction="auto")
    return errors, errors.on_model_scale(0)


def test_rows_of_negative_binomials_are_statsmodels(rng):
    """Each row a fit of its own, with its r: observed information, as theirs."""
    discrete = pytest.importorskip("statsmodels.discrete.discrete_model")
    r, mu = np.array([0.8, 3.0, 6.0]), np.array([2.0, 6.0, 4.0])
    x = rng.negative_binomial(r[:, None], (r / (r + mu))[:, None], (3, N)).astype(float)
    ones = [np.ones((3, 1)), np.ones((N, 1))]
    found = fit_gcp(
        x,
        1,
        loss=NegativeBinomial(r="estimate", by=0),
        init=ones,
        fixed_modes=[1],
        n_threads=1,
        tol=1e-14,
        random_state=0,
    )
    errors = standard_errors(found, x)
    frame = errors.to_frame()
    for k in range(3):
        fit = discrete.NegativeBinomial(x[k], np.ones((N, 1))).fit(
            disp=0, maxiter=500, method="bfgs", gtol=1e-10
        )
        own = fit.bse[1] / fit.params[1] ** 2  # of r = 1 / alpha
        assert errors.parameters["r"][k] == pytest.approx(own, rel=3e-3)
        row = frame.loc[("r", "mode_0", k, "")] if ("r", "mode_0", k, "") in frame.index else None
        assert row is None or float(row["standard_error"]) == pytest.approx(own, rel=3e-3)


def test_a_logit_link_with_one_r_of_rows(rng, z):
    """r of the odds' logit: a numerical Hessian of SciPy's log-probability in coefficients and log r."""
    b, r = np.array([-0.5, 1.0]), 2.5
    m = z @ b
    x = rng.negative_binomial(r, 1 / (1 + np.exp(m))).astype(float)
    found = of_design(x, z, NegativeBinomialLogit(r="estimate", by=1))
    errors, scaled = coefficients(found, x)

    def minus(free):
        p = 1 / (1 + np.exp(z @ free[:2]))
        return -np.sum(stats.nbinom.logpmf(x, np.exp(free[2]), p))

    at = np.array([*scaled.values[:, 0], np.log(found.loss.r[0])])
    cov = np.linalg.inv(hessian(minus, at))
    np.testing.assert_allclose(scaled.errors[:, 0], np.sqrt(np.diag(cov))[:2], rtol=2e-3)
    assert errors.parameters["r"][0] == pytest.approx(found.loss.r[0] * np.sqrt(cov[2, 2]), rel=2e-3)


def hessian(function, at, step=1e-3):
    """Second derivatives by central differences."""
    n = len(at)
    e = step * np.eye(n)
    found = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            ends = [function(at + s * e[i] + t * e[j]) * s * t for s in (-1, 1) for t in (-1, 1)]
            found[i, j] = sum(ends) / (4 * step**2)
    return found


def test_a_gate_is_that_of_statsmodels_zip(rng):
    """Its Hessian (to which ours adds what their two blocks have in common, by differences of SciPy's density)."""
    module = pytest.importorskip("statsmodels.discrete.count_model")
    x = np.where(rng.random(N) < 0.3, 0, rng.poisson(3.0, N)).astype(float)
    ones = [np.ones((1, 1)), np.ones((N, 1))]
    found = fit_gcp(
        x[None],
        1,
        loss=ZeroInflatedPoisson(),
        init=ones,
        fixed_modes=[1],
        n_threads=1,
        tol=1e-14,
        random_state=0,
    )
    errors, gate = standard_errors(found, x[None]), found.loss.gate

    def minus(free):
        p, mu = special.expit(free[0]), np.exp(free[1])
        counts = stats.poisson.logpmf(x, mu) + np.log1p(-p)
        return -np.sum(np.where(x == 0, np.logaddexp(np.log(p), counts), counts))

    at = np.array([special.logit(gate), np.log(found.model_values()[0, 0])])
    own = hessian(minus, at)
    theirs = module.ZeroInflatedPoisson(x, np.ones((N, 1))).hessian(at)
    np.testing.assert_allclose(np.diag(own), -np.diag(theirs), rtol=1e-4)
    truth = np.sqrt(np.diag(np.linalg.inv(own)))
    assert errors.parameters["gate"][0] == pytest.approx(truth[0] * gate * (1 - gate), rel=1e-4)
    assert errors.weights[0] / found.weights[0] == pytest.approx(truth[1], rel=1e-4)


def test_thresholds_are_statsmodels_ordered_model(rng):
    module = pytest.importorskip("statsmodels.miscmodels.ordinal_model")
    slope, cuts = 1.2, np.array([-1.0, 0.2, 1.5])
    v = rng.standard_normal(N)
    x = 1.0 + np.sum((slope * v + rng.logistic(size=N))[:, None] > cuts, axis=1)
    found = fit_gcp(
        x[:, None],
        1,
        loss=Ordinal(n_levels=4, thresholds="estimate"),
        design={0: v[:, None]},
        fixed_modes=[1],
        init=[v[:, None], np.ones((1, 1))],
        n_threads=1,
        tol=1e-14,
        random_state=0,
    )
    errors, scaled = coefficients(found, x)
    fit = module.OrderedModel(x, v[:, None], distr="logit").fit(method="bfgs", disp=0, gtol=1e-9)
    assert scaled.values[0, 0] == pytest.approx(fit.params[0], rel=1e-3)
    assert scaled.errors[0, 0] == pytest.approx(fit.bse[0], rel=2e-3)
    # theirs: the first threshold, and logarithms of steps
    params, cov = np.asarray(fit.params)[1:], np.asarray(fit.cov_params())[1:, 1:]
    turn = np.array([[1, 0, 0], [1, np.exp(params[1]), 0], [1, np.exp(params[1]), np.exp(params[2])]])
    np.testing.assert_allclose(
        errors.parameters["thresholds"], np.sqrt(np.diag(turn @ cov @ turn.T)), rtol=3e-3
    )


def test_variances_by_position_weigh_the_errors(rng, z):
    """Of weighted least squares; the variance of a variance is 2 v**2 / n."""
    v = np.array([0.1, 2.0, 5.0])
    x = (z @ [2.0, -1.0])[:, None] + np.sqrt(v) * rng.standard_normal((N, 3))
    init = [z @ np.ones((2, 1)), np.ones((3, 1))]
    found = fit_gcp(
        x,
        1,
        loss=Gaussian(variance="estimate", by=1),
        design={0: z},
        fixed_modes=[1],
        init=init,
        n_threads=1,
        tol=1e-13,
        random_state=0,
    )
    errors = standard_errors(found, x, bias_correction=False)
    own = np.array(found.loss.variance)
    cov = np.linalg.inv(z.T @ z * np.sum(1 / own))
    scaled = errors.on_model_scale(0)
    ratio = scaled.errors[:, 0] / np.sqrt(np.diag(cov))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    size = abs(found.factors[1][0, 0])
    np.testing.assert_allclose(ratio[0] * size, 1.0, rtol=1e-5)
    np.testing.assert_allclose(errors.parameters["variance"], own * np.sqrt(2 / N), rtol=2e-3)
    assert errors.dispersion is None


def test_scale_of_students_t_is_the_inverse_information(rng):
    x = 1.0 + rng.standard_t(4.0, (2, N))
    ones = [np.ones((2, 1)), np.ones((N, 1))]
    found = fit_gcp(
        x,
        1,
        loss=StudentT(scale="estimate", dof="estimate"),
        init=ones,
        fixed_modes=[1],
        n_threads=1,
        tol=1e-13,
        random_state=0,
    )
    errors = standard_errors(found, x)
    m = found.model_values()

    def minus(free):
        return -stats.t.logpdf(x, np.exp(free[1]), m, np.exp(free[0])).sum()

    cov = np.linalg.inv(hessian(minus, np.log([found.loss.scale, found.loss.dof])))
    assert errors.parameters["scale"][0] == pytest.approx(found.loss.scale * np.sqrt(cov[0, 0]), rel=1e-3)
    assert errors.parameters["dof"][0] == pytest.approx(found.loss.dof * np.sqrt(cov[1, 1]), rel=1e-3)


def test_a_bias_that_is_not_known_is_not_taken_off(rng):
    x = rng.poisson(2.0, (5, 60)).astype(float)
    found = fit_gcp(x, 1, loss=ZeroInflatedPoisson(), random_state=0)
    with pytest.raises(ParameterError, match="estimated parameters of this loss"):
        standard_errors(found, x, bias_correction=True)
