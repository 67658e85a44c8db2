"""Names decide wherever else two sides meet: starts, bounds, comparisons, checkpoints; and kinds of xarray."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gcp
from gcp import ObservedTensor, SparseTensor
from gcp.tensors.intake.coerce import as_tensor

NAMES = ("region", "age", "year")
SHAPE = (5, 4, 3)
COORDS = {"region": list("vwxyz"), "age": [10, 20, 30, 40], "year": pd.date_range("2020-01-01", periods=3)}


def array(seed=0):
    rng = np.random.default_rng(seed)
    m = np.einsum("ir,jr,kr->ijk", *(rng.gamma(1.0, 1.0, (size, 2)) for size in SHAPE))
    return xr.DataArray(rng.poisson(9 * m) + 1.0, dims=NAMES, coords=COORDS)


def turned(data, seed=1):
    rng = np.random.default_rng(seed)
    data = data.isel({dim: rng.permutation(size) for dim, size in data.sizes.items()})
    return data.transpose(*data.dims[1:], data.dims[0])


def fit(data, rank=2, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gcp.ConvergenceWarning)
        return gcp.fit_gcp(data, rank, n_threads=1, **{"random_state": 0, "n_iter_max": 30, **options})


@pytest.fixture(scope="module")
def model():
    return fit(array(), loss="poisson", main_effects=[0, 2])


def test_a_start_is_put_in_the_order_of_the_data(model):
    same = fit(array(), loss="poisson", init=model, main_effects=[0, 2], n_iter_max=1)
    data = turned(array())
    modes = [data.dims.index("region"), data.dims.index("year")]
    found = fit(data, loss="poisson", init=model, main_effects=modes, n_iter_max=1)
    assert found.trace["objective"][0] == pytest.approx(same.trace["objective"][0], rel=1e-10)
    assert found.trace["objective"][0] == pytest.approx(model.objective, rel=1e-6)
    by_position = fit(array().values, loss="poisson", init=model, main_effects=[0, 2], n_iter_max=1)
    assert by_position.trace["objective"][0] == same.trace["objective"][0]


def test_a_start_of_other_labels_is_refused(model):
    with pytest.raises(
        gcp.ParameterError, match=r"The label 10 of mode 'age' is in init, but not in the data"
    ):
        fit(array().assign_coords(age=[11, 20, 30, 40]), loss="poisson", init=model)


def test_factors_in_frames_are_matched(model):
    frames = [frame.drop(columns="main_effect", errors="ignore") for frame in model.to_frames().values()]
    options = {"loss": "poisson", "n_iter_max": 1}
    expected = fit(array(), init=(model.weights, model.factors), **options)
    others = [frames[0][::-1], frames[1].T, frames[2].iloc[[2, 0, 1], ::-1]]
    found = fit(array(), init=(model.weights, others), **options)
    assert found.trace["objective"][0] == expected.trace["objective"][0]
    with pytest.raises(
        gcp.ParameterError, match="The label 10 of mode 'age' is in the factor of 'age', but not in init"
    ):
        fit(
            array(), init=(model.weights, [frames[0], frames[1].rename(index={10: 11}), frames[2]]), **options
        )


def test_positions_of_which_nothing_is_known_go_along():
    data = array()
    data[1] = np.nan
    model = fit(data, loss="poisson")
    assert model.unknown["region"].tolist() == [1]
    some = xr.ones_like(data).where(data.region == "w", 0.0) * array()  # where the model has mean rows only
    expected = model.score(array(), mask=np.asarray(some > 0))
    assert model.score(turned(array()), mask=turned(some) > 0) == pytest.approx(expected, rel=1e-10)
    again = fit(turned(data), loss="poisson", init=model, n_iter_max=1)
    assert again.trace["objective"][0] == pytest.approx(model.objective, rel=1e-6)


class TestComparisons:
    def test_of_models_of_the_same_data_in_another_order(self, model):
        options = {"loss": "poisson", "init": model, "n_iter_max": 1}
        same, found = (
            fit(array(), main_effects=[0, 2], **options),
            fit(turned(array()), main_effects=[1, 2], **options),
        )
        for function in (gcp.analysis.congruence, lambda a, b: gcp.analysis.factor_match_score(a, b).score):
            np.testing.assert_allclose(function(model, found), function(model, same), atol=1e-6)
            np.testing.assert_allclose(function(found, model), function(same, model), atol=1e-6)

    def test_align_keeps_the_order_of_the_model(self, model):
        from gcp.base.alignment import Side, align

        places = align(
            Side("", model.labels, model.shape), Side("", as_tensor(turned(array())).labels, (4, 3, 5))
        )
        moved = places.of_model(model)
        assert moved.shape == (4, 3, 5)
        assert gcp.analysis.factor_match_score(model, moved).score == pytest.approx(1, abs=1e-12)
        found = gcp.analysis.align(moved, model)
        assert found.labels == moved.labels
        for a, b in zip(found.factors, moved.factors, strict=True):
            np.testing.assert_allclose(a, b)
        region = moved.labels.names.index("region")
        only = gcp.analysis.factor_match_score(moved, model, modes=["region"])
        assert only.score == pytest.approx(1, abs=1e-12)
        assert gcp.analysis.factor_match_score(moved, model, modes=[region]).score == only.score

    def test_of_other_labels(self, model):
        labels = gcp.ModeLabels(NAMES, [list("vwxyq"), COORDS["age"], COORDS["year"]])
        from dataclasses import replace

        strange = replace(model, labels=labels)
        for function in (gcp.analysis.factor_match_score, gcp.analysis.congruence, gcp.analysis.align):
            with pytest.raises(gcp.ParameterError, match=r"'[zq]' of mode 'region'"):
                function(model, strange)
        assert gcp.analysis.factor_match_score(model, strange, modes=[1, 2]).score == pytest.approx(1)
        assert gcp.analysis.factor_match_score(
            (model.weights, model.factors), strange
        ).score == pytest.approx(1)


class TestBounds:
    lower = pd.DataFrame(
        np.arange(10.0).reshape(5, 2) / 100, index=pd.Index(COORDS["region"], name="region"), columns=[0, 1]
    )

    @pytest.mark.parametrize(
        "given",
        [
            lower,
            lower.iloc[::-1],
            lower.iloc[[3, 1, 2, 0, 4], ::-1],  # components are numbered
            lower.rename_axis(columns="component").T,
            xr.DataArray(lower, dims=("region", "component"))[::-1],
            lower.rename_axis(index=None)[::-1],
        ],
        ids=["frame", "rows", "columns", "transposed", "xarray", "no names"],
    )
    def test_they_are_put_in_the_order_of_the_factor(self, given):
        bounds = [(given, None), (0, None), (0, None)]
        found = fit(array(), bounds=bounds)
        expected = fit(array().values, bounds=[(self.lower.to_numpy(), None), (0, None), (0, None)])
        np.testing.assert_array_equal(found.factors[0], expected.factors[0])
        assert found.objective == expected.objective

    def test_of_one_mode_for_all_components(self):
        ceiling = pd.Series([0.1, 0.2, 0.3, 0.4, 9.0], index=COORDS["region"]).rename_axis("region")
        found = fit(array(), bounds=[(None, ceiling[::-1]), (0, 1), (0, 1)])
        expected = fit(array(), bounds=[(None, np.tile(ceiling.to_numpy()[:, None], 2)), (0, 1), (0, 1)])
        assert found.objective == expected.objective

    def test_refusals(self):
        for given, match in (
            (
                self.lower.rename(index={"w": "q"}),
                "'w' of mode 'region' is in the factor of 'region', but not in bounds",
            ),
            (self.lower.rename_axis(index="age"), "The mode 'age' is in bounds of mode 0"),
            (self.lower.rename(columns={1: 2}), "label 1 of mode 'component'"),
            (self.lower.iloc[:, 0].rename_axis(index=None), "bounds of mode 0 have shape"),
        ):
            with pytest.raises(gcp.ParameterError, match=match):
                fit(array(), bounds=[(given, None), (0, None), (0, None)])

    def test_a_checkpoint_knows_their_labels(self, tmp_path):
        options = {"checkpoint": tmp_path / "fit.chk"}
        fit(array(), bounds=[(self.lower, None), (0, None), (0, None)], **options)
        with pytest.raises(gcp.DataError, match="other bounds"):
            fit(array(), bounds=[(self.lower[::-1], None), (0, None), (0, None)], **options)


@pytest.mark.parametrize("mode", [2, "year"])
def test_an_estimator_takes_its_mode_by_name(mode):
    data = array()
    options = {"loss": "poisson", "random_state": 0, "n_threads": 1, "n_iter_max": 20}
    found = gcp.GCP(2, mode=mode, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gcp.ConvergenceWarning)
        rows = found.fit_transform(data)
    np.testing.assert_array_equal(rows, found.result_.factors[2])
    new = data.isel(year=[1, 0])
    for given in (new, new.transpose("year", "region", "age"), new[::-1, [2, 0, 1, 3]]):
        np.testing.assert_allclose(found.transform(given), found.transform(new.values), rtol=1e-6)
        assert found.score(given) == pytest.approx(found.score(new.values), rel=1e-8)
    few = new.isel(region=slice(4))  # what new samples lack is missing
    with_gaps = new.where(new.region != "z").values
    np.testing.assert_allclose(found.transform(few), found.transform(with_gaps), rtol=1e-6)


def test_a_square_relation_is_told_from_its_transpose(rng, tmp_path):
    """By the names of its modes alone; without names, the transpose is another matrix."""
    x = xr.DataArray(rng.gamma(1.0, 1.0, (6, 1)) * rng.gamma(1.0, 1.0, 6) ** 2, dims=("sender", "receiver"))
    model = fit(x, 1)
    assert model.deviance_explained(x.T) == pytest.approx(model.deviance_explained(x), rel=1e-10)
    assert model.deviance_explained(x.values.T) < 0.9 < model.deviance_explained(x.values)
    path = tmp_path / "fit.chk"
    fit(x.values, 1, checkpoint=path)
    with pytest.raises(gcp.DataError, match="other data"):
        fit(x.values.T, 1, checkpoint=path)


@pytest.mark.parametrize("function", ["hold_out", "select_rank"])
def test_masks_of_splits_are_matched(function):
    data = array()
    mask = (data > 2) | (data.age > 10)
    if function == "hold_out":
        parts = [gcp.hold_out(data, 0.3, 0, mask=given) for given in (mask.values, turned(mask))]
        for one, two in zip(*parts, strict=True):
            np.testing.assert_array_equal(one.entry_weights, two.entry_weights)
    else:
        choices = [
            gcp.select_rank(data, [1], n_splits=2, n_starts=1, n_iter_max=5, random_state=0, mask=given)
            for given in (mask.values, turned(mask))
        ]
        assert choices[0].table[-1].loss == choices[1].table[-1].loss


class TestKindsOfXarray:
    def test_a_stacked_dimension(self):
        data = array()
        stacked = data.stack(cell=("region", "age"))
        tensor = as_tensor(stacked)
        assert tensor.labels.names == ("year", "cell")
        assert tensor.labels.coords[1][:2].tolist() == ["v, 10", "v, 20"]
        model = fit(stacked, 1)
        assert model.score(stacked.isel(cell=np.arange(20)[::-1])) == pytest.approx(
            model.score(stacked), rel=1e-10
        )

    @pytest.mark.parametrize(("fill", "kind"), [(0.0, SparseTensor), (np.nan, ObservedTensor)])
    def test_one_that_holds_a_sparse_array(self, fill, kind):
        sparse = pytest.importorskip("sparse")
        x = np.zeros(SHAPE)
        x[1, 2, 0], x[3, 3, 2] = 2.0, 5.0
        cells = np.argwhere(x)
        coo = sparse.COO(cells.T, x[tuple(cells.T)], shape=SHAPE, fill_value=fill)
        tensor = as_tensor(xr.DataArray(coo, dims=NAMES, coords=COORDS))
        assert isinstance(tensor, kind)
        assert tensor.labels == as_tensor(array()).labels
        dense = tensor.to_dense().values
        np.testing.assert_array_equal(np.nan_to_num(dense), x)
        weights = xr.DataArray([1.0, 2.0, 3.0, 4.0], dims="age")
        w = as_tensor(xr.DataArray(coo, dims=NAMES), entry_weights=weights).to_dense().entry_weights
        known = np.ones(SHAPE) if fill == 0 else (x > 0) * 1.0
        np.testing.assert_array_equal(w, known * np.array([1.0, 2.0, 3.0, 4.0])[:, None])

    def test_others_are_one_sentence(self):
        data = array()
        dataset = xr.Dataset({"x": data})
        for call in (
            lambda: as_tensor(dataset),
            lambda: as_tensor(data, mask=dataset),
            lambda: as_tensor(data, entry_weights=dataset),
            lambda: as_tensor(data.variable),
        ):
            with pytest.raises(gcp.DataError, match="expected one DataArray"):
                call()

    def test_dask_arrays_of_unknown_chunks(self):
        da = pytest.importorskip("dask.array")
        x = da.from_array(np.arange(12.0).reshape(4, 3), chunks=2)
        unknown = x[x[:, 0] > 1]
        for call in (
            lambda: as_tensor(unknown),
            lambda: as_tensor(xr.DataArray(unknown, dims=("a", "b"))),
            lambda: as_tensor(np.ones((4, 3)), mask=xr.DataArray(unknown > 0, dims=("a", "b"))),
        ):
            with pytest.raises(gcp.DataError, match="known sizes"):
                call()


class TestBesideLists:
    @pytest.fixture(params=[SparseTensor, ObservedTensor])
    def tensor(self, request):
        x = array().values
        cells = np.argwhere(x > 1)
        return request.param(cells, x[tuple(cells.T)], SHAPE, labels=as_tensor(array()).labels)

    def test_a_column_beside_sorted_entries_is_refused(self, tensor):
        """Rows of a table have another order than entries."""
        for column in (pd.Series(np.ones(len(tensor.values))), pd.Series(np.ones(3))):
            with pytest.raises(gcp.DataError, match="no name that tells which of the 3 modes"):
                as_tensor(tensor, entry_weights=column)
        with pytest.raises(gcp.DataError, match="'row'"):
            as_tensor(tensor, entry_weights=pd.Series(np.ones(3)).rename_axis("row"))

    def test_vectors_of_modes_are_matched(self, tensor):
        age = pd.Series([True, False, True, True], index=COORDS["age"])
        expected = as_tensor(tensor, mask=[None, age.to_numpy(), None]).to_dense().entry_weights
        for given in (age[::-1], xr.DataArray(age.rename_axis("age"))[::-1]):
            found = as_tensor(tensor, mask=[None, given, None]).to_dense().entry_weights
            np.testing.assert_array_equal(found, expected)
        with pytest.raises(
            gcp.DataError, match="The label 40 of mode 'age' is in the data, but not in the mask"
        ):
            as_tensor(tensor, mask=[None, age[:3], None])
        with pytest.raises(gcp.DataError, match="The mode 'region' is in the mask of mode 1"):
            as_tensor(tensor, mask=[None, age.rename_axis("region"), None])

    def test_bad_values_are_refused(self, tensor):
        for given, match in (
            ([1.0, -1.0, 1.0], "must be 0, or from"),
            ([1.0, np.nan, 1.0], "must be 0, or from"),
            (list("abc"), "dtype"),
        ):
            weights = xr.DataArray(given, dims="year")
            with pytest.raises(gcp.DataError, match=match):
                as_tensor(tensor, entry_weights=weights)
        with pytest.raises(gcp.DataError, match="mask has dtype"):
            as_tensor(tensor, mask=xr.DataArray([1.0, 0.0, 1.0], dims="year"))


def test_a_series_must_list_every_combination():
    data = array()
    series = (data > 2).rename("w").to_series()
    with pytest.raises(gcp.DataError, match=r"says nothing of \(w, 10, 2020-01-01"):
        as_tensor(data, mask=series.drop(index=("w", 10, pd.Timestamp("2020-01-01"))))
    with pytest.raises(gcp.DataError, match="more than once"):
        as_tensor(data, mask=pd.concat([series, series[:1]]))


def test_a_series_along_the_diagonal_is_refused_without_memory_for_all_cells():
    """As weights of listed entries are often kept, with a row for each."""
    for n_modes, n in ((2, 10**6), (5, 20_000)):  # 1e12 cells, and more than integers have
        index = pd.MultiIndex.from_arrays([np.arange(n)] * n_modes, names=list("abcde")[:n_modes])
        weights = pd.Series(1.0, index=index)
        entries = ObservedTensor(np.stack([np.arange(9)] * n_modes, axis=1), np.arange(9.0))
        with pytest.raises(gcp.DataError, match=r"says nothing of \(0, (0, 0, 0, )?1\)"):
            as_tensor(entries, entry_weights=weights)


@pytest.mark.parametrize("name", ["mask", "entry_weights"])
def test_weights_that_have_weights_are_refused_whatever_their_kind(name):
    subs, ones = np.argwhere(np.ones((2, 2))), np.ones(4)
    for own in (
        gcp.DenseTensor(np.ones((2, 2)), entry_weights=[[1, 2], [1, 1]]),
        SparseTensor(subs, ones, entry_weights=[1, 2, 1, 1]),
    ):
        for data in (np.ones((2, 2)), ObservedTensor(subs, ones), SparseTensor(subs, ones)):
            with pytest.raises(gcp.DataError, match="weights of its own"):
                as_tensor(data, **{name: own})


def test_a_series_of_lists_is_no_mask():
    with pytest.raises(gcp.DataError, match="cannot be read as an array"):
        as_tensor(np.ones(2), mask=pd.Series([[True], [True, False]]))


class TestTiedModes:
    """They share a factor, a row for each label."""

    @pytest.mark.parametrize(
        ("labels", "match"),
        [
            ([list("abcd"), list("abdc")], "at position 2, mode 'to' has the label 'c', but mode 'from' 'd'"),
            (
                [list("abcd"), list("abce")],
                "The label 'd' of mode 'to, from' is in mode 'to', but not in mode 'from'",
            ),
        ],
    )
    def test_of_other_labels_are_refused(self, labels, match, rng):
        x = rng.random((4, 4))
        data = xr.DataArray(
            x + x.T, dims=("to", "from"), coords=dict(zip(("to", "from"), labels, strict=True))
        )
        with pytest.raises(gcp.ParameterError, match=match):
            fit(data, 1, tied_modes=[(0, 1)])

    def test_of_the_same_labels_are_fitted(self, rng):
        x = rng.random((4, 4))
        for coords in ({"to": list("abcd"), "from": list("abcd")}, {"to": list("abcd")}, {}):
            found = fit(xr.DataArray(x + x.T, dims=("to", "from"), coords=coords), 1, tied_modes=[(0, 1)])
            np.testing.assert_array_equal(*found.factors)
