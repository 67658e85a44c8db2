"""What all pictures have in common: what they return, where they draw, and that they say in words what they show."""

import inspect
import itertools
import re
import sys

import good_calls
import numpy as np
import pytest

import gcp
from gcp.analysis.plots.frame import power_text, words_of

pyplot = pytest.importorskip("matplotlib.pyplot")
from matplotlib.axes import Axes  # noqa: E402

NAMES = [f"plots.{name}" for name in gcp.plots.__all__]


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    return good_calls.good_calls(tmp_path_factory.mktemp("calls"))


@pytest.mark.parametrize("name", [*NAMES, "RankChoice.plot"])
def test_axes_are_returned_and_given_ones_are_used(calls, name):
    function, arguments = calls[name]
    place = "ax" if "ax" in inspect.signature(function).parameters else "figure"
    figure = pyplot.figure()
    given = figure.subplots() if place == "ax" else figure
    found = function(**arguments | {place: given})
    assert pyplot.get_fignums() == [figure.number]  # no other one is left open
    assert found is given if place == "ax" else all(ax.figure is figure for ax in found.flat)
    pyplot.close("all")

    found = function(**arguments | {place: None})
    axes = [found] if place == "ax" else list(found.flat)
    assert isinstance(found, Axes if place == "ax" else np.ndarray)
    assert all(isinstance(ax, Axes) for ax in axes)
    assert [pyplot.figure(n) for n in pyplot.get_fignums()] == [axes[0].figure]
    assert re.search(r"\d", words_of(axes[0].figure))


@pytest.mark.parametrize("name", NAMES)
def test_no_two_texts_of_an_axis_overlap(calls, name):
    function, arguments = calls[name]
    place = "ax" if "ax" in inspect.signature(function).parameters else "figure"
    found = function(**arguments | {place: None})
    figure = (found if place == "ax" else found.flat[0]).figure
    figure.draw_without_rendering()
    for ax in figure.axes:
        check_texts(ax)


@pytest.mark.parametrize("name", NAMES)
def test_matplotlib_is_asked_for(calls, name, monkeypatch):
    function, arguments = calls[name]
    place = "ax" if "ax" in inspect.signature(function).parameters else "figure"
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(gcp.ParameterError, match=r"gcp-tensor\[plot\]"):
        function(**arguments | {place: None})


def check_texts(ax):
    """Tick labels do not collide; title, names of axes, legend and texts keep off each other."""
    renderer = ax.figure.canvas.get_renderer()
    for axis, side in ((ax.xaxis, 0), (ax.yaxis, 1)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        labels = [tick.label1 for tick in ticks if tick.label1.get_text() and tick.label1.get_visible()]
        boxes = sorted((label.get_window_extent(renderer) for label in labels), key=lambda box: box.min[side])
        for one, other in itertools.pairwise(boxes):
            assert one.max[side] <= other.min[side] + 0.5
    others = [ax.title, ax.xaxis.label, ax.yaxis.label]
    others += [] if ax.get_legend() is None else ax.get_legend().get_texts()
    boxes = [text.get_window_extent(renderer) for text in others if text.get_text()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("spread", [1e-6, 1e-2, 1.0, 50.0])
def test_ticks_of_small_ranges_do_not_collide(scale, spread, rng):
    x = scale * (1 + spread * rng.random((6, 5, 4)))
    result = gcp.fit_gcp(x, 1, loss="gamma", random_state=0, n_iter_max=30)
    figure, axes = pyplot.subplots(1, 3, figsize=(7, 2.4), layout="constrained")
    gcp.plots.plot_calibration(result, x, 4, ax=axes[0])
    gcp.plots.plot_slices(result, x, 0, ax=axes[1])
    gcp.plots.plot_convergence(result, ax=axes[2])
    figure.draw_without_rendering()
    for ax in axes:
        check_texts(ax)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1e-7, "10⁻⁷"), (-1e-5, "-10⁻⁵"), (0.01, "0.01"), (1.0, "1"), (1e4, "10⁴"), (2e-5, "2e-05")],
)
def test_powers_are_text_not_mathematics(value, text):
    assert power_text(value) == text
