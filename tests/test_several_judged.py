"""What is made of fits under several losses: predictions, judgements, files, new rows, drawn data."""

import numpy as np
import pytest
from mixed_tables import LOSSES, NAMES, SIX, fitted_six, fitted_table
from scipy import optimize, stats

import gcp
from gcp import Gaussian, ParameterError, SeveralLosses, fit_gcp
from gcp.analysis import (
    anomalies,
    calibration,
    deviance,
    information_criteria,
    log_likelihood,
    residuals,
    slice_deviance,
)


@pytest.fixture(scope="module")
def fitted():
    return fitted_six()


@pytest.fixture(scope="module")
def table():
    return fitted_table()


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


def test_unbalanced_fits_have_no_likelihood(fitted):
    x, _ = fitted
    result = fit_gcp(x, 2, loss=SeveralLosses(2, SIX[2], balanced=False), random_state=0)
    assert result.loss.parameters is None
    with pytest.raises(ParameterError, match="balanced=True"):
        log_likelihood(result, x)
    assert "balanced=False" in repr(result)


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
