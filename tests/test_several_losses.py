"""Fits under one loss for each position of a mode."""

import numpy as np
import pytest
from mixed_tables import SIX, fitted_six, of_two_factors, planted
from scipy import optimize

import gcp
from gcp import Gaussian, ObservedTensor, ParameterError, SeveralLosses, fit_gcp


@pytest.fixture(scope="module")
def fitted():
    return fitted_six()


def test_the_same_loss_everywhere_is_the_plain_fit(rng):
    x = rng.poisson(3.0, (12, 9, 5))
    init = [rng.uniform(0.5, 1.5, (size, 2)) for size in x.shape]
    plain = fit_gcp(x, 2, loss="poisson", init=init, solver="plbfgs")
    several = fit_gcp(x, 2, loss={2: {None: "poisson"}}, init=init)
    assert several.objective == pytest.approx(plain.objective, rel=1e-8)
    np.testing.assert_allclose(several.model_values(), plain.model_values(), rtol=1e-3)


def test_gaussians_everywhere_have_variances_by_position(rng):
    x = rng.normal(
        np.einsum("i,j,k->ijk", *(rng.uniform(0.5, 2, n) for n in (20, 15, 4))), [0.1, 0.3, 1.0, 2.0]
    )
    init = [rng.uniform(0.5, 1.5, (size, 1)) for size in x.shape]
    by = fit_gcp(x, 1, loss=Gaussian(variance="estimate", by=2), init=init)
    several = fit_gcp(x, 1, loss={2: {None: "gaussian"}}, init=init)
    np.testing.assert_allclose(several.loss.parameters, by.loss.variance, rtol=1e-3)
    assert several.objective == pytest.approx(by.objective, rel=1e-3)


def test_a_matrix_reaches_what_scipy_finds_on_the_same_sum(rng):
    a, v = rng.standard_normal((25, 1)), np.array([[2.0], [1.0], [-1.5], [2.0]])
    m = a @ v.T
    x = np.column_stack(
        [
            m[:, 0] + rng.normal(size=25),
            rng.random(25) < 0.5,
            m[:, 2] + rng.normal(size=25),
            rng.poisson(np.exp(m[:, 3] / 2)),
        ]
    )
    losses = SeveralLosses(1, ["gaussian", "bernoulli-logit", "gaussian", "poisson-log"], balanced=False)

    def total(z):
        u, w = z[:25], z[25:]
        m = np.outer(u, w)
        value = np.sum((x[:, [0, 2]] - m[:, [0, 2]]) ** 2) + np.sum(
            np.logaddexp(0, m[:, 1]) - x[:, 1] * m[:, 1]
        )
        return value + np.sum(np.exp(m[:, 3]) - x[:, 3] * m[:, 3]) + 0.05 * np.sum(z**2)

    best = min(optimize.minimize(total, rng.standard_normal(29)).fun for _ in range(5))
    found = fit_gcp(x, 1, loss=losses, l2_reg=0.1, n_starts=5, random_state=0)
    assert found.objective == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_planted_models_are_found_where_one_loss_for_all_finds_less(seed):
    x, factors = planted(np.random.default_rng(seed), noise=1.0)
    several = fit_gcp(x, 2, loss=SIX, n_starts=3, random_state=seed)
    one = fit_gcp(x, 2, loss="gaussian", n_starts=3, random_state=seed)
    people = [factors[0], factors[1], np.ones((6, 2))]
    found = [score_of_people(result, people) for result in (several, one)]
    assert found[0] > 0.97
    assert found[0] > found[1]


def score_of_people(result, factors):
    """Mean cosine of the first two modes' columns with planted ones, in the better of both orders."""
    cosines = 1.0
    for a, b in zip(result.factors[:2], factors[:2], strict=True):
        cosines = cosines * np.abs((a / np.linalg.norm(a, axis=0)).T @ (b / np.linalg.norm(b, axis=0)))
    return max(np.mean(np.diag(cosines)), np.mean(np.diag(cosines[::-1])))


def test_a_unit_does_not_count_unless_losses_are_not_balanced():
    x, _ = planted(np.random.default_rng(2))
    scaled = x * [1.0, 1000.0, 1.0, 1.0, 1.0, 1.0]
    changes = []
    for balanced in (True, False):
        loss = SeveralLosses(2, SIX[2], balanced=balanced)
        fits = [fit_gcp(data, 2, loss=loss, n_starts=3, random_state=0) for data in (x, scaled)]
        one, other = (fit.model_values()[..., [0, 2, 3, 4, 5]] for fit in fits)
        changes.append(float(np.abs(one - other).max() / np.abs(one).max()))
    assert changes[0] < 1e-3
    assert changes[1] > 0.05


