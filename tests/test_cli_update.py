"""The command update: what `FitResult.update` returns, in the file that it was given."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gcp
from gcp.cli import main

READING = "--modes day,place,kind --value n --unlisted zero"


def run(capsys, line):
    assert main(line.split()) == 0
    return capsys.readouterr().out


def refused(capsys, line):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith("gcp: error:")
    assert len(said.splitlines()) == 1
    return said


def write(name, counts, first, places):
    """Write the days of counts, from the `first` one on, without their zeros."""
    lines = ["day,place,kind,n"]
    for t, i, j in np.argwhere(counts):
        lines.append(f"2026-01-{first + t + 1:02d},{places[i]},k{j},{counts[t, i, j]}")
    Path(name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A saved model of 20 days, and tables of these, of a day, and of a day without a place."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.einsum("tr,ir,jr->tij", *(rng.gamma(2.0, 1.0, (n, 2)) for n in (22, 5, 4))))
    places = [f"p{i}" for i in range(5)]
    write("first.csv", counts[:20], 0, places)
    write("day.csv", counts[20:21], 20, places)
    write("next.csv", counts[21:, 1:], 21, places[1:])
    line = f"fit first.csv {READING} --loss poisson --rank 2 --seed 0 --quiet --out model.npz"
    assert main(line.split()) == 0
    return counts


def test_it_does_what_the_method_does(files, capsys):
    before = gcp.load("model.npz")
    said = run(capsys, f"update model.npz day.csv --history first.csv {READING}")
    options = {"modes": ["day", "place", "kind"], "value": "n", "unlisted": "zero"}
    expected = before.update(
        gcp.read_tensor("day.csv", **options), history=gcp.read_tensor("first.csv", **options)
    )
    found = gcp.load("model.npz")
    assert_allclose(found.model_values(), expected.model_values(), rtol=1e-12)
    assert found.labels == expected.labels
    assert "model.npz: 21 day x 5 place x 4 kind" in said
    assert "converged: 1 new positions of 'day' in" in said


def test_zeros_of_places_that_a_day_lacks_are_zeros(files, capsys):
    run(capsys, f"update model.npz day.csv --history first.csv {READING}")
    shown = json.loads(run(capsys, f"update model.npz next.csv {READING} --half-life 30 --json"))
    assert shown["shape"] == [22, 5, 4]
    assert shown["converged"] is True
    assert "missing" not in shown["message"]
    found = gcp.load("model.npz")
    assert found.settings["updates"] == {
        "count": 2,
        "half_life": 30.0,
        "window": None,
        "n_iter_max": 100,
        "tol": 1e-5,
    }
    assert found.total_weight == 22 * 20


def test_out_keeps_the_model_that_was(files, capsys):
    before = Path("model.npz").read_bytes()
    run(capsys, f"update model.npz day.csv --history first.csv {READING} --out new.npz --window 10")
    assert Path("model.npz").read_bytes() == before
    assert gcp.load("new.npz").shape == (21, 5, 4)


def test_a_day_that_is_there_is_refused_and_nothing_is_lost(files, capsys):
    run(capsys, f"update model.npz day.csv {READING} --history first.csv")
    before = Path("model.npz").read_bytes()
    assert "'2026-01-21' of mode 'day' is in the model already" in refused(
        capsys, f"update model.npz day.csv {READING}"
    )
    assert "--history no.csv: there is no such file" in refused(
        capsys, f"update model.npz next.csv --history no.csv {READING}"
    )
    assert "RESULT model.npz: would overwrite model.npz" in refused(
        capsys, f"update model.npz model.npz {READING}"
    )
    assert "half_life" not in refused(capsys, f"update model.npz next.csv --half-life 0 {READING}")
    assert Path("model.npz").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["day.csv", "first.csv", "model.npz", "next.csv"]
