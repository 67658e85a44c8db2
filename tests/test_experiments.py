"""Every experiment runs with --quick and leaves its files."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXPERIMENTS = sorted((Path(__file__).resolve().parent.parent / "scripts" / "experiments").glob("[!_]*.py"))


@pytest.mark.parametrize("script", EXPERIMENTS, ids=lambda path: path.stem)
def test_quick_run(script, tmp_path):
    command = [sys.executable, str(script), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if "missing data" in done.stderr:
        assert done.returncode == 1
        assert re.search(r"needs \S+\.npz; the top of the script says where it comes from", done.stderr)
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["experiment"] == script.stem
    with open(next(tmp_path.glob("*.csv"))) as file:
        assert list(csv.DictReader(file))
    assert next(tmp_path.glob("*.png")).stat().st_size > 5_000
