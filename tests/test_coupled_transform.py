"""New positions of a shared mode: the rows of the fit again, those of one tensor alone, and SciPy's minimum."""

import numpy as np
import pytest
from scipy import optimize

import gcp
from gcp import DataError, DenseTensor, ModeLabels, ObservedTensor, ParameterError, SparseTensor

LOSSES = {"spikes": "poisson", "traits": "gaussian"}
NAMES = [f"s{k}" for k in range(30)]


def made(seed=0, subjects=30):
    rng = np.random.default_rng(seed)
    a, b, c = (rng.gamma(1.5, 1.0, (size, 2)) for size in (subjects, 6, 5))
    v = rng.standard_normal((7, 2))
    x = rng.poisson(1.5 * np.einsum("ir,jr,kr->ijk", a, b, c)).astype(float)
    return x, a @ v.T + 0.4 * rng.standard_normal((subjects, 7))


def pair(x, y, names=NAMES, others=None):
    others = names if others is None else others
    return {
        "spikes": DenseTensor(x, labels=ModeLabels(["subject", "neuron", "time"], [names, None, None])),
        "traits": DenseTensor(y, labels=ModeLabels(["subject", "trait"], [others, list("pqrstuv")])),
    }


@pytest.fixture(scope="module")
def fit():
    data = pair(*made())
    return gcp.fit_gcp(data, 2, loss=LOSSES, random_state=0, tol=1e-13), data


@pytest.mark.parametrize(
    "penalties",
    [
        {},
        {"l2_reg": 0.5},
        {"penalties": [gcp.penalties.Ridge("subject", 2.0), gcp.penalties.Ridge("trait", 0.3)]},
    ],
)
def test_data_of_the_fit_have_the_rows_of_the_fit(penalties):
    data = pair(*made())
    result = gcp.fit_gcp(data, 2, loss=LOSSES, random_state=0, tol=1e-14, **penalties)
    for mode in ("subject", "trait"):
        given = data if mode == "subject" else {"traits": data["traits"]}
        new = result.transform(given, mode)
        np.testing.assert_allclose(new.rows, result.factors[mode], rtol=2e-4, atol=2e-5)
    new = result.transform(data, "subject")
    assert new.labels.tolist() == NAMES
    assert new.mode == "subject"
    assert new.lacking == {}


def test_one_tensor_alone_has_the_rows_that_its_own_model_finds(fit):
    result, _ = fit
    x, y = made(5, subjects=4)
    data = pair(x, y, NAMES[:4])
    for name in data:
        new, alone = (
            result.transform({name: data[name]}, "subject"),
            result[name].transform(data[name], "subject"),
        )
        np.testing.assert_allclose(new.rows, alone.rows, rtol=1e-5, atol=1e-7)


def test_both_tensors_have_the_minimum_of_their_weighted_sum(fit):
    """Of new subjects, of whom one lacks counts and another one traits, in other orders."""
    result, _ = fit
    x, y = made(6, subjects=5)
    data = pair(x[:4], y[1:][::-1], ["n0", "n1", "n2", "n3"], ["n4", "n3", "n2", "n1"])
    new = result.transform(data, "subject")
    assert new.labels.tolist() == ["n0", "n1", "n2", "n3", "n4"]
    f, weight = result.fitted_factors, result.weights["traits"]
    of_x = np.einsum("jr,kr->jkr", f["neuron"], f["time"]).reshape(-1, 2)
    eps = result["spikes"].loss.eps
    for k in range(5):

        def objective(a, k=k):
            total = 0.0
            if k < 4:
                m = of_x @ a
                total += np.sum(m - x[k].ravel() * np.log(m + eps))
            if k > 0:
                total += weight * np.sum((y[k] - f["trait"] @ a) ** 2)
            return total

        best = optimize.minimize(
            objective,
            np.full(2, 0.5),
            bounds=[(0, None)] * 2,
            method="L-BFGS-B",
            options={"ftol": 1e-15, "gtol": 1e-10},
        )
        size = np.sum(f["subject"] * result.factors["subject"], axis=0)
        np.testing.assert_allclose(new.rows[k] * size, best.x, rtol=2e-4, atol=2e-5)


