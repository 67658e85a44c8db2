"""Pictures of starts and of surprises: what they draw, at which places, with which names."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import NegativeBinomial, ParameterError, SparseTensor, fit_gcp
from gcp.analysis import anomalies, start_stability
from gcp.analysis.plots import plot_convergence, plot_observed, plot_similarity, plot_surprises
from gcp.cli import main


@pytest.fixture(scope="module")
def flights():
    data = gcp.datasets.load_nyc_flights()
    return fit_gcp(data, 3, loss="poisson", n_starts=4, tol=1e-4, random_state=0), data


def test_every_start_has_a_line_that_falls_to_its_objective(flights):
    result, _ = flights
    ax = plot_convergence(result)
    curves = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert len(curves) == 4
    best = min(start["objective"] for start in result.starts)
    ends = sorted(max((s["objective"] - best) / (result.null_objective - best), 1e-7) for s in result.starts)
    assert_allclose(sorted(line.get_ydata()[-1] for line in curves), ends, rtol=1e-6)
    for line in curves:
        assert (np.diff(line.get_ydata()) <= 1e-12).all()
    assert ax.get_yscale() == "log"
    assert "4 starts" in ax.get_title()


def test_starts_under_other_losses_are_not_compared(tmp_path, monkeypatch, capsys):
    """Of an estimated r: a start that is not kept has a lower objective, under another r."""
    rng = np.random.default_rng(0)
    x = rng.negative_binomial(2, 2 / (2 + 3 * rng.uniform(0.1, 3, (8, 7, 6)))).astype(float)
    result = fit_gcp(x, 2, loss=NegativeBinomial(r="estimate"), n_starts=3, random_state=1)
    (kept,) = [start for start in result.starts if start["objective"] == result.objective]
    assert min(start["objective"] for start in result.starts) < kept["objective"]
    ax = plot_convergence(result)
    (curve,) = [line for line in ax.lines if len(line.get_xdata()) > 1]
    assert_allclose(curve.get_ydata()[-1], 1e-7)
    assert ax.get_title() == "Convergence"
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x)
    line = "fit x.npy --rank 2 --loss negative-binomial --param r=estimate --starts 3 --seed 1"
    assert main(line.split()) == 0
    assert f"start {kept['start'] + 1} is kept" in capsys.readouterr().out


def test_traces_are_thinned_but_whole(flights):
    for start in flights[0].starts:
        trace = start["trace"]
        assert len(trace["seconds"]) == len(trace["objective"]) <= 100
        assert_allclose(trace["objective"][-1], start["objective"], rtol=1e-12)
        assert trace["seconds"][-1] == start["seconds"]


def test_observed_means_are_those_of_the_data(flights):
    result, data = flights
    axes = plot_observed(result, data)
    assert [ax.get_title() for ax in axes] == list(data.labels.names)
    mean = result.predict()
    for n, ax in enumerate(axes):
        others = tuple(k for k in range(4) if k != n)
        points = ax.lines[1].get_xydata()
        assert_allclose(points[:, 0], mean.mean(axis=others), rtol=1e-10)
        assert_allclose(points[:, 1], data.values.mean(axis=others), rtol=1e-10)
    (alone,) = plot_observed(result, data, ["hour"])
    assert_allclose(alone.lines[1].get_xydata(), axes[3].lines[1].get_xydata())


def test_positions_that_are_off_are_named(rng):
    labels = gcp.ModeLabels(["a", "b", "c"], [[f"p{k}$" for k in range(10)], None, None])
    x = rng.poisson(20.0, (10, 8, 6)).astype(float)
    result = fit_gcp(gcp.DenseTensor(x, labels=labels), 1, loss="poisson", random_state=0)
    data = x.copy()
    data[3] += 30
    ax = plot_observed(result, data, [0])[0]
    assert [text.get_text() for text in ax.texts] == [r"p3\$"]
    ax.figure.draw_without_rendering()


def test_zeros_of_sparse_data_count(rng):
    x = rng.poisson(0.3, (10, 8, 6)).astype(float)
    sparse = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    result = fit_gcp(sparse, 2, loss="poisson", random_state=0)
    pairs = zip(plot_observed(result, sparse), plot_observed(result, x), strict=True)
    for a, b in pairs:
        assert_allclose(a.lines[1].get_xydata(), b.lines[1].get_xydata(), rtol=1e-9)


def test_the_map_has_every_surprise_in_its_place(flights):
    result, data = flights
    found = anomalies(result, data, 60)
    ax = plot_surprises(result, found, ("month", "hour"))
    points = np.concatenate([collection.get_offsets() for collection in ax.collections])
    expected = np.column_stack([found.labels[2], found.labels[3]])
    assert_allclose(points[np.lexsort(points.T)], expected[np.lexsort(expected.T)])
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["more than expected", "less than expected"][: len(ax.collections)]
    assert plot_surprises(result, found).get_xlabel() == "destination"


def test_similarity_is_the_matrix(rng):
    data = gcp.datasets.load_titanic()
    found = start_stability(data, 2, 4, loss="poisson", random_state=0)
    ax = plot_similarity(found)
    np.testing.assert_array_equal(ax.images[0].get_array(), found.scores)
    assert len(ax.texts) == 16


def test_bad_input(flights, rng):
    result, data = flights
    with pytest.raises(ParameterError, match="Unknown mode"):
        plot_observed(result, data, ["year"])
    found = anomalies(result, data, 5)
    with pytest.raises(ParameterError, match="two different modes"):
        plot_surprises(result, found, ("hour", 3))
    vector = fit_gcp(rng.poisson(3.0, 9).astype(float), 1, loss="poisson", random_state=0)
    with pytest.raises(ParameterError, match="found a model of one"):
        plot_surprises(vector, anomalies(vector, np.ones(9), 2))
