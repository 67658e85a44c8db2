"""Results of coupled tensors in files: one archive with the entries of each tensor's result, and what they share.

See docs/result-format.md.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from gcp.base import checks
from gcp.base.errors import FormatError, ParameterError
from gcp.base.types import Array
from gcp.io.archive import Archive
from gcp.io.files import opened, replacing, writing
from gcp.io.formats.npz import labels_of, units_as_array, write_archive
from gcp.io.result_file import COUPLED, arrays_of, as_number, fields_of, telling_of_results
from gcp.losses import Loss
from gcp.tensors.entries import MOST_MODES

_VERSION = 1
_MOST_NUMBERS = 10**7

_SCALARS = (
    "weights",
    "objective",
    "penalty",
    "null_objective",
    "saturated_objective",
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


def is_coupled_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file holds the result of coupled tensors; what cannot be read does not."""
    with opened(checks.path("path", path), False) as file:
        try:
            return Archive(file).text("format") == COUPLED
        except (FormatError, KeyError, ValueError, OSError):
            return False


def write_coupled(path: str | os.PathLike[str], result: Mapping[str, Any]) -> None:
    """Write the fields of a result, by name; the file appears under its name only when it is complete."""
    path, labels, of_tensors = checks.path("path", path), result["labels"], result["of_tensors"]
    meta = {name: result[name] for name in _SCALARS} | {"tensors": list(of_tensors)}
    arrays: dict[str, Array] = {
        "format": np.array(COUPLED),
        "version": np.array(_VERSION),
        "meta": np.array(json.dumps(meta, default=as_number)),
        "mode_names": np.array(labels.names),
    }
    arrays |= {f"coords_{n}": c for n, c in enumerate(labels.coords) if c is not None}
    if any(units := units_as_array(labels)):
        arrays["units"] = units
    for n, name in enumerate(labels.names):
        arrays[f"factor_{n}"] = result["factors"][name]
        arrays[f"fitted_{n}"] = result["fitted_factors"][name]
        if name in result["unknown"]:
            arrays[f"unknown_{n}"] = result["unknown"][name]
    arrays |= {f"trace_{name}": column for name, column in result["trace"].items()}
    for k, own in enumerate(of_tensors.values()):
        arrays |= {f"tensor_{k}_{name}": a for name, a in arrays_of(vars(own)).items()}
    with writing(path), replacing(path) as part, opened(part, False, "wb") as file:
        write_archive(file, arrays)


def read_coupled(path: str | os.PathLike[str], loss: Any = None) -> dict[str, Any]:
    """Read the fields of a result, by name, those of its tensors as fields by the name of the tensor.

    `loss` has the custom losses by the name of the tensor, or is the one of all.

    Raises
    ------
    FormatError, DataError, ParameterError
    """
    path = checks.path("path", path)
    with telling_of_results(path), opened(path, False) as file:
        archive = Archive(file)
        archive.header("version").check_size(1)
        if (version := int(archive["version"])) > _VERSION:
            raise FormatError(
                f"version {version} of the format is newer than this gcp reads ({_VERSION}): upgrade gcp."
            )
        return _fields(archive, loss)


def _fields(archive: Archive, loss: Any) -> dict[str, Any]:
    archive.header("meta").check_size(1)
    meta: dict[str, Any] = json.loads(str(archive["meta"]))
    archive.header("mode_names").check_size(MOST_MODES)
    names = [str(name) for name in archive["mode_names"]]
    _check(archive, len(names))
    tensors = meta.pop("tensors")
    of_tensors = {}
    for k, name in enumerate(tensors):
        own = _loss_of(name, loss, tensors)
        of_tensors[name] = fields_of(archive.within(f"tensor_{k}_"), own)
    traces = {name.removeprefix("trace_"): archive[name] for name in archive if name.startswith("trace_")}
    coords = [archive.get(f"coords_{n}") for n in range(len(names))]
    return meta | {
        "factors": {name: archive[f"factor_{n}"] for n, name in enumerate(names)},
        "fitted_factors": {name: archive[f"fitted_{n}"] for n, name in enumerate(names)},
        "unknown": {
            name: archive[f"unknown_{n}"] for n, name in enumerate(names) if f"unknown_{n}" in archive
        },
        "labels": labels_of(names, coords, archive.get("units")),
        "trace": traces,
        "of_tensors": of_tensors,
    }


def _loss_of(name: str, loss: Any, tensors: list[str]) -> Loss | None:
    """Return the custom loss of a tensor, if one is given."""
    if not isinstance(loss, Mapping):
        own = loss
    else:
        if unknown := [key for key in loss if key not in tensors]:
            raise ParameterError(
                f"loss names {checks.show(unknown[0])}, but there is no such tensor: found {', '.join(tensors)}."
            )
        own = loss.get(name)
    if own is not None:
        checks.instance("loss", own, Loss, "the Loss of the fit, or a dict of these by tensor")  # type: ignore[type-abstract]
    return own


def _check(archive: Archive, n_modes: int) -> None:
    """Raise `FormatError` unless the arrays, of which the headers are read, are factors of as many modes."""
    for n in range(n_modes):
        factor, fitted = archive.header(f"factor_{n}"), archive.header(f"fitted_{n}")
        for header in (factor, fitted):
            if header.dtype.kind != "f" or header.ndim != 2 or header.shape != factor.shape:
                raise FormatError(
                    f"entry {header.name!r} is {header.dtype} of shape {header.shape}: expected floats, as many as "
                    f"in {factor.name!r}."
                )
        for name in {f"coords_{n}", f"unknown_{n}"} & set(archive):
            archive.header(name).check_size(math.prod(factor.shape[:1]))
    if "units" in archive:
        archive.header("units").check_size(n_modes + 1)
    for name in archive:
        if name.startswith("trace_"):
            archive.header(name).check_size(_MOST_NUMBERS)
