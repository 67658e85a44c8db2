"""What every experiment shares: its arguments, its data, and the files that it leaves."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import _record
import numpy as np

import gcp


@dataclass
class Run:
    """One call of an experiment."""

    name: str
    quick: bool
    seed: int
    out: Path
    folder: Path | None
    began: float = field(default_factory=time.perf_counter)
    checksums: dict[str, str] = field(default_factory=dict)


def begin(doc: str, name: str, quick: str, **more) -> Run:
    """Arguments of the command line; `quick` says what --quick leaves out."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is random (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("results") / name, help="folder for the results")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("GCP_DATA"),
        help="folder of data that the package does not hold",
    )
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore", gcp.ConvergenceWarning)  # the tables say it
    return Run(name, given.quick, given.seed, given.out, given.data)


def load(run: Run, folder: str, file: str = "") -> dict[str, np.ndarray]:
    """The arrays of FOLDER/FILE.npz among the data that are not in the package; without it the experiment ends."""
    path = Path(folder) / f"{file or folder}.npz"
    if run.folder is None or not (run.folder / path).exists():
        where = (
            "neither --data nor $GCP_DATA is given"
            if run.folder is None
            else f"{run.folder / path} is not there"
        )
        sys.exit(
            f"missing data: {where}. {run.name} needs {path}; the top of the script says where it comes from."
        )
    content = (run.folder / path).read_bytes()
    run.checksums[str(path)] = hashlib.sha256(content).hexdigest()
    with np.load(run.folder / path) as archive:
        return {name: archive[name] for name in archive.files}


def finish(run: Run, table: str, rows: list[dict], figure, **facts) -> None:
    """The table as csv, run.json and the figure."""
    figure.savefig(run.out / f"{run.name}.png", dpi=150)
    _record.write(
        run.out,
        run.name,
        table,
        rows,
        settings={"seed": run.seed, "quick": run.quick},
        data_sha256=run.checksums,
        table=rows,
        seconds=round(time.perf_counter() - run.began, 1),
        **facts,
    )
    print(f"Written: {run.out}/{table}, run.json, {run.name}.png")
