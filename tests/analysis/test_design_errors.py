"""Designs as regression. Truths: statsmodels' generalized linear models, fits of merged positions, sampling."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import analysis, designs
from gcp.analysis.leverage import leverages
from gcp.objectives.known_cells import known_cells, tensor_of

sm = pytest.importorskip("statsmodels.api")

N = 200
SOLVER = gcp.PreconditionedLBFGS(tol=0.0, gradient_tol=1e-12)


def table(rng):
    """A constant, two features, and years, which are nearly a constant."""
    return np.column_stack(
        [np.ones(N), rng.normal(size=N), rng.integers(0, 2, N), 2000.0 + rng.integers(0, 20, N)]
    )


def drawn(loss, rng):
    """Data of a generalized linear model, its table, and statsmodels' fit."""
    z = table(rng)
    eta = z @ [-99.4, 0.5, 0.3, 0.05]
    if loss == "poisson-log":
        y, family = rng.poisson(np.exp(eta)), sm.families.Poisson()
    elif loss == "bernoulli-logit":
        y, family = rng.random(N) < 1 / (1 + np.exp(-eta)), sm.families.Binomial()
    elif loss == "gaussian":
        y, family = eta + 0.5 * rng.normal(size=N), sm.families.Gaussian()
    elif loss == "poisson":
        z = np.column_stack([z[:, 0], z[:, 2], rng.random(N)])
        y, family = rng.poisson(z @ [2.0, 1.0, 3.0]), sm.families.Poisson(sm.families.links.Identity())
    else:
        z = np.column_stack([z[:, 0], z[:, 2], rng.random(N)])
        y, family = rng.gamma(4.0, z @ [2.0, 1.0, 3.0] / 4), sm.families.Gamma(sm.families.links.Identity())
    y = np.asarray(y, dtype=float)
    return y, z, sm.GLM(y, z, family=family).fit(tol=1e-14, maxiter=200)


@pytest.mark.filterwarnings("ignore:The Identity link:Warning")
@pytest.mark.parametrize("shape", [(N, 1, 1), (1, N)])
@pytest.mark.parametrize("loss", ["poisson-log", "bernoulli-logit", "gaussian", "poisson", "gamma"])
def test_one_mode_beside_modes_of_size_1_is_a_generalized_linear_model(loss, shape, rng):
    y, z, truth = drawn(loss, rng)
    y, mode = y.reshape(shape), shape.index(N)
    result = gcp.fit_gcp(y, 1, loss=loss, design={mode: z}, random_state=0, solver=SOLVER)
    has_dispersion = loss in ("gaussian", "gamma")
    dispersion = truth.scale if has_dispersion else None
    errors = analysis.standard_errors(result, y, bias_correction=False, dispersion=dispersion)
    found = errors.on_model_scale(mode)
    size = np.abs(z).max(axis=0)
    assert_allclose(found.values[:, 0] * size, truth.params * size, atol=1e-6)
    assert_allclose(found.errors[:, 0] * size, truth.bse * size, atol=1e-6, rtol=1e-6)
    if loss == "gaussian":
        own = analysis.standard_errors(result, y, bias_correction=False)
        assert_allclose(own.on_model_scale(mode).errors, found.errors, rtol=1e-6)
    given = {"dispersion": truth.scale} if loss == "gamma" else {}
    assert_allclose(analysis.log_likelihood(result, y, **given), truth.llf, rtol=1e-8)
    criteria = analysis.information_criteria(result, y)
    assert criteria.n_parameters == z.shape[1] + has_dispersion
    if loss != "gamma":  # whose likelihood here is that of another dispersion
        assert_allclose(criteria.aic, truth.aic + 2 * has_dispersion, rtol=1e-8)


def test_leverages_are_those_of_a_generalized_linear_model(rng):
    y, z, truth = drawn("poisson-log", rng)
    result = gcp.fit_gcp(y[:, None], 1, loss="poisson-log", design={0: z}, random_state=0, solver=SOLVER)
    cells = known_cells(result, tensor_of(result, y[:, None]))
    expected = np.sum(truth.get_influence().hat_matrix_diag * truth.mu)
    assert_allclose(leverages(result, cells, float(np.sum(truth.mu**2))).variation, expected, rtol=1e-6)


