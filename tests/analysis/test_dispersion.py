"""The dispersion test over simulated counts, and distributions of beta-divergences against SciPy's."""

import numpy as np
import pytest
from helpers import full
from numpy.testing import assert_allclose
from scipy import optimize, stats

import gcp
from gcp import (
    BetaDivergence,
    DenseTensor,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    fit_gcp,
    get_loss,
)
from gcp.analysis import anomalies, dispersion_test, information_criteria, leverage, log_likelihood, residuals
from gcp.analysis.likelihood import saturation
from gcp.objectives.known_cells import known_cells


def planted(shape, rank, mean, rng):
    factors = [rng.gamma(3.0, 1.0, (n, rank)) for n in shape]
    scale = (mean / full(factors).mean()) ** (1 / len(shape))
    return [a * scale for a in factors]


def statistics(shape, rank, mean, n, rng, r=None):
    """Of fits to counts of a planted model: Poisson ones, or negative-binomial ones."""
    factors = planted(shape, rank, mean, rng)
    m, found = full(factors), []
    for _ in range(n):
        x = rng.poisson(m if r is None else m * rng.gamma(r, 1 / r, shape)).astype(float)
        result = fit_gcp(x, rank, loss="poisson", init=factors, n_threads=1)
        found.append(dispersion_test(result, x))
    return found


@pytest.mark.parametrize(
    ("shape", "rank", "mean", "n"),
    [
        ((12, 10, 8), 1, 3.0, 60),
        pytest.param((12, 10, 8), 3, 3.0, 100, marks=pytest.mark.slow),
        pytest.param((8, 7, 6), 3, 2.0, 100, marks=pytest.mark.slow),
        pytest.param((30, 20), 2, 3.0, 100, marks=pytest.mark.slow),
        pytest.param((30, 20), 1, 0.5, 100, marks=pytest.mark.slow),
    ],
)
def test_the_statistic_of_poisson_counts_is_standard_normal(shape, rank, mean, n, rng):
    found = np.array([test.statistic for test in statistics(shape, rank, mean, n, rng)])
    assert abs(found.mean()) < 0.25 + 3 / np.sqrt(n)
    assert 0.5 < found.var() < 1.6


def test_the_r_that_it_names_is_that_of_the_counts(rng):
    found = statistics((12, 10, 8), 3, 3.0, 20, rng, r=4.0)
    assert_allclose(np.mean([1 / test.r for test in found]), 1 / 4.0, rtol=0.15)
    assert all(test.p_value < 0.01 for test in found)


def test_leverages_of_independence_by_hand(rng):
    """Rank 1 of a matrix is the log-linear model of both margins: h from its design matrix."""
    x = rng.poisson(6.0, (7, 5)).astype(float)
    mu = np.outer(x.sum(1), x.sum(0)) / x.sum()
    rows, columns = (g.ravel() for g in np.indices(x.shape))
    design = np.column_stack([np.eye(7)[rows], np.eye(5)[columns][:, 1:]])
    w = mu.ravel()
    hat = design @ np.linalg.solve(design.T @ (design * w[:, None]), (design * w[:, None]).T)
    h = np.diag(hat)
    squares = np.sum((x - mu) ** 2) - x.sum() + h @ w
    variance = 2 * (np.sum(w**2 * (1 - 2 * h)) + np.sum(np.outer(w, w) * hat * hat.T))
    expected = squares / np.sqrt(variance)
    result = fit_gcp(x, 1, loss="poisson", random_state=0, n_threads=1, tol=1e-12)
    assert_allclose(dispersion_test(result, x).statistic, expected, rtol=1e-4, atol=1e-4)


def mean_of_tied_logs(y, result):
    """Means whose logarithms are a_i a_j c_k, at the maximum of their likelihood by SciPy; y need not be whole."""
    n = y.shape[0]

    def value_and_grad(z):
        a, c = z[:n], z[n:]
        m = np.einsum("i,j,k->ijk", a, a, c)
        d = np.exp(m) - y
        by_rows = np.einsum("ijk,j,k->i", d, a, c) + np.einsum("jik,j,k->i", d, a, c)
        by_c = np.einsum("ijk,i,j->k", d, a, a)
        return np.sum(np.exp(m) - y * m), np.concatenate([by_rows, by_c])

    start = np.concatenate([result.factors[0][:, 0], result.weights * result.factors[2][:, 0]])
    z = optimize.minimize(value_and_grad, start, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    return np.exp(np.einsum("i,j,k->ijk", z[:n], z[:n], z[n:]))


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("poisson", {}),
        ("poisson", {"tied_modes": [(0, 1)]}),
        ("poisson", {"fixed_modes": [2]}),
        ("poisson", {"fixed_modes": [0, 1]}),
        ("poisson", {"main_effects": [1]}),
        ("poisson-log", {"tied_modes": [(0, 1)]}),
    ],
    ids=str,
)
def test_leverages_are_how_refits_follow_the_data(loss, options, rng):
    """By differences, of all kinds of models: the sum of mu dm/dx, each count moved a little by itself."""
    factors = [rng.uniform(0.6, 1.4, (size, 1)) for size in (3, 3, 2)]
    factors[1] = factors[0] if "tied_modes" in options else factors[1]
    x = rng.poisson(9 * full(factors) if loss == "poisson" else np.exp(2 * full(factors))).astype(float)
    result = fit_gcp(x, 1, loss=loss, init=factors, tol=1e-13, n_iter_max=5000, **options)

    def mean(y):
        if loss == "poisson-log":
            return mean_of_tied_logs(y, result)
        given = {"init": result, "tol": 1e-14, "n_iter_max": 5000, "solver": "lbfgsb"}
        return fit_gcp(y, 1, loss=BetaDivergence(1.0), **given, **options).model_values()

    moved, step = 0.0, 0.02
    for at in np.ndindex(x.shape):
        d = np.zeros(x.shape)
        d[at] = step
        moved += result.predict()[at] * (mean(x + d)[at] - mean(x - d)[at]) / (2 * step)
    found = leverage.leverages(
        result, known_cells(result, DenseTensor(x)), float(np.sum(result.predict() ** 2))
    )
    assert_allclose(found.variation, moved, rtol=1e-3)


