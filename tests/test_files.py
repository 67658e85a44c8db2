"""Files appear whole, leave nothing behind, and belong to one writer at a time."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import gcp
from gcp.base.locks import locked
from gcp.cli import main
from gcp.io.files import replacing

posix = pytest.mark.skipif(sys.platform == "win32", reason="no such locks")


def script(text, folder):
    """A process that has printed a line, with what it is doing under way."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    process.first = process.stdout.readline()
    return process


NAMES = {"plain": "a.npz", "star": "*", "set": "[ab]?.x", "long": "long" * 40}
"""Of files, by the folder that each is in."""

WRITES = f"""
    import time
    from contextlib import ExitStack
    from pathlib import Path
    from gcp.io.files import replacing
    with ExitStack() as stack:
        for folder, name in {NAMES}.items():
            stack.enter_context(replacing(Path(folder, name))).write_text("half")
        print("writing", flush=True)
        time.sleep(60)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@posix
def test_what_killed_writers_left_goes_with_the_next_ones(tmp_path):
    others = {
        folder: [".thesis.x.part", f".{name[:60]}.notes.part", f".ax.x.{'0' * 32}.part", ".a.npz.bak.part"]
        for folder, name in NAMES.items()
    }
    for folder in NAMES:
        (tmp_path / folder).mkdir()
        for other in others[folder]:
            (tmp_path / folder / other).write_text("mine")
    dead, alive = (script(WRITES, tmp_path) for _ in range(2))
    assert dead.first == alive.first == "writing\n"
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    for folder, name in NAMES.items():
        assert len(names(tmp_path / folder)) == len(others[folder]) + 2
        with replacing(tmp_path / folder / name) as part:
            part.write_text("whole")
        assert (tmp_path / folder / name).read_text() == "whole"
        assert set(others[folder]) < set(names(tmp_path / folder))
        # The file, and the part of the one that lives.
        assert len(names(tmp_path / folder)) == len(others[folder]) + 2
    alive.kill()
    alive.wait()
    for folder, name in NAMES.items():
        with replacing(tmp_path / folder / name) as part:
            part.write_text("again")
        assert names(tmp_path / folder) == sorted([*others[folder], name])


def cli(line):
    return lambda result, path: main(
        [word.format(result=result, path=path) for word in [*line.split(), "--debug"]]
    )


WRITERS = {
    "result.npz": lambda result, path: gcp.FitResult.load(result).save(path),
    "tensor.npz": lambda _, path: gcp.write_tensor(path, np.ones((3, 2))),
    "tensor.csv.gz": lambda _, path: gcp.write_tensor(path, np.ones((3, 2))),
    "report.html": cli("report {result} --data titanic --out {path}"),
    "fit.npz": cli("fit titanic --rank 1 --quiet --max-iter 1 --out {path}"),
    "fit.png": cli("fit titanic --rank 1 --quiet --max-iter 1 --plot {path}"),
    "plot.png": cli("plot {result} --out {path}"),
    "plot.svg": cli("plot {result} --out {path}"),
    "rank.png": cli("rank titanic --ranks 1 --l2-reg 0 --splits 1 --starts 1 --seed 0 --quiet --plot {path}"),
    "anomalies.csv": cli("anomalies {result} --data titanic --out {path}"),
    "convert.npz": cli("convert titanic {path}"),
}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "r.npz"
    gcp.fit_gcp(gcp.datasets.load_titanic(), 1, loss="poisson", random_state=0, n_threads=1).save(path)
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_finished_leaves_the_one_that_was_there(name, result, tmp_path, monkeypatch):
    path = tmp_path / name
    path.write_text("old")
    if name == "report.html":  # its pictures are in it as text
        monkeypatch.setattr(
            "matplotlib.figure.Figure.savefig", lambda self, file, **options: file.write(b"\x89PNG")
        )

    def full_disk(source, target, replace=os.replace):
        if Path(target) == path:
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full_disk)
        with pytest.raises(gcp.DataError, match=f"{name}: cannot be written: No space left"):
            WRITERS[name](result, path)
    assert path.read_text() == "old"
    assert names(tmp_path) == [name]
    WRITERS[name](result, path)
    assert path.stat().st_size > 3
    assert names(tmp_path) == [name]


FIT = """
    import sys, time
    import numpy as np
    import gcp
    def show(state):
        if state.iteration == 2:
            print("fitting", flush=True)
            time.sleep(60)
    x = np.random.default_rng(0).poisson(2.0, (6, 5, 4))
    options = {"loss": "poisson", "random_state": 0, "n_threads": 1}
    gcp.fit_gcp(x, 2, checkpoint="c.npz", checkpoint_every=0, callback=show, **options)
"""


@posix
def test_two_fits_do_not_share_a_checkpoint(tmp_path):
    x = np.random.default_rng(0).poisson(2.0, (6, 5, 4))
    options = {"loss": "poisson", "random_state": 0, "n_threads": 1}
    first = script(FIT, tmp_path)
    assert first.first == "fitting\n"
    before = (tmp_path / "c.npz").read_bytes()
    with pytest.raises(
        gcp.DataError, match=rf"c\.npz: .*in use by another fit \(process {first.pid} on .*Wait"
    ):
        gcp.fit_gcp(x, 2, checkpoint=tmp_path / "c.npz", **options)
    assert (tmp_path / "c.npz").read_bytes() == before
    first.send_signal(signal.SIGKILL)  # the lock goes with the process
    first.wait()
    result = gcp.fit_gcp(x, 2, checkpoint=tmp_path / "c.npz", **options)
    assert result.objective == gcp.fit_gcp(x, 2, **options).objective
    assert names(tmp_path) == ["c.npz"]


@posix
def test_two_threads_do_not_share_a_checkpoint_either(tmp_path):
    has_it, may_end = threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path / "c.npz", "the checkpoint"):
            has_it.set()
            may_end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    has_it.wait(30)
    with pytest.raises(gcp.DataError, match=f"process {os.getpid()} on"):
        gcp.fit_gcp(np.ones((3, 2)), 1, checkpoint=tmp_path / "c.npz")
    may_end.set()
    thread.join()
    gcp.fit_gcp(np.ones((3, 2)), 1, checkpoint=tmp_path / "c.npz")
    assert names(tmp_path) == ["c.npz"]


def test_a_checkpoint_that_is_refused_is_free_again(tmp_path):
    options = {"checkpoint": tmp_path / "c.npz", "random_state": 0}
    gcp.fit_gcp(np.ones((3, 2)), 1, **options)
    for _ in range(2):
        with pytest.raises(gcp.DataError, match="other rank"):
            gcp.fit_gcp(np.ones((3, 2)), 2, **options)
    assert names(tmp_path) == ["c.npz"]
