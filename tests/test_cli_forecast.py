"""The command forecast: what `FitResult.forecast` returns, as a table, a file or JSON."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.cli import main


def run(capsys, line):
    assert main(line.split()) == 0
    return capsys.readouterr().out


def refused(capsys, line):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("gcp: error:")
    assert len(said.splitlines()) == 1
    return said


@pytest.fixture
def fitted(tmp_path, monkeypatch):
    """A saved model of counts by day and place, of an exposure if asked for."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    days = np.datetime64("2026-02-01") + np.arange(40)
    level = np.exp(2 + 0.3 * np.sin(np.arange(40)))
    lines = ["day,place,n,people"]
    for t, day in enumerate(days):
        lines += [f"{day},p{j},{rng.poisson(level[t] * (j + 1))},{j + 1}" for j in range(3)]
    Path("table.csv").write_text("\n".join(lines) + "\n")
    line = (
        "fit table.csv --modes day,place --value n --unlisted zero --loss poisson --rank 1 --seed 0 --quiet"
    )
    assert main(f"{line} --out fit.npz".split()) == 0
    assert main(f"{line} --exposure people --out rates.npz".split()) == 0
    return gcp.load("fit.npz")


def test_it_prints_what_the_method_returns(fitted, capsys):
    capsys.readouterr()
    expected = fitted.forecast(2, "day", random_state=3)
    low, high = expected.interval(0.8)
    found = json.loads(run(capsys, "forecast fit.npz --horizon 2 --mode day --level 0.8 --seed 3 --json"))
    assert found["mode"] == "day"
    assert found["level"] == 0.8
    rows = found["forecast"]
    assert [row["day"] for row in rows] == ["2026-03-13"] * 3 + ["2026-03-14"] * 3
    assert [row["place"] for row in rows] == ["p0", "p1", "p2"] * 2
    for name, values in {"mean": expected.mean, "low": low, "high": high}.items():
        assert_allclose([row[name] for row in rows], values.ravel())
    text = run(capsys, "forecast fit.npz --horizon 2 --seed 3")  # day has dates
    assert "2026-03-14" in text
    assert text.splitlines()[0].split() == ["day", "place", "mean", "low", "high"]
    assert "more rows" in run(capsys, "forecast fit.npz --horizon 20 --seed 3")
    assert run(capsys, "forecast fit.npz --horizon 2 --lags 1,7 --seed 3 --out next.csv") == "next.csv\n"
    with open("next.csv", newline="") as file:
        table = list(csv.DictReader(file))
    lagged = fitted.forecast(2, "day", lags=[1, 7], random_state=3)
    assert_allclose([float(row["mean"]) for row in table], lagged.mean.ravel())
    assert list(table[0]) == ["day", "place", "mean", "low", "high"]


def test_exposures(fitted, capsys):
    assert "--exposure" in refused(capsys, "forecast rates.npz --horizon 1")
    one = json.loads(run(capsys, "forecast rates.npz --horizon 1 --seed 0 --exposure 1 --json"))
    Path("people.csv").write_text("place,people\np2,30\np1,20\np0,10\n")
    many = json.loads(run(capsys, "forecast rates.npz --horizon 1 --seed 0 --exposure people.csv --json"))
    ratio = [a["mean"] / b["mean"] for a, b in zip(many["forecast"], one["forecast"], strict=True)]
    assert_allclose(ratio, [10, 20, 30])


def test_what_is_refused(fitted, capsys):
    assert "integer >= 1" in refused(capsys, "forecast fit.npz --horizon 0")
    assert "Unknown mode 'week'" in refused(capsys, "forecast fit.npz --horizon 1 --mode week")
    assert "neither numbers nor dates" in refused(capsys, "forecast fit.npz --horizon 1 --mode place")
    assert "between 0 and 1" in refused(capsys, "forecast fit.npz --horizon 1 --level 90")
    assert "no such file" in refused(capsys, "forecast rates.npz --horizon 1 --exposure none.csv")
    assert "expected whole numbers" in refused(capsys, "forecast fit.npz --horizon 1 --lags a")
    assert "--dispersion" in refused(capsys, "forecast fit.npz --horizon 1 --dispersion 2")
    assert ".csv" in refused(capsys, "forecast fit.npz --horizon 1 --out next.txt")
    assert "overwrite" in refused(capsys, "forecast fit.csv --horizon 1 --out fit.csv")


def test_help(capsys):
    text = run(capsys, "forecast --help")
    assert "(default: 0.9)" in text
    assert "what BIC prefers" in text
