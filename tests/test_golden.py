"""Rung 7: values computed by other tools on the data that ship; golden.json says where each is from."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gcp import LBFGSB, Rayleigh, build_objective, datasets, fit_gcp

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
TIGHT = LBFGSB(tol=1e-13, gradient_tol=1e-10, n_iter_max=5000)


def load(name):
    return getattr(datasets, f"load_{name}")()


@pytest.mark.parametrize("name", GOLDEN["contingency"]["g2"])
def test_independence_in_contingency_tables(name):
    result = fit_gcp(load(name), 1, loss="poisson", solver=TIGHT, random_state=0)
    expected = GOLDEN["contingency"]["poisson_rank_1"][name]
    assert_allclose(result.objective, expected, rtol=1e-7)
    g2 = 2 * (result.objective - result.saturated_objective)
    assert_allclose(g2, GOLDEN["contingency"]["g2"][name], rtol=1e-6, atol=2e-3)


def test_rank_one_poisson_of_the_flights():
    result = fit_gcp(load("nyc_flights"), 1, loss="poisson", solver=TIGHT, random_state=0)
    assert_allclose(result.objective, GOLDEN["nyc_flights"]["poisson_rank_1"], rtol=1e-7)
    g2 = 2 * (result.objective - result.saturated_objective)
    assert_allclose(g2, GOLDEN["nyc_flights"]["g2"], rtol=1e-6)


def test_constant_gamma_model_of_the_rainfall():
    golden, rain = GOLDEN["india_rainfall"], load("india_rainfall")
    positive = np.nan_to_num(rain.values) > 0
    objective = build_objective(rain, "gamma", mask=positive)
    assert objective.survey.total_weight == golden["gamma_cells"]
    assert_allclose(objective.null_constant, golden["gamma_constant"], rtol=1e-6)
    assert_allclose(objective.null_value / golden["gamma_cells"], golden["gamma_mean_loss"], rtol=1e-6)


def test_constant_rayleigh_model_of_the_wind():
    golden, wind = GOLDEN["nyc_wind"], load("nyc_wind").values
    x = wind[~np.isnan(wind)]
    m = Rayleigh().constant(float(x.mean()), float(np.mean(x**2)))
    assert_allclose(m, golden["rayleigh_constant"], rtol=1e-6)
    assert_allclose(Rayleigh().value(x, m).mean(), golden["rayleigh_mean_loss"], rtol=1e-6)


def test_every_golden_value_says_where_it_is_from():
    assert all(len(entry["provenance"]) > 40 for entry in GOLDEN.values())
