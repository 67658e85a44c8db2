"""Coupled tensors: what is planted is found, TensorLy's least squares, labels, units, and what is refused."""

import numpy as np
import pytest
import tensorly as tl

import gcp
from gcp import DataError, DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor
from gcp.analysis import factor_match_score

SUBJECTS = [f"s{k}" for k in range(60)]
LOSSES = {"spikes": "poisson", "traits": "gaussian"}


def planted(seed, level=2.5, sd=0.5, subjects=60):
    """Counts of which a third is known, and measurements of the same subjects; and their factors."""
    rng = np.random.default_rng(seed)
    a, b, c = (rng.gamma(1.0, 1.0, (size, 3)) for size in (subjects, 10, 6))
    v = rng.standard_normal((20, 3))
    m = np.einsum("ir,jr,kr->ijk", a, b, c)
    x = rng.poisson(m * (level / m.mean())).astype(float)
    x[rng.random(x.shape) > 0.35] = np.nan
    return x, a @ v.T + sd * rng.standard_normal((subjects, 20)), (a, b, c, v)


def named(x, *names, labels=SUBJECTS):
    return DenseTensor(x, labels=ModeLabels(names, [labels[: len(x)], *[None] * (x.ndim - 1)]))


def pair(x, y):
    return {"spikes": named(x, "subject", "neuron", "time"), "traits": named(y, "subject", "trait")}


@pytest.fixture(scope="module")
def small():
    """A small coupled fit, and its data."""
    x, y, _ = planted(0, subjects=25)
    data = pair(x, y)
    return gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0), data


@pytest.mark.parametrize("seed", range(10))
def test_what_is_planted_in_both_is_found_where_either_alone_fails(seed):
    """Counts tell the components but little of subjects; of a matrix any rotation of components is as good."""
    x, y, (a, b, c, v) = planted(seed)
    data = pair(x, y)
    result = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=seed, n_starts=3)
    truths = {"spikes": (np.ones(3), [a, b, c]), "traits": (np.ones(3), [a, v])}
    for name, truth in truths.items():
        alone = gcp.fit_gcp(data[name], 3, loss=LOSSES[name], random_state=seed, n_starts=3)
        assert factor_match_score(alone, truth, modes="subject").score < 0.97
        assert factor_match_score(result[name], truth, modes="subject").score > 0.98
        assert factor_match_score(result[name], truth, modes=list(range(len(truth[1])))).score > 0.93
    assert 1 / (2 * result.weights["traits"]) == pytest.approx(0.25, rel=0.15)
    assert result.weights["spikes"] == 1.0


def test_every_result_is_the_model_of_its_tensor(small):
    result, data = small
    assert list(result) == ["spikes", "traits"]
    assert set(result.factors) == {"subject", "neuron", "time", "trait"}
    f = result.fitted_factors
    for name, own in result.items():
        expected = np.einsum(
            "ir,jr,kr->ijk" if name == "spikes" else "ir,jr->ij", *(f[mode] for mode in own.labels.names)
        )
        np.testing.assert_allclose(own.model_values(), expected, rtol=1e-6, atol=1e-9)
        for mode, a in zip(own.labels.names, own.factors, strict=True):
            np.testing.assert_allclose(a, result.factors[mode], rtol=1e-6, atol=1e-9)
        assert own.deviance_explained(data[name]) == pytest.approx(own.training_deviance_explained, abs=1e-6)
        assert own.labels == data[name].labels
    for mode in ("subject", "neuron", "time"):  # a tensor of counts needs them
        assert f[mode].min() >= 0
    assert f["trait"].min() < 0
    total = sum(result.weights[name] * own.objective for name, own in result.items())
    assert result.objective == pytest.approx(total, rel=1e-9)
    residuals = gcp.analysis.residuals(result["traits"], data["traits"])
    assert np.std(residuals.values if hasattr(residuals, "values") else residuals) > 0.5


