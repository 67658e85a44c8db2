"""Exposures, offsets and trials.

Truths: generalized linear models of statsmodels, distributions of SciPy, sums by NumPy, and fits of the same problem
that is put in other words.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import DataError, ObservedTensor, ParameterError, SparseTensor, analysis, fit_gcp

SHAPE = (6, 5, 4)
TAKING = {
    "poisson": gcp.Poisson(),
    "poisson-log": gcp.PoissonLog(),
    "negative-binomial": gcp.NegativeBinomial(r=2.0),
    "negative-binomial-logit": gcp.NegativeBinomialLogit(r=2.0),
    "gamma": gcp.Gamma(),
}


@pytest.fixture
def exposure(rng):
    return 10.0 ** rng.uniform(-1, 1, SHAPE)


def data_of(loss, exposure, seed=0, **others):
    return gcp.simulate(exposure.shape, 2, loss, scale=1.0, exposure=exposure, random_state=seed, **others)[0]


@pytest.mark.parametrize("loss", TAKING.values(), ids=TAKING)
def test_expected_data_are_exposure_times_the_mean(loss, exposure, rng):
    factors = random_factors(SHAPE, 2, rng, positive=True)
    x = loss.sample(loss.link(exposure * loss.mean(full(factors))), rng)
    found = gcp.build_objective(x, loss, exposure=exposure)
    eps = found.loss
    truth = -np.sum(
        eps.log_likelihood(x, eps.link(exposure * eps.mean(full(factors)))) + eps.log_normalizer(x)
    )
    assert_allclose(found.value_and_grad(factors)[0], truth, rtol=1e-9)


def test_poisson_exposure_is_a_weight_of_the_rate(exposure, rng):
    x = rng.poisson(exposure * 3.0).astype(float)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    _, one = gcp.build_objective(x, gcp.Poisson(eps=1e-12), exposure=exposure).value_and_grad(factors)
    rates = gcp.BetaDivergence(beta=1.0, eps=1e-12)
    _, other = gcp.build_objective(x / exposure, rates, entry_weights=exposure).value_and_grad(factors)
    for g, h in zip(one, other, strict=True):
        assert_allclose(g, h, rtol=1e-9)


@pytest.mark.parametrize("loss", TAKING.values(), ids=TAKING)
def test_the_best_constant_is_that_of_scipy(loss, exposure):
    from scipy.optimize import minimize_scalar

    data = data_of(loss, exposure)
    objective = gcp.build_objective(data, loss)
    own = objective.loss

    def value(t):
        mean = exposure * np.exp(t)
        return float(np.sum(own.value(data.values, own.link(mean))))

    best = minimize_scalar(value, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
    assert_allclose(own.mean(objective.null_constant), np.exp(best.x), rtol=1e-5)
    assert_allclose(objective.null_value, best.fun, rtol=1e-9)


# --- one mode beside modes of size 1 is a generalized linear model ------------------------------------------------


def glm(family, x, design, **options):
    sm = pytest.importorskip("statsmodels.api")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sm.GLM(x, design, family=family(sm.families), **options).fit(tol=1e-13, maxiter=200)


def two_way(shape):
    """The design of an additive model: all rows, and all columns but the first."""
    rows, columns = np.indices(shape).reshape(2, -1)
    return np.column_stack([np.eye(shape[0])[rows], np.eye(shape[1])[columns][:, 1:]])


def additive(x, loss, **options):
    return fit_gcp(x, 0, loss=loss, main_effects=True, tol=1e-14, n_iter_max=2000, **options)


@pytest.mark.parametrize("name", ["poisson", "negative binomial"])
def test_a_log_link_with_exposure_is_the_model_of_statsmodels(name, rng):
    e = 10.0 ** rng.uniform(-1, 1, (7, 5))
    x = rng.poisson(5 * e * np.exp(rng.normal(size=(7, 1)) + rng.normal(size=5)))
    if name == "poisson":
        loss, family = gcp.PoissonLog(), lambda f: f.Poisson()
    else:  # its logit link is that of a mean r e^m
        loss, family = gcp.NegativeBinomialLogit(r=2.0), lambda f: f.NegativeBinomial(alpha=0.5)
    truth = glm(family, x.ravel(), two_way(x.shape), exposure=e.ravel())
    found = additive(x, loss, exposure=e)
    assert_allclose(found.predict(exposure=e).ravel(), truth.mu, rtol=2e-6)
    assert_allclose(analysis.deviance(found, x, exposure=e).deviance, truth.deviance, rtol=1e-6)
    judged = analysis.information_criteria(found, x, exposure=e)
    assert_allclose(judged.log_likelihood, truth.llf, rtol=1e-6)
    assert_allclose(judged.aic, truth.aic, rtol=1e-6)


def test_an_offset_is_that_of_statsmodels(rng):
    o = rng.normal(size=(7, 5))
    x = rng.poisson(np.exp(o + 1 + rng.normal(size=(7, 1))))
    truth = glm(lambda f: f.Poisson(), x.ravel(), two_way(x.shape), offset=o.ravel())
    found = additive(x, "poisson-log", offset=o)
    assert_allclose(found.predict(offset=o).ravel(), truth.mu, rtol=2e-6)
    assert_allclose(analysis.log_likelihood(found, x, offset=o), truth.llf, rtol=1e-6)
    assert_allclose(analysis.deviance(found, x, offset=o).deviance, truth.deviance, rtol=1e-6)


def test_trials_are_those_of_statsmodels(rng):
    n = rng.integers(5, 40, (7, 5))
    k = rng.binomial(n, 1 / (1 + np.exp(-rng.normal(size=(7, 1)) - rng.normal(size=5))))
    design = two_way(k.shape)
    truth = glm(lambda f: f.Binomial(), np.column_stack([k.ravel(), (n - k).ravel()]), design)
    found = additive(k, "bernoulli-logit", trials=n)
    assert_allclose(found.predict().ravel(), truth.mu, rtol=2e-6)
    judged = analysis.information_criteria(found, k, trials=n)
    assert_allclose(judged.log_likelihood, truth.llf, rtol=1e-6)
    assert_allclose(judged.aic, truth.aic, rtol=1e-6)
    assert_allclose(judged.bic, np.log(k.size) * design.shape[1] - 2 * truth.llf, rtol=1e-6)
    assert_allclose(analysis.deviance(found, k, trials=n).deviance, truth.deviance, rtol=1e-6)


def test_standard_errors_are_those_of_statsmodels(rng):
    """A matrix with a mode that is fixed at ones: each column has a rate of its own."""
    e = rng.uniform(0.5, 2.0, (3, 6))
    x, design = rng.poisson(20 * e), np.eye(6)[np.indices(e.shape)[1].ravel()]
    identity = pytest.importorskip("statsmodels.api").families.links.Identity()
    truth = glm(lambda f: f.Poisson(identity), (x / e).ravel(), design, var_weights=e.ravel())
    init = (np.ones(1), [np.ones((3, 1)), np.full((6, 1), 20.0)])
    found = fit_gcp(x, 1, loss="poisson", exposure=e, init=init, fixed_modes=[0], tol=1e-12)
    errors = analysis.standard_errors(found, x, exposure=e, bias_correction=False)
    rates = found.model_values()[0]
    assert_allclose(rates, truth.params, rtol=1e-6)
    weight = np.sqrt(np.sum((rates * truth.bse) ** 2) / np.sum(rates**2))  # of the norm of the rates
    assert_allclose(errors.weights, np.sqrt(3) * weight, rtol=1e-5)


# --- judging ------------------------------------------------------------------------------------------------------


def test_judges_are_those_of_scipy(exposure):
    data = data_of("poisson", exposure)
    x = data.values.astype(float)
    fit = fit_gcp(x, 2, loss="poisson", exposure=exposure, random_state=0)
    mu = exposure * fit.predict()
    assert_allclose(fit.predict(exposure=exposure), mu)
    assert_allclose(
        analysis.log_likelihood(fit, x, exposure=exposure), stats.poisson.logpmf(x, mu).sum(), rtol=1e-7
    )
    worst = analysis.anomalies(fit, x, 5, "high", exposure=exposure)
    at = tuple(worst.subs.T)
    assert_allclose(worst.p_value, stats.poisson.sf(x[at] - 1, mu[at]), rtol=1e-6)
    assert_allclose(worst.expected, mu[at], rtol=1e-9)
    assert_allclose(analysis.residuals(fit, x, "response", exposure=exposure), x - mu, atol=1e-9)
    groups = analysis.calibration(fit, x, 1, exposure=exposure)
    assert_allclose([groups.expected[0], groups.observed[0]], [mu.mean(), x.mean()], rtol=1e-9)
    assert_allclose(
        analysis.prediction_scores(fit, x, exposure=exposure).mae, np.abs(x - mu).mean(), rtol=1e-9
    )
    slices = analysis.slice_deviance(fit, x, 1, exposure=exposure)
    assert_allclose(slices.deviance.sum(), analysis.deviance(fit, x, exposure=exposure).deviance, rtol=1e-9)
    assert_allclose(
        slices.null_deviance.sum(), analysis.deviance(fit, x, exposure=exposure).null_deviance, rtol=1e-9
    )


def test_the_sum_of_expected_counts_is_that_of_the_data(exposure):
    data = data_of("poisson", exposure)
    fit = fit_gcp(data, 2, loss="poisson", random_state=0, tol=1e-12)
    assert_allclose(fit.predict(exposure=exposure).sum(), data.values.sum(), rtol=1e-6)


def test_binomial_judges_are_those_of_scipy(rng):
    n = rng.integers(1, 30, SHAPE)
    data, _ = gcp.simulate(SHAPE, 2, "bernoulli-logit", trials=n, random_state=0)
    k = np.rint(data.values * n)
    fit = fit_gcp(k, 2, loss="bernoulli-logit", trials=n, random_state=0)
    p = fit.predict()
    assert_allclose(analysis.log_likelihood(fit, k, trials=n), stats.binom.logpmf(k, n, p).sum(), rtol=1e-9)
    worst = analysis.anomalies(fit, k, 5, "low", trials=n)
    at = tuple(worst.subs.T)
    assert_allclose(worst.p_value, stats.binom.cdf(k[at], n[at], p[at]), rtol=1e-9)
    assert_allclose([worst.observed, worst.expected], [k[at], (n * p)[at]], rtol=1e-9)
    below = stats.binom.cdf(k - 1, n, p)
    u = stats.norm.cdf(analysis.residuals(fit, k, random_state=0, trials=n))
    assert np.all((u >= below - 1e-9) & (u <= stats.binom.cdf(k, n, p) + 1e-9))
    answers = analysis.binary_scores(fit, k, trials=n)
    assert_allclose(answers.brier, np.sum(k * (1 - p) ** 2 + (n - k) * p**2) / n.sum(), rtol=1e-9)


def test_shares_and_counts_are_told_apart(rng):
    n = rng.integers(2, 9, SHAPE)
    k = rng.binomial(n, 0.4)
    one = fit_gcp(k, 1, loss="bernoulli-logit", trials=n, random_state=0)
    other = fit_gcp(k / n, 1, loss="bernoulli-logit", trials=n, random_state=0)
    assert one.objective == other.objective
    answers = rng.integers(0, 2, SHAPE)
    plain = fit_gcp(answers, 1, loss="bernoulli-logit", random_state=0)
    once = fit_gcp(answers, 1, loss="bernoulli-logit", trials=1, random_state=0)
    assert_allclose(once.objective, plain.objective, rtol=1e-9)


def test_a_trial_is_an_answer_of_its_own(rng):
    """n answers in a cell cost what they do one by one, along a further mode."""
    answers = rng.integers(0, 2, (*SHAPE, 3))
    factors = random_factors(SHAPE, 2, rng)
    for loss in ("bernoulli-logit", "bernoulli-odds", "bernoulli-poisson"):
        own = [np.abs(a) for a in factors] if loss != "bernoulli-logit" else factors
        apart = gcp.build_objective(answers, gcp.get_loss(loss)).value_and_grad(
            [*own, np.ones((3, 1)) * [1, 1]]
        )
        once = gcp.build_objective(answers.sum(axis=-1), gcp.get_loss(loss), trials=3).value_and_grad(own)
        assert_allclose(once[0], apart[0], rtol=1e-7)
        for g, h in zip(once[1], apart[1], strict=False):
            assert_allclose(g, h, rtol=1e-6, atol=1e-9)


# --- how it is given ----------------------------------------------------------------------------------------------


def test_names_decide_the_order(rng):
    e = xr.DataArray(
        rng.uniform(1, 2, (5, 6)), dims=("year", "state"), coords={"year": range(5), "state": list("abcdef")}
    )
    x = xr.DataArray(
        rng.poisson(4.0, SHAPE),
        dims=("state", "year", "crime"),
        coords={"state": list("fbcdea"), "year": range(5)},
    )
    whole = e.sel(state=list("fbcdea")).transpose("state", "year").to_numpy()[:, :, None]
    truth = fit_gcp(x.to_numpy(), 2, loss="poisson", exposure=whole, random_state=0).objective
    for given in (
        e,
        e.to_series(),
        gcp.from_frame(e.to_series().reset_index(name="v"), ["state", "year"], "v"),
    ):
        assert_allclose(
            fit_gcp(x, 2, loss="poisson", exposure=given, random_state=0).objective, truth, rtol=1e-12
        )
    with pytest.raises(DataError, match="state"):
        fit_gcp(x, 2, loss="poisson", exposure=e.sel(state=list("abcde")))


def test_a_table_has_a_column_of_exposures(rng):
    frame = pd.DataFrame({"a": np.repeat(range(6), 5), "b": np.tile(range(5), 6)})
    frame["hours"], frame["n"] = rng.uniform(1, 3, 30), rng.poisson(4.0, 30)
    frame = frame.sample(frac=1, random_state=0)
    tensor = gcp.from_frame(frame, modes=["a", "b"], value="n", exposure="hours")
    plain = frame.sort_values(["a", "b"])
    values, hours = (plain[name].to_numpy().reshape(6, 5) for name in ("n", "hours"))
    fit = fit_gcp(tensor, 1, loss="poisson", random_state=0)
    assert fit.objective == fit_gcp(values, 1, loss="poisson", exposure=hours, random_state=0).objective
    assert fit.problem.carried == ("exposure",)


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_no_exposure_is_no_observation(exposure, nothing):
    x = data_of("poisson", exposure).values
    mask = np.ones(SHAPE, bool)
    mask[1, 2, 3] = mask[0, 0] = False
    given = np.where(mask, exposure, nothing)
    one = fit_gcp(x, 2, loss="poisson", exposure=given, random_state=0)
    other = fit_gcp(x, 2, loss="poisson", exposure=exposure, mask=mask, random_state=0)
    assert_allclose(one.objective, other.objective, rtol=1e-12)
    trials = fit_gcp(
        np.minimum(x, 2), 1, loss="bernoulli-logit", trials=np.where(mask, 2, nothing), random_state=0
    )
    masked = fit_gcp(np.minimum(x, 2), 1, loss="bernoulli-logit", trials=2, mask=mask, random_state=0)
    assert_allclose(trials.objective, masked.objective, rtol=1e-12)


@pytest.mark.parametrize("shape", [SHAPE, (6, 1, 4)])
@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_zeros_without_exposure_do_not_count(rng, shape, nothing):
    given = rng.uniform(1, 9, shape)
    given[1, 0, 3] = given[0] = nothing
    x = data_of("poisson", np.ones(SHAPE)).values * (rng.random(SHAPE) < 0.5)
    subs = np.argwhere(x)
    tensor = SparseTensor(subs, x[tuple(subs.T)], SHAPE)
    fit = fit_gcp(tensor, 1, loss="poisson", exposure=given, random_state=0)
    seen = np.broadcast_to(given > 0, SHAPE)
    mean = fit.predict(exposure=np.where(given > 0, given, 1.0))[seen]
    expected = np.mean(x[seen] * np.log(mean + 1e-10) - mean)
    assert_allclose(fit.score(tensor, exposure=given), expected, rtol=1e-6)
    found = analysis.information_criteria(fit, tensor, exposure=given)
    assert_allclose(found.log_likelihood, stats.poisson.logpmf(x[seen], mean).sum(), rtol=1e-6)
    assert_allclose(found.bic, found.n_parameters * np.log(seen.sum()) - 2 * found.log_likelihood)
    assert [rows.tolist() for rows in fit.unknown.values()] == [[0]]
    mixed = gcp.ZeroInflatedPoisson()
    one = fit_gcp(tensor, 1, loss=mixed, exposure=given, random_state=0)
    other = fit_gcp(x, 1, loss=mixed, exposure=given, random_state=0)
    assert_allclose(one.loss.gate, other.loss.gate, rtol=1e-3)


def test_what_does_not_fit_is_refused(exposure, rng):
    x = data_of("poisson", exposure).values
    with pytest.raises(DataError, match=r"exposure must hold .* found -1.0 at \(0, 0, 2\)"):
        fit_gcp(x, 1, loss="poisson", exposure=np.where(np.arange(4) == 2, -1.0, exposure))
    with pytest.raises(DataError, match="whole and nonnegative"):
        fit_gcp(x, 1, loss="bernoulli-logit", trials=0.5)
    with pytest.raises(DataError, match="of 1 trials at"):
        fit_gcp(np.full(SHAPE, 2), 1, loss="bernoulli-logit", trials=1)
    with pytest.raises(DataError, match="broadcasts"):
        fit_gcp(x, 1, loss="poisson", exposure=np.ones(3))
    for loss in ("gaussian", "huber", "rayleigh", "beta-divergence", "bernoulli-logit"):
        with pytest.raises(ParameterError, match="takes no exposure"):
            fit_gcp(np.minimum(x, 1) + (loss == "rayleigh"), 1, loss=loss, exposure=exposure)
    with pytest.raises(ParameterError, match="takes no trials"):
        fit_gcp(np.minimum(x, 9), 1, loss="poisson", trials=9)
    with pytest.raises(ParameterError, match="takes no offset"):
        fit_gcp(x, 1, loss="poisson", offset=1.0)
    carrying = gcp.tensors.intake.coerce.as_tensor(x, exposure=exposure)
    with pytest.raises(DataError, match="carry an exposure already"):
        fit_gcp(carrying, 1, loss="poisson", exposure=exposure)


def test_a_judge_needs_what_the_fit_had(exposure):
    data = data_of("poisson", exposure)
    fit = fit_gcp(data, 1, loss="poisson", random_state=0)
    plain = fit_gcp(data.values, 1, loss="poisson", random_state=0)
    for judge in (
        fit.score,
        fit.deviance_explained,
        lambda x: analysis.anomalies(fit, x),
        lambda x: fit.transform(x, 0),
    ):
        with pytest.raises(DataError, match="was fitted with an exposure"):
            judge(data.values)
    with pytest.raises(DataError, match="was fitted without an exposure"):
        plain.score(data)
    assert fit.score(data) == fit.score(data.values, exposure=exposure)


# --- lists of entries ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", TAKING.values(), ids=TAKING)
def test_observed_entries_carry_what_cells_do(loss, exposure, rng):
    x = np.asarray(data_of(loss, exposure).values, dtype=float)
    known = rng.random(SHAPE) < 0.7
    subs = np.argwhere(known)
    tensor = ObservedTensor(subs, x[known], SHAPE)
    at = tuple(tensor.subs.T)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    value, grad = gcp.build_objective(x, loss, mask=known, exposure=exposure).value_and_grad(factors)
    for given in (exposure, exposure[at], SparseTensor(np.argwhere(exposure), exposure.ravel(), SHAPE)):
        found, own = gcp.build_objective(tensor, loss, exposure=given).value_and_grad(factors)
        assert_allclose(found, value, rtol=1e-9)
        assert_allclose(own[0], grad[0], rtol=1e-9)
    some = ObservedTensor(subs, x[known], SHAPE)
    mask = [np.arange(6) != 2, None, None]
    one = gcp.build_objective(some, loss, mask, exposure=exposure[at]).value_and_grad(factors)[0]
    both = known & (np.arange(6) != 2)[:, None, None]
    other = gcp.build_objective(x, loss, both, exposure=exposure)
    assert_allclose(one, other.value_and_grad(factors)[0], rtol=1e-9)


@pytest.mark.parametrize("loss", [TAKING[n] for n in TAKING if n != "gamma"], ids=lambda loss: loss.name)
def test_zeros_of_sparse_data_are_exact(loss, rng):
    vectors = [rng.uniform(0.3, 3.0, n) for n in SHAPE]
    product = full([v[:, None] for v in vectors])
    x = np.where(rng.random(SHAPE) < 0.3, rng.poisson(2 * product), 0)
    sparse = SparseTensor(np.argwhere(x), x[x > 0], SHAPE)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    one_mode = vectors[1][:, None]
    for given, whole in ((vectors, product), (product, product), ([None, vectors[1], None], one_mode)):
        objective = gcp.build_objective(sparse, loss, exposure=given)
        assert objective.tensor.zeros is not None  # nothing was stored densely
        value, grad = objective.value_and_grad(factors)
        truth, dense = gcp.build_objective(x, objective.loss, exposure=whole).value_and_grad(factors)
        assert_allclose(value, truth, rtol=1e-9)
        for g, h in zip(grad, dense, strict=True):
            assert_allclose(g, h, rtol=1e-8, atol=1e-9)
        assert_allclose(
            objective.null_constant, gcp.build_objective(x, loss, exposure=whole).null_constant, rtol=1e-6
        )


@pytest.mark.parametrize("shape", [(6, 5, 1), (1, 5, 4), (6, 5, 4)])
@pytest.mark.parametrize("loss", [TAKING["poisson"], TAKING["poisson-log"]], ids=lambda loss: loss.name)
def test_exposures_over_some_modes_are_no_products(loss, shape, rng):
    exposure = rng.uniform(0.3, 3.0, shape)
    exposure[-1, 2, -1] = 0.0
    x = np.where(rng.random(SHAPE) < 0.4, rng.poisson(2.0, SHAPE), 0)
    mask = [np.arange(6) != 3, None, None]
    sparse = SparseTensor(np.argwhere(x), x[x > 0], SHAPE)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    known = np.broadcast_to((exposure > 0) & (np.arange(6) != 3)[:, None, None], SHAPE)
    truth = gcp.build_objective(x, loss, known, exposure=exposure)
    found = gcp.build_objective(sparse, loss, mask, exposure=exposure)
    assert (found.tensor.zeros is not None) == (loss.name == "poisson")
    value, grad = found.value_and_grad(factors)
    assert_allclose(value, truth.value_and_grad(factors)[0], rtol=1e-8)
    for g, h in zip(grad, truth.value_and_grad(factors)[1], strict=True):
        assert_allclose(g, h, rtol=1e-7, atol=1e-9)
    options = {
        "loss": loss,
        "mask": mask,
        "exposure": exposure,
        "random_state": 0,
        "tol": 1e-12,
        "l2_reg": 0.1,
    }
    for effects in (False, True):
        fit = fit_gcp(sparse, 1, main_effects=effects, **options)
        again = fit_gcp(x, 1, init=fit, main_effects=effects, **(options | {"mask": known}))
        assert_allclose(fit.objective, again.objective, rtol=1e-7)
    judged = [
        analysis.log_likelihood(fit, data, mask=m, exposure=exposure)
        for data, m in ((x, known), (sparse, mask))
    ]
    assert_allclose(*judged, rtol=1e-8)


@pytest.mark.parametrize("name", ["poisson", "poisson-log"])
def test_sparse_fits_are_those_of_dense_data(name, rng):
    vectors = [rng.uniform(0.3, 3.0, n) for n in SHAPE]
    product = full([v[:, None] for v in vectors])
    x = gcp.simulate(SHAPE, 1, name, scale=0.7, exposure=product, random_state=1)[0].values
    sparse = SparseTensor(np.argwhere(x), x[x > 0], SHAPE)
    options = {"loss": name, "exposure": product, "random_state": 0, "n_starts": 6, "tol": 1e-10}
    options["l2_reg"] = 0.1  # or models of zeros run off
    dense, listed = fit_gcp(x, 1, **options), fit_gcp(sparse, 1, **options)
    assert_allclose(listed.objective, dense.objective, rtol=1e-6)
    assert_allclose(listed.predict(), dense.predict(), rtol=2e-3, atol=1e-4)
    judged = [analysis.log_likelihood(listed, data, exposure=product) for data in (x, sparse)]
    assert_allclose(*judged, rtol=1e-9)
    high = [analysis.anomalies(listed, data, 3, "high", exposure=product).p_value for data in (x, sparse)]
    assert_allclose(*high, rtol=1e-6)


@pytest.mark.parametrize("shape", [(6, 1, 1), (6, 1, 4)])
def test_sparse_counts_are_judged_as_dense_ones(shape, rng):
    exposure = rng.uniform(0.5, 2.0, shape)
    x = gcp.simulate(SHAPE, 1, "poisson", scale=1.5, exposure=exposure, random_state=2)[0].values
    sparse = SparseTensor(np.argwhere(x), x[x > 0], SHAPE)
    fit = fit_gcp(x, 1, loss="poisson", exposure=exposure, random_state=0)
    own = [analysis.dispersion_test(fit, data, exposure=exposure) for data in (x, sparse)]
    assert_allclose(own[0].statistic, own[1].statistic, rtol=1e-6)
    errors = [analysis.standard_errors(fit, data, exposure=exposure).factors[0] for data in (x, sparse)]
    assert_allclose(*errors, rtol=1e-6)
    scores = [analysis.prediction_scores(fit, data, exposure=exposure).rmse for data in (x, sparse)]
    assert_allclose(*scores, rtol=1e-9)


def test_sparse_data_of_many_cells_are_not_stored(rng):
    subs = rng.integers(0, 2000, (50, 3))
    sparse = SparseTensor(subs, np.ones(50), (2000, 2000, 2000), aggregate="sum")
    with pytest.raises(DataError, match="looked at one by one: give a product over modes"):
        fit_gcp(sparse, 1, loss="poisson-log", offset=rng.uniform(1, 2, (2000, 20, 1)).repeat(100, axis=1))
    pair = rng.uniform(1, 2, (2000, 2000, 1))
    fit = fit_gcp(sparse, 1, loss="poisson", exposure=pair, random_state=0)
    a, b, c = fit.factors
    assert_allclose(fit.weights[0] * (a.T @ pair[:, :, 0] @ b) * c.sum(), 50, rtol=1e-5)
    depth = rng.uniform(1, 2, (2000, 1, 1))
    fit = fit_gcp(sparse, 1, loss="poisson", exposure=depth, random_state=0)
    totals = [fit.weights[0], *(a[:, 0].sum() for a in fit.factors[1:]), (depth.ravel() @ fit.factors[0])[0]]
    assert_allclose(np.prod(totals), 50, rtol=1e-5)
    cells = SparseTensor(sparse.subs, np.full(len(sparse.values), 3.0), sparse.shape)
    assert fit_gcp(sparse, 1, loss="poisson", exposure=cells, random_state=0).problem.carried == ("exposure",)


# --- everything else that fits ------------------------------------------------------------------------------------


def test_new_rows_are_those_of_a_fit(exposure):
    data = data_of("poisson", exposure)
    fit = fit_gcp(data, 2, loss="poisson", random_state=0, tol=1e-12)
    rows = fit.transform(data.values[:3], 0, exposure=exposure[:3]).rows
    assert_allclose(rows, fit.factors[0][:3], atol=1e-5)


def test_held_out_totals_are_unbiased(exposure):
    data = data_of("poisson", exposure)
    found = [gcp.hold_out(data, 0.3, seed).test for seed in range(200)]
    totals = [float(test.values @ test.entry_weights) for test in found]
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - data.values.sum()) < 4 * error
    at = tuple(found[0].subs.T)
    assert_allclose(found[0].columns.exposure, exposure[at])


def test_drawn_data_have_their_exposures(exposure):
    fit = fit_gcp(data_of("poisson", exposure), 1, loss="poisson", random_state=0)
    wide = np.repeat(exposure[None], 300, axis=0)
    data, truth = gcp.simulate(wide.shape, 1, "poisson", exposure=wide, random_state=0)
    weights, factors = truth
    mean = wide * full([factors[0] * weights, *factors[1:]])
    assert_allclose(data.values.mean(), mean.mean(), rtol=4 / np.sqrt(mean.sum()))
    errors = analysis.standard_errors(fit, data_of("poisson", exposure))
    drawn = analysis.bootstrap(fit, data_of("poisson", exposure), 40, random_state=0)
    assert_allclose(drawn.weights.std(axis=0), errors.weights, rtol=0.5)


def test_selection_thinning_and_suggestions_know_it(exposure):
    wide = np.concatenate([exposure, 2 * exposure])
    data = data_of("poisson", wide, seed=3)
    for method in ("cells", "thinning"):
        choice = gcp.select_rank(
            data.values,
            [1, 2],
            loss="poisson",
            l2_reg=0.0,
            method=method,
            n_splits=2,
            random_state=0,
            exposure=wide,
        )
        assert choice.result.problem.carried == ("exposure",)
    assert analysis.suggest_loss(data).best in ("poisson", "negative-binomial")
    trials = gcp.simulate(SHAPE, 1, "bernoulli-logit", trials=9, random_state=0)[0]
    assert analysis.suggest_loss(trials).best == "bernoulli-logit"
    halves = analysis.split_half(data.values, 1, n_splits=1, loss="poisson", exposure=wide, random_state=0)
    assert halves.scores[0] > 0.5


def test_r_is_estimated_beside_an_exposure():
    e = 10.0 ** np.random.default_rng(0).uniform(-1, 1, (20, 15, 12))
    data = gcp.simulate(e.shape, 1, gcp.NegativeBinomial(r=3.0), scale=2.0, exposure=e, random_state=0)[0]
    fit = fit_gcp(data, 1, loss=gcp.NegativeBinomial(r="estimate"), random_state=0)
    assert 2.4 < fit.loss.r < 3.8


def test_files_keep_it(exposure, tmp_path):
    data = data_of("poisson", exposure)
    gcp.write_tensor(tmp_path / "x.npz", data)
    fit = fit_gcp(data, 1, loss="poisson", random_state=0, checkpoint=tmp_path / "c.npz")
    assert (
        fit_gcp(gcp.read_tensor(tmp_path / "x.npz"), 1, loss="poisson", random_state=0).objective
        == fit.objective
    )
    with pytest.raises(DataError, match=r"only \.npz holds"):
        gcp.write_tensor(tmp_path / "x.csv", data)
    with pytest.raises(DataError, match=r"c\.npz"):
        fit_gcp(
            data.values,
            1,
            loss="poisson",
            exposure=2 * exposure,
            random_state=0,
            checkpoint=tmp_path / "c.npz",
        )
    fit.save(tmp_path / "fit.npz")
    assert gcp.load(tmp_path / "fit.npz") == fit
    assert "exposure" in str(fit)


@pytest.mark.parametrize("shape", [(6, 1, 1), (6, 5, 1)])
def test_files_of_sparse_data_keep_it(shape, rng, tmp_path):
    exposure, x = rng.uniform(1, 2, shape), rng.poisson(0.5, SHAPE)
    sparse = gcp.tensors.intake.coerce.as_tensor(
        SparseTensor(np.argwhere(x), x[x > 0], SHAPE), exposure=exposure
    )
    gcp.write_tensor(tmp_path / "x.npz", sparse)
    again = gcp.read_tensor(tmp_path / "x.npz")
    fits = [fit_gcp(data, 1, loss="poisson", random_state=0).objective for data in (sparse, again)]
    assert fits[0] == fits[1]
    whole = fit_gcp(x, 1, loss="poisson", exposure=exposure, random_state=0)
    assert_allclose(fits[0], whole.objective, rtol=1e-6)


def test_an_estimator_takes_it(exposure):
    x = data_of("poisson", exposure).values
    model = gcp.GCP(1, loss="poisson", random_state=0)
    rows = model.fit_transform(x, exposure=exposure)
    assert_allclose(model.transform(x, exposure=exposure), rows, rtol=1e-4)
    assert np.isfinite(model.score(x, exposure=exposure))
