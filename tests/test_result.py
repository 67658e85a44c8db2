"""What a result says, against hand computation, and what a file keeps of it."""

import json
import zipfile
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
import tensorly as tl
from helpers import LOSSES, falls, full, interior_points, short
from numpy.testing import assert_allclose
from tensorly.cp_tensor import cp_norm, cp_normalize, cp_to_tensor

from gcp import (
    LBFGSB,
    BetaDivergence,
    DataError,
    DenseTensor,
    DomainError,
    FitResult,
    FormatError,
    Huber,
    ModeLabels,
    NegativeBinomial,
    ParameterError,
    custom_loss,
    fit_gcp,
)

SHAPE = (6, 5, 4)


def quick_fit(loss="poisson", rank=3, shape=SHAPE, **options):
    rng = np.random.default_rng(0)
    named = fit_gcp([1.0, 1.0], 1, loss=loss, n_iter_max=0, random_state=0).loss
    data = interior_points(named, int(np.prod(shape)), rng)[0].reshape(shape)
    return data, fit_gcp(data, rank, loss=loss, **({"random_state": 0, "n_iter_max": 20} | options))


@pytest.fixture(scope="module")
def poisson():
    return quick_fit()


# --- the model ---------------------------------------------------------------------------------------------


def test_columns_have_unit_norm_and_weights_fall(poisson):
    _, result = poisson
    for a in result.factors:
        assert_allclose(np.linalg.norm(a, axis=0), 1, rtol=1e-12)
    assert falls(result.weights)
    assert result.weights.min() >= 0
    assert result.shape == SHAPE
    assert result.rank == 3


def test_signs_are_fixed_in_all_modes_but_the_last():
    _, result = quick_fit("gaussian")
    for a in result.factors[:-1]:
        assert (a[np.argmax(np.abs(a), axis=0), range(3)] > 0).all()


def test_cp_is_a_tensorly_tensor_of_copies(poisson):
    _, result = poisson
    cp = result.cp
    assert isinstance(cp, tl.cp_tensor.CPTensor)
    assert_allclose(cp_to_tensor(cp), full(result.factors, result.weights), rtol=1e-12)
    assert_allclose(cp_norm(cp), np.linalg.norm(full(result.factors, result.weights)))
    assert_allclose(cp_to_tensor(cp_normalize(cp)), cp_to_tensor(cp), rtol=1e-12)
    cp.factors[0][:] = 0
    cp.weights[:] = 0
    assert result.factors[0].any()
    assert result.weights.any()


@pytest.mark.parametrize("shape", [(7,), (6, 5), (3, 2, 4, 2)])
def test_model_values_at_subscripts_are_those_of_the_whole(shape):
    _, result = quick_fit("gaussian", 2, shape)
    whole = full(result.factors, result.weights)
    assert_allclose(result.model_values(), whole, atol=1e-12)
    subs = np.argwhere(np.ones(shape))[::3]
    assert_allclose(result.model_values(subs), whole[tuple(subs.T)], atol=1e-12)
    assert_allclose(result.model_values(subs[0]), whole[tuple(subs[0])], atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=short)
def test_predict_is_the_mean_under_the_loss(loss):
    _, result = quick_fit(loss, 2)
    m = full(result.factors, result.weights)
    assert_allclose(result.predict(), loss.mean(m), rtol=1e-10, atol=1e-12)
    assert_allclose(result.predict([[0, 1, 2]]), loss.mean(m[0, 1, 2]), rtol=1e-10)


@pytest.mark.parametrize(
    "subs",
    [
        [[0, 0]],
        [[0, 0, 0, 0]],
        [[0.0, 1.0, 2.0]],
        [[6, 0, 0]],
        [[0, 0, -1]],
        [["a", "b", "c"]],
        [[[0, 0, 0]]],
        [[]],
    ],
)
def test_bad_subscripts_are_named(subs, poisson):
    with pytest.raises(ParameterError, match="subs"):
        poisson[1].model_values(subs)


# --- scores ------------------------------------------------------------------------------------------------


