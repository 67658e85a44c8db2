"""Fits under one loss for each position of a mode, and what is made of them."""

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, stats

import gcp
from gcp import Gaussian, ObservedTensor, ParameterError, SeveralLosses, fit_gcp
from gcp.analysis import (
    anomalies,
    calibration,
    deviance,
    information_criteria,
    log_likelihood,
    residuals,
    slice_deviance,
)

NAMES = ["age", "income", "visits", "smoker"]
LOSSES = {
    "variable": {"age": "gaussian", "income": "gaussian", "visits": "poisson", "smoker": "bernoulli-logit"}
}


def planted(rng, shape=(60, 8), unit=1.0, noise=0.5):
    """Two normal variables, one of them in another unit, two counts and two of 0/1, around one model of rank 2."""
    a, t = rng.uniform(0.1, 1.5, (shape[0], 2)), rng.uniform(0.1, 1.5, (shape[1], 2))
    v = np.array([[2.0, -2.5], [unit, 2 * unit], [3.0, 0.3], [0.5, 4.0], [3.0, -3.0], [-4.0, 2.5]])
    m = np.einsum("ir,jr,kr->ijk", a, t, v)
    x = m.copy()
    x[..., 0] += noise * rng.standard_normal(shape)
    x[..., 1] += unit * noise * rng.standard_normal(shape)
    x[..., 2:4] = rng.poisson(m[..., 2:4])
    x[..., 4:] = rng.random((*shape, 2)) < 1 / (1 + np.exp(-m[..., 4:]))
    return x, [a, t, v]


SIX = {2: ["gaussian", "gaussian", "poisson", "poisson", "bernoulli-logit", "bernoulli-logit"]}


@pytest.fixture(scope="module")
def fitted():
    x, _ = planted(np.random.default_rng(3))
    return x, fit_gcp(x, 2, loss=SIX, n_starts=3, random_state=0)


@pytest.fixture(scope="module")
def table():
    """A labelled table of 80 people by 4 variables, with missing cells, and its fit."""
    rng = np.random.default_rng(5)
    a = rng.uniform(0.2, 1.5, (80, 1))
    m = a @ np.array([[40.0, 3e4, 2.0, -1.0]])
    x = np.column_stack(
        [rng.normal(m[:, 0], 5), rng.normal(m[:, 1], 5e3), rng.poisson(m[:, 2]), rng.random(80) < 0.3]
    )
    x[rng.random(x.shape) < 0.1] = np.nan
    people = [f"p{k}" for k in range(80)]
    frame = pd.DataFrame(x, index=pd.Index(people, name="person"), columns=pd.Index(NAMES, name="variable"))
    data = gcp.DenseTensor(x, labels=gcp.ModeLabels(["person", "variable"], [people, NAMES]))
    return frame, data, fit_gcp(data, 1, loss=LOSSES, random_state=0)


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


def test_predictions_are_means_by_loss(table):
    _, data, result = table
    m, found = result.model_values(), result.predict()
    np.testing.assert_allclose(found[:, :3], m[:, :3], rtol=1e-12)
    np.testing.assert_allclose(found[:, 3], 1 / (1 + np.exp(-m[:, 3])), rtol=1e-12)
    one = result.predict({"person": "p7", "variable": "smoker"})
    assert one == pytest.approx(found[7, 3])
    assert 0 < result.deviance_explained(data) < 1
    assert result.deviance_explained(data) == pytest.approx(result.training_deviance_explained, abs=1e-9)


