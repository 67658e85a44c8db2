import decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp import fit_gcp
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
    st.sampled_from(["sum", "mean", "first", "last", "min", "max"]),
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
        (pd.Categorical(["hi", "lo", "hi"], categories=["lo", "hi"]), ["lo", "hi"]),
        (pd.PeriodIndex(["2020-10", "2020-9", "2020-10"], freq="M"), ["2020-09", "2020-10"]),
        (pd.cut([15, 5, 11], [0, 10, 100]), ["(0, 10]", "(10, 100]"]),
        (pd.arrays.IntervalArray.from_tuples([(10, 20), (9, 10), (10, 20)]), ["(9, 10]", "(10, 20]"]),
        (
            pd.DatetimeIndex(["2020-10-25", "2020-03-01", "2020-10-25"], tz="Europe/Berlin"),
            np.array(["2020-03-01", "2020-10-25"], "M8[D]"),
        ),
        (  # the clocks go back: sorted by time, not as text
            pd.DatetimeIndex(
                ["2020-10-25 01:10", "2020-10-25 00:40", "2020-10-25 01:10"], tz="UTC"
            ).tz_convert("Europe/Berlin"),
            ["2020-10-25 02:40:00+02:00", "2020-10-25 02:10:00+01:00"],
        ),
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
        ({"modes": ["from"], "value": "km", "aggregate": "median"}, ParameterError, "aggregate must be"),
        ({"modes": ["from"], "aggregate": "last"}, ParameterError, "needs a value column"),
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


# --- positions that are given ------------------------------------------------------------------------------------

NODES = ["c", "a", "d", "b"]
TRADE = pd.DataFrame({"from": ["a", "b", "a"], "to": ["d", "c", "d"], "n": [1.0, 2.0, 4.0]})


def test_positions_are_all_there_in_their_order_and_can_be_tied():
    tensor = from_frame(TRADE, ["from", "to"], "n", "zero", positions={"from": NODES, "to": NODES})
    expected = np.zeros((4, 4))
    expected[1, 2], expected[3, 0] = 5, 2
    assert np.array_equal(tensor.values, expected)
    assert [coords.tolist() for coords in tensor.labels.coords] == [NODES, NODES]
    result = fit_gcp(tensor, 1, tied_modes=[("from", "to")], random_state=0)
    assert np.array_equal(result.factors[0], result.factors[1])


@pytest.mark.parametrize(
    "nodes",
    [
        tuple(NODES),
        np.array(NODES),
        pd.Index(NODES),
        pd.Series(NODES, index=[3, 1, 2, 0]),
        pd.Categorical(NODES),
    ],
    ids=["tuple", "array", "Index", "Series", "Categorical"],
)
def test_positions_of_any_list(nodes):
    assert from_frame(TRADE, ["to"], "n", "zero", positions={"to": nodes}).values.tolist() == [2, 0, 5, 0]


def test_positions_of_a_result_a_tensor_or_its_labels():
    first = from_frame(TRADE, ["from", "to"], "n", "zero", positions={"from": NODES, "to": NODES[::-1]})
    result = fit_gcp(first, 1, random_state=0)
    new = TRADE[1:].assign(week=7)
    for source in (first, result, result.labels):
        again = from_frame(new, ["week", "to", "from"], "n", "zero", positions=source)
        assert again.shape == (1, 4, 4)
        assert [coords.tolist() for coords in again.labels.coords] == [[7], NODES[::-1], NODES]
        assert again.values[0, NODES[::-1].index("d"), NODES.index("a")] == 4


