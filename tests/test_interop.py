"""Models in other packages' clothes say the same."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.analysis import factor_match_score


@pytest.fixture(scope="module")
def model():
    return gcp.fit_gcp(gcp.datasets.load_nyc_flights(), 2, loss="poisson", random_state=0, n_iter_max=20)


def test_xarray(model):
    xr = pytest.importorskip("xarray")
    found = model.to_xarray()
    assert set(found) == {"weights", "origin", "destination", "month", "hour"}
    origin = found["origin"]
    assert isinstance(origin, xr.DataArray)
    assert origin.dims == ("origin", "component")
    assert_allclose(origin.sel(origin="JFK", component=1), model.factors[0][1, 1])
    whole = found["weights"]
    for name in model.labels.names:
        whole = whole * found[name]
    assert_allclose(whole.sum("component").transpose(*model.labels.names), model.model_values())
    x = np.add.outer(np.arange(4.0), np.arange(3.0))
    effects = gcp.fit_gcp(x, 0, main_effects=True).to_xarray()["main_effect_mode_0"]
    assert_allclose(effects, [-1.5, -0.5, 0.5, 1.5], atol=1e-6)
    assert_allclose(effects.attrs["intercept"], 2.5, atol=1e-6)


class Ktensor:
    """What pyttb's class offers, where pyttb is not installed."""

    def __init__(self, factor_matrices, weights):
        self.factor_matrices, self.weights = factor_matrices, weights


def test_ktensors_are_models(model):
    same = Ktensor([a.copy() for a in model.factors], model.weights.copy())
    assert_allclose(factor_match_score(model, same).score, 1.0)
    data = gcp.datasets.load_nyc_flights()
    start = gcp.fit_gcp(data, 2, loss="poisson", init=same, n_iter_max=0)
    assert_allclose(start.objective, model.objective)


def test_pyttb(model):
    pytest.importorskip("pyttb")
    found = model.to_pyttb()
    assert_allclose(found.full().double(), model.model_values(), rtol=1e-10, atol=1e-12)
    assert_allclose(factor_match_score(found, model).score, 1.0)


def test_a_result_is_a_cp_tensor(model):
    tensorly = pytest.importorskip("tensorly")
    weights, factors = model
    assert weights is model.weights
    assert factors is model.factors
    assert (len(model), model[0] is weights, model[1] is factors) == (2, True, True)
    assert_allclose(tensorly.cp_to_tensor(model), model.model_values(), rtol=1e-10)
    assert_allclose(tensorly.cp_normalize(model)[0], weights)
    with pytest.raises(IndexError):
        model[2]


def test_main_effects_are_not_lost_on_the_way_to_a_cp_tensor():
    found = gcp.fit_gcp(np.add.outer(np.arange(4.0), np.arange(3.0)), 0, main_effects=True)
    with pytest.raises(gcp.ParameterError, match="would lose the main effects"):
        _, _ = found


def test_load_reads_what_save_wrote(model, tmp_path):
    model.save(tmp_path / "model.npz")
    assert gcp.load(tmp_path / "model.npz").objective == model.objective


def test_versions_are_shown(capsys):
    gcp.show_versions()
    text = capsys.readouterr().out
    assert f"gcp-tensor   {gcp.__version__}" in text
    for name in ("Python", "numpy", "llvmlite", "cores"):
        assert name in text