def test_least_squares_are_those_of_tensorly():
    """On the example of its own tests, with noise so that the minimum is not 0."""
    from tensorly.decomposition import coupled_matrix_tensor_3d_factorization
    from tensorly.random import random_cp

    rng = tl.check_random_state(1234)
    tensor = random_cp((21, 12, 16), rank=3, normalise_factors=False, random_state=rng)
    matrix = random_cp((21, 14), rank=3, normalise_factors=False, random_state=rng)
    matrix.factors[0] = tensor.factors[0]
    noise = np.random.default_rng(0)
    x = tl.cp_to_tensor(tensor) + 0.1 * noise.standard_normal((21, 12, 16))
    y = tl.cp_to_tensor(matrix) + 0.1 * noise.standard_normal((21, 14))
    of_x, of_y, errors = coupled_matrix_tensor_3d_factorization(x, y, 3, n_iter_max=3000, tol=1e-13)
    result = gcp.fit_gcp(
        {"x": x, "y": y},
        3,
        loss={"x": "gaussian", "y": "gaussian"},
        modes={"x": ["a", "b", "c"], "y": ["a", "d"]},
        weights={"x": 1.0, "y": 1.0},
        tol=1e-13,
        random_state=0,
    )
    least = float(np.sum((x - tl.cp_to_tensor(of_x)) ** 2) + np.sum((y - tl.cp_to_tensor(of_y)) ** 2))
    assert result.objective == pytest.approx(least, rel=1e-7)
    np.testing.assert_allclose(result["x"].model_values(), tl.cp_to_tensor(of_x), atol=2e-4)
    np.testing.assert_allclose(result["y"].model_values(), tl.cp_to_tensor(of_y), atol=2e-4)
    assert result.weights == {"x": 1.0, "y": 1.0}
    assert len(errors) < 3000


def test_labels_decide_not_positions():
    """Tensors in another order, with subjects that one of them lacks, are the same as slices that are missing."""
    x, y, _ = planted(1, subjects=30)
    rng = np.random.default_rng(5)
    some, others = rng.permutation(30)[:24], rng.permutation(30)[:22]
    names = np.array(SUBJECTS[:30])
    cut = {
        "spikes": DenseTensor(x[some], labels=ModeLabels(["subject", "n", "t"], [names[some], None, None])),
        "traits": DenseTensor(y[others].T, labels=ModeLabels(["trait", "subject"], [None, names[others]])),
    }
    order = list(some) + [k for k in others if k not in some]
    whole_x, whole_y = np.full(x[order].shape, np.nan), np.full(y[order].shape, np.nan)
    whole_x[:24] = x[some]
    at = [order.index(k) for k in others]
    whole_y[at] = y[others]
    by_hand = {
        "spikes": DenseTensor(whole_x, labels=ModeLabels(["subject", "n", "t"], [names[order], None, None])),
        "traits": DenseTensor(whole_y.T, labels=ModeLabels(["trait", "subject"], [None, names[order]])),
    }
    options = {"loss": LOSSES, "random_state": 0, "n_starts": 3, "tol": 1e-11}
    found, expected = gcp.fit_gcp(cut, 2, **options), gcp.fit_gcp(by_hand, 2, **options)
    np.testing.assert_array_equal(found.labels.coords[0], names[order])  # first seen first
    assert found.objective == pytest.approx(expected.objective, rel=1e-6)
    assert found["spikes"].shape == (24, 10, 6)
    assert found["traits"].shape == (20, 22)
    np.testing.assert_array_equal(found["traits"].labels.coords[1], names[others])
    np.testing.assert_allclose(
        found["spikes"].model_values(), expected["spikes"].model_values()[:24], rtol=2e-3, atol=2e-3
    )
    np.testing.assert_allclose(
        found["traits"].model_values(), expected["traits"].model_values()[:, at], rtol=2e-3, atol=2e-3
    )
    assert found.weights["traits"] == pytest.approx(expected.weights["traits"], rel=1e-3)


@pytest.mark.parametrize("unit", [1000.0, 1e-3])
def test_a_unit_of_one_tensor_changes_nothing_in_the_other(small, unit):
    result, data = small
    moved = data | {"traits": data["traits"].with_values(unit * data["traits"].values)}
    again = gcp.fit_gcp(moved, 3, loss=LOSSES, random_state=0)
    np.testing.assert_allclose(
        again["spikes"].model_values(), result["spikes"].model_values(), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        again["traits"].model_values(), unit * result["traits"].model_values(), rtol=1e-3, atol=1e-3 * unit
    )
    assert again.weights["traits"] == pytest.approx(result.weights["traits"] / unit**2, rel=1e-3)
    fixed = gcp.fit_gcp(moved, 3, loss=LOSSES, random_state=0, weights=dict.fromkeys(moved, 1.0))
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            fixed["spikes"].model_values(), result["spikes"].model_values(), rtol=0.02, atol=0.02
        )


