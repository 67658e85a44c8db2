"""Every experiment runs with --quick and leaves its files; the results page says what the records do."""

import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path

import experiment_data
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

ROOT = Path(__file__).resolve().parent.parent
EXPERIMENTS = sorted((ROOT / "scripts" / "experiments").glob("[!_]*.py"))


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    experiment_data.write(folder)
    return folder


@pytest.fixture
def run(monkeypatch):
    """Runs a script as a command, in this process: one of its own would take longer to begin than to run."""

    def run(script, *options):
        monkeypatch.setattr(sys, "argv", [str(script), "--quick", *map(str, options)])
        monkeypatch.syspath_prepend(script.parent)
        runpy.run_path(str(script), run_name="__main__")

    return run


@pytest.mark.parametrize("script", EXPERIMENTS, ids=lambda path: path.stem)
def test_quick_run(script, tmp_path, stand_ins, run):
    run(script, "--out", tmp_path, "--data", stand_ins)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["experiment"] == script.stem
    assert record["settings"]["quick"] is True
    assert record["tables"]
    for table in record["tables"]:
        with open(tmp_path / f"{table['name']}.csv", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(table["rows"]) > 0
    assert (tmp_path / f"{script.stem}.png").stat().st_size > 5_000


@pytest.fixture
def names(monkeypatch):
    """What a script of experiments defines, by name."""
    folder = ROOT / "scripts" / "experiments"
    monkeypatch.syspath_prepend(folder)
    return lambda script: runpy.run_path(str(folder / script))


@pytest.mark.parametrize(("mean", "r"), [(0.02, 0.5), (3.0, 0.7), (60.0, 2.0)])
def test_ranked_probability_scores_are_differences_of_expectations(names, mean, r):
    """E|X - x| - E|X - X'| / 2, which is the same by another formula, over all that is at all probable."""
    k = np.arange(3000)
    p = stats.nbinom.pmf(k, r, r / (r + mean))
    apart = 2 * np.sum(p.cumsum() * (1 - p.cumsum()))  # E|X - X'| of two independent ones
    x = np.array([0, 1, 7, 130])
    expected = np.abs(k - x[:, None]) @ p - apart / 2
    scores = names("_forecast_scores.py")
    assert_allclose(scores["ranked_probability_score"](x, mean, r), expected, rtol=1e-6)
    assert_allclose(scores["logarithmic_score"](x, mean, r), -np.log(p[x]), rtol=1e-9)


def test_calibrated_forecasts_have_an_even_histogram(names, rng):
    mean = rng.gamma(1.0, 2.0, 40_000)
    mean[:3] = 1e-9  # of which anything but 0 is past all probability
    x = rng.negative_binomial(0.7, 0.7 / (0.7 + mean))
    found = names("_forecast_scores.py")["pit_histogram"](np.r_[x[:-1], 90], np.r_[mean[:-1], 1e-9], 0.7)
    assert_allclose(found, 1.0, atol=0.05)
    assert_allclose(found.sum(), 10.0)


def test_forecasts_of_a_week_know_nothing_of_it(names, rng):
    sources = names("flu_forecast.py")["sources"]
    cases, people = rng.poisson(2.0, (4, 9)).astype(float), np.array([1.0, 2.0, 0.5, 0.5])
    is_near = np.eye(4)[::-1] == 1
    found = sources(cases, people, is_near)
    changed = np.where(np.arange(9) < 5, cases, 99.0)
    again = sources(changed, people, is_near)
    assert_allclose(found[:, :, :6], again[:, :, :6])  # weeks 0 to 5 look at weeks 0 to 4 at most
    assert (found[:3, :, 6] != again[:3, :, 6]).all()
    assert_allclose(found[0, :, 1:], cases)
    assert_allclose(found[1, :, 9], people * (cases / people[:, None])[::-1, 8])
    assert_allclose(found[2, :, 9], people * cases[:, 8].sum() / people.sum())


def test_fits_of_forecasts_see_no_later_week(names, rng):
    own = names("flu_forecast.py")
    model = own["Forecaster"](own["OF_B2"], 1, 5.0)
    cases = rng.poisson(2.0, (4, 30)).astype(float)

    def forecast(cases):
        counts = own["Counts"](cases, np.ones(4), np.eye(4)[::-1] == 1, np.arange(4), 12)
        return own["Fits"](counts, 0).ahead(model, 20, 22, 2)

    mean, r = forecast(cases)
    later_mean, later_r = forecast(np.where(np.arange(30) < 20, cases, 50.0))
    assert_allclose(later_r, r)
    assert_allclose(later_mean[:, 0], mean[:, 0])  # week 20, after a fit of weeks 0 to 19
    assert (later_mean[:, 1] > mean[:, 1]).all()  # which knows of week 20, but was not fitted to it


def test_missing_data_are_named(tmp_path, run, monkeypatch):
    script = ROOT / "scripts" / "experiments" / "amino_acids.py"
    message = r"needs amino_acids/amino_acids\.npz; the top of the script says where it comes from"
    monkeypatch.setenv("GCP_DATA", "")
    for options in ([], ["--data", tmp_path / "nowhere"]):
        with pytest.raises(SystemExit, match=message) as told:
            run(script, "--out", tmp_path / "out", *options)
        assert isinstance(told.value.code, str)  # which Python prints on stderr, and ends with status 1


def test_the_results_page_is_that_of_its_records(tmp_path):
    """docs/results.md is what the script makes of docs/results/*/run.json: nobody has edited it."""
    page = tmp_path / "results.md"
    command = [sys.executable, str(ROOT / "scripts" / "make_results.py"), "--page", str(page)]
    subprocess.run(command, check=True, timeout=60)
    assert page.read_text() == (ROOT / "docs" / "results.md").read_text()