def test_score_is_minus_the_weighted_mean_loss(poisson):
    data, result = poisson
    rng = np.random.default_rng(5)
    mask, weights = rng.random(SHAPE) > 0.4, rng.uniform(0, 2, SHAPE)
    m = result.model_values()
    f = m - data * np.log(m + 1e-10)
    assert_allclose(result.score(data), -f.mean(), rtol=1e-7)
    assert_allclose(result.score(data, mask=mask), -f[mask].mean(), rtol=1e-7)
    assert_allclose(
        result.score(data, mask=mask, entry_weights=weights),
        -np.average(f[mask], weights=weights[mask]),
        rtol=1e-7,
    )


def test_deviance_explained_of_the_gaussian_is_r_squared():
    data, result = quick_fit("gaussian")
    m = result.model_values()
    expected = 1 - np.sum((data - m) ** 2) / np.sum((data - data.mean()) ** 2)
    assert_allclose(result.deviance_explained(data), expected, rtol=1e-10)
    assert_allclose(result.training_deviance_explained, expected, rtol=1e-10)
    assert 0 < expected < 1


def test_deviance_explained_of_counts_by_hand(poisson):
    data, result = poisson

    def deviance(m):
        part = np.where(data > 0, data * np.log(np.maximum(data, 1) / m), 0)
        return 2 * np.sum(part - (data - m))

    expected = 1 - deviance(result.model_values()) / deviance(np.full(SHAPE, data.mean()))
    assert_allclose(result.deviance_explained(data), expected, rtol=1e-6)


def test_deviance_explained_judges_held_out_cells_by_their_own_constant():
    data, result = quick_fit("gaussian")
    mask = np.zeros(SHAPE, bool)
    mask[:, :2] = True
    y, m = data[mask], result.model_values()[mask]
    expected = 1 - np.sum((y - m) ** 2) / np.sum((y - y.mean()) ** 2)
    assert_allclose(result.deviance_explained(data, mask=mask), expected, rtol=1e-10)


def test_scoring_checks_shape_and_domain(poisson):
    _, result = poisson
    with pytest.raises(DataError, match="shape"):
        result.score(np.ones((2, 2)))
    with pytest.raises(DomainError):
        result.score(-np.ones(SHAPE))


def test_ridge_is_not_part_of_the_score():
    data, result = quick_fit("gaussian", l2_reg=0.5)
    assert_allclose(result.score(data), -np.mean((data - result.model_values()) ** 2), rtol=1e-10)


def test_training_deviance_explained_leaves_the_ridge_out():
    data, result = quick_fit("gaussian", l2_reg=0.5)
    assert_allclose(result.training_deviance_explained, result.deviance_explained(data), rtol=1e-10)


def test_result_prints_what_matters(poisson):
    text = str(poisson[1])
    for part in (
        "rank 3",
        "6 mode_0 x 5 mode_1 x 4 mode_2",
        "Poisson",
        "objective",
        "deviance",
        "not converged",
    ):
        assert part in text
    assert len(text.splitlines()) < 15


def test_result_is_frozen(poisson):
    with pytest.raises(FrozenInstanceError):
        poisson[1].objective = 0.0


def test_frames_carry_labels():
    labels = ModeLabels(["when", "who"], [pd.date_range("2020-01-01", periods=4).values, ["a", "b", "c"]])
    result = fit_gcp(DenseTensor(np.arange(12.0).reshape(4, 3), labels=labels), 2, random_state=0)
    frames = result.to_frames()
    assert list(frames) == ["when", "who"]
    assert list(frames["who"].index) == ["a", "b", "c"]
    assert frames["when"].index[2] == pd.Timestamp("2020-01-03")
    assert np.array_equal(frames["who"].to_numpy(), result.factors[1])


def test_settings_are_plain_json(poisson):
    settings = poisson[1].settings
    assert json.loads(json.dumps(settings)) == settings
    assert settings["seed"] == 0
    assert {"gcp", "numpy", "scipy"} <= set(settings["versions"])