def test_kinds_of_tensors_agree_and_lacking_labels_are_missing(fit):
    result, _ = fit
    x, y = made(7, subjects=3)
    data = pair(x, y, NAMES[:3])
    labels = data["spikes"].labels
    expected = result.transform(data, "subject").rows
    for spikes in (
        SparseTensor(np.argwhere(x), x[x > 0], x.shape, labels=labels),
        ObservedTensor(np.argwhere(x >= 0), x.ravel(), x.shape, labels=labels),
    ):
        found = result.transform(data | {"spikes": spikes}, "subject").rows
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    few = DenseTensor(y[:, [2, 0]], labels=ModeLabels(["subject", "trait"], [NAMES[:3], ["r", "p"]]))
    new = result.transform({"traits": few}, "subject")
    assert new.lacking["trait of traits"].tolist() == list("qstuv")
    holes = y.copy()
    holes[:, [1, 3, 4, 5, 6]] = np.nan
    again = result.transform({"traits": pair(x, holes, NAMES[:3])["traits"]}, "subject")
    np.testing.assert_allclose(new.rows, again.rows, rtol=1e-8)


def test_positions_of_numbers_and_bounds(fit):
    result, _ = fit
    x, y = made(8, subjects=3)
    new = result.transform({"spikes": x, "traits": y}, "subject")
    assert new.labels.tolist() == [0, 1, 2]
    held = result.transform({"traits": y}, "subject", bounds=(0.0, 0.1))
    assert held.rows.min() >= 0
    assert held.rows.max() <= 0.1


def test_a_loaded_result_transforms_as_the_one_that_was_saved(fit, tmp_path):
    data = pair(*made())
    options = {"loss": LOSSES, "random_state": 0, "penalties": [gcp.penalties.Ridge("subject", 2.0)]}
    result = gcp.fit_gcp(data, 2, **options)
    result.save(tmp_path / "r.npz")
    x, y = made(9, subjects=3)
    new = pair(x, y, NAMES[:3])
    np.testing.assert_array_equal(
        gcp.load(tmp_path / "r.npz").transform(new, "subject").rows, result.transform(new, "subject").rows
    )


def test_exposures_of_new_counts_count():
    rng = np.random.default_rng(3)
    x, y = made()
    exposure = rng.uniform(0.5, 4.0, x.shape)
    counts = rng.poisson(x * exposure).astype(float)
    data = pair(x, y)
    given = data | {"spikes": data["spikes"].with_values(counts)}
    result = gcp.fit_gcp(given, 2, loss=LOSSES, random_state=0, tol=1e-14, exposure={"spikes": exposure})
    new = result.transform(given, "subject", exposure={"spikes": exposure})
    np.testing.assert_allclose(new.rows, result.factors["subject"], rtol=1e-3, atol=1e-4)
    with pytest.raises(DataError, match="spikes: "):
        result.transform(given, "subject")


@pytest.mark.parametrize(
    ("change", "mode", "words"),
    [
        (lambda x, y: x, "subject", "takes new data by tensor"),
        (lambda x, y: {}, "subject", "takes new data by tensor"),
        (lambda x, y: {"other": x}, "subject", "is no tensor with the mode 'subject'"),
        (lambda x, y: {"spikes": x}, "trait", "is no tensor with the mode 'trait'"),
        (lambda x, y: {"traits": y}, "age", "Unknown mode 'age'"),
        (lambda x, y: {"traits": y[:, :3]}, "subject", "traits: "),
        (lambda x, y: {"spikes": -x}, "subject", "spikes: "),
        (
            lambda x, y: {"spikes": x, "traits": y[:2]},
            "subject",
            "3 positions in 'spikes', but 2 in 'traits'",
        ),
    ],
)
def test_what_is_refused(fit, change, mode, words):
    result, _ = fit
    x, y = made(8, subjects=3)
    with pytest.raises((ParameterError, DataError), match=words):
        result.transform(change(x, y), mode)
