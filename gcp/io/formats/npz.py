"""NumPy's .npz: the labelled form of `gcp`, which keeps everything, sparse arrays of SciPy and pydata, and others.

The labelled form is a zip archive of .npy arrays: `format` ("gcp-tensor"), `version` (1), `values`, at most
one of `mask` (bool) and `entry_weights`, and, for a labelled tensor, `mode_names` and `coords_0`, `coords_1`,
... for the modes that have coordinates; `units`, a text for each mode and one for the data, if any is not empty.
Entries carry no time, so equal tensors give equal files.

A tensor of listed entries has version 2: also `kind` ("sparse" or "observed"), `shape`, and `subs`, one row of
0-based subscripts for each of the `values`; instead of a mask a sparse one may have `missing`, rows of subscripts,
and `mode_weights_0`, `mode_weights_1`, ...
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, BinaryIO

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import Array
from gcp.io.archive import Archive
from gcp.io.format import Format, choose_variable, damage_told
from gcp.io.sparse_arrays import from_compressed, tensor_of_listing, tensor_of_matrix
from gcp.tensors.carried_columns import CARRIED, carried_by
from gcp.tensors.dense import DenseTensor
from gcp.tensors.entries import MOST_MODES
from gcp.tensors.intake.carried import LARGEST_ARRAY
from gcp.tensors.kinds import Tensor
from gcp.tensors.observed import ObservedTensor
from gcp.tensors.sparse import SparseTensor

_NAME = "gcp-tensor"
_VERSION = 3
_CARRYING = 3
"""The version of tensors whose cells carry exposures, offsets or trials."""
_KINDS = ("sparse", "observed")
_SCIPY = {"format", "shape", "data"}
_PYDATA = {"fill_value", "shape", "data"}
"""What is in every sparse array that SciPy's and pydata's `save_npz` write."""

_NO_TIME = (1980, 1, 1, 0, 0, 0)


def _read(file: BinaryIO, variable: str | None = None, unlisted: str | None = None) -> Tensor:
    archive = Archive(file)
    if variable is None and archive.keys() >= _PYDATA:
        return _of_pydata(archive, unlisted)
    if variable is None and archive.keys() >= _SCIPY:
        return _of_scipy(file, archive, unlisted or "zero")
    if unlisted is not None:
        raise ParameterError("unlisted does not apply: the file says itself what its cells are.")
    if variable is None and (form := archive.text("format")).startswith("gcp-"):
        return _labelled(archive, form)
    return _foreign(archive, variable)


def _labelled(archive: Archive, form: str) -> Tensor:
    if form != _NAME:
        raise DataError(f"the archive is marked {form!r}: expected a tensor ({_NAME!r}).")
    archive.check("version")
    version = archive.header("version")
    number = archive["version"] if version.ndim == 0 else np.array("none")
    if number.dtype.kind not in "iu" or number < 1:
        raise FormatError(f"entry 'version' should be a whole number: found {version.dtype} {version.shape}.")
    if number > _VERSION:
        raise FormatError(
            f"version {number} of the format is newer than this gcp reads ({_VERSION}): upgrade gcp."
        )
    archive.check("values")
    values = archive.header("values")
    if number == 1 or (number == _CARRYING and "kind" not in archive):
        _check_sizes(archive, values.shape, values.size)
        labels = _labels(archive, values.ndim)
        mask, weights = archive.get("mask"), archive.get("entry_weights")
        dense = DenseTensor(archive["values"], mask=mask, entry_weights=weights, labels=labels)
        return DenseTensor.of(dense.columns._replace(**_carried(archive, dense.shape)), labels)
    for name, most in (("kind", 1), ("shape", MOST_MODES), ("subs", MOST_MODES * values.size)):
        archive.check(name)
        archive.header(name).check_size(most)
    kind, shape = archive.text("kind"), archive["shape"]
    if kind not in _KINDS or shape.ndim != 1 or shape.dtype.kind not in "iu":
        raise FormatError(
            f"expected one of the kinds {', '.join(_KINDS)} and a shape of whole numbers: found {kind!r} and "
            f"{shape!r}."
        )
    sizes: list[int] = shape.tolist()
    _check_sizes(archive, tuple(sizes), values.size)
    labels = _labels(archive, len(sizes))
    subs, numbers, weights = archive["subs"], archive["values"], archive.get("entry_weights")
    if kind == "observed":
        listed = ObservedTensor(subs, numbers, sizes, weights, labels)
        return ObservedTensor.of(listed.entries.having(**_carried(archive, listed.values.shape)), labels)
    modes = [archive.get(f"mode_weights_{n}") for n in range(len(sizes))]
    some = modes if any(u is not None for u in modes) else None
    sparse = SparseTensor(subs, numbers, sizes, weights, some, archive.get("missing"), labels)
    cells = {name: [archive.get(f"{name}_{n}") for n in range(len(sizes))] for name in ("exposure", "offset")}
    own: Any = {name: vectors for name, vectors in cells.items() if vectors[0] is not None}
    sparse = sparse.with_columns(**own) if own else sparse
    exposure = archive.get("exposure")
    if exposure is None:
        return sparse
    fits = len(exposure.shape) == len(sizes) and all(
        k in (1, n) for k, n in zip(exposure.shape, sizes, strict=True)
    )
    if not fits or exposure.dtype.kind != "f":
        raise FormatError(
            f"entry 'exposure' has shape {exposure.shape}: expected one that broadcasts to {sizes}."
        )
    return sparse.with_cells(sparse.zeros._replace(exposure=exposure))


def _carried(archive: Archive, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return the columns that entries carry, of the shape of the data.

    Raises
    ------
    FormatError
        Another shape.
    """
    found = {}
    for name in CARRIED:
        column = archive.get(name)
        if column is not None and (column.shape != shape or column.dtype.kind != "f"):
            raise FormatError(
                f"entry {name!r} has shape {column.shape} and type {column.dtype}: expected {shape}."
            )
        if column is not None:
            found[name] = column
    return found


