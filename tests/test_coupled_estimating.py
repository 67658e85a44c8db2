"""Parameters that the losses of coupled tensors leave to the fit, against planted ones and those of one tensor."""

import numpy as np
import pytest
from scipy import optimize, stats

import gcp
from gcp.analysis import factor_match_score

MODES = {"x": ["s", "b", "c"], "y": ["s", "v"]}


def made(seed):
    """Counts that vary more than Poisson ones, and a table of variables in other units, of the same subjects."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.gamma(1.0, 1.0, (size, 2)) for size in (80, 10, 8))
    m = 3 * np.einsum("ir,jr,kr->ijk", a, b, c)
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + m)).astype(float)
    noise = rng.normal(size=(80, 3)) * [0.3, 60.0, 0.5]
    y = np.column_stack([a @ [1, -1], 100 * a @ [1, 1], a @ [0.5, 1.5]]) + noise
    return x, np.column_stack([y, rng.poisson(a @ [2.0, 1.0])]), (a, b, c)


@pytest.mark.parametrize("seed", range(3))
def test_a_mixed_table_and_overdispersed_counts_are_estimated_together(seed):
    x, y, (a, b, c) = made(seed)
    table = {"v": ["gaussian", "gaussian", "gaussian", "poisson"]}
    loss = {"x": gcp.NegativeBinomial(r="estimate"), "y": table}
    result = gcp.fit_gcp({"x": x, "y": y}, 2, loss=loss, modes=MODES, random_state=0)
    assert result["x"].loss.r == pytest.approx(2.0, rel=0.05)
    variances = np.array(result["y"].loss.parameters)
    assert np.abs(np.log(variances[:3] / [0.09, 3600.0, 0.25])).max() < 0.4
    assert variances[3] == 1.0
    assert result.weights == {"x": 1.0, "y": 1.0}
    assert result["x"].problem.estimated == ("r",)
    assert result["y"].problem.estimated == ("parameters",)
    assert factor_match_score(result["x"], (np.ones(2), [a, b, c]), modes="s").score > 0.99
    assert result.converged


def test_r_is_the_likeliest_beside_the_factors():
    x, y, _ = made(5)
    loss = {"x": gcp.NegativeBinomial(r="estimate"), "y": "gaussian"}
    result = gcp.fit_gcp({"x": x, "y": y[:, [0, 2]]}, 2, loss=loss, modes=MODES, random_state=0, tol=1e-12)
    mean = result["x"].predict()

    def minus(log_r):
        r = np.exp(log_r)
        return -stats.nbinom.logpmf(x, r, r / (r + mean)).sum()

    best = optimize.minimize_scalar(minus, bounds=(-3, 5), method="bounded", options={"xatol": 1e-8})
    assert np.log(result["x"].loss.r) == pytest.approx(best.x, abs=1e-3)


def test_beside_a_tensor_of_no_weight_parameters_are_those_of_one_tensor():
    x, y, _ = made(6)
    loss = {"x": gcp.NegativeBinomial(r="estimate"), "y": "gaussian"}
    options = {"random_state": 0, "tol": 1e-12}
    found = gcp.fit_gcp({"x": x, "y": y}, 2, loss=loss, modes=MODES, weights={"y": 1e-14}, **options)
    alone = gcp.fit_gcp(x, 2, loss=loss["x"], **options)
    assert found["x"].loss.r == pytest.approx(alone.loss.r, rel=1e-3)
    assert found["x"].objective == pytest.approx(alone.objective, rel=1e-5)


def test_variances_by_position_gates_and_units(tmp_path):
    """A unit of one variable of the table changes nothing else; what is found is saved."""
    x, y, _ = made(7)
    by = gcp.Gaussian(variance="estimate", by="b")
    loss = {"x": gcp.ZeroInflatedPoisson(), "y": {"v": ["gaussian", "gaussian", "gaussian", "poisson"]}}
    result = gcp.fit_gcp({"x": x, "y": y}, 2, loss=loss, modes=MODES, random_state=0, tol=1e-11)
    assert 0 < result["x"].loss.gate < 0.5
    again = gcp.fit_gcp(
        {"x": x, "y": y * [1000.0, 1.0, 1.0, 1.0]}, 2, loss=loss, modes=MODES, random_state=0, tol=1e-11
    )
    np.testing.assert_allclose(again["x"].model_values(), result["x"].model_values(), rtol=2e-3, atol=2e-3)
    assert again["y"].loss.parameters[0] == pytest.approx(1e6 * result["y"].loss.parameters[0], rel=1e-2)
    result.save(tmp_path / "r.npz")
    assert gcp.load(tmp_path / "r.npz") == result
    several = gcp.fit_gcp(
        {"x": np.log1p(x), "y": y[:, :3]}, 2, loss={"x": by, "y": "gaussian"}, modes=MODES, random_state=0
    )
    assert len(several["x"].loss.variance) == 10


def test_an_unknown_mode_of_a_loss_names_the_tensor():
    x, y, _ = made(0)
    with pytest.raises(gcp.ParameterError, match="y: "):
        gcp.fit_gcp({"x": x, "y": y}, 1, loss={"x": "poisson", "y": {"w": ["gaussian"] * 4}}, modes=MODES)
