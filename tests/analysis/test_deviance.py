"""Deviance and likelihood against SciPy's distributions and tests, and of lists of entries against dense tensors."""

import numpy as np
import pytest
from helpers import full, random_factors
from numpy.testing import assert_allclose
from scipy import stats

import gcp
from gcp import (
    BetaDivergence,
    DataError,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    fit_gcp,
    get_loss,
    simulate,
)
from gcp.analysis import deviance, information_criteria, log_likelihood, n_parameters, slice_deviance

SHAPE = (7, 6, 5)


def fixed(data, factors, loss, **options):
    """A model with given factors."""
    modes = list(range(len(factors)))
    return fit_gcp(data, factors[0].shape[1], loss=loss, init=factors, fixed_modes=modes, **options)


def kinds(x, rng):
    """One tensor in every kind, with the known cells as weights of a dense one."""
    known = rng.random(x.shape) < 0.7
    cells = np.argwhere(np.ones(x.shape))
    unknown = np.argwhere(~known)
    return {
        "dense": (x, known),
        "observed": (ObservedTensor(cells[known.ravel()], x[known], x.shape), None),
        "sparse": (SparseTensor(np.argwhere(x), x[x != 0], x.shape, missing=unknown), None),
    }


def test_independence_in_a_table_has_scipys_g2():
    table = gcp.datasets.load_titanic()
    counts = np.asarray(table.values if hasattr(table, "values") else table, dtype=float)
    result = fit_gcp(table, 1, loss="poisson", random_state=0)
    expected = stats.contingency.expected_freq(counts)
    g2 = 2 * np.sum(stats.entropy(counts.ravel(), expected.ravel()) * counts.sum())
    assert_allclose(deviance(result, table).deviance, g2, rtol=1e-6)


def test_gaussian_deviance_is_the_residual_sum_of_squares(rng):
    x = rng.normal(size=SHAPE)
    result = fit_gcp(x, 2, random_state=0)
    found = deviance(result, x)
    assert_allclose(found.deviance, np.sum((x - result.model_values()) ** 2))
    assert_allclose(found.null_deviance, x.size * x.var())
    assert_allclose(found.explained, result.training_deviance_explained)
    assert found.total_weight == x.size


@pytest.mark.parametrize("kind", ["dense", "observed", "sparse"])
@pytest.mark.parametrize("loss", ["poisson", "negative-binomial", "bernoulli-logit"])
def test_slices_add_up(kind, loss, rng):
    data, _ = simulate(SHAPE, 2, loss, random_state=1)
    x = np.asarray(data.values, dtype=float)
    tensor, mask = kinds(x, rng)[kind]
    known = kinds(x, np.random.default_rng(0))["dense"][1] if mask is None else mask
    known = ~np.isnan(np.where(mask, x, np.nan)) if mask is not None else known
    factors = random_factors(SHAPE, 2, rng, positive=True)
    result = fixed(tensor, factors, loss, mask=mask)
    whole = deviance(result, tensor, mask=mask)
    for mode in range(3):
        found = slice_deviance(result, tensor, mode, mask=mask)
        assert_allclose(found.deviance.sum(), whole.deviance, rtol=1e-10)
        assert_allclose(found.null_deviance.sum(), whole.null_deviance, rtol=1e-8)
        assert_allclose(found.weight.sum(), whole.total_weight)
    by_name = slice_deviance(result, tensor, "mode_1", mask=mask)
    assert len(by_name.labels) == 6


def test_slices_by_hand(rng):
    x = rng.poisson(3.0, SHAPE).astype(float)
    x[2, 3, 1] = 0
    result = fit_gcp(x, 2, loss="poisson", random_state=0, n_iter_max=5)
    mu = result.model_values() + result.loss.eps
    terms = 2 * (np.where(x > 0, x * np.log(np.where(x > 0, x, 1) / mu), 0) - (x - mu))
    found = slice_deviance(result, SparseTensor(np.argwhere(x), x[x > 0], SHAPE), 1)
    assert_allclose(found.deviance, terms.sum(axis=(0, 2)), rtol=1e-7)
    assert_allclose(found.weight, 35)