def test_given_weights_repeat_the_fit(small):
    result, data = small
    again = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0, weights=result.weights, init=result, tol=1e-10)
    assert again.weights == result.weights
    assert again.objective == pytest.approx(result.objective, rel=1e-6)
    np.testing.assert_allclose(again["traits"].model_values(), result["traits"].model_values(), atol=0.02)


def test_variances_are_found_also_where_a_model_could_repeat_the_matrix():
    """Four traits beside four components: what is left are the parameters that the counts, and only they, tell."""
    rng = np.random.default_rng(2)
    a, b, c = (rng.gamma(1.0, 1.0, (size, 3)) for size in (80, 12, 10))
    x = rng.poisson(6 * np.einsum("ir,jr,kr->ijk", a, b, c)).astype(float)
    y = a @ rng.standard_normal((3, 4)) + 0.5 * rng.standard_normal((80, 4))
    data = {
        "x": named(x, "s", "b", "c", labels=list(range(80))),
        "y": named(y, "s", "d", labels=list(range(80))),
    }
    result = gcp.fit_gcp(data, 3, loss={"x": "poisson", "y": "gaussian"}, random_state=0)
    assert 1 / (2 * result.weights["y"]) == pytest.approx(0.25, rel=0.2)


def test_kinds_of_tensors_and_sparse_counts_agree():
    x, y, _ = planted(3, subjects=25)
    x = np.nan_to_num(x)
    labels = ModeLabels(["subject", "n", "t"], [SUBJECTS[:25], None, None])
    kinds = [
        DenseTensor(x, labels=labels),
        SparseTensor(np.argwhere(x), x[x > 0], x.shape, labels=labels),
        ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape, labels=labels),
    ]
    found = [
        gcp.fit_gcp(
            {"x": one, "y": named(y, "subject", "d")},
            2,
            loss={"x": "poisson", "y": "gaussian"},
            random_state=0,
        )
        for one in kinds
    ]
    for other in found[1:]:
        assert other.objective == pytest.approx(found[0].objective, rel=1e-5)
        np.testing.assert_allclose(
            other["x"].model_values(), found[0]["x"].model_values(), rtol=5e-3, atol=5e-3
        )


def test_a_dataset_of_xarray_is_coupled_tensors():
    import xarray as xr

    x, y, _ = planted(4, subjects=20)
    of_x = xr.DataArray(x, dims=("subject", "neuron", "time"), coords={"subject": SUBJECTS[:20]})
    of_y = xr.DataArray(y, dims=("subject", "trait"), coords={"subject": SUBJECTS[:20]})
    found = gcp.fit_gcp(xr.Dataset({"spikes": of_x, "traits": of_y}), 2, loss=LOSSES, random_state=0)
    again = gcp.fit_gcp({"spikes": of_x, "traits": of_y}, 2, loss=LOSSES, random_state=0)
    assert found == again or found.objective == again.objective
    frames = found.to_frames()
    assert list(frames["subject"].index) == SUBJECTS[:20]


def test_three_tensors_in_a_chain_and_one_that_is_all_shared():
    rng = np.random.default_rng(6)
    a, b, c = (rng.standard_normal((size, 2)) for size in (12, 10, 9))
    data = {"ab": a @ b.T, "bc": b @ c.T, "ca": c @ a.T}
    data = {name: one + 0.01 * rng.standard_normal(one.shape) for name, one in data.items()}
    modes = {name: list(name) for name in data}
    result = gcp.fit_gcp(
        data, 2, loss=dict.fromkeys(data, "gaussian"), modes=modes, random_state=0, n_starts=3
    )
    for name, one in data.items():
        assert result[name].deviance_explained(DenseTensor(one, labels=result[name].labels)) > 0.999
        assert result[name].weights.min() > 0
    signs = {
        mode: np.sign(np.sum(a * result.fitted_factors[mode], axis=0)) for mode, a in result.factors.items()
    }
    assert all(np.array_equal(signs["a"] * signs["b"], signs[m] * signs[n]) for m, n in ("bc", "ca"))


