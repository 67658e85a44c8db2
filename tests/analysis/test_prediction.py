"""Scores of predictions: what they take, and what they are of data that come in many parts."""

import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

import gcp
from gcp.analysis import prediction_scores

SHAPE = (100, 120, 110)


def model_and_data(loss, make, shape=SHAPE):
    rng = np.random.default_rng(0)
    factors = [rng.random((size, 1)) / np.sqrt(size) for size in shape]
    data = make(rng)
    return gcp.fit_gcp(data, 1, loss=loss, init=(np.array([50.0]), factors), n_iter_max=0), data


def test_large_data_are_gone_through_part_by_part():
    peaks = []
    for shape in (SHAPE, (220, 120, 110)):
        model, data = model_and_data("gaussian", lambda rng, shape=shape: rng.normal(size=shape), shape)
        prediction_scores(model, data)  # compiles
        tracemalloc.start()
        found = prediction_scores(model, data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]  # of more than twice the cells
    error = data - model.predict()
    assert found.rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert found.mae == pytest.approx(np.abs(error).mean())
    assert found.auc is None


def test_answers_are_ranked_over_all_parts():
    model, data = model_and_data("bernoulli-odds", lambda rng: (rng.random(SHAPE) < 0.2) * 1.0)
    found, p = prediction_scores(model, data), model.predict()
    assert found.auc == pytest.approx(roc_auc_score(data.ravel(), p.ravel()))
    assert found.average_precision == pytest.approx(average_precision_score(data.ravel(), p.ravel()))
