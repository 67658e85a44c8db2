"""Listed tensors in files: round trips, and what a format cannot hold."""

import os

import numpy as np
import pandas as pd
import pytest

from gcp import DenseTensor, ModeLabels, ObservedTensor, SparseTensor, read_tensor, write_tensor
from gcp.base.errors import DataError, FormatError

SHAPE = (400, 3000, 200)
TABLES = [".csv", ".csv.gz", ".parquet"]


@pytest.fixture
def subs(rng):
    return np.unique(rng.integers(0, SHAPE, (2000, 3)), axis=0)


@pytest.fixture
def labels():
    users = [f"user {n:03d}" for n in range(400)]
    return ModeLabels(
        ["user", "item", "month"], [users, None, np.arange(200).astype("M8[M]").astype("M8[D]")]
    )


def same(one, two):
    assert type(one) is type(two)
    assert one.shape == two.shape
    np.testing.assert_array_equal(one.subs, two.subs)
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_equal(one.entry_weights, two.entry_weights)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64, bool])
@pytest.mark.parametrize("kind", [SparseTensor, ObservedTensor])
def test_npz_keeps_everything(tmp_path, subs, labels, rng, dtype, kind):
    values = rng.integers(1, 9, len(subs)).astype(dtype)
    path = tmp_path / "a.npz"
    for weights in (None, rng.integers(1, 4, len(subs)) / 2):
        tensor = kind(subs, values, SHAPE, weights, labels=labels)
        write_tensor(path, tensor)
        back = read_tensor(path)
        same(back, tensor)
        assert back.values.dtype == dtype
        assert back.labels == labels
    write_tensor(path, kind(subs, values, (2**60 // 2**10, 2**50, 2**33)))
    assert read_tensor(path).shape == (2**50, 2**50, 2**33)


def test_npz_of_weighted_modes_and_missing_cells(tmp_path, subs):
    modes = [np.arange(400) % 2, None, np.linspace(0, 1, 200)]
    tensor = SparseTensor(subs, np.ones(len(subs)), SHAPE, mode_weights=modes, missing=[[1, 2, 3], [5, 6, 7]])
    write_tensor(tmp_path / "a.npz", tensor)
    back = read_tensor(tmp_path / "a.npz")
    same(back, tensor)
    np.testing.assert_array_equal(back.missing, tensor.missing)
    for u, v in zip(back.mode_weights, tensor.mode_weights, strict=True):
        np.testing.assert_array_equal(u, v)
    assert back.total_weight() == pytest.approx(tensor.total_weight())


def test_npz_versions(tmp_path):
    """Dense files are as before, for older readers."""
    write_tensor(tmp_path / "a.npz", np.ones((2, 2)))
    write_tensor(tmp_path / "b.npz", SparseTensor([[5, 6]], [2]))
    with np.load(tmp_path / "a.npz") as dense, np.load(tmp_path / "b.npz") as listed:
        assert sorted(dense) == ["format", "values", "version"]
        assert dense["version"] == 1
        assert sorted(listed) == ["format", "kind", "shape", "subs", "values", "version"]
        assert (listed["version"], listed["kind"]) == (2, "sparse")
        assert listed["subs"].tolist() == [[5, 6]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": None}, "no entry 'kind'"),
        ({"subs": None}, "no entry 'subs'"),
        ({"values": None}, "no entry 'values'"),
        ({"kind": "dense"}, "expected one of the kinds sparse, observed .*found 'dense'"),
        ({"shape": np.array([2.0, 2.0])}, "a shape of whole numbers"),
        ({"shape": np.array([2])}, "shape has 1 modes, but subs has 2 columns"),
        ({"subs": np.array([[0, 0], [2, 0]])}, "entry 1 has the subscript 2 in mode 0"),
        ({"subs": np.array([[0, 0], [0, 0]])}, "entry 0 and entry 1 list the same cell"),
        ({"values": np.ones(3)}, r"subs has shape \(2, 2\)"),
        ({"mode_weights_1": np.ones(3)}, "mode_weights of mode 1 has shape"),
        ({"missing": np.array([[0, 9]])}, "missing cell 0 has the subscript 9"),
        ({"version": 4}, "newer than this gcp reads"),
    ],
)
def test_bad_npz(tmp_path, changes, message):
    arrays = {"format": "gcp-tensor", "version": 2, "kind": "sparse", "shape": np.array([2, 2])}
    arrays |= {"subs": np.array([[0, 0], [1, 0]]), "values": np.ones(2)}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in (arrays | changes).items() if v is not None})
    with pytest.raises((DataError, FormatError), match=rf"a\.npz: .*{message}"):
        read_tensor(tmp_path / "a.npz")


@pytest.mark.parametrize("ending", TABLES)
def test_tables_of_known_entries(tmp_path, subs, labels, ending, rng):
    values = rng.integers(0, 3, len(subs))  # a known zero is a row
    tensor = ObservedTensor(subs, values, SHAPE, labels=labels)
    path = tmp_path / f"a{ending}"
    write_tensor(path, tensor)
    frame = pd.read_parquet(path) if ending == ".parquet" else pd.read_csv(path)
    assert list(frame.columns) == ["user", "item", "month", "value"]
    assert len(frame) == len(subs)
    assert frame["value"].tolist() == tensor.values.tolist()
    assert frame["user"].tolist() == labels.coords[0][tensor.subs[:, 0]].tolist()
    back = read_tensor(path, unlisted="missing")
    assert isinstance(back, ObservedTensor)
    coords = [labels.values(mode, size) for mode, size in enumerate(SHAPE)]
    for mode in range(3):
        np.testing.assert_array_equal(
            back.labels.coords[mode][back.subs[:, mode]], coords[mode][tensor.subs[:, mode]]
        )
    np.testing.assert_array_equal(back.values, tensor.values)