def test_dispersions_are_the_likeliest(fitted):
    x, result = fitted
    m = result.model_values()
    np.testing.assert_allclose(
        result.loss.parameters[:2], np.mean((x - m)[..., :2] ** 2, axis=(0, 1)), rtol=2e-3
    )
    assert result.loss.parameters[2:] == (1.0,) * 4
    assert result.problem.estimated == ("parameters",)


def test_other_modes_are_nonnegative_and_rows_of_real_losses_free(fitted):
    _, result = fitted
    assert min(a.min() for a in result.fitted_factors[:2]) >= 0
    assert result.fitted_factors[2][2:4].min() >= 0
    assert result.fitted_factors[2][[0, 4, 5]].min() < 0
    with pytest.raises(ParameterError, match="needs a model >= 0"):
        fit_gcp(fitted[0], 2, loss=SIX, bounds=(-1.0, None))


def test_parameters_of_negative_binomials_and_gammas_are_estimated(rng):
    m = np.einsum("i,j,k->ijk", *(rng.uniform(0.5, 2, n) for n in (40, 20, 3))) * 3
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + m)).astype(float)
    x[..., 0] = rng.gamma(4.0, m[..., 0] / 4)
    losses = {2: {0: "gamma", 1: gcp.NegativeBinomial(r="estimate"), 2: gcp.NegativeBinomial(r=2.0)}}
    result = fit_gcp(x, 1, loss=losses, random_state=0)
    assert result.loss.parameters == pytest.approx((4.0, 2.0, 1.0), rel=0.25)