# --- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*LOSSES, Huber(0.1), NegativeBinomial(r=1 / 3, eps=1e-7)], ids=short)
def test_saving_and_loading_keeps_every_bit(loss, tmp_path):
    _, result = quick_fit(loss, 2)
    result.save(tmp_path / "fit.npz")
    loaded = FitResult.load(tmp_path / "fit.npz")
    assert loaded == result
    assert loaded.loss == result.loss
    assert loaded.weights.tobytes() == result.weights.tobytes()
    assert all(p.tobytes() == q.tobytes() for p, q in zip(loaded.factors, result.factors, strict=True))
    assert loaded.objective == result.objective


def test_equality_notices_a_change(poisson):
    result = poisson[1]
    assert result == replace(result)
    assert result != replace(result, objective=np.nextafter(result.objective, np.inf))
    assert result != replace(result, factors=[result.factors[0] * (1 + 1e-15), *result.factors[1:]])
    assert result != "result"


@pytest.mark.parametrize(
    "coord",
    [
        ["a", "b", "ä"],
        [3, 1, 2],
        [0.5, np.pi, -1e300],
        np.array(["2020-01-01", "2020-02-01", "2020-03-01"], "datetime64[D]"),
        pd.date_range("2020-01-01 10:00", periods=3, freq="h").values,
        np.array(["one", "two", "three"], dtype=object),
        None,
    ],
    ids=["text", "ints", "floats", "days", "times", "objects", "none"],
)
def test_labels_survive_the_file(coord, tmp_path):
    labels = ModeLabels(["station", "x y"], [coord, None])
    result = fit_gcp(DenseTensor(np.arange(6.0).reshape(3, 2), labels=labels), 1, random_state=0)
    result.save(tmp_path / "fit.npz")
    loaded = FitResult.load(tmp_path / "fit.npz")
    assert loaded.labels == labels
    if coord is not None:
        assert loaded.labels.coords[0].dtype == result.labels.coords[0].dtype


def test_float32_results_survive(tmp_path):
    data = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    result = fit_gcp(data, 2, random_state=0)
    result.save(tmp_path / "fit.npz")
    assert FitResult.load(tmp_path / "fit.npz").factors[0].dtype == np.float32


@pytest.mark.parametrize(
    "options",
    [
        {"solver": LBFGSB(memory=np.int64(5))},
        {"solver": LBFGSB(tol=np.float32(1e-6))},
        {"n_iter_max": np.int64(7)},
        {"max_seconds": np.float32(100)},
        {"l2_reg": np.float32(0.1)},
        {"l2_reg": np.int64(1)},
        {"rank": np.int64(2)},
        {"random_state": np.int64(3)},
        {"n_starts": np.int64(2)},
        {"fixed_modes": np.array([0]), "init": [np.ones((6, 2)), np.ones((5, 2)), np.ones((4, 2))]},
        {"bounds": (np.float32(0), np.ones((), np.float32))},
        {"loss": NegativeBinomial(r=np.int64(3))},
        {"loss": Huber(delta=np.float32(0.5))},
        {"loss": BetaDivergence(beta=np.float32(0.5))},
    ],
    ids=str,
)
def test_numpy_numbers_as_options_can_be_saved(options, tmp_path):
    data = np.random.default_rng(0).poisson(2.0, SHAPE)
    options = {"rank": 2, "random_state": 0, "n_iter_max": 3} | options
    result = fit_gcp(data, options.pop("rank"), **options)
    result.save(tmp_path / "fit.npz")
    assert FitResult.load(tmp_path / "fit.npz") == result


def test_custom_losses_are_asked_for(tmp_path):
    loss = custom_loss(lambda x, m: (x - m) ** 4, name="quartic")
    result = fit_gcp(np.random.default_rng(0).normal(size=(5, 4)), 1, loss=loss, random_state=0)
    result.save(tmp_path / "fit.npz")
    with pytest.raises(ParameterError, match=r"quartic.*loss="):
        FitResult.load(tmp_path / "fit.npz")
    assert FitResult.load(tmp_path / "fit.npz", loss=loss) == result


