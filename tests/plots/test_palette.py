"""Colours have contrast by the formulas of WCAG 2.1, and the page turns them dark by those of CSS."""

import re
from importlib.resources import files

import numpy as np
import pytest

from gcp.analysis.plots.palette import COLORS, GREY

CSS = (files("gcp.analysis.report") / "templates" / "style.css").read_text()
DARK = CSS[CSS.index("prefers-color-scheme: dark") :]


def rgb(text):
    return np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def luminance(color):
    linear = np.where(color <= 0.03928, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def variable(name, text):
    return rgb(re.search(rf"--{name}: (#[0-9a-f]{{6}})", text)[1])


@pytest.mark.parametrize("color", [*COLORS, GREY])
def test_colours_stand_out_on_white_and_on_a_dark_page(color):
    assert contrast(rgb(color), np.ones(3)) >= 3
    assert contrast(rgb(color), variable("paper", DARK)) >= 3


@pytest.mark.parametrize("color", [*COLORS, GREY, "#262626"])
def test_colours_stand_out_when_the_page_turns_them_dark(color):
    """Filter Effects 1: hue-rotate(180deg) is this matrix; compositing 1: screen."""
    assert "img { filter: invert(1) hue-rotate(180deg); mix-blend-mode: screen; }" in DARK
    rotation = np.array([[-0.574, 1.430, 0.144], [0.426, 0.430, 0.144], [0.426, 1.430, -0.856]])
    paper = variable("paper", DARK)
    turned = np.clip(rotation @ (1 - rgb(color)), 0, 1)
    assert contrast(turned + paper - turned * paper, paper) >= 3


@pytest.mark.parametrize("text", [CSS, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("name", "least"), [("ink", 7), ("soft", 4.5), ("accent", 4.5)])
def test_words_are_legible(text, name, least):
    assert contrast(variable(name, text), variable("paper", text)) >= least


def test_no_two_colours_are_alike():
    colors = [rgb(color) for color in COLORS]
    assert min(np.abs(a - b).max() for k, a in enumerate(colors) for b in colors[:k]) > 0.15
