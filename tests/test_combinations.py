"""Designs, penalties of one mode, exposures, estimated parameters and held-out schemes, together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats

import gcp
from gcp.designs import bspline
from gcp.penalties import Smooth

SHAPE = (40, 6)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def of_one_mean(x, loss, **options):
    """The fit of one number beside each column of ones, under exposures."""
    ones = [np.ones((SHAPE[0], 1)), np.ones((SHAPE[1], 1))]
    return gcp.fit_gcp(x, 1, loss=loss, init=ones, fixed_modes=[0], random_state=0, tol=1e-10, **options)


@pytest.mark.parametrize("name", ["negative-binomial", "negative-binomial-logit"])
@pytest.mark.parametrize("by", [None, 1])
def test_r_is_the_likeliest_beside_exposures(name, by, rng):
    exposure = 10.0 ** rng.uniform(-1, 1, SHAPE)
    r = np.full(SHAPE[1], 2.0) if by is None else np.array([0.7, 1.0, 2.0, 3.0, 1.5, 0.8])
    mean = exposure * np.array([1.0, 3.0, 2.0, 5.0, 0.8, 2.0])
    x = rng.negative_binomial(np.broadcast_to(r, SHAPE), r / (r + mean)).astype(float)
    result = of_one_mean(x, gcp.get_loss(name, r="estimate", by=by), exposure=exposure)

    def minus(theta, column=slice(None)):
        means, sizes = (
            np.split(np.exp(theta), 2) if by is not None else (np.exp(theta[:-1]), np.exp(theta[-1]))
        )
        mu = exposure[:, column] * means
        return -stats.nbinom.logpmf(x[:, column], sizes, sizes / (sizes + mu)).sum()

    if by is None:
        found = optimize.minimize(minus, np.zeros(7), method="L-BFGS-B", options={"ftol": 1e-13})
        best, sizes, means = found.fun, np.exp(found.x[-1]), np.exp(found.x[:-1])
    else:
        each = [
            optimize.minimize(minus, np.zeros(2), args=(slice(k, k + 1),), tol=1e-10) for k in range(SHAPE[1])
        ]
        best, sizes = sum(one.fun for one in each), np.exp([one.x[1] for one in each])
        means = np.exp([one.x[0] for one in each])
    own = gcp.analysis.log_likelihood(result, x, exposure=exposure)
    assert_allclose(own, -best, rtol=1e-6)
    assert_allclose(result.loss.r, sizes, rtol=2e-3)
    assert_allclose(result.predict()[0], means, rtol=1e-3)
    assert_allclose(result.predict(exposure=exposure), exposure * result.predict(), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "draw"),
    [
        (gcp.Tweedie(power=1.5), lambda rng, mean: rng.gamma(2.0, mean / 2) * (rng.random(mean.shape) < 0.8)),
        (gcp.InverseGaussian(), lambda rng, mean: rng.wald(mean, 3 * mean)),
        (
            gcp.ZeroInflatedPoisson(gate=0.3),
            lambda rng, mean: rng.poisson(mean) * (rng.random(mean.shape) > 0.3),
        ),
        (
            gcp.HurdleGamma(gate=0.6),
            lambda rng, mean: rng.gamma(2.0, mean / 2) * (rng.random(mean.shape) < 0.6),
        ),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_exposures_of_the_further_losses(loss, draw, rng):
    """The minimum is that of scipy over the log-likelihood at means times exposures."""
    exposure = rng.uniform(0.5, 20, SHAPE)
    x = draw(rng, exposure * np.array([1.0, 3.0, 2.0, 5.0, 0.8, 2.0])).astype(float)
    result = of_one_mean(x, loss, exposure=exposure)
    m = result.model_values()[0]
    for k in range(SHAPE[1]):

        def minus(t, k=k):
            return -float(loss.log_likelihood(x[:, k], np.exp(t) * exposure[:, k]).sum())

        found = optimize.minimize_scalar(minus, bracket=(np.log(m[k]) - 0.5, np.log(m[k]) + 0.5), tol=1e-9)
        assert_allclose(m[k], np.exp(found.x), rtol=1e-4)
    assert_allclose(result.predict(exposure=exposure), exposure * result.predict(), rtol=1e-12)
    assert_allclose(result.predict(), loss.mean(result.model_values()), rtol=1e-12)


@pytest.mark.parametrize("loss", ["poisson", "gamma", "negative-binomial", "poisson-log"])
def test_a_strength_is_the_same_in_another_unit_of_exposure(loss, rng):
    x, _ = gcp.simulate((30, 12), 1, "poisson", scale=20.0, random_state=3)
    values = np.asarray(x.values, dtype=float) + 1
    options = {"loss": loss, "penalties": [Smooth(0, 3.0)], "random_state": 0, "tol": 1e-9}
    if loss.endswith("log"):
        options |= {"main_effects": True}  # a level that takes the unit
    plain = gcp.fit_gcp(values, 1, **options)
    scaled = gcp.fit_gcp(values, 1, exposure=np.full(values.shape, 5.0), **options)
    assert_allclose(scaled.predict(exposure=5.0), plain.predict(), rtol=2e-3)


def test_a_design_beside_exposures_is_a_regression(rng):
    sm = pytest.importorskip("statsmodels.api")
    t, exposure = np.arange(60.0), rng.uniform(0.5, 30, 60)
    basis = gcp.designs.fourier(60.0, 2)
    z = np.column_stack([np.ones(60), *(f(2 * np.pi * k * t / 60) for k in (1, 2) for f in (np.sin, np.cos))])
    x = rng.poisson(exposure * np.exp(0.3 * np.sin(2 * np.pi * t / 60) + 0.5)).astype(float)
    result = gcp.fit_gcp(
        x[:, None],
        1,
        loss="poisson-log",
        design={0: basis},
        exposure=exposure[:, None],
        random_state=0,
        tol=1e-12,
    )
    glm = sm.GLM(x, z, family=sm.families.Poisson(), exposure=exposure).fit(tol=1e-12)
    assert_allclose(result.predict(exposure=exposure[:, None])[:, 0], glm.fittedvalues, rtol=1e-6)
    own = gcp.analysis.log_likelihood(result, x[:, None], exposure=exposure[:, None])
    assert_allclose(own, glm.llf, rtol=1e-9)


def test_smoothness_of_a_spline_is_a_penalised_spline(rng):
    """Gaussian, beside a mode of one position: ridge regression in the coefficients."""
    t = np.arange(50.0)
    x = np.sin(t / 8) + 0.3 * rng.standard_normal(50)
    penalty = Smooth(0, 4.0)
    result = gcp.fit_gcp(
        x[:, None],
        1,
        design={0: bspline(12)},
        penalties=[penalty],
        loss="gaussian",
        init=[x[:, None], np.ones((1, 1))],
        fixed_modes=[1],
        tol=1e-12,
    )
    from scipy.interpolate import BSpline

    knots = np.concatenate([[0.0] * 4, np.linspace(0, 49, 10)[1:-1], [49.0] * 4])
    z = BSpline.design_matrix(t, knots, 3).toarray()
    rough = np.diff(z, 2, axis=0)
    # strength / 2 times the curvature of the loss, which is 2
    best = np.linalg.solve(z.T @ z + 4.0 * rough.T @ rough, z.T @ x)
    assert_allclose(result.predict()[:, 0], z @ best, atol=1e-6)


@pytest.mark.parametrize("scheme", ["cells", "rows", "blocks"])
def test_parts_carry_exposures(scheme, rng):
    exposure = rng.uniform(1, 5, (20, 15, 4))
    x = rng.poisson(exposure).astype(float)
    mode = None if scheme == "cells" else 1
    split = gcp.hold_out(x, 0.2, 0, scheme=scheme, mode=mode, exposure=exposure)
    test = split.test
    cells = list(test.subs.T)
    if scheme == "rows":  # the part has the held-out rows alone
        cells[1] = np.asarray(test.labels.coords[1])[cells[1]]
    assert_allclose(test.columns.exposure, exposure[tuple(cells)])
    assert_allclose(test.values, x[tuple(cells)])
    if scheme != "rows":
        result = gcp.fit_gcp(split.train, 1, loss="poisson", random_state=0)
        scores = gcp.analysis.prediction_scores(result, test)
        expected = exposure[tuple(test.subs.T)] * result.predict(test.subs)
        w = np.ones(len(expected)) if test.entry_weights is None else test.entry_weights
        assert_allclose(
            scores.rmse, np.sqrt(np.average((test.values - expected) ** 2, weights=w)), rtol=1e-10
        )


def test_strengths_are_chosen_beside_exposures_on_blocks(rng):
    week = np.arange(40)
    exposure = rng.uniform(1, 5, (12, 40))
    x = rng.poisson(exposure * np.outer(rng.gamma(2, 0.5, 12), 1 + np.sin(week / 6))).astype(float)
    choice = gcp.select_rank(
        x,
        [1],
        loss="poisson",
        exposure=exposure,
        penalties=[[], [Smooth(1, 1.0)], [Smooth(1, 100.0)]],
        scheme="blocks",
        mode=1,
        random_state=0,
    )
    assert choice.rank == 1
    assert choice.chosen.strengths.penalties  # counts of 1 or 2 a cell need some


def test_a_design_and_parameters_by_position(rng):
    x, _ = gcp.simulate((30, 8), 1, gcp.NegativeBinomial(r=2.0), scale=8.0, random_state=1)
    loss = gcp.NegativeBinomial(r="estimate", by=1)
    result = gcp.fit_gcp(x, 1, loss=loss, design={0: bspline(6)}, random_state=0)
    assert len(result.loss.r) == 8
    assert_allclose(result.predict().shape, (30, 8))
    again = gcp.fit_gcp(x, 1, loss=loss, design={0: np.eye(30)}, random_state=0, tol=1e-10)
    plain = gcp.fit_gcp(x, 1, loss=loss, random_state=0, tol=1e-10)
    assert_allclose(again.objective, plain.objective, rtol=1e-6)
