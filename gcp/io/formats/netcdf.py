"""NetCDF, versions 3 and 4: labelled arrays, through xarray."""

from __future__ import annotations

import math
from typing import Any, BinaryIO

from gcp.base.errors import FormatError
from gcp.base.sizes import check_memory
from gcp.io.format import Format, choose_variable, damage_told, required
from gcp.io.hdf5 import opened_alone
from gcp.tensors.intake.coerce import in_one_piece
from gcp.tensors.kinds import Tensor, stored

_WHAT = "a netCDF file"


def _read(file: BinaryIO, variable: str | None = None) -> Tensor:
    import xarray as xr

    start = file.read(4)
    file.seek(0)
    is_classic = start.startswith(b"CDF")
    if not is_classic:
        if start != b"\x89HDF":
            raise FormatError(f"not {_WHAT}: the first bytes are {start!r}.")
        for name in ("h5netcdf", "h5py"):
            required(name, "netCDF files of version 4", "xarray")
        with opened_alone(file, _WHAT):
            pass
        file.seek(0)
    group, _, name = (variable or "").strip("/").rpartition("/")
    options = {"engine": "scipy"} if is_classic else {"engine": "h5netcdf", "group": group or None}
    with (
        damage_told(_WHAT),
        xr.open_dataset(file, decode_coords="all", **options) as data,
    ):
        arrays = {str(key): one for key, one in data.variables.items()}
        found = {key: data[key] for key in map(str, data.data_vars) if _is_numeric(arrays[key])}
        others = {key: f"{one.ndim}-mode {one.dtype}" for key, one in arrays.items() if key not in found}
        chosen = choose_variable(found, others, name or None)
        check_memory(f"The variable {chosen.name}", math.prod(chosen.shape) * 8, 1)
        return stored(in_one_piece(chosen.load()))


def _is_numeric(array: Any) -> bool:
    return array.ndim > 0 and array.dtype.kind in "buif"


FORMATS = (
    Format(
        endings=(".nc", ".nc4", ".cdf"),
        read=_read,
        options=frozenset({"variable"}),
        needs=("xarray",),
        extra="xarray",
    ),
)
