"""What a process keeps when fits are over, and what it can send to others."""

import subprocess
import sys
import textwrap
import threading

import cloudpickle
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import gcp
from gcp.base.threads import single_threaded_blas


def run(text, folder, **options):
    (folder / "script.py").write_text(textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, capture_output=True, text=True, timeout=300, **options
    )


def test_functions_of_a_script_that_mention_the_package_can_be_sent(tmp_path):
    """As joblib, Dask and Ray do, by cloudpickle."""
    done = run(
        """
        import joblib
        import gcp

        def fit(seed):
            return gcp.fit_gcp([[1.0, 2.0], [3.0, 5.0]], 1, random_state=seed, n_threads=1).objective

        print(joblib.Parallel(n_jobs=2)(joblib.delayed(fit)(seed) for seed in range(2)))
        """,
        tmp_path,
    )
    found = np.array(eval(done.stdout)) if done.returncode == 0 else done.stderr
    truth = np.linalg.svd([[1.0, 2.0], [3.0, 5.0]])[1][1] ** 2  # what rank 1 leaves over
    np.testing.assert_allclose(found, [truth, truth], rtol=1e-6)


@pytest.mark.parametrize("name", ["gcp", "gcp.plots", "gcp.analysis", "gcp.datasets", "gcp.losses"])
def test_modules_are_sent_by_name(name):
    __import__(name)
    text = cloudpickle.dumps(sys.modules[name])
    assert len(text) < 100
    assert cloudpickle.loads(text) is sys.modules[name]


def blas_threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def many_threads():
    """Whatever this machine has."""
    with single_threaded_blas(), threadpool_limits(limits=2, user_api="blas"):
        pass  # all libraries are loaded now
    with threadpool_limits(limits=2, user_api="blas"):
        assert set(blas_threads()) == {2}
        yield


def test_blas_has_its_threads_again_after_fits_in_several_threads(many_threads):
    """One begins, another begins, the first ends, the second ends: the second found one thread."""
    first_in, second_in, seen = threading.Event(), threading.Event(), []

    def first():
        with single_threaded_blas():
            first_in.set()
            second_in.wait(30)
        seen.append(blas_threads())

    def second():
        first_in.wait(30)
        with single_threaded_blas():
            second_in.set()
            one.join(30)
            seen.append(blas_threads())

    one, two = threading.Thread(target=first), threading.Thread(target=second)
    one.start()
    two.start()
    two.join(30)
    assert [set(found) for found in seen] == [{1}, {1}]  # until the last one has ended
    assert set(blas_threads()) == {2}


def test_blas_has_its_threads_again_after_fits_that_fail(many_threads):
    def ask(state):
        raise ValueError("of the callback")

    for _ in range(2):
        with pytest.raises(ValueError, match="of the callback"):
            gcp.fit_gcp(np.eye(4), 2, random_state=0, callback=ask)
        assert set(blas_threads()) == {2}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("module", ["gcp.cli", "gcp.cli.fit_command", "numpy", "gcp.base.threads"])
def test_an_interrupt_of_the_imports_ends_the_command_as_any_other(module, tmp_path):
    done = run(
        f"""
        import runpy, signal, sys
        from importlib.abc import MetaPathFinder

        class Interrupting(MetaPathFinder):
            def find_spec(self, name, path=None, target=None):
                if name == {module!r}:
                    signal.raise_signal(signal.SIGINT)

        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.meta_path.insert(0, Interrupting())
        sys.argv = ["gcp", "suggest", "titanic"]
        runpy.run_module("gcp", run_name="__main__")
        """,
        tmp_path,
    )
    assert done.returncode == 130
    assert done.stderr == "gcp: error: interrupted\n"


@pytest.mark.skipif(sys.platform == "win32", reason="files that are mapped cannot be cut short there")
def test_a_small_mapped_file_that_is_cut_short_during_a_fit_does_not_end_the_process(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).poisson(2.0, (90, 80, 70)).astype(float))
    done = run(
        """
        import os
        import numpy as np
        import gcp

        def cut(state):
            os.truncate("x.npy", 1000)

        x = np.load("x.npy", mmap_mode="r")
        print(gcp.fit_gcp(x, 1, loss="poisson", random_state=0, n_threads=1, n_iter_max=3, callback=cut).n_iter)
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
