"""Standard errors of coupled tensors: one tensor in parts, the spread of many fits, and what one alone says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import DenseTensor, ModeLabels, ParameterError
from gcp.analysis import align, standard_errors

LOSSES = {"x": "poisson", "y": "gaussian"}


def named(x, *names):
    coords = [[f"{name}{k}" for k in range(n)] for name, n in zip(names, x.shape, strict=True)]
    return DenseTensor(x, labels=ModeLabels(names, coords))


def planted(subjects=20, sd=0.6, seed=0):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.gamma(2.0, 1.0, (size, 2)) for size in (subjects, 8, 7))
    v = rng.standard_normal((9, 2))
    return {"s": a, "b": b, "c": 0.6 * c, "v": v}, sd


def drawn(truth, sd, rng):
    x = rng.poisson(np.einsum("ir,jr,kr->ijk", truth["s"], truth["b"], truth["c"])).astype(float)
    y = truth["s"] @ truth["v"].T
    return {"x": named(x, "s", "b", "c"), "y": named(y + sd * rng.standard_normal(y.shape), "s", "v")}


@pytest.mark.parametrize("loss", ["poisson", "gaussian"])
@pytest.mark.parametrize("correction", [False, True])
def test_a_tensor_in_two_parts_has_the_errors_of_the_whole(loss, correction):
    rng = np.random.default_rng(3)
    factors = [rng.gamma(2.0, 1.0, (size, 2)) for size in (7, 6, 8)]
    x = rng.poisson(np.einsum("ir,jr,kr->ijk", *factors)).astype(float)
    is_first = rng.random(x.shape) < 0.4
    whole = named(x, "a", "b", "c")
    one = gcp.fit_gcp(whole, 2, loss=loss, random_state=0, tol=1e-13, n_iter_max=5000)
    expected = standard_errors(one, whole, bias_correction=correction)
    weight = 1.0 if loss == "poisson" else 1 / (2 * expected.dispersion)
    parts = np.where(is_first, x, np.nan), np.where(is_first, np.nan, x)
    data = {name: named(part, "a", "b", "c") for name, part in zip("xy", parts, strict=True)}
    result = gcp.fit_gcp(
        data,
        2,
        loss=dict.fromkeys(data, loss),
        weights=dict.fromkeys(data, weight),
        init=dict(zip("abc", one.fitted_factors, strict=True)),
        tol=1e-13,
        n_iter_max=5000,
    )
    found = standard_errors(result, data, bias_correction=correction)
    for name in data:
        assert_allclose(result[name].weights, one.weights, rtol=1e-5)
        assert_allclose(found[name].weights, expected.weights, rtol=1e-4)
        assert_allclose(found[name].corrected_weights, expected.corrected_weights, rtol=1e-4)
        for own, whole_one in zip(found[name].factors, expected.factors, strict=True):
            assert_allclose(own, whole_one, rtol=1e-3)
        for own, whole_one in zip(found[name].corrected_factors, expected.corrected_factors, strict=True):
            assert_allclose(own, whole_one, rtol=1e-3, atol=1e-5)
        assert found[name].dispersion == (None if loss == "poisson" else pytest.approx(expected.dispersion))


def test_they_are_the_spread_of_many_fits():
    """25 sets from one model; each of five means of ratios within 20 %."""
    truth, sd = planted()
    rng = np.random.default_rng(1)
    fits, errors = [], []
    for _ in range(25):
        data = drawn(truth, sd, rng)
        found = gcp.fit_gcp(data, 2, loss=LOSSES, init=truth, tol=1e-9)
        fits.append(found)
        errors.append(standard_errors(found, data))
    for name in LOSSES:
        first = fits[0][name]
        turned = [align(fit[name], first) for fit in fits]
        pairs = zip(fits, turned, strict=True)
        orders = [np.argmax(np.abs(fit[name].factors[0].T @ own.factors[0]), axis=0) for fit, own in pairs]
        pairs = list(zip([each[name] for each in errors], orders, strict=True))
        for n in range(len(first.shape)):
            spread = np.std([own.factors[n] for own in turned], axis=0, ddof=1)
            own = np.nanmean([each.factors[n][:, order] for each, order in pairs], axis=0)  # NaN at bounds
            assert abs(np.mean(own / spread) - 1) < 0.2, (name, n)
        spread = np.std([own.weights for own in turned], axis=0, ddof=1)
        assert_allclose(np.mean([each.weights[order] for each, order in pairs], axis=0), spread, rtol=0.45)


def test_both_tensors_together_tell_more_of_what_they_share_than_either_alone():
    truth, sd = planted(seed=4)
    data = drawn(truth, sd, np.random.default_rng(5))
    result = gcp.fit_gcp(data, 2, loss=LOSSES, init=truth, tol=1e-10)
    found = standard_errors(result, data, bias_correction=False)
    alone = gcp.fit_gcp(data["x"], 2, loss="poisson", init=[truth[mode] for mode in "sbc"], tol=1e-10)
    own = standard_errors(align(alone, result["x"]), data["x"], bias_correction=False)
    assert np.mean(found["x"].factors[0] / own.factors[0]) < 0.95
    assert_allclose(found["x"].factors[0], found["y"].factors[0], rtol=1e-10)  # one factor, in both tables
    assert np.mean(found["x"].factors[1] / own.factors[1]) < 1.02
    frame = found.to_frame()
    assert set(frame.index.get_level_values("tensor")) == {"x", "y"}
    assert np.isfinite(
        frame["standard_error"]
    ).all()  # of the matrix too, which alone determines no component
    assert found["y"].dispersion == pytest.approx(1 / (2 * result.weights["y"]))


def test_subjects_that_one_tensor_lacks_have_the_errors_of_the_other():
    truth, sd = planted(subjects=30)
    data = drawn(truth, sd, np.random.default_rng(2))
    y = data["y"]
    coords = [y.labels.coords[0][9::-1], y.labels.coords[1]]
    few = data | {"y": DenseTensor(y.values[9::-1], labels=ModeLabels(["s", "v"], coords))}
    result = gcp.fit_gcp(few, 2, loss=LOSSES, init=truth, tol=1e-10)
    found = standard_errors(result, few, bias_correction=False)
    by_hand = np.full(data["y"].shape, np.nan)
    by_hand[:10] = data["y"].values[:10]
    same = data | {"y": named(by_hand, "s", "v")}
    again = gcp.fit_gcp(same, 2, loss=LOSSES, init=truth, tol=1e-10)
    expected = standard_errors(again, same, bias_correction=False)
    assert_allclose(found["x"].factors[0], expected["x"].factors[0], rtol=2e-3)
    assert_allclose(found["x"].weights, expected["x"].weights, rtol=2e-3)
    assert found["y"].factors[0].shape == (10, 2)


def test_penalties_of_a_mode_are_information():
    truth, sd = planted()
    data = drawn(truth, sd, np.random.default_rng(6))
    options = {"loss": LOSSES, "init": truth, "tol": 1e-10}
    free = standard_errors(gcp.fit_gcp(data, 2, **options), data, bias_correction=False)
    held = gcp.fit_gcp(data, 2, penalties=[gcp.penalties.Ridge("v", 20.0)], **options)
    found = standard_errors(held, data)
    assert np.all(found["y"].weights < free["y"].weights)


def test_what_is_refused():
    truth, sd = planted()
    data = drawn(truth, sd, np.random.default_rng(7))
    result = gcp.fit_gcp(data, 2, loss=LOSSES, init=truth)
    with pytest.raises(ParameterError, match="no 'y' in them"):
        standard_errors(result, {"x": data["x"]})
    with pytest.raises(ParameterError, match="are a dict of all of them"):
        standard_errors(result, data["x"])
    with pytest.raises(ParameterError, match="dispersion does not go together"):
        standard_errors(result, data, dispersion=1.0)
    with pytest.raises(ParameterError, match="There is no tensor 'z'"):
        standard_errors(result, data)["z"]
    repeated = gcp.fit_gcp(data, 2, loss=LOSSES, init=truth, weights=result.weights)
    assert np.isfinite(standard_errors(repeated, data)["y"].weights).all()
    for name in LOSSES:
        other = gcp.fit_gcp(data, 2, loss=LOSSES, init=truth, weights={name: 7 * result.weights[name]})
        with pytest.raises(ParameterError, match="but its data say"):
            standard_errors(other, data)


def test_main_effects_and_masks_are_those_of_their_tensor():
    """Split in two by masks, with main effects in each: those of one tensor, whose data are known in part."""
    rng = np.random.default_rng(8)
    factors = [rng.standard_normal((size, 2)) for size in (9, 8, 7)]
    level = 3 * rng.standard_normal((9, 1, 1))
    x = 4 * np.einsum("ir,jr,kr->ijk", *factors) + level + rng.standard_normal((9, 8, 7))
    whole, known = named(x, "a", "b", "c"), rng.random(x.shape) < 0.8
    options = {"random_state": 0, "tol": 1e-12, "n_iter_max": 5000, "main_effects": ["a"]}
    one = gcp.fit_gcp(whole, 2, loss="gaussian", mask=known, **options)
    expected = standard_errors(one, whole, mask=known, bias_correction=False)
    beside = named(rng.standard_normal((9, 3)), "a", "d")  # of no weight, so that it changes nothing
    data, mask = {"x": whole, "y": beside}, {"x": known}
    weights = {"x": 1 / (2 * expected.dispersion), "y": 1e-12}
    options |= {"main_effects": {"x": ["a"]}, "weights": weights, "mask": mask}
    result = gcp.fit_gcp(data, 2, loss=dict.fromkeys(data, "gaussian"), **options)
    assert result["x"].objective == pytest.approx(one.objective, rel=1e-6)
    del result.settings["weights"]["y"]  # which is no dispersion
    found = standard_errors(result, data, mask=mask, bias_correction=False)["x"]
    order = np.argmax(np.abs(one.factors[0].T @ result["x"].factors[0]), axis=0)
    assert_allclose(found.weights, expected.weights[order], rtol=1e-3)
    assert_allclose(found.factors[1], expected.factors[1][:, order], rtol=1e-3)
    assert_allclose(found.main_effects["a"], expected.main_effects["a"], rtol=1e-3)
    assert found.intercept == pytest.approx(expected.intercept, rel=1e-3)


def test_estimated_parameters_that_change_them_are_refused():
    truth, sd = planted()
    data = drawn(truth, sd, np.random.default_rng(9))
    losses = LOSSES | {"x": gcp.NegativeBinomial(r="estimate")}
    result = gcp.fit_gcp(data, 2, loss=losses, init=truth)
    with pytest.raises(ParameterError, match="the estimated r of 'x' adds to them"):
        standard_errors(result, data)
    found = LOSSES | {"x": result["x"].loss}
    again = gcp.fit_gcp(data, 2, loss=found, init=result)
    assert np.isfinite(standard_errors(again, data)["x"].weights).all()


def test_the_model_of_one_of_them_is_refused():
    """Its errors would be those of its own data alone, beside rows that all data told of."""
    truth, sd = planted()
    data = drawn(truth, sd, np.random.default_rng(0))
    result = gcp.fit_gcp(data, 2, loss=LOSSES, random_state=0)
    with pytest.raises(
        ParameterError, match=r"together with y, whose data tell of its rows, too: take the result of all"
    ):
        standard_errors(result["x"], data["x"])
