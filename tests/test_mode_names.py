"""`fit_gcp(modes=...)`, mode names wherever mode numbers go, and units."""

import inspect
import json

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
from numpy.testing import assert_array_equal

import gcp
from gcp import (
    DataError,
    DenseTensor,
    FitResult,
    ModeLabels,
    ObservedTensor,
    ParameterError,
    SparseTensor,
    analysis,
    plots,
)
from gcp.tensors.intake.coerce import as_tensor

mpl.use("Agg")
NAMES = ["neuron", "time", "trial"]
X = np.random.default_rng(0).normal(size=(5, 4, 3))
SUBS = np.argwhere(X > 0)
OPTIONS = {"random_state": 0, "n_iter_max": 20, "n_threads": 1}


# --- names for data that have none -------------------------------------------------------------------------------

UNNAMED = {
    "array": X,
    "list": X.tolist(),
    "masked": np.ma.masked_greater(X, 1.0),
    "DenseTensor": DenseTensor(X),
    "SparseTensor": SparseTensor(SUBS, X[X > 0], X.shape),
    "ObservedTensor": ObservedTensor(SUBS, X[X > 0], X.shape),
    "DataArray": xr.DataArray(X),
    "in parts": gcp.partition(X, 2),
    "default names": DenseTensor(X, labels=ModeLabels.default(X.shape)),
}


@pytest.mark.parametrize("kind", UNNAMED)
def test_names_reach_the_result_and_change_nothing_else(kind):
    data = UNNAMED[kind]
    before = getattr(data, "labels", None)
    result = gcp.fit_gcp(data, 2, modes=NAMES, main_effects=["trial"], **OPTIONS)
    assert result.labels.names == tuple(NAMES)
    assert list(result.to_frames()) == NAMES
    assert list(result.main_effects) == ["trial"]
    plain = gcp.fit_gcp(data, 2, main_effects=[2], **OPTIONS)
    assert result.objective == plain.objective
    for a, b in zip(result.factors, plain.factors, strict=True):
        assert_array_equal(a, b)
    assert getattr(data, "labels", None) is before  # the input stays as it is


def test_names_of_matrices_keep_labels():
    frame = pd.DataFrame(X[0], index=list("abcd"))
    result = gcp.fit_gcp(frame, 1, modes=["gene", "sample"], **OPTIONS)
    assert result.labels == ModeLabels(["gene", "sample"], [list("abcd"), [0, 1, 2]])
    sparse = gcp.fit_gcp(scipy.sparse.csr_array(X[0]), 1, modes=["gene", "sample"], **OPTIONS)
    assert sparse.labels.names == ("gene", "sample")


def test_names_that_are_there_may_be_said_again_but_no_others():
    data = xr.DataArray(X, dims=NAMES)
    assert gcp.fit_gcp(data, 1, modes=NAMES, **OPTIONS).labels.names == tuple(NAMES)
    partly = xr.DataArray(X, dims=["neuron", "dim_1", "trial"])
    assert gcp.fit_gcp(partly, 1, modes=NAMES, **OPTIONS).labels.names == tuple(NAMES)
    with pytest.raises(DataError, match="modes calls mode 0 'time', but the data call it 'neuron'"):
        gcp.fit_gcp(data, 1, modes=["time", "neuron", "trial"])


@pytest.mark.parametrize(
    "modes", [["a", "b"], ["a", "b", "a"], ["a", "b", 2], ["a", "b", ""], "abc", {"a", "b", "c"}, 3]
)
def test_bad_names_are_refused(modes):
    with pytest.raises(ParameterError, match="modes must be"):
        gcp.fit_gcp(X, 1, modes=modes)


def test_masks_and_weights_with_names_are_matched_with_the_names_that_are_given():
    mask = xr.DataArray(X.transpose(2, 0, 1) < 1, dims=["trial", "neuron", "time"])
    found = gcp.fit_gcp(X, 1, modes=NAMES, mask=mask, **OPTIONS)
    assert found.objective == gcp.fit_gcp(X, 1, mask=X < 1, **OPTIONS).objective
    square = X[:3, :3, :3]  # by position, nothing would tell
    weights = xr.DataArray(np.arange(3.0), dims=["time"])
    found = gcp.fit_gcp(square, 1, modes=NAMES, entry_weights=weights, **OPTIONS)
    by_hand = gcp.fit_gcp(square, 1, entry_weights=np.arange(3.0)[:, None], **OPTIONS)
    assert found.objective == by_hand.objective