@pytest.mark.parametrize(
    ("column", "positions"),
    [
        ([2, 1, 2], [3.0, 2.0, 1.0]),
        (["2", "1", "2"], [3, 2, 1]),
        (
            pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
            ["2020-01-03", "2020-01-02", "2020-01-01"],
        ),
        (
            pd.to_datetime(["2020-01-02", "2020-01-01", "2020-01-02"]),
            pd.date_range("2020-01-01", periods=3)[::-1],
        ),
        (
            pd.PeriodIndex(["2020-02", "2020-01", "2020-02"], freq="M"),
            pd.period_range("2020-01", periods=3, freq="M")[::-1],
        ),
        (pd.cut([15, 5, 15], [0, 10, 20, 30]), pd.IntervalIndex.from_breaks([0, 10, 20, 30])[::-1]),
        (pd.Categorical(["y", "x", "y"], categories=["x", "y", "unused"]), ["z", "y", "x"]),
    ],
    ids=["numbers", "text", "dates as text", "dates", "months", "intervals", "fewer than categories"],
)
def test_labels_of_any_kind_are_found_among_the_positions(column, positions):
    frame = pd.DataFrame({"a": column, "v": [1, 10, 100]})
    tensor = from_frame(frame, ["a"], "v", unlisted="zero", positions={"a": positions})
    assert tensor.values.tolist() == [0, 101, 10]


@pytest.mark.parametrize(
    ("positions", "error", "message"),
    [
        (
            {"to": ["c", "b", "a"]},
            DataError,
            r"'to' has the label 'd' in row 0 \(counting from 0\) and 1 more.*'c'",
        ),
        ({"tu": NODES}, ParameterError, "'tu', which is no mode.*'from', 'to'"),
        ({"to": ["c", "d", "c"]}, ParameterError, "'c' more than once"),
        ({"to": ["c", None]}, ParameterError, "a missing one"),
        ({"to": []}, ParameterError, "found none"),
        ({"to": "cd"}, ParameterError, "list of labels"),
        ({"to": {"c", "d"}}, ParameterError, "list of labels"),
        ({"to": 4}, ParameterError, "list of labels"),
        (NODES, ParameterError, "dict by mode"),
        (ModeLabels(["to"], [None]), ParameterError, r"no labels there.*range"),
        (ModeLabels(["x"], [None]), ParameterError, "none of which"),
    ],
)
def test_refused_positions_say_why(positions, error, message):
    with pytest.raises(error, match=message):
        from_frame(TRADE, ["from", "to"], "n", "zero", positions=positions)


def test_unused_categories_are_positions_whose_cells_need_a_meaning():
    size = pd.Categorical(["hi", "lo", "hi"], categories=["lo", "mid", "hi"], ordered=True)
    frame = pd.DataFrame({"size": size, "v": [1.0, 2.0, 4.0]})
    assert from_frame(frame, ["size"]).values.tolist() == [1, 0, 2]
    assert from_frame(frame, ["size"], "v", unlisted="zero").values.tolist() == [2, 0, 5]
    unknown = from_frame(frame, ["size"], "v", unlisted="missing", aggregate="last")
    np.testing.assert_array_equal(unknown.values, [2, np.nan, 4])
    with pytest.raises(DataError, match=r"1 position without a row, e\.g\. 'mid'.*remove_unused_categories"):
        from_frame(frame, ["size"], "v")


# --- periods -----------------------------------------------------------------------------------------------------

EVENTS = pd.DataFrame(
    {
        "time": pd.to_datetime(
            ["2020-02-28 23:59", "2020-02-27 01:00", "2020-03-02 12:00", "2020-02-28 00:00"]
        ),
        "who": ["x", "y", "x", "x"],
    }
)


def test_days_without_events_are_positions():
    tensor = from_frame(EVENTS, ["time", "who"], freq={"time": "D"})
    assert tensor.labels.coords[0].tolist() == list(
        np.arange("2020-02-27", "2020-03-03", dtype="M8[D]").tolist()
    )
    assert tensor.values.tolist() == [[0, 1], [2, 0], [0, 0], [0, 0], [1, 0]]
    same = from_frame(EVENTS, [pd.Grouper(key="time", freq="D"), "who"])
    assert same.labels == tensor.labels
    assert np.array_equal(same.values, tensor.values)


