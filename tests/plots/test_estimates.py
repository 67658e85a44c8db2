"""Pictures of intervals, of starts by rank, of shares, of the core and of outliers draw what the analysis says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp import ParameterError, analysis, plots

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def titanic():
    data = gcp.datasets.load_titanic()
    return gcp.fit_gcp(data, 2, loss="poisson", random_state=0), data


@pytest.fixture(scope="module")
def errors(titanic):
    return analysis.standard_errors(*titanic)


def segments(ax):
    return np.array([path.vertices[:, 0] for path in ax.collections[0].get_paths()])


def test_forest_of_a_mode(titanic, errors):
    ax = plots.plot_forest(titanic[0], errors, "class", level=0.5)
    low, high = errors.interval(0.5)[1][0]
    assert_allclose(segments(ax), np.column_stack([low.ravel(), high.ravel()]))
    assert_allclose(ax.collections[1].get_offsets()[:, 0], titanic[0].factors[0].ravel())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1st", "2nd", "3rd", "Crew"]
    assert ax.yaxis_inverted()  # the first position on top
    one = plots.plot_forest(titanic[0], errors, "class", components=[1])
    assert_allclose(one.collections[1].get_offsets()[:, 0], titanic[0].factors[0][:, 1])


def test_forest_of_weights(titanic, errors):
    ax = plots.plot_forest(titanic[0], errors)
    assert_allclose(segments(ax), np.column_stack(errors.interval()[0]))
    assert_allclose(ax.collections[1].get_offsets()[:, 0], titanic[0].weights)


def test_forest_of_many_positions_has_the_largest(rng):
    x = rng.poisson(rng.gamma(1.0, 20.0, (90, 1)) * np.ones((90, 8))).astype(float)
    result = gcp.fit_gcp(x, 1, loss="poisson", random_state=0)
    ax = plots.plot_forest(result, analysis.standard_errors(result, x), 0)
    largest = np.sort(np.argsort(-result.factors[0][:, 0])[:40])
    assert [int(label.get_text()) for label in ax.get_yticklabels()] == largest.tolist()


@pytest.fixture(scope="module")
def starts(titanic):
    options = {"loss": "poisson", "random_state": 0, "n_iter_max": 15}
    return [analysis.start_stability(titanic[1], rank, 3, **options) for rank in (3, 1)]


def test_ranks(starts):
    ax = plots.plot_objective_by_rank(starts)
    points = ax.lines[0].get_xydata()
    left = [1 - r.training_deviance_explained for own in (starts[1], starts[0]) for r in own.results]
    assert_allclose(points, np.column_stack([[1, 1, 1, 3, 3, 3], left]))
    assert_allclose(ax.lines[1].get_xydata(), [[1, min(left[:3])], [3, min(left[3:])]])
    ax = plots.plot_similarity_by_rank(starts)
    scores = np.concatenate([starts[1].scores[0, 1:], starts[0].scores[0, 1:]])
    assert_allclose(ax.lines[0].get_ydata(), scores)
    assert_allclose(ax.lines[1].get_ydata(), [scores[:2].mean(), scores[2:].mean()])
    with pytest.raises(ParameterError, match=r"found ranks \[3, 3\]"):
        plots.plot_similarity_by_rank([starts[0]] * 2)
    with pytest.raises(ParameterError, match="empty"):
        plots.plot_objective_by_rank([])


def test_shares_and_outliers(titanic):
    shares = analysis.component_shares(*titanic)
    ax = plots.plot_shares(shares)
    heights = [bar.get_height() for bar in ax.patches]
    assert_allclose(heights, [*shares.alone, *shares.unique])
    assert f"{shares.explained:.1%}" in ax.get_label()
    assert ax.get_xticks().tolist() == [0, 1]
    alone = plots.plot_shares(analysis.ComponentShares(0.5, np.array([0.5]), np.array([0.5])))
    assert alone.get_xticks().tolist() == [0]
    found = analysis.outliers(*titanic, "class")
    ax = plots.plot_outliers(found)
    assert_allclose(ax.lines[0].get_xydata(), np.column_stack([found.leverage, found.deviance]))


def test_the_core_has_its_entries_in_place(rng):
    core = rng.normal(size=(3, 3, 3))
    ax = plots.plot_core(core)
    image = ax.images[0].get_array()
    assert image.shape == (3, 9)
    assert image[1, 3 * 2 + 0] == core[1, 2, 0]
    frames = {(patch.get_x() + 0.5, patch.get_y() + 0.5) for patch in ax.patches}
    assert all(image[int(y), int(x)] == core[k, k, k] for k, (x, y) in enumerate(sorted(frames)))
    with pytest.raises(ParameterError, match=r"found shape \(2, 3\)"):
        plots.plot_core(np.ones((2, 3)))