@pytest.mark.parametrize("corrects", [False, True])
def test_errors_of_groups_are_those_of_merged_positions(corrects, rng):
    """Positions of a group that have one row are one position, each of whose cells counts as often."""
    truth = np.einsum("ir,jr,kr->ijk", *(rng.normal(size=(size, 2)) for size in (6, 7, 5)))
    x = np.repeat(truth, 3, axis=0) + 0.1 * rng.normal(size=(18, 7, 5))
    merged = x.reshape(6, 3, 7, 5).mean(axis=1)
    options = {"loss": "gaussian", "solver": SOLVER}
    small = gcp.fit_gcp(merged, 2, random_state=0, entry_weights=np.full(merged.shape, 3.0), **options)
    given = [np.repeat(small.factors[0], 3, axis=0) * small.weights, *small.factors[1:]]
    large = gcp.fit_gcp(x, 2, init=given, design={0: designs.groups(np.repeat(range(6), 3))}, **options)
    known = {"dispersion": 0.01, "bias_correction": corrects}
    one = analysis.standard_errors(large, x, **known)
    other = analysis.standard_errors(small, merged, entry_weights=np.full(merged.shape, 3.0), **known)
    assert_allclose(large.coefficients["mode_0"] * np.sqrt(3), small.factors[0], atol=1e-6)
    assert_allclose(one.coefficients["mode_0"] * np.sqrt(3), other.factors[0], rtol=1e-4)
    assert_allclose(one.factors[0][::3] * np.sqrt(3), other.factors[0], rtol=1e-4)
    assert_allclose(one.weights / np.sqrt(3), other.weights, rtol=1e-4)
    for n in (1, 2):
        assert_allclose(one.factors[n], other.factors[n], rtol=1e-4)
        assert_allclose(one.corrected_factors[n], other.corrected_factors[n], atol=1e-6)
    assert_allclose(one.corrected_weights / np.sqrt(3), other.corrected_weights, rtol=1e-5)
    assert_allclose(one.corrected_factors[0][::3] * np.sqrt(3), other.corrected_factors[0], atol=1e-6)
    assert analysis.n_parameters(large) == analysis.n_parameters(small)


def test_coefficients_at_a_bound_have_no_errors(rng):
    dose = np.linspace(0, 1, 12)
    x = rng.poisson(np.outer(np.full(12, 5.0), [1.0, 2.0, 3.0])[:, :, None] * np.ones(4))
    data = gcp.DenseTensor(x, labels=gcp.ModeLabels(["dose", "b", "c"], [dose, None, None]))
    result = gcp.fit_gcp(data, 1, loss="poisson", design={"dose": designs.monotone(5)}, random_state=0)
    at_bound = result.coefficients["dose"] == 0
    assert at_bound.any()
    errors = analysis.standard_errors(result, data)
    assert np.isnan(errors.coefficients["dose"][at_bound]).all()
    assert np.isfinite(errors.coefficients["dose"][0]).all()
    assert np.isfinite(errors.factors[0]).all()


def test_the_bootstrap_refits_with_the_design(rng):
    z = np.column_stack([np.ones(40), rng.normal(size=40)])
    m = np.einsum("ir,jr->ij", z @ [[1.0], [0.4]], np.ones((6, 1)))
    x = m + 0.3 * rng.normal(size=m.shape)
    result = gcp.fit_gcp(x, 1, loss="gaussian", design={0: z}, random_state=0)
    draws = analysis.bootstrap(result, x, 60, random_state=0, n_threads=1)
    expected = analysis.standard_errors(result, x).factors[0]
    assert_allclose(np.median(draws.factors[0].std(axis=0) / expected), 1.0, atol=0.2)


def test_a_mode_without_a_design_has_no_coefficients(rng):
    x = rng.random((6, 4, 3)) + 1
    result = gcp.fit_gcp(x, 1, loss="gaussian", random_state=0)
    assert result.coefficients == {}
    with pytest.raises(gcp.ParameterError, match="has no design"):
        analysis.standard_errors(result, x).on_model_scale(0)
