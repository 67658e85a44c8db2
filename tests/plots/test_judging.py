"""What the judging pictures show is what the functions return; they draw where they are told to."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import gcp
from gcp.analysis import binary_scores, calibration, plots, slice_deviance, start_stability


@pytest.fixture(scope="module")
def flights():
    data = gcp.datasets.load_nyc_flights()
    return gcp.fit_gcp(data, 2, loss="poisson", random_state=0, n_iter_max=20), data


@pytest.fixture(scope="module")
def links():
    data, _ = gcp.simulate((12, 10, 8), 2, "bernoulli-logit", random_state=0)
    return gcp.fit_gcp(data, 2, loss="bernoulli-logit", l2_reg=0.1, random_state=0), data


def lines(ax):
    return [line.get_xydata() for line in ax.lines]


def test_calibration(flights):
    ax = plots.plot_calibration(*flights)
    found = calibration(*flights)
    points = lines(ax)[1]
    np.testing.assert_allclose(points, np.column_stack([found.expected, found.observed]))
    ax.figure.savefig("/dev/null", format="png")


def test_roc(links):
    found = binary_scores(*links)
    ax = plots.plot_roc(*links)
    expected = np.column_stack([found.false_positive_rate, found.true_positive_rate])
    np.testing.assert_allclose(lines(ax)[1], expected)
    assert f"{found.auc:.3f}" in ax.texts[0].get_text()


def test_residuals_keep_both_tails(flights):
    points = lines(plots.plot_residuals(*flights))[1]
    assert len(points) <= 2000
    assert (np.diff(points[:, 0]) > 0).all()
    everything = np.sort(gcp.analysis.residuals(*flights, random_state=0).ravel())
    assert points[0, 1] == everything[0]
    assert points[-1, 1] == everything[-1]


@pytest.mark.parametrize("mode", ["origin", "destination", "month", 3])
def test_slices(mode, flights):
    ax = plots.plot_slices(*flights, mode)
    found = slice_deviance(*flights, mode)
    mean = found.deviance / found.weight
    if mode == "origin":
        heights = [bar.get_height() for bar in ax.patches[3:]]
    else:
        heights = lines(ax)[1][:, 1]
        mean = -np.sort(-mean) if mode == "destination" else mean
    np.testing.assert_allclose(heights, mean)


def test_starts():
    data, _ = gcp.simulate((8, 7, 6), 2, random_state=0)
    found = start_stability(data, 2, 4, random_state=0)
    ax = plots.plot_starts(found)
    np.testing.assert_allclose(lines(ax)[0][:, 1], found.scores[0, 1:])
    assert ax.get_xlim()[1] > 0.1  # percent: equal starts are equal, not 1e-7 percent apart


def test_given_axes_are_used(flights):
    first, second = Figure().subplots(2)
    assert plots.plot_calibration(*flights, ax=first) is first
    assert plots.plot_slices(*flights, 0, ax=second) is second


def test_an_exposure_is_given_beside_the_data(rng):
    hours = rng.uniform(1, 9, (30, 5))
    counts = rng.poisson(hours)
    result = gcp.fit_gcp(counts, 1, loss="poisson", exposure=hours, random_state=0)
    drawn = plots.plot_slices(result, counts, 1, exposure=hours)
    assert len(drawn.patches) or len(drawn.lines) or len(drawn.collections)
    plots.plot_calibration(result, counts, exposure=hours)
    plots.plot_residuals(result, counts, exposure=hours)
    with pytest.raises(gcp.DataError, match="give exposure"):
        plots.plot_slices(result, counts, 1)