def test_seeds_starts_and_callbacks_are_those_of_any_fit(small):
    result, data = small
    again = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0)
    assert again["spikes"].weights.tolist() == result["spikes"].weights.tolist()
    assert again.fitted_factors.keys() == result.fitted_factors.keys()
    seen = []
    early = gcp.fit_gcp(
        data,
        3,
        loss=LOSSES,
        random_state=0,
        n_starts=2,
        callback=lambda state: bool(seen.append(state.iteration)),
    )
    assert len(early.starts) == 2
    assert len(seen) > 2
    stopped = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0, callback=lambda state: state.iteration >= 2)
    assert stopped.status == "callback"
    assert not stopped.converged
    few = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0, n_iter_max=3, weights={"traits": 1.0})
    assert few.status == "n_iter_max"


def test_fixed_factors_stay_and_ridges_shrink(small):
    result, data = small
    init = {mode: 1.3 * a for mode, a in result.fitted_factors.items()}
    held = gcp.fit_gcp(data, 3, loss=LOSSES, init=init, fixed_modes=["neuron"], random_state=0)
    np.testing.assert_array_equal(held.fitted_factors["neuron"], init["neuron"])
    shrunk = gcp.fit_gcp(
        data,
        3,
        loss=LOSSES,
        random_state=0,
        penalties=[gcp.penalties.Ridge("trait", 50.0)],
        weights=result.weights,
    )
    norms = [np.linalg.norm(one["traits"].model_values()) for one in (shrunk, result)]
    assert norms[0] < 0.9 * norms[1]
    assert shrunk["traits"].problem.penalties.of_components[0].unit == pytest.approx(2.0)
    assert shrunk["spikes"].problem.penalties.of_components == ()


X3, Y2 = np.ones((4, 3, 2)), np.arange(8.0).reshape(4, 2)
MODES = {"x": ["a", "b", "c"], "y": ["a", "d"]}
BOTH = {"x": "gaussian", "y": "gaussian"}


def labels_of(names, *coords):
    return ModeLabels(names, coords)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        ({"x": X3}, {}, "two or more are coupled"),
        ({}, {}, "two or more are coupled"),
        ({1: X3, "y": Y2}, {}, "have texts as names"),
        ({"x": X3, "y": Y2}, {"modes": None}, "have no names of their own"),
        ({"x": X3, "y": Y2}, {"modes": {"z": ["a"]}}, "modes names 'z', but there is no such tensor"),
        ({"x": X3, "y": Y2}, {"modes": {"x": ["a", "b", "c"], "y": ["e", "d"]}}, "no mode in common"),
        ({"x": X3, "y": Y2[:3]}, {}, "4 positions in 'x', but 3 in 'y'"),
        ({"x": X3, "y": np.full((4, 2), np.nan)}, {}, "y: "),
        ({"x": X3, "y": np.empty((4, 0))}, {}, "y: "),
        ({"x": X3, "y": Y2}, {"loss": {"x": "gaussian"}}, "loss lacks that of 'y'"),
        ({"x": X3, "y": Y2}, {"loss": {**BOTH, "z": "poisson"}}, "no such tensor"),
        ({"x": X3, "y": Y2}, {"loss": "gaussian"}, "have a loss each"),
        ({"x": X3, "y": -Y2}, {"loss": {"x": "gaussian", "y": "poisson"}}, "y: The poisson loss needs"),
        (
            {"x": X3, "y": Y2},
            {"loss": {"x": "gaussian", "y": "huber"}},
            "has no dispersion by which its unit",
        ),
        ({"x": X3, "y": Y2}, {"weights": {"z": 1.0}}, "weights names 'z'"),
        ({"x": X3, "y": Y2}, {"weights": {"x": -1.0}}, r"weights\['x'\] must be"),
        ({"x": X3, "y": Y2}, {"weights": "held-out"}, "weights must be a dict"),
        ({"x": X3, "y": Y2}, {"solver": "als"}, "sum of their gradients"),
        ({"x": X3, "y": Y2}, {"solver": "rows"}, "sum of their gradients"),
        ({"x": X3, "y": Y2}, {"solver": "adam"}, "sum of their gradients"),
        ({"x": X3, "y": Y2}, {"init": "svd"}, "is for one tensor"),
        ({"x": X3, "y": Y2}, {"init": {"a": Y2}}, "expected one for each mode"),
        (
            {"x": X3, "y": Y2},
            {"mask": np.ones((4, 3, 2), bool)},
            "mask beside coupled tensors must be a dict by tensor",
        ),
        ({"x": X3, "y": Y2}, {"main_effects": ["a"]}, "must be True, or a dict by tensor"),
        ({"x": X3, "y": Y2}, {"main_effects": {"z": True}}, "no such tensor"),
        ({"x": X3, "y": Y2}, {"main_effects": {"y": ["b"]}}, "y: main_effects: there is no mode 'b'"),
        ({"x": X3, "y": Y2}, {"checkpoint": "file"}, "checkpoint does not go together"),
        ({"x": X3, "y": Y2}, {"tied_modes": [("a", "b")]}, "tied_modes does not go together"),
        ({"x": X3, "y": Y2}, {"design": {"a": np.ones((4, 1))}}, "design does not go together"),
        ({"x": X3, "y": Y2}, {"weight_reg": 1.0}, "weight_reg does not go together"),
        ({"x": X3, "y": Y2}, {"penalties": [gcp.penalties.Ridge("q", 1.0)]}, "have their modes by name"),
        ({"x": X3, "y": Y2}, {"penalties": [gcp.penalties.Ridge(0, 1.0)]}, "have their modes by name"),
        (
            {
                "x": DenseTensor(X3, labels=labels_of(["a", "b", "c"], list("pqrs"), None, None)),
                "y": DenseTensor(Y2, labels=labels_of(["a", "d"], list("wxyz"), None)),
            },
            {"modes": None},
            "no label in common",
        ),
        (
            {
                "x": DenseTensor(X3, labels=labels_of(["a", "b", "c"], list("pqrs"), None, None)),
                "y": DenseTensor(Y2, labels=labels_of(["a", "d"], None, None)),
            },
            {"modes": None},
            "has labels in 'x', but none in 'y'",
        ),
        (
            {
                "x": DenseTensor(X3, labels=labels_of(["a", "b", "c"], list("pqrq"), None, None)),
                "y": DenseTensor(Y2, labels=labels_of(["a", "d"], list("pqrs"), None)),
            },
            {"modes": None},
            "more than once",
        ),
    ],
)
def test_what_is_refused_is_refused_in_one_sentence(data, options, words):
    given = {"loss": BOTH, "modes": MODES, "n_iter_max": 2, "random_state": 0} | options
    with pytest.raises((DataError, ParameterError), match=words) as caught:
        gcp.fit_gcp(data, 1, **given)
    assert "\n" not in str(caught.value)


