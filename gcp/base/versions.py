"""Versions of what gcp runs on, for reports of faults."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from gcp.base import threads

_NEEDED = ("gcp-tensor", "numpy", "scipy", "tensorly", "llvmlite", "threadpoolctl")
_OPTIONAL = (
    "pandas",
    "xarray",
    "matplotlib",
    "dask",
    "distributed",
    "h5py",
    "zarr",
    "pyarrow",
    "sparse",
    "scikit-learn",
)


def show_versions() -> None:
    """Print versions of gcp, of Python, and of the packages that it uses, with the machine: for reports of faults."""
    print(f"Python       {sys.version.split()[0]}, {platform.platform()}")
    print(f"machine      {platform.machine()}, {threads.available_cores()} cores for this process")
    for name in (*_NEEDED, *_OPTIONAL):
        print(f"{name:<12} {_version(name)}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
