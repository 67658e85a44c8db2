import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp.base.errors import DataError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.tensors.intake.frames import from_frame


@pytest.fixture
def trips():
    return pd.DataFrame(
        {
            "from": ["B", "A", "A", "B"],
            "to": ["x", "y", "y", "y"],
            "km": [1.5, 2.0, 4.0, 8.0],
            "n": [1, 2, 3, 4],
        }
    )


def test_sum_mean_and_counts(trips):
    before = trips.copy()
    tensor = from_frame(trips, modes=["from", "to"], value="km", unlisted="zero")
    assert tensor.values.tolist() == [[0, 6], [1.5, 8]]
    assert tensor.labels == ModeLabels(["from", "to"], [["A", "B"], ["x", "y"]])
    assert from_frame(trips, ["from", "to"], "km", "zero", "mean").values.tolist() == [[0, 3], [1.5, 8]]
    counts = from_frame(trips, ["to", "from"])
    assert counts.values.tolist() == [[0, 1], [2, 1]]
    assert counts.values.dtype == np.int64
    assert counts.entry_weights is None
    pd.testing.assert_frame_equal(trips, before)


def test_unlisted(trips):
    floats = from_frame(trips, ["from", "to"], "km", unlisted="missing", aggregate="sum")
    np.testing.assert_array_equal(floats.values, [[np.nan, 6], [1.5, 8]])
    integers = from_frame(trips, ["from", "to"], "n", unlisted="missing", aggregate="sum")
    assert integers.values.dtype == np.int64
    assert integers.entry_weights.tolist() == [[False, True], [True, True]]
    assert from_frame(trips, ["from", "to"], unlisted="missing").entry_weights.sum() == 3
    with pytest.raises(DataError, match="1 of the 4 cells"):
        from_frame(trips, ["from", "to"], "km")
    assert from_frame(trips, ["from"], "km").values.tolist() == [6, 9.5]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from("abc"), st.booleans(), st.integers(-9, 9)),
        min_size=1,
        max_size=30,
    ),
    st.sampled_from(["sum", "mean"]),
)
def test_agrees_with_pandas(rows, aggregate):
    frame = pd.DataFrame(rows, columns=["i", "j", "k", "v"])
    tensor = from_frame(frame, ["i", "j", "k"], "v", unlisted="missing", aggregate=aggregate)
    levels = [sorted(set(frame[c])) for c in "ijk"]
    table = frame.groupby(["i", "j", "k"])["v"].agg(aggregate)
    full = table.reindex(pd.MultiIndex.from_product(levels)).to_numpy(dtype=float).reshape(tensor.shape)
    weights = np.ones(tensor.shape, bool) if tensor.entry_weights is None else tensor.entry_weights
    np.testing.assert_array_equal(weights, ~np.isnan(full))
    np.testing.assert_allclose(tensor.values[weights], full[weights], rtol=1e-14)
    for coord, expected in zip(tensor.labels.coords, levels, strict=True):
        assert coord.tolist() == expected


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        (pd.Categorical(["hi", "lo", "hi"], categories=["lo", "mid", "hi"]), ["lo", "hi"]),
        (
            pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
            np.array(["2020-01-01", "2020-01-02"], "M8[D]"),
        ),
        (pd.array([3, 1, 3], dtype="Int64"), [1, 3]),
        ([2.5, -1.0, 2.5], [-1.0, 2.5]),
        ([True, False, True], [False, True]),
        (["b", "a", "b"], ["a", "b"]),
    ],
)
def test_labels_keep_their_type_and_order(column, levels):
    tensor = from_frame(pd.DataFrame({"m": column, "v": [1, 2, 4]}), ["m"], "v")
    coord, levels = tensor.labels.coords[0], np.asarray(levels)
    assert coord.tolist() == levels.tolist()
    assert coord.dtype.kind == levels.dtype.kind
    assert tensor.values.tolist() == [2, 5]


def test_times_of_day_stay():
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-01-01 06:00", "2020-01-01 00:00"]), "v": [1, 2]})
    coord = from_frame(frame, ["t"], "v").labels.coords[0]
    assert coord.astype("M8[h]").tolist() == np.array(["2020-01-01T00", "2020-01-01T06"], "M8[h]").tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.array([1, None], dtype="Int64"), [1, np.nan]),
        (np.array([1, np.nan], dtype=np.float32), [1, np.nan]),
        ([decimal.Decimal("1.5"), None], [1.5, np.nan]),
        (["2", "NA"], [2, np.nan]),
        (np.array([1, 2], dtype=np.uint8), [1, 2]),
        ([True, False], [1, 0]),
    ],
)
def test_kinds_of_values(values, expected):
    tensor = from_frame(pd.DataFrame({"m": [0, 1], "v": values}), ["m"], "v")
    np.testing.assert_array_equal(tensor.values, expected)
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, np.dtype):
        assert tensor.values.dtype == dtype


def test_nan_makes_its_cell_missing():
    frame = pd.DataFrame({"m": [0, 0, 1], "v": [1.0, np.nan, 2.0]})
    np.testing.assert_array_equal(from_frame(frame, ["m"], "v").values, [np.nan, 2])


def test_float32_stays_float32():
    frame = pd.DataFrame({"m": [0, 0, 1], "v": np.array([1, 2, 3], np.float32)})
    assert from_frame(frame, ["m"], "v").values.dtype == np.float32


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"modes": ["from", "where"]},
            ParameterError,
            r"no column 'where': the columns are \['from', 'to', 'km'",
        ),
        ({"modes": ["from"], "value": "kg"}, ParameterError, "no column 'kg'"),
        ({"modes": ["from", "from"]}, ParameterError, "'from' is named twice"),
        ({"modes": ["from", "km"], "value": "km"}, ParameterError, "'km' is named twice"),
        ({"modes": []}, ParameterError, "one column name or more"),
        ({"modes": "from"}, ParameterError, "must be a list"),
        (
            {"modes": ["from"], "value": "to"},
            DataError,
            r"'to' should hold numbers: found 'x' in row 0 .* and 3 more",
        ),
        ({"modes": ["from"], "value": "km", "unlisted": "0"}, ParameterError, "unlisted must be"),
        ({"modes": ["from"], "value": "km", "aggregate": "max"}, ParameterError, "aggregate must be"),
        ({"modes": ["from"], "aggregate": "mean"}, ParameterError, "needs a value column"),
        (
            {"modes": ["from"], "value": "km", "aggregate": "error"},
            DataError,
            "row 1 .* and row 2 .* same cell",
        ),
    ],
)
def test_refusals(trips, options, error, match):
    with pytest.raises(error, match=match):
        from_frame(trips, **options)


def test_more_refusals(trips):
    with pytest.raises(DataError, match="no rows"):
        from_frame(trips.iloc[:0], ["from"])
    trips.loc[2, "to"] = None
    with pytest.raises(DataError, match=r"'to' has no label in row 2 \(counting from 0\)\."):
        from_frame(trips, ["to"])
    with pytest.raises(ParameterError, match="2 columns are called 'a'"):
        from_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]), ["a"])
    with pytest.raises(DataError, match="dtype datetime64"):
        from_frame(pd.DataFrame({"m": [1], "v": pd.to_datetime(["2020-01-01"])}), ["m"], "v")
    with pytest.raises(DataError, match="expected numbers"):
        from_frame(pd.DataFrame({"m": [1], "v": [1j]}), ["m"], "v")
    with pytest.raises(DataError, match="DataFrame, found dict"):
        from_frame({"m": [1]}, ["m"])