def test_masks_weights_and_exposures_are_given_by_tensor():
    x, y, _ = planted(3, subjects=20)
    rng, counts = np.random.default_rng(0), np.nan_to_num(x)
    exposure, weights = rng.uniform(0.5, 2.0, x.shape), rng.uniform(0.5, 2.0, y.shape)
    data = pair(counts, y)
    options = {"loss": LOSSES, "random_state": 0}
    found = gcp.fit_gcp(
        data,
        2,
        mask={"spikes": ~np.isnan(x)},
        entry_weights={"traits": weights},
        exposure={"spikes": exposure},
        **options,
    )
    assert found["spikes"].problem.carried == ("exposure",)
    of_tensors = pair(x, y) | {"traits": DenseTensor(y, entry_weights=weights, labels=data["traits"].labels)}
    again = gcp.fit_gcp(of_tensors, 2, exposure={"spikes": exposure}, **options)
    assert again.objective == pytest.approx(found.objective, rel=1e-9)
    new = found.transform(
        data,
        "subject",
        mask={"spikes": ~np.isnan(x)},
        entry_weights={"traits": weights},
        exposure={"spikes": exposure},
    )
    np.testing.assert_allclose(new.rows, found.factors["subject"], rtol=0.02, atol=0.01)
    with pytest.raises(ParameterError, match="exposure names 'z'"):
        gcp.fit_gcp(data, 2, exposure={"z": exposure}, **options)


def test_weights_of_one_tensor_are_refused():
    with pytest.raises(ParameterError, match="entry_weights"):
        gcp.fit_gcp(X3, 1, weights={"x": 1.0})