def test_weights_without_an_order_beside_foreign_lists_stay_refused():
    matrix = scipy.sparse.csr_array(np.abs(X[0]))
    with pytest.raises(DataError, match="no order to go by"):
        gcp.fit_gcp(matrix, 1, modes=["a", "b"], entry_weights=np.ones(12))
    import sparse

    inside = xr.DataArray(sparse.COO.from_numpy(np.abs(X)))
    with pytest.raises(DataError, match="no order to go by"):
        gcp.fit_gcp(inside, 1, entry_weights=np.ones(X.size))


def test_names_for_searches_and_comparisons():
    mask = xr.DataArray(X.transpose(2, 0, 1) < 2, dims=["trial", "neuron", "time"])
    common = {"modes": NAMES, "mask": mask, **OPTIONS}
    strong = np.einsum("i,j,k->ijk", *(np.arange(1.0, n + 1) for n in X.shape)) + 0.1 * X
    choice = gcp.select_rank(strong, [1], n_splits=2, l2_reg=(0.0,), **common)
    assert choice.result.labels.names == tuple(NAMES)
    assert analysis.start_stability(X, 1, 2, **common).results[0].labels.names == tuple(NAMES)
    halves = analysis.split_half(X, 1, "trial", 1, **common)
    assert [half.shape[2] for half in halves.results[0]] == [1, 2]
    r = gcp.fit_gcp(
        np.abs(X).round(), 1, loss=gcp.NegativeBinomial(r="estimate"), modes=NAMES, mask=mask, **OPTIONS
    )
    assert r.labels.names == tuple(NAMES)


# --- names wherever numbers go -----------------------------------------------------------------------------------

DATA = xr.DataArray(X[:4], dims=NAMES)
FACTORS = [np.random.default_rng(k).normal(size=(n, 2)) for k, n in enumerate(DATA.shape)]


def fit(**options):
    return gcp.fit_gcp(DATA, 2, init=FACTORS, **OPTIONS, **options)


RESULT = fit()
SURPRISES = analysis.anomalies(RESULT, DATA)

ERRORS = analysis.bootstrap(RESULT, DATA, 2, **OPTIONS)

WAYS = {  # by the one mode that is asked for
    "fit_gcp(fixed_modes)": lambda mode: fit(fixed_modes=[mode]).factors,
    "fit_gcp(tied_modes)": lambda mode: fit(tied_modes=[("neuron", mode)]).factors,
    "fit_gcp(main_effects)": lambda mode: fit(main_effects=[mode]).factors,
    "fit_gcp(bounds)": lambda mode: fit(bounds={mode: (0, 0.5)}).factors,
    "FitResult.transform": lambda mode: [RESULT.transform(DATA + 0.1, mode).rows],
    "GCP": lambda mode: [gcp.GCP(2, mode=mode, **OPTIONS).fit_transform(DATA)],
    "hold_out": lambda mode: [gcp.hold_out(DATA, 0.3, 0, scheme="rows", mode=mode).train.entry_weights],
    "hold_out(by)": lambda mode: [
        gcp.hold_out(DATA, 0.3, 0, scheme="blocks", mode="neuron", by=mode).train.entry_weights
    ],
    "select_rank": lambda mode: [
        gcp.select_rank(
            DATA, [1], scheme="rows", mode=mode, fraction=0.3, n_splits=1, l2_reg=1.0, **OPTIONS
        ).chosen.loss
    ],
    "partition": lambda mode: [gcp.partition(DATA, 2, mode=mode).cuts.mode],
    "analysis.slice_deviance": lambda mode: [analysis.slice_deviance(RESULT, DATA, mode).deviance],
    "analysis.split_half": lambda mode: [analysis.split_half(DATA, 1, mode, 2, **OPTIONS).scores],
    "analysis.factor_match_score": lambda mode: [
        analysis.factor_match_score(RESULT, fit(n_starts=1), modes=[mode]).score
    ],
    "analysis.outliers": lambda mode: [analysis.outliers(RESULT, DATA, mode).deviance],
    "analysis.ranking_scores": lambda mode: [
        analysis.ranking_scores(RESULT, DATA > 0.5, mode, 2, relevant=1.0).ndcg
    ],
    "FitResult.top": lambda mode: [RESULT.top(mode, {n: 0 for n in range(3) if n != 1}, 2).labels],
    "plots.plot_components": lambda mode: drawn(plots.plot_components(RESULT, modes=[mode])),
    "plots.plot_forest": lambda mode: drawn(plots.plot_forest(RESULT, ERRORS, mode)),
    "plots.plot_slices": lambda mode: drawn(plots.plot_slices(RESULT, DATA, mode)),
    "plots.plot_surprises": lambda mode: drawn(plots.plot_surprises(RESULT, SURPRISES, (mode, "trial"))),
    "plots.plot_observed": lambda mode: drawn(plots.plot_observed(RESULT, DATA, modes=[mode])),
    "ModeLabels.number": lambda mode: [RESULT.labels.number(mode)],
    "ModeLabels.values": lambda mode: [RESULT.labels.values(mode, 4)],
    "ModeLabels.title": lambda mode: [RESULT.labels.title(mode)],
}


