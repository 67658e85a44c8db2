"""Characters that the default font lacks come from another that has them; the font is one that the test makes."""

import warnings

import numpy as np
import pytest

import gcp
from gcp.analysis.plots import fonts

pytest.importorskip("matplotlib")
builder = pytest.importorskip("fontTools.fontBuilder")
NOWHERE = "\ue9a7\ue9a8"  # of private use


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A font with those characters, among those that are installed, but unknown to matplotlib."""
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((500, 0), (500, 500), (0, 500)):
        pen.lineTo(point)
    pen.closePath()
    names = [".notdef", "one", "two"]
    font = builder.FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap({ord(NOWHERE[0]): "one", ord(NOWHERE[1]): "two"})
    font.setupGlyf(dict.fromkeys(names, pen.glyph()))
    font.setupHorizontalMetrics(dict.fromkeys(names, (600, 0)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Test Squares", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=800, usWeightClass=400)
    font.setupPost()
    font.save(tmp_path / "squares.ttf")
    from matplotlib import font_manager

    real = font_manager.findSystemFonts
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [*real(), str(tmp_path / "squares.ttf")])
    known = list(font_manager.fontManager.ttflist)
    fonts._others.cache_clear()
    yield "Test Squares"
    font_manager.fontManager.ttflist[:] = known
    fonts._others.cache_clear()


def model(name="a"):
    names = [f"{NOWHERE}{k}" for k in range(6)]
    x = np.random.default_rng(0).poisson(3.0, (6, 5)).astype(float)
    data = gcp.DenseTensor(x, labels=gcp.ModeLabels([name, "b"], [names, None]))
    return gcp.fit_gcp(data, 1, loss="poisson", random_state=0), data


def test_a_font_that_has_them_is_found_and_used(installed):
    assert fonts.families_for(frozenset(NOWHERE))[-1] == installed
    result, data = model()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a glyph that is missing
        gcp.plots.plot_components(result)[0, 0].figure.canvas.draw()
        gcp.plots.plot_slices(result, data, 0).figure.canvas.draw()
    ax = gcp.plots.plot_observed(*model(NOWHERE), [0])[0]
    assert installed in ax.title.get_fontfamily()


def test_settings_stay(installed):
    from matplotlib import rcParams

    before = list(rcParams["font.family"])
    gcp.plots.plot_components(model()[0])
    assert list(rcParams["font.family"]) == before


def test_latin_greek_and_cyrillic_need_no_other_font():
    assert len(fonts.families_for(frozenset("aüßΩжЯ"))) == 1