@pytest.mark.parametrize("freq", ["h", "12h", "2D", "W", "W-WED", "MS", "QS", "YS", pd.offsets.Day(3)])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "Asia/Kolkata"])
def test_periods_are_those_of_pandas(freq, zone, rng):
    times = pd.Timestamp("2021-03-20", tz="UTC") + pd.to_timedelta(rng.uniform(0, 20, 60), unit="D")
    times = times.tz_localize(None) if zone is None else times.tz_convert(zone)
    frame = pd.DataFrame({"time": times, "v": rng.integers(1, 9, 60)})
    tensor = from_frame(frame, ["time"], "v", "zero", freq={"time": freq})
    expected = frame.resample(freq, on="time")["v"].sum()
    assert tensor.values.tolist() == expected.tolist()
    assert [pd.Timestamp(str(label)).date() for label in tensor.labels.coords[0]] == [
        t.date() for t in expected.index
    ]


def test_periods_of_periods_and_positions_together():
    months = pd.DataFrame(
        {"m": pd.PeriodIndex(["2020-02", "2020-05", "2020-03"], freq="M"), "v": [1.0, 2.0, 4.0]}
    )
    quarters = from_frame(months, ["m"], "v", "zero", freq={"m": "QS"})
    assert quarters.values.tolist() == [5, 2]
    assert quarters.labels.coords[0].astype(str).tolist() == ["2020-01-01", "2020-04-01"]
    calendar = np.arange("2020-02-25", "2020-03-06", dtype="M8[D]")
    tensor = from_frame(EVENTS, ["time"], freq={"time": "D"}, positions={"time": calendar})
    assert tensor.values.tolist() == [0, 0, 1, 2, 0, 0, 1, 0, 0, 0]
    working = ["2020-02-27", "2020-02-28", "2020-03-02"]  # no event on the days between
    assert from_frame(EVENTS, ["time"], freq={"time": "D"}, positions={"time": working}).values.tolist() == [
        1,
        2,
        1,
    ]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"freq": {"who": "D"}}, DataError, r"'who' has dtype .* needs times.*to_datetime"),
        ({"freq": {"when": "D"}}, ParameterError, "'when', which is no mode"),
        ({"freq": "D"}, ParameterError, "dict by mode"),
        ({"freq": {"time": "fortnight"}}, ParameterError, "freq of 'time'.*(?i:fortnight)"),
        (
            {"freq": {"time": "ns"}},
            DataError,
            r"cannot be put into periods of .* there are 3.*e\+14, more than",
        ),
    ],
)
def test_refused_periods_say_why(options, error, message):
    with pytest.raises(error, match=message):
        from_frame(EVENTS, ["time", "who"], **options)


def test_a_grouper_needs_a_key_and_a_row_a_time():
    with pytest.raises(ParameterError, match="key of a column"):
        from_frame(EVENTS, [pd.Grouper(freq="D")])
    late = EVENTS.assign(time=EVENTS["time"].where(EVENTS["who"] == "x"))
    with pytest.raises(DataError, match="'time' has no label in row 1"):
        from_frame(late, ["time"], freq={"time": "D"})


def test_first_and_last_take_a_row_as_it_is():
    frame = pd.DataFrame({"u": list("aabb"), "v": [1.0, np.nan, np.nan, 4.0]})
    for aggregate, expected in (("first", [1, np.nan]), ("last", [np.nan, 4])):
        found = from_frame(frame, ["u"], "v", "missing", aggregate)
        np.testing.assert_array_equal(found.values, expected)
    with pytest.raises(DataError, match="no observed"):  # NaN wins
        from_frame(frame, ["u"], "v", "missing", "max")


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, ">f8", ">i2"])
def test_rows_in_any_order_and_type_of_number(dtype):
    frame = pd.DataFrame({"a": [1, 0], "b": [1, 0], "n": np.array([1, 2]).astype(dtype)})
    assert from_frame(frame, ["a", "b"], "n", "zero").values.tolist() == [[2, 0], [0, 1]]
