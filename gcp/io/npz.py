"""NumPy's .npz: the labelled form of `gcp`, which keeps everything, and archives of other origin.

The labelled form is a zip archive of .npy arrays: `format` ("gcp-tensor"), `version` (1), `values`, at most
one of `mask` (bool) and `entry_weights`, and, for a labelled tensor, `mode_names` and `coords_0`, `coords_1`,
... for the modes that have coordinates. Entries carry no time, so equal tensors give equal files.

A tensor of listed entries has version 2: also `kind` ("sparse" or "observed"), `shape`, and `subs`, one row of
0-based subscripts for each of the `values`; instead of a mask a sparse one may have `missing`, rows of subscripts,
and `mode_weights_0`, `mode_weights_1`, ...
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

import numpy as np

from gcp._typing import Array
from gcp.errors import DataError, FormatError
from gcp.io.base import Format, choose_variable
from gcp.io.npy import read_array
from gcp.labels import ModeLabels
from gcp.tensors.dense import DenseTensor
from gcp.tensors.listing import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_NAME = "gcp-tensor"
_VERSION = 2
_OWN = re.compile("values|mask|entry_weights|missing|mode_names|(coords|mode_weights)_[0-9]+")
_KINDS = ("sparse", "observed")
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def _read(file: BinaryIO, variable: str | None = None) -> Tensor:
    if not zipfile.is_zipfile(file):
        raise FormatError("not an .npz archive, or one that was cut short.")
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if variable is None and "format" in names:
            form = _entry(archive, "format")
            if form.dtype.kind == "U" and str(form).startswith("gcp-"):
                return _labelled(archive, names, str(form))
        return _foreign(archive, names, variable)


def _entry(archive: zipfile.ZipFile, name: str) -> Array:
    try:
        with archive.open(f"{name}.npy") as file:
            return read_array(file)  # type: ignore[arg-type]
    except KeyError:
        raise FormatError(f"the archive has no entry {name!r}: it is incomplete.") from None
    except RuntimeError as error:  # encrypted
        raise FormatError(f"entry {name!r} cannot be unpacked: {error}.") from error


def _labelled(archive: zipfile.ZipFile, names: list[str], form: str) -> Tensor:
    if form != _NAME:
        raise DataError(f"the archive is marked {form!r}: expected a tensor ({_NAME!r}).")
    version = _entry(archive, "version")
    if version.dtype.kind not in "iu" or version.ndim or version < 1:
        raise FormatError(f"entry 'version' should be a whole number: found {version!r}.")
    if version > _VERSION:
        raise FormatError(
            f"version {version} of the format is newer than this gcp reads ({_VERSION}): upgrade gcp."
        )
    found = {name: _entry(archive, name) for name in names if _OWN.fullmatch(name)}
    if "values" not in found:
        _entry(archive, "values")  # says that there is none
    weights = found.get("entry_weights")
    if version == 1:
        labels = _labels(found, found["values"].ndim)
        return DenseTensor(found["values"], mask=found.get("mask"), entry_weights=weights, labels=labels)
    kind, shape, subs = (_entry(archive, name) for name in ("kind", "shape", "subs"))
    if str(kind) not in _KINDS or shape.ndim != 1 or shape.dtype.kind not in "iu":
        raise FormatError(
            f"expected one of the kinds {', '.join(_KINDS)} and a shape of whole numbers: found {str(kind)!r} and "
            f"{shape!r}."
        )
    labels = _labels(found, len(shape))
    if str(kind) == "observed":
        return ObservedTensor(subs, found["values"], shape.tolist(), weights, labels)
    modes = [found.get(f"mode_weights_{n}") for n in range(len(shape))]
    some = modes if any(u is not None for u in modes) else None
    return SparseTensor(subs, found["values"], shape.tolist(), weights, some, found.get("missing"), labels)


def _labels(found: Mapping[str, Array], n_modes: int) -> ModeLabels | None:
    if "mode_names" not in found:
        return None
    coords = [found.get(f"coords_{n}") for n in range(n_modes)]
    return ModeLabels(np.atleast_1d(found["mode_names"]).tolist(), coords)


def _foreign(archive: zipfile.ZipFile, names: list[str], variable: str | None) -> DenseTensor:
    found, others = {}, {}
    for name in names if variable not in names else [str(variable)]:
        try:
            array = _entry(archive, name)
        except DataError as error:
            if isinstance(error, FormatError):
                raise
            others[name] = "Python objects, which are not read for safety"
            continue
        if array.dtype.kind in "buif" and array.ndim:
            found[name] = array
        else:
            others[name] = f"{array.ndim}-mode {array.dtype}"
    return DenseTensor(choose_variable(found, others, variable))


def _write(file: BinaryIO, tensor: Tensor) -> None:
    is_dense = isinstance(tensor, DenseTensor)
    arrays = {"format": np.array(_NAME), "version": np.array(1 if is_dense else 2), "values": tensor.values}
    weights = tensor.entry_weights
    if weights is not None and weights.dtype.kind != "b":
        arrays["entry_weights"] = weights
    elif weights is not None and not _told_by_nan(tensor.values, weights):
        arrays["mask"] = weights
    if not isinstance(tensor, DenseTensor):
        kind = "sparse" if isinstance(tensor, SparseTensor) else "observed"
        arrays |= {"kind": np.array(kind), "shape": np.array(tensor.shape), "subs": tensor.subs}
    if isinstance(tensor, SparseTensor):
        arrays |= {f"mode_weights_{n}": u for n, u in enumerate(tensor.mode_weights or [])}
        if tensor.n_missing:
            arrays["missing"] = tensor.missing
    if tensor.labels is not None:
        arrays["mode_names"] = np.array(tensor.labels.names)
        for mode, coord in enumerate(tensor.labels.coords):
            if coord is not None:
                arrays[f"coords_{mode}"] = coord
    write_archive(file, arrays)


@dataclass(frozen=True)
class Stream:
    """An array that is written without being in memory as a whole.

    Attributes
    ----------
    dtype : numpy dtype
    shape : tuple of int
        Of a matrix, the numbers come column by column, as `SparseTensor.subs` has them.
    blocks : iterable of ndarray
        The numbers.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    blocks: Iterable[Array]

    def write(self, file: IO[bytes]) -> None:
        """In .npy form, as `write_array` would."""
        by_columns = sum(size > 1 for size in self.shape) > 1
        descr = np.lib.format.dtype_to_descr(self.dtype)
        header = {"descr": descr, "fortran_order": by_columns, "shape": self.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for block in self.blocks:
            file.write(block.data)


def write_listing(
    file: BinaryIO, kind: str, shape: tuple[int, ...], subs: Stream, values: Stream, missing: Stream
) -> None:
    """Write sorted entries, as `write_tensor` does for a SparseTensor or an ObservedTensor of them."""
    arrays: dict[str, Array | Stream] = {"format": np.array(_NAME), "version": np.array(2), "values": values}
    arrays |= {"kind": np.array(kind), "shape": np.array(shape), "subs": subs}
    if missing.shape[0]:
        arrays["missing"] = missing
    write_archive(file, arrays)


def write_archive(file: BinaryIO, arrays: Mapping[str, Array | Stream], *, is_packed: bool = True) -> None:
    """Write arrays as an .npz archive without pickle and without times: equal arrays, equal bytes."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            info = zipfile.ZipInfo(f"{name}.npy", _NO_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED if is_packed else zipfile.ZIP_STORED
            info.create_system = 3  # the same bytes on every platform
            with archive.open(info, "w", force_zip64=True) as entry:
                if isinstance(array, Stream):
                    array.write(entry)
                else:
                    np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def _told_by_nan(values: Array, mask: Array) -> bool:
    """Whether the missing entries are just the NaN ones, so that no mask need be stored."""
    return values.dtype.kind == "f" and np.array_equal(mask, ~np.isnan(values))


FORMAT = Format(_read, _write, frozenset({"variable"}))
