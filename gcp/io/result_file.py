"""Fit results in files: a zip archive of .npy arrays with one JSON text, no pickle. See docs/result-format.md."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from gcp.base import checks
from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.archive import Archive
from gcp.io.files import DAMAGE, opened, replacing, writing
from gcp.io.formats.npz import labels_of, units_as_array, write_archive
from gcp.losses import Loss, get_loss
from gcp.losses.custom import CustomLoss
from gcp.losses.several import SeveralLosses
from gcp.objectives.description import ProblemDescription
from gcp.objectives.memory import Memory
from gcp.tensors.entries import MOST_MODES

_NAME = "gcp-result"
COUPLED = "gcp-coupled-result"
"""The format of results of coupled tensors, `coupled_file`."""

_VERSION = 6
"""The version of files of updated models.

For older readers it is 5 with several losses, 4 with exposures, offsets or trials, 3 with unknown positions, 2 with
main effects alone, and 1 of others.
"""

_MOST_NUMBERS = 10**7
"""Numbers in a column of the trace, or in an array of a penalty."""

_SCALARS = (
    "objective",
    "penalty",
    "null_objective",
    "saturated_objective",
    "training_deviance_explained",
    "total_weight",
    "converged",
    "status",
    "message",
    "n_iter",
    "n_eval",
    "projected_gradient_norm",
    "seconds",
    "starts",
    "settings",
)


def write(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write the fields of a result, by name; the file appears under its name only when it is complete."""
    path = checks.path("path", path)
    arrays = {"format": np.array(_NAME), **arrays_of(result)}
    with writing(path), replacing(path) as part, opened(part, False, "wb") as file:
        write_archive(file, arrays)


def arrays_of(result: Mapping[str, Any]) -> dict[str, Array]:
    """Return the fields of a result as arrays by the names of their entries, of any shape; all but the format."""
    labels: ModeLabels = result["labels"]
    penalties: dict[str, Array] = {}
    meta = {name: result[name] for name in _SCALARS} | {"loss": _describe(result["loss"])}
    meta["problem"] = result["problem"].as_json(penalties)
    if result["memory"]:
        meta["memory"] = result["memory"].as_json()
    effects, unknown = result["main_effects"], result["unknown"]
    arrays: dict[str, Array] = {
        "version": np.array(_version(result)),
        "meta": np.array(json.dumps(meta, default=as_number)),
        "weights": result["weights"],
        "mode_names": np.array(labels.names),
    }
    arrays |= {f"factor_{n}": a for n, a in enumerate(result["factors"])}
    arrays |= {f"coords_{n}": c for n, c in enumerate(labels.coords) if c is not None}
    if any(units := units_as_array(labels)):
        arrays["units"] = units
    if effects:
        arrays["intercept"] = np.array(result["intercept"])
        arrays |= {f"effect_{labels.names.index(name)}": vector for name, vector in effects.items()}
    arrays |= {f"unknown_{labels.names.index(name)}": at for name, at in unknown.items()}
    arrays |= {f"fitted_{n}": a for n, a in enumerate(result["fitted_factors"])}
    arrays |= {f"bounds_{n}": a for n, a in enumerate(result["row_bounds"])}
    arrays |= {f"trace_{name}": column for name, column in result["trace"].items()} | penalties
    return arrays | result["memory"].arrays()


def _version(result: Mapping[str, Any]) -> int:
    """Return the first version of files that can hold a result."""
    if result["memory"]:
        return 6
    if result["loss"].kinds:
        return 5
    return 4 if result["problem"].carried else 3 if result["unknown"] else 2 if result["main_effects"] else 1


def read(path: str | os.PathLike[str], loss: Loss | None = None) -> dict[str, Any]:
    """Read the fields of a result, by name; `loss` is needed where it was a custom one.

    Raises
    ------
    FormatError, DataError, ParameterError
    """
    path = checks.path("path", path)
    if loss is not None:
        checks.instance("loss", loss, Loss, "the Loss of the fit")  # type: ignore[type-abstract]
    with telling_of_results(path), opened(path, False) as file:
        return fields_of(_arrays(file), loss)


