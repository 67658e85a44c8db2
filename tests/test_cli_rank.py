"""`gcp rank` against `select_rank`, from the command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import full, random_factors

import gcp
from gcp.cli import main


@pytest.fixture
def planted(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    x = full(random_factors((9, 8, 7), 2, rng)) + 0.3 * rng.normal(size=(9, 8, 7))
    np.save("x.npy", x)
    return x


def test_it_is_select_rank(planted, capsys):
    line = "rank x.npy --ranks 1-3 --l2-reg 0,0.3 --splits 2 --seed 3 --json --out a.npz --plot a.png --quiet"
    assert main(line.split()) == 0
    found = json.loads(capsys.readouterr().out)
    expected = gcp.select_rank(planted, [1, 2, 3], l2_reg=(0, 0.3), n_splits=2, random_state=3)
    assert found["rank"] == expected.rank == 2
    assert [row["loss"] for row in found["table"]] == [row.loss for row in expected.table]
    assert gcp.FitResult.load("a.npz").rank == 2
    assert Path("a.png").stat().st_size > 10_000


def test_the_table_and_a_line_for_every_fit(planted, capsys):
    line = "rank x.npy --ranks 1,2 --l2-reg 0 --splits 1 --seed 0"
    assert main(line.split()) == 0
    told = capsys.readouterr()
    assert "<- chosen" in told.out
    assert told.err.count("held-out loss") == 3


def wait_for_fits(n):
    ends = time.monotonic() + 60
    while len(list(Path("fits").glob("*.npz"))) < n and time.monotonic() < ends:
        time.sleep(0.01)


def test_a_search_that_is_interrupted_goes_on(planted, capsys):
    options = "rank x.npy --ranks 1-3 --weight-reg 0,1 --splits 2 --seed 0 --folder fits --starts 5 --json"
    line = [sys.executable, "-m", "gcp", *options.split()]
    first = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        wait_for_fits(3)
        os.kill(first.pid, signal.SIGTERM)
        assert first.wait(30) == 143
    finally:
        first.kill()
    done = {path.name: path.stat().st_mtime_ns for path in Path("fits").glob("*.npz")}
    assert len(done) >= 3
    assert main(options.split()) == 0
    assert json.loads(capsys.readouterr().out)["rank"] == 2
    assert all(Path("fits", name).stat().st_mtime_ns == when for name, when in done.items())


def is_gone(group):
    """Whether nobody of a group of processes is left, soon."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_ctrl_c_ends_all_processes_and_loses_nothing(planted):
    """As a terminal sends it: to the whole group."""
    options = "rank x.npy --ranks 1-4 --seed 0 --folder fits --starts 4 --jobs 2"
    line = [sys.executable, "-m", "gcp", *options.split()]
    run = subprocess.Popen(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.SIG_DFL
        ),  # shells make background jobs ignore it
    )
    try:
        wait_for_fits(3)
        os.killpg(run.pid, signal.SIGINT)
        err = run.communicate(timeout=60)[1]
        assert run.returncode == 130
        assert err.splitlines()[-1] == "gcp: error: interrupted"
        assert "Traceback" not in err
        fits = list(Path("fits").glob("*.npz"))
        assert len(fits) >= 3
        assert all(gcp.FitResult.load(path).rank in range(5) for path in fits)
        assert is_gone(run.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rank x.npy --ranks a-b", "expected ranks"),
        ("rank x.npy --ranks 1 --l2-reg x", "expected numbers"),
        ("rank x.npy --ranks 1 --method thinning --splits 1", "Poisson"),
        ("rank x.npy --ranks 1 --out a.txt", ".npz"),
        ("rank none.npy --ranks 1", "none.npy"),
    ],
)
def test_bad_input_is_one_line(line, message, planted, capsys):
    assert main(line.split()) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith("gcp: error:")
    assert message in err