LIKELIHOODS = {
    "gaussian": lambda x, m, s: stats.norm.logpdf(x, m, np.sqrt(s)),
    "poisson": lambda x, m, _: stats.poisson.logpmf(x, m),
    "poisson-log": lambda x, m, _: stats.poisson.logpmf(x, np.exp(m)),
    "bernoulli-odds": lambda x, m, _: stats.bernoulli.logpmf(x, m / (1 + m)),
    "bernoulli-logit": lambda x, m, _: stats.bernoulli.logpmf(x, 1 / (1 + np.exp(-m))),
    "bernoulli-poisson": lambda x, m, _: stats.bernoulli.logpmf(x, -np.expm1(-m)),
    "gamma": lambda x, m, s: stats.gamma.logpdf(x, 1 / s, scale=m * s),
    "rayleigh": lambda x, m, _: stats.rayleigh.logpdf(x, scale=m * np.sqrt(2 / np.pi)),
    "negative-binomial": lambda x, m, _: stats.nbinom.logpmf(x, 1.0, 1 / (1 + m)),
    "negative-binomial-logit": lambda x, m, _: stats.nbinom.logpmf(x, 1.0, 1 / (1 + np.exp(m))),
}


@pytest.mark.parametrize("loss", sorted(LIKELIHOODS))
def test_likelihood_is_scipys(loss, rng):
    data, _ = simulate(SHAPE, 2, loss, random_state=2)
    x = np.asarray(data.values, dtype=float)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    result, m = fixed(x, factors, loss), full(factors)
    found = information_criteria(result, x)
    dispersion = found.dispersion
    assert (dispersion is not None) == (loss in ("gaussian", "gamma"))
    expected = LIKELIHOODS[loss](x, m, dispersion).sum()
    assert_allclose(found.log_likelihood, expected, rtol=1e-7)
    if dispersion is not None:  # it is the maximum
        for other in (0.9 * dispersion, 1.1 * dispersion):
            assert log_likelihood(result, x, dispersion=other) < found.log_likelihood
            assert_allclose(
                log_likelihood(result, x, dispersion=other), LIKELIHOODS[loss](x, m, other).sum(), rtol=1e-7
            )
    assert found.n_parameters == (dispersion is not None)  # all factors are given
    assert_allclose(found.aic, 2 * found.n_parameters - 2 * expected, rtol=1e-7)
    assert_allclose(found.bic, found.n_parameters * np.log(x.size) - 2 * expected, rtol=1e-7)


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e6, 1e12])
@pytest.mark.parametrize("loss", ["gaussian", "gamma", BetaDivergence(0.0), BetaDivergence(2.0)], ids=str)
def test_the_unit_of_the_data_shifts_the_likelihood_by_its_logarithm(loss, unit, rng):
    factors = random_factors(SHAPE, 2, rng, positive=True)
    x = full(factors) * rng.gamma(20.0, 0.05, SHAPE)
    scaled = [unit * factors[0], *factors[1:]]
    found, other = (log_likelihood(fixed(*of, loss), of[0]) for of in ((x, factors), (unit * x, scaled)))
    assert_allclose(other + x.size * np.log(unit), found, rtol=1e-9)


def test_far_from_zero_the_likelihood_keeps_its_digits(rng):
    x = 2.0**30 + rng.integers(-8, 9, SHAPE) / 4  # numbers of float64, and so are their differences
    result = fixed(
        x, [np.full((size, 1), 2.0**30 if n == 0 else 1.0) for n, size in enumerate(SHAPE)], "gaussian"
    )
    variance = np.mean((x - 2.0**30) ** 2)
    expected = stats.norm.logpdf(x, 2.0**30, np.sqrt(variance)).sum()
    assert_allclose(log_likelihood(result, x, dispersion=variance), expected, rtol=1e-9)


