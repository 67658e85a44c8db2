"""Names decide: data in another order of modes or positions give the same numbers, or one sentence."""

import functools
import re
import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gcp
from gcp import DataError, ModeLabels, ObservedTensor, SparseTensor
from gcp.analysis.report import write_report
from gcp.base.table_result import TableResult
from gcp.tensors.intake.coerce import as_tensor

SHAPE = (6, 5, 4)
NAMES = ("region", "age", "year")
COORDS = ([f"r{k}" for k in range(6)], [f"a{k}" for k in range(5)], [2001, 2002, 2003, 2004])
EFFECTS = ("region", "year")


def counts(binary=False):
    """Counts about a model of rank 2, with names."""
    rng = np.random.default_rng(3)
    m = np.einsum("ir,jr,kr->ijk", *(rng.gamma(1.0, 1.0, (size, 2)) for size in SHAPE))
    x = (rng.random(SHAPE) < m / (1 + m)) * 1.0 if binary else rng.poisson(3 * m) * 1.0
    return xr.DataArray(x, dims=NAMES, coords=dict(zip(NAMES, COORDS, strict=True)))


def fitted(loss, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = counts(binary=loss.startswith("bernoulli"))
        return gcp.fit_gcp(data, 2, loss=loss, random_state=0, n_threads=1, n_iter_max=20, **options)


@pytest.fixture(scope="module")
def poisson():
    return fitted("poisson", main_effects=[0, 2])


@pytest.fixture(scope="module")
def plain():
    return fitted("poisson")


@pytest.fixture(scope="module")
def bernoulli():
    return fitted("bernoulli-odds")


def labels_of(array):
    return gcp.ModeLabels(
        array.dims, [array[dim].values if dim in array.coords else None for dim in array.dims]
    )


def listing(array):
    cells = np.argwhere(array.values)
    return cells, array.values[tuple(cells.T)], array.shape


def sparse_backed(array):
    return array.copy(data=pytest.importorskip("sparse").COO.from_numpy(array.values))


def as_series(array):
    """A Series in another order of rows, from which the labels are read."""
    return array.rename("value").to_series().sample(frac=1.0, random_state=1)


KINDS = {
    "xarray": lambda array: array,
    "dense": lambda array: gcp.DenseTensor(array.values, labels=labels_of(array)),
    "sparse in xarray": sparse_backed,
    "SparseTensor": lambda array: SparseTensor(*listing(array), labels=labels_of(array)),
    "ObservedTensor": lambda array: ObservedTensor(
        np.argwhere(array.values >= 0), array.values.ravel(), array.shape, labels=labels_of(array)
    ),
    "from_frame": lambda array: gcp.from_frame(as_series(array).reset_index(), list(array.dims), "value"),
    "in parts": lambda array: gcp.partition(gcp.DenseTensor(array.values, labels=labels_of(array)), 2),
    "dask": lambda array: array.chunk(),
}
ONE_PIECE = [kind for kind in KINDS if kind != "in parts"]


def flat(found):
    """All numbers of what a function gave, in one vector."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, tuple | list | TableResult):
        parts = [
            flat(part) for part in found if part is not None and not isinstance(part, str | gcp.FitResult)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)
    array = np.asarray(found)
    return array.astype(float).ravel() if array.dtype.kind in "buif" else np.zeros(0)


def report(result, data):
    """The numbers of the report's text; its pictures are made, but not turned into pixels that nobody compares."""
    figure = pytest.importorskip("matplotlib.figure").Figure
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(figure, "savefig"):
        write_report(result, data, Path(folder) / "page.html")
        text = re.sub(
            r"<svg.*?</svg>|base64,[^\"]*", "", (Path(folder) / "page.html").read_text(), flags=re.S
        )
    numbers = re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", re.sub(r"<[^>]*>", " ", text))
    return np.array([float(f"{float(text):.3g}") for text in numbers])


def of(name, *more, **options):
    return lambda result, data: getattr(gcp.analysis, name)(result, data, *more, **options)


JUDGES = {
    "score": lambda result, data: result.score(data),
    "deviance_explained": lambda result, data: result.deviance_explained(data),
    "deviance": of("deviance"),
    "slice_deviance": of("slice_deviance", "age"),
    "slice_deviance of a numbered mode": of("slice_deviance", 0),
    "anomalies": of("anomalies", 10),
    "log_likelihood": of("log_likelihood"),
    "information_criteria": of("information_criteria"),
    "dispersion_test": of("dispersion_test"),
    "calibration": of("calibration", 4),
    "core_consistency": of("core_consistency"),
    "standard_errors": of("standard_errors"),
    "bootstrap": of("bootstrap", 2, random_state=0, n_iter_max=5),
    "plot_calibration": lambda result, data: [
        line.get_xydata() for line in gcp.plots.plot_calibration(result, data, 4).lines
    ],
    "plot_observed": lambda result, data: [
        ax.lines[-1].get_xydata() for ax in gcp.plots.plot_observed(result, data, ["age", "year"])
    ],
    "plot_slices": lambda result, data: [
        [bar.get_height() for bar in gcp.plots.plot_slices(result, data, "region").patches]
    ],
    "write_report": report,
}
OF_SUMS = ("score", "deviance_explained")
BINARY = {
    "binary_scores": of("binary_scores"),
    "plot_roc": lambda r, d: gcp.plots.plot_roc(r, d).lines[1].get_xydata(),
}


def other_orders(array):
    """The same data with the positions of each mode in another order, then with the modes so."""
    rng = np.random.default_rng(0)
    for dim in array.dims:
        yield f"{dim} in another order", array.isel({dim: rng.permutation(array.sizes[dim])})
    yield "modes in another order", array.transpose("year", "region", "age")
    yield "everything in another order", shuffled(array).transpose("age", "year", "region")


def same(result, judge, array, kind, **close):
    expected = flat(judge(result, KINDS[kind](array)))
    assert len(expected)
    for name, other in other_orders(array):
        found = flat(judge(result, KINDS[kind](other)))
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9, err_msg=name, **close)