def _check_sizes(archive: Archive, shape: tuple[int, ...], n_entries: int) -> None:
    """Raise `FormatError` for what is larger than a tensor of this shape and number of entries can have."""
    most = dict.fromkeys(CARRIED, max(n_entries, LARGEST_ARRAY))
    most |= {"mask": n_entries, "entry_weights": n_entries, "mode_names": MOST_MODES, "units": MOST_MODES + 1}
    most["exposure_name"] = 1
    for n, size in enumerate(shape):
        most |= {f"{name}_{n}": size for name in ("coords", "mode_weights", "exposure", "offset")}
    for name in most.keys() & set(archive):
        archive.header(name).check_size(most[name])


def _labels(found: Mapping[str, Array], n_modes: int) -> ModeLabels | None:
    """Return the labels among the arrays, coordinates of shapes (I_n,); None without names of the modes."""
    if "mode_names" not in found:
        return None
    names = np.atleast_1d(found["mode_names"]).tolist()
    coords = [found.get(f"coords_{n}") for n in range(n_modes)]
    labels = labels_of(names, coords, found.get("units"))
    title = found.get("exposure_name")
    return labels if title is None else replace(labels, exposure=str(title))


def units_as_array(labels: ModeLabels) -> Array:
    """Return units as texts, shape (N + 1,), those of the data last; an empty one is none."""
    return np.array([unit or "" for unit in (*labels.units, labels.data_units)])


def labels_of(names: Sequence[str], coords: Sequence[Array | None], units: Array | None) -> ModeLabels:
    """Return labels with coordinates (I_n,) and units as `units_as_array` wrote them, (N + 1,) or None."""
    if units is None:
        return ModeLabels(names, coords)
    *of_modes, of_data = [str(unit) for unit in np.atleast_1d(units)]
    return ModeLabels(names, coords, of_modes, of_data)


