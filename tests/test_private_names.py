"""Private names of other libraries: in one file each, under an upper bound, and missing ones are no mystery."""

import ast
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import gcp
from gcp.solvers.pieces import scipy_lbfgsb

ROOT = Path(gcp.__file__).parent
OTHERS = {
    "numpy",
    "scipy",
    "llvmlite",
    "tensorly",
    "pandas",
    "dask",
    "h5py",
    "zarr",
    "joblib",
    "rich",
}
ONLY_IN = {"scipy": "solvers/pieces/scipy_lbfgsb.py"}


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
    assert {path for path, text in texts.items() if word in text} == set()


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