def drawn(picture):
    """Titles and labels of a picture, which name the mode."""
    figure = picture if hasattr(picture, "axes") and not hasattr(picture, "figure") else None
    axes = figure.axes if figure is not None else np.ravel([picture]).tolist()
    return [[ax.get_title(), ax.get_xlabel(), ax.get_ylabel()] for ax in axes]


@pytest.mark.parametrize("way", WAYS)
def test_a_mode_is_asked_for_by_name_or_by_number(way):
    by_name, by_number = WAYS[way]("time"), WAYS[way](1)
    for a, b in zip(by_name, by_number, strict=True):
        assert_array_equal(a, b)
    with pytest.raises(ParameterError, match=r"(?s)'tome'.*neuron"):
        WAYS[way]("tome")


def test_no_way_to_ask_for_a_mode_is_left_out():
    own = {"FitResult.transform": gcp.FitResult.transform}
    own |= {name: getattr(gcp, name) for name in gcp.__all__ if callable(getattr(gcp, name))}
    own |= {f"ModeLabels.{name}": getattr(ModeLabels, name) for name in ("number", "values", "title")}
    for module in (analysis, plots):
        prefix = module.__name__.removeprefix("gcp.")
        own |= {f"{prefix}.{name}": getattr(module, name) for name in vars(module) if name[0].islower()}
    asked = set()
    for name, function in own.items():
        try:
            parameters = inspect.signature(function).parameters
        except (TypeError, ValueError):
            continue
        if {"mode", "modes"} & set(parameters) and name not in ("fit_gcp", "from_frame", "read_tensor"):
            asked.add(name)
    assert asked <= set(WAYS)


# --- bounds by mode ----------------------------------------------------------------------------------------------


def test_bounds_by_mode_are_those_of_a_list():
    positive = np.full((4, 2), 0.25)
    given = {"time": (0, None), 2: (None, positive[:3]), "neuron": None}
    listed = [None, (0, None), (None, positive[:3])]
    one, other = fit(bounds=given), fit(bounds=listed)
    assert one.objective == other.objective
    assert (one.fitted_factors[1] >= 0).all()
    assert one.fitted_factors[2].max() <= 0.25
    assert one.problem.bounds == {"time": [0, None], "trial": [None, "array"], "neuron": None}
    assert one.problem.has_array_bounds
    assert one.settings["bounds"]["time"] == [0, None]


def test_bounds_by_mode_of_a_matrix_mean_pairs():
    result = gcp.fit_gcp(X[0], 2, modes=["a", "b"], bounds={"a": (0, 1), "b": (-3, 0)}, **OPTIONS)
    assert result.fitted_factors[0].min() >= 0
    assert result.fitted_factors[1].max() <= 0


def test_bounds_by_mode_go_with_the_modes_into_files_and_further_fits(tmp_path):
    result = fit(bounds={"time": (0, None)})
    result.save(tmp_path / "r.npz")
    again = FitResult.load(tmp_path / "r.npz")
    assert again == result
    turned = DATA.transpose("trial", "time", "neuron")
    draws = analysis.bootstrap(again, turned, 2, random_state=0, n_threads=1)
    assert all((np.asarray(a) >= 0).all() for a in [draws.factors[1]])


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"tame": (0, 1)}, "Unknown mode 'tame'"),
        ({"time": 0}, r"bounds of mode 'time' must be \(lower, upper\)"),
        ({"time": (0, 1, 2)}, r"bounds of mode 'time' must be \(lower, upper\)"),
        ({"time": (0, 1), 1: (0, 1)}, "names mode 'time' twice"),
        ({"time": (2, 1)}, "lower 2 is above upper 1"),
    ],
)
def test_bad_bounds_by_mode_are_refused(bounds, message):
    with pytest.raises(ParameterError, match=message):
        fit(bounds=bounds)


# --- units -------------------------------------------------------------------------------------------------------


def measured(seed=0):
    rng = np.random.default_rng(seed)
    coords = {
        "neuron": list("abcd"),
        "time": ("time", [0.0, 10.0, 20.0, 30.0], {"units": "ms", "long_name": "time after the tone"}),
    }
    return xr.DataArray(rng.poisson(5.0, (4, 4, 3)) + 0.5, coords, NAMES, attrs={"units": "spikes/s"})


