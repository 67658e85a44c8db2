"""The first fit where nothing is compiled: processes that wait for each other, and what is compiled ahead."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import gcp
from gcp.base import locks
from gcp.base.compiler import code_files
from gcp.cli import main


@pytest.fixture
def asked(monkeypatch):
    """Names of compiled code that functions ask the disk for."""
    names, name_of = set(), code_files.CodeFiles._name

    def spied(self, *arguments):
        names.add(name_of(self, *arguments))
        return name_of(self, *arguments)

    monkeypatch.setattr(code_files.CodeFiles, "_name", spied)
    return names


def problem(kind, rng):
    data = rng.poisson(1.0, (6, 5, 4)).astype(float)
    subs = np.argwhere(data)
    if kind == "sparse":
        return gcp.SparseTensor(subs, data[data > 0], data.shape)
    return gcp.ObservedTensor(subs, data[data > 0], data.shape)


WAITING = """
import sys, time
import numpy as np
from gcp.base.compiler import code_files
from gcp.kernels.shared import products
code_files._LONGEST_WAIT = float(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
y = np.zeros((4, 32))
products.model(np.ones((4, 6)), np.ones((6, 32)), y)
assert np.all(y == 6)
print(1 - products.model.n_compiled, flush=True)
"""


@pytest.mark.skipif(not locks.exist(), reason="processes wait for each other by locks of files")
class TestWaiting:
    @pytest.fixture
    def begin(self, tmp_path):
        running = []

        def begin(seconds=60.0):
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", WAITING, str(seconds)],
                env=os.environ | {"GCP_CACHE_DIR": str(tmp_path)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            running.append(process)
            assert process.stdout.readline() == "ready\n"
            return process

        yield begin
        for process in running:
            process.kill()
            process.communicate()

    def test_two_processes_compile_a_function_once(self, begin):
        processes = [begin(), begin()]
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
        assert sorted(process.communicate()[0] for process in processes) == ["0\n", "1\n"]

    @pytest.mark.parametrize("end", ["released", "stopped"])
    def test_who_is_waited_for_in_vain_is_done_without(self, end, begin, tmp_path):
        begin().communicate("\n")
        (kept,) = tmp_path.rglob("*.compiled")
        kept.unlink()
        lock = locks.hold(kept.with_suffix(".lock"))
        process = begin(60.0 if end == "released" else 0.3)
        process.stdin.write("\n")
        process.stdin.flush()
        if end == "released":  # as by a process that was killed
            time.sleep(0.5)
            assert process.poll() is None
            os.close(lock)
        assert process.communicate()[0] == "0\n"
        assert kept.exists()
        if end == "stopped":
            os.close(lock)


def test_what_is_compiled_ahead_is_not_compiled_again(rng, asked):
    done = gcp.compile_ahead("poisson", n_jobs=1)
    assert done.folder is not None
    before = set(asked)
    data = rng.poisson(1.0, (6, 5, 4))
    for own in (data, data.astype(float), problem("sparse", rng), problem("observed", rng)):
        for solver in ("auto", "lbfgsb"):
            gcp.fit_gcp(own, 2, loss="poisson", solver=solver, random_state=0, n_iter_max=20)
    gcp.fit_gcp(data.astype(float), 2, loss="poisson", random_state=0)  # to its end, which is exact
    gcp.compile_ahead(
        "poisson", "sparse", n_jobs=1
    )  # whose n_functions counts what other processes compile, too
    assert asked == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"losses": "poison"}, "losses: found 'poison', expected one of"),
        ({"data": ["dense", "dens"]}, "data: found 'dens', expected one of dense, observed, sparse"),
        ({"n_modes": 0}, "n_modes"),
        ({"n_jobs": 0}, "n_jobs"),
    ],
)
def test_compile_ahead_names_what_it_does_not_know(arguments, message):
    with pytest.raises(gcp.ParameterError, match=message):
        gcp.compile_ahead(**arguments)


def test_command_line_compiles_and_says_where(capsys):
    assert main(["compile", "--loss", "poisson", "--data", "dense", "--jobs", "1"]) == 0
    assert " functions compiled in " in (shown := capsys.readouterr().out)
    assert "kept in" in shown
    assert main(["compile", "--loss", "poisson", "--data", "dense", "--jobs", "1", "--json"]) == 0
    assert '"n_functions": ' in capsys.readouterr().out  # not 0 where other tests compile at the same time
    assert main(["compile", "--loss", "poison"]) == 2
    assert "--loss: found 'poison'" in capsys.readouterr().err
