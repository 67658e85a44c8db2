"""Two models side by side: partners stand together, with their own numbers and entries."""

from dataclasses import replace

import numpy as np
import pytest

import gcp
from gcp.analysis import factor_match_score

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def models():
    data = gcp.datasets.load_titanic()
    return gcp.fit_gcp(data, 2, loss="poisson", random_state=0), gcp.fit_gcp(data, 3, random_state=0)


def test_pairs(models):
    first, second = models
    axes = gcp.plots.plot_comparison(first, second, names=("poisson", "$gaussian$"))
    match = factor_match_score(first, second, weights=False)
    partner = dict(zip(match.first, match.second, strict=True))
    similarity = dict(zip(match.first, match.similarities, strict=True))
    assert axes.shape == (2, 4)
    for k, row in enumerate(axes):
        label = row[0].get_ylabel()
        assert label.startswith(f"components {k} and {partner[k]}\n")
        assert f"similarity {similarity[k]:.3f}" in label
        for n, ax in enumerate(row):
            heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, -1)
            np.testing.assert_allclose(heights[0], first.factors[n][:, k])
            np.testing.assert_allclose(np.abs(heights[1]), np.abs(second.factors[n][:, partner[k]]))
    (legend,) = axes[0, 0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["poisson", r"\$gaussian\$"]


def test_positions_are_matched_by_name(models):
    first, _ = models
    names = list(first.labels.coords)
    names[0] = names[0][::-1]
    turned = replace(
        first,
        factors=[first.factors[0][::-1], *first.factors[1:]],
        labels=gcp.ModeLabels(first.labels.names, names),
    )
    axes = gcp.plots.plot_comparison(first, turned)
    for ax in axes.flat:
        heights = np.array([bar.get_height() for bar in ax.patches]).reshape(2, -1)
        np.testing.assert_allclose(heights[0], heights[1])


def test_bad_input(models):
    first, second = models
    with pytest.raises(gcp.ParameterError, match="two texts"):
        gcp.plots.plot_comparison(first, second, names=("a",))
    other = gcp.fit_gcp(np.ones((3, 2)), 1, random_state=0)
    with pytest.raises(gcp.ParameterError, match=r"shapes|modes"):
        gcp.plots.plot_comparison(first, other)
    effects = gcp.fit_gcp(np.arange(6.0).reshape(3, 2), 0, main_effects=True, random_state=0)
    with pytest.raises(gcp.ParameterError, match="no components to compare"):
        gcp.plots.plot_comparison(effects, effects)
