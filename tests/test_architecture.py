"""The import table of the architecture, parsed from the source; and what `import gcp` costs and exposes."""

import ast
import inspect
import re
import subprocess
import sys
import types
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import gcp

ROOT = Path(gcp.__file__).parent

LAYERS = {
    0: {
        "_typing",
        "errors",
        "domain",
        "branchfree",
        "checks",
        "elementary",
        "formula",
        "labels",
        "labelled",
        "alignment",
        "sizes",
        "autodiff",
        "effects",
    },
    1: {"losses", "kernels"},
    2: {"tensors", "distributed"},
    3: {"samplers", "penalties"},
    4: {"objectives"},
    5: {"bounds", "start", "packing", "solvers"},
    6: {
        "arguments",
        "evaluation",
        "fingerprint",
        "holdout",
        "job",
        "normal_form",
        "own_rows",
        "progress",
        "result",
        "result_file",
        "settling",
        "fit",
        "simulation",
        "testing",
        "transform",
        "cells",
        "estimating",
        "estimator",
        "interop",
        "ranking",
        "io",
        "partitioning",
    }
    | {"datasets", "checkpoint"},
    7: {"analysis", "parallel", "selection", "plots", "report"},
    8: {"cli", "__main__", "__init__"},
}
LAYER_OF = {unit: layer for layer, units in LAYERS.items() for unit in units}
OPTIONAL = {"pandas", "matplotlib", "xarray", "dask", "distributed", "pyarrow", "h5py", "zarr"}
SUMMITS = {"cli", "__main__", "__init__"}

# Walls inside the layers: unit -> the gcp units that it may import, beside layer 0 and itself.
WALLS = {
    "losses": set(),
    "kernels": set(),
    "tensors": {"kernels", "distributed"},
    "distributed": {"tensors", "kernels"},
    "penalties": {"tensors"},
    "samplers": {"tensors", "kernels"},
    "objectives": {"losses", "tensors", "samplers", "penalties", "kernels"},
    "bounds": set(),
    "packing": set(),
    "solvers": {"bounds", "packing", "objectives", "kernels"},
    "start": {"losses", "tensors", "bounds", "objectives", "kernels"},
}
# Where a wall has one door.
DOORS = {
    ("objectives", "kernels"): {
        "gcp.kernels",
        "gcp.kernels.compilation",
        "gcp.kernels.moments",
        "gcp.kernels.rows",
        "gcp.kernels.threads",
        "gcp.kernels.vector",
    },
    ("samplers", "kernels"): {
        "gcp.kernels.listed",
        "gcp.kernels.lookup",
        "gcp.kernels.moments",
        "gcp.kernels.radix",
    },
    ("solvers", "objectives"): {
        "gcp.objectives.base",
        "gcp.objectives.curvature",
        "gcp.objectives.least_squares",
        "gcp.objectives.row_wise",
        "gcp.objectives.sampled",
        "gcp.objectives.sampled_rows",
    },
    ("solvers", "kernels"): {"gcp.kernels.jit", "gcp.kernels.products"},
    ("tensors", "distributed"): {"gcp.distributed.data"},
    ("distributed", "kernels"): {"gcp.kernels.threads"},
}


def unit_of(module):
    """`gcp.losses.base` -> `losses`."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path, top_level_only=False):
    """Names of the gcp modules that a file imports."""
    tree = ast.parse(path.read_text())
    found = set()
    for node in tree.body if top_level_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "gcp"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module and node.module.split(".")[0] == "gcp":
                below = {f"{node.module}.{alias.name}" for alias in node.names}
                modules = {name for name in below if is_module(name)}
                found |= modules or {node.module}
    return found


def is_module(name):
    path = ROOT.parent.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


FILES = sorted(path for path in ROOT.rglob("*.py") if "_data" not in path.parts)
EDGES = [(module_of(path), target) for path in FILES for target in sorted(imports_of(path))]


def test_every_module_has_a_layer():
    assert {unit_of(module_of(path)) for path in FILES} <= set(LAYER_OF)


@pytest.mark.parametrize(("source", "target"), EDGES, ids=lambda name: name.removeprefix("gcp."))
def test_imports_point_downwards(source, target):
    here, there = unit_of(source), unit_of(target)
    if here in SUMMITS or here == there:
        return
    assert there not in SUMMITS
    assert LAYER_OF[there] <= LAYER_OF[here]
    if here in WALLS:
        assert LAYER_OF[there] == 0 or there in WALLS[here]
        assert target in DOORS.get((here, there), {target})
    if LAYER_OF[here] == 0:
        assert LAYER_OF[there] == 0


def test_imports_at_module_level_have_no_cycle():
    graph = {module_of(path): imports_of(path, top_level_only=True) for path in FILES}
    TopologicalSorter(graph).prepare()  # raises CycleError


def test_only_the_edges_import_heavy_or_optional_libraries_at_module_level():
    for path in FILES:
        if unit_of(module_of(path)) in ("plots", "distributed"):
            continue
        for node in ast.parse(path.read_text()).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert not roots & OPTIONAL, path


def loaded_by(code):
    """Top-level packages in sys.modules after running code in a fresh interpreter."""
    code += "\nimport sys; print(sorted({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ast.literal_eval(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        "import gcp",
        "import gcp; gcp.fit_gcp([[1.0, 2.0], [3.0, 5.0]], 1, random_state=0)",
        "import gcp; gcp.available_losses(); gcp.get_loss('poisson'); gcp.simulate((3, 2), 1, random_state=0)",
    ],
    ids=["import", "fit", "losses"],
)
def test_optional_libraries_stay_out(code):
    assert not loaded_by(code) & (OPTIONAL | {"IPython"})


def test_import_alone_loads_nothing_heavy():
    assert not loaded_by("import gcp") & {"numpy", "scipy", "numba", "tensorly"}


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

    for module in ("gcp.fit", "gcp.simulation", "gcp.objectives.choose", "gcp.losses.custom", "gcp.datasets"):
        outcome = doctest.testmod(importlib.import_module(module))
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
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"