def test_a_loaded_result_is_a_warm_start(poisson, tmp_path):
    data, result = poisson
    result.save(tmp_path / "fit.npz")
    loaded = FitResult.load(tmp_path / "fit.npz")
    assert loaded.deviance_explained(data) == result.deviance_explained(data)
    one, two = (fit_gcp(data, 3, loss="poisson", init=init, n_iter_max=5) for init in (result, loaded))
    assert one.objective == two.objective


@pytest.mark.parametrize("as_text", [True, False])
def test_any_name_is_kept_as_given(as_text, poisson, tmp_path):
    path = tmp_path / "my model.result"
    poisson[1].save(str(path) if as_text else path)
    assert [p.name for p in tmp_path.iterdir()] == ["my model.result"]
    assert FitResult.load(str(path) if as_text else path) == poisson[1]


def test_saving_again_replaces_the_file(poisson, tmp_path):
    path = tmp_path / "fit.npz"
    path.write_bytes(b"old")
    poisson[1].save(path)
    assert FitResult.load(path) == poisson[1]


def test_files_hold_no_pickle(poisson, tmp_path):
    poisson[1].save(tmp_path / "fit.npz")
    with np.load(tmp_path / "fit.npz", allow_pickle=False) as archive:
        for name in archive.files:
            assert archive[name].dtype.kind != "O"


@pytest.mark.parametrize("keep", [0, 0.001, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(keep, poisson, tmp_path):
    path = tmp_path / "fit.npz"
    poisson[1].save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(FormatError if keep else DataError, match=r"fit\.npz"):
        FitResult.load(path)


def rewritten(path, **changes):
    """The archive with some arrays replaced, or left out where None."""
    with np.load(path) as archive:
        arrays = dict(archive) | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": np.array(99)}, "version 99.*newer"),
        ({"version": None}, "fit.npz"),
        ({"format": np.array("gcp-tensor")}, "gcp-tensor"),
        ({"format": None}, "fit.npz"),
        ({"weights": None}, "fit.npz"),
        ({"factor_1": None}, "fit.npz"),
        ({"meta": np.array("{")}, "fit.npz"),
        ({"meta": np.array("{}")}, "fit.npz"),
        ({"mode_names": np.array(["a"])}, "fit.npz"),
        ({"factor_0": np.ones((6, 7))}, "fit.npz"),
        ({"weights": np.ones(8)}, "fit.npz"),
        ({"factor_0": np.array(["text"] * 6)}, "fit.npz"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_damaged_or_foreign_archives_are_refused(changes, message, poisson, tmp_path):
    path = tmp_path / "fit.npz"
    poisson[1].save(path)
    rewritten(path, **changes)
    with pytest.raises(FormatError, match=message):
        FitResult.load(path)


def test_a_flipped_byte_does_not_pass(poisson, tmp_path):
    path = tmp_path / "fit.npz"
    poisson[1].save(path)
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("weights.npy")
    content = bytearray(path.read_bytes())
    content[entry.header_offset + len("weights.npy") + 30 + entry.compress_size - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError):
        FitResult.load(path)


@pytest.mark.parametrize("content", [b"hello", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00"])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "fit.npz"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"fit\.npz"):
        FitResult.load(path)


def test_missing_files_folders_and_permissions_are_named(poisson, tmp_path):
    with pytest.raises(DataError, match=r"absent\.npz"):
        FitResult.load(tmp_path / "absent.npz")
    with pytest.raises(DataError, match="nowhere"):
        poisson[1].save(tmp_path / "nowhere" / "fit.npz")
    with pytest.raises(DataError):
        poisson[1].save(tmp_path)
    with pytest.raises(DataError):
        FitResult.load(tmp_path)


def test_a_failed_write_leaves_the_old_file(poisson, tmp_path, monkeypatch):
    path = tmp_path / "fit.npz"
    poisson[1].save(path)
    before = path.read_bytes()
    import gcp.io.result_file

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gcp.io.result_file, "write_archive", full_disk)
    with pytest.raises(DataError, match="No space left"):
        poisson[1].save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["fit.npz"]