def test_a_mixed_table_with_parameters_is_one_of_the_tensors():
    """Several losses in one of them, of known dispersions."""
    rng = np.random.default_rng(8)
    a, b, c = (rng.gamma(1.0, 1.0, (size, 2)) for size in (40, 6, 5))
    x = rng.poisson(3 * np.einsum("ir,jr,kr->ijk", a, b, c)).astype(float)
    y = np.column_stack([a @ [1.0, -1.0] + 0.3 * rng.standard_normal(40), rng.poisson(a @ [2.0, 1.0])])
    loss = gcp.SeveralLosses("d", {0: "gaussian", 1: "poisson"}, parameters=(0.09, 1.0))
    result = gcp.fit_gcp(
        {"x": x, "y": y},
        2,
        loss={"x": "poisson", "y": loss},
        modes={"x": list("abc"), "y": ["a", "d"]},
        random_state=0,
    )
    truth = np.ones(2), [a, b, c]
    assert factor_match_score(result["x"], truth, modes="a").score > 0.97
    assert np.corrcoef(result["y"].predict()[:, 0], a @ [1.0, -1.0])[0, 1] > 0.9
    assert result.weights == {"x": 1.0, "y": 1.0}


def test_what_is_of_one_tensor_names_the_one_to_take(small):
    result, data = small
    words = r'take that of one, result\["spikes"\]'
    for judge in (gcp.analysis.residuals, gcp.analysis.deviance, gcp.analysis.proper_scores):
        with pytest.raises(ParameterError, match=words):
            judge(result, data["spikes"])
    for alone in (gcp.analysis.n_parameters, gcp.analysis.degeneracies, gcp.plots.plot_components):
        with pytest.raises(ParameterError, match=words):
            alone(result)
    with pytest.raises(ParameterError, match=words):
        factor_match_score(result, result["spikes"])
    with pytest.raises(DataError, match=r"a dict \('spikes', 'traits'\), and one tensor is expected"):
        gcp.analysis.calibration(result, data)
    with pytest.raises(DataError, match="and one tensor is expected"):
        gcp.select_rank(data, [1, 2])


def test_a_position_without_any_data_is_unknown_everywhere():
    x, y, _ = planted(9, subjects=20)
    x[3], y[3], y[5] = np.nan, np.nan, np.nan
    data = pair(x, y)
    result = gcp.fit_gcp(data, 2, loss=LOSSES, random_state=0)
    assert {name: at.tolist() for name, at in result.unknown.items()} == {"subject": [3]}
    for name, own in result.items():
        assert own.unknown["subject"].tolist() == [3]
        mean = np.delete(own.model_values(), 3, axis=0).mean(axis=0)
        np.testing.assert_allclose(own.model_values()[3], mean, rtol=1e-6, atol=1e-9)
        assert np.isfinite(own.predict()).all(), name
    assert np.linalg.norm(result["traits"].model_values()[5]) > 0  # foretold from the counts
    assert np.isnan(result.to_frames()["subject"].loc["s3"]).all()
    assert "Nothing is known of 1 of subject (s3)" in repr(result)


@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8")])
def test_single_precision_is_that_of_all_tensors_or_none(dtypes):
    x, y, _ = planted(2, subjects=25)
    data = pair(x.astype(dtypes[0]), y.astype(dtypes[1]))
    result = gcp.fit_gcp(data, 3, loss=LOSSES, random_state=0)
    expected = gcp.fit_gcp(
        pair(x.astype(dtypes[0]), y.astype(dtypes[1]).astype(float)), 3, loss=LOSSES, random_state=0
    )
    assert result.factors["subject"].dtype == (np.float32 if dtypes[1] == "f4" else np.float64)
    assert result.objective == pytest.approx(expected.objective, rel=1e-3)


