"""Names beside points lie neither on each other nor outside."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import gcp
from gcp.analysis.plots.naming import name_points


def boxes_of(ax):
    """Where the words stand; an annotation's own extent has its leader in it."""
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return [Text.get_window_extent(text, canvas.get_renderer()) for text in ax.texts]


@pytest.mark.parametrize("size", [(3.0, 2.6), (6.0, 4.0)])
@pytest.mark.parametrize("spread", [0.0, 0.01, 0.3])
def test_names_keep_off_each_other(size, spread, rng):
    ax = Figure(figsize=size, layout="constrained").subplots()
    x, y = 0.5 + spread * rng.standard_normal((2, 40))
    ax.plot(x, y, "o")
    ax.set(xlabel="x", ylabel="y", title="t")
    name_points(ax, x, y, range(5), [f"a name of a point {k}" for k in range(5)])
    boxes = boxes_of(ax)
    assert len(boxes) >= 3
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert min(box.x0 for box in boxes) >= ax.bbox.x0 - 1
    assert max(box.x1 for box in boxes) <= ax.bbox.x1 + 1


def test_positions_that_are_off_are_named(rng):
    names = [f"a station with a long name, number {k}" for k in range(30)]
    labels = gcp.ModeLabels(["station", "b", "c"], [names, None, None])
    x = rng.poisson(20.0, (30, 8, 6)).astype(float)
    result = gcp.fit_gcp(gcp.DenseTensor(x, labels=labels), 1, loss="poisson", random_state=0)
    x[10:15] += 15  # close together
    (ax,) = gcp.plots.plot_observed(result, x, ["station"])
    boxes = boxes_of(ax)
    assert len(boxes) >= 3
    assert {text.get_text()[-2:] for text in ax.texts} <= {str(k) for k in range(10, 15)}
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
