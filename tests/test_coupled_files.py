"""Results of coupled tensors in files, read by another process; and arguments that nobody should give."""

import os
import subprocess
import sys

import hostile
import numpy as np
import pytest
from good_calls import OPTIONS, Call, coupled, dense

import gcp
from gcp import DenseTensor, FormatError, ModeLabels, ParameterError

READ = """
import sys, numpy as np, gcp
found = gcp.load(sys.argv[1])
assert type(found).__name__ == "CoupledResult"
assert list(found) == ["counts", "more"]
np.save(sys.argv[2], found["more"].model_values())
found.save(sys.argv[3])
print(found.summary())
"""


def test_another_process_reads_what_was_saved(tmp_path):
    result, path = coupled(), tmp_path / "coupled.npz"
    result.save(path)
    assert gcp.load(path) == result
    values, again = tmp_path / "values.npy", tmp_path / "again.npz"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(values), str(again)],
        capture_output=True,
        text=True,
        check=True,
        env=env,
    )
    assert repr(result.summary()) in done.stdout
    np.testing.assert_array_equal(np.load(values), result["more"].model_values())
    assert again.read_bytes() == path.read_bytes()
    assert [one.name for one in tmp_path.iterdir() if "coupled" in one.name] == ["coupled.npz"]


def test_results_of_one_tensor_are_read_as_before(tmp_path):
    path = tmp_path / "one.npz"
    coupled()["more"].save(path)
    assert gcp.load(path) == coupled()["more"]
    assert gcp.load(str(path)) == gcp.FitResult.load(path)


def test_a_coupled_file_is_no_result_of_one_tensor(tmp_path):
    path = tmp_path / "coupled.npz"
    coupled().save(path)
    with pytest.raises(FormatError, match=r"coupled tensors, which is no FitResult: gcp.load"):
        gcp.FitResult.load(path)


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_damaged_files_are_refused(tmp_path, cut):
    path = tmp_path / "coupled.npz"
    coupled().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(FormatError, match=r"coupled.npz"):
        gcp.load(path)


def test_a_file_without_a_factor_is_refused(tmp_path):
    path = tmp_path / "coupled.npz"
    coupled().save(path)
    for left_out in ("factor_1", "tensor_1_factor_0", "meta", "tensor_0_meta"):
        other = tmp_path / "other.npz"
        arrays = {name: a for name, a in np.load(path).items() if name != left_out}
        np.savez(other, **arrays)
        with pytest.raises(FormatError, match=r"other.npz"):
            gcp.load(other)


def test_a_custom_loss_is_given_by_tensor(tmp_path):
    square = gcp.custom_loss(lambda x, m: (x - m) ** 2, lambda x, m: 2 * (m - x), name="own-square")
    data = {"a": np.arange(12.0).reshape(4, 3), "b": np.arange(8.0).reshape(4, 2)}
    modes = {"a": ["s", "t"], "b": ["s", "u"]}
    result = gcp.fit_gcp(
        data, 1, loss={"a": square, "b": "gaussian"}, modes=modes, weights={"a": 1.0}, **OPTIONS
    )
    path = tmp_path / "custom.npz"
    result.save(path)
    with pytest.raises(ParameterError, match="custom loss 'own-square'"):
        gcp.load(path)
    with pytest.raises(ParameterError, match="no such tensor"):
        gcp.load(path, loss={"c": square})
    again = gcp.load(path, loss={"a": square})
    np.testing.assert_array_equal(again["a"].model_values(), result["a"].model_values())


def test_dates_and_partial_positions_are_kept(tmp_path):
    days = np.array(["2024-01-01", "2024-01-02", "2024-01-04"], dtype="M8[D]")
    data = {
        "a": DenseTensor(
            np.arange(9.0).reshape(3, 3), labels=ModeLabels(["day", "t"], [days, None], ["d", None])
        ),
        "b": DenseTensor(
            np.arange(8.0).reshape(2, 4),
            labels=ModeLabels(["day", "u"], [days[[2, 0]] + np.array([0, 1]), None]),
        ),
    }
    result = gcp.fit_gcp(data, 1, loss=dict.fromkeys(data, "gaussian"), **OPTIONS)
    np.testing.assert_array_equal(result.labels.coords[0], days)
    assert result.labels.units[0] == "d"
    result.save(tmp_path / "r.npz")
    assert gcp.load(tmp_path / "r.npz") == result


HOSTILE = {
    "data": {
        "counts": dense(),
        "more": DenseTensor(np.ones((4, 2)), labels=ModeLabels(["who", "why"], [list("dcba"), None])),
    },
    "rank": 1,
    "loss": {"counts": "poisson", "more": "gaussian"},
    "weights": None,
    "modes": None,
    "init": "random",
    "bounds": None,
    "fixed_modes": (),
    "penalties": (),
    "main_effects": False,
    "mask": None,
    "entry_weights": None,
    "exposure": None,
    "callback": None,
} | OPTIONS


@pytest.mark.parametrize("parameter", list(HOSTILE))
def test_hostile_arguments_of_coupled_tensors_are_refused_in_a_sentence(parameter):
    call, found = Call(gcp.fit_gcp, HOSTILE), []
    for what in ("None", "-1", "nan", "text", "ragged list", "object array", "cube", "function"):
        said = hostile.fault(call, parameter, hostile.VALUES[what](), 120.0)
        found += [f"{parameter}={what}: {said}"] if said else []
    assert not found, "\n".join(found)


@pytest.mark.parametrize("argument", ["data", "loss", "weights", "modes", "init"])
@pytest.mark.parametrize(
    "what", ["None", "-1", "nan", "text", "ragged list", "object array", "cube", "function"]
)
def test_hostile_values_in_dicts_are_refused_in_a_sentence(argument, what):
    value = hostile.VALUES[what]()
    whole = {"counts": HOSTILE["data"]["counts"], "more": value} if argument == "data" else {"more": value}
    if argument == "loss":
        whole["counts"] = "poisson"
    said = hostile.fault(Call(gcp.fit_gcp, HOSTILE), argument, whole, 120.0)
    assert not said, said