@pytest.mark.parametrize("seed", range(3))
def test_variances_of_a_matrix_are_those_of_factor_analysis(seed):
    decomposition = pytest.importorskip("sklearn.decomposition")
    rng = np.random.default_rng(seed)
    m = of_two_factors(rng, 1000)
    x = [1, 1, 1, 10, 1, 1, 1, 1, 1] * (m + rng.normal(size=m.shape) * np.sqrt(np.linspace(0.5, 1.5, 9)))
    x -= x.mean(axis=0)
    known = decomposition.FactorAnalysis(2, tol=1e-8, max_iter=5000).fit(x).noise_variance_
    result = fit_gcp(x, 2, loss={1: {None: "gaussian"}}, random_state=0)
    np.testing.assert_allclose(result.loss.parameters, known, rtol=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_variances_beside_counts_in_a_matrix_are_those_planted(seed):
    rng = np.random.default_rng(seed)
    m, variances, normal = of_two_factors(rng, 500), np.linspace(0.5, 1.5, 5), [0, 2, 4, 6, 8]
    x = m.copy()
    x[:, normal] += rng.normal(size=(500, 5)) * np.sqrt(variances)
    x[:, [1, 5]] = rng.poisson(np.exp(m[:, [1, 5]]))
    x[:, [3, 7]] = rng.random((500, 2)) < 1 / (1 + np.exp(-m[:, [3, 7]]))
    losses = dict.fromkeys((1, 5), "poisson-log") | dict.fromkeys((3, 7), "bernoulli-logit")
    result = fit_gcp(x, 2, loss={1: losses | {None: "gaussian"}}, l2_reg=0.5, random_state=0)
    np.testing.assert_allclose(np.array(result.loss.parameters)[normal], variances, rtol=0.25)


def test_checkpoints_go_on(tmp_path):
    x, _ = planted(np.random.default_rng(4), (20, 5))
    whole = fit_gcp(x, 2, loss=SIX, random_state=0, n_threads=1)
    path = tmp_path / "state"
    states = []

    def stop(state):
        states.append(state)
        return len(states) == 12

    with pytest.warns(gcp.ConvergenceWarning):
        fit_gcp(x, 2, loss=SIX, random_state=0, n_threads=1, callback=stop, checkpoint=path)
    again = fit_gcp(x, 2, loss=SIX, random_state=0, n_threads=1, checkpoint=path)
    assert again.loss == whole.loss
    np.testing.assert_array_equal(again.model_values(), whole.model_values())
    with pytest.raises(gcp.DataError, match="another"):
        fit_gcp(x, 2, loss={2: SIX[2][:4] + ["poisson"] * 2}, random_state=0, n_threads=1, checkpoint=path)


def test_checkpoints_of_matrices_go_on(tmp_path):
    x = of_two_factors(np.random.default_rng(0), 60) + np.random.default_rng(1).normal(size=(60, 9))
    options = {"loss": {1: {None: "gaussian"}}, "random_state": 0, "n_threads": 1}
    whole, states = fit_gcp(x, 2, **options), []

    def stop(state):
        states.append(state)
        return len(states) == 15

    with pytest.warns(gcp.ConvergenceWarning):
        fit_gcp(x, 2, callback=stop, checkpoint=tmp_path / "state", **options)
    again = fit_gcp(x, 2, checkpoint=tmp_path / "state", **options)
    assert again.loss == whole.loss
    np.testing.assert_array_equal(again.model_values(), whole.model_values())


def test_lists_of_entries_are_fitted_too(fitted):
    x, whole = fitted
    every = ObservedTensor(np.argwhere(np.ones(x.shape, bool)), x.ravel(), x.shape)
    listed = fit_gcp(every, 2, loss=whole.loss, init=whole)
    assert listed.objective == pytest.approx(whole.objective, rel=1e-6)
    sparse = gcp.SparseTensor(np.argwhere(x != 0), x[x != 0], x.shape)
    found = fit_gcp(sparse, 2, loss=whole.loss, init=whole)
    assert found.objective == pytest.approx(whole.objective, rel=1e-6)


def test_tied_modes_of_losses_are_refused(rng):
    with pytest.raises(ParameterError, match="leave tied_modes out"):
        fit_gcp(rng.poisson(2.0, (4, 4)), 1, loss={0: {None: "poisson"}}, tied_modes=[(0, 1)])


def test_other_modes_may_have_designs_and_penalties(fitted):
    x, _ = fitted
    options = {"design": {1: gcp.designs.bspline(4)}, "penalties": [gcp.penalties.Smooth(0, 0.1)]}
    result = fit_gcp(x, 2, loss=SIX, random_state=0, **options)
    assert result.converged
    lasso = fit_gcp(x, 3, loss=SIX, random_state=0, penalties=[gcp.penalties.Lasso(0, 0.01)])
    assert 0 < lasso.penalty < np.inf


def test_variables_without_variation_do_no_harm(rng):
    x, _ = planted(rng, (30, 5))
    x[..., 4], x[..., 3], x[..., 0] = 1.0, 0.0, 7.0
    result = fit_gcp(x, 2, loss=SIX, random_state=0, l2_reg=1e-3)
    found = result.predict()
    assert found[..., 4].min() > 0.99
    assert found[..., 3].max() < 0.01
    np.testing.assert_allclose(found[..., 0], 7.0, rtol=1e-2)
    x[..., 1] = np.nan
    unknown = fit_gcp(x, 2, loss=SIX, random_state=0, l2_reg=1e-3)
    assert "no data" in unknown.message
    assert np.isfinite(unknown.predict()).all()


def test_vectors_have_losses_too(rng):
    x = np.array([1.5, 2.0, 3.0, 0.0, 1.0])
    losses = SeveralLosses(
        0, ["gaussian", "poisson", "poisson", "poisson-log", "poisson-log"], balanced=False
    )
    found = fit_gcp(x, 1, loss=losses, random_state=0).predict()
    np.testing.assert_allclose(found, x, atol=1e-3)


def test_what_several_losses_exclude_is_refused_in_words(fitted):
    x, result = fitted
    for options, words in (
        ({"main_effects": True}, "main_effects cannot be had"),
        ({"exposure": np.ones(x.shape)}, "without exposure"),
        ({"design": {2: np.ones((6, 2))}}, "leave the design of this mode out"),
        ({"init": "svd"}, 'init="svd" is for one loss'),
        ({"solver": "als"}, "Several losses"),
        ({"solver": "adam"}, "Several losses"),
        ({"solver": "rows"}, "Several losses"),
    ):
        with pytest.raises(ParameterError, match=words):
            fit_gcp(x, 2, loss=SIX, **options)
    for judge in (gcp.analysis.standard_errors, gcp.analysis.component_shares, gcp.analysis.core_consistency):
        with pytest.raises(ParameterError, match="several losses"):
            judge(result, x)
    with pytest.raises(ParameterError, match="select_rank is for one loss"):
        gcp.select_rank(x, [1, 2], loss=SIX)
    with pytest.raises(ParameterError, match="take no offset"):
        result.predict(offset=1.0)
