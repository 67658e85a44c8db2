"""The first fit where nothing is compiled: what another process compiles for it, and what is compiled ahead."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import gcp
from gcp.base import locks
from gcp.cli import main
from gcp.kernels.listed import row_steps
from gcp.kernels.shared import code_files, linked
from gcp.objectives.build import build_objective
from gcp.solvers.pieces import box_quadratic, normal_equations
from gcp.solvers.starts import cold_start

LAST = {
    "quadratic": box_quadratic.minimize,
    "least squares": normal_equations.update,
    "rows": row_steps._update_rows,
}


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
    if kind == "parts":
        return gcp.partition(data, 2)
    if kind == "sparse":
        return gcp.SparseTensor(subs, data[data > 0], data.shape)
    return gcp.ObservedTensor(subs, data[data > 0], data.shape) if kind == "observed" else data


@pytest.mark.parametrize(
    ("piece", "loss", "kind"),
    [
        ("quadratic", "poisson", "dense"),
        ("least squares", "gaussian", "dense"),
        ("rows", "poisson", "sparse"),
        ("rows", "gaussian", "observed"),
    ],
)
def test_a_piece_is_what_a_fit_goes_on_to_use(piece, loss, kind, rng):
    cold_start.work([loss, "3", piece])
    before = set(LAST[piece].signatures)
    assert before
    gcp.fit_gcp(problem(kind, rng), 2, loss=loss, random_state=0, n_iter_max=3, tol=0)
    assert set(LAST[piece].signatures) == before


def test_the_dense_piece_is_what_passes_link(rng):
    cold_start.work(["poisson", "3", "dense"])
    before = [set(function.signatures) for function in linked.FUNCTIONS]
    build_objective(problem("dense", rng), "poisson").value_and_grad([np.ones((n, 2)) for n in (6, 5, 4)])
    assert [set(function.signatures) for function in linked.FUNCTIONS] == before


class TestAnotherProcess:
    @pytest.fixture(autouse=True)
    def _is_cold(self, monkeypatch):
        monkeypatch.setattr(cold_start, "_is_wanted", lambda function: True)
        monkeypatch.setattr(cold_start, "_can", lambda: True)

    @pytest.mark.parametrize(
        ("kind", "loss", "solver", "pieces"),
        [
            ("dense", "poisson", "auto", ["quadratic", "dense"]),
            ("dense", "gaussian", "als", ["least squares", "dense"]),
            ("dense", "poisson", "lbfgsb", ["dense"]),
            ("sparse", "poisson", "auto", ["rows"]),
            ("sparse", "poisson", "lbfgsb", []),
            ("parts", "poisson", "auto", ["quadratic"]),
        ],
    )
    def test_compiles_what_the_fit_needs(self, kind, loss, solver, pieces, rng, monkeypatch):
        asked = []
        monkeypatch.setattr(cold_start, "_start", asked.append)
        gcp.fit_gcp(problem(kind, rng), 2, loss=loss, solver=solver, random_state=0)
        assert asked == ([[loss, "3", *pieces]] if pieces else [])

    @pytest.mark.parametrize("python", ["", "/nowhere/python", "false"])
    def test_that_fails_is_no_matter(self, python, rng, monkeypatch):
        data = problem("dense", rng)
        truth = gcp.fit_gcp(data, 2, loss="poisson", random_state=0).objective
        monkeypatch.setattr(sys, "executable", python)
        assert gcp.fit_gcp(data, 2, loss="poisson", random_state=0).objective == truth

    def test_knows_custom_losses_by_no_name(self, rng, monkeypatch):
        asked = []
        monkeypatch.setattr(cold_start, "_start", asked.append)
        loss = gcp.custom_loss(lambda x, m: (x - m) ** 4)
        gcp.fit_gcp(problem("dense", rng), 1, loss=loss, random_state=0, n_iter_max=2)
        assert [arguments[0] for arguments in asked] == ["gaussian"]


def test_none_is_started_where_all_is_compiled_or_nothing_can_be_kept(rng, monkeypatch, tmp_path):
    started, data = [], problem("dense", rng)
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)
    monkeypatch.setattr(cold_start, "_can", lambda: True)
    monkeypatch.setattr(cold_start, "_start", started.append)
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)  # this process has it
    assert started == []
    monkeypatch.setattr(cold_start, "_is_wanted", code_files.is_wanted)  # ... and a new one finds it on disk
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)
    assert started == []
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(code_files.config, "CACHE_DIR", str(tmp_path / "file" / "folder"))
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)
    assert started == []
    monkeypatch.setattr(code_files.config, "CACHE_DIR", str(tmp_path))
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)
    assert started == [["poisson", "3", "quadratic", "dense"]]
    monkeypatch.setattr(code_files, "text_of", lambda modules: "")  # the package has changed on disk
    gcp.fit_gcp(data, 1, loss="poisson", random_state=0)
    assert len(started) == 1


@pytest.mark.parametrize("loss", gcp.available_losses())
def test_pieces_know_every_loss(loss):
    cold_start.work([loss, "3", "rows"])
    assert row_steps._update_rows.signatures


@pytest.mark.parametrize("name", ["uwsgi", "", None])
def test_only_a_python_is_started(name, monkeypatch):
    monkeypatch.setattr(sys, "executable", name)
    assert not cold_start._can()


WAITING = """
import sys, time
import numpy as np
from gcp.kernels.shared import code_files, products
code_files._LONGEST_WAIT = float(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
y = np.zeros((4, 32))
products.model(np.ones((4, 6)), np.ones((6, 32)), y)
assert np.all(y == 6)
print(sum(products.model.stats.cache_hits.values()), flush=True)
"""


@pytest.mark.skipif(not locks.exist(), reason="processes wait for each other by locks of files")
class TestWaiting:
    @pytest.fixture
    def begin(self, tmp_path):
        running = []

        def begin(seconds=60.0):
            process = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", WAITING, str(seconds)],
                env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
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
    assert asked == before
    assert gcp.compile_ahead("poisson", "sparse", n_jobs=1).n_functions == 0


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
    assert '"n_functions": 0' in capsys.readouterr().out
    assert main(["compile", "--loss", "poison"]) == 2
    assert "losses: found 'poison'" in capsys.readouterr().err
