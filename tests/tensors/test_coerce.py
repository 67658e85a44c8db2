import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import tensorly as tl
import xarray as xr

from gcp.errors import DataError
from gcp.labels import ModeLabels
from gcp.tensors.coerce import as_tensor
from gcp.tensors.dense import DenseTensor

X = np.arange(6.0).reshape(2, 3)


def test_arrays():
    assert as_tensor(X).values is X
    assert as_tensor(X.tolist()).values.tolist() == X.tolist()
    assert as_tensor(tl.tensor(X)).values.tolist() == X.tolist()
    assert as_tensor(X).labels is None
    masked = as_tensor(np.ma.array(X, mask=X > 4), mask=X > 0)
    assert masked.entry_weights.tolist() == [[False, True, True], [True, True, False]]
    assert as_tensor(X, entry_weights=[0, 1, 2]).entry_weights.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_arrays_of_other_libraries():
    class Torchlike:
        def detach(self):
            return self

        def cpu(self):
            return X

    class Jaxlike:
        def __array__(self, dtype=None, copy=None):
            return X

    assert as_tensor(Torchlike()).values is X
    assert as_tensor(Jaxlike()).values is X


def test_dense_tensor_is_itself():
    tensor = DenseTensor(X)
    assert as_tensor(tensor) is tensor


@pytest.mark.parametrize("own", ["none", "mask", "weights"])
@pytest.mark.parametrize("given", ["mask", "weights", "both"])
def test_masks_intersect_and_weights_multiply(own, given):
    rng = np.random.default_rng(0)
    labels = ModeLabels(["a", "b"], [None, ["x", "y", "z"]])
    masks = rng.random((2, 2, 3)) < 0.7
    masks[:, 0, 0] = True
    weights = rng.integers(1, 200, (2, 2, 3)).astype(np.uint8)
    kinds = {"none": {}, "mask": {"mask"}, "weights": {"weights"}, "both": {"mask", "weights"}}

    def chosen(index, kind):
        return (
            masks[index] if "mask" in kinds[kind] else None,
            weights[index] if "weights" in kinds[kind] else None,
        )

    tensor = DenseTensor(X, *chosen(0, own), labels=labels)
    before = None if tensor.entry_weights is None else tensor.entry_weights.copy()
    result = as_tensor(tensor, *chosen(1, given))
    expected = np.ones((2, 3))
    for index, kind in ((0, own), (1, given)):
        for part in chosen(index, kind):
            expected = expected if part is None else expected * part
    np.testing.assert_array_equal(result.entry_weights, expected)
    is_mask = own != "weights" and given == "mask"
    assert (result.entry_weights.dtype == bool) == is_mask
    assert result.values is X
    assert result.labels is labels
    np.testing.assert_equal(tensor.entry_weights, before)


def test_xarray():
    array = xr.DataArray(
        [[1.0, np.nan], [3.0, 4.0], [5.0, 6.0]],
        dims=["time", "place"],
        coords={
            "time": np.array(["2020-01-01", "2020-01-02", "2020-01-03"], "M8[ns]"),
            "height": ("place", [1, 2]),
        },
    )
    tensor = as_tensor(array)
    assert tensor.labels.names == ("time", "place")
    np.testing.assert_array_equal(tensor.labels.coords[0], array["time"].values)
    assert tensor.labels.coords[1] is None
    assert tensor.entry_weights.tolist() == [[True, False], [True, True], [True, True]]
    with pytest.raises(DataError, match="expected one DataArray"):
        as_tensor(xr.Dataset({"a": array}))
    with pytest.raises(DataError, match="mask has shape"):
        as_tensor(array, mask=np.ones((2, 2), bool))


def test_series_with_a_multiindex():
    index = pd.MultiIndex.from_tuples([("b", 1), ("a", 2), ("b", 2)], names=["k", None])
    tensor = as_tensor(pd.Series([1.0, 2.0, 3.0], index=index))
    np.testing.assert_array_equal(tensor.values, [[np.nan, 2], [1, 3]])
    assert tensor.labels == ModeLabels(["k", "mode_1"], [["a", "b"], [1, 2]])
    counts = as_tensor(pd.Series([1, 2, 3], index=index))
    assert counts.values.dtype == np.int64
    assert counts.entry_weights.tolist() == [[False, True], [True, True]]
    part = as_tensor(pd.Series([1, 2, 3], index=index).iloc[[0, 2]])  # no trace of the label "a"
    assert part.labels.coords[0].tolist() == ["b"]
    assert part.values.tolist() == [[1, 3]]
    with pytest.raises(DataError, match=r"lists \(b, 1\) more than once"):
        as_tensor(pd.Series([1.0, 2.0], index=index[[0, 0]]))


def test_series_equals_xarray():
    rng = np.random.default_rng(0)
    array = xr.DataArray(
        rng.random((2, 3, 4)),
        dims=["a", "b", "c"],
        coords={"a": ["x", "y"], "b": [1, 2, 3], "c": [0.5, 1.5, 2.5, 3.5]},
        name="v",
    )
    series = array.to_series().sample(frac=1, random_state=0)
    np.testing.assert_array_equal(as_tensor(series).values, array.values)
    assert as_tensor(series).labels == as_tensor(array).labels


def test_plain_series():
    tensor = as_tensor(pd.Series([1.0, None], index=pd.Index(["x", "y"], name="who")))
    assert tensor.labels == ModeLabels(["who"], [["x", "y"]])
    np.testing.assert_array_equal(tensor.values, [1, np.nan])


def test_wide_frame():
    frame = pd.DataFrame({"y": [1, 2], "x": [3, 4]}, index=pd.Index(["r", "s"], name="row"))
    tensor = as_tensor(frame, mask=[[True, False], [True, True]])
    assert tensor.values.tolist() == [[1, 3], [2, 4]]
    assert tensor.values.dtype == np.int64
    assert tensor.labels == ModeLabels(["row", "mode_1"], [["r", "s"], ["y", "x"]])
    assert tensor.entry_weights.tolist() == [[True, False], [True, True]]
    nullable = as_tensor(pd.DataFrame({"a": pd.array([1, None], dtype="Int64"), "b": [0.5, 1.5]}))
    np.testing.assert_array_equal(nullable.values, [[1, 0.5], [np.nan, 1.5]])


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (pd.DataFrame({"a": [1], "b": ["x"]}), r"columns \['b'\] are not numeric.*from_frame"),
        (pd.DataFrame({("a", "b"): [1]}), "MultiIndex"),
        (pd.Series(["x"]), "not numbers"),
        (pd.Series([], dtype=float, index=pd.MultiIndex.from_arrays([[], []])), "empty"),
        (pd.Series([1.0], index=pd.MultiIndex.from_tuples([("a", None)])), "missing labels"),
        (pd.Index([1, 2, 3]).to_frame().groupby(0), "expected a Series or a DataFrame"),
        ("data.npz", r"gcp\.read_tensor"),
        ([[1, 2], [3]], "cannot be read as an array"),
        ([["a", "b"]], "expected real, integer or boolean"),
        ([[1, None]], "object"),
        (None, "object"),
        ([[1j]], "complex"),
        ([], "empty"),
        (3.0, "single number"),
    ],
)
def test_refusals(data, match):
    with pytest.raises(DataError, match=match):
        as_tensor(data)


def test_no_library_is_imported_for_arrays():
    import subprocess
    import sys

    code = (
        "import sys; import gcp.io, gcp.datasets; from gcp.tensors.coerce import as_tensor; "
        "as_tensor([1.0]); gcp.datasets.load_titanic(); "
        "print([m for m in ('pandas', 'xarray', 'pyarrow') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
