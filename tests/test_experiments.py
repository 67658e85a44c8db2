"""Every experiment runs with --quick and leaves its files; the results page says what the records do."""

import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path

import experiment_data
import pytest

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