def _foreign(archive: Archive, variable: str | None) -> DenseTensor:
    found, others = {}, {}
    for name in archive if variable not in archive else [str(variable)]:
        header = archive.header(name)
        if header.dtype.kind in "buif" and header.ndim:
            found[name] = header
        elif header.dtype.hasobject:
            others[name] = "Python objects, which are not read for safety"
        else:
            others[name] = f"{header.ndim}-mode {header.dtype}"
    return DenseTensor(archive[choose_variable(found, others, variable).name])


def _of_scipy(file: BinaryIO, archive: Archive, unlisted: str) -> Tensor:
    """Return the tensor of what `scipy.sparse.save_npz` wrote."""
    from scipy.sparse import load_npz

    for name in archive:
        archive.header(name)
    file.seek(0)
    with damage_told("a sparse array of SciPy"):
        return tensor_of_matrix(load_npz(file), unlisted)


def _of_pydata(archive: Archive, unlisted: str | None) -> Tensor:
    """Return the tensor of what `sparse.save_npz` wrote, of which the fill value says what is not listed."""
    with damage_told("a sparse array"):
        shape = tuple(int(size) for size in archive["shape"])
        fill, values = archive["fill_value"], archive["data"]
        is_unknown = bool(fill.dtype.kind == "f" and np.isnan(fill))
        if not is_unknown and fill != 0:
            raise DataError(
                f"the array has the fill value {fill.item()!r}: expected 0 (others are zero) or NaN (unknown)."
            )
        if "coords" in archive:
            subs = np.ascontiguousarray(archive["coords"].T)
        elif len(shape) == 1:
            subs = archive["indices"].reshape(-1, 1)
        else:
            compressed = [int(mode) for mode in archive["compressed_axes"]]
            subs = from_compressed(archive["indices"], archive["indptr"], compressed, shape)
        return tensor_of_listing(subs, values, shape, unlisted or ("missing" if is_unknown else "zero"))


def _write(file: BinaryIO, tensor: Tensor) -> None:
    version = _CARRYING if carried_by(tensor) else 1 if tensor.subs is None else 2
    arrays = {"format": np.array(_NAME), "version": np.array(version), "values": tensor.values}
    weights = tensor.entry_weights
    if weights is not None and weights.dtype.kind != "b":
        arrays["entry_weights"] = weights
    elif weights is not None and not _told_by_nan(tensor.values, weights):
        arrays["mask"] = weights
    if tensor.subs is not None:
        arrays |= {"kind": np.array(tensor.kind), "shape": np.array(tensor.shape), "subs": tensor.subs}
    if tensor.zeros is None:
        arrays |= {name: getattr(tensor.columns, name) for name in carried_by(tensor)}
    else:
        for name in carried_by(tensor):
            own = getattr(tensor.zeros, name)
            is_array = isinstance(own, np.ndarray)
            arrays |= {name: own} if is_array else {f"{name}_{n}": vector for n, vector in enumerate(own)}
        arrays |= {f"mode_weights_{n}": u for n, u in enumerate(tensor.mode_weights or [])}
        if tensor.n_missing:
            arrays["missing"] = tensor.missing
    if tensor.labels is not None:
        arrays["mode_names"] = np.array(tensor.labels.names)
        for mode, coord in enumerate(tensor.labels.coords):
            if coord is not None:
                arrays[f"coords_{mode}"] = coord
        if any(units := units_as_array(tensor.labels)):
            arrays["units"] = units
        if tensor.labels.exposure:
            arrays["exposure_name"] = np.array(tensor.labels.exposure)
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
        """Write the array in .npy form, as `write_array` would."""
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
    """Write arrays of any shape as an .npz archive without pickle and without times: equal arrays, equal bytes."""
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
    """Return whether the missing entries are just the NaN ones of a like shape, so that no mask need be stored."""
    return values.dtype.kind == "f" and np.array_equal(mask, ~np.isnan(values))


FORMATS = (Format(endings=(".npz",), read=_read, write=_write, options=frozenset({"variable", "unlisted"})),)
