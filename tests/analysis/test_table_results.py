"""Every result of analysis is a table: in pandas, as a short text, and as a part of a page."""

import inspect
import pickle
import re
import sys
import warnings
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gcp
from gcp import analysis
from gcp.base.table_result import Tabular

FILMS = ["A & B", "<b>Cube</b>", *(f"film {k}" for k in range(30))]
USERS = [196, 186, 22, 244, 3]


def fit(data, rank=2, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return gcp.fit_gcp(data, rank, random_state=0, n_threads=1, n_iter_max=20, **options)


@cache
def counts():
    rng = np.random.default_rng(0)
    m = np.einsum("ir,jr->ij", *(rng.gamma(1.0, 1.0, (size, 2)) for size in (5, 32)))
    return xr.DataArray(rng.poisson(9 * m), coords={"user": USERS, "film": FILMS})


@cache
def model():
    return fit(counts(), 1, loss="poisson")


@cache
def results():
    """One of every kind, by the name of its class."""
    x, r = counts(), model()
    binary = (x > 5) * 1
    of_binary = fit(binary, 1, loss="bernoulli-odds", l2_reg=0.1)
    ages = xr.DataArray(np.arange(5.0) ** 2, coords={"user": USERS})
    coupled = fit({"counts": x, "ages": ages}, 1, loss={"counts": "poisson", "ages": "gaussian"})
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 5, "n_threads": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        suggestions = analysis.suggest_loss(x, 1)
        every = [
            analysis.anomalies(r, x, 30),
            analysis.binary_scores(of_binary, binary),
            analysis.bootstrap(r, x, 3, random_state=0, n_iter_max=5),
            analysis.calibration(r, x, 20),
            analysis.component_shares(r, x),
            analysis.Degeneracy(0, 1, -0.9),
            analysis.deviance(r, x),
            analysis.dispersion_test(r, x),
            analysis.information_criteria(r, x),
            suggestions,
            suggestions.suggestions[0],
            analysis.factor_match_score(r, r),
            analysis.outliers(r, x, "film"),
            analysis.prediction_scores(of_binary, binary),
            analysis.proper_scores(r, x),
            analysis.ranking_scores(r, x, "film"),
            analysis.slice_deviance(r, x, "film"),
            analysis.split_half(x.values, 1, 1, n_splits=2, **options),
            analysis.standard_errors(r, x),
            analysis.standard_errors(coupled, {"counts": x, "ages": ages}),
            analysis.start_stability(x, 1, 3, **options),
            gcp.hold_out(x, 0.3, 0),
            gcp.select_rank(x, [0, 1, 2], l2_reg=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], n_splits=2, **options),
            r.transform(x, "film"),
            r.top("film", {"user": 3}, 20),
            r.starts,
            r.summary(),
            fit(x.values, 1, loss="poisson").forecast(2, 0, random_state=0),
        ]
    return {type(one).__name__: one for one in every}


NAMES = [
    *(name for name in analysis.__all__ if inspect.isclass(getattr(analysis, name))),
    *("Split", "RankChoice", "NewRows", "TopPositions", "Starts", "Summary", "Forecast"),
]