@pytest.mark.parametrize("loss", ["poisson", "negative-binomial", "bernoulli-odds", "gaussian"])
def test_likelihood_of_lists_is_that_of_dense_tensors(loss, rng):
    data, _ = simulate(SHAPE, 2, loss, random_state=3)
    x = np.asarray(data.values, dtype=float) * (rng.random(SHAPE) < 0.5)
    state = np.random.default_rng(5)
    options = kinds(x, state)
    factors = random_factors(SHAPE, 2, rng, positive=True)
    found = []
    for tensor, mask in options.values():
        result = fixed(tensor, factors, loss, mask=mask)
        found.append(
            (log_likelihood(result, tensor, mask=mask), deviance(result, tensor, mask=mask).deviance)
        )
    assert_allclose(found[1], found[0], rtol=1e-9)
    assert_allclose(found[2], found[0], rtol=1e-9)


# --- numbers of parameters ---------------------------------------------------------------------------------


def rank_of_jacobian(model, parameters):
    """Of a function of a vector, at a generic point, by differences."""
    step, columns = 1e-5, []
    for e in np.eye(len(parameters)):
        columns.append((model(parameters + step * e) - model(parameters - step * e)).ravel())
    return np.linalg.matrix_rank(np.array(columns) / (2 * step), tol=1e-6)


@pytest.mark.parametrize(
    ("options", "free"),
    [
        ({}, [0, 1, 2]),
        ({"tied_modes": [(0, 1)]}, [0, 2]),
        ({"fixed": [1]}, [0, 2]),
        ({"fixed": [0, 2]}, [1]),
        ({"main_effects": True}, [0, 1, 2]),
        ({"main_effects": [1]}, [0, 1, 2]),
    ],
    ids=["free", "tied", "one fixed", "two fixed", "effects", "one effect"],
)
def test_parameters_are_the_dimensions_of_the_model(options, free, rng):
    shape = (6, 6, 5)
    template = random_factors(shape, 2, rng)
    template[1] = template[0] if "tied_modes" in options else template[1]
    x = rng.normal(size=shape)
    fixed_modes = options.pop("fixed", [])
    result = fit_gcp(x, 2, init=template, n_iter_max=2, fixed_modes=fixed_modes, **options)
    given = options.get("main_effects", [])
    modes = [0, 1, 2] if given is True else given

    def model(vector):
        factors, rest = list(template), vector
        for n in free:
            factors[n], rest = rest[: 2 * shape[n]].reshape(-1, 2), rest[2 * shape[n] :]
        if "tied_modes" in options:
            factors[1] = factors[0]
        m = full(factors)
        if modes:
            m, rest = m + rest[0], rest[1:]
        for n in modes:
            size = shape[n]
            m = m + rest[:size].reshape([-1 if k == n else 1 for k in range(3)])
            rest = rest[size:]
        return m

    size = sum(2 * shape[n] for n in free) + (1 + sum(shape[n] for n in modes) if modes else 0)
    assert n_parameters(result) == rank_of_jacobian(model, rng.normal(size=size))


# --- refusals ----------------------------------------------------------------------------------------------


def test_refusals(rng):
    x = rng.poisson(3.0, SHAPE)
    result = fit_gcp(x, 1, loss="poisson", random_state=0)
    with pytest.raises(DataError, match="shape"):
        deviance(result, x[:4])
    with pytest.raises(ParameterError, match="Unknown mode 'day'"):
        slice_deviance(result, x, "day")
    with pytest.raises(ParameterError, match="Unknown mode 3"):
        slice_deviance(result, x, 3)
    with pytest.raises(ParameterError, match="dispersion"):
        log_likelihood(result, x, dispersion=2.0)
    other = fit_gcp(x + 1.0, 1, loss=get_loss("beta-divergence", beta=0.5), random_state=0)
    with pytest.raises(ParameterError, match="likelihood"):
        log_likelihood(other, x + 1.0)


def test_huge_sparse_data_have_a_deviance_but_no_slices(rng):
    subs = np.unique(rng.integers(0, 10**4, (50, 3)), axis=0)  # too many cells, though few rows
    tensor = SparseTensor(subs, np.ones(len(subs)), (10**4,) * 3)
    result = fit_gcp(tensor, 1, loss="poisson", random_state=0, n_iter_max=2)
    assert deviance(result, tensor).deviance > 0
    with pytest.raises(ParameterError, match="too many"):
        slice_deviance(result, tensor, 0)
