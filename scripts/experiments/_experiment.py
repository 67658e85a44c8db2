"""What every experiment shares: its arguments, its data, its tables, and the files that it leaves."""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import os
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.stats import norm

import gcp

BLUE, ORANGE, GREEN, RED, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
"""Colors that color-blind people tell apart (Okabe and Ito 2008)."""


class Run:
    """One call of an experiment.

    Parameters
    ----------
    doc : str
        The experiment's docstring: the page of `--help`.
    name : str
        Of the experiment, its folder of results and its picture.
    quick : str
        What `--quick` leaves out.
    options : dict
        More options: name to the arguments of `add_argument`. All are attributes of `given`.
    """

    def __init__(self, doc: str, name: str, quick: str, **options: dict) -> None:
        parser = argparse.ArgumentParser(
            description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        parser.add_argument("--quick", action="store_true", help=quick)
        parser.add_argument(
            "--seed", type=int, default=0, help="decides everything that is random (default: 0)"
        )
        parser.add_argument("--out", type=Path, default=Path("results") / name, help="folder for the results")
        parser.add_argument(
            "--data",
            type=Path,
            default=os.environ.get("GCP_DATA") or None,
            help="folder of data that the package does not hold (default: $GCP_DATA)",
        )
        for option, arguments in options.items():
            parser.add_argument(f"--{option}", **arguments)
        self.given = parser.parse_args()
        self.quick, self.seed, self.out = self.given.quick, self.given.seed, self.given.out
        self.name = name
        self.out.mkdir(parents=True, exist_ok=True)
        self.spent = 0.0  # seconds of earlier runs that this one goes on from
        self._began = time.perf_counter()
        self._checksums: dict[str, str] = {}
        self._tables: list[dict] = []
        self._comparisons: list[dict] = []
        warnings.simplefilter("ignore", gcp.ConvergenceWarning)  # the tables say it

    def load(self, file: str) -> dict[str, np.ndarray]:
        """The arrays of an .npz or .mat file among the data that are not in the package; without it, the end."""
        folder = self.given.data
        if folder is None or not (folder / file).exists():
            found = (
                "neither --data nor $GCP_DATA is given" if folder is None else f"{folder / file} is not there"
            )
            sys.exit(
                f"missing data: {found}. {self.name} needs {file}; the top of the script says where it comes from."
            )
        self._checksums[file] = hashlib.sha256((folder / file).read_bytes()).hexdigest()
        if file.endswith(".mat"):
            return loadmat(folder / file)
        with np.load(folder / file) as archive:
            return {name: archive[name] for name in archive.files}

    def dataset(self, name: str) -> gcp.DenseTensor | gcp.SparseTensor:
        """A tensor of `gcp.datasets`."""
        tensor = getattr(gcp.datasets, f"load_{name}")()
        content = np.ascontiguousarray(tensor.values).tobytes()
        self._checksums[f"gcp.datasets, values of {name}"] = hashlib.sha256(content).hexdigest()
        return tensor

    def table(self, name: str, caption: str, rows: list[dict]) -> None:
        """Print rows, write them to NAME.csv, and keep them for the results page."""
        self.csv(name, rows)
        self._tables.append({"name": name, "caption": caption, "rows": rows})
        print(f"\n{caption}\n{as_text(rows)}", flush=True)

    def csv(self, name: str, rows: list[dict]) -> None:
        """Write rows to NAME.csv."""
        with open(self.out / f"{name}.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def compare(
        self, what: str, ours: object, published: object, *, source: str, agrees: bool, why: str = ""
    ) -> None:
        """A published figure beside ours; `why` says what a difference comes from."""
        self._comparisons.append(
            {
                "what": what,
                "ours": ours,
                "published": published,
                "source": source,
                "agrees": bool(agrees),
                "why": why,
            }
        )

    def finish(self, figure) -> None:
        """Write the picture and run.json."""
        if self._comparisons:
            told = [
                {name: row[name] for name in ("what", "ours", "published", "source")}
                | {"agrees": "yes" if row["agrees"] else "no"}
                for row in self._comparisons
            ]
            print(f"\nBeside published figures\n{as_text(told)}")
        figure.savefig(self.out / f"{self.name}.png", dpi=75 if self.quick else 150)
        settings = {k: v for k, v in vars(self.given).items() if k not in ("out", "data")}
        record = {
            "experiment": self.name,
            "settings": settings,
            "comparisons": self._comparisons,
            "tables": self._tables,
            "data_sha256": self._checksums,
            "versions": {n: version(n) for n in ("gcp-tensor", "numpy", "scipy", "llvmlite")}
            | {"python": platform.python_version()},
            "processor": _processor(),
            "seconds": round(self.spent + time.perf_counter() - self._began, 1),
        }
        (self.out / "run.json").write_text(json.dumps(_plain(record), indent=1, allow_nan=False) + "\n")
        print(f"\nWritten to {self.out} in {record['seconds']:.0f} s")


def as_text(rows: list[dict]) -> str:
    """Aligned columns."""
    cells = [list(rows[0])] + [[shown(value) for value in row.values()] for row in rows]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    numeric = [all(isinstance(row[key], int | float | None) for row in rows) for key in rows[0]]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    )


def shown(value: object) -> str:
    """A value of a table: floats to six digits."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def log_of_rounded_normal(x, mean, sd, low=0.0, high=np.inf) -> np.ndarray:
    """Log-probability of whole numbers under a rounded normal variable; the first and the last take the tails."""
    below = np.where(x <= low, -np.inf, (x - 0.5 - mean) / sd)
    above = np.where(x >= high, np.inf, (x + 0.5 - mean) / sd)
    # By symmetry, the interval is moved to the tail where its probability keeps its digits.
    flip = below > 0
    a, b = np.where(flip, -above, below), np.where(flip, -below, above)
    upper, lower = norm.logcdf(b), norm.logcdf(a)
    return upper + np.log1p(-np.exp(lower - upper))


def panels(lines: int, columns: int, width: float, height: float, **options):
    """A figure and its axes, with the frame that all pictures share; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, **options)
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=8)
    return figure, axes


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _plain(value):
    """Without NumPy's types, and nan as None: what JSON can hold."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
