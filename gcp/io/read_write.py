"""Reading and writing tensors; the format follows from the file name's ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gcp.base import checks
from gcp.base.errors import DataError, ParameterError
from gcp.base.sizes import parse_bytes
from gcp.io import mat, npy, npz, stores, tables, tns, toolbox
from gcp.io.files import opened, reading, replacing, telling, writing
from gcp.io.format import Format
from gcp.tensors.intake.coerce import from_source, in_one_piece
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import Source

__all__ = ["read_tensor", "write_tensor"]

_FORMATS: dict[str, Format] = {
    ".npy": npy.FORMAT,
    ".npz": npz.FORMAT,
    ".tns": tns.FORMAT,
    ".tns.gz": tns.FORMAT,
    ".csv": tables.CSV,
    ".csv.gz": tables.CSV,
    ".parquet": tables.PARQUET,
    ".mat": mat.FORMAT,
    ".ttb": toolbox.FORMAT,
    ".txt": toolbox.FORMAT,
    ".h5": stores.HDF5,
    ".hdf5": stores.HDF5,
    ".zarr": stores.ZARR,
}


def read_tensor(
    path: str | os.PathLike[str],
    *,
    modes: Sequence[str] | None = None,
    value: str | None = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
    wide: str | None = None,
    header: bool = True,
    separator: str | None = None,
    variable: str | None = None,
    memory: int | str | None = None,
) -> Tensor | PartitionedTensor:
    """Read a tensor from a file.

    Parameters
    ----------
    path : path
        `.npy`, `.npz`, `.tns`, `.tns.gz` (FROSTT: 1-based subscripts, value last), `.csv`, `.csv.gz`,
        `.parquet` (long tables: one row per cell), `.mat`, `.ttb`, `.txt` (Tensor Toolbox text), `.h5`, `.hdf5`, or
        a folder `.zarr`.
    modes : sequence of str, optional
        Tables: the columns that give the modes, in order. Default: all but the value column, of a wide table those
        that are not called by a number or a date.
    value : str, optional
        Tables: the column of numbers. Default: the one called "value", else the last that is not a mode.
    wide : str, optional
        Tables: the name of a mode whose positions have a column each (`country, 1990, 1991`). Empty cells are
        missing.
    header : bool, default True
        `.csv`: whether the first line names the columns; if not, they are called 0, 1, ...
    separator : str, optional
        `.csv`: what separates columns, one character or "TAB". Default: a comma.
    unlisted : {"zero", "missing"}, optional
        Listings: what a cell means that the file does not list. Default: "zero" for `.tns` and `sptensor`
        files, which are defined so; a table that leaves cells out needs the choice.
    aggregate : {"sum", "mean", "first", "last", "min", "max", "error"}, optional
        Listings: what to do with several rows for one cell. Default: "sum", but "error" with
        ``unlisted="missing"``.
    variable : str, optional
        `.npz`, `.mat`, `.h5`, `.hdf5` and `.zarr`: the array to read, where the file has several; "group/name" in
        a group.
    memory : int or str, optional
        `.npy`, `.h5`, `.hdf5` and `.zarr`: bytes, or a text such as "2GB", that a fit may take (the factors and the
        solver's memory come on top where they are large). An array of more than half of it is not read now, but in
        every pass of a fit, slab by slab, and must not change meanwhile. Default: it is read whole.

    Returns
    -------
    DenseTensor, SparseTensor, ObservedTensor or PartitionedTensor
        The last only with `memory`. With labels if the file has them. Labels of a table are the distinct entries of
        a column, sorted (for `.parquet` columns of categories: in the order of the categories). A listing gives a
        DenseTensor if it has at most 2**20 cells, or at most 10 for each listed one; else a SparseTensor where
        unlisted cells are zero, and an ObservedTensor where they are missing. `.npz` gives back the kind that was
        written.

    Raises
    ------
    DataError
        No such file, or content that is not one tensor of real numbers; `FormatError` if the file is
        damaged or not what its name says. The message gives the file and, for text, the line.
    ParameterError
        An option that the format does not have, or an unknown column, variable or choice.

    Notes
    -----
    Rows of `.tns` and `sptensor` files are parsed by PyArrow if it is installed (``gcp-tensor[tables]``), else one by
    one, which takes some thirty times as long.

    MATLAB has no arrays of one mode: those come back from `.mat` as matrices of one column.
    """
    path = checks.path("path", path)
    form, is_gzipped = _format(path)
    limit = None if memory is None else parse_bytes(memory)
    given = {
        "modes": modes,
        "value": value,
        "unlisted": unlisted,
        "aggregate": aggregate,
        "variable": variable,
        "wide": wide,
        "header": None if checks.truth("header", header) else False,
        "separator": separator,
    }
    options = {name: option for name, option in given.items() if option is not None}
    for name, option in options.items():
        if name == "modes":
            options[name] = checks.items(name, option, "a list of columns")
        elif name not in ("header", "value"):  # columns without a header have numbers
            checks.text(name, option)
    if foreign := sorted(set(options) - form.options):
        name = foreign[0]
        raise _inapplicable(path, name, lambda other: name in other.options)
    if limit is not None or form.read is None:
        return from_source(array_source(path, **options), limit)
    with reading(path, is_gzipped) as file:
        return form.read(file, **options)


def array_source(path: str | os.PathLike[str], **options: Any) -> Source:
    """Return the array of a file, to be read in slabs.

    Raises
    ------
    DataError, ParameterError
        As `read_tensor`.
    """
    path = checks.path("path", path)
    form, _ = _format(path)
    if form.source is None:
        raise _inapplicable(path, "memory", lambda other: other.source is not None)
    with telling(path):
        return form.source(path, **options)


def _inapplicable(path: Path, option: str, takes: Callable[[Format], bool]) -> ParameterError:
    fitting = ", ".join(ending for ending, other in _FORMATS.items() if takes(other))
    return ParameterError(f"{path}: the option {option!r} does not apply to this format, only to {fitting}.")


def write_tensor(path: str | os.PathLike[str], tensor: Any) -> None:
    """Write a tensor to a file, which appears under its name only when it is complete.

    Parameters
    ----------
    path : path
        The ending chooses the format:

        - `.npz` keeps everything (kind, type, mask, weights, labels) exactly;
        - `.csv`, `.csv.gz`, `.parquet` are long tables with labels, one row per observed cell, zeros too; of a
          SparseTensor one row per nonzero, and one without a value per missing cell (labels without any row are
          lost, also as positions; `.csv` does not keep the order of labels);
        - `.tns`, `.tns.gz` list the nonzeros and need a fully observed tensor; labels are not kept;
        - `.npy`, `.mat`, `.ttb`, `.txt` hold the values of all cells alone, at most 2**31, missing ones as NaN;
          labels are not kept.
    tensor : DenseTensor, SparseTensor, ObservedTensor, or other data as for `fit_gcp`, in one piece
        The tensor. Weights other than 0 and 1, and any weights of listed entries, can only be written to `.npz`.

    Raises
    ------
    DataError
        The tensor has what the format cannot hold, or the file cannot be written.
    ParameterError
        Unknown ending, or one of files that are only read.
    """
    path = checks.path("path", path)
    form, is_gzipped = _format(path)
    if form.write is None:
        fitting = ", ".join(ending for ending, other in _FORMATS.items() if other.write is not None)
        raise ParameterError(f"{path}: such files are read, but not written; written are {fitting}.")
    with writing(path), replacing(path) as part, opened(part, is_gzipped, "wb") as file:
        whole = stored(in_one_piece(tensor))
        if whole.is_affine or whole.columns.group is not None:
            raise DataError("The tensor has scales, offsets or groups of entries, which no file holds yet.")
        form.write(file, whole)


def _format(path: Path) -> tuple[Format, bool]:
    """Return the format of a file name, and whether it is compressed on top."""
    name = path.name.lower()
    ending = "".join(Path(name).suffixes[-2:]) if name.endswith(".gz") else Path(name).suffix
    if ending not in _FORMATS:
        found = f"the ending {ending!r}" if ending else "no ending"
        raise ParameterError(f"{path}: has {found}; known endings are {', '.join(_FORMATS)}.")
    return _FORMATS[ending], ending.endswith(".gz")