def test_the_likelihood_is_that_of_scipy(table):
    frame, data, result = table
    x, m = frame.to_numpy(), result.model_values()
    known = ~np.isnan(x)
    sd = np.sqrt(result.loss.parameters[:2])
    logs = np.column_stack(
        [
            stats.norm.logpdf(x[:, :2], m[:, :2], sd),
            stats.poisson.logpmf(np.nan_to_num(x[:, 2]), m[:, 2]),
            stats.bernoulli.logpmf(np.nan_to_num(x[:, 3]), 1 / (1 + np.exp(-m[:, 3]))),
        ]
    )
    assert log_likelihood(result, data) == pytest.approx(logs[known].sum(), rel=1e-9)
    criteria = information_criteria(result, data)
    assert criteria.n_parameters == 80 + 4 - 1 + 2  # of rank 1, and two variances
    found = deviance(result, data)
    saturated = np.sum(stats.poisson.logpmf(x[:, 2], x[:, 2])[known[:, 2]])
    saturated += stats.norm.logpdf(0, 0, sd) @ known[:, :2].sum(axis=0)
    assert found.deviance == pytest.approx(2 * (saturated - logs[known].sum()), rel=1e-9)
    slices = slice_deviance(result, data, "variable")
    assert slices.deviance.sum() == pytest.approx(found.deviance)
    assert slices.null_deviance.sum() == pytest.approx(found.null_deviance)


def of_two_factors(rng, n, n_variables=9):
    """Models of two normal scores, whose loadings lie on a circle: every variable is told by the others."""
    angles = np.linspace(0, np.pi, n_variables, endpoint=False)
    return 1.2 * rng.normal(size=(n, 2)) @ np.array([np.cos(angles), np.sin(angles)])


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


def test_residuals_and_anomalies_are_by_loss(table):
    frame, data, result = table
    x, m = frame.to_numpy(), result.model_values()
    found = residuals(result, data, kind="quantile", random_state=0)
    z = (x[:, 0] - m[:, 0]) / np.sqrt(result.loss.parameters[0])
    np.testing.assert_allclose(found[:, 0], z, rtol=1e-6, atol=1e-6)
    strange = frame.to_numpy().copy()
    strange[5, 2] = 40.0
    first = anomalies(result, gcp.DenseTensor(strange, labels=data.labels), n=1)
    assert [str(label[0]) for label in first.labels] == ["p5", "visits"]
    assert first.p_value[0] == pytest.approx(2 * stats.poisson.sf(39, m[5, 2]), rel=1e-6)
    table_of = calibration(result, data)
    assert np.sum(table_of.weight) == np.sum(~np.isnan(x))


def test_labels_in_another_order_are_matched(table):
    frame, data, result = table
    turned = frame.iloc[::-1, [2, 0, 3, 1]]
    labels = gcp.ModeLabels(["person", "variable"], [turned.index.to_list(), turned.columns.to_list()])
    other = gcp.DenseTensor(turned.to_numpy(), labels=labels)
    assert result.score(other) == pytest.approx(result.score(data), rel=1e-12)
    assert log_likelihood(result, other) == pytest.approx(log_likelihood(result, data), rel=1e-12)
    again = fit_gcp(other, 1, loss=LOSSES, init=result)
    assert again.objective == pytest.approx(result.objective, rel=1e-4)


def test_held_out_cells_are_judged(fitted):
    split = gcp.hold_out(fitted[0], 0.2, random_state=0)
    result = fit_gcp(split.train, 2, loss=SIX, random_state=0)
    found = split.judge(result)
    assert 0.3 < found.deviance_explained < 1
    assert np.isnan(found.rmse)
    assert found.auc is None
    alone = np.zeros(fitted[0].shape, bool)
    alone[..., 0] = True
    of_one = gcp.analysis.prediction_scores(result, fitted[0], mask=alone)
    expected = np.sqrt(np.mean((fitted[0] - result.predict())[..., 0] ** 2))
    assert of_one.rmse == pytest.approx(expected)


def test_saved_results_are_the_same(fitted, table, tmp_path):
    for data, result in (fitted, table[1:]):
        result.save(tmp_path / "result.npz")
        again = gcp.load(tmp_path / "result.npz")
        assert again == result
        assert again.score(data) == result.score(data)
        assert "gaussian, poisson and bernoulli-logit" in repr(again)


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