class Cells(HTMLParser):
    """The texts of a page, the tags that are open, and the largest number of columns."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_every_public_result_is_looked_at():
    assert set(results()) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_a_frame_a_short_text_and_a_part_of_a_page(name):
    result = results()[name]
    assert isinstance(result, Tabular)
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame)
    assert frame.columns.is_unique
    text = repr(result)
    if name != "Summary":
        assert len(text.splitlines()) <= 12
        assert text.startswith("rank " if name == "RankChoice" else name)
    page = result._repr_html_()
    assert not re.search("color|background", page)
    parsed = Cells(page)
    assert parsed.open == []
    assert "<b>" not in page


@pytest.mark.parametrize("name", NAMES)
def test_it_can_be_stored_and_sent(name):
    result = results()[name]
    again = pickle.loads(pickle.dumps(result))
    assert repr(again) == repr(result)


LABELLED = {
    "Anomalies": ["user", "film"],
    "SliceDeviance": ["film"],
    "NewRows": ["film"],
    "TopPositions": ["film"],
    "LossSuggestions": ["loss"],
    "Starts": ["start"],
    "RankChoice": ["rank"],
    "Split": ["part"],
    "StandardErrors": ["parameter", "mode", "position", "component"],
    "Bootstrap": ["parameter", "mode", "position", "component"],
}


@pytest.mark.parametrize("name", LABELLED)
def test_rows_have_labels(name):
    assert list(results()[name].to_frame().index.names) == LABELLED[name]


def test_labels_stand_beside_what_is_said_of_them():
    """Looked up in pandas, numbers are those of the cells that they are about."""
    data = counts().to_series()
    anomalies = results()["Anomalies"].to_frame()
    np.testing.assert_array_equal(anomalies.observed, data.loc[anomalies.index])
    np.testing.assert_allclose(model().predict(anomalies.reset_index()), anomalies.expected)
    slices = results()["SliceDeviance"].to_frame()
    alone = analysis.slice_deviance(model(), counts().sel(film=FILMS[::-1]), "film")
    np.testing.assert_allclose(slices.deviance, alone.deviance)
    assert list(slices.index) == FILMS


@pytest.mark.parametrize("name", ["StandardErrors", "Bootstrap"])
def test_estimates_are_those_of_the_model_with_its_labels(name):
    errors, r = results()[name], model()
    frame = errors.to_frame(level=0.5)
    (low, high), factors = errors.interval(0.5)
    weight = frame.loc[("weight", "", "", 0)]
    assert (weight.low, weight.high) == (low[0], high[0])
    cell = frame.loc[("factor", "film", "film 3", 0)]
    at = FILMS.index("film 3")
    assert (cell.low, cell.high) == (factors[1][0][at, 0], factors[1][1][at, 0])
    assert cell.low < cell.estimate < cell.high or name == "Bootstrap"
    assert cell.estimate == pytest.approx(r.factors[1][at, 0], rel=0.2)
    assert (
        frame.loc[("factor", "user", 196, 0)].standard_error
        == errors.to_frame().loc[("factor", "user", 196, 0)].standard_error
    )
    assert len(frame) == 1 + 5 + 32


def test_main_effects_have_intervals_too(rng):
    x = xr.DataArray(rng.normal(size=(6, 8)), coords={"user": list("abcdef"), "film": range(8)})
    r = fit(x, 0, main_effects=True)
    frame = analysis.standard_errors(r, x).to_frame()
    effects = frame.loc["main effect"]
    np.testing.assert_allclose(effects.loc["user"].estimate, r.main_effects["user"])
    # A two-way layout: the residual variance over the cells of a level, less what centring takes.
    sigma2 = float(((x - r.predict()) ** 2).sum()) / (48 - 13)
    expected = np.sqrt(sigma2 / 8 * (1 - 1 / 6))
    np.testing.assert_allclose(effects.loc["user"].standard_error, expected, rtol=1e-6)
    half = (effects.high - effects.low) / 2
    np.testing.assert_allclose(half, 1.959964 * effects.standard_error, rtol=1e-6)
    assert frame.loc["intercept"].estimate.item() == r.intercept


def test_results_unpack_into_their_fields():
    _train, test = gcp.hold_out(counts(), 0.3, 0)
    assert isinstance(test, gcp.ObservedTensor)
    of = results()["Deviance"]
    assert tuple(of) == (of.deviance, of.null_deviance, of.explained, of.total_weight)
    assert (len(of), of[2]) == (4, of.explained)
    assert replace(of, explained=0.5).explained == 0.5


def test_a_choice_among_many_shows_the_best_of_each_rank():
    choice = results()["RankChoice"]
    assert len(choice.table) > 12
    shown = [line.split() for line in repr(choice).splitlines() if line.strip()[:1].isdigit()]
    assert [int(line[0]) for line in shown] == [0, 1, 2]
    frame = choice.to_frame()
    for line, loss in zip(shown, frame.loss.groupby("rank").min(), strict=True):
        assert f"{loss:.7g}" in line
    assert "<- chosen" in repr(choice)
    assert list(frame.index[frame.chosen]) == [choice.rank]
    assert len(choice.summary().splitlines()) == len(choice.table) + 1


def test_long_labels_are_cut_in_a_text_and_whole_in_a_frame():
    name = "x" * 100
    x = counts().assign_coords(film=[name, *FILMS[1:]])
    found = fit(x, 1).top("film", {"user": 3}, 40)
    assert max(map(len, repr(found).splitlines())) < 70
    assert name in found.to_frame().index


def test_texts_and_pages_need_no_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    for result in results().values():
        assert repr(result)
        assert result._repr_html_()
    with pytest.raises(gcp.ParameterError, match=r'pip install "gcp-tensor\[tables\]"'):
        results()["Deviance"].to_frame()


def test_a_summary_says_what_the_components_are():
    r = fit(counts(), 2, loss="poisson")
    text, frame = str(r.summary()), r.summary().to_frame()
    assert "poisson" in text.lower()
    assert "5 user x 32 film" in text
    films = frame[frame["mode"] == "film"]["largest entries"].iloc[0]
    assert films.startswith(FILMS[np.argmax(r.factors[1][:, 0])])
    assert max(map(len, text.splitlines())) < 120
    assert repr(r) != text
    assert r._repr_html_() == r.summary()._repr_html_()
    many = fit(np.random.default_rng(0).random((30, 40)), 25)
    assert len(str(many.summary()).splitlines()) < 40
    assert "15 lightest components are not shown" in str(many.summary())
    effects = fit(counts(), 0, main_effects=True)
    assert "intercept" in str(effects.summary())


@pytest.mark.parametrize("kind", ["dense", "sparse", "observed", "in parts"])
def test_tensors_have_a_part_of_a_page(kind):
    x = counts()
    labels = gcp.ModeLabels(["user", "film"], [USERS, FILMS])
    cells = np.argwhere(x.values)
    listed = (cells, x.values[tuple(cells.T)], x.shape)
    tensor = {
        "dense": lambda: gcp.DenseTensor(x.values, labels=labels),
        "sparse": lambda: gcp.SparseTensor(*listed, labels=labels),
        "observed": lambda: gcp.ObservedTensor(*listed, labels=labels),
        "in parts": lambda: gcp.partition(x, 2),
    }[kind]()
    parsed = Cells(tensor._repr_html_())
    assert parsed.open == []
    assert {"user", "film", "32", repr(tensor)} <= set(parsed.texts)
    assert any("<b>Cube</b>" in text for text in parsed.texts)