def test_units_are_kept_and_shown(tmp_path):
    result = gcp.fit_gcp(measured(), 1, **OPTIONS)
    assert result.labels.units == (None, "ms", None)
    assert result.labels.data_units == "spikes/s"
    assert [result.labels.title(mode) for mode in NAMES] == ["neuron", "time (ms)", "trial"]
    assert "4 neuron x 4 time (ms) x 3 trial" in str(result)
    assert result.summary().facts["data in"] == "spikes/s"
    result.save(tmp_path / "r.npz")
    assert FitResult.load(tmp_path / "r.npz") == result
    arrays = result.to_xarray()
    assert arrays["time"].coords["time"].attrs == {"units": "ms"}
    assert arrays["weights"].attrs == {"data_units": "spikes/s"}
    assert arrays["neuron"].coords["neuron"].attrs == {}


def test_without_units_files_are_as_before(tmp_path):
    RESULT.save(tmp_path / "r.npz")
    assert "units" not in np.load(tmp_path / "r.npz").files
    assert "data in" not in str(RESULT)
    assert FitResult.load(tmp_path / "r.npz").labels == RESULT.labels


def test_units_survive_what_is_done_to_tensors(tmp_path):
    tensor = as_tensor(measured())
    labels = tensor.labels
    gcp.write_tensor(tmp_path / "t.npz", tensor)
    listed = ObservedTensor(SUBS[:5] % 3, np.arange(5.0), (4, 4, 3), labels=labels, aggregate="sum")
    gcp.write_tensor(tmp_path / "l.npz", listed)
    split = gcp.hold_out(tensor, 0.2, random_state=0)
    for one in (
        gcp.read_tensor(tmp_path / "t.npz"),
        gcp.read_tensor(tmp_path / "l.npz"),
        as_tensor(tensor, mask=np.asarray(measured()) < 8),
        gcp.partition(tensor, 2),
        listed.to_dense(),
        split.train,
    ):
        assert one.labels == labels


def test_another_order_keeps_units_with_their_modes():
    result = gcp.fit_gcp(measured(), 1, **OPTIONS)
    turned = measured().transpose("time", "trial", "neuron").isel(time=[2, 0, 3, 1])
    again = gcp.fit_gcp(turned, 1, init=result, **OPTIONS)
    assert again.labels.units == ("ms", None, None)
    assert again.labels.data_units == "spikes/s"
    assert result.score(turned) == pytest.approx(result.score(measured()))


def test_other_units_of_labels_or_data_are_refused():
    result = gcp.fit_gcp(measured(), 1, **OPTIONS)
    seconds = measured()
    seconds.coords["time"].attrs["units"] = "s"
    with pytest.raises(DataError, match="mode 'time' is in 's' in the data, but in 'ms' in the model"):
        result.score(seconds)
    with pytest.raises(DataError, match="'time' is in 's'"):
        gcp.fit_gcp(measured(), 1, mask=seconds > 0)
    minutes = measured().assign_attrs(units="spikes/min")
    for ask in (result.score, result.deviance_explained, lambda data: result.transform(data, "trial")):
        with pytest.raises(
            DataError, match="data are in 'spikes/min', but the model is of data in 'spikes/s'"
        ):
            ask(minutes)
    with pytest.raises(ParameterError, match="data are in 'spikes/min'"):
        gcp.fit_gcp(minutes, 1, init=result)
    for silent in (measured().assign_attrs(units=""), measured().drop_attrs(), measured().values):
        assert result.score(silent) == result.score(measured())
    weights = xr.DataArray(np.ones(4), {"time": measured().time}, ["time"], attrs={"units": "1"})
    assert result.score(measured(), entry_weights=weights) == result.score(measured())


def test_units_that_are_no_text_are_left_out_of_xarray_and_refused_by_hand():
    assert as_tensor(measured().assign_attrs(units=3)).labels.data_units is None
    with pytest.raises(DataError, match="unit must be a text"):
        ModeLabels(["a"], [None], [3])
    with pytest.raises(DataError, match="1 mode names but 2 units"):
        ModeLabels(["a"], [None], ["m", "s"])


def test_equal_labels_have_equal_units():
    one = ModeLabels(["a"], [[1, 2]], ["m"], "K")
    assert one == ModeLabels(["a"], [[1, 2]], ["m"], "K")
    assert one != ModeLabels(["a"], [[1, 2]], ["m"])
    assert one != ModeLabels(["a"], [[1, 2]], None, "K")
    assert json.dumps([one.units, one.data_units]) == '[["m"], "K"]'