@pytest.mark.parametrize("ending", TABLES)
def test_tables_of_nonzeros(tmp_path, subs, ending):
    tensor = SparseTensor(subs, np.arange(len(subs)) % 4, SHAPE, missing=[[399, 2999, 199]])
    path = tmp_path / f"a{ending}"
    write_tensor(path, tensor)
    frame = pd.read_parquet(path) if ending == ".parquet" else pd.read_csv(path)
    listed = frame.dropna()
    assert (listed["value"] != 0).all()
    assert len(listed) == np.count_nonzero(np.arange(len(subs)) % 4)
    assert frame[frame["value"].isna()].iloc[0, :3].tolist() == [399, 2999, 199]
    back = read_tensor(path, unlisted="zero")
    assert isinstance(back, SparseTensor)
    assert back.n_missing == 1
    assert back.values.sum() == tensor.values.sum()


def test_tns_of_nonzeros(tmp_path):
    tensor = SparseTensor([[0, 2**40], [7, 3]], [1.5, -2], (8, 2**41))
    write_tensor(tmp_path / "a.tns", tensor)
    assert sorted((tmp_path / "a.tns").read_text().splitlines()) == [
        "# gcp-tensor shape: 8 2199023255552",
        "1 1099511627777 1.5",
        "8 4 -2.0",
    ]
    same(read_tensor(tmp_path / "a.tns"), tensor)
    write_tensor(tmp_path / "b.tns", SparseTensor([[1, 1]], [True]))
    assert (tmp_path / "b.tns").read_text().splitlines()[1] == "2 2 1"


def test_frostt_counts_are_sparse(tmp_path):
    (tmp_path / "a.tns").write_text("5000 1 1 2\n1 4000 1 3\n1 1 3000 4\n5000 1 1 5\n")
    tensor = read_tensor(tmp_path / "a.tns")
    assert repr(tensor) == "SparseTensor(5000 x 4000 x 3000, float64, 3 listed)"
    assert sorted(tensor.values.tolist()) == [3, 4, 7]
    known = read_tensor(tmp_path / "a.tns", unlisted="missing", aggregate="mean")
    assert isinstance(known, ObservedTensor)
    assert sorted(known.values.tolist()) == [3, 3.5, 4]


def test_toolbox_sptensor_is_sparse(tmp_path):
    (tmp_path / "a.ttb").write_text("sptensor\n3\n5000 4000 3000\n2\n1 2 3 4.5\n5000 4000 3000 -1\n")
    tensor = read_tensor(tmp_path / "a.ttb")
    assert tensor.shape == (5000, 4000, 3000)
    assert tensor.subs.tolist() == [[0, 1, 2], [4999, 3999, 2999]]
    assert tensor.values.tolist() == [4.5, -1]


@pytest.mark.parametrize("ending", [".npy", ".mat", ".ttb", ".txt"])
def test_formats_of_all_cells(tmp_path, ending):
    sparse = SparseTensor([[0, 1], [2, 0]], [1.5, 2], (3, 2), missing=[[1, 1]])
    known = ObservedTensor([[0, 1], [2, 0]], [1.5, 0], (3, 2))
    nan = np.nan
    for tensor, expected in (
        (sparse, [[0, 1.5], [0, nan], [2, 0]]),
        (known, [[nan, 1.5], [nan, nan], [0, nan]]),
    ):
        write_tensor(tmp_path / f"a{ending}", tensor)
        back = read_tensor(tmp_path / f"a{ending}")
        assert isinstance(back, DenseTensor)
        np.testing.assert_array_equal(back.values, expected)


@pytest.mark.parametrize(
    ("ending", "tensor", "message"),
    [
        (
            ".npy",
            SparseTensor([[0, 0]], [1], (2**20, 2**20)),
            "1,099,511,627,776 cells, more than the 2,147,483,648",
        ),
        (".mat", ObservedTensor([[0, 0]], [1], (2**20, 2**20)), "cells, more than"),
        (
            ".tns",
            ObservedTensor([[0, 0]], [1], (2, 2)),
            "missing entries, which .tns files cannot tell from zeros",
        ),
        (".tns", SparseTensor([[0, 0]], [1], (2, 2), missing=[[1, 1]]), "missing entries"),
        (
            ".tns",
            SparseTensor([[0, 0]], [1], (2, 2), entry_weights=[2]),
            r"weights, which .tns .* Write \.npz",
        ),
        (".tns", SparseTensor([[0, 0]], [1], (2, 2), mode_weights=[[1, 0], None]), r"weights.*Write \.npz"),
        (".csv", ObservedTensor([[0, 0]], [1], (2, 2), entry_weights=[2]), r"weights, which .csv"),
        (
            ".parquet",
            SparseTensor([[0, 0]], [1], (2, 2), mode_weights=[[1, 0], None]),
            r"weights, which .parquet",
        ),
        (".npy", ObservedTensor([[0, 0]], [1], (2, 2), entry_weights=[2]), r"entry weights, which .npy"),
    ],
)
def test_what_a_format_cannot_hold(tmp_path, ending, tensor, message):
    with pytest.raises(DataError, match=message):
        write_tensor(tmp_path / f"a{ending}", tensor)
    assert os.listdir(tmp_path) == []
