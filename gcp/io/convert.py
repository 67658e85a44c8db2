"""Conversion of a text listing of any size to the compact binary form, in bounded memory.

The rows are read part by part and put on disk as numbers: their order depends on the shape, which the last row may
tell. Sorted, they give the columns of the result, which are packed last. All that is on disk meanwhile lies in
nameless files beside the result.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from gcp.base.errors import DataError, FormatError, ParameterError
from gcp.io.external_sort import Rows, cells, in_order, row_type, without_repetitions
from gcp.io.files import naming, opened, reading, replacing, target_of, writing
from gcp.io.format import check_promise
from gcp.io.formats.npz import Stream, write_listing
from gcp.io.formats.tns import read_header
from gcp.io.formats.toolbox import ListingHeader
from gcp.io.spool import Spool
from gcp.io.text_rows import CountsFromZero, Part, line_of, read_parts
from gcp.tensors.entries import cells_of, check_aggregate, check_shape, sorting_order
from gcp.tensors.kinds import check_unlisted, default_aggregate

_LEAST = 64_000_000
"""Bytes of memory that are always needed."""


@dataclass(frozen=True)
class ConversionSummary:
    """A summary of what was written.

    Attributes
    ----------
    kind : {"sparse", "observed"}
    shape : tuple of int
    n_listed, n_missing : int
        Numbers of cells.
    """

    kind: str
    shape: tuple[int, ...]
    n_listed: int
    n_missing: int

    def __str__(self) -> str:
        """Return the words with which the tensor shows itself."""
        shape = " x ".join(map(str, self.shape))
        if self.kind == "observed":
            return f"ObservedTensor({shape}, float64, {self.n_listed:,} known)"
        missing = f", {self.n_missing:,} missing" if self.n_missing else ""
        return f"SparseTensor({shape}, float64, {self.n_listed:,} listed{missing})"


def convert(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    memory: int,
    unlisted: str = "zero",
    aggregate: str | None = None,
) -> ConversionSummary:
    """Write the entries of a `.tns` file, which may exceed memory, as `.npz`.

    The file is that of `write_tensor(out, read_tensor(path))`, except that the tensor is a list of entries whatever
    its size: it reads back as a SparseTensor or an ObservedTensor.

    Parameters
    ----------
    path : path
        `.tns` or `.tns.gz`. Only a line must fit into memory.
    out : path
        `.npz`. Beside it, there must be room for two copies of all rows: 4 bytes for a subscript, 8 for a value.
    memory : int
        Bytes to use, beside those of Python and its libraries; at least 64 MB.
    unlisted, aggregate : str
        As in `read_tensor`.

    Raises
    ------
    DataError, FormatError
        As `read_tensor` and `write_tensor` do.
    ParameterError
        Other formats, too little memory, or an unknown choice.
    """
    path, out = Path(path), Path(out)
    _check_formats(path, out)
    if memory < _LEAST:
        raise ParameterError(f"memory must be at least {_LEAST // 10**6} MB: found {memory:,} bytes.")
    check_unlisted(unlisted)
    aggregate = aggregate or default_aggregate(unlisted)
    check_aggregate(aggregate)
    with writing(out):
        folder = target_of(out).parent
    try:
        return _convert(path, out, folder, memory, "sparse" if unlisted == "zero" else "observed", aggregate)
    except OSError as error:
        raise DataError(f"{out}: cannot be written: {error.strerror or error}.") from error


def _check_formats(path: Path, out: Path) -> None:
    if not path.name.lower().endswith((".tns", ".tns.gz")) or out.suffix.lower() != ".npz":
        raise ParameterError(
            f"a bound on memory is for conversions from .tns or .tns.gz to .npz: found {path.name} and {out.name}."
        )


def _convert(
    path: Path, out: Path, folder: Path, memory: int, kind: str, aggregate: str
) -> ConversionSummary:
    with ExitStack() as stack:
        with reading(path, _is_gzipped(path)) as file:
            header = read_header(file)
        numbered = aggregate == "error"
        try:
            stored, shape = _stored(path, header, 1, folder, stack, numbered=numbered)
        except CountsFromZero:
            stored, shape = _stored(path, header, 0, folder, stack, numbered=numbered)
        index = np.dtype(np.uint32 if max(shape) <= 2**32 else np.uint64)
        values, *subs = (Spool(folder, dtype, stack) for dtype in (np.float64, *[index] * len(shape)))
        missing = [Spool(folder, index, stack) for _ in shape]
        rows = in_order(stored, shape, memory)
        if aggregate == "error":
            rows = without_repetitions(rows, shape, lambda row: _line(path, header, row))
        with naming(path):
            _store_cells(
                cells(rows, aggregate), shape, [values, *subs], missing if kind == "sparse" else None
            )
            _check_known(kind, shape, len(values), len(missing[0]))
        with naming(out), replacing(out) as part, opened(part, False, "wb") as file:
            numbers = Stream(values.dtype, (len(values),), values.blocks())
            write_listing(file, kind, shape, _matrix(subs), numbers, _matrix(missing))
        return ConversionSummary(kind, shape, len(values), len(missing[0]))


def _is_gzipped(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _stored(
    path: Path, header: ListingHeader, base: int, folder: Path, stack: ExitStack, *, numbered: bool
) -> tuple[Spool, tuple[int, ...]]:
    """Return all rows of a file, on disk, and the shape; `base` as in `read_parts`."""
    sizes = header.shape or ()
    stored = Spool(folder, row_type(len(sizes), np.uint32, numbered=numbered), stack)
    try:
        with closing(_parts(path, header, base)) as parts:
            for part in parts:
                if len(part.values):
                    stored = _with(part, stored, stack)
                    found = (part.largest + 1).tolist()
                    sizes = tuple(map(max, sizes or found, found))
    except CountsFromZero:
        stored.close()
        raise
    with naming(path):
        check_promise(len(stored), header.n_rows)
    if not sizes:
        raise FormatError(f"{path}: the file lists no entry.")
    return stored, check_shape(sizes)


def _with(part: Part, stored: Spool, stack: ExitStack) -> Spool:
    """Return rows on disk with more of them, which may have more modes than none or need more bits."""
    index = np.uint32 if part.subs.dtype == np.uint32 else np.uint64
    rows = np.empty(
        len(part.values), row_type(part.subs.shape[1], index, numbered="number" in stored.dtype.names)
    )
    rows["subs"], rows["value"] = part.subs, part.values
    if "number" in rows.dtype.names:
        rows["number"] = np.arange(len(stored), len(stored) + len(rows))
    if rows.dtype.itemsize > stored.dtype.itemsize:
        before, stored = stored, Spool(stored.folder, rows.dtype, stack)
        for block in before.blocks():
            stored.append(block)
        before.close()
    stored.append(rows)
    return stored


def _parts(path: Path, header: ListingHeader, base: int) -> Generator[Part, None, None]:
    """Yield the rows of a file; errors name it.

    Errors of the caller, who gets them, do not come by here.
    """
    with reading(path, _is_gzipped(path)) as file:
        yield from read_parts(file, header.shape, skip=header.n_lines, base=base)


def _line(path: Path, header: ListingHeader, row: int) -> str:
    """Return `line 7`, the line that holds a row."""
    with reading(path, _is_gzipped(path)) as file:
        return line_of(file, header.n_lines, row)


def _store_cells(
    rows: Iterable[Rows], shape: Sequence[int], listed: Sequence[Spool], missing: Sequence[Spool] | None
) -> None:
    """Append values and columns of subscripts; zeros are listed only if nothing takes the missing (NaN) cells."""
    modes = np.argsort(sorting_order(shape))
    for subs, values in rows:
        hidden = np.isnan(values)
        keep = ~hidden if missing is None else ~hidden & (values != 0)
        for column, numbers in zip(listed, (values[keep], *subs[keep].T[modes]), strict=True):
            column.append(numbers)
        for column, numbers in zip(missing or (), subs[hidden].T[modes], strict=missing is not None):
            column.append(numbers)


def _check_known(kind: str, shape: tuple[int, ...], n_listed: int, n_missing: int) -> None:
    if n_listed == 0 if kind == "observed" else n_missing == cells_of(shape):
        raise DataError("The data have no observed entry.")


def _matrix(columns: Sequence[Spool]) -> Stream:
    blocks = chain.from_iterable(column.blocks() for column in columns)
    return Stream(columns[0].dtype, (len(columns[0]), len(columns)), blocks)
