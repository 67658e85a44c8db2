"""The import table of the architecture, parsed from the source; and what `import gcp` costs and exposes."""

import ast
import importlib.util
import inspect
import re
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import pytest

import gcp

ROOT = Path(gcp.__file__).parent
_SPEC = importlib.util.spec_from_file_location("structure", ROOT.parent / "scripts" / "structure.py")
structure = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(structure)

# The house, from the ground up: a file imports from its own place and from those before it, and nothing else.
HOUSE = (
    "base",
    "base/compiler",
    "losses",
    "kernels/shared",
    "kernels/listed",
    "kernels/dense",
    "tensors",
    "tensors/samplers",
    "tensors/parts",
    "tensors/parts/dask",
    "tensors/intake",
    "objectives/terms",
    "objectives/penalties",
    "objectives/designs",
    "objectives/views",
    "objectives",
    "io",
    "solvers/pieces",
    "solvers",
    "solvers/starts",
    "result",
    "coupled",
    "penalties",
    "designs",
    "fit",
    "datasets",
    "analysis",
    "estimator",
    "analysis/plots",
    "analysis/selection",
    "analysis/report",
    "plots",
    "testing",
    "cli",
    "__main__",
)
OPTIONAL = {"pandas", "matplotlib", "xarray", "dask", "distributed", "pyarrow", "h5py", "zarr", "sklearn"}
FORMULAS = {"gcp.losses.formula", "gcp.losses.elementary", "gcp.losses.branchfree"}

# Walls: what else a place may not see of those below it, but for the modules named.
WALLS = {
    ("kernels", "losses"): FORMULAS,  # kernels know no loss class
    ("tensors", "losses"): {"gcp.losses.formula"},  # tensors carry a formula there and back
    ("solvers/pieces", "tensors"): set(),  # solvers see an objective, starts its data
    ("solvers", "kernels"): {
        "gcp.kernels.shared.compilation",
        "gcp.kernels.shared.linked",
        "gcp.kernels.shared.products",
        "gcp.kernels.dense.dense_pass",
    },
}
FACES = {"gcp.analysis", "gcp.tensors", "gcp.solvers"}
"""Packages whose `__init__` hands on names of the places inside them."""

FILES = sorted(path for path in ROOT.rglob("*.py") if "_data" not in path.parts)
IMPORTS = structure.imports(ROOT)


@cache
def tree(path):
    return ast.parse(path.read_text())


def place_of(module):
    """`gcp.objectives.views.sampled` -> `objectives/views`, the innermost place of the house."""
    path = module.removeprefix("gcp").removeprefix(".").replace(".", "/")
    return max((place for place in HOUSE if f"{path}/".startswith(f"{place}/")), key=len, default="")


def test_every_import_points_down_and_none_closes_a_circle():
    assert [name for name in IMPORTS if name not in ("gcp", "gcp.kernels") and not place_of(name)] == []
    upward = [
        f"{source} -> {target}"
        for source, targets in IMPORTS.items()
        for target in targets
        if target != "gcp"
        and HOUSE.index(place_of(target)) > HOUSE.index(place_of(source))
        and source not in FACES
    ]
    assert upward == []
    assert structure.circles(IMPORTS) == []


def test_walls_have_only_the_doors_that_are_named():
    through = [
        f"{source} -> {target}"
        for source, targets in IMPORTS.items()
        for target in targets
        for (here, there), doors in WALLS.items()
        if source.startswith(f"gcp.{here}.") and target.startswith(f"gcp.{there}.") and target not in doors
    ]
    assert through == []


