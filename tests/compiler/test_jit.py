"""Compiled code on disk: never another function's, whatever processes share it and whatever happens to its files."""

import os
import shutil
import subprocess
import sys
import threading
import types
from pathlib import Path

import numpy as np
import pytest

import gcp
from gcp.base.compiler import code_files, jit, machine
from gcp.kernels.dense import fused
from gcp.kernels.shared import compiled_formulas
from gcp.losses import elementary
from gcp.solvers import adam
from gcp.solvers.pieces import box_quadratic

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes of equal counters need fork")

PAIRS = """
import ctypes, os
import numpy as np
import gcp
from gcp.base.compiler.jit import jit
from gcp.kernels.shared import linked, per_entry

x, m, zero = np.ones(64), np.linspace(0.2, 3.0, 64), np.zeros(2)
losses = [gcp.get_loss(name) for name in gcp.available_losses()[:3]]

def address(loss):
    return per_entry.address(loss.formula, np.dtype(float), loss.formula.d2f)

for loss in losses:
    if os.fork() == 0:
        address(loss)
        os._exit(0)
    assert os.wait()[1] == 0
for loss in losses:  # what is loaded last must not be taken for what was loaded before
    address(loss)
for loss in losses:
    y, v, u = m.copy(), np.zeros(64), np.zeros(64)
    arrays = x, np.ones(64), np.zeros(64), y, v, u, np.array(loss.params), zero
    places = [linked.address_of(array) for array in arrays]
    kinds = [ctypes.c_void_p] * 8 + [ctypes.c_int64]
    ctypes.CFUNCTYPE(None, *kinds)(address(loss))(*places, 64)
    assert np.allclose(v, loss.value(x, m), rtol=1e-10), loss.name
    assert np.allclose(y, loss.deriv(x, m), rtol=1e-10), loss.name
    assert np.allclose(u, abs(loss.curvature(x, m)), rtol=1e-10), loss.name
print(len(losses))
"""

AT_ONCE = """
import os, time
import numpy as np
from gcp.kernels.shared import products

def work(dtype):
    a = np.arange(24, dtype=dtype).reshape(4, 6)
    y = np.zeros((4, 32), dtype)
    products.model(a, np.ones((6, 32), dtype), y)
    assert np.array_equal(y[:, 0], a.sum(axis=1)), dtype

start = time.time() + 0.2
children = []
for dtype in (np.float32, np.float64):
    children.append(os.fork())
    if children[-1] == 0:
        time.sleep(max(0.0, start - time.time()))
        work(dtype)
        os._exit(0)
assert all(os.waitpid(child, 0)[1] == 0 for child in children)
work(np.float32), work(np.float64)
assert products.model.n_compiled == 0
"""


