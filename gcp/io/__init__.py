"""Reading and writing tensors; the format follows from the file name's ending."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gcp.errors import ParameterError
from gcp.io import mat, npy, npz, tables, tns, toolbox
from gcp.io.base import Format
from gcp.io.files import opened, reading, replacing, writing
from gcp.tensors.coerce import in_one_piece
from gcp.tensors.listing import Tensor

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
}


def read_tensor(
    path: str | os.PathLike[str],
    *,
    modes: Sequence[str] | None = None,
    value: str | None = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
    variable: str | None = None,
) -> Tensor:
    """Read a tensor from a file.

    Parameters
    ----------
    path : path
        `.npy`, `.npz`, `.tns`, `.tns.gz` (FROSTT: 1-based subscripts, value last), `.csv`, `.csv.gz`,
        `.parquet` (long tables: one row per cell), `.mat`, or `.ttb`, `.txt` (Tensor Toolbox text).
    modes : sequence of str, optional
        Tables: the columns that give the modes, in order. Default: all but the value column.
    value : str, optional
        Tables: the column of numbers. Default: the one called "value", else the last that is not a mode.
    unlisted : {"zero", "missing"}, optional
        Listings: what a cell means that the file does not list. Default: "zero" for `.tns` and `sptensor`
        files, which are defined so; a table that leaves cells out needs the choice.
    aggregate : {"sum", "mean", "error"}, optional
        Listings: what to do with several rows for one cell. Default: "sum".
    variable : str, optional
        `.npz` and `.mat`: the array to read, where the file has several.

    Returns
    -------
    DenseTensor, SparseTensor or ObservedTensor
        With labels if the file has them. Labels of a table are the distinct entries of a column, sorted
        (for `.parquet` columns of categories: in the order of the categories). A listing gives a DenseTensor if it
        has at most 2**20 cells, or at most 10 for each listed one; else a SparseTensor where unlisted cells are
        zero, and an ObservedTensor where they are missing. `.npz` gives back the kind that was written.

    Raises
    ------
    DataError
        No such file, or content that is not one tensor of real numbers; `FormatError` if the file is
        damaged or not what its name says. The message gives the file and, for text, the line.
    ParameterError
        An option that the format does not have, or an unknown column, variable or choice.

    Notes
    -----
    MATLAB has no arrays of one mode: those come back from `.mat` as matrices of one column.
    """
    path = Path(path)
    form, is_gzipped = _format(path)
    given = {
        "modes": modes,
        "value": value,
        "unlisted": unlisted,
        "aggregate": aggregate,
        "variable": variable,
    }
    options = {name: option for name, option in given.items() if option is not None}
    if foreign := sorted(set(options) - form.options):
        name = foreign[0]
        fitting = ", ".join(ending for ending, other in _FORMATS.items() if name in other.options)
        raise ParameterError(f"{path}: the option {name!r} does not apply to this format, only to {fitting}.")
    with reading(path, is_gzipped) as file:
        return form.read(file, **options)


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
    tensor : DenseTensor, SparseTensor, ObservedTensor or anything that `in_one_piece` takes
        The tensor. Weights other than 0 and 1, and any weights of listed entries, can only be written to `.npz`.

    Raises
    ------
    DataError
        The tensor has what the format cannot hold, or the file cannot be written.
    ParameterError
        Unknown ending.
    """
    path = Path(path)
    form, is_gzipped = _format(path)
    with writing(path), replacing(path) as part, opened(part, is_gzipped, "wb") as file:
        form.write(file, in_one_piece(tensor))


def _format(path: Path) -> tuple[Format, bool]:
    """The format of a file name, and whether it is compressed on top."""
    name = path.name.lower()
    ending = "".join(Path(name).suffixes[-2:]) if name.endswith(".gz") else Path(name).suffix
    if ending not in _FORMATS:
        found = f"the ending {ending!r}" if ending else "no ending"
        raise ParameterError(f"{path}: has {found}; known endings are {', '.join(_FORMATS)}.")
    return _FORMATS[ending], ending.endswith(".gz")