def test_the_house_has_few_rooms():
    folders = [path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    assert len(folders) <= 10
    files = {path.stem for path in ROOT.glob("*.py")} - {"__init__", "__main__"}
    assert files == {"fit", "result", "coupled", "estimator", "datasets", "plots", "penalties", "designs"}


def test_no_two_files_share_a_name():
    """But `base.py`, which in each folder says what its kinds are."""
    names = [path.stem for path in FILES if path.stem not in ("__init__", "base", "plots")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_no_two_classes_share_a_name():
    nodes = [node for path in FILES for node in ast.walk(tree(path))]
    names = [node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_only_the_edges_import_heavy_or_optional_libraries_at_module_level():
    for path in FILES:
        if path.parent.name in ("plots", "dask"):
            continue
        for node in tree(path).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert not roots & OPTIONAL, path


@cache
def loaded_by(code):
    """Top-level packages in sys.modules after running code in a fresh interpreter."""
    code += "\nimport sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import gcp",
        "import gcp; gcp.available_losses(); gcp.get_loss('poisson'); gcp.simulate((3, 2), 1, random_state=0)\n"
        "gcp.fit_gcp([[1.0, 2.0], [3.0, 5.0]], 1, random_state=0)",
    ],
    ids=["import", "losses and fit"],
)
def test_optional_libraries_stay_out(code):
    assert not loaded_by(code) & (OPTIONAL | {"IPython"})


def test_import_alone_loads_nothing_heavy():
    assert not loaded_by("import gcp") & {"numpy", "scipy", "llvmlite", "tensorly"}


# --- public names ------------------------------------------------------------------------------------------

PUBLIC = sorted(gcp.__all__)
CALLABLES = [
    name for name in PUBLIC if callable(getattr(gcp, name)) and not inspect.ismodule(getattr(gcp, name))
]


def test_the_stub_lists_the_names_of_the_contract():
    promised = {
        "fit_gcp",
        "build_objective",
        "available_losses",
        "get_loss",
        "custom_loss",
        "FitResult",
        "LBFGSB",
    }
    promised |= {
        "DenseTensor",
        "from_frame",
        "read_tensor",
        "write_tensor",
        "simulate",
        "datasets",
        "Interval",
    }
    assert promised <= set(PUBLIC)
    stub = (ROOT / "__init__.pyi").read_text()
    assert set(re.findall(r"import \w+ as (\w+)", stub)) == set(PUBLIC)


def test_no_public_name_is_that_of_a_module():
    """Which would take its place once it is imported; unless it is the module."""
    modules = {path.stem for path in ROOT.iterdir() if path.stem != "__init__"}
    assert {name for name in PUBLIC if name in modules and not inspect.ismodule(getattr(gcp, name))} == set()


def test_the_package_is_a_plain_module():
    """Others ship functions that mention it by its name (cloudpickle: joblib, Dask, Ray)."""
    assert type(gcp) is types.ModuleType
    with pytest.raises(AttributeError, match="module 'gcp' has no attribute 'nothing'"):
        _ = gcp.nothing


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_resolve_and_are_documented(name):
    thing = getattr(gcp, name)
    assert name in dir(gcp)
    assert inspect.getdoc(thing)
    assert inspect.ismodule(thing) or thing.__doc__, f"{name} only inherits its docstring"


def documented_parameters(text):
    """Names in the numpydoc section `Parameters` (and, for classes with fields, `Attributes`)."""
    names = set()
    for section in re.findall(r"(?:Parameters|Attributes)\n-+\n(.*?)(?=\n\n?\w[\w ]*\n-+\n|\Z)", text, re.S):
        for line in re.findall(r"^(\S.*?)(?: :|$)", section, re.M):
            names |= {part.strip().lstrip("*") for part in line.split(",")}
    return names


@pytest.mark.parametrize("name", [name for name in CALLABLES if not inspect.isclass(getattr(gcp, name))])
def test_functions_document_every_parameter(name):
    function = getattr(gcp, name)
    assert set(inspect.signature(function).parameters) <= documented_parameters(inspect.getdoc(function))


@pytest.mark.parametrize(
    "name",
    [
        "DenseTensor",
        "ObservedTensor",
        "PartitionedTensor",
        "SparseTensor",
        "ALS",
        "Adam",
        "LBFGSB",
        "PreconditionedLBFGS",
        "RowNewton",
        "SampledRowNewton",
        "Interval",
        "ModeLabels",
        "FitResult",
    ],
)
def test_classes_document_every_parameter(name):
    cls = getattr(gcp, name)
    assert set(inspect.signature(cls).parameters) <= documented_parameters(inspect.getdoc(cls))


@pytest.mark.parametrize("method", ["model_values", "predict", "score", "deviance_explained", "save", "load"])
def test_methods_of_a_result_are_documented(method):
    assert inspect.getdoc(getattr(gcp.FitResult, method))


def test_examples_in_docstrings_run():
    import doctest
    import importlib

    for module in (
        "gcp.fit",
        "gcp.estimator",
        "gcp.analysis.simulation",
        "gcp.objectives.build",
        "gcp.losses.custom",
        "gcp.datasets",
        "gcp.testing.loss_checks",
        "gcp.testing.penalty_checks",
        "gcp.testing.solver_checks",
        "gcp.testing.tensor_checks",
    ):
        outcome = doctest.testmod(importlib.import_module(module))
        assert outcome.attempted > 0, module
        assert outcome.failed == 0, module


def test_errors_derive_from_the_built_in_ones():
    for name in ("DataError", "DomainError", "FormatError", "ParameterError"):
        assert issubclass(getattr(gcp, name), gcp.GcpError)
        assert issubclass(getattr(gcp, name), ValueError)
    assert issubclass(gcp.FitError, RuntimeError)
    assert issubclass(gcp.ConvergenceWarning, UserWarning)


def test_files_and_functions_keep_to_their_size():
    for path in FILES:
        text = path.read_text()
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"
