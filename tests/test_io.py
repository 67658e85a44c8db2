import contextlib
import gzip
import io
import os
import pickle
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gcp.base.errors import DataError, FormatError, GcpError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.io import read_tensor, write_tensor
from gcp.tensors.dense import DenseTensor

ALL = [".npy", ".npz", ".tns", ".tns.gz", ".csv", ".csv.gz", ".parquet", ".mat", ".ttb", ".txt"]
TABLES = [".csv", ".csv.gz", ".parquet"]


@pytest.fixture
def save(tmp_path):
    """Write text or bytes to a file and give its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def observed(tensor):
    weights = tensor.entry_weights
    return np.ones(tensor.shape, dtype=bool) if weights is None else weights != 0


def refused(path, *parts, error=FormatError, **options):
    """Reading must fail with a message that begins with the file and holds all parts."""
    with pytest.raises(error) as caught:
        read_tensor(path, **options)
    message = str(caught.value)
    assert message.startswith(str(path))
    for part in parts:
        assert part in message
    assert "\n" not in message


# ---- hand-written files with known content


def test_tns(save):
    path = save("a.tns", "# two modes\n1 1 5\n\n  2 3   -1.5  # last\n")
    tensor = read_tensor(path)
    assert tensor.values.tolist() == [[5, 0, 0], [0, 0, -1.5]]
    assert tensor.entry_weights is None
    missing = read_tensor(path, unlisted="missing")
    np.testing.assert_array_equal(missing.values, [[5, np.nan, np.nan], [np.nan, np.nan, -1.5]])
    assert observed(missing).tolist() == [[True, False, False], [False, False, True]]


def test_tns_gz(save):
    path = save("a.tns.gz", gzip.compress(b"1 2 3\r\n2 1 4\r\n"))
    assert read_tensor(path).values.tolist() == [[0, 3], [4, 0]]


def test_tns_repeated_cells(save):
    path = save("a.tns", "1 2\n# between\n1 4\n2 7\n")
    assert read_tensor(path).values.tolist() == [6, 7]
    assert read_tensor(path, aggregate="mean").values.tolist() == [3, 7]
    refused(path, "line 1 and line 3 list the same cell", error=DataError, aggregate="error")


def test_toolbox_dense_is_in_fortran_order(save):
    path = save("a.ttb", "tensor\n3\n2 3 2\n" + "\n".join(map(str, range(1, 13))) + "\n")
    values = read_tensor(path).values
    assert values.shape == (2, 3, 2)
    assert values[:, 0, 0].tolist() == [1, 2]
    assert values[0, :, 0].tolist() == [1, 3, 5]
    assert values[0, 0, :].tolist() == [1, 7]
    np.testing.assert_array_equal(
        read_tensor(save("a.txt", "tensor\n1\n2\n1e3\nNaN\n")).values, [1000, np.nan]
    )


def test_toolbox_sparse(save):
    path = save("a.ttb", "sptensor\n3\n2 2 3\n2\n1 2 1 4.5\n2 1 1 3\n")
    values = read_tensor(path).values
    assert values.shape == (2, 2, 3)
    assert values[0, 1, 0] == 4.5
    assert values[1, 0, 0] == 3
    assert values.sum() == 7.5
    assert read_tensor(save("b.ttb", "sptensor\n2\n2 2\n0\n")).values.tolist() == [[0, 0], [0, 0]]


def test_csv(save):
    path = save(
        "a.csv", "day,value,city\n2021-03-02,4,Oslo\n2021-03-01,3,NA\n2021-03-01,2,Oslo\n2021-03-02,,NA\n"
    )
    tensor = read_tensor(path)
    assert tensor.labels.names == ("day", "city")
    assert tensor.labels.coords[0].tolist() == np.array(["2021-03-01", "2021-03-02"], "M8[D]").tolist()
    assert tensor.labels.coords[1].tolist() == ["NA", "Oslo"]  # a label, not a missing one
    np.testing.assert_array_equal(tensor.values, [[3, 2], [np.nan, 4]])


def test_csv_columns_and_unlisted(save):
    path = save("a.csv", "who,what,year,n\nann,tea,2001,2\nbob,tea,2002,3\nann,milk,2001,5\n")
    with pytest.raises(DataError, match=r'5 of the 8 cells.*unlisted="zero".*unlisted="missing"'):
        read_tensor(path)
    tensor = read_tensor(path, modes=["year", "who"], unlisted="zero")
    assert tensor.values.tolist() == [[7, 0], [0, 3]]
    assert tensor.values.dtype == np.int64
    assert tensor.labels == ModeLabels(["year", "who"], [[2001, 2002], ["ann", "bob"]])
    tensor = read_tensor(path, modes=["year", "who"], value="n", unlisted="missing", aggregate="mean")
    np.testing.assert_array_equal(tensor.values, [[3.5, np.nan], [np.nan, 3]])


def test_parquet_of_pandas_with_an_index(tmp_path):
    frame = pd.DataFrame(
        {"a": ["x", "y"], "b": pd.to_datetime(["2020-02-01"] * 2), "v": [1, 2]}, index=[5, 9]
    )
    frame.to_parquet(tmp_path / "a.parquet")
    tensor = read_tensor(tmp_path / "a.parquet")
    assert tensor.values.tolist() == [[1], [2]]
    assert tensor.labels == ModeLabels(["a", "b"], [["x", "y"], np.array(["2020-02-01"], "M8[D]")])


def test_foreign_npz(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, X=np.arange(6, dtype=np.int16).reshape(2, 3), hour=np.arange(3), title=np.array("t"))
    refused(path, "several arrays (X 2 x 3, hour 3)", "variable=", error=DataError)
    tensor = read_tensor(path, variable="X")
    assert tensor.values.dtype == np.int16
    assert tensor.values.tolist() == [[0, 1, 2], [3, 4, 5]]
    refused(path, "no variable 'Y'", "X 2 x 3", error=ParameterError, variable="Y")
    refused(path, "'title' is no array of real numbers", error=DataError, variable="title")
    np.savez(path, only=np.ones(2), title=np.array("t"))
    assert read_tensor(path).shape == (2,)


def test_mat(tmp_path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"A": np.arange(12, dtype=np.int16).reshape(2, 3, 2), "note": "text"})
    tensor = read_tensor(path)
    assert tensor.values.dtype == np.int16
    assert tensor.values.tolist() == np.arange(12).reshape(2, 3, 2).tolist()
    scipy.io.savemat(path, {"A": np.eye(2), "B": np.eye(3)})
    refused(path, "A 2 x 2, B 3 x 3", error=DataError)
    assert read_tensor(path, variable="B").shape == (3, 3)


def test_mat_toolbox_struct_gets_its_sizes_of_one_back(tmp_path):
    fields = {"data": np.arange(6.0).reshape(2, 3), "size": np.array([[2, 3, 1]])}
    scipy.io.savemat(tmp_path / "a.mat", {"T": fields})
    assert read_tensor(tmp_path / "a.mat").values.tolist() == np.arange(6.0).reshape(2, 3, 1).tolist()


def test_npy_of_other_byte_order_and_memory_order(tmp_path):
    x = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
    np.save(tmp_path / "a.npy", x)
    values = read_tensor(tmp_path / "a.npy").values
    assert values.dtype == np.dtype("=f4")
    assert values.tolist() == [[0, 1, 2], [3, 4, 5]]


# ---- round trips

VALUES = st.sampled_from(["u1", "i2", "i8", "f4", "f8", "?"]).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=4),
        elements={"allow_nan": False} if dtype in ("f4", "f8") else None,
    )
)


@pytest.mark.parametrize("ending", [".npy", ".npz", ".tns", ".tns.gz", ".ttb", ".mat", *TABLES])
def test_values_round_trip(tmp_path_factory, ending):
    folder = tmp_path_factory.mktemp("round")

    @settings(max_examples=25, deadline=None)
    @given(VALUES)
    def check(values):
        path = folder / f"a{ending}"
        write_tensor(path, DenseTensor(values))
        back = read_tensor(path).values
        if ending in (".npy", ".npz", ".parquet"):
            assert back.dtype == values.dtype
        expected = values[:, None] if ending == ".mat" and values.ndim == 1 else values
        if ending in (".tns", ".tns.gz", ".ttb"):  # text without a type is read as float64
            expected = expected.astype(np.float64)
        if values.dtype == np.float32:  # .csv writes the shortest decimals that name the float32
            back = back.astype(np.float32)
        np.testing.assert_array_equal(back, expected)
        assert os.listdir(folder) == [path.name]

    check()


@given(VALUES, st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_npz_keeps_everything(tmp_path_factory, values, random):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    rng = np.random.default_rng(random.getrandbits(32))
    weights = rng.random(values.shape) < 0.6 if rng.random() < 0.5 else rng.integers(0, 3, values.shape) / 2
    weights.flat[0] = 1
    coords = [rng.choice([None, "text", "day"]) for _ in values.shape]
    coords = [
        {None: None, "text": [f"é{i}" for i in range(n)], "day": np.arange(n).astype("M8[D]")}[c]
        for n, c in zip(values.shape, coords, strict=True)
    ]
    labels = ModeLabels([f"m{n}" for n in range(values.ndim)], coords)
    kind = {"mask": weights} if weights.dtype == bool else {"entry_weights": weights}
    tensor = DenseTensor(values, labels=labels, **kind)
    write_tensor(path, tensor)
    back = read_tensor(path)
    np.testing.assert_array_equal(back.values, values)
    assert back.labels == labels
    assert (back.entry_weights is None) == (tensor.entry_weights is None)
    if tensor.entry_weights is not None:
        assert back.entry_weights.dtype == tensor.entry_weights.dtype
        np.testing.assert_array_equal(back.entry_weights, tensor.entry_weights)


@pytest.fixture
def gappy():
    """Integers with gaps, and labels that are not in alphabetical order."""
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    labels = ModeLabels(["month", "hour"], [["jan", "feb", "mar"], [10, 20, 30, 40]])
    mask = np.ones((3, 4), dtype=bool)
    mask[1, 2] = mask[0, 3] = False
    return DenseTensor(values, mask=mask, labels=labels)


@pytest.mark.parametrize("ending", [".npy", ".mat", ".ttb", ".txt"])
def test_missing_entries_become_nan(tmp_path, gappy, ending):
    write_tensor(tmp_path / f"a{ending}", gappy)
    expected = [[0, 1, 2, np.nan], [4, 5, np.nan, 7], [8, 9, 10, 11]]
    np.testing.assert_array_equal(read_tensor(tmp_path / f"a{ending}").values, expected)


def test_table_as_written(tmp_path, gappy):
    write_tensor(tmp_path / "a.csv", gappy)
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[:4] == ["month,hour,value", "jan,10,0", "jan,20,1", "jan,30,2"]
    assert len(lines) == 1 + 10
    tensor = read_tensor(tmp_path / "a.csv", unlisted="missing")
    assert tensor.labels.coords[0].tolist() == ["feb", "jan", "mar"]
    np.testing.assert_array_equal(observed(tensor), observed(gappy)[[1, 0, 2]])


def test_parquet_keeps_order_and_type(tmp_path, gappy):
    write_tensor(tmp_path / "a.parquet", gappy)
    tensor = read_tensor(tmp_path / "a.parquet", unlisted="missing")
    assert tensor.labels == gappy.labels
    assert tensor.values.dtype == np.int16
    np.testing.assert_array_equal(observed(tensor), observed(gappy))
    np.testing.assert_array_equal(tensor.values[observed(gappy)], gappy.values[observed(gappy)])


def test_tns_keeps_slices_of_zeros_and_omits_zeros(tmp_path):
    write_tensor(tmp_path / "a.tns", np.array([[0, 2, 0], [0, 0, 0]]))
    assert (tmp_path / "a.tns").read_text() == "# gcp-tensor shape: 2 3\n1 2 2\n"
    assert read_tensor(tmp_path / "a.tns").values.tolist() == [[0, 2, 0], [0, 0, 0]]


@pytest.mark.parametrize("ending", [".npz", ".tns.gz", ".csv.gz"])
def test_equal_tensors_give_equal_files(tmp_path, ending, monkeypatch):
    write_tensor(tmp_path / f"a{ending}", np.arange(6.0).reshape(2, 3))
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    write_tensor(tmp_path / f"b{ending}", np.arange(6.0).reshape(2, 3))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_npz_is_plain_numpy(tmp_path, gappy):
    write_tensor(tmp_path / "a.npz", gappy)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        np.testing.assert_array_equal(archive["values"], gappy.values)
        np.testing.assert_array_equal(archive["mask"], observed(gappy))
        assert archive["mode_names"].tolist() == ["month", "hour"]
        assert archive["coords_0"].tolist() == ["jan", "feb", "mar"]


# ---- what is refused when reading


@pytest.mark.parametrize("ending", ALL)
def test_no_file_folder_and_empty_file(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    refused(path, "no such file", error=DataError)
    path.write_bytes(b"")
    refused(path, "empty", error=DataError)
    path.unlink()
    path.mkdir()
    refused(path, "folder", error=DataError)


def test_unknown_endings(tmp_path):
    for name in ("a.root", "a", "a.gz", "a.npy.gz"):
        refused(tmp_path / name, ".npy, .npz, .parquet", "format=", error=ParameterError)
    with pytest.raises(ParameterError, match=r"\.parquet"):
        write_tensor(tmp_path / "a.root", np.ones(2))


def test_options_that_do_not_apply(save):
    path = save("a.tns", "1 1\n")
    refused(path, "'modes'", "only to .csv", error=ParameterError, modes=["a"])
    refused(path, "'variable'", ".npz, .h5", error=ParameterError, variable="a")
    refused(path, 'unlisted must be "zero" or "missing"', error=ParameterError, unlisted="nothing")
    refused(
        path, 'aggregate must be "sum", "mean", "first", "last"', error=ParameterError, aggregate="median"
    )


@pytest.mark.parametrize("ending", ALL)
def test_damaged_files_never_escape_as_other_errors(tmp_path, ending):
    """Any truncation and any few changed bytes either read or raise an error of gcp."""
    rng = np.random.default_rng(1)
    path = tmp_path / f"a{ending}"
    write_tensor(path, rng.poisson(2.0, (4, 3, 2)))
    content = path.read_bytes()
    for _ in range(60):
        part = bytearray(content[: rng.integers(1, len(content) + 1)])
        for place in rng.integers(len(part), size=rng.integers(0, 4)):
            part[place] = rng.integers(256)
        path.write_bytes(bytes(part))
        with contextlib.suppress(GcpError):
            assert read_tensor(path).values.size > 0


@pytest.mark.parametrize("ending", [".npy", ".npz", ".tns.gz", ".csv.gz", ".parquet", ".mat", ".ttb"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_files(tmp_path, ending, kept):
    path = tmp_path / f"a{ending}"
    write_tensor(path, np.random.default_rng(0).random((10, 10)))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    refused(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n1 2\n", "line 2: expected 2 subscripts and a value, found 2 fields"),
        ("# c\n\n1 1 x\n", "line 3: 'x' is not a number"),
        ("# gcp-tensor shape: 2 2\n0 1 5\n", "line 2: subscript 0 of mode 0: expected whole numbers from 1"),
        ("1 -2 5\n", "line 1: subscript -2 of mode 1"),
        ("1 1.5 5\n", "line 1: subscript 1.5 of mode 1"),
        ("nan 1 5\n", "line 1: subscript nan of mode 0"),
        ("1 1 1\n# c\n1 2 nan\n", "line 3: the value is NaN"),
        ("5\n", "line 1: expected subscripts and a value"),
        ("# nothing\n", "lists no entry"),
        (b"1 1 \xff\n", "UTF-8"),
    ],
)
def test_bad_tns(save, text, message):
    refused(save("a.tns", text), message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("matrix\n2\n2 2\n", "line 1: expected the word tensor or sptensor, found 'matrix'"),
        ("tensor\nx\n", "line 2"),
        ("tensor\n2\n2 0\n", "line 3: expected 2 whole number(s) from 1, found '2 0'"),
        ("tensor\n2\n2\n", "line 3"),
        ("tensor\n2\n2 2\n1\nfoo\n3\n4\n", "line 5: 'foo' is not a number"),
        ("tensor\n2\n2 2\n1\n2\n3\n", "promises 4 values: found 3"),
        ("tensor\n2\n2 2\n", "promises 4 values: found 0"),
        ("sptensor\n2\n2 2\n2\n1 2 5\n", "promises 2 rows: found 1"),
        ("sptensor\n2\n2 2\n1\n1 3 5\n", "line 5: subscript 3 of mode 1: expected whole numbers from 1 to 2"),
        ("sptensor\n2\n2 2\n1\n1 1 1 5\n", "line 5: expected 2 subscripts and a value, found 4 fields"),
    ],
)
def test_bad_toolbox_text(save, text, message):
    refused(save("a.ttb", text), message)


@pytest.mark.parametrize(
    ("text", "message", "options"),
    [
        ("a,b,value\nx,y,1\nx,z\n", "line 3: expected 3 fields, found 2", {}),
        ("a,b,value\nx,y,1\n\nx,z,3,4\n", "line 4: expected 3 fields, found 4", {}),
        ("a,b,value\nx,y,1\nx,z,oops\n", "'value' should hold numbers: found 'oops' in line 3", {}),
        ("a,b,value\nx,y,1\n,z,2\n", "'a' has no label in line 3", {}),
        ("a,b,value\nx,y,1\nx,y,2\n", "line 2 and line 3 list the same cell", {"aggregate": "error"}),
        ("a,a,value\nx,y,1\n", "2 columns are called 'a'", {}),
        ("a,value\nx,1\n", "no column 'q': the columns are ['a', 'value']", {"modes": ["q"]}),
        ("a,value\nx,1\n", "no column 'q'", {"value": "q"}),
        ("a,value\nx,1\n", "All columns are modes", {"modes": ["a", "value"]}),
        ("a,b\n1,2020-01-01\n", "expected numbers", {}),
        (",a,value\n0,x,1\n", "Column 1 has no name", {}),
        ("a,b,value\n", "no rows", {}),
        ("a;b;value\n1;2;3\n", "separated by commas, found 'a;b;value'", {}),
        (b"a,b\n\xff\xfe,1\n", "UTF-8", {}),
    ],
)
def test_bad_csv(save, text, message, options):
    refused(save("a.csv", text), message, error=(DataError, ParameterError), **options)


def test_bad_parquet(save, tmp_path):
    refused(save("a.parquet", b"PAR1" + bytes(50)), "not a .parquet file")
    pd.DataFrame({"a": ["x", None], "v": [1, 2]}).to_parquet(tmp_path / "b.parquet")
    refused(tmp_path / "b.parquet", "'a' has no label in row 2", error=DataError)


def test_bad_arrays(tmp_path, save):
    refused(save("p.npy", pickle.dumps([1.0])), "not in .npy form")
    for name, array, part in [
        ("object", np.array([1, None], dtype=object), "not read for safety"),
        ("complex", np.ones(2) + 1j, "complex128"),
        ("text", np.array(["a"]), "<U1"),
        ("scalar", np.float64(1), "single number"),
        ("none", np.ones((0, 2)), "empty"),
        ("nan", np.full(2, np.nan), "no observed entry"),
    ]:
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=True)
        refused(tmp_path / f"{name}.npy", part, error=DataError)


def test_bad_npz(tmp_path, save):
    path = tmp_path / "a.npz"
    for arrays, part in [
        ({"format": "gcp-tensor", "version": 4, "values": np.ones(2)}, "newer than this gcp reads"),
        ({"format": "gcp-result", "version": 1}, "marked 'gcp-result'"),
        ({"format": "gcp-tensor", "version": 1}, "no entry 'values'"),
        ({"format": "gcp-tensor", "version": 1, "values": np.ones(2), "mask": np.ones(3, bool)}, "mask"),
        (
            {"format": "gcp-tensor", "version": 1, "values": np.ones(2), "mode_names": ["a", "b"]},
            "2 mode names",
        ),
        ({"o": np.array([1, None], dtype=object)}, "Python objects"),
        ({"c": np.ones(2) + 1j}, "complex128"),
        ({}, "no array of real numbers"),
    ]:
        np.savez(path, **arrays)
        refused(path, part, error=DataError)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("values.npy", b"x" * 100)
    refused(save("b.npz", content.getvalue()), "not in .npy form")
    damaged = bytearray(content.getvalue())
    damaged[60] ^= 255
    refused(save("c.npz", bytes(damaged)))


def test_bad_mat(tmp_path, save):
    header = b"MATLAB 7.3 MAT-file, Platform: X".ljust(124) + b"\x00\x02IM" + bytes(400)
    refused(save("a.mat", header), "the file is damaged: an element of type 0")
    refused(save("a.mat", header[:128].ljust(512) + b"\x89HDF\r\n\x1a\n" + bytes(400)), "not a .mat file")
    scipy.io.savemat(tmp_path / "b.mat", {"S": {"fs": "fast", "k": "text"}, "name": "text"})
    refused(tmp_path / "b.mat", "S (a struct of fs, k)")
    scipy.io.savemat(tmp_path / "c.mat", {"C": np.ones((2, 2)) * 1j})
    refused(tmp_path / "c.mat", "complex128")


@pytest.mark.parametrize("ending", TABLES)
def test_tables_name_the_extra_to_install(tmp_path, ending, monkeypatch):
    path = tmp_path / f"a{ending}"
    write_tensor(path, np.ones((2, 2)))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ParameterError, match=r"gcp-tensor\[tables\]"):
        read_tensor(path)


# ---- what is refused when writing; nothing is left behind


def failing_write(path, tensor, match, error=DataError):
    before = sorted(os.listdir(path.parent)) if path.parent.is_dir() else []
    with pytest.raises(error, match=match):
        write_tensor(path, tensor)
    assert (sorted(os.listdir(path.parent)) if path.parent.is_dir() else []) == before


def test_what_a_format_cannot_hold(tmp_path, gappy):
    failing_write(tmp_path / "a.tns", gappy, "missing entries")
    weighted = DenseTensor(np.ones(2), entry_weights=[1.0, 2.0])
    for ending in (".npy", ".csv", ".parquet", ".mat", ".ttb", ".tns"):
        failing_write(tmp_path / f"a{ending}", weighted, r"entry weights.*Write \.npz")
    named = DenseTensor(np.ones(2), labels=ModeLabels(["value"], [None]))
    failing_write(tmp_path / "a.csv", named, 'called "value"')
    repeated = DenseTensor(np.ones(2), labels=ModeLabels(["m"], [["a", "a"]]))
    failing_write(tmp_path / "a.csv", repeated, "'m' repeat")


def test_weights_of_zero_and_one_are_missing_entries(tmp_path):
    write_tensor(tmp_path / "a.npy", DenseTensor(np.array([1, 2]), entry_weights=[0.0, 1.0]))
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), [np.nan, 2])


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npy"
    write_tensor(path, np.ones(2))
    failing_write(tmp_path / "none" / "a.npy", np.ones(2), "no folder")
    (tmp_path / "b.npy").mkdir()
    failing_write(tmp_path / "b.npy", np.ones(2), "is a folder")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    failing_write(path, np.zeros(2), "No space left on device")
    assert np.load(path).tolist() == [1, 1]


def test_write_through_a_link(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "link.npy").symlink_to(tmp_path / "to" / "real.npy")
    write_tensor(tmp_path / "link.npy", np.ones(2))
    assert (tmp_path / "link.npy").is_symlink()
    assert np.load(tmp_path / "to" / "real.npy").tolist() == [1, 1]
