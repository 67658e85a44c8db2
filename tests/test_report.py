"""The page about a model: complete, self-contained, safe with any label, and shown by a browser."""

import base64
import html.parser
import re
import shutil
import subprocess

import numpy as np
import pytest
from helpers import full, random_factors

import gcp
from gcp import DataError, FitResult, ParameterError, SparseTensor, fit_gcp, write_report
from gcp.cli import main
from gcp.designs import bspline
from gcp.losses.registry import example_loss
from gcp.penalties import Ridge, Smooth

VOID = {"meta", "img", "br"}
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


class Page(html.parser.HTMLParser):
    """What a browser would see: balanced tags, links, pictures, text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.links, self.images, self.text, self.ids = [], [], [], "", set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "a":
            self.links.append(attrs["href"])
        if tag == "img":
            assert re.search(r"\d", attrs["alt"])  # words with content have numbers
            self.images.append(attrs["src"])
        assert tag != "th" or attrs["scope"] in ("row", "col")
        assert tag not in ("script", "link", "iframe")
        self.ids.add(attrs.get("id"))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def unrendered(monkeypatch):
    """Pictures are drawn, but not rendered, which takes most of the time of a page; these are they."""
    figures = []

    def keep(self, file, **options):
        figures.append(self)
        file.write(b"\x89PNG")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", keep)
    return figures


def page_of(result, data, tmp_path, **options):
    write_report(result, data, tmp_path / "page.html", **options)
    return Page((tmp_path / "page.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def flights():
    data = gcp.datasets.load_nyc_flights()
    return fit_gcp(data, 3, loss="poisson", tol=1e-4, random_state=0), data


def test_the_page_needs_nothing_else(flights, tmp_path):
    page = page_of(*flights, tmp_path)
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert {"#quality", "#components", "#diagnostics", "#surprises", "#settings"} <= set(page.links)
    assert len(page.images) == 12  # components and surprises also for narrow screens; a panel for each mode
    for image in page.images:
        kind, data = image.split(",")
        assert kind == "data:image/png;base64"
        assert base64.b64decode(data).startswith(b"\x89PNG")
    source = (tmp_path / "page.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:|#)", source)
    assert "url(" not in source
    assert "@import" not in source


@pytest.mark.usefixtures("unrendered")
def test_its_numbers_are_those_of_the_analysis(flights, tmp_path):
    result, data = flights
    page = page_of(result, data, tmp_path)
    found = gcp.analysis.deviance(result, data)
    assert f"{found.explained:.2%}" in page.text
    strangest = gcp.analysis.anomalies(result, data, 1)
    assert f"{strangest.p_value[0]:.1e}" in page.text
    top = data.labels.coords[1][np.argmax(result.factors[1][:, 0])]
    assert f"{top} ({result.factors[1][:, 0].max():.2g})" in page.text
    assert gcp.analysis.dispersion_test(result, data).advice in page.text


@pytest.mark.parametrize(
    "options",
    [
        {"main_effects": True, "l2_reg": {"factors": 0.5, "main_effects": 0.1}, "weight_reg": 0.3},
        {"solver": gcp.LBFGSB(memory=7), "bounds": (0, None), "dirichlet_reg": 0.2, "n_starts": 2},
        {"loss": gcp.Huber(delta=0.5), "n_iter_max": 30, "tol": 1e-3},
        {"loss": "poisson", "n_starts": 3},
        {"penalties": [Smooth(0, 2.5, order=1, cyclic=True), Ridge(1, 0.3)], "design": {1: bspline(4)}},
    ],
)
@pytest.mark.usefixtures("unrendered")
def test_the_call_repeats_the_fit(options, tmp_path, rng):
    x = full(random_factors((6, 5, 4), 2, rng)) + 0.1 * rng.normal(size=(6, 5, 4))
    x = np.abs(np.round(x)) if options.get("loss") == "poisson" else x
    result = fit_gcp(x, 2, random_state=5, **options)
    page = page_of(result, x, tmp_path)
    call = page.text[page.text.index("result = gcp.fit_gcp(") :]
    names = {"gcp": gcp, "data": x}
    exec(call[: call.index("\n)") + 2], names)
    np.testing.assert_array_equal(names["result"].factors[0], result.factors[0])


@pytest.mark.parametrize("name", gcp.available_losses())
@pytest.mark.usefixtures("unrendered")
def test_every_loss(name, tmp_path, rng):
    loss = example_loss(name)
    x, _ = gcp.simulate((6, 5, 4), 2, "gaussian" if name == "quantile" else loss, random_state=0)
    page = page_of(fit_gcp(x, 2, loss=loss, random_state=0, n_iter_max=200), x, tmp_path)
    assert "deviance explained" in page.text
    has_none = name in ("beta-divergence", "quantile")  # no distribution: neither residuals nor surprises
    assert len(page.images) == 11 - 3 * has_none + name.startswith("bernoulli")  # an ROC curve


@pytest.mark.usefixtures("unrendered")
def test_an_exposure_is_given_beside_the_data(tmp_path, rng):
    hours = rng.uniform(1, 9, (6, 5))
    x = rng.poisson(hours)
    result = fit_gcp(x, 1, loss="poisson", exposure=hours, random_state=0)
    page = page_of(result, x, tmp_path, exposure=hours)
    assert f"{100 * result.deviance_explained(x, exposure=hours):.1f}%" in page.text
    assert "what a file cannot hold: the exposure." in page.text
    assert "    exposure=...,\n" in page.text
    with pytest.raises(DataError, match="give exposure"):
        page_of(result, x, tmp_path)


def test_labels_are_text(unrendered, tmp_path, rng):
    """Nothing that stands in data becomes part of the page, or mathematics in a picture."""
    from matplotlib.cbook import is_math_text
    from matplotlib.text import Text

    labels = gcp.ModeLabels(
        ["<b>who</b>", "what & where", "$x_1$"],
        [['<script>alert("1")</script>', "a&b", "ü", "$"], None, None],
    )
    x = gcp.DenseTensor(rng.poisson(3.0, (4, 5, 6)).astype(float), labels=labels)
    page = page_of(fit_gcp(x, 2, loss="poisson", random_state=0), x, tmp_path, title="<i>title</i>")
    assert "<b>who</b>" in page.text
    assert '<script>alert("1")</script>' in page.text
    assert page.text.count("<i>title</i>") == 2
    drawn = [text.get_text() for figure in unrendered for text in figure.findobj(Text)]
    names = [text for text in drawn if "x_1" in text]
    assert len(names) >= 3  # axes of the components, of the surprises and of the deviance
    assert not any(is_math_text(name) for name in names)


@pytest.mark.parametrize("shape", [(7,), (7, 5), (4, 3, 2, 5)])
@pytest.mark.usefixtures("unrendered")
def test_any_number_of_modes(shape, tmp_path, rng):
    x = rng.poisson(3.0, shape).astype(float)
    page = page_of(fit_gcp(x, 1, loss="poisson", random_state=0), x, tmp_path)
    assert "Largest surprises" in page.text


@pytest.mark.usefixtures("unrendered")
def test_main_effects_and_rank_zero(tmp_path, rng):
    x = rng.normal(size=(6, 5, 4)) + rng.normal(size=(5, 1)) + 3
    page = page_of(fit_gcp(x, 0, main_effects=True, random_state=0), x, tmp_path)
    assert "None: main effects alone." in page.text
    assert "intercept" in page.text


@pytest.mark.usefixtures("unrendered")
def test_missing_cells_and_lists(tmp_path, rng):
    x = rng.poisson(1.0, (8, 7, 6)).astype(float)
    masked = np.where(rng.random(x.shape) < 0.3, np.nan, x)
    sparse = SparseTensor(np.argwhere(x), x[x > 0], x.shape)
    observed = gcp.ObservedTensor(np.argwhere(~np.isnan(masked)), masked[~np.isnan(masked)], x.shape)
    for data, said in ((masked, "cells are known"), (sparse, "are listed"), (observed, "cells are known")):
        page = page_of(fit_gcp(data, 2, loss="poisson", random_state=0), data, tmp_path)
        assert said in page.text


@pytest.mark.usefixtures("unrendered")
def test_what_is_out_of_reach_is_left_out_with_a_note(tmp_path, rng):
    subs = np.column_stack([rng.integers(0, 650, 400) for _ in range(3)])  # of more than 2**28 cells
    data = SparseTensor(subs, np.ones(400), (650,) * 3, aggregate="sum")
    result = fit_gcp(data, 2, loss="poisson", random_state=0, n_iter_max=20)
    page = page_of(result, data, tmp_path)
    assert page.text.count("too many to look at one by one") == 2
    assert "deviance explained" in page.text


@pytest.mark.usefixtures("unrendered")
def test_data_of_one_class(tmp_path):
    x = np.ones((4, 4, 3))
    page = page_of(fit_gcp(x, 1, loss="bernoulli-logit", l2_reg=0.1, random_state=0), x, tmp_path)
    assert "The scores need ones and zeros" in page.text


@pytest.mark.usefixtures("unrendered")
def test_an_objective_that_is_out_of_reach(tmp_path, rng):
    subs = np.unique(rng.integers(0, 650, (300, 3)), axis=0)
    data = SparseTensor(subs, np.ones(len(subs)), (650,) * 3)
    start = random_factors(data.shape, 1, rng)
    result = fit_gcp(
        data, 1, loss="bernoulli-logit", init=start, fixed_modes=[0], n_iter_max=2, random_state=0
    )
    page = page_of(result, data, tmp_path)
    assert "The exact objective is out of reach" in page.text


@pytest.mark.usefixtures("unrendered")
def test_what_a_call_cannot_hold_is_said(tmp_path, rng):
    x = rng.normal(size=(5, 4, 3))
    squares = gcp.custom_loss(lambda x, m: (x - m) ** 2, name="squares")
    start = random_factors(x.shape, 1, rng)
    result = fit_gcp(x, 1, loss=squares, init=start, random_state=0, max_seconds=60)
    text = page_of(result, x, tmp_path).text
    assert "what a file cannot hold: the custom loss, the model that it began from, a machine as fast" in text
    assert "init=..." in text
    assert "loss=...," in text


@pytest.mark.usefixtures("unrendered")
def test_known_cells_are_counted(tmp_path, rng):
    x = rng.poisson(1.0, (6, 5, 4)).astype(float)
    missing = np.argwhere(x == 0)[:4]
    kinds = [
        (SparseTensor(np.argwhere(x), x[x > 0], x.shape, missing=missing), 116),
        (SparseTensor(np.argwhere(x), x[x > 0], x.shape, mode_weights=[np.arange(6) > 0, None, None]), 100),
        (np.where(np.arange(120).reshape(x.shape) < 20, np.nan, x), 100),
    ]
    for data, known in kinds:
        page = page_of(fit_gcp(data, 1, loss="poisson", random_state=0), data, tmp_path)
        assert f"{known} of 120 cells are known" in page.text


@pytest.mark.usefixtures("unrendered")
def test_a_fit_that_did_not_converge_is_said_to(tmp_path, rng):
    x = rng.poisson(2.0, (6, 5, 4)).astype(float)
    page = page_of(fit_gcp(x, 2, loss="poisson", random_state=0, n_iter_max=2), x, tmp_path)
    assert "Not converged" in page.text


@pytest.mark.usefixtures("unrendered")
def test_bad_input(tmp_path, rng):
    data = rng.poisson(2.0, (4, 3, 2))
    result = fit_gcp(data, 1, loss="poisson", random_state=0)
    with pytest.raises(DataError, match="shape"):
        write_report(result, rng.random((2, 3, 4)), tmp_path / "a.html")
    with pytest.raises(DataError, match="there is no folder"):
        write_report(result, data, tmp_path / "none" / "a.html")
    assert not list(tmp_path.iterdir())


# --- the command ------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unrendered")
def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fit_gcp(gcp.datasets.load_titanic(), 1, loss="poisson", random_state=0).save("titanic.npz")
    assert main(["report", "titanic.npz", "--data", "titanic", "-o", "titanic.html", "--title", "Ship"]) == 0
    assert capsys.readouterr().out == "titanic.html\n"
    assert "Ship" in Page((tmp_path / "titanic.html").read_text()).text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--data nyc_flights -o a.txt", ".html"),
        ("--data titanic -o a.html", "is in titanic"),
        ("--data nyc_flights -o none/a.html", "cannot be written"),
        ("--data nyc_flights -o a.html --surprises -1", "at least 0"),
    ],
)
def test_bad_input_is_one_line(words, message, flights, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flights[0].save("flights.npz")
    assert main(["report", "flights.npz", *words.split()]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("gcp: error:")
    assert message in err
    assert not list(tmp_path.glob("*.html*"))


# --- a browser --------------------------------------------------------------------------------------------


@pytest.mark.skipif(not BROWSER, reason="no Chromium here: the page is not shown in a browser")
@pytest.mark.parametrize("width", [1280, 420])
def test_a_browser_shows_it(width, flights, tmp_path):
    """Pictures have loaded, nothing is wider than the window, and the screenshot has ink from top to bottom."""
    from matplotlib.image import imread

    write_report(*flights, tmp_path / "page.html")
    probe = (
        "<script>addEventListener('load', () => { const d = document; const wide = d.documentElement.scrollWidth;"
        "const loaded = [...d.images].every(i => i.complete && i.naturalWidth > 100);"
        "d.body.dataset.found = [wide <= innerWidth, loaded, d.images.length].join(' '); })</script></body>"
    )
    probed = tmp_path / "probed.html"
    probed.write_text((tmp_path / "page.html").read_text().replace("</body>", probe))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},4000"]
    options.append("--host-resolver-rules=MAP * ~NOTFOUND")
    run = {"capture_output": True, "text": True, "timeout": 120, "cwd": tmp_path}
    dom = subprocess.run([BROWSER, *options, "--dump-dom", probed.as_uri()], **run).stdout
    assert re.search(r'data-found="([^"]*)"', dom)[1] == "true true 12"
    shot = tmp_path / "shot.png"
    subprocess.run([BROWSER, *options, f"--screenshot={shot}", (tmp_path / "page.html").as_uri()], **run)
    ink = imread(shot)[..., :3].min(axis=2) < 0.5
    assert ink.shape == (4000, width)
    bands = np.array_split(ink[:2400], 12)
    assert all(band.sum() > 50 for band in bands)


@pytest.mark.usefixtures("unrendered")
def test_saved_results_of_older_versions_have_no_traces_of_starts(tmp_path, rng):
    from dataclasses import replace

    data = rng.poisson(2.0, (6, 5, 4))
    result = fit_gcp(data, 2, loss="poisson", n_starts=3, random_state=0)
    old = replace(
        result, starts=[{k: v for k, v in start.items() if k != "trace"} for start in result.starts]
    )
    old.save(tmp_path / "old.npz")
    again = FitResult.load(tmp_path / "old.npz")
    curves = [
        sum(len(line.get_xdata()) > 1 for line in gcp.plots.plot_convergence(r).lines)
        for r in (result, again)
    ]
    assert curves == [3, 1]
    assert "Left out" not in page_of(again, data, tmp_path).text


def test_matplotlib_is_asked_for(tmp_path, rng, monkeypatch):
    import sys

    data = rng.poisson(2.0, (4, 3, 2))
    result = fit_gcp(data, 1, loss="poisson", random_state=0)

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ParameterError, match="matplotlib"):
        write_report(result, data, tmp_path / "a.html")