def test_an_interrupt_returns_the_best_model_so_far():
    x, y, _ = planted(2, subjects=25)

    def interrupt(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    result = gcp.fit_gcp(pair(x, y), 3, loss=LOSSES, random_state=0, callback=interrupt)
    assert result.status == "interrupted"
    assert not result.converged
    assert np.isfinite(result["traits"].model_values()).all()


def test_data_that_a_model_repeats_have_a_limited_weight():
    """Without noise, and constant."""
    rng = np.random.default_rng(4)
    a, b, c, d = (rng.standard_normal((size, 2)) for size in (15, 8, 7, 9))
    data = {"x": np.einsum("ir,jr,kr->ijk", a, b, c), "y": a @ d.T + rng.standard_normal((15, 9))}
    modes = {"x": list("abc"), "y": ["a", "d"]}
    options = {"loss": {"x": "gaussian", "y": "gaussian"}, "modes": modes, "random_state": 0}
    result = gcp.fit_gcp(data, 2, **options)
    assert result["x"].training_deviance_explained > 0.99999
    assert "the model repeats x nearly exactly" in result.message
    constant = gcp.fit_gcp(data | {"y": np.ones((15, 9))}, 3, **options)
    assert np.isfinite(constant.objective)


def test_gamma_and_counts_weigh_by_their_shape():
    rng = np.random.default_rng(7)
    a, b, c, d = (rng.gamma(2.0, 1.0, (size, 2)) for size in (50, 8, 7, 9))
    data = {
        "x": rng.poisson(np.einsum("ir,jr,kr->ijk", a, b, c)),
        "y": rng.gamma(4.0, (a @ d.T) / 4.0),
    }
    modes = {"x": list("abc"), "y": ["a", "d"]}
    result = gcp.fit_gcp(data, 2, loss={"x": "poisson", "y": "gamma"}, modes=modes, random_state=0)
    assert result.weights["y"] == pytest.approx(4.0, rel=0.2)  # the shape


def test_bootstrap_of_one_of_them_is_refused(small):
    result, data = small
    assert result["traits"].problem.coupled_with == ("spikes",)
    assert "coupled with" in repr(result["traits"])
    with pytest.raises(ParameterError, match="fitted together with spikes"):
        gcp.analysis.bootstrap(result["traits"], data["traits"], 2)


def test_judgements_of_one_tensor_are_those_of_its_model(small, tmp_path):
    result, data = small
    for name, own in result.items():
        assert np.isfinite(gcp.analysis.log_likelihood(own, data[name]))
        assert gcp.analysis.anomalies(own, data[name], 3).p_value.shape == (3,)
        assert gcp.analysis.calibration(own, data[name]).weight.sum() == own.total_weight
        assert gcp.analysis.residuals(own, data[name]).shape == data[name].shape
        gcp.plots.plot_components(own)
        gcp.write_report(own, data[name], tmp_path / f"{name}.html")
        ax = gcp.plots.plot_convergence(own)
        assert ax.get_title() == "Convergence"


@pytest.mark.parametrize(
    "losses", [("poisson", "gaussian"), ("bernoulli-logit", "gamma"), ("poisson-log", "gaussian")]
)
def test_solvers_agree(losses):
    x, y, _ = planted(6, subjects=25)
    x = (np.nan_to_num(x) > 2).astype(float) if losses[0].startswith("bernoulli") else np.nan_to_num(x)
    y = np.exp(0.3 * y) if losses[1] == "gamma" else y
    loss = dict(zip(("spikes", "traits"), losses, strict=True))
    options = {"loss": loss, "weights": {"traits": 0.7}, "l2_reg": 0.1, "random_state": 0, "n_starts": 3}
    first = gcp.fit_gcp(pair(x, y), 2, **options)
    again = gcp.fit_gcp(pair(x, y), 2, solver="lbfgsb", init=first, **options | {"n_starts": 1})
    assert again.objective == pytest.approx(first.objective, rel=1e-6)
    fresh = gcp.fit_gcp(pair(x, y), 2, solver="lbfgsb", **options)
    assert first.objective <= fresh.objective + 5e-3 * abs(fresh.objective)


def test_weights_can_be_chosen_by_held_out_loss():
    """Cells of the counts that a fit has not seen judge it: beside noise, least weight for the noise is best."""
    rng = np.random.default_rng(2)
    a, b, c, v = (rng.gamma(1.0, 1.0, (size, 2)) for size in (30, 8, 6, 12))
    x = rng.poisson(np.einsum("ir,jr,kr->ijk", a, b, c)).astype(float)
    y = {"told": a @ v.T + 0.2 * rng.standard_normal((30, 12)), "noise": rng.standard_normal((30, 12))}
    split = gcp.hold_out(named(x, "subject", "neuron", "time"), 0.5, 0)
    best = {}
    for name, traits in y.items():
        scores = {}
        for weight in (1e-3, 1.0, 1e3):
            data = {"spikes": split.train, "traits": named(traits, "subject", "trait")}
            result = gcp.fit_gcp(data, 2, loss=LOSSES, weights={"traits": weight}, random_state=0, n_starts=2)
            scores[weight] = split.judge(result["spikes"]).mean_loss
        best[name] = min(scores, key=scores.get)
    assert best["noise"] == 1e-3
    assert best["told"] > 1e-3
