"""The structure of the picture of all components; what it looks like is for eyes to judge."""

import itertools
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

import gcp
from gcp.analysis.plots import plot_components
from gcp.analysis.plots.axis import ModeAxis
from gcp.analysis.plots.component_grid import apart

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def titanic():
    return gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss="poisson", random_state=0)


def model(shape, rank, names=None, coords=None, signed=False):
    """A result without a fit: a tiny one with its factors and labels replaced."""
    base = gcp.fit_gcp(np.ones(3), 1, n_iter_max=0, random_state=0)
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((n, rank)) if signed else rng.random((n, rank)) for n in shape]
    labels = gcp.ModeLabels(names or [f"mode_{n}" for n in range(len(shape))], coords or [None] * len(shape))
    factors = [a / np.linalg.norm(a, axis=0) for a in factors]
    weights = np.sort(rng.random(rank))[::-1]
    return replace(base, weights=weights, factors=factors, labels=labels, fitted_factors=[], row_bounds=[])


def draw(result, **options):
    """The axes, laid out and rendered, with every warning an error."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = plot_components(result, **options)
        FigureCanvasAgg(axes[0, 0].figure.canvas.figure).draw()
    return axes


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_one_row_per_component_one_column_per_mode(titanic):
    axes = draw(titanic)
    assert axes.shape == (2, 4)
    assert [ax.get_title() for ax in axes[0]] == ["class", "sex", "age", "survived"]
    assert [ax.get_title() for ax in axes[1]] == [""] * 4
    for k, ax in enumerate(axes[:, 0]):
        assert ax.get_ylabel().startswith(f"component {k}\nweight ")
    assert [label.get_text() for label in axes[1, 0].get_xticklabels()] == ["1st", "2nd", "3rd", "Crew"]


def test_bars_have_the_heights_of_the_factors(titanic):
    axes = draw(titanic)
    for k in range(2):
        for n in range(4):
            heights = [patch.get_height() for patch in axes[k, n].patches]
            np.testing.assert_allclose(heights, titanic.factors[n][:, k])


def test_columns_share_a_scale_with_zero():
    axes = draw(model((5, 50), 3, signed=True))
    for column in axes.T:
        assert len({ax.get_ylim() for ax in column}) == 1
        low, high = column[0].get_ylim()
        assert low < 0 < high
    low, _ = draw(model((5,), 2))[0, 0].get_ylim()
    assert low == 0


def test_only_the_lowest_row_has_tick_labels(titanic):
    axes = draw(titanic)
    assert not any(ax.xaxis.get_major_ticks()[0].label1.get_visible() for ax in axes[0])
    assert all(ax.xaxis.get_major_ticks()[0].label1.get_visible() for ax in axes[1])


def test_chosen_components_keep_their_numbers():
    result = model((4, 3), 5)
    axes = draw(result, components=[3, 0])
    assert [ax.get_ylabel().split("\n")[0] for ax in axes[:, 0]] == ["component 3", "component 0"]
    np.testing.assert_allclose([bar.get_height() for bar in axes[0, 1].patches], result.factors[1][:, 3])


@pytest.mark.parametrize("components", [[], [5], [-1], [True], ["0"], [0.0]])
def test_bad_components(components):
    with pytest.raises(gcp.ParameterError, match="component"):
        plot_components(model((4, 3), 5), components=components)


def test_draws_into_a_given_figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5))
    assert draw(model((4, 3), 2), figure=figure)[0, 0].figure is figure
    assert tuple(figure.get_size_inches()) == (9, 5)
    assert len(figure.axes) == 4


def test_many_categories_name_the_largest():
    result = model((105,), 2, coords=[np.array([f"item{i}" for i in range(105)])])
    for k, ax in enumerate(draw(result)[:, 0]):
        largest = np.argsort(-result.factors[0][:, k])[:5]
        assert set(texts(ax)) == {f"item{i}" for i in largest}
        assert len(ax.patches) == 105


def test_names_do_not_overlap():
    values = np.full((300, 1), 0.01)
    values[140:145] = 1.0  # neighbours
    coords = [np.array([f"a rather long name {i}" for i in range(300)])]
    (ax,) = draw(replace(model((300,), 1, coords=coords), factors=[values])).flat
    renderer = ax.figure.canvas.get_renderer()
    boxes = sorted((text.get_window_extent(renderer) for text in ax.texts), key=lambda box: box.x0)
    assert len(boxes) >= 2
    assert all(left.x1 <= right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[0].x0 >= ax.bbox.x0 - 1
    assert boxes[-1].x1 <= ax.bbox.x1 + 1


@pytest.mark.parametrize(
    ("size", "length"), [(1, 60), (2, 8), (2, 60), (40, 1), (40, 8), (40, 60), (41, 1), (250, 60)]
)
def test_tick_labels_do_not_overlap(size, length):
    names = np.array([f"{i:03d}".ljust(length, "m")[-max(length, 3) :] for i in range(size)])
    axes = draw(model((size, 2), 2, coords=[names, None], signed=True))
    renderer = axes[0, 0].figure.canvas.get_renderer()
    labels = [label for label in axes[-1, 0].get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent(renderer) for label in labels]
    assert len(boxes) == (size if size <= 40 else 0)
    assert all(left.x1 <= right.x0 + 0.5 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize(
    ("coord", "is_ordered"),
    [
        (None, False),  # nobody says that they are in order
        (np.arange(1901, 1950), True),
        (np.linspace(300.0, 700.0, 61), True),
        (np.array([10.0, 5.0, 1.0]), True),
        (np.array(["2021-04-07", "2021-04-08"]), True),
        (np.array(["2021-04", "2021-05"]), True),
        (np.array(["2021-04-07 12:00", "2021-04-08T13:30"]), True),
        (np.arange("2021-01", "2021-09", dtype="datetime64[D]"), True),
        (np.array(["Jan", "Feb", "Mar"]), False),
        (np.array(["2021-13", "2021-14"]), False),
        (np.array([1, 4, 6, 9, 10, 14, 25]), False),  # station numbers
        (np.array([3, 1, 2]), False),
        (np.array([1.0, np.nan]), False),
        (np.array([True, False]), False),
    ],
)
def test_which_modes_are_ordered(coord, is_ordered):
    size = 6 if coord is None else len(coord)
    axis = ModeAxis.of(gcp.ModeLabels(["mode"], [coord]), 0, size)
    assert (axis.kind == "line") == is_ordered
    axes = draw(model((size,), 2, coords=[coord]))
    assert bool(axes[0, 0].lines) == is_ordered


def test_dates_have_date_ticks():
    days = np.arange("2021-04-07", "2021-11-24", dtype="datetime64[D]")
    ax = draw(model((len(days),), 1, coords=[days]))[0, 0]
    labels = [label.get_text() for label in ax.get_xticklabels()]
    assert "Jul" in labels
    assert ax.xaxis.get_offset_text().get_text() == "2021"


@pytest.mark.parametrize(("shape", "rank"), [((50,), 1), ((3, 4), 6), ((1, 1, 1), 1), ((2,) * 6, 2)])
def test_any_shape_and_rank(shape, rank):
    assert draw(model(shape, rank, signed=True)).shape == (rank, len(shape))


def test_texts_are_not_mathematics():
    coords = [np.array(["$0-$10", "$10", "a_b^c"])]
    axes = draw(model((3,), 1, names=["price ($, US$)"], coords=coords))
    assert axes[0, 0].get_title() == r"price (\$, US\$)"


def test_a_component_that_was_switched_off():
    result = model((60,), 2, coords=[np.array([f"item{i}" for i in range(60)])])
    factors = [result.factors[0] * [1, 0]]
    axes = draw(replace(result, factors=factors, weights=np.array([1.0, 0.0])))
    assert texts(axes[1, 0]) == []


def test_no_global_state():
    """Importing gcp chooses no backend; drawing on a given figure needs no pyplot; settings stay as they are."""
    code = (  # to read rcParams["backend"] would import pyplot
        "import matplotlib, gcp, sys; from matplotlib.figure import Figure; "
        "settings = lambda: {k: matplotlib.rcParams[k] for k in matplotlib.rcParams if k != 'backend'}; "
        "before = settings(); "
        "result = gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss='poisson', random_state=0); "
        "gcp.plots.plot_components(result, figure=Figure())[0, 0].figure.canvas.draw(); "
        "assert 'matplotlib.pyplot' not in sys.modules; "
        "gcp.plots.plot_components(result)[0, 0].figure.canvas.draw(); assert settings() == before"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_without_matplotlib(titanic, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gcp.ParameterError, match=r"gcp-tensor\[plot\]"):
        plot_components(titanic)


def test_places_are_nearest_andapart():
    widths = np.array([2.0, 2.0, 4.0])
    np.testing.assert_allclose(apart(np.array([1.0, 5.0, 11.0]), widths, 0.0, 20.0), [1, 5, 11])
    np.testing.assert_allclose(apart(np.array([5.0, 5.0, 15.0]), widths, 0.0, 20.0), [4, 6, 15])
    np.testing.assert_allclose(apart(np.array([0.0, 0.0, 20.0]), widths, 0.0, 20.0), [1, 3, 18])


def test_a_model_without_components_is_refused():
    result = gcp.fit_gcp(np.arange(12.0).reshape(4, 3), 0, main_effects=True, random_state=0)
    with pytest.raises(gcp.ParameterError, match="no components to draw"):
        plot_components(result)


# --- what is asked of the picture --------------------------------------------------------------------------


def test_modes_are_drawn_as_asked():
    result = model((4, 30, 6), 2, names=["neuron", "time", "trial"], coords=[None, np.arange(30), None])
    axes = draw(result, kinds={"neuron": "dot", 1: "bar", "trial": "line"})
    for k, (neuron, time, trial) in enumerate(axes):
        points = neuron.collections[0].get_offsets()
        np.testing.assert_allclose(points, np.column_stack([np.arange(4), result.factors[0][:, k]]))
        np.testing.assert_allclose([bar.get_height() for bar in time.patches], result.factors[1][:, k])
        np.testing.assert_allclose(trial.lines[0].get_ydata(), result.factors[2][:, k])
    assert draw(result, modes=["trial", 0]).shape == (2, 2)
    with pytest.raises(
        gcp.ParameterError, match=r"kinds\['time'\] must be one of bar, dot, line: found 'pie'"
    ):
        plot_components(result, kinds={"time": "pie"})
    with pytest.raises(gcp.ParameterError, match="Unknown mode 'day'"):
        plot_components(result, kinds={"day": "bar"})


def test_dates_may_be_bars_with_the_width_of_a_day():
    days = np.arange("2021-04-07", "2021-05-07", dtype="datetime64[D]").astype("datetime64[ns]")
    ax = draw(model((30,), 1, coords=[days]), kinds={0: "bar"})[0, 0]
    assert {round(bar.get_width(), 9) for bar in ax.patches} == {0.8}


@pytest.mark.parametrize("kind", ["bar", "dot", "line"])
def test_groups_have_colours_and_a_legend(kind):
    from matplotlib.colors import to_hex

    result = model((6, 3), 2, names=["trial", "b"])
    axes = draw(result, hue={"trial": list("xyxyxy")}, kinds={"trial": kind})
    ax = axes[0, 0]
    shown = [bar.get_facecolor() for bar in ax.patches] or list(ax.collections[0].get_facecolors())
    names = [to_hex(color) for color in shown]
    assert names[::2] == [names[0]] * 3
    assert names[1::2] == [names[1]] * 3
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["x", "y"]
    assert [to_hex(handle.get_color()) for handle in legend.get_lines()] == names[:2]


def test_groups_that_are_numbers_are_in_their_order():
    axes = draw(model((4, 3), 1, names=["trial", "b"]), hue={"trial": [10, 9, 2, 10]})
    (legend,) = axes[0, 0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["2", "9", "10"]
    colors = [bar.get_facecolor() for bar in axes[0, 0].patches]
    assert colors[0] == colors[3]
    assert len(set(colors)) == 3


def test_groups_are_matched_by_label():
    pd = pytest.importorskip("pandas")
    result = model((4, 3), 1, names=["trial", "b"], coords=[np.array(["t1", "t2", "t3", "t4"]), None])
    groups = pd.Series(["odd", "even", "odd", "even"], index=["t3", "t2", "t1", "t4"])
    bars = draw(result, hue={"trial": groups})[0, 0].patches
    colors = [bar.get_facecolor() for bar in bars]
    assert colors[0] == colors[2] != colors[1] == colors[3]
    with pytest.raises(gcp.ParameterError, match="'t4' of mode 'trial' is in the model, but not in hue"):
        plot_components(result, hue={"trial": groups.rename({"t4": "t9"})})


@pytest.mark.parametrize("grouped", [["b", "c"], ["c", "a"], ["c", "b", "a"]])
def test_legends_stand_in_the_order_of_the_modes(grouped):
    result = model((4, 4, 4), 1, names=["a", "b", "c"])
    figure = draw(result, hue={name: list("xyxy") for name in grouped})[0, 0].figure
    figure.canvas.draw()
    left_to_right = sorted(figure.legends, key=lambda legend: legend.get_window_extent().x0)
    assert [legend.get_title().get_text() for legend in left_to_right] == sorted(grouped)


@pytest.mark.parametrize(
    ("hue", "message"),
    [
        ({"trial": list("abc")}, "one label for each of 4 positions"),
        ({"b": np.arange(9)}, "9 different labels"),
        (["a"], "dict by mode"),
        (dict.fromkeys([0, 1, "trial", "b"], "abcd"), "at most 3 modes"),
    ],
)
def test_bad_groups(hue, message):
    with pytest.raises(gcp.ParameterError, match=message):
        plot_components(model((4, 9), 1, names=["trial", "b"]), hue=hue)


@pytest.mark.parametrize("kind", ["bar", "line"])
@pytest.mark.parametrize("estimate", ["standard_errors", "bootstrap"])
def test_error_bars_are_the_intervals(titanic, estimate, kind):
    data = gcp.datasets.load_titanic()
    more = {"n": 3, "random_state": 0, "n_iter_max": 20} if estimate == "bootstrap" else {}
    errors = getattr(gcp.analysis, estimate)(titanic, data, **more)
    axes = draw(titanic, errors=errors, level=0.8, kinds={"class": kind})
    weights, factors = errors.interval(0.8)
    for k in range(2):
        ends = np.column_stack([factors[0][0][:, k], factors[0][1][:, k]])
        if kind == "bar":
            drawn = [path.vertices[:, 1] for path in axes[k, 0].collections[-1].get_paths()]
            np.testing.assert_allclose(drawn, ends)
        else:
            band = axes[k, 0].collections[-1].get_paths()[0].vertices
            assert set(np.round(ends.ravel(), 12)) <= set(np.round(band[:, 1], 12))
        assert f"({weights[0][k]:.4g} to {weights[1][k]:.4g})" in axes[k, 0].get_ylabel()
        low, high = axes[k, 0].get_ylim()
        assert (low <= ends).all()
        assert (ends <= high).all()


def test_errors_of_another_model(titanic):
    errors = gcp.analysis.standard_errors(titanic, gcp.datasets.load_titanic())
    with pytest.raises(gcp.ParameterError, match="those of another model"):
        plot_components(model((4, 3), 2), errors=errors)
    with pytest.raises(gcp.ParameterError, match="standard_errors or"):
        plot_components(titanic, errors=0.1)


@pytest.mark.parametrize("estimate", ["standard_errors", "bootstrap"])
def test_errors_of_components_in_another_order(titanic, estimate):
    data = gcp.datasets.load_titanic()
    more = {"n": 3, "random_state": 0, "n_iter_max": 20} if estimate == "bootstrap" else {}
    errors = getattr(gcp.analysis, estimate)(titanic, data, **more)
    turned = gcp.analysis.align(titanic, (titanic.weights[::-1], [a[:, ::-1] for a in titanic.factors]))
    assert np.array_equal(turned.weights, titanic.weights[::-1])
    for draw_errors in (plot_components, gcp.plots.plot_forest):
        with pytest.raises(gcp.ParameterError, match="in another order"):
            draw_errors(turned, errors=errors)


def test_overlay_is_matched_whatever_order_signs_and_labels():
    names = np.array(["a", "b", "c", "d", "e"])
    result = model((5, 7, 4), 3, names=["who", "when", "c"], coords=[names, np.arange(7), None], signed=True)
    order, moved = [2, 0, 1], [3, 1, 0, 4, 2]
    factors = [a[:, order].copy() for a in result.factors]
    factors[0], factors[1] = -factors[0][moved], -factors[1]
    labels = gcp.ModeLabels(result.labels.names, [names[moved], np.arange(7), None])
    other = replace(result, factors=factors, weights=result.weights[order], labels=labels)
    axes = draw(result, overlay=[other])
    for k in range(3):
        np.testing.assert_allclose(axes[k, 1].lines[-1].get_ydata(), result.factors[1][:, k])
        dashes = [path.vertices[0, 1] for path in axes[k, 0].collections[-1].get_paths()]
        np.testing.assert_allclose(dashes, result.factors[0][:, k])


def test_an_overlay_of_another_rank_lacks_partners():
    result = model((5, 7), 3)
    other = replace(result, factors=[a[:, [1]] for a in result.factors], weights=result.weights[[1]])
    axes = draw(result, overlay=[other], kinds={0: "line"})
    drawn = [np.isfinite(axes[k, 0].lines[1].get_ydata()).all() for k in range(3)]
    assert drawn == [False, True, False]


def test_draws_into_a_subfigure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4))
    left, _ = figure.subfigures(1, 2)
    axes = draw(model((4, 3), 2), figure=left, hue={0: list("aabb")})
    assert all(ax.figure is left for ax in axes.flat)
    assert len(left.legends) == 1


def test_units_stand_beside_names_of_modes():
    labels = gcp.ModeLabels(["sample", "emission"], [None, [300.0, 310.0, 320.0]], [None, "nm"], "counts/s")
    rng = np.random.default_rng(0)
    data = gcp.DenseTensor(rng.random((4, 3)), labels=labels)
    result = gcp.fit_gcp(data, 1, random_state=0)
    axes = gcp.plots.plot_components(result)
    assert [ax.get_title() for ax in axes[0]] == ["sample", "emission (nm)"]
    (means,) = gcp.plots.plot_observed(result, data, modes=[1])
    assert means.get_xlabel() == "expected mean (counts/s)"
