"""What a newcomer tries first, and six whole jobs, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "scripts"
JOBS = sorted(path.stem for path in (SCRIPTS / "jobs").glob("*.py"))


def run(script, folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS.parent), "MPLBACKEND": "agg"}
    command = [sys.executable, str(script), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)


def test_first_moves_end_as_their_page_says(tmp_path):
    done = run(SCRIPTS / "first_moves.py", tmp_path, "--check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "some",
    [("design: waves", "exposure, any", "zero-inflated-poisson"), pytest.param((), marks=pytest.mark.slow)],
)
def test_features_go_together_as_their_page_says(some, tmp_path):
    only = ("--only", *some) if some else ()
    done = run(SCRIPTS / "combinations.py", tmp_path, "--check", *only)
    assert done.returncode == 0, done.stdout + done.stderr


def test_models_that_statsmodels_has_too_are_fitted(tmp_path):
    pytest.importorskip("statsmodels")
    done = run(SCRIPTS / "truths.py", tmp_path, "--print")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", JOBS)
def test_jobs_run_to_their_end(name, tmp_path):
    if name == "single_cell":
        pytest.importorskip("anndata")
    done = run(SCRIPTS / "jobs" / f"{name}.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