def run_script(text, folder):
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", text],
        env=os.environ | {"GCP_CACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_losses_compiled_by_different_processes_are_told_apart(tmp_path):
    done = run_script(PAIRS, tmp_path)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 3


def test_processes_that_compile_at_the_same_moment_get_their_own(tmp_path):
    done = run_script(AT_ONCE, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where compiled code lies in this test."""
    monkeypatch.setenv(code_files.FOLDER, str(tmp_path))
    return tmp_path


def twice(x):
    return 2 * x


def compiled():
    """A function compiled in this process or taken from disk, and how often it came from there."""
    function = jit.jit(twice)
    return function, lambda: len(function.signatures) - function.n_compiled


def files(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def test_a_function_of_two_types_is_two_files(folder):
    function, hits = compiled()
    assert (function(2), function(2.5)) == (4, 5.0)
    assert hits() == 0
    assert len(files(folder)) == 2
    again, hits = compiled()
    assert (again(2.5), again(2)) == (5.0, 4)
    assert hits() == 2


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "a byte changed": lambda content: content[:-200] + bytes([content[-200] ^ 1]) + content[-199:],
    "checksum changed": lambda content: bytes([content[0] ^ 1]) + content[1:],
    "other content": lambda content: bytes(len(content)),
    "longer": lambda content: content + b"\0",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_replaced(folder, damage):
    compiled()[0](2)
    (path,) = files(folder)
    path.write_bytes(damage(path.read_bytes()))
    function, hits = compiled()
    assert function(2) == 4
    assert hits() == 0
    function, hits = compiled()
    assert function(2) == 4
    assert hits() == 1


def test_a_sound_file_under_the_name_of_another_is_not_its_code(folder):
    compiled()[0](2)
    (path,) = files(folder)
    compiled()[0](2.5)
    (other,) = set(files(folder)) - {path}
    path.write_bytes(other.read_bytes())
    function, hits = compiled()
    assert function(2) == 4
    assert isinstance(function(2), int)
    assert hits() == 0


def test_a_folder_in_the_place_of_a_file_costs_a_compilation(folder):
    compiled()[0](2)
    (path,) = files(folder)
    path.unlink()
    path.mkdir()
    assert compiled()[0](2) == 4


@jit.jit_part(fastmath={"contract"})
def half(x):
    return 0.5 * x


@jit.jit
def half_of_sum(x):
    total = 0.0
    for k in range(x.size):
        total += x[k]
    return half(total) + half(0.0)


def test_a_function_with_variables_of_one_around_it_is_not_kept(folder):
    def times(factor):
        return jit.jit(lambda x: factor * x), jit.jit(scaled(factor))

    def scaled(factor):
        def scale(x):
            return factor * x

        return scale

    for factor in (2.0, 3.0):
        assert [function(1.0) for function in times(factor)] == [factor, factor]
    assert files(folder) == []


def test_a_part_is_in_what_calls_it_and_has_no_code_of_its_own(folder):
    assert half_of_sum(np.arange(5.0)) == 5.0
    assert [path.name.partition("-")[0] for path in files(folder)] == ["half_of_sum"]


def test_a_part_can_be_called_from_python_before_and_after_what_calls_it(folder):
    assert half(3.0) == 1.5
    assert half_of_sum(np.ones(4)) == 2.0
    assert (half(5.0), half(3), half(x=7.0)) == (2.5, 1.5, 3.5)


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(code_files.FOLDER, str(tmp_path / "file" / "folder"))
    assert compiled()[0](2) == 4


def test_a_full_disk_leaves_no_part_of_a_file(folder, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert compiled()[0](2) == 4
    assert files(folder) == []


CUSTOM = """
import sys
import numpy as np, gcp
from gcp.base.compiler import code_files, jit, machine
code_files._MOST_CUSTOM = 4
x = np.random.default_rng(0).normal(size=(4, 3, 2))
seen = []
with jit.compilations_seen(seen.append, lambda function: None):
    for c in sys.argv[1:]:
        loss = gcp.custom_loss(eval(f"lambda x, m: {c} * (x - m) ** 4"))
        assert gcp.fit_gcp(x, 1, loss=loss, solver="lbfgsb", n_iter_max=2, random_state=0).objective > 0
print(len(seen))
"""


def test_users_formulas_are_kept_by_content_within_a_bound(tmp_path):
    def n_compilations(*constants):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CUSTOM, *constants],
            env=os.environ | {"GCP_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    def custom():
        return {path.name for path in tmp_path.rglob("custom-*.compiled")}

    assert n_compilations("2.0") > 0
    one = custom()
    assert 0 < len(one) <= 2  # functions of a formula
    assert n_compilations("2.0") == 0  # in another process
    assert n_compilations("3.0") > 0
    assert n_compilations("2.0", "3.0") == 0
    n_compilations("4.0", "2.0", "5.0", "6.0")
    assert len(custom()) == 4
    assert n_compilations("6.0") == 0
    assert n_compilations("3.0") > 0  # used longest ago


def test_a_changed_text_is_compiled_anew_and_replaces_what_was_there(folder, monkeypatch):
    compiled()[0](2)
    before = files(folder)
    monkeypatch.setattr(code_files, "_file_digest", lambda path: "another text")
    function, hits = compiled()
    assert function(2) == 4
    assert hits() == 0
    assert len(files(folder)) == 1
    assert files(folder) != before


UPGRADED = """
import sys
from pathlib import Path
import own
if len(sys.argv) > 1:  # the file changes under a process that has imported it
    Path(own.__file__).write_text(Path(own.__file__).read_text().replace("x + 1", "x + 2"))
print(own.add(1))
"""


def test_code_imported_before_an_upgrade_is_not_kept_as_that_after_it(tmp_path):
    (tmp_path / "own.py").write_text(
        "from gcp.base.compiler.jit import jit\n\n@jit\ndef add(x):\n    return x + 1\n"
    )

    def printed(*arguments):
        env = os.environ | {
            "GCP_CACHE_DIR": str(tmp_path / "compiled"),
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(gcp.__file__).parents[1])]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, "-c", UPGRADED, *arguments]
        return int(subprocess.run(command, env=env, check=True, capture_output=True).stdout)

    assert printed("upgrade") == 2
    assert printed() == 3
    assert len(files(tmp_path / "compiled")) == 1


def test_formulas_that_use_numbers_of_another_module_are_not_kept():
    scale = types.ModuleType("settings")
    scope = {"settings": scale, "np": np}
    functions = [lambda x, m: settings.SCALE * (x - m), lambda x, m: np.exp(m)]  # noqa: F821
    other, plain = (types.FunctionType(f.__code__, scope) for f in functions)
    assert compiled_formulas.identity([other]) == ""
    assert compiled_formulas.identity([plain]) != ""


def test_formulas_of_other_helpers_are_other_formulas():
    def of(p, q, r):
        return lambda x, m: p(x) + q(x) * r(m)

    def g(x):
        return x

    def h(x):
        return 3.0 * x

    every = [of(g, h, g), of(g, h, h), of(elementary.exp, g, g), of(elementary.expm1, g, g), of(np.exp, g, g)]
    assert len({compiled_formulas.identity([function]) for function in every}) == len(every)


def test_functions_within_a_function_are_not_kept(folder):
    def make(c):
        @jit.jit
        def f(x, c=c):
            return x + c

        return f

    assert [make(c)(0.0) for c in (1.0, 100.0)] == [1.0, 100.0]
    assert files(folder) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes that are forked")
def test_a_process_forked_while_another_thread_compiles_goes_on():
    is_held, may_end = threading.Event(), threading.Event()

    def hold():
        with machine.LOCK:
            is_held.set()
            may_end.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    child = os.fork()
    if child == 0:
        os._exit(0 if jit.jit(twice)(2) == 4 else 1)
    try:
        assert os.waitpid(child, 0)[1] == 0
    finally:
        may_end.set()
        thread.join()


def test_the_text_of_a_pass_holds_that_of_all_it_calls():
    reached = code_files._reached(fused.__name__)
    assert {
        "gcp.kernels.shared.products",
        "gcp.kernels.shared.prefetch",
        "gcp.kernels.shared.linked",
    } <= reached
    assert "gcp.kernels.shared.products" in code_files._reached("gcp.kernels.shared.khatri_rao")
    assert "gcp.solvers.pieces.gauss_newton" in code_files._reached(box_quadratic.__name__)
    assert "gcp.solvers.exact" not in code_files._reached(adam.__name__)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners of files")
def test_a_folder_that_others_may_write_to_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.delenv(code_files.FOLDER, raising=False)
    monkeypatch.setattr(code_files, "_folders", lambda: [tmp_path])
    tmp_path.chmod(0o777)
    assert compiled()[0](2) == 4
    assert files(tmp_path) == []
    tmp_path.chmod(0o700)
    assert compiled()[0](2) == 4
    assert len(files(tmp_path)) == 1
    tmp_path.chmod(0o720)
    function, hits = compiled()
    assert (function(2), hits()) == (4, 0)


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-fowner", "--inh-caps=-dac_override,-fowner"]
"""For root, who else writes wherever it likes."""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv takes root's rights away")
def test_an_installation_and_a_home_that_may_not_be_written_to(tmp_path):
    """As in many containers: code is kept among temporary files."""
    package, home, temporary = (tmp_path / name for name in ("site", "home", "tmp"))
    shutil.copytree(Path(gcp.__file__).parent, package / "gcp", ignore=shutil.ignore_patterns("__pycache__"))
    home.mkdir(mode=0o500)
    temporary.mkdir()
    (package / "gcp").chmod(0o500)
    script = """if True:
        import numpy as np
        from gcp.kernels.shared import products

        y = np.zeros((4, 32))
        products.model(np.ones((4, 6)), np.ones((6, 32)), y)
        print(y.sum(), products.model.n_compiled)"""
    environment = {"PYTHONPATH": str(package), "HOME": str(home), "TMPDIR": str(temporary)}
    rights = WITHOUT_RIGHTS if os.geteuid() == 0 else []
    said = [
        subprocess.check_output([*rights, sys.executable, "-c", script], env=environment, cwd=home, text=True)
        for _ in range(2)
    ]
    assert said == ["768.0 1\n", "768.0 0\n"]
    assert not any(path.suffix == ".compiled" for path in files(package) + files(home))


AS_PYTHON = """
import sys
import numpy as np
import gcp
from gcp.base.compiler import jit
from gcp.kernels.shared import products

assert jit.DISABLED
rng = np.random.default_rng(0)
for ndim in (1, 2, 3, 4):
    shape = (4, 3, 2, 2)[:ndim]
    factors = [rng.random((size, 2)) + 0.2 for size in shape]
    m = np.einsum(",".join(f"{k}r" for k in "abcd"[:ndim]) + "->" + "abcd"[:ndim], *factors)
    x = rng.poisson(m).astype(float)
    cells = np.argwhere(x >= 0)
    sparse = gcp.SparseTensor(cells[x.ravel() > 0], x[x > 0], shape)
    for data in (x, gcp.ObservedTensor(cells, x.ravel(), shape), sparse):
        objective = gcp.build_objective(data, "poisson", n_threads=1)
        value, gradients = objective.value_and_grad(factors)
        assert np.isclose(value, objective.loss.value(x, m).sum(), rtol=1e-10), (ndim, type(data))
        for n in range(ndim):
            step = np.zeros_like(factors[n])
            step[0, 1] = 1e-5
            up, down = ([*factors[:n], factors[n] + s * step, *factors[n + 1 :]] for s in (1, -1))
            slope = (objective.value_and_grad(up)[0] - objective.value_and_grad(down)[0]) / 2e-5
            assert np.isclose(gradients[n][0, 1], slope, rtol=1e-6, atol=1e-8), (ndim, type(data), n)
    if ndim == 3:
        fits = [gcp.fit_gcp(d, 1, loss=loss, random_state=0, n_threads=1).objective
            for d in (x, gcp.ObservedTensor(cells, x.ravel(), shape)) for loss in ("poisson", "gaussian")]
open(sys.argv[1], "w").write("1 1 1 3.5\\n2 3 4 -1e3\\n")
assert gcp.read_tensor(sys.argv[1]).values[1, 2, 3] == -1000
print(np.allclose(fits[:2], fits[2:], rtol=1e-6))
"""


def test_without_compiling_all_runs_as_python(tmp_path):
    """For debuggers and tools that measure coverage."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", AS_PYTHON, str(tmp_path / "a.tns")],
        env=os.environ | {"GCP_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr
