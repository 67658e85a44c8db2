"""Predictions by label against the whole prediction, where pandas and xarray look the labels up."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gcp

USERS = [196, 186, 0, 1, 2]  # labels that are also positions, of other users
FILMS = ["Alien", "Brazil", "Cube", "Diva"]
DAYS = pd.date_range("2020-01-01", periods=3, name="day")


def fit(data, **options):
    return gcp.fit_gcp(data, 2, random_state=0, n_threads=1, n_iter_max=5, solver="als", **options)


@pytest.fixture(scope="module")
def whole():
    """A model, and all of its predictions with their labels."""
    rng = np.random.default_rng(0)
    data = xr.DataArray(rng.random((5, 4, 3)), coords={"user": USERS, "film": FILMS, "day": DAYS})
    with pytest.warns(gcp.ConvergenceWarning):
        model = fit(data)
    return model, data.copy(data=model.predict())


@pytest.fixture(scope="module")
def model(whole):
    return whole[0]


@pytest.fixture(scope="module")
def table(whole):
    """Some cells as a table with an index of its own, other columns and mixed rows, and what is expected there."""
    every = whole[1].to_series()
    some = every.sample(20, random_state=1)
    return some.reset_index(name="stars").rename(index=lambda k: f"row {k}"), some.to_numpy()


def test_whole_numbers_under_a_name_are_labels_and_in_an_array_positions(model, whole):
    _, expected = whole
    by_label = model.predict({"user": [2, 0, 1], "film": ["Alien"] * 3, "day": DAYS})
    by_position = model.predict([[2, 0, 0], [0, 0, 1], [1, 0, 2]])
    cells = expected.to_series()
    np.testing.assert_allclose(
        by_label, cells.loc[[(2, "Alien", DAYS[0]), (0, "Alien", DAYS[1]), (1, "Alien", DAYS[2])]]
    )
    np.testing.assert_allclose(by_position, [cells.iloc[24], cells.iloc[1], cells.iloc[14]])
    assert not np.isclose(by_label, by_position).any()


def test_a_table_gives_a_series_with_its_index(model, table):
    frame, expected = table
    found = model.predict(frame)
    assert found.index.equals(frame.index)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(model.predict(frame[["film", "stars", "day", "user"]]), expected)
    np.testing.assert_allclose(model.predict(frame.astype({"user": float, "day": str})), expected)
    np.testing.assert_allclose(model.predict(frame.astype({"film": "category"})), expected)
    assert len(model.predict(frame[:0])) == 0


def test_other_tables_give_arrays(model, table):
    polars, pyarrow = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    frame, expected = table
    for other in (polars.from_pandas(frame), pyarrow.Table.from_pandas(frame)):
        np.testing.assert_allclose(model.predict(other), expected)


def test_mappings_and_rows_of_texts(model, table):
    frame, expected = table
    np.testing.assert_allclose(model.predict(frame.to_dict("list")), expected)
    np.testing.assert_allclose(model.predict(frame.to_dict("records")), expected)
    rows = [
        [str(user), film, str(day.date())]
        for user, film, day in frame[["user", "film", "day"]].itertuples(index=False)
    ]
    np.testing.assert_allclose(model.predict(rows), expected)


def test_rows_of_a_table_have_labels_too(model, table):
    """Whole numbers in a row that has names are no positions."""
    frame, expected = table
    assert model.predict(frame.iloc[0]) == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(frame.apply(model.predict, axis=1), expected)
    np.testing.assert_allclose(model.predict(list(frame.itertuples(index=False))), expected)
    np.testing.assert_allclose(model.predict(list(frame.itertuples())), expected)


def test_single_labels_give_a_number_and_go_with_every_item_of_a_list(model, whole):
    _, expected = whole
    one = model.predict({"user": 186, "film": "Cube", "day": "2020-01-02"})
    assert np.ndim(one) == 0
    assert one == pytest.approx(expected.sel(user=186, film="Cube", day="2020-01-02").item(), rel=1e-12)
    some = model.predict({"user": 186, "film": ["Cube", "Alien"], "day": pd.Timestamp("2020-01-02")})
    np.testing.assert_allclose(some, expected.sel(user=186, film=["Cube", "Alien"], day="2020-01-02"))


@pytest.mark.parametrize("make", [dict, xr.Dataset], ids=["dict", "Dataset"])
def test_data_arrays_are_taken_as_sel_takes_them(model, whole, make):
    _, expected = whole
    users = xr.DataArray([186, 2], dims="who", coords={"who": ["x", "y"]})
    films = xr.DataArray(["Diva", "Alien", "Cube"], dims="what")
    days = xr.DataArray(DAYS[:2], dims="who", coords={"who": ["x", "y"]})
    found = model.predict(make({"user": users, "film": films, "day": days}))
    truth = expected.sel(user=users, film=films, day=days)
    xr.testing.assert_allclose(found.transpose(*truth.dims), truth.drop_vars(["user", "film", "day"]))


def test_a_mode_without_labels_has_positions_for_labels():
    x = xr.DataArray(np.random.default_rng(0).random((4, 3)), dims=("place", "year"))
    model = gcp.fit_gcp(x, 1, random_state=0)
    np.testing.assert_array_equal(model.predict({"place": [3, 0], "year": 2}), model.predict()[[3, 0], 2])
    with pytest.raises(gcp.ParameterError, match="label 4 of mode 'place'"):
        model.predict({"place": 4, "year": 2})


def test_a_table_whose_columns_have_other_names_goes_by_position_if_modes_have_none(rng):
    model = gcp.fit_gcp(rng.random((4, 3)), 1, random_state=0)
    found = model.predict(pd.DataFrame({"a": [3, 0], "b": [1, 2]}))
    np.testing.assert_array_equal(found, model.predict([[3, 1], [0, 2]]))


@pytest.mark.parametrize(
    ("subs", "match"),
    [
        (
            {"user": 7, "film": "Cube", "day": DAYS[0]},
            r"label 7 of mode 'user' is in subs, but not in the model, ",
        ),
        (
            {"user": [186, 3, 4, 5], "film": "Cube", "day": DAYS[0]},
            r"label 3 of mode 'user' .*nor are 2 more",
        ),
        ({"user": [0, 3], "film": "Cube", "day": DAYS[0]}, "positions are given in an array without names"),
        ({"user": 186, "film": "Cube", "day": 0}, "label 0 of mode 'day'"),
        ({"user": 186, "film": "Cube", "day": "soon"}, "label 'soon' of mode 'day'"),
        ({"user": 186, "film": "Cube"}, "mode 'day' of the model"),
        ([{"user": 186, "film": "Cube"}], "mode 'day' of the model"),
        (pd.DataFrame({"user": [186], "movie": ["Cube"], "day": DAYS[:1]}), r"mode 'film' .*movie"),
        (
            pd.DataFrame([[186, 2, "Cube", DAYS[0]]], columns=["user", "user", "film", "day"]),
            "more than one column",
        ),
        (pd.DataFrame({"user": [np.nan], "film": ["Cube"], "day": DAYS[:1]}), "label nan of mode 'user'"),
        ({"user": [186, 2], "film": ["Cube"] * 3, "day": DAYS[0]}, "all lists of one length"),
        ({"user": [[186]], "film": "Cube", "day": DAYS[0]}, "one label or a list"),
        ({"user": xr.DataArray([186]), "film": ["Cube"], "day": DAYS[0]}, "beside a DataArray"),
        ([["186", "Cube", "never"]], "label 'never' of mode 'day'"),
        ([["186", "Cube"]], "expected integers of shape"),
        (np.array([[0, 1, 2]], dtype=object), "expected integers of shape"),
    ],
    ids=str,
)
def test_what_is_not_in_the_model_is_named(model, subs, match):
    with pytest.raises(gcp.ParameterError, match=match):
        model.predict(subs)


def test_repeated_labels_tell_no_position(rng):
    x = xr.DataArray(rng.random((3, 2)), coords={"user": ["a", "b", "a"], "film": [1, 2]})
    model = gcp.fit_gcp(x, 1, random_state=0)
    assert model.predict({"user": "b", "film": 2}) == model.predict()[1, 1]
    with pytest.raises(gcp.ParameterError, match="'a' of mode 'user' is in the model more than once"):
        model.predict({"user": "a", "film": 2})


def test_more_cells_than_memory_has_room_for_are_refused_in_a_sentence():
    large = gcp.SparseTensor([[0, 0, 0], [99_999] * 3], [1.0, 2.0])
    model = gcp.fit_gcp(large, 1, loss="poisson", random_state=0)
    with pytest.raises(gcp.ParameterError, match=r"1,000,000,000,000,000 cells .* Give subs"):
        model.predict()


def test_a_table_of_numbered_columns_has_labels_where_these_are_the_names_of_the_modes():
    table = pd.DataFrame([(u, f, u * f) for u in (1, 2, 3) for f in (1, 2)])  # as read without a header
    model = gcp.fit_gcp(gcp.from_frame(table, modes=[0, 1], value=2), 1, random_state=0)
    some = table[(table[0] < 3) & (table[1] < 2)]  # these labels are positions too, of others
    np.testing.assert_allclose(model.predict(some[[0, 1]]), some[2], rtol=1e-3)
    np.testing.assert_allclose([model.predict(row[[0, 1]]) for _, row in some.iterrows()], some[2], rtol=1e-3)


def dated(dates):
    """A model of days, each of its own."""
    size = 4 if dates is None else len(dates)
    labels = gcp.ModeLabels(["day", "k"], [dates, None])
    with pytest.warns(gcp.ConvergenceWarning):
        return fit(gcp.DenseTensor(np.random.default_rng(0).random((size, 3)), labels=labels))


@pytest.mark.parametrize("unit", ["D", "s"])
def test_dates_may_be_centuries_away(unit):
    dates = np.array(["1500-03-01", "1677-01-01", "2000-02-29", "2262-12-31", "2500-01-01"], f"M8[{unit}]")
    model = dated(dates)
    for asked in (dates, dates.astype(str), dates.astype(object), dates.tolist()):
        np.testing.assert_allclose(model.predict({"day": asked, "k": 1}), model.predict()[:, 1])


def test_times_in_a_zone_are_not_those_without_one():
    hours = pd.date_range("2024-01-01", periods=5, freq="h")
    model = dated(hours.to_numpy())
    zoned = hours[2].tz_localize("Europe/Berlin")  # would be another hour in UTC
    for asked in (zoned, zoned.isoformat(), zoned.to_pydatetime()):
        with pytest.raises(gcp.ParameterError, match="01:00"):
            model.predict({"day": asked, "k": 1})


def test_midnights_in_a_zone_are_days_as_in_the_table_of_the_fit():
    days = pd.date_range("2024-03-29", periods=5, tz="Europe/Berlin")  # the clock changes on one of them
    table = pd.DataFrame({"day": days, "k": 0, "v": np.arange(5) + 0.5})
    model = fit(gcp.from_frame(table, modes=["day", "k"], value="v"))
    np.testing.assert_allclose(model.predict(table), model.predict()[:, 0])
    with pytest.raises(gcp.ParameterError, match="01:00"):
        model.predict({"day": days[3] + pd.Timedelta("1h"), "k": 0})
    assert model.top("k", {"day": days[3]}).predicted[0] == model.predict([[3, 0]])[0]


def test_midnights_in_a_zone_are_days_without_one(model, whole):
    expected = whole[1].sel(user=0, film="Cube")
    for zone in ("UTC", "Asia/Tokyo"):
        asked = {"user": 0, "film": "Cube", "day": DAYS.tz_localize(zone)}
        np.testing.assert_allclose(model.predict(asked), expected)


def test_truth_values_are_no_numbers():
    model = dated(None)
    mask = np.array([True, False, False])
    with pytest.raises(gcp.ParameterError, match="truth values"):
        model.top("k", {"day": 0}, exclude=mask)
    with pytest.raises(gcp.ParameterError, match="truth values"):
        model.predict({"day": 0, "k": mask})


def test_floats_are_not_taken_for_integers_of_more_digits():
    model = dated([2**60, 2**60 + 1, 5])
    np.testing.assert_allclose(model.predict({"day": [5.0, 5], "k": 1}), model.predict()[2, 1])
    with pytest.raises(gcp.ParameterError, match="do not hold all of their digits"):
        model.predict({"day": np.array([2**60 + 1, 5], float), "k": 1})