def test_lists_and_large_models_have_the_same_statistic(rng, monkeypatch):
    x = rng.poisson(full(planted((12, 10, 8), 2, 1.0, rng))).astype(float)
    result = fit_gcp(x, 2, loss="poisson", random_state=0, n_threads=1)
    found = dispersion_test(result, x)
    for data in (
        SparseTensor(np.argwhere(x), x[x > 0], x.shape),
        ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape),
    ):
        assert_allclose(dispersion_test(result, data).statistic, found.statistic, rtol=1e-8)
    monkeypatch.setattr(leverage, "_MOST_PARAMETERS", 0)
    assert abs(dispersion_test(result, x).statistic - found.statistic) < 0.5


def test_positions_that_the_fit_did_not_know_have_mean_rows_in_every_kind(rng):
    x = rng.poisson(full(planted((8, 7, 6), 1, 2.0, rng))).astype(float)
    known = np.ones(x.shape, bool)
    known[3] = False
    result = fit_gcp(x, 1, loss="poisson", mask=known, random_state=0, n_threads=1)
    sparse = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    assert_allclose(
        dispersion_test(result, sparse).statistic, dispersion_test(result, x).statistic, rtol=1e-8
    )


@pytest.mark.parametrize("options", [{"fixed_modes": [0]}, {"tied_modes": [(0, 1)]}], ids=str)
@pytest.mark.parametrize("loss", ["poisson", "poisson-log"])
def test_large_models_with_fixed_and_tied_modes(loss, options, rng, monkeypatch):
    """Row by row, as near to the whole as of free modes; parameters that are given or had twice do not count."""
    factors = [rng.uniform(0.2, 1.5, (size, 2)) for size in (12, 12, 9)]
    factors[1] = factors[0]
    x = rng.poisson(2 * full(factors)).astype(float)
    result = fit_gcp(x, 2, loss=loss, init=factors, **options, n_threads=1)
    found = dispersion_test(result, x)
    monkeypatch.setattr(leverage, "_MOST_PARAMETERS", 0)
    assert abs(dispersion_test(result, x).statistic - found.statistic) < 0.15


def test_saturated_models_say_so(rng, capsys, tmp_path):
    from gcp.cli import main

    x = rng.poisson(3.0, (5, 4)).astype(float)
    result = fit_gcp(x, 4, loss="poisson", random_state=0, n_threads=1)
    assert "saturated: 20 parameters for 20 known cells" in saturation(result, x)
    assert saturation(fit_gcp(x, 1, loss="poisson", random_state=0, n_threads=1), x) == ""
    assert np.isfinite(dispersion_test(result, x).statistic)
    result.save(tmp_path / "a.npz")
    np.save(tmp_path / "x.npy", x)
    assert main(["judge", str(tmp_path / "a.npz"), "--data", str(tmp_path / "x.npy")]) == 0
    assert "saturated" in capsys.readouterr().out


# --- beta-divergences ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [log_likelihood, information_criteria, anomalies, residuals])
def test_beta_1_is_a_distribution_of_counts_only(of, rng):
    loss = get_loss("beta-divergence", beta=1.0)
    counts = rng.poisson(3.0, (6, 5, 4)).astype(float)
    result = fit_gcp(counts, 1, loss=loss, random_state=0, n_threads=1)
    of(result, counts)
    with pytest.raises(ParameterError, match="counts only"):
        of(result, counts + 0.37)


def test_beta_1_on_counts_is_poisson(rng):
    counts = rng.poisson(2.0, (6, 5, 4)).astype(float)
    beta, poisson = (
        fit_gcp(counts, 1, loss=loss, random_state=0, n_threads=1)
        for loss in (get_loss("beta-divergence", beta=1.0), "poisson")
    )
    expected = stats.poisson.logpmf(counts, beta.predict()).sum()
    assert_allclose(log_likelihood(beta, counts), expected, rtol=1e-8)
    assert_allclose(anomalies(beta, counts).p_value, anomalies(poisson, counts).p_value, rtol=1e-4)


@pytest.mark.parametrize("beta", [0.0, 2.0])
def test_beta_0_and_2_have_the_dispersion_of_the_data(beta, rng):
    x = 100 * rng.gamma(5.0, 1.0, (6, 5, 4))
    result = fit_gcp(x, 1, loss=get_loss("beta-divergence", beta=beta), random_state=0, n_threads=1)
    m, found = result.predict(), information_criteria(result, x)
    s = found.dispersion
    density = {0.0: stats.gamma(1 / s, scale=m * s), 2.0: stats.norm(m, np.sqrt(s))}[beta]
    assert_allclose(found.log_likelihood, density.logpdf(x).sum(), rtol=1e-7)
    for other in (0.9 * s, 1.1 * s):
        assert log_likelihood(result, x, dispersion=other) < found.log_likelihood
    worst = anomalies(result, x, 1, "high")
    assert_allclose(worst.p_value[0], density.sf(x)[tuple(worst.subs[0])], rtol=1e-6)
    assert found.n_parameters == gcp.analysis.n_parameters(result) + 1
