"""Main effects of coupled tensors: those of one tensor where the others weigh nothing, differences, new positions."""

import numpy as np
import pytest
from scipy import optimize

import gcp
from gcp import DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor
from gcp.objectives.coupled_problem import CoupledProblem
from gcp.objectives.penalties.shorthands import as_penalties
from gcp.tensors.coupled_tensors import CoupledTensors
from gcp.testing.agreement import central_difference

LOSSES = {"x": "poisson", "y": "gaussian"}
NAMES = [f"s{k}" for k in range(25)]


def made(seed=0, subjects=25):
    """Counts and measurements with effects of subjects, neurons and traits beside two components."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.gamma(1.0, 1.0, (size, 2)) for size in (subjects, 8, 6))
    v, of_s, of_n, of_v = (
        rng.normal(size=(9, 2)),
        rng.gamma(2.0, 1.0, subjects),
        rng.gamma(2.0, 1.0, 8),
        rng.normal(size=9),
    )
    m = np.einsum("ir,jr,kr->ijk", a, b, c) + of_s[:, None, None] + of_n[None, :, None]
    return (
        rng.poisson(m).astype(float),
        a @ v.T + 5 + 3 * of_v + 0.3 * rng.normal(size=(subjects, 9)),
        3 * of_v,
    )


def pair(x, y, names=NAMES):
    return {
        "x": DenseTensor(x, labels=ModeLabels(["s", "n", "t"], [names[: len(x)], None, None])),
        "y": DenseTensor(y, labels=ModeLabels(["s", "v"], [names[: len(y)], None])),
    }


@pytest.fixture(scope="module")
def fit():
    data = pair(*made()[:2])
    effects = {"x": ["s", "n"], "y": True}
    return gcp.fit_gcp(data, 2, loss=LOSSES, main_effects=effects, random_state=0, tol=1e-14), data


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed"])
@pytest.mark.parametrize("ridge", [0.0, {"factors": 0.2, "main_effects": 0.7}])
def test_gradients_with_effects_are_differences(kind, ridge):
    x, y, _ = made(1, subjects=6)
    data, rng = pair(x, y), np.random.default_rng(2)
    labels = data["x"].labels
    if kind == "sparse":
        data["x"] = SparseTensor(np.argwhere(x), x[x > 0], x.shape, labels=labels)
    elif kind == "observed":
        keep = rng.random(x.shape) < 0.6
        data["x"] = ObservedTensor(np.argwhere(keep), x[keep], x.shape, labels=labels)
    losses = {name: gcp.get_loss(loss) for name, loss in LOSSES.items()}
    problem = CoupledProblem.coupling(
        CoupledTensors.of(data),
        2,
        losses,
        weights={"x": 1.3, "y": 0.4},
        main_effects={"x": ["s", "n"], "y": True},
        penalties=as_penalties(l2_reg=ridge),
    )
    objective, bounds = problem.with_effects()
    factors = bounds.project([rng.uniform(0.2, 1.0, a.shape) for a in bounds.lower])
    assert [a.shape[1] for a in factors] == [6, 6, 6, 6]
    _, grad = objective.value_and_grad(factors)
    _, again, _ = objective.value_grad_and_curvature(factors)
    for n, a in enumerate(factors):
        np.testing.assert_allclose(again[n], grad[n], rtol=1e-9, atol=1e-9)
        free = np.isinf(bounds.upper[n])
        assert free[:, :2].all()
        for at in np.argwhere(free):

            def along(t, n=n, at=tuple(at)):
                moved = [b.copy() for b in factors]
                moved[n][at] = t
                return objective.value_and_grad(moved)[0]

            numeric = central_difference(along, np.array(a[tuple(at)]))
            np.testing.assert_allclose(grad[n][tuple(at)], numeric, rtol=2e-6, atol=1e-6)


def test_beside_a_tensor_of_no_weight_they_are_those_of_one_tensor():
    x, y, _ = made()
    data = pair(x, y)
    options = {"random_state": 0, "n_starts": 3, "tol": 1e-13}
    for name, other in (("x", "y"), ("y", "x")):
        alone = gcp.fit_gcp(data[name], 2, loss=LOSSES[name], main_effects=True, **options)
        weights = {other: 1e-12, name: 1.0}
        found = gcp.fit_gcp(data, 2, loss=LOSSES, main_effects={name: True}, weights=weights, **options)[name]
        assert found.objective == pytest.approx(alone.objective, rel=1e-7)
        np.testing.assert_allclose(found.model_values(), alone.model_values(), rtol=1e-3, atol=1e-3)
        if name == "x":  # of a matrix, components can hold effects
            assert found.intercept == pytest.approx(alone.intercept, rel=1e-4)
            for mode, vector in alone.main_effects.items():
                np.testing.assert_allclose(found.main_effects[mode], vector, rtol=1e-2, atol=1e-2)


def test_two_parts_of_a_tensor_have_the_effects_of_the_whole():
    """Along a mode with effects, each part has its own: intercepts are their means."""
    rng = np.random.default_rng(3)
    x = (
        rng.normal(size=(8, 1))
        + rng.normal(size=(8, 2)) @ rng.normal(size=(2, 7))
        + 0.1 * rng.normal(size=(8, 7))
    )
    options = {"random_state": 0, "n_starts": 3, "tol": 1e-13}
    whole = gcp.fit_gcp(x, 1, modes=["a", "b"], loss="gaussian", main_effects=["a"], **options)
    parts = gcp.fit_gcp(
        {"p": x[:3], "q": x[3:]},
        1,
        modes={"p": ["a0", "b"], "q": ["a1", "b"]},
        loss={"p": "gaussian", "q": "gaussian"},
        main_effects={"p": ["a0"], "q": ["a1"]},
        weights={"p": 1.0, "q": 1.0},
        **options,
    )
    assert parts.objective == pytest.approx(whole.objective, rel=1e-7)
    found = np.concatenate([parts[name].model_values() for name in "pq"])
    np.testing.assert_allclose(found, whole.model_values(), atol=1e-4)
    for name, mode in (("p", "a0"), ("q", "a1")):
        assert abs(parts[name].main_effects[mode].mean()) < 1e-12


def test_each_tensor_has_its_own_effects_and_the_planted_ones(fit):
    result, data = fit
    assert list(result["x"].main_effects) == ["s", "n"]
    assert list(result["y"].main_effects) == ["s", "v"]
    assert np.corrcoef(result["y"].main_effects["v"], made()[2])[0, 1] > 0.99
    for name, own in result.items():
        assert own.deviance_explained(data[name]) == pytest.approx(own.training_deviance_explained, abs=1e-6)
        assert all(abs(vector.mean()) < 1e-9 for vector in own.main_effects.values())
        assert own.problem.effect_modes == (0, 1)
    assert result["x"].model_values().min() >= 0
    assert 1 / (2 * result.weights["y"]) == pytest.approx(0.09, rel=0.25)


def test_they_are_saved_and_started_from(fit, tmp_path):
    result, data = fit
    result.save(tmp_path / "r.npz")
    again = gcp.load(tmp_path / "r.npz")
    assert again == result
    assert again["y"].main_effects.keys() == result["y"].main_effects.keys()
    plain = gcp.fit_gcp(data, 2, loss=LOSSES, random_state=0)
    assert plain["x"].main_effects == {}
    every = gcp.fit_gcp(data, 2, loss=LOSSES, main_effects=True, init=plain, random_state=0)
    assert list(every["x"].main_effects) == ["s", "n", "t"]


def test_data_of_the_fit_have_the_rows_and_effects_of_the_fit(fit):
    result, data = fit
    new = result.transform(data, "s")
    np.testing.assert_allclose(new.rows, result.factors["s"], rtol=2e-3, atol=2e-4)
    assert set(new.effects) == {"x", "y"}
    for name, vector in new.effects.items():
        np.testing.assert_allclose(vector, result[name].main_effects["s"], rtol=2e-3, atol=5e-3)
    assert "main_effect of y" in new.to_frame().columns
    traits = result.transform({"y": data["y"]}, "v")
    np.testing.assert_allclose(traits.rows, result.factors["v"], rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(traits.effects["y"], result["y"].main_effects["v"], rtol=2e-3, atol=2e-3)
    times = result.transform({"x": data["x"]}, "t")  # which has none
    assert times.effects == {}
    np.testing.assert_allclose(times.rows, result.factors["t"], rtol=2e-3, atol=2e-4)


def test_new_subjects_have_the_minimum_that_scipy_finds(fit):
    result, _ = fit
    x, y, _ = made(7, subjects=2)
    new = result.transform(pair(x, y), "s")
    f, weight = result.fitted_factors, result.weights["y"]
    size = np.sum(f["s"] * result.factors["s"], axis=0)
    of_x = np.einsum("jr,kr->jkr", f["n"], f["t"])
    on_x, on_y = result["x"].main_effects["n"][:, None], result["y"].main_effects["v"]
    low = result["x"].intercept + result["x"].main_effects["n"].min()  # nobody's effect is below
    for k in range(2):

        def objective(z, k=k):
            m = of_x @ z[:2] + on_x + result["x"].intercept + z[2]
            r = y[k] - f["v"] @ z[:2] - on_y - result["y"].intercept - z[3]
            return np.sum(m - x[k] * np.log(m + 1e-9)) + weight * np.sum(r**2)

        bounds = [(0, None), (0, None), (-low, None), (None, None)]
        best = optimize.minimize(
            objective, [0.5, 0.5, 1.0, 0.0], bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15}
        )
        np.testing.assert_allclose(new.rows[k] * size, best.x[:2], rtol=5e-3, atol=5e-3)
        assert new.effects["x"][k] == pytest.approx(best.x[2], abs=0.02)
        assert new.effects["y"][k] == pytest.approx(best.x[3], abs=0.02)


def test_several_losses_in_one_of_them_take_none():
    loss = gcp.SeveralLosses("v", {None: "gaussian"}, balanced=False)
    with pytest.raises(ParameterError, match="several losses"):
        gcp.fit_gcp(
            pair(*made()[:2]), 1, loss={"x": "poisson", "y": loss}, main_effects={"y": True}, random_state=0
        )
