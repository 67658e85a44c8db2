"""Seconds to read a long list of entries: `gcp.read_tensor` against `pandas.read_csv`.

    pip install ".[tables]"
    python scripts/benchmarks/reading.py [--rows 10000000] [--repeat 5]

A .tns file, plain and gzipped, of 3 subscripts and a small whole number a row, in random order and sorted. gcp's
time includes sorting, the search for repeated cells and the tensor; pandas' only the table. Readings alternate;
medians with the range.
"""

from __future__ import annotations

import argparse
import gzip
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from kernels import processor

import gcp


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=5)
    arguments = parser.parse_args()
    print(
        f"{processor()}; pandas {version('pandas')}, gcp-tensor {version('gcp-tensor')}; {arguments.rows:,} rows\n"
    )
    print("| file | pandas s | gcp s | pandas / gcp |")
    print("|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for path in files(Path(folder), arguments.rows):
            readers = {
                "pandas": lambda path=path: pd.read_csv(path, sep=" ", header=None),
                "gcp": lambda path=path: gcp.read_tensor(path),
            }
            seconds = {name: [] for name in readers}
            for repetition in range(arguments.repeat + 1):
                for name, read in readers.items():
                    began = time.perf_counter()
                    read()
                    if repetition:  # the first compiles
                        seconds[name].append(time.perf_counter() - began)
            cells = [
                f"{statistics.median(t):.2f} ({min(t):.2f}-{max(t):.2f})"
                for t in (seconds["pandas"], seconds["gcp"])
            ]
            ratio = statistics.median(seconds["pandas"]) / statistics.median(seconds["gcp"])
            print(f"| {path.name} | {cells[0]} | {cells[1]} | {ratio:.2f} |", flush=True)


def files(folder, n):
    """Random order and sorted, gzipped and plain."""
    rng = np.random.default_rng(0)
    shape = (2000, 1500, 1000)
    cells = rng.choice(np.prod(shape), int(1.01 * n), replace=True)
    cells = rng.permutation(np.unique(cells))[:n]
    for order in ("random", "sorted"):
        cells = np.sort(cells) if order == "sorted" else cells
        table = pd.DataFrame(np.stack(np.unravel_index(cells, shape), axis=1) + 1)
        table["x"] = rng.integers(1, 6, n)
        plain, packed = folder / f"{order}.tns", folder / f"{order}.tns.gz"
        table.to_csv(plain, sep=" ", header=False, index=False)
        with gzip.open(packed, "wb", compresslevel=6) as file:
            file.write(plain.read_bytes())
        yield packed
        yield plain


if __name__ == "__main__":
    main()
