"""Pictures of the gallery's scripts: in one style, each with its alternative text."""

from __future__ import annotations

from typing import Any


def reset(gallery_conf: dict[str, Any], name: str) -> None:
    """Give every script the same style, whatever the one before it changed, and close its figures."""
    from cycler import cycler
    from matplotlib import pyplot

    pyplot.close("all")
    pyplot.rcdefaults()
    pyplot.rcParams.update(
        {"figure.dpi": 110, "savefig.dpi": 110, "font.size": 9.5, "axes.spines.top": False}
    )
    colors = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]  # Okabe and Ito: for all eyes
    pyplot.rcParams["axes.prop_cycle"] = cycler(color=colors)
    pyplot.rcParams.update({"axes.spines.right": False, "figure.constrained_layout.use": True})


def scraper(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the open figures of a block of code; the labels of their axes are the alternative text.

    Every function of gcp.plots writes these labels. A script that draws by itself sets one with
    ``ax.set_label("...")``, or one for all panels with ``figure.set_label("...")``; a picture without any stops the
    build.
    """
    from matplotlib import pyplot
    from sphinx_gallery.scrapers import figure_rst

    from gcp.analysis.plots.frame import words_of

    text = ""
    for number in pyplot.get_fignums():
        figure = pyplot.figure(number)
        words = str(figure.get_label()) or words_of(figure)
        if words.startswith("component ") and len(figure.axes) > 1:
            words = f"Profiles of the components, a panel for each component and mode: {words}."
        if not words:
            raise ValueError(f"A picture has no alternative text: {block_vars['src_file']}, line {block[2]}.")
        path = next(block_vars["image_path_iterator"])
        figure.savefig(path, format="png")
        text += figure_rst([path], gallery_conf["src_dir"], fig_titles=" ".join(words.split()))
    pyplot.close("all")
    return text