@pytest.mark.filterwarnings("ignore::gcp.ConvergenceWarning")
@pytest.mark.parametrize("name", JUDGES)
def test_the_order_of_data_does_not_matter(poisson, plain, name):
    same(plain if name in ("bootstrap", "core_consistency") else poisson, JUDGES[name], counts(), "xarray")


@pytest.mark.parametrize("name", BINARY)
def test_the_order_of_binary_data_does_not_matter(bernoulli, name):
    same(bernoulli, BINARY[name], counts(binary=True), "xarray")


@pytest.mark.parametrize("name", ["score", "deviance", "anomalies", "calibration", "standard_errors"])
@pytest.mark.parametrize("kind", ONE_PIECE)
def test_nor_does_it_in_any_kind_of_data(poisson, name, kind):
    same(poisson, JUDGES[name], counts(), kind)


@pytest.mark.parametrize("name", OF_SUMS)
def test_nor_does_it_in_parts(poisson, name):
    same(poisson, JUDGES[name], counts(), "in parts")
    assert np.isclose(JUDGES[name](poisson, KINDS["in parts"](counts())), JUDGES[name](poisson, counts()))


@pytest.mark.parametrize("kind", ONE_PIECE)
def test_residuals_are_in_the_order_of_the_data(poisson, kind):
    array = counts()
    expected = array - xr.DataArray(poisson.predict(), dims=NAMES, coords=array.coords)
    for name, other in [("as they were", array), *other_orders(array)]:
        data = KINDS[kind](other)
        found = gcp.analysis.residuals(poisson, data, "response")
        tensor = as_tensor(data)
        if tensor.subs is not None:  # one number for each listed entry
            truth = expected.transpose(*other.dims).reindex_like(other).values[tuple(tensor.subs.T)]
        else:
            coords = dict(zip(tensor.labels.names, tensor.labels.coords, strict=True))
            truth = expected.transpose(*tensor.labels.names).sel(coords).values
        np.testing.assert_allclose(found, truth, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("kind", ONE_PIECE)
def test_transform_matches_the_other_modes(poisson, kind):
    array = counts().isel(year=[3, 1, 0])
    expected = poisson.transform(array.values, "year")
    for name, other in other_orders(array.assign_coords(year=["x", "y", "z"])):
        labels = as_tensor(KINDS[kind](other)).labels
        order = [["x", "y", "z"].index(label) for label in labels.coords[labels.names.index("year")]]
        found = poisson.transform(KINDS[kind](other), "year")
        np.testing.assert_allclose(found.rows, expected.rows[order], rtol=1e-6, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(found.main_effects, expected.main_effects[order], atol=1e-6, err_msg=name)


EVERYONE = JUDGES | {
    "residuals": of("residuals"),
    "init": lambda result, data: gcp.fit_gcp(data, 2, loss="poisson", init=result, n_iter_max=1),
}


class TestWhatCannotBeMatched:
    @pytest.mark.parametrize("name", EVERYONE)
    def test_it_is_refused_and_named(self, poisson, name):
        judge, array = EVERYONE[name], counts()
        labels = [f"a{k}" for k in range(4)]
        for other, match in (
            (array.assign_coords(age=[*labels, "b0"]), r"'a4' of mode 'age' is in .*, but not in"),
            (array.isel(age=[0, 1, 3, 4]), r"'a2' of mode 'age' is in .*, but not in"),
            (xr.concat([array, array.isel(age=[0]).assign_coords(age=["b0"])], "age"), "'b0' of mode 'age'"),
            (array.assign_coords(age=[*labels, "a0"]), "'a4' of mode 'age'"),
            (xr.concat([array, array.isel(age=[0])], "age"), "'a0' of mode 'age' .*more than once"),
            (array.rename(age="height"), "'(age|height)'"),
            (array.isel(age=0), "mode 'age' is in"),
            (array.expand_dims("site"), "mode 'site' is in"),
        ):
            with pytest.raises(gcp.GcpError, match=match) as caught:
                judge(poisson, other)
            assert str(caught.value).count(". ") == 0

    @pytest.mark.parametrize("kind", KINDS)
    def test_in_every_kind_of_data(self, poisson, kind):
        other = counts().isel(region=[0, 1, 2, 4, 5])
        with pytest.raises(gcp.DataError, match="'r3' of mode 'region'"):
            poisson.score(KINDS[kind](other))

    @pytest.mark.parametrize("kind", ONE_PIECE)
    def test_new_data_may_lack_labels_and_have_no_others(self, poisson, kind):
        """What they lack is missing: as in whole data with NaN there, also where unlisted cells are zeros."""
        array = counts()
        few = array.isel(region=[5, 0, 3], year=[2, 0])
        expected = poisson.transform(few.reindex_like(array).values, "age")
        found = poisson.transform(KINDS[kind](few), "age")
        np.testing.assert_allclose(found.rows, expected.rows, rtol=1e-6, atol=1e-9)
        assert {name: list(labels) for name, labels in found.lacking.items()} == {
            "region": ["r1", "r2", "r4"],
            "year": [2002, 2004],
        }
        with pytest.raises(
            gcp.DataError, match="'r9' of mode 'region' is in the new data, but not in the model"
        ):
            poisson.transform(KINDS[kind](few.assign_coords(region=["r0", "r1", "r9"])), "age")


def streamed(array):
    """Read in slabs of two positions or so."""
    from gcp.tensors.parts import sources, streamed

    source = sources.ArraySource.of(array.values)
    return streamed.streamed(source, 2 * 4 * 2048, labels=labels_of(array))


BESIDE = {**{kind: KINDS[kind] for kind in ONE_PIECE}, "streamed": streamed}


def shuffled(array, seed=1):
    """The array with the positions of all modes, and the modes, in another order."""
    rng = np.random.default_rng(seed)
    return array.isel({dim: rng.permutation(size) for dim, size in array.sizes.items()}).transpose(
        *array.dims[::-1]
    )


def multi_indexed(array):
    return array.rename("w").to_series().sample(frac=1.0, random_state=0)


FORMS = {
    "DataArray": shuffled,
    "DataArray of Dask": lambda w: shuffled(w).chunk(),
    "DataArray of one mode": lambda w: shuffled(w.isel(age=2, year=1, drop=True)),
    "DataArray of two modes": lambda w: shuffled(w.isel(region=2, drop=True)),
    "DataArray without labels": lambda w: w.drop_vars(w.dims).transpose("year", "region", "age"),
    "Series": lambda w: w.isel(region=1, year=0, drop=True).to_series()[::-1],
    "Series of three levels": lambda w: multi_indexed(w),
    "Series of two levels": lambda w: multi_indexed(w.isel(age=0, drop=True)),
    "DataFrame": lambda w: shuffled(w.isel(region=2, drop=True)).to_pandas(),
    "DenseTensor": lambda w: gcp.DenseTensor(shuffled(w).values, labels=labels_of(shuffled(w))),
    "SparseTensor": lambda w: SparseTensor(*listing(shuffled(w)), labels=labels_of(shuffled(w))),
}


def as_array(given, w):
    """What was given, as xarray understands it."""
    if isinstance(given, gcp.DenseTensor | SparseTensor):
        return w
    if isinstance(given, pd.DataFrame):
        return xr.DataArray(given)
    given = given if isinstance(given, xr.DataArray) else given.to_xarray()
    return given if given.coords else given.assign_coords({dim: w[dim] for dim in given.dims})


@functools.cache
def beside(kind):
    return BESIDE[kind](counts())


@functools.cache
def weighted(name, form):
    """Weights in one form, factors, and the weighted sum of squares by xarray."""
    rng, array = np.random.default_rng(4), counts()
    w = array.copy(data=rng.permutation(np.arange(array.size) % 4).reshape(SHAPE) / 2)
    w = w > 0 if name == "mask" else w
    given = FORMS[form](w)
    factors = [rng.random((size, 2)) for size in SHAPE]
    m = array.copy(data=np.einsum("ir,jr,kr->ijk", *factors))
    return given, factors, float(((array - m) ** 2 * as_array(given, w)).sum())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", BESIDE)
@pytest.mark.parametrize("name", ["mask", "entry_weights"])
def test_masks_and_weights_are_matched_by_name(kind, form, name):
    given, factors, expected = weighted(name, form)
    if kind in ("streamed", "dask") and form == "SparseTensor":
        with pytest.raises(gcp.DataError):
            gcp.build_objective(streamed(counts()), "gaussian", **{name: given})
        return
    objective = gcp.build_objective(beside(kind), "gaussian", **{name: given}, n_threads=1)
    np.testing.assert_allclose(objective.value_and_grad(factors)[0], expected, rtol=1e-6)


def test_weights_of_a_mode_are_matched_by_their_labels():
    labels = ModeLabels(["day", "place"], [["mon", "tue", "wed"], ["x", "y"]])
    given = pd.Series([1.0, 2.0, 3.0], index=["wed", "mon", "tue"])
    tensor = SparseTensor([[0, 0]], [1.0], (3, 2), mode_weights=[given, None], labels=labels)
    np.testing.assert_array_equal(tensor.mode_weights[0], [2.0, 3.0, 1.0])
    with pytest.raises(
        DataError, match=r"label 'wed' of mode 'day' is in the data, but not in the mode_weights of mode 0"
    ):
        SparseTensor(
            [[0, 0]], [1.0], (3, 2), mode_weights=[given.rename({"wed": "sun"}), None], labels=labels
        )
    unlabelled = SparseTensor([[0, 0]], [1.0], (3, 2), mode_weights=[given, None])
    np.testing.assert_array_equal(unlabelled.mode_weights[0], [1.0, 2.0, 3.0])