@contextmanager
def telling_of_results(path: Path) -> Iterator[None]:
    """Let errors of reading a result begin with the name of its file, and those of damage be `FormatError`."""
    try:
        yield
    except (*DAMAGE, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        if isinstance(error, DataError | ParameterError):
            raise type(error)(f"{path}: {error}") from error
        raise FormatError(f"{path}: no result of a fit, or a damaged one ({error}).") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _arrays(file: BinaryIO) -> Archive:
    archive = Archive(file)
    form = archive.text("format")
    if form == COUPLED:
        raise FormatError("it holds the result of coupled tensors, which is no FitResult: gcp.load reads it.")
    if form != _NAME:
        raise FormatError(f"the archive is marked {form!r}: expected the result of a fit ({_NAME!r}).")
    return archive


def fields_of(archive: Archive, loss: Loss | None) -> dict[str, Any]:
    """Return the fields of the result that arrays are, by name; `loss` is needed where it was a custom one."""
    archive.header("version").check_size(1)
    if (version := int(archive["version"])) > _VERSION:
        raise FormatError(
            f"version {version} of the format is newer than this gcp reads ({_VERSION}): upgrade gcp."
        )
    return _result(archive, loss)


def _result(arrays: Archive, loss: Loss | None) -> dict[str, Any]:
    arrays.header("meta").check_size(1)
    meta: dict[str, Any] = json.loads(str(arrays["meta"]))
    if "training_deviance_explained" not in meta:  # of an older version
        null = meta["null_objective"] - meta["saturated_objective"]
        left = meta["objective"] - meta["penalty"] - meta["saturated_objective"]
        meta["training_deviance_explained"] = 1 - left / null if null > 0 else float("nan")
    meta.setdefault("total_weight", math.nan)  # of an older version
    arrays.header("mode_names").check_size(MOST_MODES)
    names = [str(name) for name in arrays["mode_names"]]
    _check(arrays, len(names))
    problem = meta["problem"] if "problem" in meta else _problem_of_old(meta["settings"])
    factors = [arrays[f"factor_{n}"] for n in range(len(names))]
    effects = {names[n]: arrays[f"effect_{n}"] for n in range(len(names)) if f"effect_{n}" in arrays}
    trace = {name.removeprefix("trace_"): arrays[name] for name in arrays if name.startswith("trace_")}
    lists: dict[str, Any] = {
        field: [arrays[f"{stem}_{n}"] for n in range(len(names)) if f"{stem}_{n}" in arrays]
        for field, stem in (("fitted_factors", "fitted"), ("row_bounds", "bounds"))
    }
    return dict(
        weights=arrays["weights"],
        factors=factors,
        loss=_restore(meta["loss"], loss),
        trace=trace,
        intercept=float(arrays.get("intercept", 0.0)),
        main_effects=effects,
        unknown={names[n]: arrays[f"unknown_{n}"] for n in range(len(names)) if f"unknown_{n}" in arrays},
        labels=labels_of(names, [arrays.get(f"coords_{n}") for n in range(len(names))], arrays.get("units")),
        problem=ProblemDescription.from_json(problem, arrays),
        memory=_memory(meta, arrays, lists["fitted_factors"]),
        **lists,
        **{name: meta[name] for name in _SCALARS},
    )


def _memory(meta: dict[str, Any], arrays: Archive, fitted: list[Array]) -> Memory:
    """Return what is remembered for updates, with its arrays of the shapes that the fitted factors say."""
    if "memory" not in meta:
        return Memory()
    for name in arrays:
        if name.startswith("memory_"):
            _, _, n, what = name.split("_")
            rows, rank = arrays.header(f"fitted_{n}").shape
            shape = (rows, rank) if what == "gradient" else (rows, rank, rank)
            if arrays.header(name).shape != shape or arrays.header(name).dtype != np.float64:
                raise FormatError(f"entry {name!r} has another shape or type than float64, {shape}.")
    return Memory.of_arrays(meta["memory"], arrays, fitted)


def _problem_of_old(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the description of the problem from the settings, where files of older versions have it."""
    ridge = settings["l2_reg"]
    parts = ridge if isinstance(ridge, dict) else {"factors": ridge, "main_effects": ridge}
    strengths = {
        "Ridge": parts["factors"],
        "WeightLasso": settings.get("weight_reg", 0.0),
        "DirichletPrior": settings.get("dirichlet_reg", 0.0),
    }
    return {
        "penalties": [{"class": name, "fields": {"strength": s}} for name, s in strengths.items() if s],
        "effects_ridge": parts["main_effects"],
        "fixed_modes": settings["fixed_modes"],
        "tied_modes": settings["tied_modes"],
        "effect_modes": settings.get("main_effects", []),
        "bounds": settings["bounds"],
        "estimated": list(settings.get("estimated", {})),
    }


def _check(arrays: Archive, n_modes: int) -> None:
    """Raise `FormatError` unless the arrays, of which the headers are read, make one model."""
    extra = [name for name in arrays if name.startswith("factor_")]
    if len(extra) != n_modes:
        raise FormatError(f"{len(extra)} factors, but {n_modes} mode names.")
    weights = arrays.header("weights")
    expected = [(weights, weights.shape[:1])]
    for n in range(n_modes):
        factor = arrays.header(f"factor_{n}")
        expected.append((factor, (*factor.shape[:1], weights.size)))
        if f"effect_{n}" in arrays:
            expected.append((arrays.header(f"effect_{n}"), factor.shape[:1]))
        for stem, shape in (("fitted", factor.shape), ("bounds", (2, weights.size))):
            if f"{stem}_{n}" in arrays:
                expected.append((arrays.header(f"{stem}_{n}"), shape))
        for name in {f"coords_{n}", f"unknown_{n}"} & set(arrays):
            arrays.header(name).check_size(math.prod(factor.shape[:1]))
    for header, shape in expected:
        if header.dtype.kind != "f" or header.shape != shape or header.ndim == 0:
            raise FormatError(
                f"entry {header.name!r} is {header.dtype} of shape {header.shape}: expected floats, {shape}."
            )
    if "units" in arrays:
        arrays.header("units").check_size(n_modes + 1)
    for name in arrays:
        if name.startswith(("trace_", "penalty_", "design_")):
            arrays.header(name).check_size(_MOST_NUMBERS)


def as_number(value: Any) -> Any:
    """Return NumPy numbers as Python's, for JSON."""
    return value.item()


def _describe(loss: Loss) -> dict[str, Any]:
    if isinstance(loss, CustomLoss):
        return {"custom": loss.name}
    if isinstance(loss, SeveralLosses):
        own = {"by": loss.by, "balanced": loss.balanced, "parameters": loss.parameters}
        return {"several": own, "kinds": list(map(_describe, loss.kinds)), "which": loss.which.tolist()}
    return {"name": loss.name, "params": {f.name: getattr(loss, f.name) for f in fields(loss)}}  # type: ignore[arg-type]


def _restore(description: dict[str, Any], loss: Loss | None) -> Loss:
    if "several" in description:
        kinds = [_restore(kind, loss) for kind in description["kinds"]]
        return SeveralLosses(losses=tuple(kinds[k] for k in description["which"]), **description["several"])
    if "custom" not in description:
        return get_loss(description["name"], **description["params"])
    if loss is None:
        raise ParameterError(
            f"the fit had the custom loss {description['custom']!r}, whose formula is not stored: "
            "pass it as loss=."
        )
    return loss