def test_new_rows_of_other_modes_are_those_of_the_minimum(table):
    frame, _, result = table
    new = frame.iloc[:6].to_numpy()
    labels = gcp.ModeLabels(["person", "variable"], [[f"q{k}" for k in range(6)], NAMES])
    rows = result.transform(gcp.DenseTensor(new, labels=labels), "person").rows
    own = result.loss.at(np.arange(4))
    for x, row in zip(new, rows, strict=True):
        known = ~np.isnan(x)
        v = result.weights[0] * result.factors[1][:, 0]

        def total(a, x=x, known=known, v=v):
            return float(np.sum(own.value(np.where(known, x, 1.0), a * v)[known]))

        best = optimize.minimize_scalar(total, bounds=(0, 1), method="bounded", options={"xatol": 1e-12})
        assert row[0] == pytest.approx(best.x, rel=1e-4)
    with pytest.raises(ParameterError, match="has a loss of its own"):
        result.transform(new, "variable")


def test_lists_of_entries_are_fitted_too(fitted):
    x, whole = fitted
    every = ObservedTensor(np.argwhere(np.ones(x.shape, bool)), x.ravel(), x.shape)
    listed = fit_gcp(every, 2, loss=whole.loss, init=whole)
    assert listed.objective == pytest.approx(whole.objective, rel=1e-6)
    sparse = gcp.SparseTensor(np.argwhere(x != 0), x[x != 0], x.shape)
    found = fit_gcp(sparse, 2, loss=whole.loss, init=whole)
    assert found.objective == pytest.approx(whole.objective, rel=1e-6)


def test_simulated_data_follow_their_losses():
    losses = SeveralLosses(1, ["poisson", "gaussian", "bernoulli-logit"], parameters=(1.0, 4.0, 1.0))
    data, truth = gcp.simulate((4000, 3), 2, losses, scale=2.0, random_state=0)
    m = (truth.factors[0] * truth.weights) @ truth.factors[1].T
    x = data.values
    assert np.var(x[:, 1] - m[:, 1]) == pytest.approx(4.0, rel=0.1)
    assert np.mean(x[:, 0] - m[:, 0]) == pytest.approx(0.0, abs=0.1)
    assert set(np.unique(x[:, 2])) <= {0.0, 1.0}
    with pytest.raises(ParameterError, match="have no parameters until"):
        gcp.simulate((40, 3), 2, {1: {None: "gaussian"}})


def test_bootstraps_draw_from_every_loss(fitted, rng):
    x, result = fitted
    found = gcp.analysis.bootstrap(result, x, 5, random_state=0)
    assert np.isfinite(found.weights).all()
    m = np.einsum("i,j,k->ijk", *(rng.uniform(0.5, 2, n) for n in (10, 8, 4)))
    y = rng.normal(m, [0.1, 0.2, 0.3, 0.4])
    options = {"n": 4, "random_state": 0, "n_threads": 1}
    by, several = (
        gcp.analysis.bootstrap(fit_gcp(y, 1, loss=loss, random_state=0, n_threads=1), y, **options)
        for loss in (Gaussian(variance="estimate", by=2), {2: {None: "gaussian"}})
    )
    np.testing.assert_allclose(several.factors[0], by.factors[0], rtol=1e-2)


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


def test_unbalanced_fits_have_no_likelihood(fitted):
    x, _ = fitted
    result = fit_gcp(x, 2, loss=SeveralLosses(2, SIX[2], balanced=False), random_state=0)
    assert result.loss.parameters is None
    with pytest.raises(ParameterError, match="balanced=True"):
        log_likelihood(result, x)
    assert "balanced=False" in repr(result)


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


def test_the_estimator_takes_them(fitted):
    x, _ = fitted
    model = gcp.GCP(2, loss=SIX, mode=0, random_state=0)
    rows = model.fit_transform(x)
    assert rows.shape == (60, 2)
    assert np.isfinite(model.score(x))
    np.testing.assert_allclose(model.transform(x), rows, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(model.inverse_transform(rows), model.result_.predict(), rtol=1e-9)


def test_a_page_says_each_loss(fitted, tmp_path):
    x, result = fitted
    gcp.write_report(result, x, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gaussian (variance" in text
