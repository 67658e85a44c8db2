"""Private names of other libraries: in one file each, under an upper bound, and missing ones are no mystery."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement

import gcp
from gcp.solvers.pieces import scipy_lbfgsb

ROOT = Path(gcp.__file__).parent
OTHERS = {
    "numpy",
    "scipy",
    "numba",
    "llvmlite",
    "tensorly",
    "pandas",
    "dask",
    "h5py",
    "zarr",
    "joblib",
    "rich",
}
ONLY_IN = {"numba": "kernels/shared/numba_private.py", "scipy": "solvers/pieces/scipy_lbfgsb.py"}


def is_private(name):
    library, *rest = name.split(".")
    hidden = any(part.startswith("_") and not part.startswith("__") for part in rest)
    return library in OTHERS and (hidden or rest[:1] in (["core"], ["np"]))


def private_names(path):
    """Imported names, and attributes that begin with one underscore of something other than self, cls or super()."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in full if is_private(name))


def test_they_are_in_one_file_for_each_library():
    found = {path.relative_to(ROOT).as_posix(): sorted(private_names(path)) for path in ROOT.rglob("*.py")}
    by_library = {
        library: {
            path for path, names in found.items() if any(name.startswith(f"{library}.") for name in names)
        }
        for library in OTHERS
    }
    assert {library: paths for library, paths in by_library.items() if paths} == {
        library: {path} for library, path in ONLY_IN.items()
    }


@pytest.mark.parametrize("word", ["._cache", "._mmap", "._reduce", "._rebuild", "._defn", ".setulb"])
def test_nor_are_private_attributes_used_elsewhere(word):
    texts = {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")
    }
    allowed = {"kernels/shared/numba_private.py"} if word in ("._cache", "._reduce", "._rebuild") else set()
    assert {path for path, text in texts.items() if word in text} <= allowed


def test_their_versions_are_bounded():
    text = (ROOT.parent / "pyproject.toml").read_text(encoding="utf-8")
    for line in tomllib.loads(text)["project"]["dependencies"]:
        asked = Requirement(line)
        if asked.name in ONLY_IN:
            assert any(bound.operator == "<" for bound in asked.specifier)
            assert asked.specifier.contains(version(asked.name))


def other_routine(*arguments):
    raise TypeError("setulb() takes 12 arguments")


@pytest.mark.parametrize("routine", [None, other_routine], ids=["gone", "changed"])
def test_scipy_without_the_routine_is_an_error_that_says_so(routine, rng, monkeypatch):
    monkeypatch.setattr(scipy_lbfgsb, "_setulb", routine)
    x = rng.normal(size=(5, 4, 3))
    with pytest.raises(
        gcp.FitError, match=r"SciPy .* has no L-BFGS-B routine that this gcp knows: install one"
    ):
        gcp.fit_gcp(x, 1, solver="lbfgsb", random_state=0)
    assert gcp.fit_gcp(x, 1, solver="plbfgs", random_state=0).converged


@pytest.mark.parametrize("is_missing", [False, True])
def test_numba_without_a_name_compiles_in_every_process_and_keeps_nothing(is_missing, tmp_path):
    code = f"""
import numba.core.caching, numba.experimental.function_type  # which use the name themselves
if {is_missing}:
    del numba.core.caching.NullCache
import numpy as np
from gcp.kernels.shared import numba_private
from gcp.kernels.shared import khatri_rao
from gcp.solvers.adam import _step
seen = []
z = np.ones(3)
with numba_private.compilations_seen(lambda: seen.append(1), lambda: None):
    _step(z, np.ones(3), np.zeros(3), np.zeros(3), -z, z, (0.9, 0.999, 1e-2, 1e-3, 1e-8))
product = np.zeros((1, 6))
khatri_rao.columns(np.array([[2.0, 3.0, 1.0, 10.0, 100.0]]), np.array([2, 3]), 0, 6, product)
assert product.tolist() == [[2.0, 20.0, 200.0, 3.0, 30.0, 300.0]]
print(bool(numba_private.MISSING), bool(seen), z.tolist())
"""
    path = {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT.parent), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    z = 1.0 - 1e-2 * 0.1 / (np.sqrt(1e-3 / 1e-3) + 1e-8)  # Kingma and Ba's step, by hand
    missing, seen, *numbers = done.stdout.replace("[", "").replace("]", "").replace(",", "").split()
    assert (missing, seen) == (str(is_missing), str(not is_missing))
    np.testing.assert_allclose([float(number) for number in numbers], z, rtol=1e-12)
    assert bool(list(tmp_path.rglob("*.compiled"))) is not is_missing
