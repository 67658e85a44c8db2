"""Reading and writing tensors; the format follows from the file name's ending."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from gzip import GzipFile
from io import BytesIO
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import IO, Any

from gcp.base import checks
from gcp.base.errors import DataError, GcpError, ParameterError
from gcp.base.sizes import parse_bytes
from gcp.io.files import opened, reading, replacing, telling, writing
from gcp.io.format import Format
from gcp.io.known_formats import endings, format_named, format_of
from gcp.tensors.carried_columns import CARRIED, carried_by
from gcp.tensors.intake.coerce import from_source, in_one_piece
from gcp.tensors.kinds import Tensor, stored
from gcp.tensors.parts.partitioned import PartitionedTensor
from gcp.tensors.parts.sources import Source

__all__ = ["read_tensor", "write_tensor"]


def read_tensor(
    path: str | os.PathLike[str] | IO[bytes] | IO[str],
    *,
    modes: Sequence[str] | None = None,
    value: str | None = None,
    unlisted: str | None = None,
    aggregate: str | None = None,
    wide: str | None = None,
    header: bool = True,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    variable: str | None = None,
    format: str | None = None,
    memory: int | str | None = None,
    exposure: str | None = None,
    offset: str | None = None,
    trials: str | None = None,
) -> Tensor | PartitionedTensor:
    """Read a tensor from a file.

    Parameters
    ----------
    path : path or file
        A file of one of the formats below, or a folder `.zarr`. An open file is read to its end, in bytes or as text.
    modes : sequence of str, optional
        Tables: the columns that give the modes, in order. Default: all but the value column, of a wide table those
        that are not called by a number or a date.
    value : str, optional
        Tables: the column of numbers. Default: the one called "value", else the last that is not a mode.
    wide : str, optional
        Tables: the name of a mode whose positions have a column each (`country, 1990, 1991`). Empty cells are
        missing.
    header : bool, default True
        Text tables and `.xlsx`: whether the first line names the columns; if not, they are called 0, 1, ...
    separator : str, optional
        Text tables: what separates columns, one character or more, such as ";" or "::", or "TAB". Default: a comma in
        `.csv`, TAB in `.tsv`; in `.dat` and `.data` what the first lines leave no doubt of.
    decimal : {".", ","}, optional
        Text tables: what stands before decimals. Default: a point.
    encoding : str, optional
        Text tables: the encoding, such as "latin-1", "cp1252" or "utf-16". Default: UTF-8, or UTF-16 with its mark.
    unlisted : {"zero", "missing"}, optional
        Listings: what a cell means that the file does not list. Default: "zero" for `.tns`, `sptensor` and sparse
        matrices, which are defined so (sparse arrays of pydata say it by their fill value); a table that leaves cells
        out needs the choice.
    aggregate : {"sum", "mean", "first", "last", "min", "max", "error"}, optional
        Text listings and tables: what to do with several rows for one cell. Default: "sum", but "error" with
        ``unlisted="missing"``.
    variable : str, optional
        Where a file has several arrays, the one to read, "group/name" in a group or struct; of `.h5ad` and `.loom` a
        layer ("layers/counts", default: the main matrix), of `.xlsx` a sheet.
    format : str, optional
        The ending of the format, such as "csv" or "tns.gz". Default: as the file is called.
    memory : int or str, optional
        `.npy`, `.h5`, `.hdf5` and `.zarr`: bytes, or a text such as "2GB", that a fit may take (the factors and the
        solver's memory come on top where they are large). An array of more than half of it is not read now, but in
        every pass of a fit, slab by slab, and must not change meanwhile. Default: it is read whole.
    exposure : str, optional
        Long tables: the column of numbers by which what is expected of a cell is multiplied (see `fit_gcp`); a cell
        without a row is missing.
    offset : str, optional
        Long tables: the column of numbers that are added to the model; as `exposure`.
    trials : str, optional
        Long tables: the column of numbers of trials, of which values are successes or shares; as `exposure`.

    Returns
    -------
    DenseTensor, SparseTensor, ObservedTensor or PartitionedTensor
        The last only with `memory`. With labels if the file has them. Labels of a table are the distinct entries of
        a column, sorted (columns of categories: in the order of the categories). A listing or table gives a
        DenseTensor if it has at most 2**20 cells, or at most 10 for each listed one; else a SparseTensor where
        unlisted cells are zero, and an ObservedTensor where they are missing; sparse matrices give one of these two
        of any size. `.npz` gives back the kind that was written.

    Raises
    ------
    DataError
        No such file, or content that is not one tensor of real numbers; `FormatError` if the file is
        damaged or not what its name says. The message gives the file and, for text, the line.
    ParameterError
        An option that the format does not have, an unknown column, variable or choice, or a package that is not
        installed.

    Notes
    -----
    ======================  ===================================================================  ===========
    endings                 content                                                              extra
    ======================  ===================================================================  ===========
    `.csv`, `.tsv`          long tables, one row per cell, or wide ones                          ``tables``
    `.dat`, `.data`         the same, with a separator to tell                                   ``tables``
    `.parquet`              the same, of Apache Parquet                                          ``tables``
    `.feather`, `.arrow`    the same, of Apache Arrow                                            ``tables``
    `.xlsx`                 the same, on a sheet of Excel                                        ``tables``
    `.tns`                  FROSTT: subscripts from 1, value last; extended FROSTT
    `.ttb`, `.txt`          Tensor Toolbox text: `tensor` and `sptensor` (also called `.tns`)
    `.mtx`                  Matrix Market
    `.npy`                  an array of NumPy
    `.npz`                  gcp's own; arrays of NumPy; `save_npz` of scipy.sparse and sparse
    `.mat`                  MATLAB: arrays, sparse matrices, `sptensor`, also in structs         (``arrays``)
    `.h5`, `.hdf5`          arrays of HDF5                                                       ``arrays``
    `.zarr`                 arrays of Zarr, in a folder                                          ``arrays``
    `.nc`, `.nc4`, `.cdf`   netCDF, with names and coordinates                                   ``xarray``
    `.h5ad`                 AnnData: cells by genes, as modes `obs` and `var`                    ``arrays``
    `.loom`                 Loom, likewise                                                       ``arrays``
    ======================  ===================================================================  ===========

    Text may be compressed: `.csv.gz`, `.tns.gz`. What needs an extra is installed by
    ``pip install "gcp-tensor[tables]"``; `.mat` needs one only for version 7.3.

    A subscript 0 in a `.tns` file that does not tell its shape proves that all subscripts count from 0; where none is
    0 they count from 1.

    Rows of `.tns` and `sptensor` files are parsed by PyArrow if it is installed (``gcp-tensor[tables]``), else one by
    one, which takes some thirty times as long.

    MATLAB has no arrays of one mode: those come back from `.mat` as matrices of one column.
    """
    options = _given(
        modes=modes,
        value=value,
        unlisted=unlisted,
        aggregate=aggregate,
        variable=variable,
        wide=wide,
        header=None if checks.truth("header", header) else False,
        separator=separator,
        decimal=decimal,
        encoding=encoding,
        exposure=exposure,
        offset=offset,
        trials=trials,
    )
    limit = None if memory is None else parse_bytes(memory)
    if callable(getattr(path, "read", None)):
        if limit is not None:
            raise ParameterError(
                "memory is for files by name, which are read again and again: found an open file."
            )
        return _read_open(path, format, options)
    path = checks.path("path", path)
    form, is_gzipped = _format(path, format)
    _check_options(path, form, options)
    if limit is not None or form.read is None:
        return from_source(array_source(path, format=format, **options), limit)
    with reading(path, is_gzipped) as file:
        form.check_needs()
        return form.read(file, **options)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given, of the right types."""
    found = {name: option for name, option in options.items() if option is not None}
    for name, option in found.items():
        if name == "modes":
            found[name] = checks.items(name, option, "a list of columns")
        elif name not in ("header", "value", *CARRIED):  # columns without a header have numbers
            checks.text(name, option)
    return found


def _read_open(file: Any, format: str | None, options: dict[str, Any]) -> Tensor | PartitionedTensor:
    """Return the tensor of an open file, from where it stands to its end."""
    name = getattr(file, "name", None)
    where = name if isinstance(name, str) else "the file"
    if format is None and (not isinstance(name, str) or format_of(name) is None):
        raise ParameterError(
            f'{where}: its name tells no format: say which it has, e.g. format="csv"; known are {endings()}.'
        )
    form, is_gzipped = _format(PurePath(where), format)
    _check_options(where, form, options)
    with telling(where):
        form.check_needs()
        content = file.read()
        if isinstance(content, str):
            if "encoding" in options:
                raise ParameterError(
                    "encoding is for bytes: the file was opened as text, and has one already."
                )
            content = content.encode("utf-8", "surrogateescape")  # bytes that were none of its encoding
        if not isinstance(content, bytes | bytearray) or not content:
            raise DataError("the file is empty." if content in ("", b"") else "its read() gives no bytes.")
        if format is None:  # a file that unpacks itself has the name of the packed one
            is_gzipped = is_gzipped and bytes(content[:2]) == b"\x1f\x8b"
        if form.read is None:  # what is read by path has a folder of its own
            with TemporaryDirectory() as folder:
                path = Path(folder, f"file{form.endings[0]}")
                path.write_bytes(content)
                try:
                    return from_source(array_source(path, **options), None)
                except GcpError as error:
                    raise type(error)(str(error).replace(f"{path}: ", "")) from error
        buffer = BytesIO(content)
        return form.read(GzipFile(fileobj=buffer) if is_gzipped else buffer, **options)


def array_source(path: str | os.PathLike[str], *, format: str | None = None, **options: Any) -> Source:
    """Return the array of a file, to be read in slabs.

    Raises
    ------
    DataError, ParameterError
        As `read_tensor`.
    """
    path = checks.path("path", path)
    form, _ = _format(path, format)
    if form.source is None:
        raise _inapplicable(path, "memory", lambda other: other.source is not None)
    with telling(path):
        form.check_needs()
        return form.source(path, **options)


def _check_options(where: Path | str, form: Format, options: dict[str, Any]) -> None:
    """Raise `ParameterError` for an option that the format does not have."""
    if foreign := sorted(set(options) - form.options):
        name = foreign[0]
        raise _inapplicable(where, name, lambda other: name in other.options)


def _inapplicable(where: Path | str, option: str, takes: Callable[[Format], bool]) -> ParameterError:
    return ParameterError(
        f"{where}: the option {option!r} does not apply to this format, only to {endings(takes)}."
    )


def write_tensor(path: str | os.PathLike[str], tensor: Any) -> None:
    """Write a tensor to a file, which appears under its name only when it is complete.

    Parameters
    ----------
    path : path
        The ending chooses the format:

        - `.npz` keeps everything (kind, type, mask, weights, labels) exactly;
        - `.csv`, `.tsv`, `.parquet`, `.feather` are long tables with labels, one row per observed cell, zeros too;
          of a SparseTensor one row per nonzero, and one without a value per missing cell (labels without any row are
          lost, also as positions; text does not keep the order of labels);
        - `.tns` lists the nonzeros and needs a fully observed tensor; labels are not kept;
        - `.npy`, `.mat`, `.ttb`, `.txt` hold the values of all cells alone, at most 2**31, missing ones as NaN;
          labels are not kept.

        Text is compressed with `.gz` behind: `.csv.gz`, `.tns.gz`.
    tensor : DenseTensor, SparseTensor, ObservedTensor, or other data as for `fit_gcp`, in one piece
        The tensor. Exposures, offsets and trials, weights other than 0 and 1, and any weights of listed entries, can
        only be written to `.npz`.

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
        fitting = endings(lambda other: other.write is not None)
        raise ParameterError(f"{path}: such files are read, but not written; written are {fitting}.")
    with writing(path), replacing(path) as part, opened(part, is_gzipped, "wb") as file:
        form.check_needs()
        whole = stored(in_one_piece(tensor))
        if whole.columns.scale is not None or whole.columns.group is not None:
            raise DataError("The tensor has scales or groups of entries, which no file holds yet.")
        if (found := carried_by(whole)) and not path.name.lower().endswith(".npz"):
            raise DataError(f"The tensor carries {', '.join(found)}, which only .npz holds.")
        form.write(file, whole)


def _format(path: PurePath, format: str | None = None) -> tuple[Format, bool]:
    """Return the format of a file name, or the one that is given, and whether it is compressed on top."""
    if format is not None:
        return format_named(checks.text("format", format))
    if found := format_of(path.name):
        return found
    ending = f"the ending {path.suffix!r}" if path.suffix else "no ending"
    raise ParameterError(
        f"{path}: has {ending}; known endings are {endings()} (text also with .gz). Say which format it has with "
        "format=."
    )
